"""What a data set tells about its own elements: character set, private creators, and VRs that depend on values.

The rules for VRs are those of PS3.5 6.2.2 and annex A, with pydicom's choices where the standard leaves one.
"""

from typing import Any, Final

from storage.charsets import Charset, charset_of
from storage.dictionary import NAMES, UNKNOWN, private_vr, public_vr

Json = dict[str, Any]

PIXEL_DATA: Final = 0x7FE00010
CHARACTER_SET: Final = 0x00080005
_LUT_DESCRIPTOR: Final = 0x00283002
LUT_DESCRIPTORS: Final = frozenset({0x00281101, 0x00281102, 0x00281103, _LUT_DESCRIPTOR})
WATCHED: Final = LUT_DESCRIPTORS | {CHARACTER_SET}
"""Elements whose values matter to the scan itself."""
_LUT_DATA: Final = 0x00283006
_WAVEFORM_DATA: Final = frozenset({0x54000110, 0x54000112, 0x5400100A, 0x54001010})
_BITS_ALLOCATED: Final = "00280100"
_PIXEL_REPRESENTATION: Final = "00280103"
_WAVEFORM_BITS_ALLOCATED: Final = "54001004"

US_OR_SS: Final = "US or SS"
AMBIGUOUS: Final = frozenset({US_OR_SS, "OB or OW", "US or OW", "US or SS or OW"})

_LONGEST_CORRECTED: Final = 0xFFFF
"""UN is the right VR for a known element only when its value is too long for the 16-bit length of its own VR."""


class Scope:
    """One data set: the object's own or a sequence item."""

    __slots__ = ("charset", "depth", "elements", "explicit", "lut_entries", "pending", "prefix", "unsorted")

    def __init__(self, explicit: bool, charset: Charset, *, depth: int = 0, prefix: str = "") -> None:
        """`prefix` starts the path of bulk data in this data set (index/layout.py)."""
        self.explicit = explicit
        self.charset = charset
        self.depth = depth
        self.prefix = prefix
        self.elements: Json = {}
        self.unsorted = False
        self.lut_entries = 0
        self.pending: list[tuple[Json, int, int, int]] = []
        """Elements that are US or SS by a Pixel Representation still to come: element, tag, start, stop."""

    def first(self, key: str) -> Any:
        """First value of an element, None when it is missing or empty."""
        values = self.elements.get(key, {}).get("Value")
        return values[0] if values else None

    def watch(self, tag: int, values: list[Any]) -> None:
        """Take note of an element of WATCHED."""
        if tag == CHARACTER_SET:
            self.charset = charset_of(values)
            return
        unsign_first(values)
        if tag == _LUT_DESCRIPTOR and values:
            self.lut_entries = values[0]

    def implied_vr(self, tag: int) -> str:
        """VR of an element that does not state one."""
        if tag & 0x10000:
            return self._private_vr(tag)
        return public_vr(tag) or UNKNOWN

    def corrected_vr(self, tag: int, length: int) -> str:
        """VR of an element that is stated to be UN."""
        if tag & 0x10000:
            return self._private_vr(tag)
        return (public_vr(tag) or UNKNOWN) if length < _LONGEST_CORRECTED else UNKNOWN

    def _private_vr(self, tag: int) -> str:
        block = tag >> 8 & 0xFF
        if not block:
            # (gggg,0010-00FF) are Private Creators (PS3.5 7.8.1).
            return "LO" if tag & 0xFF >= 0x10 else UNKNOWN
        creator = self.first(NAMES[tag & 0xFFFF0000 | block])
        return private_vr(tag, creator) if isinstance(creator, str) else UNKNOWN

    def resolved_vr(self, tag: int, vr: str) -> str:
        """An ambiguous VR of the dictionary resolved, but US or SS."""
        if tag == _LUT_DATA:
            return "US" if self.lut_entries == 1 else "OW"
        if not self.explicit or vr != "OB or OW":
            return "OW"
        if tag == PIXEL_DATA:
            bits = self.first(_BITS_ALLOCATED)
        else:
            bits = self.first(_WAVEFORM_BITS_ALLOCATED) if tag in _WAVEFORM_DATA else 16
        return "OB" if isinstance(bits, int) and bits <= 8 else "OW"

    def is_signed(self) -> bool | None:
        """Pixel Representation of this data set, None when it has none."""
        representation = self.first(_PIXEL_REPRESENTATION)
        return None if representation is None else representation == 1


def unsign_first(values: list[Any]) -> None:
    """The first value of a LUT Descriptor, a number of entries, is unsigned whatever the VR (PS3.3 C.11.1.1.1)."""
    if values and isinstance(values[0], int) and values[0] < 0:
        values[0] += 65536
