"""One pass over an encoded data set (PS3.5 7): elements to the DICOM JSON model, bulk data to byte ranges.

This is the hottest code of ingest, so it is written for the interpreter: one `struct` call and two dict
look-ups an element, no object for an element but the JSON one, nothing copied that is not kept. The two
loops, `_explicit` and `_implicit`, handle the frequent elements and pass all else to `_value`. An element
whose VR depends on one that may come later (US or SS) waits until the data set that decides it ends.

Nothing in the input is trusted: every length is checked against the container it stands in; depth,
number of elements and bytes kept are bounded; all damage ends as CannotUnderstand or TooLarge.
"""

from array import array
from typing import Any, Final

from config.settings import Limits
from index.errors import CannotUnderstand
from index.layout import ByteRange
from index.reasons import Code, Reason
from storage.budget import STRIDE_BYTES, Budget
from storage.charsets import DEFAULT
from storage.dictionary import NAMES, UNKNOWN
from storage.encoding import (
    DOUBLE_FLOAT_PIXEL_DATA,
    EXTENDED_OFFSET_TABLE,
    FLOAT_PIXEL_DATA,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Encoding,
    Entry,
    PixelData,
    base64,
    beyond,
    label,
    looks_explicit,
    only_zeros,
)
from storage.repeated import LONGEST_BYTES, keep, repeated_in
from storage.scopes import AMBIGUOUS, LUT_DESCRIPTORS, PIXEL_DATA, US_OR_SS, WATCHED, Json, Scope, unsign_first
from storage.values import BINARY, LONG_FORM, Buffer, WrongLength

_PIXELS: Final = frozenset({FLOAT_PIXEL_DATA, DOUBLE_FLOAT_PIXEL_DATA, PIXEL_DATA})


