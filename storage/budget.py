"""Bounds on what one data set may cost: elements, values, bytes kept, depth. Every refusal names its limit."""

import mmap
from typing import Final

from config.settings import Limits
from index.errors import TooLarge
from storage.encoding import label
from storage.values import NUMBER_SIZES, Buffer

STRIDE_BYTES: Final = 65536
"""Totals are compared with their limits each time the scan has moved this far; longer values are asked for before."""

_MOST_FRAGMENTS: Final = 2_000_000
_FRAGMENTS_BETWEEN: Final = 256
"""Fragments that may be stepped over before their pages are let go: a look at each maps up to 64 KiB around it."""

_DEEPEST: Final = 80
"""Hard bound on `limits.sequence_depth`: orjson writes 254 levels, and a sequence takes three."""
_VALUES_PER_ELEMENT: Final = 10
"""`limits.elements` times this bounds the values in lists: as Python objects they take some 30 bytes each."""


class Budget:
    """What the scan of one data set has used up so far."""

    __slots__ = ("_limits", "bulk_bytes", "deepest", "elements", "start", "values")

    def __init__(self, limits: Limits, start: int) -> None:
        """`start` is where the data set begins."""
        self._limits = limits
        self.deepest = min(limits.sequence_depth, _DEEPEST)
        self.start = start
        self.elements = 0
        self.values = 0
        self.bulk_bytes = 0
        """Bytes passed over because they are bulk data."""

    def check(self, pos: int, elements: int) -> None:
        """Compare the totals with their limits; `elements` are those of the data set that is being read."""
        if self.elements + elements > self._limits.elements:
            raise TooLarge(f"There are more than {self._limits.elements} elements")
        if self.values > self._limits.elements * _VALUES_PER_ELEMENT:
            raise TooLarge("There are too many values")
        if pos - self.start - self.bulk_bytes > self._limits.header_bytes:
            raise TooLarge(f"The data set without bulk data exceeds {self._limits.header_bytes} bytes")

    def allow(self, tag: int, vr: str, data: Buffer, start: int, stop: int) -> None:
        """Refuse a long value that would take too much memory, before it does."""
        length = stop - start
        if length > self._limits.element_bytes:
            raise TooLarge(f"{label(tag)} is longer than {self._limits.element_bytes} bytes")
        size = 2 if vr == "US or SS" else NUMBER_SIZES.get(vr, 0)
        values = length // size if size else bytes(data[start:stop]).count(b"\\")
        if self.values + values > self._limits.elements * _VALUES_PER_ELEMENT:
            raise TooLarge(f"{label(tag)} has too many values")

    def allow_depth(self, depth: int) -> None:
        """Refuse a sequence `depth` levels below the data set's own elements, counted from 1."""
        if depth > self.deepest:
            raise TooLarge(f"Sequences are nested deeper than {self.deepest}")

    def allow_fragment(self, tag: int, before: int, data: Buffer) -> None:
        """Bound the number of fragments, and the memory that looking at their heads takes."""
        if before >= _MOST_FRAGMENTS:
            raise TooLarge(f"{label(tag)} has more than {_MOST_FRAGMENTS} fragments")
        if before % _FRAGMENTS_BETWEEN == 0:
            _let_go(data)


def _let_go(data: Buffer) -> None:
    """Drop the pages of a mapped file that were looked at; they count as our memory although they are the cache's."""
    mapping = data.obj if isinstance(data, memoryview) else data
    if isinstance(mapping, mmap.mmap) and hasattr(mmap, "MADV_DONTNEED"):
        mapping.madvise(mmap.MADV_DONTNEED)
