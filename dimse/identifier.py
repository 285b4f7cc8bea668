"""Identifiers of C-FIND, C-MOVE and C-GET: bytes to Query, Answer to bytes (PS3.4 C.4).

What a key asks for is never silently dropped, because that would widen the answer to other patients: a key
that belongs below the level of the query is refused, and one that we cannot match makes every pending
status FF01 (PS3.4 table C.4-1), as the standard has it.
"""

from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass
from typing import Final

from dimse.contexts import Model
from dimse.elements import Encode, Raw, RawDataset, Writer, read, vr_of
from dimse.texts import UTF_8, encoder
from index.attributes import BY_KEYWORD, BY_TAG, Attribute, levels_down_to
from index.errors import CannotUnderstand, InvalidQuery
from index.query import AnyOf, Exact, Filter, Query, parse_filter
from index.records import Answer, Element, Level
from storage.charsets import NAME_DELIMITERS, charset_of

SPECIFIC_CHARACTER_SET: Final = 0x00080005
QUERY_RETRIEVE_LEVEL: Final = 0x00080052
RETRIEVE_AE_TITLE: Final = 0x00080054
INSTANCE_AVAILABILITY: Final = 0x00080056
FAILED_INSTANCES: Final = 0x00080058

_CHARSET: Final = f"{SPECIFIC_CHARACTER_SET:08X}"

CONTROL: Final = frozenset(
    (SPECIFIC_CHARACTER_SET, QUERY_RETRIEVE_LEVEL, 0x00080053, RETRIEVE_AE_TITLE, INSTANCE_AVAILABILITY)
)
"""Elements of an identifier that are no keys to match."""

