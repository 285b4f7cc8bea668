"""The end of the bin: what nobody restored in time is removed for good.

A removal is marked first, so that nobody restores it any more; then the objects of a batch are removed from the object
store, and only then their rows. Killed at any moment, it goes on where it was: removing an object twice is no error,
and no object is left without a row. What a rejection has said stays in force after its objects are gone.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import and_, bindparam, delete, or_, select, update

from index.admission import Admission, Change, change
from index.database import Database, Transaction
from index.records import Origin
from index.removed.bin import DELETED, UIDS, Role
from index.tables import removals, removed

_BATCH = 500


@dataclass(frozen=True, slots=True)
class Due:
    """A removal whose time is over."""

    number: int
    tenant_id: int
    is_deletion: bool
    record_key: str
    """Its record in the object store, which goes with a deletion; empty when there is none."""


@dataclass(frozen=True, slots=True)
class Batch:
    """Objects to be removed, and what to say of them then."""

    rows: tuple[int, ...]
    blob_keys: tuple[str, ...]
    changes: tuple[tuple[str, str, str, int], ...]


class Purge:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._admission = admission
        over = (removals.c.purge_at_ms > 0, removals.c.purge_at_ms <= bindparam("now_ms"))
        shown = (removals.c.id, removals.c.tenant_id, removals.c.reason, removals.c.record_key)
        self._due = prepare(
            select(*shown).where(or_(removals.c.purge_began_at_ms > 0, and_(*over))).order_by(removals.c.id)
        )
        alone = removals.c.id == bindparam("removal")
        self._mark = prepare(
            update(removals).where(alone).values(purge_began_at_ms=bindparam("at_ms"), revision=removals.c.revision + 1)
        )
        keeps_note = removed.c.role != int(Role.NOTE)
        page = select(removed.c.id, removed.c.role, removed.c.blob_key, *(removed.c[name] for name in UIDS))
        page = page.add_columns(removed.c.version).where(removed.c.removal_fk == bindparam("removal"))
        page = page.order_by(removed.c.id).limit(_BATCH)
        self._pages = {True: prepare(page), False: prepare(page.where(keeps_note))}
        self._forget = prepare(delete(removed).where(database.one_of(removed.c.id, "rows")))
        self._drop = prepare(delete(removals).where(alone))
        self._rest = prepare(update(removals).where(alone).values(purge_at_ms=0, purge_began_at_ms=0))

    def due(self, now_ms: int) -> list[Due]:
        """Removals to be purged: their time is over, or their purge was interrupted."""
        rows = self._database.rows(self._due, {"now_ms": now_ms})
        return [Due(number, tenant, reason == DELETED, key) for number, tenant, reason, key in rows]

    def begin(self, due: Due, at_ms: int) -> None:
        """From here on nobody restores it."""
        self._database.transact(lambda tx: tx.run(self._mark, {"removal": due.number, "at_ms": at_ms}))

    def next_batch(self, due: Due) -> Batch | None:
        """Some objects that are to go now; None when all are gone."""
        rows = self._database.rows(self._pages[due.is_deletion], {"removal": due.number})
        if not rows:
            return None
        told = tuple((*row[3:6], row[6]) for row in rows if row[1] != Role.ASIDE)
        return Batch(tuple(row[0] for row in rows), tuple(row[2] for row in rows), told)

    def forget(self, due: Due, batch: Batch, origin: Origin, at_ms: int) -> None:
        """The objects are gone: their rows go too."""
        changes = [change(due.tenant_id, "purged", what, origin, at_ms) for what in batch.changes]
        self._database.transact(lambda tx: self._forget_rows(tx, batch.rows, changes))

    def _forget_rows(self, tx: Transaction, rows: Sequence[int], changes: Sequence[Change]) -> None:
        tx.run(self._forget, {"rows": self._database.list_value(list(rows))})
        if changes:
            self._admission.record_changes(tx, changes)

    def end(self, due: Due) -> None:
        """Nothing is left: a deletion is forgotten, a rejection stays in force."""
        statement = self._drop if due.is_deletion else self._rest
        self._database.transact(lambda tx: tx.run(statement, {"removal": due.number}))
