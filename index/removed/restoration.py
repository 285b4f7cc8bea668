"""The way back out of the bin: what was removed is admitted again, by the code that admits what arrives.

In batches: the rows are read and described before the transaction that takes them over, and each batch is one
transaction. A restoration that is killed in between is simply done again. What another note in force names stays
hidden, now by that note; what meets a newer instance of the same UID is set aside as a version of it.
"""

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from index import statements
from index.admission import Admission
from index.database import Database, Transaction
from index.entries import Newcomer, describe
from index.errors import Conflict
from index.records import Origin
from index.removed.bin import DELETED, KEPT, UIDS, BinEntry, Role
from index.removed.versions import Current, Versions, record_of
from index.tables import rejected, removals, removed, set_aside

_BATCH = 500
_COLUMNS = ("id", "role", *UIDS, *KEPT, "body")


@dataclass(slots=True)
class Restored:
    """What a restoration has done."""

    instances: int = 0
    set_aside: int = 0
    """Met a newer instance of the same UID and are versions of it now (`pacs versions`)."""
    still_rejected: int = 0
    """Named by another note in force."""
    obsolete_blob_keys: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Wish:
    """Which removal to undo, wholly or for some SOP Instance UIDs, and in whose name."""

    tenant_id: int
    tenant: str
    entry: BinEntry
    origin: Origin
    uids: frozenset[str] | None = None


