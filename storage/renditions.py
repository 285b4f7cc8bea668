"""Renditions: a second, lossless encoding of an image, kept beside the untouched original and sent in its place.

A rendition is a whole DICOM file of the same instance in another transfer syntax, so whatever reads originals reads it:
frames by its layout, objects as they lie there. It is used where the original would have to be encoded anew, and by
`renditions.prefer` also for who takes anything. Its object lies apart from the originals: backups may leave it out, and
a rebuilt index takes it up again or leaves it to the sweep. Who finds it lost goes back to the original.
"""

import logging
from collections.abc import Sequence
from typing import Final

from index.access import Scope
from index.errors import NotAcceptable, PacsError, Unreachable
from index.records import StoredInstance, Wanted
from index.renditions.rows import Rendition, Renditions
from storage.blobs import BlobStore
from storage.transfer import Plan, leaves_as, plan

_log = logging.getLogger(__name__)

PREFIX: Final = "=renditions/"
"""No tenant has it: `=` never stands in the folder of a tenant (`storage.keys.tenant_prefix`)."""


def new_key(blobs: BlobStore, tenant: str) -> str:
    """A fresh key for a rendition."""
    return PREFIX + blobs.new_key(tenant)


def is_rendition(key: str) -> bool:
    """Whether an object is one."""
    return key.startswith(PREFIX)


def instead(
    known: Renditions, blobs: BlobStore, scope: Scope, instance: StoredInstance, wanted: Wanted, way: Plan
) -> StoredInstance | None:
    """The instance as its rendition has it, where that spares the work of `way`; one look at the index."""
    if way.how not in ("decode", "transcode"):
        return None
    found = known.of(scope, instance)
    return _usable(blobs, found, instance, wanted) if found else None


def preferred(known: Renditions, blobs: BlobStore, scope: Scope, instance: StoredInstance) -> StoredInstance | None:
    """The same for somebody who takes anything."""
    found = known.of(scope, instance)
    return found.of(instance) if found and _is_there(blobs, found) else None


def instead_of_many(
    known: Renditions, blobs: BlobStore, scope: Scope, instances: Sequence[StoredInstance], wanted: Wanted
) -> list[StoredInstance]:
    """Whole objects, each as it is or as its rendition has it; at most one question to the index."""
    costly = [one for one in instances if _costs(one, wanted)]
    found = known.of_many(scope, costly) if costly else {}
    if not found:
        return list(instances)
    return [
        (_usable(blobs, found[one.blob_key], one, wanted) if one.blob_key in found else None) or one
        for one in instances
    ]


def _costs(instance: StoredInstance, wanted: Wanted) -> bool:
    try:
        way = plan(instance.transfer_syntax_uid, wanted, is_image=instance.layout.pixels is not None)
    except NotAcceptable:
        return False
    return way.how in ("decode", "transcode")


def _usable(blobs: BlobStore, found: Rendition, instance: StoredInstance, wanted: Wanted) -> StoredInstance | None:
    is_wanted = leaves_as(found.transfer_syntax_uid, wanted)
    return found.of(instance) if is_wanted and _is_there(blobs, found) else None


def _is_there(blobs: BlobStore, found: Rendition) -> bool:
    """A folder knows at no price, because the file is opened anyway. Other stores are believed."""
    try:
        blobs.stream(found.blob_key, 0, 0)
    except Unreachable:
        raise
    except PacsError:
        _log.warning("A rendition is lost; drop it and make it anew", extra={"Key": found.blob_key})
        return False
    return True
