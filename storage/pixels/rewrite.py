"""A data set in another encoding: implicit or explicit VR, little or big endian. No value is interpreted.

The input is walked element by element and written again with other headers; numbers are turned round
when the byte order changes, everything else is copied as it stands, valid or not. So a rewrite there
and back gives equal values, and text in a faulty character set survives. What the walk has to know:

- Implicit VR to explicit: the VR comes from the data dictionary (PS3.6), for private elements from the
  dictionary of known private blocks, else UN. Values of 64 KiB and more whose VR has a 16-bit length
  become UN too (PS3.5 6.2.2).
- "US or SS" follows Pixel Representation of the nearest enclosing data set that has one; OB/OW is OW
  (PS3.5 A.1), but OB for Pixel Data of up to 8 bits (PS3.5 A.2): there is no byte order to get wrong then.
- UN of undefined length is an implicit little endian sequence in every syntax (PS3.5 6.2.2) and is
  copied byte for byte, as is UN of a known length, which never changes byte order.
- Group lengths (retired) would become wrong and are left out.

Ingest takes some faults that are common (see `storage.elements`); here they are taken likewise and put right:
a data set or item in the other VR encoding than its transfer syntax says, VRs nobody knows, a missing or
superfluous delimiter, a sequence without items in it, zero bytes at the end.
"""

import struct
from array import array
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final, NamedTuple

from index.errors import CannotUnderstand
from storage.dictionary import UNKNOWN, private_vr, public_vr

Buffer = bytes | memoryview

