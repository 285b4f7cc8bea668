"""A video as one stream of bytes (PS3.5 8.2.5 and following): its fragments, read where a player seeks.

Never read as a whole: a recorded operation is as long as the operation.
"""

from collections.abc import Iterator

from index.records import StoredInstance
from storage import frames, syntaxes
from storage.blobs import BlobStore


def is_video(instance: StoredInstance) -> bool:
    """True when all frames of the instance are one stream."""
    syntax = syntaxes.lookup(instance.transfer_syntax_uid)
    return syntax is not None and syntax.video and instance.layout.pixels is not None


def length_bytes(instance: StoredInstance) -> int:
    """Length of the stream, with the byte that pads it to an even length."""
    pixels = instance.layout.pixels
    return sum(length for _, length in frames.byte_ranges(pixels, 1)) if pixels else 0


def stream(blobs: BlobStore, instance: StoredInstance, start: int, stop: int) -> Iterator[bytes]:
    """The bytes from `start` to before `stop` in blocks, without reading what stands before them."""
    pixels = instance.layout.pixels
    at = 0
    for offset, length in frames.byte_ranges(pixels, 1) if pixels else ():
        first, last = max(start - at, 0), min(stop - at, length)
        if first < last:
            yield from blobs.stream(instance.blob_key, offset + first, last - first)
        at += length
        if at >= stop:
            break
