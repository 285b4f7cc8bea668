"""Inflating a deflated data set (PS3.5 A.5) without trusting it.

A few hundred kilobytes can inflate to gigabytes. So the output is bounded in size and in ratio while it
grows, and what is longer than some tens of MiB goes to an unnamed file instead of memory.
"""

import mmap
import tempfile
import zlib
from collections.abc import Iterator
from typing import Final

from config.settings import Limits
from index.errors import CannotUnderstand, TooLarge
from storage.values import Buffer

_BLOCK_BYTES: Final = 1024**2
_IN_MEMORY_BYTES: Final = 32 * 1024**2
_RATIO_FREE_BYTES: Final = 16 * 1024**2
"""Small outputs may have any ratio: an empty image deflates to almost nothing."""


def inflate(data: Buffer, start: int, limits: Limits) -> Buffer:
    """The data set that stands deflated from `start` to the end of `data`: a bytearray, or an mmap when long."""
    largest = min(limits.inflated_bytes, max(_RATIO_FREE_BYTES, limits.inflate_ratio * (len(data) - start)))
    with tempfile.SpooledTemporaryFile(max_size=_IN_MEMORY_BYTES) as output:
        size = 0
        try:
            for block in _blocks(data, start):
                size += len(block)
                if size > largest:
                    raise TooLarge(f"The data set inflates to more than {largest} bytes")
                output.write(block)
        except zlib.error as exc:
            raise CannotUnderstand("The deflated data set is damaged") from exc
        output.seek(0)
        if size <= _IN_MEMORY_BYTES:
            return output.read()
        # The mapping keeps the file alive after it is closed.
        return mmap.mmap(output.fileno(), size, access=mmap.ACCESS_READ)


def _blocks(data: Buffer, start: int) -> Iterator[bytes]:
    """The inflated bytes in blocks of at most a MiB."""
    decompressor = zlib.decompressobj(-zlib.MAX_WBITS)
    rest = b""
    for position in range(start, len(data), _BLOCK_BYTES):
        rest = bytes(data[position : position + _BLOCK_BYTES])
        while rest and not decompressor.eof:
            yield decompressor.decompress(rest, _BLOCK_BYTES)
            rest = decompressor.unconsumed_tail
        if decompressor.eof:
            return
    yield decompressor.flush()
    if not decompressor.eof:
        raise CannotUnderstand("The deflated data set ends too early")
