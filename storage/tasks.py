"""Long jobs over stored objects: proving that they are what was received, and rebuilding the index from them."""

import hashlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from config.settings import DuplicatePolicy
from index.errors import CannotUnderstand, PacsError
from index.records import InstanceRecord, Origin, StoredInstance, StoreStatus
from index.renditions.rows import Rendition
from storage import coercion, part10, removal_records, renditions
from storage.blobs import BlobStore, StoredBlob
from storage.deletion import batches
from storage.ingest import Desk
from storage.keys import tenant_of

_log = logging.getLogger(__name__)

_HEAD_BYTES = 4096
_RECOVERY = Origin(via="recovery", peer="", principal="recovery")


@dataclass(frozen=True, slots=True)
class Finding:
    """What is wrong with one object."""

    blob_key: str
    problem: Literal["missing", "changed", "unreadable", "superfluous"]
    detail: str = ""


def verify(blobs: BlobStore, instance: StoredInstance) -> Finding | None:
    """Read an object again and compare its data set with the digest of what was received."""
    digest = hashlib.sha256()
    offset = instance.layout.dataset_offset_bytes
    try:
        for block in blobs.stream(instance.blob_key, offset, instance.size_bytes - offset):
            digest.update(block)
    except PacsError as error:
        return Finding(instance.blob_key, "missing", error.detail)
    if digest.digest() != instance.sha256 and not _is_coerced(blobs, instance, digest.digest()):
        return Finding(instance.blob_key, "changed", "SHA-256 of the data set differs")
    return None


def _is_coerced(blobs: BlobStore, instance: StoredInstance, found: bytes) -> bool:
    """Whether the object says of itself that it was stored like this, made from what was received."""
    try:
        meta = part10.MetaReader().feed(blobs.read(instance.blob_key, 0, min(_HEAD_BYTES, instance.size_bytes)))
    except PacsError:
        return False
    return meta is not None and coercion.digests(meta.private) == (instance.sha256, found)


def rebuild(desk: Desk, *, prefix: str = "", report: Callable[[Finding], None] = lambda _: None) -> int:
    """Index every object that the index lacks, in the order in which they arrived. Returns how many were added.

    Objects are only read, never removed. May be stopped and started again at any time, and run beside a working
    server: what is just being taken in is indexed once, by whoever comes first.
    """
    added = 0
    kept = _adopt_removals(desk, report)
    for batch in batches(blob for blob in desk.blobs.walk(prefix) if _is_original(blob.key)):
        unknown = desk.catalog.unknown_blobs([blob.key for blob in batch])
        for blob in batch:
            if blob.key in unknown:
                finding = _recover(desk, blob, kept.get(blob.key))
                if finding is None:
                    added += 1
                else:
                    _log.warning("Object not indexed", extra={"Key": blob.key, "Problem": finding.problem})
                    report(finding)
    for batch in batches(desk.blobs.walk(renditions.PREFIX)):
        unknown = desk.catalog.unknown_blobs([blob.key for blob in batch])
        for blob in batch:
            if blob.key in unknown:
                _adopt_rendition(desk, blob)
    return added


def _is_original(key: str) -> bool:
    return not (removal_records.is_record(key) or renditions.is_rendition(key))


def _adopt_rendition(desk: Desk, blob: StoredBlob) -> None:
    """Take a rendition up again: its meta group tells the digest of its original. What has none, or cannot be read, is
    left to the sweep, because it can be made anew."""
    try:
        meta, scanned, view = _scanned(desk, blob)
    except PacsError as error:
        _log.warning("Rendition not indexed", extra={"Key": blob.key, "Problem": error.detail})
        return
    digest = hashlib.sha256(view[meta.length_bytes :]).digest()
    found = Rendition("", meta.transfer_syntax_uid, blob.key, blob.size_bytes, digest, scanned.layout)
    tenant = tenant_of(blob.key.removeprefix(renditions.PREFIX))
    if not desk.catalog.renditions.adopt(tenant, scanned.key.sop_instance_uid, meta.private, found):
        _log.info("Rendition without an original", extra={"Key": blob.key})


def _adopt_removals(desk: Desk, report: Callable[[Finding], None]) -> dict[str, tuple[int, int]]:
    """Make deletions and rejections known first. Returns the objects of each, with its number and their role."""
    kept: dict[str, tuple[int, int]] = {}
    records, damaged = removal_records.read_all(desk.blobs)
    for record in records:
        number = desk.catalog.removals.adopt(record.tenant, record.said, record.key, record.references)
        kept.update({key: (number, role) for key, role in record.objects.items()})
    for blob, problem in damaged:
        report(Finding(blob.key, "unreadable", problem))
    return kept


def _recover(desk: Desk, blob: StoredBlob, kept: tuple[int, int] | None) -> Finding | None:
    """Index one object as it lies in the store, or say why that cannot be done; `kept`: as part of a removal."""
    # A second version of an instance was once accepted, so it must not be refused now.
    duplicates: DuplicatePolicy = "replace" if desk.rules.duplicates == "replace" else "keep-both"
    try:
        record = _record(desk, blob)
        if kept is not None:
            desk.catalog.removals.keep(tenant_of(blob.key), record, _RECOVERY, kept)
            return None
        added = desk.catalog.add(tenant_of(blob.key), record, _RECOVERY, duplicates=duplicates)
    except PacsError as error:
        return Finding(blob.key, "unreadable", error.detail)
    if added.status is StoreStatus.DUPLICATE:
        return Finding(blob.key, "superfluous", "The same data set is stored under another key")
    return None


def _scanned(desk: Desk, blob: StoredBlob) -> tuple[part10.FileMeta, part10.Scanned, memoryview]:
    """One object read as at ingest."""
    meta = part10.MetaReader().feed(desk.blobs.read(blob.key, 0, min(_HEAD_BYTES, blob.size_bytes)))
    if meta is None:
        raise CannotUnderstand("Ends inside its File Meta Information")
    view = desk.blobs.view(blob.key, blob.size_bytes)
    scanned = part10.scan(
        view,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=desk.limits,
        bulk_threshold_bytes=desk.rules.bulk_data_threshold_bytes,
    )
    return meta, scanned, view


def _record(desk: Desk, blob: StoredBlob) -> InstanceRecord:
    meta, scanned, view = _scanned(desk, blob)
    known = coercion.digests(meta.private)
    return part10.record_of(
        scanned,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        blob_key=blob.key,
        size_bytes=blob.size_bytes,
        sha256=known[0] if known else hashlib.sha256(view[meta.length_bytes :]).digest(),
    )
