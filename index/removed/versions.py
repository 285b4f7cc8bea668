"""Instances whose UID is known already: duplicates, and versions that are set aside.

Nothing is ever overwritten. `keep-both` sets the newcomer aside, `replace` sets the current one aside, and what
is set aside can be made current again.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson
import zstandard
from sqlalchemy import bindparam, delete, func, select

from config.settings import DuplicatePolicy
from index.admission import Admission, change_of
from index.database import Database, Transaction
from index.entries import Newcomer, describe
from index.errors import NotFound
from index.layout import unpack
from index.reasons import Code, Reason
from index.records import InstanceKey, InstanceRecord, Origin, StoreStatus
from index.removed.removal import Removal
from index.tables import documents, instances, series, set_aside, studies


@dataclass(frozen=True, slots=True)
class Added:
    """What became of an instance; `obsolete_blob_key` names an object that the index does not need (any more)."""

    status: StoreStatus
    reasons: tuple[Reason, ...] = ()
    obsolete_blob_key: str | None = None
    rejected: int = 0
    """How many instances this one, a rejection note, has hidden."""


@dataclass(frozen=True, slots=True)
class Current:
    """The row that is there already."""

    id: int
    sha256: bytes
    transfer_syntax_uid: str
    blob_key: str
    version: int


STORED = Added(StoreStatus.STORED)
_REFUSAL = Reason(Code.DUPLICATE_INSTANCE, "SOP Instance UID is known with other content")
_KEPT = ("sop_class_uid", "available_transfer_syntax_uid", "version", "size_bytes", "sha256", "blob_key", "layout")
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
_ASIDE = ("tenant_id", *_UIDS, *_KEPT, "body", "set_aside_at_ms")
_SAME = ("tenant_id", "sop_instance_uid", "sha256", "available_transfer_syntax_uid")


class Versions:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission, removal: Removal) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._admission = admission
        self._removal = removal
        self._move_aside = prepare(database.insert(set_aside).from_select(_ASIDE, _current_row()))
        values = {name: bindparam(name, type_=set_aside.c[name].type) for name in _ASIDE}
        self._add_aside = prepare(database.insert(set_aside).values(values).on_conflict_do_nothing())
        self._find_same = prepare(
            select(set_aside.c.id, set_aside.c.blob_key).where(
                *(set_aside.c[name] == bindparam(name) for name in _SAME)
            )
        )
        self._highest = prepare(
            select(func.coalesce(func.max(set_aside.c.version), 0)).where(
                set_aside.c.tenant_id == bindparam("tenant_id"),
                set_aside.c.sop_instance_uid == bindparam("sop_instance_uid"),
            )
        )
        self._forget = prepare(delete(set_aside).where(set_aside.c.id == bindparam("row")))
        self._read = prepare(
            select(*(set_aside.c[name] for name in _ASIDE)).where(
                set_aside.c.tenant_id == bindparam("tenant_id"), set_aside.c.id == bindparam("row")
            )
        )

    def meet(self, tx: Transaction, one: Newcomer, current: Current, policy: DuplicatePolicy) -> Added:
        """Decide about an instance whose UID is known."""
        record = one.entry.record
        if record.blob_key == current.blob_key:
            # The commit that made it known succeeded, only its answer was lost.
            return STORED
        if (record.sha256, record.transfer_syntax_uid) == (bytes(current.sha256), current.transfer_syntax_uid):
            return Added(StoreStatus.DUPLICATE, (), record.blob_key)
        if policy == "keep-both":
            return self.keep_both(tx, one, current)
        if policy == "replace":
            return Added(StoreStatus.REPLACED, (), self.make_current(tx, one, current, "replaced"))
        return Added(StoreStatus.REFUSED, (_REFUSAL,), record.blob_key)

    def keep_both(self, tx: Transaction, one: Newcomer, current: Current) -> Added:
        """Set a newcomer aside, unless the same bytes are set aside already."""
        version = self._next_version(tx, one, current)
        if tx.changed(self._add_aside, _aside_values(one, version)):
            self._admission.record_changes(tx, [change_of(one._replace(version=version, action="set aside"))])
            return Added(StoreStatus.SET_ASIDE)
        _, blob_key = tx.rows(self._find_same, _aside_values(one, version))[0]
        if blob_key == one.entry.record.blob_key:
            return Added(StoreStatus.SET_ASIDE)
        return Added(StoreStatus.DUPLICATE, (), one.entry.record.blob_key)

    def make_current(self, tx: Transaction, one: Newcomer, current: Current | None, action: str) -> str | None:
        """Put `one` in the place of `current`, which is set aside. Returns the object that nothing names now."""
        version = self._next_version(tx, one, current)
        if current is not None:
            tx.run(self._move_aside, {"row": current.id, "at_ms": one.at_ms})
            self._removal.remove(tx, one.tenant_id, [current.id])
        unneeded = None
        for row, blob_key in tx.rows(self._find_same, _aside_values(one, version)):
            tx.run(self._forget, {"row": row})
            unneeded = None if blob_key == one.entry.record.blob_key else blob_key
        self._admission.admit(tx, [one._replace(version=version, action=action)])
        return unneeded

    def _next_version(self, tx: Transaction, one: Newcomer, current: Current | None) -> int:
        uid = one.entry.record.key.sop_instance_uid
        highest = tx.rows(self._highest, {"tenant_id": one.tenant_id, "sop_instance_uid": uid})[0][0]
        return max(int(highest), current.version if current else 0) + 1

    def newcomer_from_aside(
        self, tx: Transaction, tenant: tuple[int, str], row: int, at: tuple[Origin, int]
    ) -> Newcomer:
        """A set-aside version as if it arrived now. Raises NotFound."""
        tenant_id, name = tenant
        found = tx.rows(self._read, {"tenant_id": tenant_id, "row": row})
        if not found:
            raise NotFound("There is no such version")
        record = record_of(dict(zip(_ASIDE, found[0], strict=True)))
        return Newcomer(tenant_id, describe(name, record), *at)


def _current_row() -> Any:
    at_ms = bindparam("at_ms", type_=set_aside.c.set_aside_at_ms.type)
    columns = [studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid]
    return (
        select(instances.c.tenant_id, *columns, *(instances.c[name] for name in _KEPT), documents.c.body, at_ms)
        .select_from(instances.join(series, instances.c.series_fk == series.c.id).join(studies).join(documents))
        .where(instances.c.id == bindparam("row"))
    )


def _aside_values(one: Newcomer, version: int) -> dict[str, Any]:
    record = one.entry.record
    return {
        **{name: one.entry.instance[name] for name in (*_KEPT, *_UIDS) if name in one.entry.instance},
        "tenant_id": one.tenant_id,
        "study_instance_uid": record.key.study_instance_uid,
        "series_instance_uid": record.key.series_instance_uid,
        "version": version,
        "body": record.metadata,
        "set_aside_at_ms": one.at_ms,
    }


def record_of(row: Mapping[str, Any]) -> InstanceRecord:
    """What ingest once handed in, from the columns that are kept of it."""
    body = bytes(row["body"])
    return InstanceRecord(
        key=InstanceKey(*(row[name] for name in _UIDS)),
        sop_class_uid=row["sop_class_uid"],
        transfer_syntax_uid=row["available_transfer_syntax_uid"],
        dataset=orjson.loads(zstandard.ZstdDecompressor().decompress(body)),
        metadata=body,
        layout=unpack(row["layout"]),
        blob_key=row["blob_key"],
        size_bytes=row["size_bytes"],
        sha256=bytes(row["sha256"]),
    )
