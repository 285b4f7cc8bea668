"""multipart/related (RFC 2387, RFC 2046 5.1), reading and writing, without any I/O.

Reading is a push parser: bytes go in as they come from the socket, events come out, and cutting the
input anywhere gives the same events. Nothing is held back but what might be the beginning of a
delimiter, and part data are views of the input, not copies.

A delimiter is CRLF, two hyphens and the boundary. It counts only when white space and CRLF follow
(the next part) or two hyphens (the end); otherwise it is data that looks like it. What stands before
the first and after the last delimiter is ignored, because clients send line breaks and zero bytes there.
"""

import re
import secrets
from collections.abc import Generator, Iterator
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final

from dicomweb.accept import parse_parameters
from index.errors import CannotUnderstand, TooLarge

_LONGEST_BOUNDARY = 200
_FOLD = re.compile(r"\r\n[ \t]+")
# What follows a boundary: the end, a new part, or (at the end of the data) not enough to tell.
_REST_OF_LINE = re.compile(rb"(--)|[ \t]{0,998}(?:\r\n|\r?\Z)|-\Z")


@dataclass(frozen=True, slots=True)
class PartBegin:
    """The header of a part has been read; names are in lower case."""

    headers: dict[str, str]

    @property
    def media_type(self) -> str:
        """The media type in lower case, without parameters; empty when the part does not say."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class PartData:
    """Some bytes of the part that began last."""

    data: memoryview


@dataclass(frozen=True, slots=True)
class PartEnd:
    """The part is complete."""


Event = PartBegin | PartData | PartEnd
_PART_END: Final = PartEnd()


class _State(Enum):
    PREAMBLE = auto()
    HEADER = auto()
    BODY = auto()
    EPILOGUE = auto()


def boundary_of(content_type: str) -> bytes:
    """The boundary that a Content-Type header names. Raises CannotUnderstand."""
    _, _, parameters = content_type.partition(";")
    boundary = parse_parameters(";" + parameters).get("boundary", "")
    if not 0 < len(boundary) <= _LONGEST_BOUNDARY or not boundary.isascii():
        raise CannotUnderstand("Content-Type has no usable boundary")
    return boundary.encode()


class Parser:
    """Turns the bytes of a multipart body into events."""

    def __init__(self, boundary: bytes, *, most_parts: int, most_header_bytes: int) -> None:
        self._delimiter = b"\r\n--" + boundary
        self._most_parts = most_parts
        self._most_header_bytes = most_header_bytes
        self._state = _State.PREAMBLE
        self._parts = 0
        # The body may start with the delimiter, whose CRLF then belongs to the line before the body.
        self._held = b"\r\n"

    @property
    def complete(self) -> bool:
        """True when the closing delimiter has been seen."""
        return self._state is _State.EPILOGUE

    def feed(self, data: bytes) -> Iterator[Event]:
        """The events that `data` brings about. The iterator must be exhausted before the next call."""
        if self._state is _State.EPILOGUE:
            return
        if self._held:
            data = self._held + data
            self._held = b""
        at: int | None = 0
        while at is not None and at < len(data):
            if self._state is _State.HEADER:
                at = yield from self._header(data, at)
            else:
                at = yield from self._until_delimiter(data, at)

    def finish(self) -> None:
        """There is no more input. Raises CannotUnderstand when the closing delimiter has not come."""
        if self._parts == 0:
            raise CannotUnderstand("The body has no part")
        if self._state is not _State.EPILOGUE:
            raise CannotUnderstand(f"The body ends inside part {self._parts}")

    def _until_delimiter(self, data: bytes, start: int) -> Generator[Event, None, int | None]:
        found, search = -1, start
        rest: re.Match[bytes] | None = None
        while rest is None:
            found = data.find(self._delimiter, search)
            if found < 0:
                yield from self._data(data, start, self._hold_back(data, start))
                return None
            rest = _REST_OF_LINE.match(data, found + len(self._delimiter))
            search = found + 1
        yield from self._data(data, start, found)
        if not rest.group().endswith((b"--", b"\n")):
            self._held = data[found:]
            return None
        if self._state is _State.BODY:
            yield _PART_END
        if rest.group(1):
            self._state = _State.EPILOGUE
            return None
        self._begin_part()
        # The line's CRLF stays, so that an empty header ends with two CRLF like any other.
        return rest.end() - 2

    def _begin_part(self) -> None:
        self._parts += 1
        if self._parts > self._most_parts:
            raise TooLarge(f"More than {self._most_parts} parts (limits.request_parts)")
        self._state = _State.HEADER

    def _data(self, data: bytes, start: int, end: int) -> Iterator[Event]:
        if self._state is _State.BODY and end > start:
            yield PartData(memoryview(data)[start:end])

    def _hold_back(self, data: bytes, start: int) -> int:
        """Where the longest tail starts that may become a delimiter; it is kept for the next call."""
        at = data.find(b"\r", max(start, len(data) - len(self._delimiter) + 1))
        while at >= 0 and not self._delimiter.startswith(data[at:]):
            at = data.find(b"\r", at + 1)
        if at < 0:
            return len(data)
        self._held = data[at:]
        return at

    def _header(self, data: bytes, start: int) -> Generator[Event, None, int | None]:
        end = data.find(b"\r\n\r\n", start)
        if (end if end >= 0 else len(data) - 3) - start > self._most_header_bytes:
            raise TooLarge(f"The header of part {self._parts} is too long (limits.part_header_bytes)")
        if end < 0:
            self._held = data[start:]
            return None
        self._state = _State.BODY
        yield PartBegin(_parse_headers(data[start:end]))
        return end + 4


def _parse_headers(block: bytes) -> dict[str, str]:
    headers: dict[str, str] = {}
    for line in _FOLD.sub(" ", block.decode("latin-1")).split("\r\n"):
        name, colon, value = line.partition(":")
        if colon:
            headers.setdefault(name.strip().lower(), value.strip())
    return headers


def new_boundary() -> str:
    """A boundary that no stored object can have foreseen."""
    return secrets.token_hex(16)


def part_head(boundary: str, content_type: str, location: str = "") -> bytes:
    """What stands before the data of every part; `location` is the part's own URI.

    OHIF compares `Content-Type:` letter by letter, so it is written exactly like this.
    """
    where = f"Content-Location: {location}\r\n" if location else ""
    return f"--{boundary}\r\nContent-Type: {content_type}\r\n{where}\r\n".encode("latin-1")


PART_TAIL: Final = b"\r\n"
"""What stands after the data of every part."""


def closing(boundary: str) -> bytes:
    """What stands after the last part."""
    return f"--{boundary}--\r\n".encode()


def message_type(boundary: str, part_media_type: str) -> str:
    """The Content-Type of the whole message."""
    return f'multipart/related; type="{part_media_type}"; boundary={boundary}'
