"""Videos: MP4 with H.264 or H.265, and MPEG-2, in the transfer syntax that the stream conforms to (PS3.5 8.2.5-11).

The file is kept as it is, as one fragment. Size, number of frames and rate are read from its headers; of MPEG-2, which
has no table of frames, the pictures are counted.
"""

import re
from typing import Final

from index.errors import CannotUnderstand
from index.reasons import Code
from index.records import Element
from storage.composing import Fragments
from storage.spool import Source
from storage.syntaxes import KNOWN
from storage.wrapping.boxes import VideoTrack, video_track
from storage.wrapping.material import BITS_ALLOCATED, BITS_STORED, HIGH_BIT, Material, Samples, element

_AVC: Final = frozenset({"avc1", "avc3"})
_HEVC: Final = frozenset({"hvc1", "hev1"})
_AVC_PROFILES: Final = frozenset({66, 77, 100})
"""Baseline, Main and High (ITU-T H.264 annex A): a decoder for High decodes all three."""
_AVC_41, _AVC_41_BD, _AVC_42_2D = (f"1.2.840.10008.1.2.4.{number}" for number in (102, 103, 104))
_HEVC_MAIN, _HEVC_MAIN_10 = "1.2.840.10008.1.2.4.107", "1.2.840.10008.1.2.4.108"
_MPEG2_MAIN, _MPEG2_HIGH = "1.2.840.10008.1.2.4.100", "1.2.840.10008.1.2.4.101"
_HEVC_MOST_LEVEL: Final = 153
"""Level 5.1 as general_level_idc counts it, thirty to a level (ITU-T H.265 A.4)."""

_LONGEST_FRAGMENT: Final = 0xFFFFFFFE
_MPEG_HEAD_BYTES: Final = 1024**2
_SEQUENCE: Final = re.compile(rb"\x00\x00\x01\xb3(.{7})", re.DOTALL)
_EXTENSION: Final = re.compile(rb"\x00\x00\x01\xb5([\x10-\x1f].)", re.DOTALL)
_PICTURE: Final = b"\0\0\1\0"
_MPEG_RATES: Final = (0.0, 24000 / 1001, 24.0, 25.0, 30000 / 1001, 30.0, 50.0, 60000 / 1001, 60.0)
_MAIN_LEVEL_COLUMNS, _MAIN_LEVEL_ROWS = 720, 576
_HIGH_LEVEL_COLUMNS, _HIGH_LEVEL_ROWS = 1920, 1152


def read_mp4(source: Source, transfer_syntax_uid: str) -> Material:
    """An MP4 file. Raises CannotUnderstand."""
    track = video_track(source)
    own, bits, method = _mp4_syntaxes(track)
    uid = _choose(own, transfer_syntax_uid)
    rate = track.frames / track.seconds if track.seconds else 0.0
    return _video(source, uid, (track.rows, track.columns, bits), (track.frames, rate), method)


def _mp4_syntaxes(track: VideoTrack) -> tuple[tuple[str, ...], int, str]:
    """Transfer syntaxes that the stream conforms to, its bits per sample, and the name of the method."""
    record = track.configuration
    if track.codec in _AVC and len(record) >= 4:
        profile, level = record[1], record[3]
        if profile in _AVC_PROFILES and level <= 42:
            return ((_AVC_41, _AVC_41_BD, _AVC_42_2D) if level <= 41 else (_AVC_42_2D,)), 8, "ISO_14496_10"
        return (), 8, ""
    if track.codec in _HEVC and len(record) >= 19:
        profile, level, depth = record[1] & 0x1F, record[12], (record[17] & 7) + 8
        if level <= _HEVC_MOST_LEVEL and profile in (1, 2) and depth <= (8 if profile == 1 else 10):
            return ((_HEVC_MAIN,) if profile == 1 else (_HEVC_MAIN_10,)), depth, "ISO_23008_2"
        return (), 8, ""
    raise CannotUnderstand(f"The MP4 file holds {track.codec!r}, neither H.264 nor H.265")


def read_mpeg2(source: Source, transfer_syntax_uid: str) -> Material:
    """MPEG-2: an elementary, program or transport stream (ITU-T H.262 6.2.2). Raises CannotUnderstand."""
    head = source.read(0, _MPEG_HEAD_BYTES)
    sequence = _SEQUENCE.search(head)
    extension = _EXTENSION.search(head, sequence.end()) if sequence else None
    if sequence is None or extension is None:
        raise CannotUnderstand("The part is no MPEG-2 video")
    fields = int.from_bytes(sequence[1][:4], "big")
    columns, rows, rate = fields >> 20, fields >> 8 & 0xFFF, fields & 15
    profile = extension[1][0] & 7
    if profile != 4 or not 1 <= rate < len(_MPEG_RATES):
        raise CannotUnderstand("The MPEG-2 video is not of Main Profile", code=Code.TRANSFER_SYNTAX_NOT_SUPPORTED)
    own: tuple[str, ...] = ()
    if columns <= _MAIN_LEVEL_COLUMNS and rows <= _MAIN_LEVEL_ROWS:
        own = (_MPEG2_MAIN, _MPEG2_HIGH)
    elif columns <= _HIGH_LEVEL_COLUMNS and rows <= _HIGH_LEVEL_ROWS:
        own = (_MPEG2_HIGH,)
    uid = _choose(own, transfer_syntax_uid)
    return _video(source, uid, (rows, columns, 8), (_pictures(source), _MPEG_RATES[rate]), "ISO_13818_2")


def _pictures(source: Source) -> int:
    """How many picture headers there are. Start codes cannot occur inside of coded pictures."""
    count, tail = 0, b""
    for block in source.blocks():
        data = tail + block
        count += data.count(_PICTURE)
        tail = data[-(len(_PICTURE) - 1) :]
    return count


def _choose(own: tuple[str, ...], named: str) -> str:
    """What the stream conforms to, or what the sender names if that is one of them; `.1` is the fragmentable form."""
    if not own or (named and named.removesuffix(".1") not in own and named not in own):
        raise CannotUnderstand(
            "The video does not conform to the transfer syntax" if own else "No transfer syntax has this kind of video",
            code=Code.TRANSFER_SYNTAX_NOT_SUPPORTED,
        )
    return named if named in KNOWN else own[0]


def _video(source: Source, uid: str, shape: tuple[int, int, int], timing: tuple[int, float], method: str) -> Material:
    """`shape` is rows, columns and bits; `timing` is the number of frames and the rate per second, 0 if unknown."""
    rows, columns, bits = shape
    frames, rate = timing
    if source.size_bytes > _LONGEST_FRAGMENT:
        raise CannotUnderstand("The video is longer than a fragment can be")
    samples = Samples(rows, columns, 3, "YBR_PARTIAL_420", bits)
    attributes: dict[str, Element] = samples.attributes() | {
        BITS_ALLOCATED: element("US", samples.bits_allocated),
        BITS_STORED: element("US", bits),
        HIGH_BIT: element("US", bits - 1),
    }
    if frames < 1:
        raise CannotUnderstand("The video has no frames")
    if rate:
        attributes["00280009"] = element("AT", "00181063")
        attributes["00181063"] = element("DS", round(1000 / rate, 6))
        attributes["00180040"] = element("IS", max(1, round(rate)))
    return Material(
        uid,
        Fragments([source]),
        attributes,
        frames=frames,
        is_moving=True,
        lossy_method=method,
        native_bytes=samples.frame_bytes * frames,
    )
