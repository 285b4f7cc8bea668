"""What leaves the archive."""

from collections.abc import Generator, Iterator
from dataclasses import dataclass

from index.records import StoredInstance


@dataclass(frozen=True, slots=True)
class FrameData:
    """One frame as it goes to a peer."""

    instance: StoredInstance
    number: int
    transfer_syntax_uid: str
    data: bytes


@dataclass(frozen=True, slots=True)
class OpenObject:
    """An instance ready to be sent: what syntax, how long, and its bytes in blocks."""

    instance: StoredInstance
    transfer_syntax_uid: str
    length_bytes: int
    blocks: Iterator[bytes]


@dataclass(frozen=True, slots=True)
class OpenMetadata:
    """The metadata of instances as one JSON array: how long, and its bytes in blocks."""

    length_bytes: int
    blocks: Generator[bytes, None, None]
