"""The transfer syntaxes of PS3.6 A, as far as a parser and a negotiation need to know them.

Every syntax describes two things: how the data set is written (implicit or explicit VR, byte order,
deflated) and how its pixels are (native or encapsulated). Only the table below names UIDs.
"""

from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class TransferSyntax:
    """What one Transfer Syntax UID means."""

    uid: str
    name: str
    explicit_vr: bool = True
    little_endian: bool = True
    deflated: bool = False
    """The data set is one raw RFC 1951 stream (PS3.5 A.5)."""
    encapsulated: bool = False
    """Pixel Data at top level is a sequence of fragments (PS3.5 A.4); it may still be native in icons."""
    lossless: bool = True
    """False when the syntax allows that decoded pixels differ from the original ones."""
    video: bool = False
    """All frames are one stream that may be cut anywhere (PS3.5 8.2.5 and following)."""


IMPLICIT_LITTLE: Final = "1.2.840.10008.1.2"
EXPLICIT_LITTLE: Final = "1.2.840.10008.1.2.1"
DEFLATED_LITTLE: Final = "1.2.840.10008.1.2.1.99"
EXPLICIT_BIG: Final = "1.2.840.10008.1.2.2"
JPEG_BASELINE: Final = "1.2.840.10008.1.2.4.50"
JPEG_LOSSLESS_SV1: Final = "1.2.840.10008.1.2.4.70"
JPEG_LS_LOSSLESS: Final = "1.2.840.10008.1.2.4.80"
JPEG_2000_LOSSLESS: Final = "1.2.840.10008.1.2.4.90"
JPEG_2000: Final = "1.2.840.10008.1.2.4.91"
RLE_LOSSLESS: Final = "1.2.840.10008.1.2.5"

_NATIVE = (
    TransferSyntax(IMPLICIT_LITTLE, "Implicit VR Little Endian", explicit_vr=False),
    TransferSyntax(EXPLICIT_LITTLE, "Explicit VR Little Endian"),
    TransferSyntax(DEFLATED_LITTLE, "Deflated Explicit VR Little Endian", deflated=True),
    TransferSyntax(EXPLICIT_BIG, "Explicit VR Big Endian", little_endian=False),
    TransferSyntax("1.2.840.10008.1.20", "Papyrus 3 Implicit VR Little Endian", explicit_vr=False),
    # Pixels stand behind a URL, so an object holds none of them.
    TransferSyntax("1.2.840.10008.1.2.4.94", "JPIP Referenced", lossless=False),
    TransferSyntax("1.2.840.10008.1.2.4.95", "JPIP Referenced Deflate", deflated=True, lossless=False),
    TransferSyntax("1.2.840.10008.1.2.4.204", "JPIP HTJ2K Referenced", lossless=False),
    TransferSyntax("1.2.840.10008.1.2.4.205", "JPIP HTJ2K Referenced Deflate", deflated=True, lossless=False),
    # Real-time streams (PS3.22): objects in these syntaxes carry no Pixel Data.
    TransferSyntax("1.2.840.10008.1.2.7.1", "SMPTE ST 2110-20 Uncompressed Progressive Active Video"),
    TransferSyntax("1.2.840.10008.1.2.7.2", "SMPTE ST 2110-20 Uncompressed Interlaced Active Video"),
    TransferSyntax("1.2.840.10008.1.2.7.3", "SMPTE ST 2110-30 PCM Digital Audio"),
)

_LOSSLESS = (
    ("1.2.840.10008.1.2.1.98", "Encapsulated Uncompressed Explicit VR Little Endian"),
    ("1.2.840.10008.1.2.4.57", "JPEG Lossless, Non-Hierarchical (Process 14)"),
    ("1.2.840.10008.1.2.4.58", "JPEG Lossless, Non-Hierarchical (Process 15)"),
    ("1.2.840.10008.1.2.4.65", "JPEG Lossless, Hierarchical (Process 28)"),
    ("1.2.840.10008.1.2.4.66", "JPEG Lossless, Hierarchical (Process 29)"),
    (JPEG_LOSSLESS_SV1, "JPEG Lossless, First-Order Prediction (Process 14, Selection Value 1)"),
    (JPEG_LS_LOSSLESS, "JPEG-LS Lossless"),
    (JPEG_2000_LOSSLESS, "JPEG 2000 (Lossless Only)"),
    ("1.2.840.10008.1.2.4.92", "JPEG 2000 Part 2 Multi-component (Lossless Only)"),
    ("1.2.840.10008.1.2.4.110", "JPEG XL Lossless"),
    ("1.2.840.10008.1.2.4.201", "High-Throughput JPEG 2000 (Lossless Only)"),
    ("1.2.840.10008.1.2.4.202", "High-Throughput JPEG 2000 with RPCL Options (Lossless Only)"),
    (RLE_LOSSLESS, "RLE Lossless"),
    ("1.2.840.10008.1.2.8.1", "Deflated Image Frame Compression"),
)

