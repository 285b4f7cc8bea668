"""The boxes of MP4 files (ISO/IEC 14496-12): what the video track says of itself, without touching the stream."""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from index.errors import CannotUnderstand
from storage.spool import Source

_MOST_BOXES: Final = 10_000
_LARGEST_HEADER_BYTES: Final = 64 * 1024**2
"""`moov` holds tables with a few bytes a frame: this is a day of video."""
_ENTRY_BYTES: Final = 86
"""Fixed part of a visual sample entry, its own box header included (ISO/IEC 14496-12, 12.1.3)."""


@dataclass(frozen=True, slots=True)
class VideoTrack:
    """The first video track."""

    codec: str
    """Four-character code of its sample entry, such as avc1."""
    columns: int
    rows: int
    frames: int
    seconds: float
    configuration: bytes
    """Value of avcC or hvcC; empty when there is none."""


def video_track(source: Source) -> VideoTrack:
    """Read the head of an MP4 file. Raises CannotUnderstand."""
    if source.read(4, 4) != b"ftyp":
        raise CannotUnderstand("The part is no MP4 file")
    try:
        for track in _each(_movie(source), b"trak"):
            media = _one(track, b"mdia")
            if _one(media, b"hdlr")[8:12] == b"vide":
                return _track(media)
    except (struct.error, IndexError) as exc:
        raise CannotUnderstand("The MP4 file is damaged") from exc
    raise CannotUnderstand("The MP4 file has no video track")


def _movie(source: Source) -> bytes:
    """The value of `moov`, which may stand behind the stream."""
    at = 0
    for _ in range(_MOST_BOXES):
        if at + 8 > source.size_bytes:
            break
        length, kind = struct.unpack(">I4s", source.read(at, 8))
        head = 8
        if length == 1:
            length, head = int.from_bytes(source.read(at + 8, 8), "big"), 16
        length = length or source.size_bytes - at
        if kind == b"moov":
            if length > _LARGEST_HEADER_BYTES or at + length > source.size_bytes:
                break
            return source.read(at + head, length - head)
        if length < head:
            break
        at += length
    raise CannotUnderstand("The MP4 file has no movie header")


def _boxes(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    at = 0
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        if length < 8 or at + length > len(data):
            return
        yield kind, data[at + 8 : at + length]
        at += length


def _each(data: bytes, wanted: bytes) -> Iterator[bytes]:
    return (value for kind, value in _boxes(data) if kind == wanted)


def _one(data: bytes, wanted: bytes) -> bytes:
    found = next(_each(data, wanted), None)
    if found is None:
        raise CannotUnderstand(f"The MP4 file has no {wanted.decode()} box where one must be")
    return found


def _track(media: bytes) -> VideoTrack:
    table = _one(_one(media, b"minf"), b"stbl")
    entries = _one(table, b"stsd")
    length, codec = struct.unpack_from(">I4s", entries, 8)
    columns, rows = struct.unpack_from(">HH", entries, 8 + 32)
    inner = dict(_boxes(entries[8 + _ENTRY_BYTES : 8 + length]))
    (frames,) = struct.unpack_from(">I", _one(table, b"stsz"), 8)
    return VideoTrack(
        codec=codec.decode("latin-1"),
        columns=columns,
        rows=rows,
        frames=frames,
        seconds=_seconds(_one(media, b"mdhd")),
        configuration=inner.get(b"avcC") or inner.get(b"hvcC") or b"",
    )


def _seconds(header: bytes) -> float:
    """Duration from the media header (ISO/IEC 14496-12, 8.4.2); 0 when the file does not say."""
    scale, duration = struct.unpack_from(">IQ", header, 20) if header[0] else struct.unpack_from(">II", header, 12)
    return duration / scale if scale else 0.0
