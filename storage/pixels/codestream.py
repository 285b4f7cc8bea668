"""The first bytes of compressed frames: what they claim to hold, read before any codec sees them.

A code stream of a few hundred bytes may claim 65,535 x 65,535 samples and make a codec take tens of
gigabytes. So sizes are read here, in plain Python, and compared with what the data set says.
"""

import struct
from dataclasses import dataclass

from index.errors import CannotUnderstand


@dataclass(frozen=True, slots=True)
class CodeStream:
    """What a compressed frame says about itself."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits: int
    """Precision of a sample; of JPEG XL, whose head is not read that far, what the data set says."""
    signed: bool = False
    process: int = 0
    """JPEG: the second byte of the SOF marker, which names the process (ITU-T T.81 table B.1)."""
    is_rgb: bool | None = None
    """JPEG with three components: what its own markers say; None when they say nothing."""


_SOF = frozenset({0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7})
_STANDALONE = frozenset({0x01, *range(0xD0, 0xD9)})


def read_jpeg(data: bytes) -> CodeStream:
    """The frame header of a JPEG or JPEG-LS stream (ITU-T T.81 B.2.2, T.87 C.2.2). Raises CannotUnderstand."""
    if data[:2] != b"\xff\xd8":
        raise CannotUnderstand("A JPEG frame does not start with SOI")
    jfif, transform = False, None
    for marker, start, end in _segments(data):
        if marker in _SOF:
            return _frame_header(data, marker, start, end, is_rgb=_colour(jfif, transform))
        if marker == 0xE0 and data[start : start + 4] == b"JFIF":
            jfif = True
        elif marker == 0xEE and data[start : start + 5] == b"Adobe" and end - start >= 12:
            transform = data[start + 11]
    raise CannotUnderstand("A JPEG frame has no frame header")


def _segments(data: bytes) -> list[tuple[int, int, int]]:
    """Marker segments up to the first scan: (marker, start and end of the parameters)."""
    found: list[tuple[int, int, int]] = []
    position = 2
    while position + 4 <= len(data):
        if data[position] != 0xFF:
            raise CannotUnderstand("A JPEG frame has no marker where one must be")
        marker = data[position + 1]
        if marker == 0xFF:
            position += 1
            continue
        if marker in _STANDALONE:
            position += 2
            continue
        length = int.from_bytes(data[position + 2 : position + 4], "big")
        end = position + 2 + length
        if length < 2 or end > len(data):
            break
        found.append((marker, position + 4, end))
        if marker in _SOF or marker == 0xDA:
            break
        position = end
    return found


def _frame_header(data: bytes, marker: int, start: int, end: int, *, is_rgb: bool | None) -> CodeStream:
    if end - start < 6:
        raise CannotUnderstand("A JPEG frame header is too short")
    bits, rows, columns, samples = struct.unpack_from(">BHHB", data, start)
    if end - start < 6 + 3 * samples:
        raise CannotUnderstand("A JPEG frame header is too short")
    components = bytes(data[start + 6 : start + 6 + 3 * samples : 3])
    if is_rgb is None and components == b"RGB":
        is_rgb = True
    return CodeStream(rows, columns, samples, bits, process=marker, is_rgb=is_rgb)


def _colour(jfif: bool, transform: int | None) -> bool | None:
    """JFIF is always YCbCr; Adobe's transform flag is 0 for RGB, 1 for YCbCr."""
    if jfif:
        return False
    return None if transform is None else transform == 0


def read_jpeg_2000(data: bytes) -> CodeStream:
    """The SIZ segment of JPEG 2000 and HTJ2K (ITU-T T.800 A.5.1), inside a JP2 file too. Raises CannotUnderstand."""
    start = 0 if data[:4] == b"\xff\x4f\xff\x51" else data.find(b"\xff\x4f\xff\x51")
    if start < 0 or len(data) < start + 43:
        raise CannotUnderstand("A JPEG 2000 frame has no SIZ segment")
    width, height, left, top = struct.unpack_from(">IIII", data, start + 8)
    samples = int.from_bytes(data[start + 40 : start + 42], "big")
    if width <= left or height <= top or len(data) < start + 42 + 3 * samples:
        raise CannotUnderstand("A JPEG 2000 SIZ segment is damaged")
    depths = set(data[start + 42 : start + 42 + 3 * samples : 3])
    if len(depths) != 1:
        raise CannotUnderstand("A JPEG 2000 frame has components of different depth")
    depth = depths.pop()
    return CodeStream(height - top, width - left, samples, (depth & 0x7F) + 1, signed=bool(depth & 0x80))


_JPEG_XL_SIGNATURE = b"\xff\x0a"
_JPEG_XL_BOXES = b"\0\0\0\x0cJXL \r\n\x87\n"
_JPEG_XL_RATIOS = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))


def read_jpeg_xl(data: bytes, samples_per_pixel: int, bits: int) -> CodeStream:
    """The size header of JPEG XL (ISO/IEC 18181-1 D.2), bare or in its file format. Raises CannotUnderstand."""
    start = _jpeg_xl_start(data)
    number = int.from_bytes(data[start + 2 : start + 16], "little")
    if len(data) < start + 16:
        raise CannotUnderstand("A JPEG XL frame is shorter than its header")
    small, number = number & 1, number >> 1
    rows, number = _jpeg_xl_size(number, small)
    ratio, number = number & 7, number >> 3
    if ratio:
        numerator, denominator = _JPEG_XL_RATIOS[ratio - 1]
        return CodeStream(rows, rows * numerator // denominator, samples_per_pixel, bits)
    columns, _ = _jpeg_xl_size(number, small)
    return CodeStream(rows, columns, samples_per_pixel, bits)


def _jpeg_xl_size(number: int, small: int) -> tuple[int, int]:
    """One side and the bits behind it; numbers stand from their least significant bit on."""
    if small:
        return ((number & 31) + 1) * 8, number >> 5
    width = (9, 13, 18, 30)[number & 3]
    return (number >> 2 & (1 << width) - 1) + 1, number >> 2 + width


def _jpeg_xl_start(data: bytes) -> int:
    """Where the code stream starts: at once, or in the first box that holds a part of it (ISO/IEC 18181-2)."""
    if data[:2] == _JPEG_XL_SIGNATURE:
        return 0
    place = 0
    while data[:12] == _JPEG_XL_BOXES and place + 16 <= len(data):
        length, kind = int.from_bytes(data[place : place + 4], "big"), bytes(data[place + 4 : place + 8])
        head = 8
        if length == 1:
            length, head = int.from_bytes(data[place + 8 : place + 16], "big"), 16
        start = place + head + (4 if kind == b"jxlp" else 0)
        if kind in (b"jxlc", b"jxlp") and data[start : start + 2] == _JPEG_XL_SIGNATURE:
            return start
        if length < head:
            break
        place += length
    raise CannotUnderstand("A JPEG XL frame has no code stream")


def check_rle(data: bytes, segments: int) -> None:
    """Raise CannotUnderstand unless the RLE header (PS3.5 G.5) has the segments that the data set asks for."""
    if len(data) < 64:
        raise CannotUnderstand("An RLE frame is shorter than its header")
    count, *offsets = struct.unpack_from("<16I", data)
    if count != segments:
        raise CannotUnderstand(f"An RLE frame has {count} segments, not {segments}")
    used = offsets[:count]
    if used != sorted(used) or used[0] < 64 or used[-1] > len(data):
        raise CannotUnderstand("An RLE frame has damaged segment offsets")
