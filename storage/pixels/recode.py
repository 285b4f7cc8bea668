"""Frames and whole objects in another transfer syntax than the stored one."""

import struct
import zlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate

from config.settings import Limits
from index.errors import NotAcceptable, TooLarge
from index.layout import NativePixels, ObjectLayout
from index.records import DicomJson
from storage import frames, syntaxes
from storage.inflate import inflate
from storage.pixels import rewrite
from storage.pixels.description import ImageDescription, StoredFrame, integer
from storage.pixels.rewrite import Element, Encoding
from storage.syntaxes import TransferSyntax
from storage.transfer import NATIVE, is_renaming

_EXTENDED_OFFSET_TABLES = (0x7FE00001, 0x7FE00002, 0x7FE00003)
_PHOTOMETRIC_INTERPRETATION = 0x00280004
_PLANAR_CONFIGURATION = 0x00280006
_PIXEL_REPRESENTATION = "00280103"
_DEFLATE_LEVEL = 2
"""A third of the time of zlib's own choice for a few percent more bytes."""


def recode_frame(frame: StoredFrame, target_uid: str, *, limit_bytes: int) -> bytes:
    """One frame in the target syntax, as `transfer.plan_frames` allows it.

    Native frames are little endian, colour by pixel. Decoded JPEG and JPEG 2000 colour is RGB.
    Raises CannotUnderstand when the stored bytes cannot be decoded, NotAcceptable when the target
    cannot hold these pixels, TooLarge when a decoded frame exceeds `limit_bytes` (Limits.decoded_bytes).
    """
    from storage.pixels.decode import decode_frame
    from storage.pixels.encode import encode_frame

    description = ImageDescription.from_json(frame.dataset)
    return encode_frame(decode_frame(frame, description, limit_bytes=limit_bytes), description, target_uid)


def recode_dataset(
    stored: bytes | memoryview,
    *,
    layout: ObjectLayout,
    dataset: DicomJson,
    stored_uid: str,
    target_uid: str,
    limits: Limits,
) -> bytes:
    """The data set alone (no preamble, no meta group) in the target syntax, for every plan but `as_stored`.

    `stored` is the whole stored object (bytes or an mmap), `layout` and `dataset` are what ingest kept
    of it. The caller puts `part10.build_meta(..., transfer_syntax_uid=target_uid)` before it for a file.
    Values are copied, never re-formatted: only their encoding changes, and with decoded pixels the
    attributes that describe them. Raises CannotUnderstand, NotAcceptable, TooLarge.
    """
    source, target = _known(stored_uid), _known(target_uid)
    whole, start = _whole(stored, layout, limits)
    view = whole[start:]
    if len(view) > limits.decoded_bytes:
        raise TooLarge(f"Objects of more than {limits.decoded_bytes} bytes are not re-encoded")
    if is_renaming(stored_uid, target_uid):
        return bytes(view)
    changes: dict[int, Element | None] = {}
    if layout.pixels is not None and (source.encapsulated or target.encapsulated):
        image = _Image(whole, layout, dataset, stored_uid)
        changes = _other_pixels(image, target_uid, limit_bytes=limits.decoded_bytes)
    signed = integer(dataset, _PIXEL_REPRESENTATION, 0) == 1
    encoded = rewrite.rewrite(view, _encoding(source), _encoding(target), changes=changes, signed=signed)
    return _deflate(encoded) if target.deflated else encoded


@dataclass(frozen=True, slots=True)
class EncodedPixels:
    """All frames of an object in another, encapsulated syntax."""

    transfer_syntax_uid: str
    photometric_interpretation: str
    frames: Sequence[bytes | memoryview]
    """Each of an even length (PS3.5 A.4)."""


def with_pixels(
    stored: bytes | memoryview,
    pixels: EncodedPixels,
    *,
    layout: ObjectLayout,
    dataset: DicomJson,
    stored_uid: str,
    limits: Limits,
) -> list[bytes | memoryview]:
    """The data set with these pixels in place of its own, in the VR encoding that goes with them.

    In pieces, which are views of `stored` and of the frames wherever nothing changes, so that an object of any size
    takes little memory. Raises CannotUnderstand, TooLarge.
    """
    source, target = _known(stored_uid), _known(pixels.transfer_syntax_uid)
    whole, start = _whole(stored, layout, limits)
    description = ImageDescription.from_json(dataset)
    fragments = [_offset_table(pixels.frames), *pixels.frames]
    changes = _described(description, pixels.transfer_syntax_uid, pixels.photometric_interpretation)
    changes[rewrite.PIXEL_DATA] = Element("OB", fragments)
    return rewrite.rewritten(
        whole[start:], _encoding(source), _encoding(target), changes=changes, signed=description.signed
    )


