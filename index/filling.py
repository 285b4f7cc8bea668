"""The jobs of declared attributes: filling what was stored before, clearing, and looking through an owner again.

Documents are read and taken apart outside of transactions, a page at a time; only what was found is written inside
one, after a look whether the instances are still there. Ingest waits for milliseconds, never for a pass.
"""

import logging
from collections.abc import Iterator
from typing import Any, Final

import orjson
import zstandard
from sqlalchemy import bindparam, select

from index.database import Database, Transaction
from index.declared import FILLING, Declaration
from index.declared_values import RECHECK, VALUES, DeclaredValues, Owners, found, unsaid
from index.jobs import Handler, Job, Jobs
from index.records import Level
from index.register import CLEAR, FILL, Register
from index.selection import TABLE_OF
from index.tables import documents, instances, series, studies

_log = logging.getLogger(__name__)

_PAGE: Final = 100
_ROWS_CLEARED: Final = 2000
_OWNER_OF: Final = {Level.PATIENT: studies.c.patient_fk, Level.STUDY: studies.c.id, Level.SERIES: series.c.id}


class Filling:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._jobs = Jobs(database)
        self._register = Register(database)
        self._values = DeclaredValues(database)
        source = documents.join(instances, documents.c.instance_fk == instances.c.id).join(series).join(studies)
        identity = instances.c.id
        self._page = prepare(
            select(identity, instances.c.tenant_id, studies.c.patient_fk, studies.c.id, series.c.id, documents.c.body)
            .select_from(source)
            .where(identity > bindparam("after"), identity <= bindparam("until"))
            .order_by(identity)
            .limit(_PAGE)
        )
        self._present = prepare(
            select(identity, instances.c.tenant_id)
            .where(database.one_of(identity, "page"))
            .order_by(identity)
            .with_for_update(key_share=True, read=True)
        )
        self._some_values = {
            level: prepare(select(table).where(table.c.declaration_fk == bindparam("number")).limit(_ROWS_CLEARED))
            for level, table in VALUES.items()
        }
        self._of_owner = {
            level: prepare(select(table).where(table.c.owner_fk == bindparam("owner")))
            for level, table in VALUES.items()
        }
        self._lock = {
            level: prepare(
                select(TABLE_OF[level].c.id).where(TABLE_OF[level].c.id == bindparam("owner")).with_for_update()
            )
            for level in _OWNER_OF
        }
        self._members = {
            level: prepare(
                select(identity, instances.c.blob_key)
                .select_from(instances.join(series).join(studies))
                .where(owner == bindparam("owner"))
                .order_by(identity)
            )
            for level, owner in _OWNER_OF.items()
        }
        self._bodies = prepare(select(documents.c.body).where(database.one_of(documents.c.instance_fk, "page")))

    def handlers(self) -> dict[str, Handler]:
        """What the worker can do."""
        return {FILL: self.fill, CLEAR: self.clear, RECHECK: self.recheck}

    def fill(self, job: Job) -> Iterator[None]:
        """Read all instances that were stored before an attribute was declared; several attributes in one pass."""
        while rows := [row for row in self._register.read().rows if row.state == FILLING]:
            start = min(row.filled_id for row in rows)
            group = [row for row in rows if row.filled_id == start]
            ahead = [row.filled_id for row in rows if row.filled_id > start]
            stop = min(ahead) if ahead else max(row.last_id for row in group)
            self._fill_page(job, group, (start, stop))
            yield

    def _fill_page(self, job: Job, group: list[Declaration], span: tuple[int, int]) -> None:
        page = self._database.rows(self._page, {"after": span[0], "until": span[1]})
        reached = page[-1][0] if len(page) == _PAGE else span[1]
        said = {}
        for number, tenant, patient, study, one_series, body in page:
            text = _inflated(body)
            if _may_say(text, group) and (values := list(found(orjson.loads(text), group))):
                said[number] = (tenant, Owners(patient, study, one_series, number), values)

        def write(tx: Transaction) -> None:
            self._jobs.beat(tx, job)
            present = tx.rows(self._present, {"page": self._database.list_value(sorted(said))}) if said else []
            self._values.insert(tx, (said[number] for number, _ in present))
            self._register.advance(tx, group, reached)

        self._database.transact(write)

    def clear(self, job: Job) -> Iterator[None]:
        """Delete the values of an attribute that was given up."""
        number = int(job.key)
        for level in VALUES:
            while rows := self._database.rows(self._some_values[level], {"number": number}):

                def write(tx: Transaction, level: Level = level, rows: list[Any] = rows) -> None:
                    self._jobs.beat(tx, job)
                    self._values.remove(tx, level, [tuple(row) for row in rows])

                self._database.transact(write)
                yield

    def recheck(self, job: Job) -> Iterator[None]:
        """After a removal: take back the values of a patient, study or series that none of its instances has."""
        name, _, text = job.key.partition(" ")
        level, owner = Level(name), int(text)
        rows = self._register.read().rows
        values = {tuple(row) for row in self._database.rows(self._of_owner[level], {"owner": owner})}
        members = [tuple(row) for row in self._database.rows(self._members[level], {"owner": owner})]
        for start in range(0, len(members), _PAGE):
            if not values:
                return
            unsaid(values, self._read([number for number, _ in members[start : start + _PAGE]]), rows)
            self._database.transact(lambda tx: self._jobs.beat(tx, job))
            yield

        def write(tx: Transaction) -> None:
            self._jobs.beat(tx, job)
            tx.rows(self._lock[level], {"owner": owner})
            # What came while we read: whoever comes now waits for the owner's row.
            new = sorted({tuple(row) for row in tx.rows(self._members[level], {"owner": owner})}.difference(members))
            left = set(values)
            for start in range(0, len(new), _PAGE):
                page = self._database.list_value([number for number, _ in new[start : start + _PAGE]])
                unsaid(left, (body for (body,) in tx.rows(self._bodies, {"page": page})), rows)
            self._values.remove(tx, level, left)

        self._database.transact(write)

    def _read(self, numbers: list[int]) -> Iterator[bytes]:
        return (body for (body,) in self._database.rows(self._bodies, {"page": self._database.list_value(numbers)}))


def _inflated(body: bytes) -> bytes:
    return zstandard.ZstdDecompressor().decompress(body)


def _may_say(text: bytes, group: list[Declaration]) -> bool:
    """A look at the text first: most data sets have none of the attributes, and parsing costs the most."""
    firsts = (row.path[0] for row in group)
    return any((f'"{first.tag[:4]}' if first.creator else f'"{first.tag}"').encode() in text for first in firsts)
