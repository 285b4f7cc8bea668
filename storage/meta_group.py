"""The head of a DICOM file (PS3.10 7.1): writing ours, and reading that of others while it arrives."""

import struct
from dataclasses import dataclass
from typing import Final

from index.errors import CannotUnderstand, TooLarge
from storage import syntaxes
from storage.dictionary import public_vr
from storage.values import LITTLE_ENDIAN, LONG_FORM

IMPLEMENTATION_CLASS_UID: Final = "2.25.30258525380285949797682114223300958354"
"""Names this software in files and associations (PS3.7 D.3.3.2); made once from a random UUID (PS3.5 B.2)."""
IMPLEMENTATION_VERSION_NAME: Final = "OPEN_PACS_0.1"

_PREFIX: Final = b"DICM"
_PREAMBLE_BYTES: Final = 128
_LONGEST_HEAD_BYTES: Final = 1024**2
_GROUP: Final = b"\x02\x00"
_UNDEFINED: Final = 0xFFFFFFFF
_GROUP_LENGTH, _SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX = 0x0000, 0x0002, 0x0003, 0x0010
_PRIVATE_CREATOR, _PRIVATE = 0x0100, 0x0102
_LONGEST_FIRST_VALUE: Final = 0x10000


@dataclass(frozen=True, slots=True)
class FileMeta:
    """What the head of a file says. UIDs are empty when the file does not state them."""

    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str
    length_bytes: int
    """Where the data set starts."""
    private: bytes = b""
    """What we ourselves have noted in Private Information (0002,0102), of our own files only."""


def build_meta(
    *, sop_class_uid: str, sop_instance_uid: str, transfer_syntax_uid: str, source_ae: str = "", private: bytes = b""
) -> bytes:
    """Preamble, prefix and meta group of a file of ours; `private` has an even length."""
    group = (
        struct.pack("<HH2sHIH", 2, 0x0001, b"OB", 0, 2, 0x0100)
        + _element(_SOP_CLASS, b"UI", sop_class_uid)
        + _element(_SOP_INSTANCE, b"UI", sop_instance_uid)
        + _element(_TRANSFER_SYNTAX, b"UI", transfer_syntax_uid)
        + _element(0x0012, b"UI", IMPLEMENTATION_CLASS_UID)
        + _element(0x0013, b"SH", IMPLEMENTATION_VERSION_NAME)
    )
    if source_ae:
        group += _element(0x0016, b"AE", source_ae)
    if private:
        group += _element(_PRIVATE_CREATOR, b"UI", IMPLEMENTATION_CLASS_UID)
        group += struct.pack("<HH2sHI", 2, _PRIVATE, b"OB", 0, len(private)) + private
    return bytes(_PREAMBLE_BYTES) + _PREFIX + struct.pack("<HH2sHI", 2, 0, b"UL", 4, len(group)) + group


def _element(number: int, vr: bytes, text: str) -> bytes:
    value = text.encode("ascii", "replace")
    if len(value) % 2:
        value += b"\0" if vr == b"UI" else b" "
    return struct.pack("<HH2sH", 2, number, vr, len(value)) + value


