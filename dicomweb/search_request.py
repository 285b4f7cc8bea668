"""The query parameters of a search (PS3.18 8.3.4), taken apart.

Nothing that was asked is dropped without a word: an attribute that cannot be matched is refused, because ignoring it
would show other patients' studies, and so is a parameter that is given twice; a parameter that is no attribute at all
is kept in `ignored`, and a field that answers of this level never have in `unreturned`, for a warning (PS3.18 8.3.1).
"""

import difflib
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, Final

from dicomweb.errors import BadRequest
from index import attribute_paths
from index.answers import returnable
from index.attribute_paths import Path
from index.attributes import BY_KEYWORD, BY_TAG, SUMMARY_TAGS, Attribute, has_key, levels_down_to
from index.errors import InvalidQuery
from index.moments import offset_minutes, with_moments
from index.query import Declared, Exact, Filter, Order, Query, Rules, parse_filter
from index.records import Level

_FOLDED: Final = {keyword.casefold(): keyword for keyword in BY_KEYWORD}
_SEARCHABLE: Final = [row.keyword for row in BY_KEYWORD.values() if row.searchable]
_TIMEZONE: Final = BY_KEYWORD["TimezoneOffsetFromUTC"]
_BOOLEANS: Final = {"true": True, "false": False}
_MOST_ROWS: Final = 2**31 - 1
_CREATOR: Final = re.compile(r"[0-9A-Fa-f]{3}[13579BDFbdf]00[1-9A-Fa-f][0-9A-Fa-f]")
_HEX: Final = frozenset("0123456789abcdefABCDEF")
_ODD: Final = "13579BDF"
_CONTROLS: Final = re.compile("[\x00-\x1f\x7f]")


@dataclass(slots=True)
class SearchRequest:
    """What a client asks for."""

    level: Level
    filters: dict[str, Filter | None] = field(default_factory=dict)
    declared: list[tuple[Path, str]] = field(default_factory=list)
    """Attributes without a column of their own, with the text to match."""
    returned: set[str] = field(default_factory=set)
    paths: set[tuple[str, ...]] = field(default_factory=set)
    private: set[tuple[str, str]] = field(default_factory=set)
    return_all: bool = False
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    empty_values: bool = False
    multiple_values: bool = False
    count: bool = False
    timezone: int | None = None
    """Minutes from UTC of the clock that dates and times of the request are meant by."""
    ignored: list[str] = field(default_factory=list)
    unreturned: list[str] = field(default_factory=list)

    @property
    def rules(self) -> Rules:
        """Kinds of matching that were asked for."""
        return Rules(self.empty_values, self.multiple_values)

    def query(self, limit: int, declared: tuple[Declared, ...] = ()) -> Query:
        """The question to the index. Dates and times are always matched together, as QIDO-RS wants it."""
        filters = tuple(found for found in self.filters.values() if found is not None)
        return Query(
            level=self.level,
            filters=with_moments(filters, combined=True, offset=self.timezone),
            returned=frozenset(self.returned),
            return_all=self.return_all,
            order=self.order,
            limit=limit,
            offset=self.offset,
            fuzzy=self.fuzzy,
            declared=declared,
            paths=frozenset(path for path in self.paths if not _is_whole(path[0], self)),
            private=frozenset(self.private),
        )


@dataclass(frozen=True, slots=True)
class Parameter:
    """A query parameter that is no attribute. `take` puts its value into the request."""

    meaning: str
    kind: str
    """As in JSON Schema."""
    take: Callable[[SearchRequest, str, str], None]
    repeatable: bool = False


def _set(attribute: str, read: Callable[[str, str], Any]) -> Callable[[SearchRequest, str, str], None]:
    def take(request: SearchRequest, name: str, text: str) -> None:
        setattr(request, attribute, read(name, text))

    return take


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _MOST_ROWS:
        raise BadRequest(f"{name} is a whole number from 0")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise BadRequest(f"{name} is true or false")
    return value


