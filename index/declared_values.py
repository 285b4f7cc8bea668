"""The values of declared attributes: written with an instance, taken back when no instance has them any more.

A row says that some instance of a patient, study or series has a value, once, however many have it. So writing may be
repeated without harm, and taking back means to look whether one of the remaining instances has the value as well. A
transaction writes under the declarations that it knows; its end tells whether these were still the newest
(`expect`), and if not it runs again, so that no instance ever lacks a value of an attribute declared before it.

Rows are written after the counters of their owners, and taken back after these as well: who holds the owner's row
sees all that its instances say.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import islice
from types import MappingProxyType
from typing import Any, Final, NamedTuple

import orjson
import zstandard
from sqlalchemy import bindparam, delete, func, select

from index.database import Conflicting, Database, Transaction
from index.declared import Declaration, Declarations
from index.jobs import Jobs
from index.records import DicomJson, Level
from index.register import declared, read_declarations
from index.tables import (
    declarations,
    documents,
    instance_values,
    instances,
    patient_values,
    series,
    series_values,
    studies,
    study_values,
)
from index.terms import digest, terms_of

_log = logging.getLogger(__name__)

VALUES: Final[Mapping[Level, Any]] = MappingProxyType(
    {
        Level.PATIENT: patient_values,
        Level.STUDY: study_values,
        Level.SERIES: series_values,
        Level.IMAGE: instance_values,
    }
)

RECHECK: Final = "recheck values"
"""Kind of the job that looks through all instances of an owner."""

_MOST_TERMS: Final = 10_000
"""Of one attribute in one instance; an object with more is beyond what anybody asks for value by value."""
_MOST_KEPT: Final = 256
_LONGEST_KEPT_BYTES: Final = 16384
_LOOKED_AT: Final = 16
"""Instances that are looked at in the transaction of a removal; what they do not settle is a job."""


class Found(NamedTuple):
    """One value of an instance."""

    declaration: Declaration
    term: str
    items: str


class Owners(NamedTuple):
    """Rows that an instance belongs to, in the order of the levels."""

    patient: int
    study: int
    series: int
    instance: int


def found(dataset: DicomJson, rows: Iterable[Declaration]) -> Iterator[Found]:
    """The values that a data set has of declared attributes, each once."""
    digests: dict[int, str] = {}
    for row in rows:
        first = row.path[0]
        if first.tag in dataset or first.creator:
            terms = dict.fromkeys(islice(_terms(dataset, row, 0, digests), _MOST_TERMS + 1))
            if len(terms) > _MOST_TERMS:
                _log.warning("An instance has too many values of an attribute", extra={"Attribute": row.name})
                terms.popitem()
            yield from (Found(row, term, items) for term, items in terms)


def _terms(dataset: DicomJson, row: Declaration, depth: int, digests: dict[int, str]) -> Iterator[tuple[str, str]]:
    for element in row.path[depth].elements(dataset):
        if depth == len(row.path) - 1:
            yield from terms_of(row.vr, element)
            continue
        for item in element.get("Value") or ():
            if isinstance(item, dict):
                mark = digests.get(id(item)) or digests.setdefault(id(item), digest(item))
                yield from ((term, mark + items) for term, items in _terms(item, row, depth + 1, digests))


class _Finder:
    """Finds values in one data set after the other. Those of a series mostly say the same: what was found is kept."""

    def __init__(self, known: Declarations) -> None:
        self.generation = known.generation
        self._public = [row for row in known.rows if not row.path[0].creator]
        self._private = [row for row in known.rows if row.path[0].creator]
        self._tags = list(dict.fromkeys(row.path[0].tag for row in self._public))
        self._kept: dict[bytes, tuple[Found, ...]] = {}

    def find(self, dataset: DicomJson) -> Sequence[Found]:
        said = {tag: dataset[tag] for tag in self._tags if tag in dataset}
        values = self._find(said) if said else ()
        return (*values, *found(dataset, self._private)) if self._private else values

    def _find(self, said: DicomJson) -> tuple[Found, ...]:
        text = orjson.dumps(said)
        values = self._kept.get(text)
        if values is None:
            values = tuple(found(said, self._public))
            if len(self._kept) >= _MOST_KEPT:
                self._kept.clear()
            if len(text) <= _LONGEST_KEPT_BYTES:
                self._kept[text] = values
        return values


class DeclaredValues:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._list = database.list_value
        self._jobs = Jobs(database)
        self._finder: _Finder | None = None
        self._wrote = False
        self._read = prepare(declared())
        self._insert = {level: prepare(database.insert(table).on_conflict_do_nothing()) for level, table in _tables()}
        self._of_owners = {
            level: prepare(select(table).where(database.one_of(table.c.owner_fk, "owners")))
            for level, table in _tables()
        }
        self._delete = {
            level: prepare(
                delete(table).where(*(column == bindparam(column.name, type_=column.type) for column in table.columns))
            )
            for level, table in _tables()
        }
        self._samples = {level: prepare(_first_of_each_series(level)) for level in _ABOVE}
        self._some = {level: prepare(_bodies(level).order_by(instances.c.id).limit(_LOOKED_AT)) for level in _ABOVE}

    def write(self, tx: Transaction, said: Iterable[tuple[int, Owners, DicomJson]]) -> None:
        """Write what instances say: tenant, rows and data set of each."""
        finder = self._finder
        if finder is None:
            finder = self._finder = _Finder(read_declarations(tx.rows(self._read, {})))
        self._wrote = True
        self.insert(tx, ((tenant, owners, finder.find(dataset)) for tenant, owners, dataset in said))

    def insert(self, tx: Transaction, said: Iterable[tuple[int, Owners, Iterable[Found]]]) -> None:
        """Write values that were found."""
        rows: dict[Level, set[tuple[int, int, str, int, str]]] = {}
        for tenant, owners, values in said:
            for declaration, term, items in values:
                owner = owners[_POSITION[declaration.level]]
                rows.setdefault(declaration.level, set()).add((declaration.number, tenant, term, owner, items))
        for level in sorted(rows, key=lambda one: _POSITION[one]):
            tx.run_many(self._insert[level], [dict(zip(_COLUMNS, row, strict=True)) for row in sorted(rows[level])])

    def expect(self, generation: int) -> None:
        """Called at the end of a transaction that wrote. Raises Conflicting when an attribute was declared since."""
        wrote, self._wrote = self._wrote, False
        if self._finder is None or self._finder.generation == generation:
            return
        self._finder = None
        if wrote:
            raise Conflicting("An attribute was declared in between")

    def settle(self, tx: Transaction, owners: Iterable[Sequence[int]]) -> None:
        """Instances of these patients, studies and series (three ids a line) were removed, the rows' locks are held."""
        lines = list(owners)
        for level in _ABOVE:
            touched = sorted({line[_POSITION[level]] for line in lines})
            held: dict[int, set[tuple[Any, ...]]] = {}
            for row in tx.rows(self._of_owners[level], {"owners": self._list(touched)}):
                held.setdefault(row[_OWNER], set()).add(tuple(row))
            for owner, values in sorted(held.items()):
                self._settle_owner(tx, level, owner, values)

    def _settle_owner(self, tx: Transaction, level: Level, owner: int, values: set[tuple[Any, ...]]) -> None:
        declared_rows = read_declarations(tx.rows(self._read, {})).rows
        for statement in (self._samples[level], self._some[level]):
            bodies = tx.rows(statement, {"owner": owner})
            unsaid(values, (body for (body,) in bodies), declared_rows)
            if not values:
                return
        if len(bodies) < _LOOKED_AT:
            self.remove(tx, level, values)
        else:
            self._jobs.ask(tx, RECHECK, f"{level.value} {owner}")

    def remove(self, tx: Transaction, level: Level, values: Iterable[tuple[Any, ...]]) -> None:
        """Take values back."""
        tx.run_many(self._delete[level], [dict(zip(_COLUMNS, row, strict=True)) for row in sorted(values)])


