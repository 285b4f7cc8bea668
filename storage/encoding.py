"""How elements are written (PS3.5 7.1): tags that structure a data set, tables of VRs, and the headers of elements."""

import struct
from array import array
from binascii import b2a_base64
from dataclasses import dataclass
from typing import Final

from index.errors import CannotUnderstand
from storage.dictionary import VRS
from storage.values import BIG_ENDIAN, LITTLE_ENDIAN, LONG_FORM, Buffer, Decoder

UNDEFINED: Final = 0xFFFFFFFF
ITEM: Final = 0xFFFEE000
ITEM_END: Final = 0xFFFEE00D
SEQUENCE_END: Final = 0xFFFEE0DD
FLOAT_PIXEL_DATA: Final = 0x7FE00008
DOUBLE_FLOAT_PIXEL_DATA: Final = 0x7FE00009
EXTENDED_OFFSET_TABLE: Final = 0x7FE00001

_BLOCK_BYTES: Final = 65536

Entry = tuple[str, Decoder]


def _tables(decoders: dict[str, Decoder]) -> tuple[dict[bytes, Entry], dict[int, Entry]]:
    """VR in the file -> VR and decoder, for 16-bit lengths; tag -> VR and decoder, for implicit VR."""
    short = {vr.encode(): (vr, decode) for vr, decode in decoders.items() if vr not in LONG_FORM}
    known = {tag: (vr, decoders[vr]) for tag, vr in VRS.items() if vr in decoders}
    return short, known


_LITTLE: Final = _tables(LITTLE_ENDIAN)
_BIG: Final = _tables(BIG_ENDIAN)


class Encoding:
    """How a data set is written, as far as the transfer syntax says, and what reads it."""

    __slots__ = ("decoders", "explicit", "explicit_header", "implicit_header", "known", "length", "little", "short")

    def __init__(self, *, explicit: bool, little: bool) -> None:
        order = "<" if little else ">"
        self.explicit = explicit
        self.little = little
        self.decoders = LITTLE_ENDIAN if little else BIG_ENDIAN
        self.short, self.known = _LITTLE if little else _BIG
        self.explicit_header = struct.Struct(order + "HH2sH").unpack_from
        """Group, element, VR and 16-bit length."""
        self.implicit_header = struct.Struct(order + "HHI").unpack_from
        """Group, element and 32-bit length; items have this form in explicit VR too."""
        self.length = struct.Struct(order + "I").unpack_from

    def item_header(self, data: Buffer, tag: int, pos: int, stop: int) -> tuple[int, int, int]:
        """Tag and length of the item or delimiter at `pos` of a sequence, and the position behind this header."""
        if pos + 8 > stop:
            raise CannotUnderstand(f"{label(tag)} ends inside the header of an item")
        group, number, size = self.implicit_header(data, pos)
        mark = group << 16 | number
        pos += 8
        if mark != ITEM and mark != SEQUENCE_END:
            raise CannotUnderstand(f"{label(tag)} has {label(mark)} where an item must be")
        if mark == ITEM and size != UNDEFINED and pos + size > stop:
            raise CannotUnderstand(f"{label(tag)} has an item that is longer than the rest")
        return mark, size, pos


@dataclass(frozen=True, slots=True)
class PixelData:
    """Where the top-level Pixel Data, Float or Double Float Pixel Data stands."""

    tag: int
    start: int
    stop: int
    offsets: "array[int] | None" = None
    """Encapsulated: where the values of the items start, the offset table (the first) included."""
    lengths: "array[int] | None" = None


def label(tag: int) -> str:
    """A tag as people write it."""
    return f"({tag >> 16:04X},{tag & 0xFFFF:04X})"


def looks_explicit(data: Buffer, pos: int) -> bool:
    """Whether the element at `pos` has a VR: two upper-case letters where implicit VR has its length.

    A length that reads as letters would be over 16 KiB and odd to start a data set with.
    """
    return bool(65 <= data[pos + 4] <= 90 and 65 <= data[pos + 5] <= 90)


def beyond(tag: int) -> CannotUnderstand:
    return CannotUnderstand(f"{label(tag)} is longer than the rest of the data")


def base64(data: Buffer) -> str:
    return b2a_base64(data, newline=False).decode("ascii")


def only_zeros(data: Buffer, pos: int, end: int) -> bool:
    while pos < end:
        block = bytes(data[pos : min(pos + _BLOCK_BYTES, end)])
        if block.count(0) != len(block):
            return False
        pos += len(block)
    return True
