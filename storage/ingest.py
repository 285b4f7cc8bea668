"""The one way in: bytes of an object -> checked, durable, indexed.

C-STORE, STOW-RS and files push bytes into an `ObjectIntake`. The data set is hashed and written as it comes, byte
for byte, behind a meta group of our own; so an object of any size needs one block of memory. `finish` scans the header
while the disk already writes, waits for the disk, and then commits the row: a crash in between leaves an object
that no row names, and the sweep removes it.
"""

import errno
import logging
import re
from dataclasses import dataclass, replace

from config import settings
from index.catalog import Catalog
from index.errors import CannotUnderstand, DataSetMismatch, OutOfResources, PacsError, TooLarge
from index.reasons import Code, Reason
from index.records import InstanceKey, InstanceRecord, Origin, StoreOutcome, StoreStatus
from storage import coercion, part10, sop_classes, syntaxes
from storage.blobs import BlobStore
from storage.incoming import Incoming
from storage.sink import BLOCK_BYTES, ObjectSink

_log = logging.getLogger(__name__)

_FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
_UID = re.compile(r"[0-9.]{1,64}")


@dataclass(frozen=True, slots=True)
class Desk:
    """Where objects are taken in: what every intake shares."""

    catalog: Catalog
    blobs: BlobStore
    rules: settings.Archive
    limits: settings.Limits


