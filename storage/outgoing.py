"""What leaves the archive."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from index.records import StoredInstance

BLOCK_BYTES = 1024**2

Read = Callable[[int, int], Iterator[bytes]]
"""The bytes from a first to before a last one, in blocks. What stands before them is not read."""


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An instance or a part of one, ready to be sent: what syntax, how long, and its bytes from any point on."""

    instance: StoredInstance
    transfer_syntax_uid: str
    length_bytes: int
    read: Read
    started: Iterator[bytes] | None = None
    """All blocks, when reading them has begun: a lost object is then known before its first byte is asked for."""

    @property
    def blocks(self) -> Iterator[bytes]:
        """All of it, in blocks."""
        return self.read(0, self.length_bytes) if self.started is None else self.started


@dataclass(frozen=True, slots=True)
class OpenFrames:
    """The frames of an instance in one transfer syntax; each is read, or made, when it is opened."""

    instance: StoredInstance
    transfer_syntax_uid: str
    number_of_frames: int
    as_stored: bool
    """True: the length of every frame is known before it is read."""
    open: Callable[[int], OpenObject]
    """A frame by its number, from 1. Raises NotFound; what cannot be made is refused here."""


def held(*parts: bytes | memoryview) -> Read:
    """What is in memory already, part after part."""

    def read(start: int, stop: int) -> Iterator[bytes]:
        at = 0
        for part in parts:
            first, last = max(start - at, 0), min(stop - at, len(part))
            if (first, last) == (0, len(part)) and len(part) <= BLOCK_BYTES:
                yield bytes(part)
            else:
                yield from (bytes(part[n : min(n + BLOCK_BYTES, last)]) for n in range(first, last, BLOCK_BYTES))
            at += len(part)

    return read


def in_memory(instance: StoredInstance, transfer_syntax_uid: str, *parts: bytes) -> OpenObject:
    """What had to be made."""
    return OpenObject(instance, transfer_syntax_uid, sum(map(len, parts)), held(*parts))
