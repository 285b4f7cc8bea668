"""QIDO-RS: searching for studies, series and instances (PS3.18 10.6, 8.3.4).

What is asked becomes a `Query` (`dicomweb.search_request`); matching is the index's business.

Two parameters go beyond the standard: `orderby=-StudyDate,PatientName` sorts in the server, and `count=true` puts the
number of all matches into the header X-Total-Count.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

import orjson

from dicomweb import native_xml
from dicomweb.accept import METADATA
from dicomweb.caching import growing_headers
from dicomweb.codings import FEWEST_BYTES, coding_of, packed
from dicomweb.edge import Call
from dicomweb.messages import Part, multipart_reply
from dicomweb.replies import Reply, StreamReply
from dicomweb.search_request import SearchRequest, parse
from index.query import Declared
from index.records import Level

_XML: Final = "application/dicom+xml"

Header = tuple[bytes, bytes]

MOST_COUNTED: Final = 100_000
"""Counting on would take longer than the list itself, for a number that nobody reads."""


def _warning(text: str) -> Header:
    return b"warning", f'299 dicomweb "{text}"'.encode("ascii", "replace")


def _names(names: Sequence[str]) -> str:
    return "".join(char for char in ", ".join(names)[:200] if char.isalnum() or char in " ,._-[]")


def _warnings(request: SearchRequest) -> Iterator[Header]:
    if request.ignored:
        yield _warning(f"The following parameters are not supported and were ignored: {_names(request.ignored)}")
    if request.unreturned:
        named = _names(request.unreturned)
        yield _warning(f"The following fields are not returned at level {request.level.value}: {named}")


def _total(found: int) -> Iterator[Header]:
    yield b"x-total-count", b"%d" % min(found, MOST_COUNTED)
    if found > MOST_COUNTED:
        yield _warning(f"Counting stopped at {MOST_COUNTED}; there are more matches")


def _search(call: Call, request: SearchRequest, media_type: str) -> Reply | StreamReply:
    """Ask, and write the answer; all in one hop to a thread."""
    web = call.web.settings.web
    limit = min(request.limit if request.limit is not None else web.query_default_limit, web.query_maximum_limit)
    # One row more than shown tells whether there are more; a client that gets its own limit need not know.
    more_matters = limit != request.limit
    keys, unfinished = _declared(call, request)
    query = request.query(limit + more_matters, keys)
    answers = call.archive.search_texts(call.principal, query, call.base_url())
    headers = [*growing_headers(), *_warnings(request)]
    if unfinished:
        headers.append(_warning(f"Matches may be missing, because the index is still filled for: {_names(unfinished)}"))
    if len(answers) > limit:
        del answers[limit:]
        headers.append(
            _warning(
                "The number of results exceeded the maximum supported by the server. "
                "Additional results can be requested."
            )
        )
    if request.count:
        headers += _total(call.archive.count(call.principal, query, MOST_COUNTED + 1))
    if media_type == _XML:
        return _xml(call, answers, headers)
    headers.append((b"content-type", media_type.encode()))
    body = b"[%b]" % b",".join(answers)
    coding = coding_of(call.header(b"accept-encoding")) if len(body) >= FEWEST_BYTES else ""
    if not coding:
        return Reply(200, headers, (body,))
    return Reply(200, [*headers, (b"content-encoding", coding.encode())], tuple(packed((body,), coding)))


def _declared(call: Call, request: SearchRequest) -> tuple[tuple[Declared, ...], list[str]]:
    """The keys on attributes that were declared searchable, and the names of those that are not filled yet."""
    if not request.declared:
        return (), []
    declarations = call.archive.declarations(call.principal)
    keys = declarations.keys(request.level, request.declared, request.rules)
    return keys, [row.name for row in declarations.unfinished(keys)]


def _xml(call: Call, answers: Sequence[bytes], headers: Sequence[Header]) -> Reply | StreamReply:
    """One part for each match (PS3.18 8.7.4). A message without parts cannot be written, so no match has no body."""
    if not answers:
        return Reply(204, headers)

    def parts() -> Iterator[Part]:
        for answer in answers:
            yield Part(_XML, partial(_written, answer), None)

    return multipart_reply(call, _XML, parts, headers)


def _written(answer: bytes) -> Iterator[bytes]:
    yield native_xml.write(orjson.loads(answer))


async def _answer(call: Call, level: Level, *fixed: tuple[str, str]) -> Reply | StreamReply:
    call.require_utf8()
    choice = call.choices(METADATA)[0]
    request = parse(level, call.query(), fixed)
    return await call.run(_search, call, request, choice.media_type)


async def search_studies(call: Call) -> Reply | StreamReply:
    """All studies."""
    return await _answer(call, Level.STUDY)


async def search_series(call: Call) -> Reply | StreamReply:
    """All series."""
    return await _answer(call, Level.SERIES)


async def search_instances(call: Call) -> Reply | StreamReply:
    """All instances."""
    return await _answer(call, Level.IMAGE)


async def search_series_of_study(call: Call) -> Reply | StreamReply:
    """The series of a study."""
    return await _answer(call, Level.SERIES, ("StudyInstanceUID", call.uid("study")))


async def search_instances_of_study(call: Call) -> Reply | StreamReply:
    """The instances of a study."""
    return await _answer(call, Level.IMAGE, ("StudyInstanceUID", call.uid("study")))


async def search_instances_of_series(call: Call) -> Reply | StreamReply:
    """The instances of a series of a study."""
    uids = ("StudyInstanceUID", call.uid("study")), ("SeriesInstanceUID", call.uid("series"))
    return await _answer(call, Level.IMAGE, *uids)


async def search_instances_of_any_series(call: Call) -> Reply | StreamReply:
    """The instances of a series, whose study is not named."""
    return await _answer(call, Level.IMAGE, ("SeriesInstanceUID", call.uid("series")))
