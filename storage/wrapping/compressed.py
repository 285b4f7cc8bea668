"""Compressed images whose code stream becomes a frame as it is: JPEG, JPEG-LS, JPEG 2000, HTJ2K, RLE, JPEG XL.

PS3.18 10.5.2: such files are stored unchanged, and what the Image Pixel module says is read from them. Only the head
of the file is looked at; whether the rest decodes is found out by whoever looks at the picture.
"""

import struct
from typing import Final

from index.errors import CannotUnderstand
from index.reasons import Code
from index.records import DicomJson
from storage.composing import Fragments
from storage.pixels import codestream
from storage.spool import Cut, Source
from storage.transfer import syntaxes_of
from storage.wrapping.material import BITS_ALLOCATED, COLUMNS, ROWS, SAMPLES, Material, Samples, first, whole

_HEAD_BYTES: Final = 1024**2
"""Embedded thumbnails and profiles stand before the frame header; they are rarely larger."""

_JPEG_PROCESSES: Final = {
    0xC0: ("1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"),
    0xC1: ("1.2.840.10008.1.2.4.51",),
    0xC2: ("1.2.840.10008.1.2.4.55", "1.2.840.10008.1.2.4.53"),
}
"""SOF marker -> transfer syntaxes, of the processes that lose something."""
_JPEG_LOSSLESS, _JPEG_LOSSLESS_SV1 = "1.2.840.10008.1.2.4.57", "1.2.840.10008.1.2.4.70"
_JPEG_LS, _JPEG_LS_NEAR = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"
_J2K_REVERSIBLE, _J2K = "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.4.91"
_HTJ2K_REVERSIBLE, _HTJ2K = "1.2.840.10008.1.2.4.201", "1.2.840.10008.1.2.4.203"
_HTJ2K_RPCL: Final = "1.2.840.10008.1.2.4.202"
_JPEG_XL_LOSSLESS: Final = "1.2.840.10008.1.2.4.110"
_RLE: Final = "1.2.840.10008.1.2.5"
_LOSSLESS_PROCESS, _JPEG_LS_PROCESS = 0xC3, 0xF7
_SCAN_HEADERS: Final = frozenset({0xDA})
_DESCRIBED: Final = (SAMPLES, "00280004", ROWS, COLUMNS, BITS_ALLOCATED, "00280101")


def read_jpeg(source: Source, _attributes: DicomJson, transfer_syntax_uid: str) -> Material:
    """A JPEG or JPEG-LS file (ITU-T T.81, T.87). Raises CannotUnderstand."""
    head = source.read(0, _HEAD_BYTES)
    found = codestream.read_jpeg(head)
    own, method = _jpeg_syntaxes(found, _scan_parameter(head))
    is_rgb = found.is_rgb is True or (found.is_rgb is None and not method)
    # Whatever the sampling of its colours, JPEG with loss is YBR_FULL_422 (PS3.5 8.2.1): decoders read the stream.
    colour = "RGB" if is_rgb else "YBR_FULL_422" if method == "ISO_10918_1" else "YBR_FULL"
    return _one_frame(source, _samples(found, colour), _choose(own, transfer_syntax_uid), method)


def _jpeg_syntaxes(found: codestream.CodeStream, parameter: int) -> tuple[tuple[str, ...], str]:
    """The transfer syntaxes of a stream, strictest first, and the name of its lossy method, empty if it has none."""
    if found.process == _LOSSLESS_PROCESS:
        return (_JPEG_LOSSLESS_SV1, _JPEG_LOSSLESS) if parameter == 1 else (_JPEG_LOSSLESS,), ""
    if found.process == _JPEG_LS_PROCESS:
        return ((_JPEG_LS_NEAR,), "ISO_14495_1") if parameter else ((_JPEG_LS, _JPEG_LS_NEAR), "")
    return _JPEG_PROCESSES.get(found.process, ()), "ISO_10918_1"


def _scan_parameter(head: bytes) -> int:
    """Ss of the first scan, which is the predictor of lossless JPEG and the bound on errors of JPEG-LS (NEAR)."""
    at = _find(head, _SCAN_HEADERS)
    end = at + 5 + 2 * head[at + 4] if 0 <= at < len(head) - 5 else len(head)
    return head[end] if end < len(head) else 0


def _find(head: bytes, wanted: frozenset[int]) -> int:
    """Where the first marker segment of these kinds starts, -1 when there is none."""
    at = 2
    while at + 4 <= len(head) and head[at] == 0xFF:
        if head[at + 1] in wanted:
            return at
        at += 1 if head[at + 1] == 0xFF else 2 + int.from_bytes(head[at + 2 : at + 4], "big")
    return -1


