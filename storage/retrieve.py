"""The one way out: stored objects, frames, bulk data and pictures of them.

As stored, nothing here looks into DICOM: ingest noted where everything stands, so a frame is one read of
(offset, length). Only what a peer cannot take as it is goes through `storage.pixels`.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import orjson

from config import settings
from index.access import Scope
from index.catalog import Catalog
from index.errors import CannotUnderstand, NotFound, TooLarge
from index.layout import NativePixels, PixelLayout
from index.records import DicomJson, InstanceKey, RenderOptions, StoredInstance, Wanted
from storage import frames as frame_table
from storage import metadata, part10, transfer
from storage.blobs import BLOCK_BYTES, BlobStore
from storage.inflate import inflate
from storage.outgoing import FrameData, OpenObject
from storage.pixels import icon, recode, render
from storage.pixels.description import StoredFrame, text
from storage.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE
from storage.values import Buffer
from storage.video import is_video

_UNIT_BYTES = {"OW": 2, "US": 2, "SS": 2, "OF": 4, "OL": 4, "FL": 4, "SL": 4, "UL": 4, "OD": 8, "OV": 8, "FD": 8}


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where stored objects are found."""

    catalog: Catalog
    blobs: BlobStore
    limits: settings.Limits


def open_dataset(shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted) -> OpenObject:
    """The encoded data set alone. Raises NotAcceptable."""
    plan = transfer.plan(instance.transfer_syntax_uid, wanted, is_image=instance.layout.pixels is not None)
    if plan.how != "as_stored":
        return _in_memory(instance, plan.target, _recoded(shelf, scope, instance, plan.target))
    offset = instance.layout.dataset_offset_bytes
    length = instance.size_bytes - offset
    return OpenObject(instance, plan.target, length, shelf.blobs.stream(instance.blob_key, offset, length))


def open_file(shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted) -> OpenObject:
    """The whole Part 10 file. Raises NotAcceptable."""
    plan = transfer.plan(instance.transfer_syntax_uid, wanted, is_image=instance.layout.pixels is not None)
    if plan.how != "as_stored":
        meta = part10.build_meta(
            sop_class_uid=instance.sop_class_uid,
            sop_instance_uid=instance.key.sop_instance_uid,
            transfer_syntax_uid=plan.target,
        )
        return _in_memory(instance, plan.target, meta, _recoded(shelf, scope, instance, plan.target))
    blocks = shelf.blobs.stream(instance.blob_key, 0, instance.size_bytes)
    return OpenObject(instance, plan.target, instance.size_bytes, blocks)


def frames(shelf: Shelf, scope: Scope, key: InstanceKey, numbers: Sequence[int], wanted: Wanted) -> list[FrameData]:
    """The frames with these numbers, in the order asked. Raises NotFound, NotAcceptable."""
    instance = shelf.catalog.locate(scope, key)
    _pixels(instance)
    plan = transfer.plan_frames(instance.transfer_syntax_uid, wanted)
    reader = _Reader(shelf, instance)
    if plan.how == "as_stored":
        return [FrameData(instance, number, plan.target, reader.frame(number)) for number in numbers]
    dataset = _dataset(shelf, scope, key)
    limit_bytes = shelf.limits.decoded_bytes
    return [
        FrameData(
            instance,
            number,
            plan.target,
            recode.recode_frame(reader.stored_frame(number, dataset), plan.target, limit_bytes=limit_bytes),
        )
        for number in numbers
    ]


def bulkdata(shelf: Shelf, scope: Scope, key: InstanceKey, path: str) -> OpenObject:
    """One bulk data value as it lies in the data set. Raises NotFound."""
    instance = shelf.catalog.locate(scope, key)
    where = instance.layout.bulk.get(path)
    if where is None:
        raise NotFound("There is no such bulk data")
    offset, length = where
    reader = _Reader(shelf, instance)
    if instance.transfer_syntax_uid == EXPLICIT_BIG:
        # PS3.18 8.7.3.3: bulk data are little endian on the web, whatever the object is.
        width = _unit_bytes(_dataset(shelf, scope, key), path)
        return _in_memory(instance, EXPLICIT_LITTLE, _swapped(reader.read(offset, length), width))
    return OpenObject(instance, instance.transfer_syntax_uid, length, reader.stream(offset, length))


