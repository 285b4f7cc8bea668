"""The register of declared attributes: who declares one while the server runs, and how far it is filled."""

import time
from collections.abc import Iterable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, case, func, select, update

from index import attribute_paths as paths
from index.attribute_paths import Path
from index.attributes import BY_TAG, levels_down_to
from index.database import Database, Transaction
from index.declared import FILLING, READY, REMOVED, Declaration, Declarations, searchable_vr
from index.errors import Conflict, InvalidQuery, NotFound
from index.jobs import Jobs
from index.records import Level
from index.tables import declarations, instances

FILL: Final = "fill values"
"""Kind of the job that reads the stored instances; its key is empty, because one pass fills all that is declared."""

CLEAR: Final = "clear values"
"""Kind of the job that deletes the values of an attribute that was given up; its key is the declaration's number."""

_COLUMNS: Final = ("id", "path", "level", "vr", "state", "filled_id", "last_id", "generation")


def declared() -> Any:
    """The statement that reads all declarations, those given up included: they count for the generation."""
    return select(*(declarations.c[name] for name in _COLUMNS)).order_by(declarations.c.id)


def read_declarations(rows: Sequence[Any]) -> Declarations:
    """The declarations in force."""
    made = (
        Declaration(number, paths.parse(path), Level(level), vr, state, filled, last)
        for number, path, level, vr, state, filled, last, _ in rows
        if state != REMOVED
    )
    return Declarations(max((row[-1] for row in rows), default=0), tuple(made))


class Register:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._jobs = Jobs(database)
        self._read = prepare(declared())
        self._last_instance = prepare(select(func.coalesce(func.max(instances.c.id), 0)))
        names = ("path", "level", "vr", "state", "generation", "last_id", "declared_at_ms")
        values = {name: bindparam(name, type_=declarations.c[name].type) for name in names}
        self._add = prepare(declarations.insert().values(values))
        self._end = prepare(
            update(declarations)
            .where(declarations.c.id == bindparam("row"))
            .values(state=REMOVED, generation=bindparam("newest"))
        )
        reached = bindparam("reached", type_=declarations.c.filled_id.type)
        self._advance = prepare(
            update(declarations)
            .where(database.one_of(declarations.c.id, "rows"), declarations.c.state == FILLING)
            .values(filled_id=reached, state=case((declarations.c.last_id <= reached, READY), else_=FILLING))
        )

    def read(self) -> Declarations:
        """The declarations in force at this moment."""
        return read_declarations(self._database.rows(self._read, {}))

    def declare(self, path: Path, level: Level, vr: str = "") -> Declaration:
        """Make an attribute searchable. Raises InvalidQuery when it cannot be, Conflict when it is already."""
        vr = searchable_vr(path, vr)
        _refuse_columns(path, level)

        def add(tx: Transaction) -> None:
            # From here on no instance is taken in by one who does not know of it (see `DeclaredValues.expect`).
            tx.order_changes()
            known = read_declarations(tx.rows(self._read, {}))
            if level in known.levels(path):
                raise Conflict(f"{paths.name_of(path)} is declared at level {level.value} already")
            last = tx.rows(self._last_instance, {})[0][0]
            row = {
                "path": paths.text_of(path),
                "level": level.value,
                "vr": vr,
                "state": FILLING if last else READY,
                "generation": known.generation + 1,
                "last_id": last,
                "declared_at_ms": time.time_ns() // 1_000_000,
            }
            tx.run(self._add, row)
            if last:
                self._jobs.ask(tx, FILL, "")

        self._database.transact(add)
        return self.read().levels(path)[level]

    def give_up(self, path: Path, level: Level) -> None:
        """Make an attribute unsearchable; a job deletes its values. Raises NotFound."""

        def end(tx: Transaction) -> None:
            tx.order_changes()
            known = read_declarations(tx.rows(self._read, {}))
            row = known.levels(path).get(level)
            if row is None:
                raise NotFound(f"{paths.name_of(path)} is not declared at level {level.value}")
            tx.run(self._end, {"row": row.number, "newest": known.generation + 1})
            self._jobs.ask(tx, CLEAR, str(row.number))

        self._database.transact(end)

    def advance(self, tx: Transaction, rows: Iterable[Declaration], reached: int) -> None:
        """The instances up to this id are done."""
        numbers = self._database.list_value([row.number for row in rows])
        tx.run(self._advance, {"rows": numbers, "reached": reached})


def _refuse_columns(path: Path, level: Level) -> None:
    row = BY_TAG.get(path[0].tag)
    if len(path) == 1 and row is not None and row.searchable and row.level in levels_down_to(level):
        raise InvalidQuery(f"{row.keyword} is searchable at level {row.level.value} and below already")