PIXEL_DATA: Final = 0x7FE00010
_ITEM: Final = 0xFFFEE000
_ITEM_END: Final = 0xFFFEE00D
_SEQUENCE_END: Final = 0xFFFEE0DD
_FIRST_TAG: Final = 0x00040000
"""Lower groups belong to commands and meta groups; zero bytes behind the data set look like one, too."""
_PIXEL_REPRESENTATION: Final = 0x00280103
_BITS_ALLOCATED: Final = 0x00280100
_UNDEFINED: Final = 0xFFFFFFFF
_LONG_VRS: Final = frozenset(("OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV"))
_TEXT_VRS: Final = frozenset(("AE", "AS", "CS", "DA", "DS", "DT", "IS", "LO", "LT", "PN", "SH", "ST", "TM", "UI"))
_SHORT_VRS: Final = _TEXT_VRS | {"AT", "FD", "FL", "SL", "SS", "UL", "US"}
_WORD_BYTES: Final = (
    dict.fromkeys(("AT", "OW", "SS", "US"), 2)
    | dict.fromkeys(("FL", "OF", "OL", "SL", "UL"), 4)
    | dict.fromkeys(("FD", "OD", "OV", "SV", "UV"), 8)
)
_ARRAY_TYPES: Final = {2: "H", 4: "I", 8: "Q"}
_MAXIMUM_DEPTH: Final = 80
_NO_CHANGES: Final[Mapping[int, "Element | None"]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Encoding:
    """How a data set is written."""

    explicit: bool
    little: bool

    @property
    def order(self) -> str:
        """The byte order in the language of `struct`."""
        return "<" if self.little else ">"


@dataclass(frozen=True, slots=True)
class Element:
    """One element to write. `value` is little endian, or a list of fragments with the offset table first."""

    vr: str
    value: bytes | Sequence[Buffer]
    word_bytes: int = 1
    """Size of the words that turn round in a big endian target."""


class _Header(NamedTuple):
    """An element's header; `start` is where its value starts."""

    tag: int
    vr: str
    length: int
    start: int

    def __str__(self) -> str:
        return f"({self.tag >> 16:04X},{self.tag & 0xFFFF:04X})"


@dataclass(slots=True)
class _Scope:
    """What the elements of a data set have said so far, for those that follow and for its sequences."""

    explicit: bool
    signed: bool = False
    bits_allocated: int = 16
    creators: dict[int, str] = field(default_factory=dict)


def rewrite(
    dataset: memoryview,
    source: Encoding,
    target: Encoding,
    *,
    changes: Mapping[int, Element | None] = _NO_CHANGES,
    signed: bool = False,
) -> bytes:
    """The data set in another encoding, with top-level elements changed or (None) left out. Raises CannotUnderstand.

    `signed` is what Pixel Representation of the whole data set says: sequences that need it may stand before it.
    """
    return b"".join(rewritten(dataset, source, target, changes=changes, signed=signed))


def rewritten(
    dataset: memoryview,
    source: Encoding,
    target: Encoding,
    *,
    changes: Mapping[int, Element | None] = _NO_CHANGES,
    signed: bool = False,
) -> list[Buffer]:
    """The same as pieces, which are views of the data set wherever nothing changes."""
    walk = _Walk(dataset, source, target)
    try:
        explicit = _looks_explicit(dataset, 0) if len(dataset) >= 8 else source.explicit
        walk.dataset(0, len(dataset), _Scope(explicit, signed), 0, changes)
    except (struct.error, IndexError) as exc:
        raise CannotUnderstand("The data set ends inside an element") from exc
    return walk.parts


class _Walk:
    """One pass. `parts` are the output so far; `size` its length, from which lengths of sequences are made."""

    def __init__(self, view: memoryview, source: Encoding, target: Encoding) -> None:
        self.view = view
        self.source = source
        self.target = target
        self.item_tag = struct.pack(source.order + "HH", 0xFFFE, 0xE000)
        self.parts: list[Buffer] = []
        self.size = 0

    def dataset(
        self, offset: int, end: int, scope: _Scope, depth: int, changes: Mapping[int, Element | None] = _NO_CHANGES
    ) -> int:
        """Copy elements until `end` or an item delimiter. Returns the offset behind what was read."""
        if depth > _MAXIMUM_DEPTH:
            raise CannotUnderstand(f"Sequences are nested more than {_MAXIMUM_DEPTH} deep")
        pending = sorted(changes)
        while offset < end:
            if end - offset < 8 and not depth and not any(self.view[offset:end]):
                break
            header = self._header(offset, scope)
            tag = header.tag
            if tag >> 16 == 0xFFFE:
                if depth and tag != _ITEM_END:
                    return offset
                if depth:
                    return header.start
                offset = header.start
                continue
            while pending and pending[0] <= tag:
                self._write_change(pending[0], changes[pending.pop(0)])
            written, size = len(self.parts), self.size
            offset = self._element(header, end, scope, depth)
            if tag in changes or not tag & 0xFFFF or tag < _FIRST_TAG:
                del self.parts[written:]
                self.size = size
        for tag in pending:
            self._write_change(tag, changes[tag])
        return offset

    def _header(self, offset: int, scope: _Scope) -> _Header:
        """The header at an offset. Implicit VRs are looked up; delimiters and items have none."""
        view, order = self.view, self.source.order
        group, number, length = struct.unpack_from(order + "HHI", view, offset)
        tag = group << 16 | number
        if group == 0xFFFE:
            return _Header(tag, "", length, offset + 8)
        vr = str(view[offset + 4 : offset + 6], "latin-1") if scope.explicit else ""
        if vr in _SHORT_VRS:
            return _Header(tag, vr, _short(view, offset, order), offset + 8)
        if vr in _LONG_VRS:
            (length,) = struct.unpack_from(order + "I", view, offset + 8)
            return _Header(tag, vr, length, offset + 12)
        if vr.isascii() and vr.isalpha() and vr.isupper():
            if bytes(view[offset + 6 : offset + 8]) == b"\0\0":
                (length,) = struct.unpack_from(order + "I", view, offset + 8)
                return _Header(tag, UNKNOWN, length, offset + 12)
            return _Header(tag, UNKNOWN, _short(view, offset, order), offset + 8)
        implied = _implicit_vr(tag, length, scope)
        if implied == "SQ" and 0 < length < _UNDEFINED and bytes(view[offset + 8 : offset + 12]) != self.item_tag:
            implied = UNKNOWN
        return _Header(tag, implied, length, offset + 8)

    def _element(self, header: _Header, end: int, scope: _Scope, depth: int) -> int:
        tag, vr, length, start = header
        stop = end if length == _UNDEFINED else start + length
        if stop > end:
            raise CannotUnderstand(f"{header} ends beyond its data set")
        if vr == "SQ":
            return self._sequence(header, stop, scope, depth)
        if length == _UNDEFINED:
            self._append(self._head(tag, vr, _UNDEFINED))
            if vr != UNKNOWN:
                return self._fragments(header, end)
            stop = _skip_items(self.view, start)
            self._append(self.view[start:stop])
            return stop
        value = self.view[start:stop]
        _note(tag, value, scope, self.source)
        if tag == PIXEL_DATA and scope.bits_allocated > 8:
            vr = "OW"
        self._append(self._head(tag, vr, length))
        self._append(self._turn(tag, vr, value, scope))
        return stop

    def _fragments(self, header: _Header, end: int) -> int:
        """Encapsulated pixels of an icon stay as they are: readers take them in native syntaxes too."""
        offset = header.start
        while offset < end:
            group, number, length = struct.unpack_from(self.source.order + "HHI", self.view, offset)
            tag = group << 16 | number
            stop: int = offset + 8 + length
            if tag not in (_ITEM, _SEQUENCE_END) or stop > end:
                break
            self._append(self._head(tag, "", length))
            self._append(self.view[offset + 8 : stop])
            if tag == _SEQUENCE_END:
                return stop
            offset = stop
        if offset != end:
            raise CannotUnderstand(f"{header} has no end")
        self._append(self._head(_SEQUENCE_END, "", 0))
        return offset

    def _sequence(self, header: _Header, end: int, scope: _Scope, depth: int) -> int:
        """Items keep their kind of length, defined or not, and so does the sequence."""
        hole = len(self.parts)
        self._append(self._head(header.tag, "SQ", header.length))
        before, offset = self.size, header.start
        while offset < end:
            item = self._header(offset, scope)
            if item.tag == _SEQUENCE_END and header.length == _UNDEFINED:
                self._append(self._head(_SEQUENCE_END, "", 0))
                return item.start
            if item.tag != _ITEM:
                raise CannotUnderstand(f"{header} holds something else than items")
            offset = self._item(item, end, scope, depth)
        if header.length == _UNDEFINED:
            raise CannotUnderstand(f"{header} has no end")
        self.parts[hole] = self._head(header.tag, "SQ", self.size - before)
        return offset

    def _item(self, item: _Header, end: int, scope: _Scope, depth: int) -> int:
        inner = _Scope(scope.explicit and _looks_explicit(self.view, item.start), scope.signed, scope.bits_allocated)
        hole = len(self.parts)
        self._append(self._head(_ITEM, "", item.length))
        before = self.size
        if item.length == _UNDEFINED:
            offset = self.dataset(item.start, end, inner, depth + 1)
            self._append(self._head(_ITEM_END, "", 0))
            return offset
        stop = item.start + item.length
        if stop > end:
            raise CannotUnderstand("An item ends beyond its sequence")
        self.dataset(item.start, stop, inner, depth + 1)
        self.parts[hole] = self._head(_ITEM, "", self.size - before)
        return stop

    def _turn(self, tag: int, vr: str, value: Buffer, scope: _Scope) -> Buffer:
        """The value in the byte order of the target."""
        if self.source.little == self.target.little:
            return value
        size = _WORD_BYTES.get(vr, 1)
        if tag == PIXEL_DATA:
            size = max(size, scope.bits_allocated // 8)
        return swap(value, size)

    def _write_change(self, tag: int, element: Element | None) -> None:
        if element is None:
            return
        if not isinstance(element.value, bytes):
            self._append(self._head(tag, element.vr, _UNDEFINED))
            for fragment in element.value:
                self._append(self._head(_ITEM, "", len(fragment)))
                self._append(fragment)
            self._append(self._head(_SEQUENCE_END, "", 0))
            return
        self._append(self._head(tag, element.vr, len(element.value)))
        self._append(swap(element.value, 1 if self.target.little else element.word_bytes))

    def _head(self, tag: int, vr: str, length: int) -> bytes:
        """An element's header. Items and delimiters, which have no VR, look alike in all encodings."""
        order, group, number = self.target.order, tag >> 16, tag & 0xFFFF
        if not self.target.explicit or not vr:
            return struct.pack(order + "HHI", group, number, length)
        if vr in _LONG_VRS:
            return struct.pack(order + "HH2sHI", group, number, vr.encode(), 0, length)
        if length > 0xFFFF:
            return struct.pack(order + "HH2sHI", group, number, b"UN", 0, length)
        return struct.pack(order + "HH2sH", group, number, vr.encode(), length)

    def _append(self, part: Buffer) -> None:
        self.parts.append(part)
        self.size += len(part)


def swap(value: Buffer, size: int) -> Buffer:
    """The value with every word of `size` bytes (1, 2, 4, 8) turned round; an incomplete last word stays."""
    if size == 1:
        return value
    whole = len(value) - len(value) % size
    turned = array(_ARRAY_TYPES[size], bytes(value[:whole]))
    turned.byteswap()
    return turned.tobytes() + bytes(value[whole:])


def _note(tag: int, value: memoryview, scope: _Scope, source: Encoding) -> None:
    """Remember what later elements of the same data set depend on."""
    if tag in (_PIXEL_REPRESENTATION, _BITS_ALLOCATED) and len(value) == 2:
        (number,) = struct.unpack(source.order + "H", value)
        if tag == _BITS_ALLOCATED:
            scope.bits_allocated = number
        else:
            scope.signed = number == 1
    elif tag >> 16 & 1 and 0x10 <= tag & 0xFFFF <= 0xFF:
        scope.creators[tag >> 16 << 8 | tag & 0xFF] = bytes(value).decode("latin-1").strip(" \0")


def _short(view: memoryview, offset: int, order: str) -> int:
    (length,) = struct.unpack_from(order + "H", view, offset + 6)
    return int(length)


def _looks_explicit(view: memoryview, offset: int) -> bool:
    """Whether the first element of a data set has a VR, or is none (an empty item is both)."""
    vr = str(view[offset + 4 : offset + 6], "latin-1")
    return vr in _SHORT_VRS or vr in _LONG_VRS or bytes(view[offset : offset + 2]) in (b"\xfe\xff", b"\xff\xfe")


def _implicit_vr(tag: int, length: int, scope: _Scope) -> str:
    """VR of an element whose header has none."""
    if length == _UNDEFINED:
        return "OW" if tag == PIXEL_DATA else "SQ"
    if not tag & 0xFFFF:
        return "UL"
    if tag >> 16 & 1:
        if 0x10 <= tag & 0xFFFF <= 0xFF:
            return "LO"
        creator = scope.creators.get(tag >> 16 << 8 | tag >> 8 & 0xFF)
        vr = private_vr(tag, creator) if creator else UNKNOWN
        # The private dictionary may be wrong for this device, and only a sequence that is none would do harm.
        return vr if vr != "SQ" and (vr in _SHORT_VRS or vr in _LONG_VRS) else UNKNOWN
    if tag == PIXEL_DATA:
        return "OW" if scope.bits_allocated > 8 else "OB"
    vr = public_vr(tag) or UNKNOWN
    if vr == "US or SS":
        return "SS" if scope.signed else "US"
    return "OW" if " or " in vr else vr


def _skip_items(view: memoryview, offset: int) -> int:
    """Where an implicit little endian sequence of undefined length ends, its delimiter included."""
    depth = 1
    while depth:
        group, number, length = struct.unpack_from("<HHI", view, offset)
        offset += 8
        if group << 16 | number in (_SEQUENCE_END, _ITEM_END):
            depth -= 1
        elif length == _UNDEFINED:
            depth += 1
        else:
            offset += length
    if offset > len(view):
        raise CannotUnderstand("A value of undefined length has no end")
    return offset