def _order(_name: str, text: str) -> tuple[Order, ...]:
    order = []
    for item in filter(None, text.split(",")):
        attribute = _attribute(item.lstrip("+-").strip())
        if attribute is None:
            raise BadRequest(f"orderby: cannot sort by {item[:64]}")
        order.append(Order(attribute.keyword, item.startswith("-")))
    return tuple(order)


def _include(request: SearchRequest, _name: str, text: str) -> None:
    for item in filter(None, (part.strip() for part in text.split(","))):
        if item.lower() == "all":
            request.return_all = True
        else:
            _include_one(request, item)


def _include_one(request: SearchRequest, item: str) -> None:
    tags, creator = _field(item)
    if not returnable(request.level, tags[0]):
        request.unreturned.append(item)
    elif creator and len(tags) == 1:
        request.private.add((tags[0], creator))
    else:
        request.returned.add(tags[0])
        if tags[0][3] in _ODD:
            # A private attribute is returned with the element that tells its creator (PS3.18 10.6.3.3).
            request.returned.add(f"{tags[0][:4]}00{tags[0][4:6]}")
        if len(tags) > 1:
            request.paths.add(tags)


@lru_cache(maxsize=1024)
def _field(item: str) -> tuple[tuple[str, ...], str]:
    """The tags of an attribute to return, from the outermost sequence on, and the Private Creator of the first.

    Remembered, because clients ask for the same fields with every search. Unlike the tags of the parsed path, private
    ones keep the block that the client wrote.
    """
    try:
        path = attribute_paths.parse(item)
    except InvalidQuery as exc:
        raise BadRequest(f"includefield: {exc.detail}") from exc
    names = [part.partition("[")[0].strip("()").replace(",", "") for part in item.split(".")]
    tags = tuple(
        name.upper() if len(name) == 8 and set(name) <= _HEX else step.tag
        for name, step in zip(names, path, strict=True)
    )
    return tags, path[0].creator


def _is_whole(tag: str, request: SearchRequest) -> bool:
    """True when a sequence is returned as a whole anyway, so that its items must not be cut down."""
    whole = any(tag in SUMMARY_TAGS[level] for level in levels_down_to(request.level))
    return request.return_all or whole


def _nothing(_request: SearchRequest, _name: str, _text: str) -> None:
    """Read elsewhere: see `Call.choices` and `Call.require_utf8`."""


PARAMETERS: Final[Mapping[str, Parameter]] = {
    "fuzzymatching": Parameter(
        "Words of a name in any order, and by sound (8.3.4.2).", "boolean", _set("fuzzy", _boolean)
    ),
    "includefield": Parameter(
        "Further attributes of the answer, or `all` (8.3.4.3).", "string", _include, repeatable=True
    ),
    "limit": Parameter("Most results of the answer (8.3.4.4).", "integer", _set("limit", _number)),
    "offset": Parameter("Results to pass over (8.3.4.4).", "integer", _set("offset", _number)),
    "emptyvaluematching": Parameter(
        'The value `""` matches what is empty (8.3.4.5).', "boolean", _set("empty_values", _boolean)
    ),
    "multiplevaluematching": Parameter(
        "Of several values each must match (8.3.4.6).", "boolean", _set("multiple_values", _boolean)
    ),
    "accept": Parameter("Media types as in the Accept header, which it goes before (8.3.3.1).", "string", _nothing),
    "charset": Parameter("Character sets as in the Accept-Charset header (8.3.3.2).", "string", _nothing),
    "orderby": Parameter(
        "Of this server: attributes to sort by; a minus sorts downwards.", "string", _set("order", _order)
    ),
    "count": Parameter(
        "Of this server: X-Total-Count tells the number of all matches.", "boolean", _set("count", _boolean)
    ),
}
"""The query parameters of searches that are no attributes (PS3.18 table 8.3.4-1)."""