class MetaReader:
    """Push parser for the head of a file: `feed` until it returns a FileMeta, or `finish` when the input ends.

    Accepts files without preamble, with a wrong or missing group length, with an implicit VR meta group, and
    bare data sets that certainly are such.
    """

    def __init__(self) -> None:
        self._buffer = bytearray()
        self._position = -1
        """Where the next element of the meta group starts; -1 until that is known."""
        self._declared_end = -1
        self._values: dict[int, str] = {}
        self._private = b""
        self._meta: FileMeta | None = None

    @property
    def surplus(self) -> bytes:
        """What was fed beyond the head: the beginning of the data set, possibly of several feeds."""
        return bytes(self._buffer[self._meta.length_bytes :]) if self._meta else b""

    def feed(self, data: bytes | bytearray | memoryview) -> FileMeta | None:
        """Take the next bytes; the FileMeta once the data set has begun. Raises CannotUnderstand."""
        self._buffer += data
        return self._read(is_final=False)

    def finish(self) -> FileMeta:
        """There are no more bytes. Raises CannotUnderstand when the head is not complete."""
        if not self._buffer:
            raise CannotUnderstand("The file is empty")
        meta = self._read(is_final=True)
        if meta is None:
            raise CannotUnderstand("The file ends inside its meta group")
        return meta

    def _read(self, *, is_final: bool) -> FileMeta | None:
        if self._meta is None and self._position < 0:
            self._find_start(is_final=is_final)
        while self._meta is None and self._position >= 0:
            before = self._position
            self._step(is_final=is_final)
            if self._position == before:
                break
        if self._meta is None and self._position > _LONGEST_HEAD_BYTES:
            raise TooLarge(f"The meta group is longer than {_LONGEST_HEAD_BYTES} bytes")
        return self._meta

    def _find_start(self, *, is_final: bool) -> None:
        head = self._buffer
        if len(head) < _PREAMBLE_BYTES + len(_PREFIX) and not is_final:
            return
        if head[_PREAMBLE_BYTES : _PREAMBLE_BYTES + len(_PREFIX)] == _PREFIX:
            self._position = _PREAMBLE_BYTES + len(_PREFIX)
        elif head[: len(_PREFIX)] == _PREFIX:
            self._position = len(_PREFIX)
        elif head[:2] == _GROUP:
            self._position = 0
        else:
            syntax = guess_transfer_syntax(bytes(head[:8]))
            if syntax is None:
                raise CannotUnderstand("This is not a DICOM file")
            self._meta = FileMeta("", "", syntax, 0)

    def _step(self, *, is_final: bool) -> None:
        """Read one element, or find that the group ended; does nothing when more bytes are needed."""
        head, pos = self._buffer, self._position
        syntax = syntaxes.lookup(self._values.get(_TRANSFER_SYNTAX, ""))
        # A deflated stream may begin with any bytes, so there only the group length can tell.
        if pos == self._declared_end and syntax is not None and syntax.deflated:
            self._end(is_final=is_final)
            return
        if len(head) - pos < 12 and not is_final:
            return
        if head[pos : pos + 2] != _GROUP:
            self._end(is_final=is_final)
            return
        if len(head) - pos < 8:
            return
        start, length = self._header(pos)
        if length == _UNDEFINED or length > _LONGEST_HEAD_BYTES:
            raise CannotUnderstand("The meta group is damaged")
        if len(head) < start + length:
            return
        self._position = start + length
        self._keep(int.from_bytes(head[pos + 2 : pos + 4], "little"), bytes(head[start : self._position]))

    def _header(self, pos: int) -> tuple[int, int]:
        """Start and length of the value of the element at `pos`, in explicit or, wrongly, implicit VR."""
        head = self._buffer
        vr = head[pos + 4 : pos + 6].decode("latin-1")
        if vr in LONG_FORM:
            return pos + 12, int.from_bytes(head[pos + 8 : pos + 12], "little")
        if vr in LITTLE_ENDIAN:
            return pos + 8, int.from_bytes(head[pos + 6 : pos + 8], "little")
        return pos + 8, int.from_bytes(head[pos + 4 : pos + 8], "little")

    def _keep(self, number: int, value: bytes) -> None:
        if number == _GROUP_LENGTH and len(value) == 4:
            self._declared_end = self._position + int.from_bytes(value, "little")
        elif number in (_SOP_CLASS, _SOP_INSTANCE, _TRANSFER_SYNTAX, _PRIVATE_CREATOR):
            self._values[number] = value.decode("latin-1").strip(" \0")
        elif number == _PRIVATE and self._values.get(_PRIVATE_CREATOR) == IMPLEMENTATION_CLASS_UID:
            self._private = value

    def _end(self, *, is_final: bool) -> None:
        syntax: str | None = self._values.get(_TRANSFER_SYNTAX)
        if not syntax:
            if len(self._buffer) - self._position < 8 and not is_final:
                return
            syntax = guess_transfer_syntax(bytes(self._buffer[self._position : self._position + 8]))
            if syntax is None:
                raise CannotUnderstand("Transfer Syntax UID is missing")
        sop_class, sop_instance = self._values.get(_SOP_CLASS, ""), self._values.get(_SOP_INSTANCE, "")
        self._meta = FileMeta(sop_class, sop_instance, syntax, self._position, self._private)


def guess_transfer_syntax(head: bytes) -> str | None:
    """The native syntax of a bare data set by its first 8 bytes; None unless those surely are of group 0008."""
    if len(head) < 8:
        return None
    vr = head[4:6].decode("latin-1")
    is_vr = vr in LITTLE_ENDIAN or vr in LONG_FORM
    if head[:2] == b"\x00\x08":
        return syntaxes.EXPLICIT_BIG if is_vr else None
    if head[:2] != b"\x08\x00":
        return None
    if is_vr:
        return syntaxes.EXPLICIT_LITTLE
    number, length = struct.unpack("<HI", head[2:])
    known = not number or public_vr(0x00080000 | number) is not None
    return syntaxes.IMPLICIT_LITTLE if known and length < _LONGEST_FIRST_VALUE else None