def read_jpeg_2000(source: Source, _attributes: DicomJson, transfer_syntax_uid: str) -> Material:
    """JPEG 2000 and HTJ2K, a bare code stream or one in a JP2 file (ITU-T T.800). Raises CannotUnderstand."""
    bare = _code_stream(source)
    head = bare.read(0, _HEAD_BYTES)
    found = codestream.read_jpeg_2000(head)
    reversible, transformed, high_throughput = _coding_style(head)
    own: tuple[str, ...]
    if high_throughput:
        own = (_HTJ2K_REVERSIBLE, _HTJ2K_RPCL, _HTJ2K) if reversible else (_HTJ2K,)
    else:
        own = (_J2K_REVERSIBLE, _J2K) if reversible else (_J2K,)
    uid = _choose(own, transfer_syntax_uid)
    method = "" if reversible else "ISO_15444_15" if high_throughput else "ISO_15444_1"
    colour = "RGB" if not transformed else "YBR_RCT" if reversible else "YBR_ICT"
    return _one_frame(bare, _samples(found, colour), uid, method)


def _code_stream(source: Source) -> Source:
    """The contiguous code stream of a JP2 file (ITU-T T.800 I.5.4): frames of DICOM have no boxes around it."""
    if source.read(0, 2) == b"\xff\x4f":
        return source
    at = 0
    while at + 8 <= source.size_bytes:
        length, kind = struct.unpack(">I4s", source.read(at, 8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(source.read(at + 8, 8), "big"), 16
        end = at + length if length else source.size_bytes
        if kind == b"jp2c":
            return Cut(source, at + head, min(end, source.size_bytes) - at - head)
        if end < at + head:
            break
        at = end
    raise CannotUnderstand("A JPEG 2000 file has no code stream")


def _coding_style(head: bytes) -> tuple[bool, bool, bool]:
    """Whether the wavelet is reversible, components are transformed, and blocks are coded as in HTJ2K (T.800 A.6.1)."""
    at, high_throughput = 2, False
    while at + 4 <= len(head):
        marker, length = struct.unpack_from(">HH", head, at)
        if marker == 0xFF50:  # CAP, which only streams with extensions have (T.814 A.3).
            high_throughput = True
        if marker == 0xFF52 and at + 14 <= len(head):
            return head[at + 13] == 1, head[at + 8] == 1, high_throughput
        if marker >> 8 != 0xFF or marker == 0xFF90:
            break
        at += 2 + length
    raise CannotUnderstand("A JPEG 2000 code stream has no coding style")


def read_described(source: Source, attributes: DicomJson, transfer_syntax_uid: str) -> Material:
    """RLE and JPEG XL: the metadata must say what the frame holds. Raises CannotUnderstand."""
    missing = tuple(tag for tag in _DESCRIBED if first(attributes, tag) is None)
    if missing:
        raise CannotUnderstand("This media type needs the Image Pixel module in the metadata", attributes=missing)
    own = (_RLE,) if transfer_syntax_uid in ("", _RLE) else syntaxes_of("image/jxl")
    uid = _choose(own, transfer_syntax_uid)
    rows, columns, samples, bits = (whole(attributes, tag) or 0 for tag in (ROWS, COLUMNS, SAMPLES, BITS_ALLOCATED))
    if uid == _RLE:
        codestream.check_rle(source.read(0, _HEAD_BYTES), samples * bits // 8)
    method = "" if uid in (_RLE, _JPEG_XL_LOSSLESS) else "ISO_18181_1"
    return Material(uid, Fragments([source]), lossy_method=method, native_bytes=rows * columns * samples * bits // 8)


def _samples(found: codestream.CodeStream, colour: str) -> Samples:
    if found.samples_per_pixel not in (1, 3):
        raise CannotUnderstand(f"An image with {found.samples_per_pixel} samples per pixel", attributes=(SAMPLES,))
    photometric = colour if found.samples_per_pixel == 3 else "MONOCHROME2"
    return Samples(found.rows, found.columns, found.samples_per_pixel, photometric, found.bits, found.signed)


def _choose(own: tuple[str, ...], named: str) -> str:
    """The transfer syntax of a code stream: the one that the sender names if the stream is such, else the strictest."""
    if not own or (named and named not in own):
        raise CannotUnderstand(
            "The image is not encoded in the transfer syntax of its part", code=Code.TRANSFER_SYNTAX_NOT_SUPPORTED
        )
    return named or own[0]


def _one_frame(source: Source, samples: Samples, transfer_syntax_uid: str, method: str) -> Material:
    return Material(
        transfer_syntax_uid,
        Fragments([source]),
        samples.attributes(),
        lossy_method=method,
        native_bytes=samples.frame_bytes,
    )
