"""Where each frame stands, worked out once at ingest from what the scan found (PS3.5 8.2, A.4).

Sizes that the data set claims are hints: what the bytes cannot hold is reported and cut, never believed.
"""

import struct
from array import array
from typing import Any, Final

from index.layout import ByteRange, EncapsulatedPixels, NativePixels, PixelLayout
from storage.elements import Scan
from storage.encoding import DOUBLE_FLOAT_PIXEL_DATA, FLOAT_PIXEL_DATA, PixelData
from storage.scopes import Json
from storage.syntaxes import TransferSyntax

_SUBSAMPLED: Final = {"YBR_FULL_422": 2, "YBR_PARTIAL_422": 2}
"""Photometric Interpretation -> samples stored for each pixel, where colour is sampled at every second one."""

_STARTS: Final = (b"\xff\xd8\xff", b"\xff\x4f\xff\x51", b"\xff\x0a", b"\0\0\0\x0c")
"""First bytes of a JPEG or JPEG-LS, JPEG 2000 and JPEG XL codestream, and of the boxes of the latter two."""

_FEW: Final = 8
"""Layouts this short are kept as tuples, as index/layout.py unpacks them."""


def pixel_layout(scan: Scan, dataset: Json, syntax: TransferSyntax | None) -> PixelLayout | None:
    """The layout of the top-level pixels; None when there are none or their frames cannot be told apart."""
    pixels = scan.pixels
    if pixels is None:
        return None
    if syntax is not None and syntax.encapsulated != (pixels.offsets is not None):
        scan.warn("Pixel Data is not encoded as its transfer syntax says")
        return None
    if pixels.offsets is None or pixels.lengths is None:
        return _native(scan, dataset, pixels)
    if len(pixels.offsets) < 2:
        # The first item is the Basic Offset Table, empty or not (PS3.5 A.4).
        scan.warn("Pixel Data has no fragments")
        return None
    frames = 1 if syntax is not None and syntax.video else _count(dataset, "00280008") or 1
    return _encapsulated(scan, pixels.offsets, pixels.lengths, frames=frames)


def _first(dataset: Json, key: str) -> Any:
    values = dataset.get(key, {}).get("Value")
    return values[0] if values else None


def _count(dataset: Json, key: str) -> int:
    """A number that must be positive to mean anything; 0 when it is missing or is not."""
    value = _first(dataset, key)
    return value if isinstance(value, int) and value > 0 else 0


def _native(scan: Scan, dataset: Json, pixels: PixelData) -> NativePixels | None:
    length = pixels.stop - pixels.start
    frames = _count(dataset, "00280008") or 1
    bits = _frame_bits(dataset, pixels.tag)
    if not bits:
        scan.warn("Rows, Columns or Bits Allocated is missing")
        bits = length * 8 // frames
    there = min(frames, length * 8 // bits) if bits else 0
    if there < frames:
        scan.warn("Pixel Data is shorter than its description")
    return NativePixels(pixels.start, length, bits, there, _samples(dataset) == 2) if there else None


def _frame_bits(dataset: Json, tag: int) -> int:
    """Size of one frame in bits, 0 when the description is incomplete (PS3.3 C.7.6.3, PS3.5 8.1.1)."""
    size = _count(dataset, "00280010") * _count(dataset, "00280011")
    if tag == FLOAT_PIXEL_DATA:
        return size * 32
    if tag == DOUBLE_FLOAT_PIXEL_DATA:
        return size * 64
    return size * _samples(dataset) * _count(dataset, "00280100")


def _samples(dataset: Json) -> int:
    """Samples stored for each pixel."""
    samples = _count(dataset, "00280002") or 1
    return _SUBSAMPLED.get(str(_first(dataset, "00280004")), 3) if samples == 3 else samples


def _encapsulated(scan: Scan, items: "array[int]", lengths: "array[int]", *, frames: int) -> EncapsulatedPixels | None:
    offsets = items[1:]
    first = _first_fragments(scan, offsets, (items[0], lengths[0]), frames=frames)
    if first is None:
        scan.warn("Frames cannot be told apart: there is no usable offset table")
        return None
    if len(first) != frames:
        scan.warn("Number of Frames does not agree with Pixel Data")
    if len(offsets) + len(first) <= _FEW:
        return EncapsulatedPixels(tuple(offsets), tuple(lengths[1:]), tuple(first))
    return EncapsulatedPixels(offsets, lengths[1:], first)


def _first_fragments(scan: Scan, offsets: "array[int]", basic_table: ByteRange, *, frames: int) -> "array[int] | None":
    """Index of the first fragment of each frame, by the most trustworthy source there is."""
    if frames == 1:
        return array("Q", (0,))
    tables = [_resolve(scan, basic_table, "<I", offsets)]
    if scan.offset_table is not None:
        tables.append(_resolve(scan, scan.offset_table, "<Q", offsets))
    found = [first for first in tables if first is not None]
    for first in found:
        if len(first) == frames:
            return first
    if len(offsets) == frames:
        return array("Q", range(frames))
    marked = array("Q", (i for i, offset in enumerate(offsets) if _starts_frame(scan, offset)))
    if marked and marked[0] == 0 and len(marked) in (frames, len(offsets)):
        return marked
    return found[0] if found else None


def _starts_frame(scan: Scan, offset: int) -> bool:
    return bytes(scan.data[offset : offset + 4]).startswith(_STARTS)


def _resolve(scan: Scan, table: ByteRange, entry: str, offsets: "array[int]") -> "array[int] | None":
    """The fragments that a Basic or Extended Offset Table points to, None when it is empty or wrong.

    Its entries count from the item tag of the first fragment and must ascend (PS3.3 C.7.6.3.1.8, PS3.5 A.4).
    """
    start, length = table
    data = bytes(scan.data[start : start + length - length % struct.calcsize(entry)])
    first = array("Q")
    index = 0
    for (offset,) in struct.iter_unpack(entry, data):
        while index < len(offsets) and offsets[index] - offsets[0] < offset:
            index += 1
        if index == len(offsets) or offsets[index] - offsets[0] != offset:
            return None
        first.append(index)
        index += 1
    return first if first and first[0] == 0 else None