_LOSSY = (
    (JPEG_BASELINE, "JPEG Baseline (Process 1)"),
    ("1.2.840.10008.1.2.4.51", "JPEG Extended (Process 2 and 4)"),
    ("1.2.840.10008.1.2.4.52", "JPEG Extended (Process 3 and 5)"),
    ("1.2.840.10008.1.2.4.53", "JPEG Spectral Selection, Non-Hierarchical (Process 6 and 8)"),
    ("1.2.840.10008.1.2.4.54", "JPEG Spectral Selection, Non-Hierarchical (Process 7 and 9)"),
    ("1.2.840.10008.1.2.4.55", "JPEG Full Progression, Non-Hierarchical (Process 10 and 12)"),
    ("1.2.840.10008.1.2.4.56", "JPEG Full Progression, Non-Hierarchical (Process 11 and 13)"),
    ("1.2.840.10008.1.2.4.59", "JPEG Extended, Hierarchical (Process 16 and 18)"),
    ("1.2.840.10008.1.2.4.60", "JPEG Extended, Hierarchical (Process 17 and 19)"),
    ("1.2.840.10008.1.2.4.61", "JPEG Spectral Selection, Hierarchical (Process 20 and 22)"),
    ("1.2.840.10008.1.2.4.62", "JPEG Spectral Selection, Hierarchical (Process 21 and 23)"),
    ("1.2.840.10008.1.2.4.63", "JPEG Full Progression, Hierarchical (Process 24 and 26)"),
    ("1.2.840.10008.1.2.4.64", "JPEG Full Progression, Hierarchical (Process 25 and 27)"),
    ("1.2.840.10008.1.2.4.81", "JPEG-LS Lossy (Near-Lossless)"),
    (JPEG_2000, "JPEG 2000"),
    ("1.2.840.10008.1.2.4.93", "JPEG 2000 Part 2 Multi-component"),
    # Recompressed JPEG can be turned back into the very same JPEG, which itself was lossy.
    ("1.2.840.10008.1.2.4.111", "JPEG XL JPEG Recompression"),
    ("1.2.840.10008.1.2.4.112", "JPEG XL"),
    ("1.2.840.10008.1.2.4.203", "High-Throughput JPEG 2000"),
)

_VIDEO = (
    ("1.2.840.10008.1.2.4.100", "MPEG2 Main Profile / Main Level"),
    ("1.2.840.10008.1.2.4.101", "MPEG2 Main Profile / High Level"),
    ("1.2.840.10008.1.2.4.102", "MPEG-4 AVC/H.264 High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.103", "MPEG-4 AVC/H.264 BD-compatible High Profile / Level 4.1"),
    ("1.2.840.10008.1.2.4.104", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 2D Video"),
    ("1.2.840.10008.1.2.4.105", "MPEG-4 AVC/H.264 High Profile / Level 4.2 For 3D Video"),
    ("1.2.840.10008.1.2.4.106", "MPEG-4 AVC/H.264 Stereo High Profile / Level 4.2"),
)

_HEVC = (
    ("1.2.840.10008.1.2.4.107", "HEVC/H.265 Main Profile / Level 5.1"),
    ("1.2.840.10008.1.2.4.108", "HEVC/H.265 Main 10 Profile / Level 5.1"),
)


def _table() -> dict[str, TransferSyntax]:
    rows = list(_NATIVE)
    rows += [TransferSyntax(uid, name, encapsulated=True) for uid, name in _LOSSLESS]
    rows += [TransferSyntax(uid, name, encapsulated=True, lossless=False) for uid, name in _LOSSY]
    fragmentable = [(f"{uid}.1", f"Fragmentable {name}") for uid, name in _VIDEO]
    rows += [
        TransferSyntax(uid, name, encapsulated=True, lossless=False, video=True)
        for uid, name in (*_VIDEO, *fragmentable, *_HEVC)
    ]
    return {row.uid: row for row in rows}


KNOWN: Final = _table()
"""Transfer Syntax UID -> what it means. RFC 2557 and XML encoding (retired) are not data sets and not here."""


def lookup(uid: str) -> TransferSyntax | None:
    """The transfer syntax with this UID, or None when it is private or newer than this table."""
    return KNOWN.get(uid)