UNIQUE_KEYS: Final = {
    Level.PATIENT: "PatientID",
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


@dataclass(frozen=True, slots=True)
class Identifier:
    """A decoded identifier."""

    level: Level
    keys: RawDataset
    charset_terms: tuple[str, ...]
    has_charset: bool


def parse(data: bytes, transfer_syntax_uid: str, model: Model) -> Identifier:
    """Decode an identifier and check its level against the model. Raises InvalidQuery."""
    try:
        keys = read(data, transfer_syntax_uid)
    except CannotUnderstand as exc:
        raise InvalidQuery(exc.detail) from exc
    text = plain(keys, QUERY_RETRIEVE_LEVEL)
    levels = {level.value: level for level in model.levels}
    if text not in levels:
        raise InvalidQuery("Query/Retrieve Level is missing or not in this model")
    terms = tuple(plain(keys, SPECIFIC_CHARACTER_SET).split("\\"))
    return Identifier(levels[text], keys, terms, SPECIFIC_CHARACTER_SET in keys)


def retrieve_query(identifier: Identifier) -> Query:
    """The query of a C-MOVE or C-GET: the unique key of the level, single or a list of UIDs (PS3.4 C.4.2.2.1).

    Other keys may only narrow it. Raises InvalidQuery.
    """
    filters: list[Filter] = []
    for tag, raw in asking(identifier):
        attribute = BY_TAG.get(f"{tag:08X}")
        if attribute is None or not attribute.searchable or raw.vr == "SQ":
            raise InvalidQuery(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) is not a key of a retrieve request")
        check_level(attribute, identifier.level)
        made = _filters(attribute.keyword, text_of(identifier, tag, raw))
        if attribute.keyword in UNIQUE_KEYS.values() and not all(isinstance(one, Exact | AnyOf) for one in made):
            raise InvalidQuery(f"{attribute.keyword} of a retrieve request must be a value and no pattern")
        filters += made
    key = UNIQUE_KEYS[identifier.level]
    if not any(one.keyword == key for one in filters):
        raise InvalidQuery(f"{key} is required at this level")
    return Query(identifier.level, tuple(filters))


class Renderer:
    """Turns the answers to one C-FIND into encoded identifiers."""

    def __init__(self, identifier: Identifier, model: Model, our_ae_title: str, transfer_syntax_uid: str) -> None:
        """What all answers have in common is prepared here."""
        self._writer = Writer(transfer_syntax_uid)
        self._encode = encoder(identifier.charset_terms)
        above = levels_down_to(identifier.level)
        unique = [BY_KEYWORD[UNIQUE_KEYS[level]].tag for level in model.levels if level in above]
        wanted = {f"{tag:08X}" for tag in identifier.keys if tag not in CONTROL}.union(unique)
        constant: dict[str, Element] = {
            f"{QUERY_RETRIEVE_LEVEL:08X}": {"vr": "CS", "Value": [identifier.level.value]},
            f"{RETRIEVE_AE_TITLE:08X}": {"vr": "AE", "Value": [our_ae_title]},
            f"{INSTANCE_AVAILABILITY:08X}": {"vr": "CS", "Value": ["ONLINE"]},
        }
        if identifier.has_charset:
            constant[_CHARSET] = {"vr": "CS", "Value": list(identifier.charset_terms)}
        self._lines = self._prepared(wanted, constant)
        self._lines_in_utf_8 = self._prepared(wanted, {**constant, _CHARSET: {"vr": "CS", "Value": [UTF_8]}})

    def _prepared(self, wanted: Set[str], constant: Mapping[str, Element]) -> list[tuple[str, bool, bytes]]:
        """Tags in ascending order, whether the answer may have a value, and what is written if it has none."""
        lines = []
        for tag in sorted(wanted | constant.keys()):
            element = constant.get(tag) or {"vr": vr_of(int(tag, 16))}
            lines.append((tag, tag not in constant, self._writer.write({tag: element}, str.encode)))
        return lines

    def render(self, answer: Answer) -> bytes:
        """One answer: the requested keys, unknown ones empty, the unique keys, and where to get it."""
        try:
            return self._written(answer, self._lines, self._encode)
        except UnicodeEncodeError:
            return self._written(answer, self._lines_in_utf_8, str.encode)

    def _written(self, answer: Answer, lines: Sequence[tuple[str, bool, bytes]], encode: Encode) -> bytes:
        written = self._writer.one
        return b"".join(
            [
                written(tag, element, encode) if varies and (element := answer.get(tag)) else prepared
                for tag, varies, prepared in lines
            ]
        )


def failed_instances(sop_instance_uids: Sequence[str], transfer_syntax_uid: str) -> bytes:
    """The identifier of a final C-MOVE or C-GET response: Failed SOP Instance UID List (0008,0058)."""
    element = {"vr": "UI", "Value": list(sop_instance_uids)}
    return Writer(transfer_syntax_uid).write({f"{FAILED_INSTANCES:08X}": element}, str.encode)


def asking(identifier: Identifier) -> list[tuple[int, Raw]]:
    """The keys that ask for something: neither empty nor about the identifier itself."""
    return [
        (tag, raw) for tag, raw in identifier.keys.items() if tag not in CONTROL and tag & 0xFFFF and not raw.is_empty
    ]


def text_of(identifier: Identifier, tag: int, raw: Raw) -> str:
    """The matching text of a key. Raises InvalidQuery when it cannot be read."""
    text = charset_of(identifier.charset_terms).decode(raw.value, NAME_DELIMITERS).strip(" \0")
    if "\ufffd" in text:
        raise InvalidQuery(f"({tag >> 16:04X},{tag & 0xFFFF:04X}) cannot be read in the character set given")
    return text


def check_level(attribute: Attribute, level: Level) -> None:
    """Raise InvalidQuery for a key below the level of the query."""
    if attribute.level not in levels_down_to(level):
        raise InvalidQuery(f"{attribute.keyword} is below the level of the query")


def _filters(keyword: str, text: str) -> list[Filter]:
    one = parse_filter(keyword, text)
    return [] if one is None else [one]


def plain(keys: RawDataset, tag: int) -> str:
    raw = keys.get(tag)
    return raw.value.decode("ascii", "replace").strip(" \0") if raw else ""
