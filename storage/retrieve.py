"""The one way out: stored objects, frames and bulk data.

As stored, nothing here looks into DICOM: ingest noted where everything stands, so a frame is one read of
(offset, length). Only what a peer cannot take as it is goes through `storage.pixels`.
"""

from array import array
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import orjson

from config import settings
from index.access import Scope
from index.catalog import Catalog
from index.errors import NotFound, TooLarge
from index.records import DicomJson, InstanceKey, StoredInstance, Wanted
from storage import metadata, part10, renditions, transfer
from storage.blobs import BlobStore
from storage.outgoing import OpenObject, held, in_memory
from storage.pixels import recode
from storage.reader import Reader
from storage.syntaxes import EXPLICIT_BIG, EXPLICIT_LITTLE

_UNIT_BYTES = {"OW": 2, "US": 2, "SS": 2, "OF": 4, "OL": 4, "FL": 4, "SL": 4, "UL": 4, "OD": 8, "OV": 8, "FD": 8}


@dataclass(frozen=True, slots=True)
class Shelf:
    """Where stored objects are found."""

    catalog: Catalog
    blobs: BlobStore
    limits: settings.Limits

    def reader(self, instance: StoredInstance) -> Reader:
        """What reads parts of an object."""
        return Reader(self.blobs, self.limits, instance)


def open_dataset(shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted) -> OpenObject:
    """The encoded data set alone; reading has begun. Raises NotAcceptable."""
    instance, plan = _cheapest(shelf, scope, instance, wanted)
    if transfer.is_renaming(instance.transfer_syntax_uid, plan.target):
        opened = _as_stored(shelf, instance, instance.layout.dataset_offset_bytes, begun=True)
        return replace(opened, transfer_syntax_uid=plan.target)
    if plan.how != "as_stored":
        return in_memory(instance, plan.target, _recoded(shelf, scope, instance, plan.target))
    return _as_stored(shelf, instance, instance.layout.dataset_offset_bytes, begun=True)


def open_file(shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted) -> OpenObject:
    """The whole Part 10 file. Raises NotAcceptable."""
    instance, plan = _cheapest(shelf, scope, instance, wanted)
    if plan.how == "as_stored":
        return _as_stored(shelf, instance, 0)
    if transfer.is_renaming(instance.transfer_syntax_uid, plan.target):
        return _renamed(shelf, instance, plan.target)
    return in_memory(instance, plan.target, _meta(instance, plan.target), _recoded(shelf, scope, instance, plan.target))


def open_bulk_data(shelf: Shelf, scope: Scope, instance: StoredInstance, path: str) -> OpenObject:
    """One bulk data value as it lies in the data set. Raises NotFound."""
    where = instance.layout.bulk.get(path)
    if where is None:
        raise NotFound("There is no such bulk data")
    reader = shelf.reader(instance)
    if instance.transfer_syntax_uid == EXPLICIT_BIG:
        # PS3.18 8.7.3.3: bulk data are little endian on the web, whatever the object is.
        width = _unit_bytes(dataset_of(shelf, scope, instance.key), path)
        return in_memory(instance, EXPLICIT_LITTLE, _swapped(reader.read(*where), width))
    return OpenObject(instance, instance.transfer_syntax_uid, where[1], reader.part(where))


def dataset_of(shelf: Shelf, scope: Scope, key: InstanceKey) -> DicomJson:
    """The metadata that ingest kept."""
    found = shelf.catalog.metadata(scope, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
    dataset: DicomJson = orjson.loads(metadata.decompress(found[0]))
    return dataset


def _cheapest(
    shelf: Shelf, scope: Scope, instance: StoredInstance, wanted: Wanted
) -> tuple[StoredInstance, transfer.Plan]:
    """The instance, or its rendition where that spares encoding anew, and what is to be done with it."""
    is_image = instance.layout.pixels is not None
    plan = transfer.plan(instance.transfer_syntax_uid, wanted, is_image=is_image)
    other = renditions.instead(shelf.catalog.renditions, shelf.blobs, scope, instance, wanted, plan)
    return (other, transfer.plan(other.transfer_syntax_uid, wanted, is_image=True)) if other else (instance, plan)


def _recoded(shelf: Shelf, scope: Scope, instance: StoredInstance, target: str) -> bytes:
    if instance.size_bytes > shelf.limits.decoded_bytes:
        raise TooLarge("Too large to be made in another transfer syntax (limits.decoded_bytes)")
    return recode.recode_dataset(
        shelf.reader(instance).whole(),
        layout=instance.layout,
        dataset=dataset_of(shelf, scope, instance.key),
        stored_uid=instance.transfer_syntax_uid,
        target_uid=target,
        limits=shelf.limits,
    )


def _as_stored(shelf: Shelf, instance: StoredInstance, start: int, *, begun: bool = False) -> OpenObject:
    reader = shelf.reader(instance)
    length = instance.size_bytes - start
    blocks = reader.stored(start, length) if begun else None
    read = partial(_read_stored, reader, start)
    return OpenObject(instance, instance.transfer_syntax_uid, length, read, blocks)


def _meta(instance: StoredInstance, target: str) -> bytes:
    return part10.build_meta(
        sop_class_uid=instance.sop_class_uid,
        sop_instance_uid=instance.key.sop_instance_uid,
        transfer_syntax_uid=target,
    )


def _renamed(shelf: Shelf, instance: StoredInstance, target: str) -> OpenObject:
    """The file under another name of its transfer syntax: a meta group that says so, and the data set as it lies."""
    meta = _meta(instance, target)
    size, start = len(meta), instance.layout.dataset_offset_bytes
    head, body = held(meta), partial(_read_stored, shelf.reader(instance), start)

    def read(first: int, last: int) -> Iterator[bytes]:
        yield from head(min(first, size), min(last, size))
        if last > size:
            yield from body(max(first - size, 0), last - size)

    return OpenObject(instance, target, size + instance.size_bytes - start, read)


def _read_stored(reader: Reader, offset: int, start: int, stop: int) -> Iterator[bytes]:
    return reader.stored(offset + start, stop - start)


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
