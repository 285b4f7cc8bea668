"""Answers in several parts: each is opened when its turn comes, and all lengths are added up when they are known."""

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import Final

from dicomweb.edge import Call
from dicomweb.multipart import PART_TAIL, closing, message_type, new_boundary, part_head
from dicomweb.replies import Headers, Reply, StreamReply, open_reply


@dataclass(frozen=True, slots=True)
class Part:
    """One part of an answer."""

    content_type: str
    open: Callable[[], Iterable[bytes]]
    length_bytes: int | None
    """None when it has to be made first."""
    location: str = ""
    """The URI of the part, for Content-Location."""


_SMALL_BYTES: Final = 1024**2

Parts = Callable[[], Iterable[Part]]
"""Gives the parts from the first on, each time it is called: thousands of them are never in memory together."""


def multipart_reply(call: Call, part_media_type: str, parts: Parts, headers: Headers) -> Reply | StreamReply:
    """The answer with these parts. Opens the first of them, so it blocks."""
    boundary = new_boundary()
    kind = (b"content-type", message_type(boundary, part_media_type).encode())
    length = _length(parts(), boundary)
    return open_reply(200, (kind, *headers), _blocks(parts(), boundary), call.web.readers, length)


def one_part_reply(call: Call, part_media_type: str, part: Part, headers: Headers) -> Reply | StreamReply:
    """The answer with this part alone: the frequent one, of a frame, without a stream if it is small."""
    if part.length_bytes is None or part.length_bytes > _SMALL_BYTES:
        return multipart_reply(call, part_media_type, lambda: (part,), headers)
    boundary = new_boundary()
    kind = (b"content-type", message_type(boundary, part_media_type).encode())
    head = part_head(boundary, part.content_type, part.location)
    return Reply(200, (kind, *headers), (head, *part.open(), PART_TAIL + closing(boundary)))


def _length(parts: Iterable[Part], boundary: str) -> int | None:
    total = len(closing(boundary))
    for part in parts:
        if part.length_bytes is None:
            return None
        total += len(part_head(boundary, part.content_type, part.location)) + part.length_bytes + len(PART_TAIL)
    return total


def _blocks(parts: Iterable[Part], boundary: str) -> Generator[bytes, None, None]:
    for part in parts:
        yield part_head(boundary, part.content_type, part.location)
        yield from part.open()
        yield PART_TAIL
    yield closing(boundary)
