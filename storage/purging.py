"""Removing for good what was deleted and not restored in time, and whatever notes hide for a limited time."""

import logging
import time
from dataclasses import dataclass
from typing import Final

from index.catalog import Catalog
from index.records import Origin
from index.removed.purge import Due
from storage.blobs import BlobStore

_log = logging.getLogger(__name__)

_WORKER: Final = Origin("recovery", "", "worker")


@dataclass(frozen=True, slots=True)
class Purged:
    """What a round has done."""

    removals: int
    objects: int


def purge(catalog: Catalog, blobs: BlobStore, *, now: float | None = None) -> Purged:
    """Remove everything whose time is over. May be killed at any time; the next round goes on."""
    now_ms = int((time.time() if now is None else now) * 1000)
    due = catalog.purge.due(now_ms)
    objects = sum(_purge(catalog, blobs, one, now_ms) for one in due)
    if due:
        _log.info("Purged", extra={"Removals": len(due), "Objects": objects})
    return Purged(len(due), objects)


def _purge(catalog: Catalog, blobs: BlobStore, due: Due, now_ms: int) -> int:
    catalog.purge.begin(due, now_ms)
    objects = 0
    while batch := catalog.purge.next_batch(due):
        blobs.delete([*batch.blob_keys, *catalog.renditions.objects_of(batch.blob_keys)])
        catalog.renditions.forget(batch.blob_keys)
        catalog.purge.forget(due, batch, _WORKER, now_ms)
        objects += len(batch.blob_keys)
    if due.is_deletion and due.record_key:
        blobs.delete([due.record_key])
    catalog.purge.end(due)
    return objects
