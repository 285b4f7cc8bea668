"""Removal of objects that no row names.

Only two things make such objects: a crash between writing an object and committing its row, and a removal of a
row whose object could not be removed at once. Everything else keeps its object, so whatever looks like more than
that is taken for a lost or outdated index, and nothing is removed: `storage.tasks.rebuild` is for that. Renditions
count for nothing in this: they can be made anew. They go after everything else has been looked at.
"""

import logging
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from itertools import islice

from index.catalog import Catalog
from index.errors import Conflict
from storage.blobs import BlobStore, StoredBlob
from storage.renditions import is_rendition

_log = logging.getLogger(__name__)

MINIMUM_AGE_SECONDS = 3600.0
"""A younger object may be one whose row is just being committed."""

_BATCH = 500
FEW = 100
_SHARE = 0.1


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep has found."""

    objects: int
    removed: int
    removed_bytes: int


def sweep(catalog: Catalog, blobs: BlobStore, *, prefix: str = "", now: float | None = None) -> Swept:
    """Remove objects older than an hour that the index does not know.

    Raises Conflict and removes nothing when the index knows none of the objects, or when more than 100 and more
    than a tenth of them are unknown to it.
    """
    before = (time.time() if now is None else now) - MINIMUM_AGE_SECONDS
    seen = 0
    orphans: list[StoredBlob] = []
    derived: list[StoredBlob] = []
    for batch in batches(blob for blob in blobs.walk(prefix) if blob.modified < before):
        unknown = catalog.unknown_blobs([blob.key for blob in batch])
        seen += sum(not is_rendition(blob.key) for blob in batch)
        for blob in batch:
            if blob.key in unknown:
                (derived if is_rendition(blob.key) else orphans).append(blob)
    if (orphans and len(orphans) == seen) or len(orphans) > max(FEW, seen * _SHARE):
        raise Conflict(f"The index does not know {len(orphans)} of {seen} objects: rebuild it before sweeping")
    drop_renditions(blobs, catalog.renditions.drop_strays)
    orphans += derived
    if orphans:
        _log.info("Orphans swept", extra={"Objects": len(orphans)})
        blobs.delete([blob.key for blob in orphans])
    return Swept(seen, len(orphans), sum(blob.size_bytes for blob in orphans))


def drop_renditions(blobs: BlobStore, forget: Callable[[], list[str] | None]) -> int:
    """Remove renditions page by page. Returns how many objects went.

    `forget` takes the rows of a page away, so that nobody is sent to them any more, and returns the objects' keys.
    """
    number = 0
    while (keys := forget()) is not None:
        blobs.delete(keys)
        number += len(keys)
    return number


def batches(found: Iterable[StoredBlob]) -> Iterator[list[StoredBlob]]:
    """Lists of objects small enough for one question to the index."""
    iterator = iter(found)
    while batch := list(islice(iterator, _BATCH)):
        yield batch