class Restoration:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission, versions: Versions) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._list = database.list_value
        self._admission = admission
        self._versions = versions
        of_removal = removed.c.removal_fk == bindparam("removal")
        not_note = removed.c.role != int(Role.NOTE)
        page = select(*(removed.c[name] for name in _COLUMNS)).where(of_removal, removed.c.id > bindparam("after"))
        chosen = database.one_of(removed.c.sop_instance_uid, "uids")
        self._page = prepare(page.order_by(removed.c.id).limit(bindparam("limit")))
        self._page_of = prepare(page.where(chosen, not_note).order_by(removed.c.id).limit(bindparam("limit")))
        head = (removals.c.id == bindparam("removal"), removals.c.tenant_id == bindparam("tenant"))
        self._claim = prepare(
            update(removals).where(*head, removals.c.purge_began_at_ms == 0).values(revision=removals.c.revision + 1)
        )
        self._finish = prepare(update(removals).where(*head).values(undone_at_ms=bindparam("at_ms")))
        self._drop = prepare(delete(removals).where(*head).returning(removals.c.record_key))
        self._left = prepare(select(func.count()).where(of_removal))
        named = (rejected.c.tenant_id == bindparam("tenant"), rejected.c.removal_fk == bindparam("removal"))
        self._forgive_all = prepare(delete(rejected).where(*named))
        self._forgive = prepare(delete(rejected).where(*named, database.one_of(rejected.c.sop_instance_uid, "uids")))
        self._notes = prepare(
            select(rejected.c.sop_instance_uid, func.min(rejected.c.removal_fk))
            .where(rejected.c.tenant_id == bindparam("tenant"), database.one_of(rejected.c.sop_instance_uid, "uids"))
            .group_by(rejected.c.sop_instance_uid)
        )
        self._own_note = prepare(
            select(removals.c.note_uid, removals.c.id).where(
                removals.c.tenant_id == bindparam("tenant"),
                removals.c.reason != DELETED,
                database.one_of(removals.c.note_uid, "uids"),
            )
        )
        self._hand_over = prepare(
            update(removed).where(removed.c.id == bindparam("row")).values(removal_fk=bindparam("removal"))
        )
        self._take = prepare(delete(removed).where(database.one_of(removed.c.id, "rows")).returning(removed.c.id))
        names = ("tenant_id", *UIDS, *KEPT, "body")
        at_ms = bindparam("at_ms", type_=set_aside.c.set_aside_at_ms.type)
        back = select(*(removed.c[name] for name in names), at_ms).where(database.one_of(removed.c.id, "rows"))
        self._back_aside = prepare(
            database.insert(set_aside).from_select((*names, "set_aside_at_ms"), back).on_conflict_do_nothing()
        )
        self._known = prepare(statements.known(database, alone=False))

    def restore(self, wish: Wish) -> Restored:
        """Undo a removal. Raises NotFound when it is gone, Conflict while it is being purged."""
        done = Restored()
        after = 0
        while True:
            page = self._read(wish, after)
            if not page:
                break
            after = page[-1]["id"]
            ready = [(row, describe(wish.tenant, record_of(row))) for row in page if row["role"] == Role.INSTANCE]
            _add(done, self._database.transact(partial(self._batch, wish=wish, page=page, ready=ready)))
        done.obsolete_blob_keys += self._database.transact(lambda tx: self._end(tx, wish))
        return done

    def _read(self, wish: Wish, after: int) -> list[Mapping[str, Any]]:
        params: dict[str, Any] = {"removal": wish.entry.number, "after": after, "limit": _BATCH}
        statement = self._page
        if wish.uids is not None:
            statement, params["uids"] = self._page_of, self._list(sorted(wish.uids))
        return [dict(zip(_COLUMNS, row, strict=True)) for row in self._database.rows(statement, params)]

    def _batch(
        self, tx: Transaction, *, wish: Wish, page: Sequence[Mapping[str, Any]], ready: Sequence[tuple[Any, Any]]
    ) -> Restored:
        done = Restored()
        self._begin(tx, wish)
        uids = sorted({row["sop_instance_uid"] for row in page})
        if wish.entry.reason != DELETED:
            asked = {"tenant": wish.tenant_id, "removal": wish.entry.number, "uids": self._list(uids)}
            tx.run(self._forgive, asked)
        keepers = self._keepers(tx, wish, uids)
        staying = [row for row in page if self._keeper(row, keepers, wish) is not None]
        tx.run_many(
            self._hand_over, [{"row": row["id"], "removal": self._keeper(row, keepers, wish)} for row in staying]
        )
        stay = {row["id"] for row in staying}
        done.still_rejected = sum(row["role"] == Role.INSTANCE for row in staying)
        asides = [row["id"] for row in page if row["role"] == Role.ASIDE and row["id"] not in stay]
        if asides:
            tx.run(self._back_aside, {"rows": self._list(asides), "at_ms": _now_ms()})
        coming = [(row, entry) for row, entry in ready if row["id"] not in stay]
        rows = asides + [row["id"] for row, _ in coming]
        taken = {row[0] for row in tx.rows(self._take, {"rows": self._list(rows)})}
        at_ms = _now_ms()
        newcomers = [
            Newcomer(wish.tenant_id, entry, wish.origin, at_ms, row["version"], "restored")
            for row, entry in coming
            if row["id"] in taken
        ]
        self._admit(tx, newcomers, done)
        return done

    def _begin(self, tx: Transaction, wish: Wish) -> None:
        tx.order_removals(alone=True)
        asked = {"tenant": wish.tenant_id, "removal": wish.entry.number}
        if not tx.changed(self._claim, asked):
            raise Conflict("It is being purged, or was restored by somebody else")

    def _keepers(self, tx: Transaction, wish: Wish, uids: Sequence[str]) -> dict[tuple[str, bool], int]:
        """For each UID the note in force that hides it, or whose own document it is."""
        asked = {"tenant": wish.tenant_id, "uids": self._list(uids)}
        naming = {(uid, False): number for uid, number in tx.rows(self._notes, asked)}
        return naming | {(uid, True): number for uid, number in tx.rows(self._own_note, asked)}

    @staticmethod
    def _keeper(row: Mapping[str, Any], keepers: Mapping[tuple[str, bool], int], wish: Wish) -> int | None:
        """The note that keeps a row in the bin; a note that is not shown stays with itself."""
        number = keepers.get((row["sop_instance_uid"], row["role"] == Role.NOTE))
        return wish.entry.number if number is None and row["role"] == Role.NOTE else number

    def _admit(self, tx: Transaction, newcomers: Sequence[Newcomer], done: Restored) -> None:
        uids = [one.entry.record.key.sop_instance_uid for one in newcomers]
        if not uids:
            return
        asked = {"tenant": newcomers[0].tenant_id, "uids": self._list(uids)}
        known = {row[0] for row in tx.rows(self._known, asked) if row[1]}
        fresh: dict[str, Newcomer] = {}
        others = []
        for one, uid in zip(newcomers, uids, strict=True):
            if uid in known or fresh.setdefault(uid, one) is not one:
                others.append(one)
        for some in _by_precedence(list(fresh.values())):
            self._admission.admit(tx, some)
        done.instances += len(fresh)
        for one in others:
            self._meet(tx, one, done)

    def _meet(self, tx: Transaction, one: Newcomer, done: Restored) -> None:
        """A UID that is taken by now."""
        uid = one.entry.record.key.sop_instance_uid
        rows = tx.rows(self._known, {"tenant": one.tenant_id, "uids": self._list([uid])})
        current = next(Current(*row[1:]) for row in rows if row[0] and row[1])
        added = self._versions.meet(tx, one, current, "keep-both")
        if added.obsolete_blob_key:
            done.obsolete_blob_keys.append(added.obsolete_blob_key)
        else:
            done.set_aside += 1

    def _end(self, tx: Transaction, wish: Wish) -> list[str]:
        """After the last batch: an empty deletion goes, a rejection is revoked."""
        asked = {"tenant": wish.tenant_id, "removal": wish.entry.number}
        self._begin(tx, wish)
        if wish.entry.reason == DELETED:
            if tx.rows(self._left, asked)[0][0]:
                return []
            return [row[0] for row in tx.rows(self._drop, asked) if row[0]]
        if wish.uids is None:
            tx.run(self._forgive_all, asked)
            tx.run(self._finish, {**asked, "at_ms": _now_ms()})
        else:
            tx.run(self._forgive, {**asked, "uids": self._list(sorted(wish.uids))})
        return []


def _by_precedence(newcomers: Sequence[Newcomer]) -> tuple[list[Newcomer], list[Newcomer], list[Newcomer]]:
    """The first of each study, the first of each other series, the rest: what decided the attributes decides again."""
    studies: dict[str, Newcomer] = {}
    series: dict[str, Newcomer] = {}
    for one in newcomers:
        key = one.entry.record.key
        first = studies.setdefault(key.study_instance_uid, one)
        if first is not one and first.entry.record.key.series_instance_uid != key.series_instance_uid:
            series.setdefault(key.series_instance_uid, one)
    leading = {id(one) for one in (*studies.values(), *series.values())}
    rest = [one for one in newcomers if id(one) not in leading]
    return list(studies.values()), list(series.values()), rest


def _add(done: Restored, more: Restored) -> None:
    done.instances += more.instances
    done.set_aside += more.set_aside
    done.still_rejected += more.still_rejected
    done.obsolete_blob_keys += more.obsolete_blob_keys


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
