"""Reading and writing the small data sets of DIMSE identifiers, straight from and to the DICOM JSON model.

An identifier is a few dozen short elements. `read` keeps raw values, because most of them are empty keys;
`write` encodes an Answer of the index without making pydicom objects, which would cost more than the query.
"""

import base64
import struct
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from index.errors import CannotUnderstand
from index.records import DicomJson, Element
from storage.dictionary import public_vr
from storage.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE, IMPLICIT_LITTLE

MOST_DEPTH: Final = 16

TEXT_VRS: Final = frozenset(("SH", "LO", "ST", "LT", "UC", "UT", "PN"))
"""VRs whose characters depend on Specific Character Set (PS3.5 6.1.2.3)."""

_LONG_VRS: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_NUMBER_FORMATS: Final = {
    "US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d",
}  # fmt: skip
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_UNDEFINED: Final = 0xFFFFFFFF


@dataclass(frozen=True, slots=True)
class Syntax:
    """How elements are written."""

    explicit: bool
    order: str
    """`<` or `>`, as in struct."""


SYNTAXES: Final = {
    IMPLICIT_LITTLE: Syntax(explicit=False, order="<"),
    EXPLICIT_LITTLE: Syntax(explicit=True, order="<"),
    EXPLICIT_BIG: Syntax(explicit=True, order=">"),
}


@dataclass(frozen=True, slots=True)
class Raw:
    """One element as read: its bytes (decimal text of binary numbers), or the items of a sequence."""

    vr: str
    value: bytes
    items: tuple["RawDataset", ...] = ()

    @property
    def is_empty(self) -> bool:
        """True when it asks for nothing: no value, and in items no value either."""
        if self.vr == "SQ":
            return all(element.is_empty for item in self.items for element in item.values())
        return not self.value.strip(b" \0")


RawDataset = Mapping[int, Raw]

Encode = Callable[[str], bytes]
"""Text to bytes in one character set; raises UnicodeEncodeError for what the set lacks."""


def vr_of(tag: int) -> str:
    """The VR of a tag from the data dictionary; UN for what it does not know."""
    return (public_vr(tag) or "UN")[:2]


def read(data: bytes, transfer_syntax_uid: str) -> RawDataset:
    """Read a whole identifier. Raises CannotUnderstand."""
    try:
        dataset, _ = _Reader(data, SYNTAXES[transfer_syntax_uid]).dataset(0, len(data), 0)
    except (struct.error, UnicodeDecodeError) as exc:
        raise CannotUnderstand("The identifier is cut off") from exc
    return dataset


class _Reader:
    """One pass over an identifier."""

    def __init__(self, data: bytes, syntax: Syntax) -> None:
        self._data = data
        self._explicit = syntax.explicit
        self._order = syntax.order
        self._tag = struct.Struct(syntax.order + "HH")
        self._long = struct.Struct(syntax.order + "I")
        self._short = struct.Struct(syntax.order + "H")

    def dataset(self, offset: int, end: int, depth: int, *, delimited: bool = False) -> tuple[dict[int, Raw], int]:
        """Elements up to `end`, or to the item delimiter when `delimited`; and where reading stopped."""
        if depth > MOST_DEPTH:
            raise CannotUnderstand("The identifier is nested too deep")
        elements: dict[int, Raw] = {}
        while offset < end:
            tag, vr, length, offset = self._head(offset)
            if delimited and tag == _ITEM_END:
                return elements, offset
            if length == _UNDEFINED or vr == "SQ":
                items, offset = self._items(offset, end if length == _UNDEFINED else offset + length, end, depth)
                elements[tag] = Raw("SQ", b"", items)
                continue
            if length > end - offset:
                raise CannotUnderstand("A value of the identifier is longer than the identifier")
            elements[tag] = Raw(vr, self._value(vr, self._data[offset : offset + length]))
            offset += length
        if delimited:
            raise CannotUnderstand("An item of the identifier has no end")
        return elements, offset

    def _value(self, vr: str, data: bytes) -> bytes:
        """A value as text: a binary number is matched by what it says."""
        code = _NUMBER_FORMATS.get(vr)
        if code is None:
            return data
        size = struct.calcsize(code)
        if len(data) % size:
            raise CannotUnderstand(f"A value of VR {vr} has {len(data)} bytes")
        numbers = struct.unpack(f"{self._order}{len(data) // size}{code}", data)
        return "\\".join(map(str, numbers)).encode()

    def _items(self, offset: int, stop: int, end: int, depth: int) -> tuple[tuple[RawDataset, ...], int]:
        if stop > end:
            raise CannotUnderstand("A sequence of the identifier is longer than the identifier")
        items: list[RawDataset] = []
        while offset < stop:
            group, element = self._tag.unpack_from(self._data, offset)
            (length,) = self._long.unpack_from(self._data, offset + 4)
            offset += 8
            tag = group << 16 | element
            if tag == _SEQUENCE_END:
                return tuple(items), offset
            if tag != _ITEM or (length != _UNDEFINED and length > stop - offset):
                raise CannotUnderstand("A sequence of the identifier is malformed")
            if length == _UNDEFINED:
                item, offset = self.dataset(offset, stop, depth + 1, delimited=True)
            else:
                item, offset = self.dataset(offset, offset + length, depth + 1)
            items.append(item)
        return tuple(items), offset

    def _head(self, offset: int) -> tuple[int, str, int, int]:
        """Tag, VR and length of the element at `offset`, and where its value starts."""
        group, element = self._tag.unpack_from(self._data, offset)
        tag = group << 16 | element
        if not self._explicit or group == 0xFFFE:
            (length,) = self._long.unpack_from(self._data, offset + 4)
            return tag, vr_of(tag), length, offset + 8
        vr = self._data[offset + 4 : offset + 6].decode("ascii")
        if vr in _LONG_VRS:
            (length,) = self._long.unpack_from(self._data, offset + 8)
            return tag, vr, length, offset + 12
        (length,) = self._short.unpack_from(self._data, offset + 6)
        return tag, vr, length, offset + 8


