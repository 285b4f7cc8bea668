"""Data sets of the DICOM JSON model, with their bulk data, as encoded data sets (PS3.5 7) and files (PS3.10 7).

What is written is a list of pieces: bytes, and sources that are only read when the piece is wanted, so that bulk
data of any size passes through in blocks. Text is written as UTF-8; `in_unicode` says so in the data set.

The input comes from outside, so every value is checked as far as encoding it needs, and what cannot be encoded
is refused with the attribute that it belongs to.
"""

import binascii
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from pydicom.valuerep import format_number_as_ds

from index.errors import CannotUnderstand
from index.records import DicomJson, Element, InstanceKey
from storage.meta_group import build_meta
from storage.spool import Source
from storage.values import BINARY, LONG_FORM

UNDEFINED: Final = 0xFFFFFFFF
_UNICODE: Final[Element] = {"vr": "CS", "Value": ["ISO_IR 192"]}
_CHARACTER_SET: Final = "00080005"
_ITEM: Final = 0xFFFEE000
_SEQUENCE_END: Final = 0xFFFEE0DD
_LONGEST_VALUE: Final = 0xFFFFFFFE
_MOST_LEVELS: Final = 80
_LETTERS: Final = {"SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q", "FL": "f", "FD": "d"}
_WORDS: Final = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}
_TEXTS: Final = frozenset({"LO", "LT", "PN", "SH", "ST", "UC", "UT"})
_SINGLE: Final = frozenset({"LT", "ST", "UR", "UT"})
_STRINGS: Final = _TEXTS | {"AE", "AS", "CS", "DA", "DS", "DT", "IS", "TM", "UI", "UR"}
_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_NOT_FINITE: Final = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
_LONGEST_DS: Final = 16

Piece = bytes | Source


@dataclass(frozen=True, slots=True)
class Fragments:
    """Encapsulated Pixel Data (PS3.5 A.4): the fragments of one frame or of one video, without offset table."""

    sources: Sequence[Source]


