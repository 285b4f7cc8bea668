"""Removals as the archive sees them: within a scope, to be listed, restored, purged and recorded."""

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, update

from index.access import Scope
from index.admission import Admission
from index.database import Database, Transaction
from index.entries import Newcomer, describe
from index.errors import NotFound
from index.records import InstanceRecord, Origin
from index.removed.bin import DELETED, UIDS, Bin, BinEntry, BinRow, Role
from index.removed.rejection import Rule
from index.removed.removal import Removal
from index.removed.restoration import Restoration, Restored, Wish
from index.removed.versions import Versions
from index.selection import Selection
from index.tables import rejected, removals, tenants

_DAY_MS = 24 * 3600 * 1000
_PAGE = 1000
_SAID = ("uid", "reason", *UIDS, "note_uid", "removed_at_ms", "purge_at_ms", "undone_at_ms", "via", "peer", "principal")


@dataclass(frozen=True, slots=True)
class Unrecorded:
    """A removal whose record in the object store is older than what the index says."""

    number: int
    tenant: str
    revision: int
    old_key: str
    said: Mapping[str, Any]
    """Its row, by column."""


class Removals:
    """What was deleted or rejected, of all tenants; every method but those of the worker takes a scope."""

    def __init__(
        self, database: Database, admission: Admission, removal: Removal, versions: Versions, rules: Mapping[str, Rule]
    ) -> None:
        """Compiles the statements; touches no connection."""
        prepare = database.prepare
        self.bin = Bin(database, admission, removal)
        self._database = database
        self._rules = rules
        self._restoration = Restoration(database, admission, versions)
        self._selection = Selection(database)
        alone = (removals.c.id == bindparam("removal"), removals.c.tenant_id == bindparam("tenant"))
        self._hasten = prepare(update(removals).where(*alone).values(purge_at_ms=bindparam("at_ms")))
        self._stale = prepare(
            select(removals.c.id, tenants.c.name, removals.c.revision, removals.c.record_key)
            .add_columns(*(removals.c[name] for name in _SAID))
            .select_from(removals.join(tenants))
            .where(removals.c.recorded != removals.c.revision)
            .order_by(removals.c.id)
            .limit(100)
        )
        self._note_recorded = prepare(
            update(removals)
            .where(removals.c.id == bindparam("removal"))
            .values(recorded=bindparam("revision_written"), record_key=bindparam("key"))
        )
        self._admission = admission
        self._find = prepare(select(removals.c.id).where(removals.c.uid == bindparam("uid")))
        self._references = prepare(
            select(rejected.c.sop_instance_uid).where(rejected.c.removal_fk == bindparam("removal"))
        )
        self._reasons = prepare(
            select(removals.c.reason)
            .select_from(rejected.join(removals, rejected.c.removal_fk == removals.c.id))
            .where(rejected.c.tenant_id == bindparam("tenant"), rejected.c.sop_instance_uid == bindparam("uid"))
        )

    def delete(
        self, scope: Scope, uids: tuple[str, str | None, str | None], origin: Origin, undo_days: float
    ) -> tuple[int, int]:
        """Delete below a study, series or instance. Returns the number to restore it by, and how many instances went.

        Raises NotFound, also outside the scope.
        """
        now = _now_ms()
        tenant = self._tenant(scope, uids[0])
        # At least 1: 0 would mean that it is kept for ever.
        purge_at_ms = now + max(1, int(undo_days * _DAY_MS))
        return self.bin.delete(tenant, uids, origin, at_ms=now, purge_at_ms=purge_at_ms)

    def entries(self, scope: Scope, study: str | None = None) -> Iterator[BinEntry]:
        """What was deleted or rejected, newest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        before = 2**62
        while tenant is not None and (page := self.bin.entries(tenant, study, before, _PAGE)):
            yield from (entry for entry in page if _is_visible(scope, entry.key.study_instance_uid))
            before = page[-1].number

    def entry(self, scope: Scope, number: int) -> BinEntry:
        """One of them. Raises NotFound."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is not None:
            entry = self.bin.entry(tenant, number)
            if _is_visible(scope, entry.key.study_instance_uid):
                return entry
        raise NotFound("There is no such removal")

    def rows(self, scope: Scope, number: int) -> Iterator[BinRow]:
        """All objects of a removal. Raises NotFound at the first."""
        self.entry(scope, number)
        return self._all_rows(number)

    def _all_rows(self, number: int) -> Iterator[BinRow]:
        after = 0
        while page := self.bin.rows(number, after, _PAGE):
            yield from page
            after = page[-1].number

    def restore(self, scope: Scope, number: int, origin: Origin, uids: frozenset[str] | None = None) -> Restored:
        """Bring back what a removal has taken, or some SOP Instance UIDs of it. Raises NotFound, Conflict."""
        entry = self.entry(scope, number)
        tenant = self._tenant(scope, entry.key.study_instance_uid)
        return self._restoration.restore(Wish(tenant, scope.tenant, entry, origin, uids))

    def hasten(self, scope: Scope, number: int) -> BinEntry:
        """Let the worker purge a removal at its next round. Raises NotFound."""
        entry = self.entry(scope, number)
        params = {"removal": number, "tenant": self._tenant(scope, entry.key.study_instance_uid), "at_ms": _now_ms()}
        self._database.transact(lambda tx: tx.run(self._hasten, params))
        return entry

    def is_retrievable(self, tenant_id: int, sop_instance_uid: str) -> bool:
        """Whether all notes that name it hide it from searches alone."""
        reasons = self._database.rows(self._reasons, {"tenant": tenant_id, "uid": sop_instance_uid})
        rules = [self._rules.get(reason) for (reason,) in reasons]
        return bool(rules) and all(rule is not None and rule.hide == "search" for rule in rules)

    # For the worker, of all tenants

    def unrecorded(self) -> list[Unrecorded]:
        """Some removals whose record is to be written."""
        rows = self._database.rows(self._stale, {})
        return [
            Unrecorded(number, tenant, revision, key, dict(zip(_SAID, said, strict=True)))
            for number, tenant, revision, key, *said in rows
        ]

    def objects_of(self, number: int) -> list[tuple[str, int]]:
        """Keys and roles of the objects that a removal has taken."""
        return [(row.blob_key, int(row.role)) for row in self._all_rows(number)]

    def references_of(self, number: int) -> list[str]:
        """SOP Instance UIDs that a note in force names."""
        return [row[0] for row in self._database.rows(self._references, {"removal": number})]

    def note_recorded(self, one: Unrecorded, key: str) -> None:
        """The record is written."""
        params = {"removal": one.number, "revision_written": one.revision, "key": key}
        self._database.transact(lambda tx: tx.run(self._note_recorded, params))

    # For a rebuild of the index

    def adopt(self, tenant: str, said: Mapping[str, Any], record_key: str, references: Sequence[str]) -> int:
        """Make a removal known again from its record. Returns its number, also when it is known already."""
        return self._database.transact(lambda tx: self._adopt(tx, tenant, said, record_key, references))

    def _adopt(
        self, tx: Transaction, tenant: str, said: Mapping[str, Any], record_key: str, references: Sequence[str]
    ) -> int:
        tx.order_removals(alone=True)
        known = tx.rows(self._find, {"uid": said["uid"]})
        if known:
            return int(known[0][0])
        tenant_id = self._admission.tenant_id(tx, tenant)
        head = {name: said[name] for name in _SAID if name in said} | {"record_key": record_key, "recorded": 1}
        origin = Origin(said["via"], said["peer"], said["principal"])
        number = self.bin.open(tx, head | {"tenant_id": tenant_id}, origin)
        self.bin.refer(tx, tenant_id, number, references)
        return number

    def keep(self, tenant: str, record: InstanceRecord, origin: Origin, where: tuple[int, int]) -> None:
        """Take an object into the bin; `where` is the removal and the role (`index.removed.bin.Role`)."""
        number, role = where

        def work(tx: Transaction) -> None:
            tx.order_removals(alone=True)
            one = Newcomer(self._admission.tenant_id(tx, tenant), describe(tenant, record), origin, _now_ms())
            self.bin.keep(tx, one._replace(action="kept removed"), number, Role(role))

        self._database.transact(work)

    def _tenant(self, scope: Scope, study: str) -> int:
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None or not _is_visible(scope, study):
            raise NotFound
        return tenant


def is_deletion(entry: BinEntry) -> bool:
    """Somebody has deleted it; otherwise a note has rejected it."""
    return entry.reason == DELETED


def _is_visible(scope: Scope, study_instance_uid: str) -> bool:
    return scope.study_instance_uids is None or study_instance_uid in scope.study_instance_uids


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
