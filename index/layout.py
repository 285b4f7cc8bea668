"""Where things stand in a stored object, so that reads need no parser.

All offsets are in bytes from the start of the object (the Part 10 file as we keep it). A layout is
made once at ingest, packed into one column and never changes, because objects never change.
"""

from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import orjson
import zstandard

ByteRange = tuple[int, int]
"""Offset and length in bytes."""

_EMPTY: Mapping[str, ByteRange] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class NativePixels:
    """Uncompressed Pixel Data (or Float / Double Float Pixel Data): frames follow each other without gaps.

    `frame_bits` is the exact length of a frame in bits: single-bit frames may start inside a byte (PS3.5 8.1.1).
    """

    offset_bytes: int
    length_bytes: int
    frame_bits: int
    number_of_frames: int
    half_colour: bool = False
    """Two pixels share their chrominance (YBR_FULL_422, PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True, slots=True)
class EncapsulatedPixels:
    """Compressed frames (PS3.5 A.4): frame n is the fragments first_fragment[n-1] to first_fragment[n] - 1."""

    fragment_offsets: Sequence[int]
    fragment_lengths: Sequence[int]
    first_fragment: Sequence[int]

    @property
    def number_of_frames(self) -> int:
        """Number of frames."""
        return len(self.first_fragment)


PixelLayout = NativePixels | EncapsulatedPixels


@dataclass(frozen=True, slots=True)
class ObjectLayout:
    """The parts of one object."""

    dataset_offset_bytes: int
    """Where the data set starts: after preamble, prefix and meta group."""
    pixels: PixelLayout | None = None
    bulk: Mapping[str, ByteRange] = field(default_factory=lambda: _EMPTY)
    """Bulk data by path: `00420011`, in sequences `54000100/1/54001010` (items from 1)."""
    deflated: bool = False
    """True: the data set is deflated; all offsets but the first count in the inflated data set, not in the object."""


_COMPRESSOR_LEVEL = 1


def pack(layout: ObjectLayout) -> bytes:
    """Serialise a layout for its column."""
    head: dict[str, Any] = {"d": layout.dataset_offset_bytes}
    tables = b""
    if layout.bulk:
        head["b"] = {path: list(where) for path, where in layout.bulk.items()}
    if layout.deflated:
        head["z"] = 1
    pixels = layout.pixels
    if isinstance(pixels, NativePixels):
        head["n"] = [pixels.offset_bytes, pixels.length_bytes, pixels.frame_bits, pixels.number_of_frames]
        if pixels.half_colour:
            head["n"].append(True)
    elif isinstance(pixels, EncapsulatedPixels):
        head["e"] = [len(pixels.fragment_offsets), len(pixels.first_fragment)]
        columns = (pixels.fragment_offsets, pixels.fragment_lengths, pixels.first_fragment)
        if len(pixels.fragment_offsets) + len(pixels.first_fragment) <= 8:
            head["f"] = [list(column) for column in columns]
        else:
            packed = b"".join(array("Q", column).tobytes() for column in columns)
            tables = zstandard.ZstdCompressor(level=_COMPRESSOR_LEVEL).compress(packed)
    return orjson.dumps(head) + b"\n" + tables if tables else orjson.dumps(head)


def unpack(data: bytes) -> ObjectLayout:
    """The layout that `pack` serialised."""
    head_bytes, _, tables = bytes(data).partition(b"\n")
    head = orjson.loads(head_bytes)
    pixels: PixelLayout | None = None
    if "n" in head:
        pixels = NativePixels(*head["n"])
    elif "f" in head:
        pixels = EncapsulatedPixels(*(tuple(column) for column in head["f"]))
    elif "e" in head:
        fragments, frames = head["e"]
        values = array("Q", zstandard.ZstdDecompressor().decompress(tables))
        pixels = EncapsulatedPixels(
            values[:fragments], values[fragments : 2 * fragments], values[2 * fragments : 2 * fragments + frames]
        )
    bulk = {path: (where[0], where[1]) for path, where in head.get("b", {}).items()}
    return ObjectLayout(head["d"], pixels, bulk or _EMPTY, bool(head.get("z")))
