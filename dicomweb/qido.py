"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6, 8.3.4).

What is asked becomes a `Query`; matching is the index's business. Nothing that was asked is dropped without a
word: an attribute that cannot be matched is refused, because ignoring it would show other patients' studies; a
parameter that is no attribute at all is ignored with Warning 299, as PS3.18 8.3.1 wants it.

Two parameters go beyond the standard: `orderby=-StudyDate,PatientName` sorts in the server, and `count=true` puts the
number of all matches into the header X-Total-Count.
"""

import difflib
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from pydicom.datadict import tag_for_keyword

from dicomweb.accept import JSON
from dicomweb.caching import growing_headers
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.replies import Reply
from index.attributes import BY_KEYWORD, BY_TAG, Attribute, levels_down_to
from index.errors import InvalidQuery
from index.query import Exact, Filter, Order, Query, parse_filter
from index.records import Level

_FOLDED: Final = {keyword.casefold(): keyword for keyword in BY_KEYWORD}
_SEARCHABLE: Final = [row.keyword for row in BY_KEYWORD.values() if row.searchable]
_BOOLEANS: Final = {"true": True, "false": False}
_MOST_ROWS = 2**31 - 1


@dataclass(slots=True)
class _Request:
    """The query parameters, taken apart."""

    level: Level
    filters: dict[str, Filter | None] = field(default_factory=dict)
    returned: set[str] = field(default_factory=set)
    return_all: bool = False
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
    count: bool = False
    ignored: list[str] = field(default_factory=list)


def _attribute(name: str) -> Attribute | None:
    """An attribute of the index by keyword or by tag in 8 hex digits."""
    return BY_KEYWORD.get(name) or BY_TAG.get(name.upper())


def _looks_like_attribute(name: str) -> bool:
    head = name.partition(".")[0]
    return head[:1].isupper() or (len(head) == 8 and _is_hex(head)) or head.casefold() in _FOLDED


def _is_hex(text: str) -> bool:
    return all(char in "0123456789abcdefABCDEF" for char in text)


def _tag(name: str) -> str:
    """The tag of an includefield value. Raises BadRequest when there is no such attribute."""
    if attribute := _attribute(name):
        return attribute.tag
    if len(name) == 8 and _is_hex(name):
        return name.upper()
    tag = tag_for_keyword(name.rpartition(".")[2])
    if tag is None:
        raise BadRequest(f"includefield: there is no attribute {name[:64]}")
    return f"{tag:08X}"


def _number(name: str, text: str) -> int:
    if not (text.isascii() and text.isdigit()) or len(text) > 10 or int(text) > _MOST_ROWS:
        raise BadRequest(f"{name} is a whole number from 0")
    return int(text)


def _boolean(name: str, text: str) -> bool:
    value = _BOOLEANS.get(text.lower())
    if value is None:
        raise BadRequest(f"{name} is true or false")
    return value


def _order(text: str) -> tuple[Order, ...]:
    order = []
    for item in filter(None, text.split(",")):
        attribute = _attribute(item.lstrip("+-").strip())
        if attribute is None:
            raise BadRequest(f"orderby: cannot sort by {item[:64]}")
        order.append(Order(attribute.keyword, item.startswith("-")))
    return tuple(order)


def _filter(request: _Request, name: str, text: str) -> None:
    attribute = _attribute(name)
    if attribute is None or not attribute.searchable:
        near = difflib.get_close_matches(name[:64], _SEARCHABLE, n=1)
        raise InvalidQuery(f"{name[:64]} cannot be matched" + (f"; did you mean {near[0]}?" if near else ""))
    if attribute.level not in levels_down_to(request.level):
        raise InvalidQuery(f"{attribute.keyword} cannot be matched at level {request.level.value}")
    if attribute.keyword in request.filters:
        raise InvalidQuery(f"{attribute.keyword} is given twice")
    if not text.isprintable():
        raise InvalidQuery(f"The value of {attribute.keyword} holds control characters")
    request.filters[attribute.keyword] = parse_filter(attribute.keyword, text)


def _take(request: _Request, name: str, text: str) -> None:
    """Take in one query parameter."""
    match name:
        case "limit":
            request.limit = _number(name, text)
        case "offset":
            request.offset = _number(name, text)
        case "fuzzymatching":
            request.fuzzy = _boolean(name, text)
        case "count":
            request.count = _boolean(name, text)
        case "orderby":
            request.order = _order(text)
        case "includefield":
            fields = [item.strip() for item in text.split(",") if item.strip()]
            request.return_all = request.return_all or "all" in fields
            request.returned.update(_tag(item) for item in fields if item != "all")
        case "accept":
            pass
        case _ if _attribute(name) or _looks_like_attribute(name):
            _filter(request, name, text)
        case _:
            request.ignored.append(name)


def parse_request(level: Level, parameters: Sequence[tuple[str, str]], fixed: Sequence[tuple[str, str]]) -> _Request:
    """The request behind the query parameters; `fixed` are the UIDs of the path. Raises BadRequest, InvalidQuery."""
    request = _Request(level)
    for keyword, uid in fixed:
        request.filters[keyword] = Exact(keyword, uid)
    for name, text in parameters:
        attribute = _attribute(name)
        if attribute and any(attribute.keyword == keyword and text == uid for keyword, uid in fixed):
            continue
        _take(request, name, text)
    return request


def _query(request: _Request, limit: int) -> Query:
    return Query(
        level=request.level,
        filters=tuple(found for found in request.filters.values() if found is not None),
        returned=frozenset(request.returned),
        return_all=request.return_all,
        order=request.order,
        limit=limit,
        offset=request.offset,
        fuzzy=request.fuzzy,
    )


def _find(call: Call, request: _Request, query: Query) -> tuple[list[bytes], int | None]:
    answers = call.archive.search_texts(call.principal, query, call.base_url())
    total = call.archive.count(call.principal, query) if request.count else None
    return answers, total


def _warning(text: str) -> tuple[bytes, bytes]:
    return b"warning", f'299 dicomweb "{text}"'.encode("ascii", "replace")


def _search(call: Call, request: _Request) -> Reply:
    """Ask, and write the answer; all in one hop to a thread."""
    web = call.web.settings.web
    limit = min(request.limit if request.limit is not None else web.query_default_limit, web.query_maximum_limit)
    # One row more than shown tells whether there are more; a client that gets its own limit need not know.
    more_matters = limit != request.limit
    answers, total = _find(call, request, _query(request, limit + more_matters))
    headers = [(b"content-type", b"application/dicom+json"), *growing_headers()]
    if len(answers) > limit:
        del answers[limit:]
        headers.append(
            _warning(
                "The number of results exceeded the maximum supported by the server. "
                "Additional results can be requested."
            )
        )
    if request.ignored:
        names = "".join(char for char in ", ".join(request.ignored)[:200] if char.isalnum() or char in " ,._-")
        headers.append(_warning(f"The following parameters are not supported and were ignored: {names}"))
    if total is not None:
        headers.append((b"x-total-count", b"%d" % total))
    return Reply(200, headers, (b"[%b]" % b",".join(answers),))


async def _answer(call: Call, level: Level, *fixed: tuple[str, str]) -> Reply:
    call.choices(JSON)
    request = parse_request(level, call.query(), fixed)
    return await call.run(_search, call, request)


async def search_studies(call: Call) -> Reply:
    """All studies."""
    return await _answer(call, Level.STUDY)


async def search_series(call: Call) -> Reply:
    """All series."""
    return await _answer(call, Level.SERIES)


async def search_instances(call: Call) -> Reply:
    """All instances."""
    return await _answer(call, Level.IMAGE)


async def search_series_of_study(call: Call) -> Reply:
    """The series of a study."""
    return await _answer(call, Level.SERIES, ("StudyInstanceUID", call.uid("study")))


async def search_instances_of_study(call: Call) -> Reply:
    """The instances of a study."""
    return await _answer(call, Level.IMAGE, ("StudyInstanceUID", call.uid("study")))


async def search_instances_of_series(call: Call) -> Reply:
    """The instances of a series of a study."""
    uids = ("StudyInstanceUID", call.uid("study")), ("SeriesInstanceUID", call.uid("series"))
    return await _answer(call, Level.IMAGE, *uids)


async def search_instances_of_any_series(call: Call) -> Reply:
    """The instances of a series, whose study is not named."""
    return await _answer(call, Level.IMAGE, ("SeriesInstanceUID", call.uid("series")))
