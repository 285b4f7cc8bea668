"""Parts of a resource (RFC 9110 14): one range, several ranges, or the whole.

What stands before a range is not read (`storage.outgoing.Read`), so a player may seek in hours of video. Several
ranges are answered as multipart/byteranges in the order asked. Ranges that overlap, or are more than a few, cost the
server more than they spare the client, so the whole is sent, as section 14.2 allows.
"""

import re
from collections.abc import Generator, Iterable, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import Final

from dicomweb.edge import Call
from dicomweb.errors import RangeNotSatisfiable
from dicomweb.multipart import PART_TAIL, closing, new_boundary
from dicomweb.replies import Headers, Reply, StreamReply, open_reply
from storage.outgoing import Read

Span = tuple[int, int]
"""First byte and the byte behind the last."""

_MOST_SPANS: Final = 16
_SET = re.compile(r"bytes\s*=(.*)", re.ASCII | re.IGNORECASE)
_SPEC = re.compile(r"(\d{0,18})\s*-\s*(\d{0,18})", re.ASCII)


def spans(header: str, length_bytes: int) -> list[Span]:
    """The spans that a Range header asks for, in its order; none when the whole is to be sent.

    Other units and what cannot be read are ignored. Raises RangeNotSatisfiable when no range touches the resource.
    """
    asked = _SET.fullmatch(header.strip())
    if not asked:
        return []
    items = [item.strip() for item in asked.group(1).split(",") if item.strip()]
    found = [_SPEC.fullmatch(item) for item in items[: _MOST_SPANS + 1]]
    if not found or not all(found):
        return []
    read = [_span(match[1], match[2], length_bytes) for match in found if match]
    if None in read or len(items) > _MOST_SPANS:
        return []
    touching = [span for span in read if span and span[0] < min(span[1], length_bytes)]
    if not touching:
        raise RangeNotSatisfiable(f"The resource has {length_bytes} bytes", length_bytes)
    ordered = sorted(touching)
    overlap = any(first[1] > second[0] for first, second in pairwise(ordered))
    return [] if overlap else touching


def _span(first: str, last: str, length_bytes: int) -> Span | None:
    """One range of the header; None when it says nothing or ends before it starts (RFC 9110 14.1.1)."""
    if not first:
        return (max(length_bytes - int(last), 0), length_bytes) if last else None
    if last and int(last) < int(first):
        return None
    return int(first), min(int(last) + 1, length_bytes) if last else length_bytes


def partial_reply(
    call: Call, length_bytes: int, read: Read, content_type: str, headers: Headers
) -> Reply | StreamReply:
    """A single-part body, whole or the ranges that were asked for. Blocks.

    With If-Range only when the entity tag or the date is still the same (RFC 9110 13.1.5).
    """
    known = [value.decode() for name, value in headers if name in (b"etag", b"last-modified")]
    headers = ((b"accept-ranges", b"bytes"), *headers)
    condition = call.header(b"if-range")
    wanted = [] if condition and condition not in known else spans(call.header(b"range"), length_bytes)
    if len(wanted) > 1:
        return _several(call, wanted, length_bytes, read, (content_type, headers))
    start, stop = wanted[0] if wanted else (0, length_bytes)
    headers = ((b"content-type", content_type.encode()), *headers)
    if wanted:
        headers = (*headers, (b"content-range", _shown(start, stop, length_bytes).encode()))
    blocks = (block for block in read(start, stop))
    return open_reply(206 if wanted else 200, headers, blocks, call.web.readers, stop - start)


def _shown(start: int, stop: int, length_bytes: int) -> str:
    return f"bytes {start}-{stop - 1}/{length_bytes}"


def _several(
    call: Call, wanted: Sequence[Span], length_bytes: int, read: Read, about: tuple[str, Headers]
) -> Reply | StreamReply:
    """Several ranges, one part each (RFC 9110 14.6)."""
    content_type, headers = about
    boundary = new_boundary()
    heads = [
        f"--{boundary}\r\nContent-Type: {content_type}\r\n"
        f"Content-Range: {_shown(start, stop, length_bytes)}\r\n\r\n".encode("latin-1")
        for start, stop in wanted
    ]
    total = sum(len(head) + stop - start + len(PART_TAIL) for head, (start, stop) in zip(heads, wanted, strict=True))
    kind = (b"content-type", f"multipart/byteranges; boundary={boundary}".encode())
    blocks = _parts([(head, partial(read, *span)) for head, span in zip(heads, wanted, strict=True)], boundary)
    return open_reply(206, (kind, *headers), blocks, call.web.readers, total + len(closing(boundary)))


def _parts(parts: Iterable[tuple[bytes, "partial[Iterator[bytes]]"]], boundary: str) -> Generator[bytes, None, None]:
    for head, read in parts:
        yield head
        yield from read()
        yield PART_TAIL
    yield closing(boundary)