class Scan:
    """The state of one pass; make one for each object, call `read` once."""

    def __init__(self, data: Buffer, encoding: Encoding, limits: Limits, *, bulk_threshold_bytes: int) -> None:
        """`data` is the buffer that all offsets count in."""
        self.data = data
        self.bulk: dict[str, ByteRange] = {}
        self.references: list[tuple[Json, str]] = []
        """Elements that need a BulkDataURI once the UIDs are known, with their paths."""
        self.offset_table: ByteRange | None = None
        """Value of the Extended Offset Table."""
        self.pixels: PixelData | None = None
        self.warnings: dict[str, Reason] = {}
        self._encoding = encoding
        self._decoders = encoding.decoders
        self._item = encoding.implicit_header
        self._length = encoding.length
        self._budget = Budget(limits, 0)
        self._threshold = bulk_threshold_bytes
        self._checkpoint = 0
        self._head = b""

    def read(self, start: int) -> Json:
        """The data set from `start` to the end of the buffer, bulk data without URIs yet."""
        self._budget.start, self._checkpoint = start, start + STRIDE_BYTES
        self._head = bytes(self.data[:STRIDE_BYTES])  # Cheaper to cut than a view.
        end = len(self.data)
        explicit = self._encoding.explicit
        if end - start >= 8 and looks_explicit(self.data, start) != explicit:
            explicit = not explicit
            self.warn("The VR encoding is not that of the transfer syntax")
        scope = Scope(explicit, DEFAULT)
        self._dataset(start, end, scope, delimited=False)
        self._settle(scope.pending, signed=False)
        self._check(end, 0)
        return scope.elements

    def warn(self, detail: str, code: Code = Code.MISMATCH_WARNING) -> None:
        """Note something that was tolerated and that the sender should know, once."""
        self.warnings.setdefault(detail, Reason(code, detail))

    def remark(self, detail: str) -> None:
        """Note a slip of the encoding that changes no value: for our log, not for the sender."""
        self.warn(detail, Code.REMARK)

    def _check(self, pos: int, elements: int) -> int:
        """Compare the totals with their limits; returns where to check next."""
        self._budget.check(pos, elements)
        self._checkpoint = pos + STRIDE_BYTES
        return self._checkpoint

    # Data sets and sequences

    def _dataset(self, pos: int, end: int, scope: Scope, *, delimited: bool) -> int:
        """Read elements until `end`, or until the item's delimiter; returns the position behind."""
        loop = self._explicit if scope.explicit else self._implicit
        pos = loop(pos, end, scope, delimited)
        self._budget.elements += len(scope.elements) + 1
        if scope.unsorted:
            scope.elements = dict(sorted(scope.elements.items()))
        if scope.pending:
            signed = scope.is_signed()
            if signed is not None:
                self._settle(scope.pending, signed=signed)
                scope.pending = []
        return pos

    def _explicit(self, pos: int, end: int, scope: Scope, delimited: bool) -> int:
        data, header, short = self.data, self._encoding.explicit_header, self._encoding.short
        head, elements, plain = self._head, scope.elements, self._plain
        repeated, head_end = repeated_in(scope.charset, little=self._encoding.little), len(self._head)
        checkpoint, last = self._checkpoint, -1
        while pos + 8 <= end:
            if pos > checkpoint:
                checkpoint = self._check(pos, len(scope.elements))
            group, number, vr, length = header(data, pos)
            tag = group << 16 | number
            entry = short.get(vr)
            if entry is not None:
                start = pos
                pos += 8 + length
                if pos > end:
                    raise beyond(tag)
                encoded = head[start:pos] if pos - start <= LONGEST_BYTES and pos <= head_end else None
                element = repeated.get(encoded) if encoded else None
                if element is not None:
                    elements[NAMES[tag]] = element
                else:
                    plain(tag, entry, start + 8, pos, scope)
                    if tag in WATCHED:
                        repeated = repeated_in(scope.charset, little=self._encoding.little)
                    elif encoded:
                        keep(repeated, encoded, elements.get(NAMES[tag]))
            elif group == 0xFFFE:
                pos, done = self._delimiter(tag, pos, delimited)
                if done:
                    return pos
            else:
                pos = self._uncommon(tag, vr, pos, end, scope)
            if tag <= last:
                self._disorder(scope)
            last = tag
        return self._end(pos, end, scope, delimited)

    def _implicit(self, pos: int, end: int, scope: Scope, delimited: bool) -> int:
        data, header, known = self.data, self._encoding.implicit_header, self._encoding.known
        plain = self._plain
        checkpoint, last = self._checkpoint, -1
        while pos + 8 <= end:
            if pos > checkpoint:
                checkpoint = self._check(pos, len(scope.elements))
            group, number, length = header(data, pos)
            tag = group << 16 | number
            entry = known.get(tag)
            if entry is not None and length < STRIDE_BYTES:
                start = pos + 8
                pos = start + length
                if pos > end:
                    raise beyond(tag)
                plain(tag, entry, start, pos, scope)
            elif group == 0xFFFE:
                pos, done = self._delimiter(tag, pos, delimited)
                if done:
                    return pos
            else:
                pos = self._implied(tag, scope.implied_vr(tag), pos + 8, length, end, scope)
            if tag <= last:
                self._disorder(scope)
            last = tag
        return self._end(pos, end, scope, delimited)

    def _disorder(self, scope: Scope) -> None:
        """An element that may repeat an earlier one, and so would not count in the end: it counts now."""
        scope.unsorted = True
        self._budget.elements += 1

    def _delimiter(self, tag: int, pos: int, delimited: bool) -> tuple[int, bool]:
        """What a tag of group FFFE means where an element may be: the next position, and whether the data set ends."""
        if tag == ITEM_END and delimited:
            return pos + 8, True
        if tag in (ITEM, SEQUENCE_END) and delimited:
            self.remark("An item has no delimiter")
            return pos, True
        if tag in (ITEM_END, SEQUENCE_END):
            self.remark("There is a delimiter too many")
            self._budget.elements += 1
            return pos + 8, False
        raise CannotUnderstand(f"{label(tag)} stands where an element must be")

    def _end(self, pos: int, end: int, scope: Scope, delimited: bool) -> int:
        """Less than 8 bytes are left before `end`."""
        if delimited:
            raise CannotUnderstand("An item of undefined length has no end")
        if pos < end:
            if scope.depth or not only_zeros(self.data, pos, end):
                raise CannotUnderstand("The data set ends inside the header of an element")
            self.remark("There are zero bytes behind the data set")
        return end

    def _sequence(self, tag: int, start: int, length: int, end: int, scope: Scope) -> int:
        """Read the items of a sequence into the scope; returns the position behind it."""
        self._budget.allow_depth(scope.depth + 1)
        stop = end if length == UNDEFINED else start + length
        items: list[Json] = []
        pos = start
        while pos < stop:
            mark, size, pos = self._encoding.item_header(self.data, tag, pos, stop)
            if mark == SEQUENCE_END:
                pos = pos if length == UNDEFINED else stop
                break
            item_end = stop if size == UNDEFINED else pos + size
            explicit = scope.explicit and (item_end - pos < 8 or looks_explicit(self.data, pos))
            prefix = f"{scope.prefix}{NAMES[tag]}/{len(items) + 1}/"
            item = Scope(explicit, scope.charset, depth=scope.depth + 1, prefix=prefix)
            pos = self._dataset(pos, item_end, item, delimited=size == UNDEFINED)
            items.append(item.elements)
            if item.pending:
                scope.pending += item.pending
        else:
            if length == UNDEFINED:
                raise CannotUnderstand(f"{label(tag)} of undefined length has no end")
        self._put(tag, {"vr": "SQ", "Value": items}, scope)
        return pos

    # Elements

    def _put(self, tag: int, element: Json, scope: Scope) -> None:
        """Keep an element, but group lengths (PS3.18 F.2.2)."""
        if tag & 0xFFFF:
            scope.elements[NAMES[tag]] = element

    def _plain(self, tag: int, entry: Entry, start: int, stop: int, scope: Scope) -> None:
        """An element whose value is a list of plain values."""
        if not tag & 0xFFFF or tag < 0x00030000:
            self._budget.elements += 1
            return
        vr, decode = entry
        values: list[Any] = []
        if start < stop:
            try:
                values = decode(self.data, start, stop, scope.charset)
            except WrongLength:
                self.remark(f"{label(tag)} has a length that does not fit its VR")
                self._binary(tag, UNKNOWN, start, stop, scope)
                return
        if values:
            scope.elements[NAMES[tag]] = {"vr": vr, "Value": values}
            if len(values) > 8:
                self._budget.values += len(values)
        else:
            scope.elements[NAMES[tag]] = {"vr": vr}
        if tag in WATCHED:
            scope.watch(tag, values)

    def _uncommon(self, tag: int, vr: bytes, pos: int, end: int, scope: Scope) -> int:
        """An element in explicit VR whose VR is none of those with a 16-bit length."""
        name = str(vr, "latin-1")
        if not (name.isascii() and name.isalpha() and name.isupper()):
            # Some writers switch to implicit VR inside of an explicit VR data set.
            return self._implied(tag, scope.implied_vr(tag), pos + 8, self._length(self.data, pos + 4)[0], end, scope)
        if name not in LONG_FORM and bytes(self.data[pos + 6 : pos + 8]) != b"\0\0":
            start, length = pos + 8, self._encoding.explicit_header(self.data, pos)[3]
        elif pos + 12 > end:
            raise beyond(tag)
        else:
            # VRs that are newer than this table have a 32-bit length as well (PS3.5 6.2).
            start, length = pos + 12, self._length(self.data, pos + 8)[0]
        if name in LONG_FORM and name != UNKNOWN:
            return self._value(tag, name, start, length, end, scope)
        return self._unknown(tag, start, length, end, scope)

    def _unknown(self, tag: int, start: int, length: int, end: int, scope: Scope) -> int:
        """An element of VR UN, or of a VR we do not know."""
        vr = UNKNOWN if length == UNDEFINED else scope.corrected_vr(tag, length)
        return self._implied(tag, vr, start, length, end, scope)

    def _implied(self, tag: int, vr: str, start: int, length: int, end: int, scope: Scope) -> int:
        """An element whose VR is the dictionary's and not the sender's, so it need not be true."""
        if vr == "SQ" and length >= 8 and start + length <= end:
            group, number, _ = self._item(self.data, start)
            if group << 16 | number not in (ITEM, SEQUENCE_END):
                self.warn(f"{label(tag)} should be a sequence and is none")
                self._put(tag, {"vr": "SQ", "Value": [{}]}, scope)
                return start + length
        return self._value(tag, vr, start, length, end, scope)

    def _value(self, tag: int, vr: str, start: int, length: int, end: int, scope: Scope) -> int:
        """Any element; returns the position behind it."""
        if length == UNDEFINED:
            return self._undefined(tag, vr, start, end, scope)
        stop = start + length
        if stop > end:
            raise beyond(tag)
        if tag < 0x00030000:
            return self._foreign(tag, stop, end, scope)
        if vr == "SQ":
            return self._sequence(tag, start, length, end, scope)
        if vr in AMBIGUOUS and vr != US_OR_SS:
            vr = scope.resolved_vr(tag, vr)
        if length > STRIDE_BYTES and vr not in BINARY:
            self._budget.allow(tag, vr, self.data, start, stop)
        if vr == US_OR_SS:
            self._postpone(tag, start, stop, scope)
        elif vr in self._decoders:
            self._plain(tag, (vr, self._decoders[vr]), start, stop, scope)
        else:
            self._binary(tag, vr if vr in BINARY else UNKNOWN, start, stop, scope)
        return stop

    def _foreign(self, tag: int, stop: int, end: int, scope: Scope) -> int:
        """An element of the command or meta group, which is left out, or zero bytes that look like one."""
        self._budget.elements += 1
        if tag:
            return stop
        if scope.depth or not only_zeros(self.data, stop, end):
            raise CannotUnderstand("There are zero bytes where an element must be")
        self.remark("There are zero bytes behind the data set")
        return end

    def _postpone(self, tag: int, start: int, stop: int, scope: Scope) -> None:
        """An element that is US or SS: its values come when Pixel Representation is known."""
        element: Json = {"vr": "US"}
        self._put(tag, element, scope)
        if start < stop:
            scope.pending.append((element, tag, start, stop))
            if tag in LUT_DESCRIPTORS and stop - start == 6:
                scope.watch(tag, self._decoders["US"](self.data, start, stop, scope.charset))

    def _settle(self, pending: list[tuple[Json, int, int, int]], *, signed: bool) -> None:
        """Give US or SS elements their VR and values."""
        vr = "SS" if signed else "US"
        decode = self._decoders[vr]
        for element, tag, start, stop in pending:
            try:
                values = decode(self.data, start, stop, DEFAULT)
            except WrongLength:
                element.update(vr=UNKNOWN, InlineBinary=base64(self.data[start:stop]))
                continue
            if tag in LUT_DESCRIPTORS:
                unsign_first(values)
            element.update(vr=vr, Value=values)

    # Binary values

    def _binary(self, tag: int, vr: str, start: int, stop: int, scope: Scope) -> None:
        """A value of bytes: inline, or by reference when it is long or the object's pixels."""
        element: Json = {"vr": vr}
        self._put(tag, element, scope)
        is_pixels = scope.depth == 0 and tag in _PIXELS
        if is_pixels and self.pixels is None and start < stop:
            self.pixels = PixelData(tag, start, stop)
        if stop - start > self._threshold or (is_pixels and start < stop):
            path = scope.prefix + NAMES[tag]
            self.bulk[path] = (start, stop - start)
            self.references.append((element, path))
            self._budget.bulk_bytes += stop - start
        elif start < stop:
            element["InlineBinary"] = base64(self.data[start:stop])
        if tag == EXTENDED_OFFSET_TABLE and scope.depth == 0:
            self.offset_table = (start, stop - start)

    def _undefined(self, tag: int, vr: str, start: int, end: int, scope: Scope) -> int:
        """An element of undefined length: a sequence, or fragments (PS3.5 7.5, A.4)."""
        implied_private = bool(tag & 0x10000) and not scope.explicit
        if tag == PIXEL_DATA or (not implied_private and vr != UNKNOWN and (vr in BINARY or vr in AMBIGUOUS)):
            return self._fragmented(tag, vr, start, end, scope)
        if vr in ("SQ", UNKNOWN) or implied_private:
            # UN of undefined length is a sequence in implicit VR (PS3.5 6.2.2).
            return self._sequence(tag, start, UNDEFINED, end, scope)
        raise CannotUnderstand(f"{label(tag)} must not have an undefined length")

    def _fragmented(self, tag: int, vr: str, start: int, end: int, scope: Scope) -> int:
        """Encapsulated data, here or in an icon; returns the position behind the delimiter."""
        offsets, lengths = array("Q"), array("Q")
        pos = stop = start
        while True:
            if pos == end and not scope.depth:
                self.remark("Pixel Data has no sequence delimiter")
                break
            mark, size, pos = self._encoding.item_header(self.data, tag, pos, end)
            if mark == SEQUENCE_END:
                break
            if size == UNDEFINED:
                raise CannotUnderstand(f"{label(tag)} has a fragment of undefined length")
            self._budget.allow_fragment(tag, len(offsets), self.data)
            offsets.append(pos)
            lengths.append(size)
            stop = pos = pos + size
        if tag == PIXEL_DATA and not scope.depth:
            self.pixels = PixelData(tag, start, stop, offsets, lengths)
        self._binary(tag, "OB" if vr in AMBIGUOUS or (tag == PIXEL_DATA and vr == UNKNOWN) else vr, start, stop, scope)
        return pos