@dataclass(frozen=True, slots=True)
class _Image:
    """A stored object's pixels. `whole` is the buffer in which the layout counts."""

    whole: memoryview
    layout: ObjectLayout
    dataset: DicomJson
    stored_uid: str

    def frames(self) -> Iterator[StoredFrame]:
        """All frames, in order."""
        pixels = self.layout.pixels
        if pixels is None:
            return
        for number in range(1, pixels.number_of_frames + 1):
            ranges = frames.byte_ranges(pixels, number)
            data = b"".join(self.whole[offset : offset + length] for offset, length in ranges)
            if isinstance(pixels, NativePixels):
                data = frames.cut_bits(pixels, number, data)
            yield StoredFrame(data, self.dataset, self.stored_uid, number)


def _known(uid: str) -> TransferSyntax:
    syntax = syntaxes.lookup(uid)
    if syntax is None:
        raise NotAcceptable(f"Transfer syntax {uid} is not known here")
    return syntax


def _encoding(syntax: TransferSyntax) -> Encoding:
    return Encoding(syntax.explicit_vr, syntax.little_endian)


def _whole(stored: bytes | memoryview, layout: ObjectLayout, limits: Limits) -> tuple[memoryview, int]:
    """The buffer in which the layout counts, and where the data set starts in it."""
    view = memoryview(stored)
    if not layout.deflated:
        return view, layout.dataset_offset_bytes
    return memoryview(inflate(view, layout.dataset_offset_bytes, limits)), 0


def _deflate(data: bytes) -> bytes:
    """A data set deflated, padded to even length (PS3.5 A.5)."""
    stream = zlib.compressobj(_DEFLATE_LEVEL, wbits=-zlib.MAX_WBITS)
    return _even(stream.compress(data) + stream.flush())


def _other_pixels(image: _Image, target_uid: str, *, limit_bytes: int) -> dict[int, Element | None]:
    """The elements that change when Pixel Data is decoded or compressed."""
    from storage.pixels import decode, encode

    description = ImageDescription.from_json(image.dataset)
    pixels = image.layout.pixels
    total = description.decoded_bytes * (pixels.number_of_frames if pixels else 0)
    if total > limit_bytes:
        raise TooLarge(f"The decoded object has {total} bytes; the limit is {limit_bytes}")
    photometric = description.photometric_interpretation
    encoded: list[bytes] = []
    for stored in image.frames():
        decoded = decode.decode_frame(stored, description, limit_bytes=limit_bytes)
        photometric = encode.photometric_interpretation(decoded, target_uid)
        encoded.append(encode.encode_frame(decoded, description, target_uid))
    changes = _described(description, target_uid, photometric)
    changes[rewrite.PIXEL_DATA] = _pixel_data(encoded, description, target_uid)
    return changes


def _described(description: ImageDescription, target_uid: str, photometric: str) -> dict[int, Element | None]:
    """The attributes that describe other pixels."""
    from storage.pixels import encode

    changes: dict[int, Element | None] = dict.fromkeys(_EXTENDED_OFFSET_TABLES)
    if photometric != description.photometric_interpretation:
        changes[_PHOTOMETRIC_INTERPRETATION] = Element("CS", _even(photometric.encode(), b" "))
    if description.samples_per_pixel > 1:
        planar = encode.planar_configuration(target_uid)
        changes[_PLANAR_CONFIGURATION] = Element("US", planar.to_bytes(2, "little"), word_bytes=2)
    return changes


def _pixel_data(encoded: list[bytes], description: ImageDescription, target_uid: str) -> Element:
    if target_uid not in NATIVE:
        return Element("OB", [_offset_table(encoded), *(_even(frame) for frame in encoded)])
    if description.bits_allocated == 1:
        return Element("OB", _even(join_bits(encoded, description.rows * description.columns)))
    words = description.bits_allocated > 8
    return Element("OW" if words else "OB", _even(b"".join(encoded)), word_bytes=description.sample_bytes)


def _offset_table(encoded: Sequence[bytes | memoryview]) -> bytes:
    """The Basic Offset Table (PS3.5 A.4): offsets of the frames' items from the end of the table.

    Empty when they do not fit into 32 bits; each frame is one fragment, so they are found all the same.
    """
    starts = [0, *accumulate(8 + len(frame) + len(frame) % 2 for frame in encoded)][:-1]
    return struct.pack(f"<{len(starts)}I", *starts) if not starts or starts[-1] < 2**32 else b""


def join_bits(encoded: list[bytes], frame_bits: int) -> bytes:
    """Single-bit frames follow each other without padding, so one may start inside a byte (PS3.5 8.1.1)."""
    if frame_bits % 8 == 0:
        return b"".join(encoded)
    whole = sum(int.from_bytes(frame, "little") << (number * frame_bits) for number, frame in enumerate(encoded))
    return whole.to_bytes((len(encoded) * frame_bits + 7) // 8, "little")


def _even(value: bytes, padding: bytes = b"\0") -> bytes:
    return value + padding if len(value) % 2 else value