def parse(level: Level, parameters: Sequence[tuple[str, str]], fixed: Sequence[tuple[str, str]]) -> SearchRequest:
    """The request behind the query parameters; `fixed` are the UIDs of the path. Raises BadRequest, InvalidQuery."""
    request = SearchRequest(level)
    for keyword, uid in fixed:
        request.filters[keyword] = Exact(keyword, uid)
    given: set[str] = set()
    attributes: list[tuple[str, str]] = []
    for name, text in parameters:
        parameter = PARAMETERS.get(name)
        if parameter is None:
            attributes.append((name, text))
            continue
        if name in given and not parameter.repeatable:
            raise BadRequest(f"{name} is given twice")
        given.add(name)
        parameter.take(request, name, text)
    for name, text in _with_creators(attributes):
        attribute = _attribute(name)
        if not (attribute and (attribute.keyword, text) in fixed):
            _take_attribute(request, name, text)
    return request


def _with_creators(attributes: Sequence[tuple[str, str]]) -> list[tuple[str, str]]:
    """Private attributes with their creator, where another parameter tells it: `00190010=ACME` and `0019100A=x`."""
    creators = {name.upper(): text.strip() for name, text in attributes if _CREATOR.fullmatch(name)}
    made, used = [], set()
    for name, text in attributes:
        creator = f"{name[:4]}00{name[4:6]}".upper()
        if len(name) == 8 and set(name) <= _HEX and creators.get(creator):
            used.add(creator)
            made.append((f"{name}[{creators[creator]}]", text))
        else:
            made.append((name, text))
    return [(name, text) for name, text in made if name.upper() not in used]


def _attribute(name: str) -> Attribute | None:
    """An attribute of the index by keyword or by tag in 8 hex digits."""
    return BY_KEYWORD.get(name) or BY_TAG.get(name.upper())


def _take_attribute(request: SearchRequest, name: str, text: str) -> None:
    attribute = _attribute(name)
    if attribute is None and not _looks_like_attribute(name):
        request.ignored.append(name)
        return
    if _CONTROLS.search(text):
        raise InvalidQuery(f"The value of {name[:64]} holds control characters")
    if attribute is _TIMEZONE:
        request.timezone = _offset(request, text)
        return
    if attribute is not None and has_key(request.level, attribute):
        if attribute.keyword in request.filters:
            raise InvalidQuery(f"{attribute.keyword} is given twice")
        request.filters[attribute.keyword] = parse_filter(attribute.keyword, text, request.rules)
        request.returned.add(attribute.tag)
        return
    path = _path(name)
    if any(path == other for other, _ in request.declared):
        raise InvalidQuery(f"{name[:64]} is given twice")
    request.declared.append((path, text))
    if not returnable(request.level, path[0].tag):
        return
    if path[0].creator:
        request.private.add((path[0].tag, path[0].creator))
    else:
        request.returned.add(path[0].tag)


def _looks_like_attribute(name: str) -> bool:
    head = name.partition(".")[0].partition("[")[0]
    is_tag = len(head) == 8 and set(head) <= _HEX
    return head[:1].isupper() or is_tag or head.casefold() in _FOLDED


def _path(name: str) -> Path:
    try:
        return attribute_paths.parse(name)
    except InvalidQuery as exc:
        near = difflib.get_close_matches(name[:64], _SEARCHABLE, n=1)
        raise InvalidQuery(f"{exc.detail}" + (f"; did you mean {near[0]}?" if near else "")) from exc


def _offset(request: SearchRequest, text: str) -> int | None:
    """Timezone Offset From UTC (0008,0201), whose plus an unescaped query string turns into a space."""
    if not text.strip():
        return request.timezone
    minutes = offset_minutes("+" + text[1:] if text[0] == " " else text)
    if minutes is None:
        raise InvalidQuery("TimezoneOffsetFromUTC is an offset between -1200 and +1400, as in +0100")
    if request.timezone is not None:
        raise InvalidQuery("TimezoneOffsetFromUTC is given twice")
    return minutes