class ObjectIntake:
    """One object on its way in (`storage.incoming.Intake`). Not to be shared between threads."""

    def __init__(self, desk: Desk, tenant: str, incoming: Incoming, origin: Origin) -> None:
        """Nothing is refused here: the reasons come with `write` and `finish`."""
        self._desk = desk
        self._tenant = tenant
        self._incoming = incoming
        self._origin = origin
        self._named = part10.FileMeta(
            sop_class_uid=incoming.sop_class_uid,
            sop_instance_uid=incoming.sop_instance_uid,
            transfer_syntax_uid=incoming.transfer_syntax_uid,
            length_bytes=0,
        )
        self._reader = None if incoming.transfer_syntax_uid else part10.MetaReader()
        self._head = bytearray()
        self._sink: ObjectSink | None = None
        self._received_bytes = 0
        self._received_sha256 = b""
        """Digest of what was received, when something else is stored."""
        self._failure: PacsError | None = None

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes. Raises PacsError, now and from now on, when the object will be refused."""
        if self._failure is None:
            try:
                self._take(memoryview(data).cast("B"))
            except Exception as error:  # Whatever it is, nothing may stay behind.
                self._fail(error)
        if self._failure is not None:
            raise self._failure

    def finish(self) -> StoreOutcome:
        """Check, make durable, index. A refusal is an outcome."""
        if self._failure is None:
            try:
                sink = self._whole()
                scanned = self._scan(sink)
                self._check(scanned)
                sink, scanned = self._with_right_meta(sink, scanned)
                sink, scanned = self._coerced(sink, scanned)
                record = self._record(sink, scanned)
            except Exception as error:  # Whatever it is, nothing may stay behind.
                self._fail(error)
            else:
                self._sink = None  # From here on the object belongs to its row: nothing here may remove it.
                return self._index(record, scanned.warnings)
        assert self._failure is not None
        return self._refusal(self._failure.reason())

    def abort(self) -> None:
        """The sender went away: leave nothing behind."""
        self._fail(CannotUnderstand("The sender went away"))

    def _take(self, data: memoryview) -> None:
        self._received_bytes += len(data)
        if self._received_bytes > self._desk.limits.object_bytes:
            raise TooLarge(f"Larger than limits.object_bytes ({self._desk.limits.object_bytes})")
        if self._sink is not None:
            self._sink.add(data)
        elif self._reader is None:
            self._open(self._named).add(data)
        else:
            self._head += data
            meta = self._reader.feed(data)
            if meta is not None:
                head, self._head = memoryview(self._head), bytearray()
                self._open(meta).add(head[meta.length_bytes :])

    def _open(self, named: part10.FileMeta, private: bytes = b"") -> ObjectSink:
        """What the object claims to be is known: refuse it, or begin to keep it."""
        self._named = named
        if not _UID.fullmatch(named.transfer_syntax_uid):
            raise CannotUnderstand("Transfer Syntax UID is not a UID")
        general = self._incoming.general_sop_class_uid
        _check_policy(self._desk.rules, general or named.sop_class_uid, named.transfer_syntax_uid)
        meta = part10.build_meta(
            sop_class_uid=_uid_or_nothing(named.sop_class_uid),
            sop_instance_uid=_uid_or_nothing(named.sop_instance_uid),
            transfer_syntax_uid=named.transfer_syntax_uid,
            source_ae=self._origin.peer if self._origin.via == "dimse" else "",
            private=private,
        )
        blobs = self._desk.blobs
        self._sink = ObjectSink(blobs, blobs.new_key(self._tenant), meta)
        return self._sink

    def _whole(self) -> ObjectSink:
        if self._sink is None:
            raise CannotUnderstand("Ends inside its File Meta Information" if self._head else "There is no data set")
        return self._sink

    def _scan(self, sink: ObjectSink) -> part10.Scanned:
        return part10.scan(
            sink.view(),
            dataset_offset=sink.meta_bytes,
            transfer_syntax_uid=self._named.transfer_syntax_uid,
            limits=self._desk.limits,
            bulk_threshold_bytes=self._desk.rules.bulk_data_threshold_bytes,
        )

    def _check(self, scanned: part10.Scanned) -> None:
        """PS3.4 B.2.3: the data set must be what the request said it is."""
        incoming = self._incoming
        if incoming.sop_class_uid and incoming.sop_class_uid != scanned.sop_class_uid:
            raise DataSetMismatch("SOP Class UID differs from that of the request")
        if incoming.sop_instance_uid and incoming.sop_instance_uid != scanned.key.sop_instance_uid:
            raise DataSetMismatch("SOP Instance UID differs from that of the request")
        study = incoming.study_instance_uid
        if study and study != scanned.key.study_instance_uid:
            raise DataSetMismatch("Study Instance UID differs from that of the request", code=Code.STUDY_MISMATCH)
        _check_policy(
            self._desk.rules, incoming.general_sop_class_uid or scanned.sop_class_uid, self._named.transfer_syntax_uid
        )

    def _with_right_meta(self, sink: ObjectSink, scanned: part10.Scanned) -> tuple[ObjectSink, part10.Scanned]:
        """A file whose meta group names another instance than its data set is kept behind a right one."""
        uids = (scanned.sop_class_uid, scanned.key.sop_instance_uid)
        if (self._named.sop_class_uid, self._named.sop_instance_uid) == uids:
            return sink, scanned
        named = replace(self._named, sop_class_uid=uids[0], sop_instance_uid=uids[1])
        old = sink.view()
        try:
            copy = self._open(named)
            for start in range(sink.meta_bytes, len(old), BLOCK_BYTES):
                copy.add(old[start : start + BLOCK_BYTES])
        finally:
            del old
            sink.abort()
        warning = Reason(Code.MISMATCH_WARNING, "File Meta Information named another instance or class")
        return copy, replace(self._scan(copy), warnings=(*scanned.warnings, warning))

    def _coerced(self, sink: ObjectSink, scanned: part10.Scanned) -> tuple[ObjectSink, part10.Scanned]:
        """The object as the rules of `archive.coercions` want it, kept in place of the one that was received."""
        changes = coercion.changes_for(self._desk.rules.coercions, self._origin, scanned.dataset)
        if changes is None:
            return sink, scanned
        syntax, limits = self._named.transfer_syntax_uid, self._desk.limits
        self._received_sha256 = sink.digest()
        old = sink.view()
        pieces = coercion.pieces(old, scanned, syntax, changes, limits=limits)
        try:
            copy = self._open(self._named, coercion.mark(self._received_sha256, coercion.digest(pieces)))
            for piece in pieces:
                copy.add(memoryview(piece))
        finally:
            del old, pieces
            sink.abort()
        return copy, replace(self._scan(copy), warnings=(changes.reason(), *scanned.warnings))

    def _record(self, sink: ObjectSink, scanned: part10.Scanned) -> InstanceRecord:
        """Make the object durable: only then may a row name it."""
        record = part10.record_of(
            scanned,
            transfer_syntax_uid=self._named.transfer_syntax_uid,
            blob_key=sink.blob_key,
            size_bytes=sink.size_bytes,
            sha256=self._received_sha256,
        )
        sha256 = sink.commit()
        return record if self._received_sha256 else replace(record, sha256=sha256)

    def _index(self, record: InstanceRecord, warnings: tuple[Reason, ...]) -> StoreOutcome:
        """Commit the row. When that fails unexpectedly the row may be there all the same (the answer to a COMMIT
        can get lost), so the object is left to the sweep, which asks the index once more."""
        try:
            added = self._desk.catalog.add(self._tenant, record, self._origin, duplicates=self._desk.rules.duplicates)
        except Exception as error:
            self._failure = _as_pacs_error(error)
            return self._refusal(self._failure.reason(), record.key)
        if added.obsolete_blob_key:
            self._remove(added.obsolete_blob_key)
        if added.status is StoreStatus.REFUSED:
            return self._refusal(added.reasons[0], record.key)
        for_sender = (reason for reason in (*warnings, *added.reasons) if reason.code is not Code.REMARK)
        return StoreOutcome(added.status, record.key, record.sop_class_uid, tuple(for_sender), added.rejected)

    def _remove(self, blob_key: str) -> None:
        """Remove an object that is not needed, unless a rebuild of the index has found and named it meanwhile."""
        try:
            if self._desk.catalog.unknown_blobs([blob_key]):
                self._desk.blobs.delete([blob_key])
        except (OSError, PacsError):
            _log.exception("Object left to the sweep", extra={"Key": blob_key})

    def _refusal(self, reason: Reason, key: InstanceKey | None = None) -> StoreOutcome:
        """The answer when nothing was stored, with the UIDs as far as they can be believed."""
        uid = _uid_or_nothing(self._named.sop_instance_uid)
        if key is None and uid:
            key = InstanceKey("", "", uid)
        _log.warning(
            "Instance refused",
            extra={
                "Status": f"{reason.code.status:04X}",
                "Reason": reason.detail,
                "SOPInstanceUID": key.sop_instance_uid if key else "",
                "Peer": self._origin.peer,
            },
        )
        sop_class_uid = _uid_or_nothing(self._named.sop_class_uid)
        return StoreOutcome(StoreStatus.REFUSED, key, sop_class_uid, (reason,))

    def _fail(self, error: Exception) -> None:
        """Remember why, and remove what was written."""
        self._failure = self._failure or _as_pacs_error(error)
        sink, self._sink = self._sink, None
        self._head = bytearray()
        if sink is not None:
            try:
                sink.abort()
            except (OSError, PacsError):
                _log.exception("Object left to the sweep", extra={"Key": sink.blob_key})


def _as_pacs_error(error: Exception) -> PacsError:
    if isinstance(error, PacsError):
        return error.with_traceback(None)  # It would keep the view of the object alive.
    if isinstance(error, OSError) and error.errno in _FULL:
        _log.error("No room left for an instance", extra={"Error": error.strerror})
        return OutOfResources("The disk is full")
    _log.error("Ingest failed", exc_info=error)
    return PacsError("Processing failure; see the server's log", code=Code.PROCESSING_FAILURE)


def _check_policy(rules: settings.Archive, sop_class_uid: str, transfer_syntax_uid: str) -> None:
    if sop_class_uid and not sop_classes.is_storage(sop_class_uid) and not rules.accept_unknown_sop_classes:
        raise CannotUnderstand("SOP Class is not a known storage class", code=Code.SOP_CLASS_NOT_SUPPORTED)
    if syntaxes.lookup(transfer_syntax_uid) is None and not rules.accept_unknown_transfer_syntaxes:
        raise CannotUnderstand("Transfer Syntax is not known", code=Code.TRANSFER_SYNTAX_NOT_SUPPORTED)


def _uid_or_nothing(uid: str) -> str:
    """Text that is no UID does not get into logs, answers or meta groups."""
    return uid if _UID.fullmatch(uid) else ""
