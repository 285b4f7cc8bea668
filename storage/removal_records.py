"""What the object store itself says about deletions and rejections, so that a rebuilt index knows them too.

Each removal has one small JSON object that lists what it has taken; it is written anew when that changes, and goes
when nothing is removed any more. It is written after the commit: a crash in between leaves it to the worker, and the
index says which are missing.
"""

import logging
import os
from dataclasses import dataclass
from typing import Any, Final

import orjson

from index.catalog import Catalog
from index.errors import CannotUnderstand, PacsError
from index.removed.removals import Unrecorded
from storage.blobs import BlobStore
from storage.keys import StoredBlob

_log = logging.getLogger(__name__)

PREFIX: Final = "=removals/"
"""No tenant has it: `=` never stands in the folder of a tenant (`storage.keys.tenant_prefix`)."""


@dataclass(frozen=True, slots=True)
class Record:
    """One record as it was read."""

    key: str
    tenant: str
    said: dict[str, Any]
    """The columns of the removal."""
    objects: dict[str, int]
    """Key of each object that it has taken, and the role of that object (`index.removed.bin.Role`)."""
    references: list[str]


def write_all(catalog: Catalog, blobs: BlobStore) -> int:
    """Write the records that are missing or old. Returns how many."""
    written = 0
    while stale := catalog.removals.unrecorded():
        for one in stale:
            _write(catalog, blobs, one)
        written += len(stale)
    return written


def write_soon(catalog: Catalog, blobs: BlobStore) -> None:
    """The same after a request. What fails is left to the worker: the removal itself is done."""
    try:
        write_all(catalog, blobs)
    except (OSError, PacsError):
        _log.exception("Records of removals left to the worker")


def _write(catalog: Catalog, blobs: BlobStore, one: Unrecorded) -> None:
    document = {
        "tenant": one.tenant,
        **one.said,
        "objects": dict(catalog.removals.objects_of(one.number)),
        "references": catalog.removals.references_of(one.number),
    }
    key = f"{PREFIX}{one.said['uid']}-{one.revision}-{os.urandom(4).hex()}.json"
    writer = blobs.create(key)
    try:
        writer.write(orjson.dumps(document))
        writer.commit()
    except BaseException:
        writer.abort()
        raise
    catalog.removals.note_recorded(one, key)
    if one.old_key:
        blobs.delete([one.old_key])


def read_all(blobs: BlobStore) -> tuple[list[Record], list[tuple[StoredBlob, str]]]:
    """All records, oldest removal first, and with a reason those that cannot be read."""
    records = []
    damaged = []
    for blob in blobs.walk(PREFIX):
        try:
            records.append(_record(blob.key, orjson.loads(blobs.read(blob.key, 0, blob.size_bytes))))
        except (PacsError, ValueError) as error:
            damaged.append((blob, str(error)))
    return sorted(records, key=lambda one: one.said["removed_at_ms"]), damaged


def _record(key: str, document: Any) -> Record:
    try:
        objects = {str(blob_key): int(role) for blob_key, role in document.pop("objects").items()}
        references = [str(uid) for uid in document.pop("references")]
        int(document["removed_at_ms"])
        return Record(key, str(document.pop("tenant")), document, objects, references)
    except (AttributeError, KeyError, TypeError, ValueError) as error:
        raise CannotUnderstand("It is no record of a removal") from error


def is_record(key: str) -> bool:
    """Whether an object is one of these records."""
    return key.startswith(PREFIX)