def picture(shelf: Shelf, scope: Scope, key: InstanceKey, frame: int, options: RenderOptions) -> bytes:
    """One frame as JPEG or PNG; what has no pixels gets a neutral picture with its modality."""
    instance = shelf.catalog.locate(scope, key)
    dataset = _dataset(shelf, scope, key)
    if instance.layout.pixels is None:
        if frame != 1:
            raise NotFound(f"There is no frame {frame}")
        return icon.draw(text(dataset, "00080060"), options)
    if is_video(instance):
        return icon.draw("VIDEO", options)
    stored = _Reader(shelf, instance).stored_frame(frame, dataset)
    return render.render_frame(stored, options, limit_bytes=shelf.limits.decoded_bytes)


def _pixels(instance: StoredInstance) -> PixelLayout:
    if instance.layout.pixels is None:
        raise NotFound("The instance has no frames")
    return instance.layout.pixels


def _dataset(shelf: Shelf, scope: Scope, key: InstanceKey) -> DicomJson:
    found = shelf.catalog.metadata(scope, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
    dataset: DicomJson = orjson.loads(metadata.decompress(found[0]))
    return dataset


def _recoded(shelf: Shelf, scope: Scope, instance: StoredInstance, target: str) -> bytes:
    if instance.size_bytes > shelf.limits.decoded_bytes:
        raise TooLarge("Too large to be made in another transfer syntax (limits.decoded_bytes)")
    return recode.recode_dataset(
        shelf.blobs.view(instance.blob_key, instance.size_bytes),
        layout=instance.layout,
        dataset=_dataset(shelf, scope, instance.key),
        stored_uid=instance.transfer_syntax_uid,
        target_uid=target,
        limits=shelf.limits,
    )


def _in_memory(instance: StoredInstance, target: str, *parts: bytes) -> OpenObject:
    return OpenObject(instance, target, sum(map(len, parts)), iter(parts))


def _unit_bytes(dataset: DicomJson, path: str) -> int:
    """Size of the units that make up a binary value, by its VR (PS3.5 7.3)."""
    *items, tag = path.split("/")
    for sequence, number in zip(items[::2], items[1::2], strict=True):
        dataset = dataset[sequence]["Value"][int(number) - 1]
    return _UNIT_BYTES.get(dataset[tag]["vr"], 1)


def _swapped(data: bytes, width: int) -> bytes:
    if width == 1 or len(data) % width:
        return data
    units = array({2: "H", 4: "I", 8: "Q"}[width], data)
    units.byteswap()
    return units.tobytes()


class _Reader:
    """Reads parts of one object by the offsets of its layout."""

    __slots__ = ("_inflated", "_instance", "_shelf")

    def __init__(self, shelf: Shelf, instance: StoredInstance) -> None:
        self._shelf = shelf
        self._instance = instance
        self._inflated: Buffer = None

    def frame(self, number: int) -> bytes:
        """The bytes of one frame (from 1). Raises NotFound."""
        pixels = _pixels(self._instance)
        ranges = frame_table.byte_ranges(pixels, number)
        data = self.read(*ranges[0]) if len(ranges) == 1 else b"".join([self.read(*where) for where in ranges])
        return frame_table.cut_bits(pixels, number, data) if isinstance(pixels, NativePixels) else data

    def stored_frame(self, number: int, dataset: DicomJson) -> StoredFrame:
        """One frame with all that is needed to understand it."""
        uid = self._instance.transfer_syntax_uid
        return StoredFrame(self.frame(number), dataset, uid, number, self.bulk)

    def bulk(self, path: str) -> bytes:
        """A value that the metadata only refers to."""
        where = self._instance.layout.bulk.get(path)
        if where is None:
            raise CannotUnderstand("The metadata refers to bulk data that the object does not have")
        return self.read(*where)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes by the layout's way of counting: of a deflated object, in the inflated data set."""
        if self._instance.layout.deflated:
            return bytes(self._inflate()[offset : offset + length])
        return self._shelf.blobs.read(self._instance.blob_key, offset, length)

    def stream(self, offset: int, length: int) -> Iterator[bytes]:
        """The same in blocks."""
        if self._instance.layout.deflated:
            data = self.read(offset, length)
            return (data[start : start + BLOCK_BYTES] for start in range(0, length, BLOCK_BYTES))
        return self._shelf.blobs.stream(self._instance.blob_key, offset, length)

    def _inflate(self) -> Buffer:
        if self._inflated is None:
            instance = self._instance
            view = self._shelf.blobs.view(instance.blob_key, instance.size_bytes)
            self._inflated = inflate(view, instance.layout.dataset_offset_bytes, self._shelf.limits)
        return self._inflated
