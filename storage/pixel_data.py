"""Pixel Data on its way out: single frames, and the whole value uncompressed.

A frame as stored is one read at a known place. What has to be decoded is decoded when it is asked for, frame by
frame, so that memory holds one of them however many there are.
"""

from collections.abc import Iterator
from functools import partial

from index.access import Scope
from index.layout import NativePixels
from index.records import DicomJson, InstanceKey, StoredInstance, Wanted
from storage import renditions, transfer
from storage.outgoing import OpenFrames, OpenObject, in_memory
from storage.pixels import recode
from storage.pixels.description import integer
from storage.reader import Reader
from storage.retrieve import Shelf, dataset_of
from storage.syntaxes import EXPLICIT_LITTLE

_ROWS = "00280010"
_COLUMNS = "00280011"
_BITS_ALLOCATED = "00280100"


def open_frames(shelf: Shelf, scope: Scope, where: InstanceKey | StoredInstance, wanted: Wanted) -> OpenFrames:
    """The frames of an instance. Raises NotFound, NotAcceptable."""
    instance = where if isinstance(where, StoredInstance) else shelf.catalog.locate(scope, where)
    reader = shelf.reader(instance)
    number_of_frames = reader.pixels.number_of_frames
    plan = transfer.plan_frames(instance.transfer_syntax_uid, wanted, half_colour=_half_colour(instance))
    if other := _other(shelf, scope, instance, wanted, plan):
        instance, reader = other, shelf.reader(other)
        plan = transfer.plan_frames(instance.transfer_syntax_uid, wanted)
    if plan.how == "as_stored":
        return OpenFrames(
            instance, plan.target, number_of_frames, True, partial(_stored, reader, instance, plan.target)
        )
    make = _Recoding(reader, instance, plan.target, dataset_of(shelf, scope, instance.key), shelf.limits.decoded_bytes)
    return OpenFrames(instance, plan.target, number_of_frames, False, make)


def _other(
    shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted, plan: transfer.Plan
) -> StoredInstance | None:
    """The rendition, when it is to be sent instead."""
    known, blobs = shelf.catalog.renditions, shelf.blobs
    if known.preferred and wanted.as_stored_ok:
        return renditions.preferred(known, blobs, scope, instance)
    return renditions.instead(known, blobs, scope, instance, wanted, plan)


def open_video(shelf: Shelf, instance: StoredInstance) -> OpenObject:
    """The stream that a video is: its fragments, read where a player seeks. Never read as a whole, because a recorded
    operation is as long as the operation."""
    return _stored(shelf.reader(instance), instance, instance.transfer_syntax_uid, 1)


def open_pixel_data(shelf: Shelf, scope: Scope, instance: StoredInstance) -> OpenObject:
    """The whole Pixel Data uncompressed, as in the instance in Explicit VR Little Endian. Raises NotAcceptable."""
    frames = open_frames(shelf, scope, instance, Wanted((EXPLICIT_LITTLE,), as_stored_ok=False))
    pixels = instance.layout.pixels
    if isinstance(pixels, NativePixels) and frames.as_stored:
        where = (pixels.offset_bytes, pixels.length_bytes)
        return OpenObject(instance, EXPLICIT_LITTLE, pixels.length_bytes, shelf.reader(instance).part(where))
    first = frames.open(1)
    if isinstance(frames.open, _Recoding) and (bits := frames.open.bits_across_bytes()):
        made = [b"".join(frames.open(number).blocks) for number in range(1, frames.number_of_frames + 1)]
        value = recode.join_bits(made, bits)
        return in_memory(instance, EXPLICIT_LITTLE, value + b"\0" * (len(value) % 2))
    total = first.length_bytes * frames.number_of_frames
    return OpenObject(instance, EXPLICIT_LITTLE, total + total % 2, partial(_value, frames, first))


def _half_colour(instance: StoredInstance) -> bool:
    pixels = instance.layout.pixels
    return isinstance(pixels, NativePixels) and pixels.half_colour


def _stored(reader: Reader, instance: StoredInstance, target: str, number: int) -> OpenObject:
    ranges = reader.frame_ranges(number)
    if not ranges:
        return in_memory(instance, target, reader.frame(number))
    return OpenObject(instance, target, sum(length for _, length in ranges), reader.part(*ranges))


class _Recoding:
    """Makes frames in another syntax."""

    __slots__ = ("_dataset", "_instance", "_limit_bytes", "_reader", "_target")

    def __init__(
        self, reader: Reader, instance: StoredInstance, target: str, dataset: DicomJson, limit_bytes: int
    ) -> None:
        self._reader = reader
        self._instance = instance
        self._target = target
        self._dataset = dataset
        self._limit_bytes = limit_bytes

    def __call__(self, number: int) -> OpenObject:
        frame = self._reader.stored_frame(number, self._dataset)
        return in_memory(
            self._instance, self._target, recode.recode_frame(frame, self._target, limit_bytes=self._limit_bytes)
        )

    def bits_across_bytes(self) -> int:
        """Bits of a frame when frames do not end with a byte, else 0 (PS3.5 8.1.1)."""
        if integer(self._dataset, _BITS_ALLOCATED, 8) != 1:
            return 0
        bits = integer(self._dataset, _ROWS, 0) * integer(self._dataset, _COLUMNS, 0)
        return bits if bits % 8 else 0


def _value(frames: OpenFrames, first: OpenObject, start: int, stop: int) -> Iterator[bytes]:
    """Frames of one size as one value, padded to an even length (PS3.5 7.1); only those asked for are made."""
    size = first.length_bytes
    for index in range(start // size, min((stop + size - 1) // size, frames.number_of_frames)):
        frame = frames.open(index + 1) if index else first
        yield from frame.read(max(start - index * size, 0), min(stop - index * size, size))
    if stop > size * frames.number_of_frames:
        yield b"\0"
