"""The bin: what was deleted or rejected is kept apart until it is restored or purged.

Theory. Rows move out of the live tables into `removed`, so that no query, retrieve, count or list has to leave them
out: what is in the bin is gone for every reader at the moment of the commit. Each deletion and each rejection note is
one row in `removals`, which says who, when and why, and carries what it has removed. Versions that were set aside go
the same way as their instance.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Any, NamedTuple
from uuid import uuid4

import orjson
import zstandard
from sqlalchemy import bindparam, delete, exists, func, or_, select, update

from index.admission import Admission, change, change_of
from index.database import Database, Transaction
from index.entries import Newcomer, first_text
from index.errors import NotFound
from index.layout import unpack
from index.records import InstanceKey, Level, Origin, StoredInstance
from index.removed.removal import Removal
from index.selection import FROM
from index.tables import documents, instances, rejected, removals, removed, series, set_aside, studies

DELETED = "deleted"
"""The reason of a deletion; that of a rejection is the title of its note."""

KEPT = ("sop_class_uid", "available_transfer_syntax_uid", "version", "size_bytes", "sha256", "blob_key", "layout")
UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
_ROW = ("tenant_id", "removal_fk", "role", *UIDS, *KEPT, "body")
_HEAD = tuple(column.name for column in removals.columns if column.name != "id")
_SHOWN = ("id", "uid", "reason", *UIDS, "note_uid", "removed_at_ms", "purge_at_ms", "undone_at_ms")
_SAID = {"PatientName": "00100010", "PatientID": "00100020", "StudyDate": "00080020", "StudyDescription": "00081030"}


class Role(IntEnum):
    """What a row of the bin is."""

    INSTANCE = 0
    NOTE = 1
    """A rejection note that is not shown; it comes back with nothing that it rejects."""
    ASIDE = 2
    """A version that had been set aside."""


class Live(NamedTuple):
    """An instance that is about to go."""

    id: int
    study_instance_uid: str
    series_instance_uid: str
    sop_instance_uid: str
    version: int


@dataclass(frozen=True, slots=True)
class BinEntry:
    """One deletion or rejection. `key` is what was asked to be deleted, or the note; parts may be empty."""

    number: int
    uid: str
    reason: str
    key: InstanceKey
    note_uid: str
    removed_at_ms: int
    purge_at_ms: int
    """0 means never."""
    undone_at_ms: int
    """When a rejection was revoked; 0 while it is in force."""
    origin: Origin
    instances: int
    said: Mapping[str, str]
    """Patient and study of one of the instances, so that a person recognises it."""


@dataclass(frozen=True, slots=True)
class BinRow:
    """One object in the bin."""

    number: int
    role: Role
    key: InstanceKey
    sop_class_uid: str
    transfer_syntax_uid: str
    version: int
    size_bytes: int
    sha256: bytes
    blob_key: str
    layout: bytes

    def stored(self) -> StoredInstance:
        """As a stored instance, for who has to read its object."""
        return StoredInstance(
            self.key,
            self.sop_class_uid,
            self.transfer_syntax_uid,
            self.blob_key,
            unpack(self.layout),
            self.size_bytes,
            self.sha256,
            self.version,
        )


class Bin:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission, removal: Removal) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._admission = admission
        self._removal = removal
        values = {name: bindparam(name, type_=removals.c[name].type) for name in _HEAD}
        self._open = prepare(removals.insert().values(values).returning(removals.c.id))
        self._move = prepare(database.insert(removed).from_select(_ROW, _live_rows(database)))
        self._move_aside = prepare(database.insert(removed).from_select(_ROW, _aside_rows(database)))
        self._delete_aside = prepare(
            delete(set_aside).where(
                set_aside.c.tenant_id == bindparam("tenant"), database.one_of(set_aside.c.sop_instance_uid, "uids")
            )
        )
        self._below = {depth: prepare(_below(depth)) for depth in (1, 2, 3)}
        self._take_hidden = {depth: prepare(_take_hidden(depth)) for depth in (1, 2)}
        self._entries = {of_study: prepare(_entries(of_study=of_study)) for of_study in (False, True)}
        self._entry = prepare(_entries(of_study=False, alone=True))
        self._add_reference = prepare(database.insert(rejected).on_conflict_do_nothing())
        kept = {name: bindparam(name, type_=removed.c[name].type) for name in _ROW}
        self._keep = prepare(removed.insert().values(kept))
        names = ("id", "role", *UIDS, *KEPT)
        self._rows = prepare(
            select(*(removed.c[name] for name in names))
            .where(removed.c.removal_fk == bindparam("removal"), removed.c.id > bindparam("after"))
            .order_by(removed.c.id)
            .limit(bindparam("limit"))
        )

    def delete(
        self, tenant_id: int, uids: tuple[str, str | None, str | None], origin: Origin, *, at_ms: int, purge_at_ms: int
    ) -> tuple[int, int]:
        """Delete what is below a study, series or instance. Returns the removal's number and how many went.

        What notes have hidden below a study or series goes along. Raises NotFound when nothing visible is there.
        """
        depth = 3 - uids.count(None)
        named = {"tenant": tenant_id, "study": uids[0], "series": uids[1], "instance": uids[2]}

        def work(tx: Transaction) -> tuple[int, int]:
            tx.order_removals(alone=True)
            going = [Live(*row) for row in tx.rows(self._below[depth], named)]
            if not going:
                raise NotFound(f"There is no such {('study', 'series', 'instance')[depth - 1]}")
            head = {"tenant_id": tenant_id, "reason": DELETED, "removed_at_ms": at_ms, "purge_at_ms": purge_at_ms}
            asked = dict(zip(UIDS, (uid or "" for uid in uids), strict=True))
            number = self.open(tx, head | asked, origin)
            self.put(tx, (tenant_id, number), going)
            if depth < 3:
                tx.run(self._take_hidden[depth], {**named, "removal": number})
            self.record_changes(tx, tenant_id, ("deleted", going), origin, at_ms)
            return number, len(going)

        return self._database.transact(work)

    def open(self, tx: Transaction, head: Mapping[str, Any], origin: Origin) -> int:
        """Begin a removal: its row, which all that it removes will name."""
        empty = {name: 0 if name.endswith("_ms") else "" for name in _HEAD}
        said = {"via": origin.via, "peer": origin.peer, "principal": origin.principal}
        made = {"uid": uuid4().hex, "revision": 1, "recorded": 0}
        return int(tx.rows(self._open, {**empty, **made, **said, **head})[0][0])

    def put(self, tx: Transaction, where: tuple[int, int], going: Sequence[Live], role: Role = Role.INSTANCE) -> None:
        """Move live instances, with their versions that are set aside; `where` is the tenant and the removal."""
        if not going:
            return
        tenant_id, number = where
        rows = [one.id for one in going]
        params = {"tenant": tenant_id, "removal": number}
        tx.run(self._move, {**params, "role": int(role), "rows": self._database.list_value(rows)})
        uids = self._database.list_value([one.sop_instance_uid for one in going])
        tx.run(self._move_aside, {**params, "role": int(Role.ASIDE), "uids": uids})
        tx.run(self._delete_aside, {"tenant": tenant_id, "uids": uids})
        self._removal.remove(tx, tenant_id, rows)

    def refer(self, tx: Transaction, tenant_id: int, number: int, uids: Sequence[str]) -> None:
        """Instances that a note names, whether they have arrived or not."""
        base = {"tenant_id": tenant_id, "removal_fk": number}
        tx.run_many(self._add_reference, [base | {"sop_instance_uid": uid} for uid in uids])

    def keep(self, tx: Transaction, one: Newcomer, number: int, role: Role = Role.INSTANCE) -> None:
        """Take an instance in, but into the bin."""
        record = one.entry.record
        row = {
            **{name: one.entry.instance[name] for name in KEPT if name in one.entry.instance},
            **dict(zip(UIDS, uids_of(record.key), strict=True)),
            "tenant_id": one.tenant_id,
            "removal_fk": number,
            "role": int(role),
            "version": one.version,
            "body": record.metadata,
        }
        tx.run(self._keep, row)
        self._admission.record_changes(tx, [change_of(one)])

    def record_changes(
        self, tx: Transaction, tenant_id: int, what: tuple[str, Sequence[Live]], origin: Origin, at_ms: int
    ) -> None:
        """One row of the change feed for each instance; `what` is the action and the instances."""
        action, gone = what
        self._admission.record_changes(tx, [change(tenant_id, action, one[1:], origin, at_ms) for one in gone])

    def entries(self, tenant_id: int, study: str | None, before: int, limit: int) -> list[BinEntry]:
        """What is in the bin, newest first: deletions, and rejections in force or revoked, below number `before`."""
        params = {"tenant": tenant_id, "study": study, "before": before, "limit": limit}
        return [_entry(row) for row in self._database.rows(self._entries[study is not None], params)]

    def entry(self, tenant_id: int, number: int) -> BinEntry:
        """One of them. Raises NotFound."""
        rows = self._database.rows(self._entry, {"tenant": tenant_id, "number": number, "limit": 1})
        if not rows:
            raise NotFound("There is no such removal")
        return _entry(rows[0])

    def rows(self, number: int, after: int = 0, limit: int = 1000) -> list[BinRow]:
        """Objects of a removal, a page at a time."""
        params = {"removal": number, "after": after, "limit": limit}
        return [_bin_row(row) for row in self._database.rows(self._rows, params)]


def uids_of(key: InstanceKey) -> tuple[str, str, str]:
    """The three UIDs, in the order of `UIDS`."""
    return key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid


def _live_rows(database: Database) -> Any:
    columns = [studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid]
    return (
        select(instances.c.tenant_id, *_where_to(), *columns, *(instances.c[name] for name in KEPT), documents.c.body)
        .select_from(FROM[Level.IMAGE].join(documents, documents.c.instance_fk == instances.c.id))
        .where(database.one_of(instances.c.id, "rows"))
        # In the order of arrival, which a restoration repeats.
        .order_by(instances.c.id)
    )


def _aside_rows(database: Database) -> Any:
    columns = (set_aside.c[name] for name in (*UIDS, *KEPT, "body"))
    return select(set_aside.c.tenant_id, *_where_to(), *columns).where(
        set_aside.c.tenant_id == bindparam("tenant"), database.one_of(set_aside.c.sop_instance_uid, "uids")
    )


def _where_to() -> tuple[Any, Any]:
    return bindparam("removal", type_=removed.c.removal_fk.type), bindparam("role", type_=removed.c.role.type)


def _below(depth: int) -> Any:
    columns = (*(table.c[name] for table, name in zip((studies, series, instances), UIDS, strict=True)),)
    built = select(instances.c.id, *columns, instances.c.version).select_from(FROM[Level.IMAGE])
    named = (studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid)[:depth]
    keys = zip(named, ("study", "series", "instance")[:depth], strict=True)
    return built.where(
        studies.c.tenant_id == bindparam("tenant"), *(column == bindparam(name) for column, name in keys)
    ).order_by(instances.c.id)


def _take_hidden(depth: int) -> Any:
    notes = select(removals.c.id).where(
        removals.c.tenant_id == bindparam("tenant"), removals.c.reason != DELETED, removals.c.purge_began_at_ms == 0
    )
    here = (removed.c.study_instance_uid == bindparam("study"), removed.c.series_instance_uid == bindparam("series"))
    return (
        update(removed)
        .where(removed.c.tenant_id == bindparam("tenant"), *here[:depth], removed.c.removal_fk.in_(notes))
        .values(removal_fk=bindparam("removal"))
    )


def _entries(*, of_study: bool, alone: bool = False) -> Any:
    mine = (removed.c.removal_fk == removals.c.id, removed.c.role == int(Role.INSTANCE))
    number = select(func.count()).where(*mine).scalar_subquery()
    first = select(removed.c.body).where(*mine).order_by(removed.c.id).limit(1).scalar_subquery()
    shown = (removals.c[name] for name in (*_SHOWN, "via", "peer", "principal"))
    built = select(*shown, number, first).where(removals.c.tenant_id == bindparam("tenant"))
    built = built.where(removals.c.id == bindparam("number") if alone else removals.c.id < bindparam("before"))
    if of_study:
        named = removed.c.study_instance_uid == bindparam("study")
        holds = exists().where(removed.c.removal_fk == removals.c.id, removed.c.tenant_id == bindparam("tenant"), named)
        built = built.where(or_(removals.c.study_instance_uid == bindparam("study"), holds))
    return built.order_by(removals.c.id.desc()).limit(bindparam("limit"))


def _entry(row: Sequence[Any]) -> BinEntry:
    number, uid, reason, study, series_uid, instance, note, removed_at, purge_at, undone_at, *rest = row
    via, peer, principal, count, body = rest
    return BinEntry(
        number=number,
        uid=uid,
        reason=reason,
        key=InstanceKey(study, series_uid, instance),
        note_uid=note,
        removed_at_ms=removed_at,
        purge_at_ms=purge_at,
        undone_at_ms=undone_at,
        origin=Origin(via, peer, principal),
        instances=count,
        said=_said(body),
    )


def _said(body: bytes | None) -> Mapping[str, str]:
    if body is None:
        return {}
    dataset = document(body)
    said = {keyword: first_text(dataset.get(tag)) for keyword, tag in _SAID.items() if keyword != "PatientName"}
    name = (dataset.get(_SAID["PatientName"]) or {}).get("Value") or [{}]
    return {"PatientName": str((name[0] or {}).get("Alphabetic", "")), **said}


def document(body: bytes) -> dict[str, Any]:
    """The DICOM JSON model of an instance as it is kept."""
    dataset: dict[str, Any] = orjson.loads(zstandard.ZstdDecompressor().decompress(body))
    return dataset


def _bin_row(row: Sequence[Any]) -> BinRow:
    number, role, study, series_uid, instance, sop_class, syntax, version, size, sha256, blob_key, layout = row
    key = InstanceKey(study, series_uid, instance)
    return BinRow(number, Role(role), key, sop_class, syntax, version, size, bytes(sha256), blob_key, bytes(layout))
