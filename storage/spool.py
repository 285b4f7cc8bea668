"""Bytes that have to wait: in memory while they are few, else in a file without a name.

What is sent as metadata and bulk data arrives in another order than a data set has. The values wait here, so that a
request takes little memory however large they are.
"""

import hashlib
import tempfile
from collections.abc import Iterator
from typing import Final, Protocol

from index.errors import OutOfResources

_BLOCK_BYTES: Final = 1024**2


class Source(Protocol):
    """Bytes of known number that can be read from anywhere, more than once. For one thread at a time."""

    @property
    def size_bytes(self) -> int:
        """How many there are."""

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fewer where the source ends."""

    def blocks(self) -> Iterator[bytes]:
        """All of them, in blocks."""

    def digest(self) -> bytes:
        """Their SHA-256."""


class Spool:
    """A source that is filled first and read then."""

    def __init__(self, *, threshold_bytes: int, folder: str | None = None) -> None:
        """Above the threshold the bytes go into a file in `folder` (default: the system's temporary folder)."""
        self._file = tempfile.SpooledTemporaryFile(max_size=threshold_bytes, dir=folder)  # noqa: SIM115
        self._hash = hashlib.sha256()
        self.size_bytes = 0

    def write(self, data: bytes | memoryview) -> None:
        """Append. Raises OutOfResources when the disk is full."""
        self._hash.update(data)
        try:
            self._file.write(data)
        except OSError as exc:
            raise OutOfResources("There is no room for bulk data that has to wait") from exc
        self.size_bytes += len(data)

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fewer where the spool ends."""
        self._file.seek(offset)
        return self._file.read(length)

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in blocks."""
        for offset in range(0, self.size_bytes, _BLOCK_BYTES):
            yield self.read(offset, _BLOCK_BYTES)

    def digest(self) -> bytes:
        """SHA-256 of all bytes."""
        return self._hash.digest()

    def close(self) -> None:
        """Give memory and disk back."""
        self._file.close()


class Held:
    """A source that is in memory already."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self.size_bytes = len(data)

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fewer where the source ends."""
        return self._data[offset : offset + length]

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in one block."""
        yield self._data

    def digest(self) -> bytes:
        """SHA-256 of all bytes."""
        return hashlib.sha256(self._data).digest()


class Cut:
    """A part of another source."""

    def __init__(self, source: Source, offset: int, size_bytes: int) -> None:
        self._source = source
        self._offset = offset
        self.size_bytes = size_bytes

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fewer where the part ends."""
        return self._source.read(self._offset + offset, max(0, min(length, self.size_bytes - offset)))

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in blocks."""
        for offset in range(0, self.size_bytes, _BLOCK_BYTES):
            yield self.read(offset, _BLOCK_BYTES)

    def digest(self) -> bytes:
        """SHA-256 of all bytes."""
        found = hashlib.sha256()
        for block in self.blocks():
            found.update(block)
        return found.digest()