def unsaid(values: set[tuple[Any, ...]], bodies: Iterable[bytes], rows: Sequence[Declaration]) -> None:
    """Take those values out of the set (rows of a table) that one of the documents has."""
    wanted = {row[0] for row in values}
    rows = [row for row in rows if row.number in wanted]
    for body in bodies:
        if not values:
            return
        said = {(one.declaration.number, one.term, one.items) for one in found(dataset_of(body), rows)}
        values.difference_update([row for row in values if (row[0], row[2], row[4]) in said])


def dataset_of(body: bytes) -> DicomJson:
    """The data set of a document."""
    dataset: DicomJson = orjson.loads(zstandard.ZstdDecompressor().decompress(body))
    return dataset


def newest_generation() -> Any:
    """A subquery: tells whether somebody declared an attribute or gave one up."""
    return select(func.coalesce(func.max(declarations.c.generation), 0)).scalar_subquery()


_POSITION: Final = {level: number for number, level in enumerate(Level)}
_ABOVE: Final = (Level.PATIENT, Level.STUDY, Level.SERIES)
_COLUMNS: Final = tuple(column.name for column in series_values.columns)
_OWNER: Final = _COLUMNS.index("owner_fk")
_OWNER_OF: Final = {Level.PATIENT: studies.c.patient_fk, Level.STUDY: studies.c.id, Level.SERIES: series.c.id}


def _tables() -> Iterable[tuple[Level, Any]]:
    return VALUES.items()


def _bodies(level: Level) -> Any:
    source = documents.join(instances, documents.c.instance_fk == instances.c.id).join(series).join(studies)
    return select(documents.c.body).select_from(source).where(_OWNER_OF[level] == bindparam("owner"))


def _first_of_each_series(level: Level) -> Any:
    """Series differ more than the instances of one, so that few documents tell most of what an owner has."""
    source = instances.join(series).join(studies)
    firsts = select(func.min(instances.c.id)).select_from(source).where(_OWNER_OF[level] == bindparam("owner"))
    chosen = firsts.group_by(series.c.id).limit(_LOOKED_AT)
    return select(documents.c.body).where(documents.c.instance_fk.in_(chosen))
