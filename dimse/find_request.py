"""What a C-FIND identifier asks for: keys to match and to return, by the rules that were negotiated (PS3.4 C.4.1).

A key that cannot be matched is never dropped in silence, because that would widen the answer to other patients: every
pending status is then FF01 (table C.4-1). A key that cannot be read, or that belongs below the level, is refused.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

from dimse.contexts import Model
from dimse.elements import Raw, RawDataset
from dimse.extended import Flags
from dimse.identifier import CONTROL, UNIQUE_KEYS, Identifier, asking, plain, text_of
from index.attribute_paths import Path, Step
from index.attributes import BY_KEYWORD, BY_TAG, Attribute, has_key, levels_down_to
from index.errors import InvalidQuery
from index.moments import offset_minutes, with_moments
from index.query import AnyOf, Declared, Exact, Filter, Query, Rules, parse_filter
from index.records import Level

TIMEZONE: Final = 0x00080201
VIEW: Final = 0x00080053
_FIRST_BLOCK: Final = 0x10


@dataclass(slots=True)
class FindRequest:
    """The keys of an identifier, sorted."""

    level: Level
    filters: list[Filter] = field(default_factory=list)
    declared: list[tuple[Path, str]] = field(default_factory=list)
    """Attributes without a column of their own, with the text to match."""
    returned: set[str] = field(default_factory=set)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    private: set[tuple[str, str]] = field(default_factory=set)
    timezone: str = ""
    """The offset of the clock that dates and times are meant by, and answered by."""
    unsupported: bool = False
    """A key was given that cannot be matched."""
    flags: Flags = field(default_factory=Flags)

    @property
    def rules(self) -> Rules:
        """Kinds of matching that were negotiated."""
        return Rules(self.flags.empty_values, self.flags.multiple_values)

    def query(self, declared: tuple[Declared, ...] = ()) -> Query:
        """The question to the index."""
        offset = offset_minutes(self.timezone) if self.timezone else None
        return Query(
            level=self.level,
            filters=with_moments(tuple(self.filters), combined=self.flags.combined_moments, offset=offset),
            returned=frozenset(self.returned),
            fuzzy=self.flags.fuzzy_names,
            declared=declared,
            paths=frozenset(self.paths),
            private=frozenset(self.private),
        )


def find_request(identifier: Identifier, model: Model, flags: Flags) -> FindRequest:
    """What a C-FIND asks for, by the flags of its extended negotiation. Raises InvalidQuery."""
    request = FindRequest(identifier.level, flags=flags)
    creators = _creators(identifier.keys)
    for tag, raw in asking(identifier):
        if tag == TIMEZONE and flags.timezone:
            request.timezone = _offset(identifier)
        elif raw.vr == "SQ":
            request.declared += _nested(identifier, (Step(f"{tag:08X}"),), raw)
        elif not _is_creator(tag):
            _match(request, identifier, tag, raw, creators)
    # Images are not converted between enhanced and classic ones, so a view that is asked for is a key we do not know.
    request.unsupported |= bool(plain(identifier.keys, VIEW))
    if not flags.relational:
        _require_unique_keys(model, request)
    _return(request, identifier.keys, creators)
    return request


def _match(
    request: FindRequest, identifier: Identifier, tag: int, raw: Raw, creators: dict[tuple[int, int], str]
) -> None:
    text = text_of(identifier, tag, raw)
    attribute = _attribute(tag, identifier.level)
    if attribute is None or not _is_known(attribute, request):
        request.declared.append(((_step(tag, creators),), text))
        return
    found = parse_filter(attribute.keyword, text, request.rules)
    if found is not None:
        request.filters.append(found)


def _is_known(attribute: Attribute, request: FindRequest) -> bool:
    """A key of this level or one above. One below, which studies are searched by all the same, is relational."""
    is_below = attribute.level not in levels_down_to(request.level)
    return has_key(request.level, attribute) and (request.flags.relational or not is_below)


def _attribute(tag: int, level: Level) -> Attribute | None:
    attribute = BY_TAG.get(f"{tag:08X}")
    if attribute is not None and attribute.keyword == "Modality" and level is Level.STUDY:
        # Many workstations give Modality when they mean Modalities in Study.
        return BY_KEYWORD["ModalitiesInStudy"]
    return attribute


def _nested(identifier: Identifier, above: Path, raw: Raw) -> Iterator[tuple[Path, str]]:
    """The keys inside a sequence, which has one item for them (C.2.2.2.6)."""
    if len(raw.items) > 1:
        raise InvalidQuery(f"{above[-1].name} of a query has one item")
    for item in raw.items:
        creators = _creators(item)
        for tag, inner in item.items():
            if inner.is_empty or not tag & 0xFFFF or _is_creator(tag):
                continue
            path = (*above, _step(tag, creators))
            if inner.vr == "SQ":
                yield from _nested(identifier, path, inner)
            else:
                yield path, text_of(identifier, tag, inner)


def _require_unique_keys(model: Model, request: FindRequest) -> None:
    """A hierarchical query names the entity above by its unique key, one or several (C.4.1.2.1)."""
    named = {one.keyword for one in request.filters if isinstance(one, Exact | AnyOf)}
    for level in model.levels[: model.levels.index(request.level)]:
        if UNIQUE_KEYS[level] not in named:
            raise InvalidQuery(f"{UNIQUE_KEYS[level]} needs a value: no relational queries agreed")


def _offset(identifier: Identifier) -> str:
    text = plain(identifier.keys, TIMEZONE)
    if offset_minutes(text) is None:
        raise InvalidQuery("TimezoneOffsetFromUTC is no offset from -1200 to +1400")
    return text


def _is_creator(tag: int) -> bool:
    return bool(tag >> 16 & 1) and _FIRST_BLOCK <= tag & 0xFFFF <= 0xFF


def _creators(keys: RawDataset) -> dict[tuple[int, int], str]:
    """Group and block of private elements -> who they are asked of."""
    return {(tag >> 16, tag & 0xFF): plain(keys, tag) for tag in keys if _is_creator(tag)}


def _step(tag: int, creators: dict[tuple[int, int], str]) -> Step:
    """A private attribute is known by its creator, whatever its block (see `index.attribute_paths`)."""
    if not tag >> 16 & 1:
        return Step(f"{tag:08X}")
    return Step(f"{tag >> 16:04X}10{tag & 0xFF:02X}", creators.get((tag >> 16, tag >> 8 & 0xFF), ""))


def _return(request: FindRequest, keys: RawDataset, creators: dict[tuple[int, int], str]) -> None:
    for tag, raw in keys.items():
        if tag in CONTROL:
            continue
        creator = creators.get((tag >> 16, tag >> 8 & 0xFF), "") if tag >> 16 & 1 else ""
        if creator and not _is_creator(tag):
            request.private.add((f"{tag:08X}", creator))
            continue
        request.returned.add(f"{tag:08X}")
        if raw.vr == "SQ":
            request.paths.update(_leaves((f"{tag:08X}",), raw))


def _leaves(above: tuple[str, ...], raw: Raw) -> Iterator[tuple[str, ...]]:
    """What is asked for inside a sequence; one that is empty is asked for as a whole."""
    for item in raw.items:
        for tag, inner in item.items():
            path = (*above, f"{tag:08X}")
            deeper = list(_leaves(path, inner)) if inner.vr == "SQ" else []
            yield from deeper or [path]