class Writer:
    """Encodes data sets of the DICOM JSON model in one transfer syntax and one character set."""

    def __init__(self, transfer_syntax_uid: str) -> None:
        """Any syntax that `SYNTAXES` knows."""
        syntax = SYNTAXES[transfer_syntax_uid]
        self._explicit = syntax.explicit
        self._order = syntax.order
        self._implicit_head = struct.Struct(syntax.order + "HHI")
        self._short_head = struct.Struct(syntax.order + "HH2sH")
        self._long_head = struct.Struct(syntax.order + "HH2sHI")

    def write(self, dataset: DicomJson, encode: Encode) -> bytes:
        """All elements of a data set, texts by `encode`, whose UnicodeEncodeError passes through."""
        return b"".join([self.one(tag, element, encode) for tag, element in sorted(dataset.items())])

    def one(self, tag: str, element: Element, encode: Encode) -> bytes:
        """One element of the DICOM JSON model."""
        return self.element(int(tag, 16), element["vr"], self._content(element, encode))

    def element(self, tag: int, vr: str, content: bytes) -> bytes:
        """One element; the content has an even length."""
        group, number = tag >> 16, tag & 0xFFFF
        size = len(content)
        if not self._explicit:
            return self._implicit_head.pack(group, number, size) + content
        code = vr.encode("ascii")
        if vr in _LONG_VRS:
            return self._long_head.pack(group, number, code, 0, size) + content
        if size > 0xFFFF:
            # Too long for the 16-bit length of its VR: PS3.5 6.2.2 note 1 lets it be UN.
            return self._long_head.pack(group, number, b"UN", 0, size) + content
        return self._short_head.pack(group, number, code, size) + content

    def _content(self, element: Mapping[str, Any], encode: Encode) -> bytes:
        vr = element["vr"]
        if "InlineBinary" in element:
            return _even(base64.b64decode(element["InlineBinary"]), b"\0")
        values: Sequence[Any] = element.get("Value") or ()
        if not values:
            return b""
        if vr == "SQ":
            return b"".join(self._item(item, encode) for item in values)
        if vr in _NUMBER_FORMATS:
            numbers = [value for value in values if value is not None]
            return struct.pack(f"{self._order}{len(numbers)}{_NUMBER_FORMATS[vr]}", *numbers)
        if vr == "AT":
            return b"".join(struct.pack(f"{self._order}HH", int(value[:4], 16), int(value[4:], 16)) for value in values)
        if vr == "PN":
            text = "\\".join(_name(value) for value in values)
        else:
            text = "\\".join(_text(value, vr) for value in values)
        content = encode(text) if vr in TEXT_VRS else text.encode("ascii", "replace")
        return _even(content, b"\0" if vr == "UI" else b" ")

    def _item(self, item: DicomJson, encode: Encode) -> bytes:
        content = self.write(item, encode)
        return self._implicit_head.pack(_ITEM >> 16, _ITEM & 0xFFFF, len(content)) + content


def _even(content: bytes, padding: bytes) -> bytes:
    return content + padding if len(content) & 1 else content


def _name(value: Any) -> str:
    """A person name of the JSON model as its component groups (PS3.5 6.2.1.2)."""
    if not value:
        return ""
    return "=".join(str(value.get(group, "")) for group in ("Alphabetic", "Ideographic", "Phonetic")).rstrip("=")


def _text(value: Any, vr: str) -> str:
    """A text or number value; DS has at most 16 characters (PS3.5 6.2)."""
    if value is None:
        return ""
    if isinstance(value, float):
        text = repr(value)
        if text.endswith(".0"):
            text = text[:-2]
        return text if vr != "DS" or len(text) <= 16 else f"{value:.10g}"
    return str(value)