Content = Source | Fragments
FindBulk = Callable[[str, str], Content]
"""Path and BulkDataURI of an element -> what it refers to; raises PacsError when there is no such thing."""


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is written."""

    explicit: bool = True
    little: bool = True

    @property
    def order(self) -> str:
        """The byte order in the language of `struct`."""
        return "<" if self.little else ">"


EXPLICIT_LITTLE: Final = Encoding()


@dataclass(frozen=True, slots=True)
class Composition:
    """One instance that is not encoded yet."""

    dataset: DicomJson
    transfer_syntax_uid: str
    bulk: FindBulk


def in_unicode(dataset: DicomJson) -> dict[str, Element]:
    """The data set with the Specific Character Set of what `encode` makes of its text (PS3.18 F.2: JSON is UTF-8)."""
    plain = {tag: _plain(element) for tag, element in dataset.items() if tag != _CHARACTER_SET}
    if dataset.get(_CHARACTER_SET, {}).get("Value") or not _is_ascii(plain):
        plain[_CHARACTER_SET] = _UNICODE
    return plain


def _plain(element: Element) -> Element:
    """An element whose items have no character set of their own."""
    if element.get("vr") != "SQ" or not isinstance(element.get("Value"), list):
        return element
    items = [
        {tag: _plain(inner) for tag, inner in item.items() if tag != _CHARACTER_SET} if isinstance(item, dict) else item
        for item in element["Value"]
    ]
    return {**element, "Value": items}


def _is_ascii(value: Any) -> bool:
    if isinstance(value, str):
        return value.isascii()
    if isinstance(value, Mapping):
        return all(map(_is_ascii, value.values()))
    return all(map(_is_ascii, value)) if isinstance(value, list) else True


def part10(composition: Composition, key: InstanceKey, sop_class_uid: str) -> Iterator[bytes]:
    """The blocks of a DICOM file. Raises CannotUnderstand before the first one."""
    meta = build_meta(
        sop_class_uid=sop_class_uid,
        sop_instance_uid=key.sop_instance_uid,
        transfer_syntax_uid=composition.transfer_syntax_uid,
    )
    return blocks([meta, *encode(composition.dataset, composition.bulk)])


def blocks(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """The bytes of pieces, small ones joined."""
    held: list[bytes] = []
    for piece in pieces:
        if isinstance(piece, bytes):
            held.append(piece)
            continue
        yield b"".join(held)
        held = []
        yield from piece.blocks()
    yield b"".join(held)


def encode(dataset: DicomJson, bulk: FindBulk, encoding: Encoding = EXPLICIT_LITTLE) -> list[Piece]:
    """All elements, ascending. Raises CannotUnderstand that names the attribute."""
    pieces: list[Piece] = []
    _Encoder(bulk, encoding).dataset(pieces, dataset, "", 0)
    return pieces


def encode_value(tag: str, element: Element, bulk: FindBulk, encoding: Encoding) -> bytes:
    """The value field of one element. Raises CannotUnderstand that names the attribute."""
    pieces: list[Piece] = []
    encoder = _Encoder(bulk, encoding)
    encoder.dataset(pieces, {tag: element}, "", 0)
    encoded = b"".join(blocks(pieces))
    return encoded[12 if encoding.explicit and element["vr"] in LONG_FORM else 8 :]


class _Encoder:
    """One data set on its way out."""

    def __init__(self, bulk: FindBulk, encoding: Encoding) -> None:
        self._bulk = bulk
        self._encoding = encoding
        self._order = encoding.order

    def dataset(self, pieces: list[Piece], dataset: DicomJson, prefix: str, level: int) -> int:
        """Append the elements; returns their size in bytes."""
        if level > _MOST_LEVELS:
            raise CannotUnderstand(f"Sequences are nested deeper than {_MOST_LEVELS}")
        return sum(self._element(pieces, tag, dataset[tag], prefix, level) for tag in sorted(dataset))

    def _element(self, pieces: list[Piece], tag: str, element: Element, prefix: str, level: int) -> int:
        path, vr = prefix + tag, element["vr"]
        if "BulkDataURI" in element:
            return self._by_reference(pieces, tag, vr, path, element["BulkDataURI"])
        if vr == "SQ":
            return self._sequence(pieces, tag, element.get("Value") or (), path, level)
        value = self._value(element, vr, path)
        pieces.append(self._head(tag, vr, len(value)) + value)
        return len(pieces[-1])  # type: ignore[arg-type]

    def _by_reference(self, pieces: list[Piece], tag: str, vr: str, path: str, uri: str) -> int:
        content = self._bulk(path, uri)
        if isinstance(content, Fragments):
            return self._fragments(pieces, tag, content)
        if vr == "SQ" or content.size_bytes > _LONGEST_VALUE:
            raise CannotUnderstand(f"{path} cannot be so long", attributes=(path,))
        word = _WORDS.get(vr, 1) if vr in BINARY else struct.calcsize(_LETTERS.get(vr, "B"))
        if content.size_bytes % word:
            raise CannotUnderstand(f"{path} is no whole number of values", attributes=(path,))
        odd = content.size_bytes % 2
        head = self._head(tag, vr, content.size_bytes + odd)
        pieces += (head, content, (b" " if vr in _STRINGS else b"\0") * odd)
        return len(head) + content.size_bytes + odd

    def _fragments(self, pieces: list[Piece], tag: str, content: Fragments) -> int:
        before = len(pieces)
        pieces.append(self._head(tag, "OB", UNDEFINED) + self._mark(_ITEM, 0))
        for source in content.sources:
            odd = source.size_bytes % 2
            pieces += (self._mark(_ITEM, source.size_bytes + odd), source, b"\0" * odd)
        pieces.append(self._mark(_SEQUENCE_END, 0))
        return sum(len(piece) if isinstance(piece, bytes) else piece.size_bytes for piece in pieces[before:])

    def _sequence(self, pieces: list[Piece], tag: str, items: Sequence[DicomJson], path: str, level: int) -> int:
        hole = len(pieces)
        pieces.append(b"")
        size = 0
        for number, item in enumerate(items, 1):
            place = len(pieces)
            pieces.append(b"")
            length = self.dataset(pieces, item or {}, f"{path}/{number}/", level + 1)
            if length > _LONGEST_VALUE:
                raise CannotUnderstand(f"{path} cannot be so long", attributes=(path,))
            pieces[place] = self._mark(_ITEM, length)
            size += 8 + length
        if size > _LONGEST_VALUE:
            raise CannotUnderstand(f"{path} cannot be so long", attributes=(path,))
        pieces[hole] = head = self._head(tag, "SQ", size)
        return len(head) + size

    def _head(self, tag: str, vr: str, length: int) -> bytes:
        group, number = int(tag[:4], 16), int(tag[4:], 16)
        if not self._encoding.explicit:
            return struct.pack(self._order + "HHI", group, number, length)
        if vr in LONG_FORM:
            return struct.pack(self._order + "HH2sHI", group, number, vr.encode(), 0, length)
        if length > 0xFFFF:
            return struct.pack(self._order + "HH2sHI", group, number, b"UN", 0, length)
        return struct.pack(self._order + "HH2sH", group, number, vr.encode(), length)

    def _mark(self, tag: int, length: int) -> bytes:
        return struct.pack(self._order + "HHI", tag >> 16, tag & 0xFFFF, length)

    def _value(self, element: Element, vr: str, path: str) -> bytes:
        try:
            value = self._encoded(element, vr)
        except (KeyError, OverflowError, TypeError, ValueError, struct.error) as exc:
            raise CannotUnderstand(f"{path} has a value that its VR {vr} cannot have", attributes=(path,)) from exc
        if len(value) % 2:
            value += b" " if vr in _STRINGS and vr != "UI" else b"\0"
        return value

    def _encoded(self, element: Element, vr: str) -> bytes:
        if "InlineBinary" in element:
            data = binascii.a2b_base64(element["InlineBinary"], strict_mode=True)
            return _turned(data, 1 if self._encoding.little else _WORDS.get(vr, 1))
        values = element.get("Value") or ()
        if vr in _LETTERS:
            numbers = [_number(value, vr) for value in values]
            return struct.pack(f"{self._order}{len(numbers)}{_LETTERS[vr]}", *numbers)
        if vr == "AT":
            words = [int(value[at : at + 4], 16) for value in values for at in (0, 4)]
            return struct.pack(f"{self._order}{len(words)}H", *words)
        if vr not in _STRINGS:
            if values:
                raise ValueError
            return b""
        texts = [_name(value) if vr == "PN" else _text(value, vr) for value in values]
        if len(texts) > 1 and vr in _SINGLE:
            raise ValueError
        return "\\".join(texts).encode("utf-8" if vr in _TEXTS else "ascii")


def _number(value: Any, vr: str) -> Any:
    """A number; the JSON model has some as text (PS3.18 F.2.3)."""
    if not isinstance(value, str):
        return value
    return int(value) if vr in ("SV", "UV") else _NOT_FINITE[value]


def _turned(data: bytes, word: int) -> bytes:
    if word == 1:
        return data
    if len(data) % word:
        raise ValueError
    return b"".join(data[at : at + word][::-1] for at in range(0, len(data), word))


def _name(value: Any) -> str:
    """A person name as its component groups (PS3.5 6.2.1.2)."""
    if not value:
        return ""
    if not isinstance(value, dict):
        raise TypeError
    groups = [value.get(group) or "" for group in _GROUPS]
    if not all(isinstance(group, str) and "=" not in group and "\\" not in group for group in groups):
        raise ValueError
    return "=".join(groups).rstrip("=")


def _text(value: Any, vr: str) -> str:
    if value is None:
        return ""
    if isinstance(value, (bool, dict, list)):
        raise TypeError
    if vr == "DS" and not isinstance(value, str):
        return _decimal(value)
    if vr == "IS" and isinstance(value, float) and value.is_integer():
        return str(int(value))
    if not isinstance(value, str) and vr not in ("DS", "IS"):
        raise TypeError
    text = str(value)
    if "\\" in text and vr not in _SINGLE:
        raise ValueError
    return text


def _decimal(number: float) -> str:
    """A number in at most 16 characters (PS3.5 6.2), as near as they allow."""
    text = repr(number)
    text = text.removesuffix(".0")
    return text if len(text) <= _LONGEST_DS else format_number_as_ds(float(number))
