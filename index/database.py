"""Connections, transactions and prepared statements. What databases do differently is in `index.dialects`.

Theory. Statements are SQLAlchemy Core, compiled once to driver SQL (`Database.prepare`) and executed on the
driver's own connection: a point select costs 8 us that way and 170 us through Core. Both drivers share the
shape `connection.execute(sql, {"name": value})`, so nothing above needs to know them. Reads take a connection
from a small pool, each statement its own snapshot. Writes go through `write()`: one connection a process,
one thread at a time, BEGIN IMMEDIATE on SQLite, because a plain BEGIN loses to "database is locked" as soon as
a second process reads and then writes. On PostgreSQL a write transaction is a pipeline: only statements whose
rows are needed wait for the server.
"""

import os
import threading
import weakref
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple, TypeVar

from sqlalchemy import ClauseElement, ColumnElement, Select
from sqlalchemy.engine import make_url
from sqlalchemy.schema import Table

from config import settings
from index.dialects import Conflicting, Connection, Postgresql, Sqlite, is_sqlite, prepare_folder
from index.errors import Unreachable
from index.tables import metadata
from index.words.substrings import Texts

__all__ = ["Conflicting", "Database", "Prepared", "Transaction", "Unreachable", "is_sqlite", "prepare_folder"]

Params = Mapping[str, Any]
R = TypeVar("R")

_TRIES = 4

_INHERITED: list[object] = []


class Prepared(NamedTuple):
    """Driver SQL and the values that the statement itself holds."""

    sql: str
    values: Params
    fresh: bool = False
    """Planned anew for the values of each execution; where plans depend on values."""


class Database:
    """One index, shared by all threads of a process; survives a fork by opening its own connections again."""

    def __init__(self, database: settings.Database) -> None:
        """Nothing is opened before it is needed."""
        self._url = make_url(database.url)
        self._driver = Sqlite(self._url, database) if is_sqlite(self._url) else Postgresql(self._url, database)
        self._size = max(1, database.pool_size)
        self._start()
        _start_again_after_fork(self)

    def _start(self) -> None:
        self._idle: list[Connection] = []
        self._room = threading.Semaphore(self._size)
        self._writing = threading.Lock()
        self._writer: Connection | None = None

    def prepare(self, statement: ClauseElement, *, fresh: bool = False) -> Prepared:
        """Compile a Core statement for the driver. Lists must have one bound value per member."""
        compiled = statement.compile(dialect=self._driver.dialect)
        values = {name: value for name, value in (compiled.params or {}).items() if value is not None}
        return Prepared(str(compiled), values, fresh)

    def rows(self, statement: Prepared, params: Params) -> list[Any]:
        """All rows of a query, as tuples. The hot path: no context manager, one pool checkout."""
        values = {**statement.values, **params} if statement.values else params
        with self._room:
            try:
                return self._read(statement.sql, values, fresh=statement.fresh)
            except Unreachable:
                # The server was restarted: every idle connection is as dead as this one.
                while connection := self._idle_reader():
                    _close(connection)
                return self._read(statement.sql, values, fresh=statement.fresh)

    def _idle_reader(self) -> Connection | None:
        try:
            return self._idle.pop()
        except IndexError:
            return None

    def _read(self, sql: str, values: Params, *, fresh: bool = False) -> list[Any]:
        connection = self._idle_reader() or self._driver.open_reader()
        try:
            self._driver.begin_read()
            cursor = self._driver.execute_fresh(connection, sql, values) if fresh else connection.execute(sql, values)
            found: list[Any] = cursor.fetchall()
        except self._driver.errors as exc:
            _close(connection)
            raise self._driver.translate(exc) from exc
        self._idle.append(connection)
        return found

    @contextmanager
    def write(self) -> Iterator["Transaction"]:
        """A write transaction: committed and durable when the block ends, rolled back when it raises."""
        with self._writing:
            connection = self._writer = self._writer or self._driver.open_writer()
            try:
                with self._driver.pipeline(connection):
                    connection.execute(self._driver.begin)
                    yield Transaction(connection, self._driver)
                    connection.execute("COMMIT")
            except BaseException as exc:
                self._roll_back(connection)
                if isinstance(exc, self._driver.errors):
                    raise self._driver.translate(exc) from exc
                raise

    def transact(self, work: Callable[["Transaction"], R]) -> R:
        """`work` in a write transaction, run again when another process was first or the connection broke."""
        for _ in range(_TRIES - 1):
            try:
                with self.write() as tx:
                    return work(tx)
            except (Conflicting, Unreachable):
                continue
        with self.write() as tx:
            return work(tx)

    def _roll_back(self, connection: Connection) -> None:
        try:
            # Not by a statement of ours: only this tells psycopg that what it prepared in a pipeline may not exist.
            connection.rollback()
        except self._driver.errors:
            # The connection is gone: a new one is as good as rolled back.
            self._writer = None
            _close(connection)

    def insert(self, table: Table) -> Any:
        """An INSERT of the dialect, which knows `on_conflict_do_nothing`."""
        return self._driver.insert(table)

    def one_of(self, column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        """`column` is one of a list that is bound as one value: the SQL is the same for every length."""
        return self._driver.one_of(column, name)

    def list_value(self, values: Sequence[Any]) -> Any:
        """The bound value for `one_of`."""
        return self._driver.list_value(values)

    def matches(self, column: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
        """Case-sensitive wild card matching; `pattern` is bound to what `pattern_text` makes."""
        return self._driver.matches(column, pattern)

    def pattern_text(self, pattern: str) -> str:
        """A DICOM wild card pattern in the syntax of `matches`."""
        return self._driver.pattern_text(pattern)

    def has_trigrams(self, texts: Texts) -> bool:
        """True when an index can be asked for rows that hold these texts."""
        return self._driver.has_trigrams(texts, lambda sql: self.rows(Prepared(sql, {}), {}))

    def holding(self, texts: Texts, clause: ColumnElement[bool]) -> Select[Any]:
        """Ids of rows that hold the texts, among them all that meet `clause`; `texts` is bound to `texts_value`."""
        return self._driver.holding(metadata.tables[texts.table], clause)

    def texts_value(self, texts: Texts) -> str:
        """The bound value for `holding`."""
        return self._driver.texts_value(texts)

    def close(self) -> None:
        """Close what this process has opened."""
        with self._writing:
            if self._writer is not None:
                _close(self._writer)
            while connection := self._idle_reader():
                _close(connection)
            self._writer = None


class Transaction:
    """What may be done inside `write()`."""

    def __init__(self, connection: Connection, driver: "Sqlite | Postgresql") -> None:
        """Made by `Database.write` only."""
        self._connection = connection
        self._driver = driver

    def rows(self, statement: Prepared, params: Params) -> list[Any]:
        """Rows of a query or of a RETURNING clause."""
        rows: list[Any] = self._connection.execute(statement.sql, {**statement.values, **params}).fetchall()
        return rows

    def run(self, statement: Prepared, params: Params) -> None:
        """Run a statement; on PostgreSQL it travels with the next one that is waited for."""
        self._connection.execute(statement.sql, {**statement.values, **params})

    def changed(self, statement: Prepared, params: Params) -> int:
        """Run a statement and wait for the number of rows that it changed."""
        return self._driver.changed(self._connection.execute(statement.sql, {**statement.values, **params}))

    def run_many(self, statement: Prepared, rows: Sequence[Params]) -> None:
        """The statement once for each of `rows`; a pipeline on PostgreSQL."""
        if not rows:
            return
        if statement.values:
            rows = [{**statement.values, **row} for row in rows]
        if len(rows) == 1:
            self._connection.execute(statement.sql, rows[0])
        else:
            self._connection.cursor().executemany(statement.sql, rows)

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Unused primary keys, ascending, so that rows and their children can be inserted in bulk."""
        return self._driver.new_ids(self._connection, table, number)

    def order_removals(self, *, alone: bool = False) -> None:
        """Who takes instances out, or hides them, does it `alone`; who takes them in does it beside others of the kind.

        Called first. So a rejection note and what it names cannot pass each other unseen, and nobody waits for a row
        of a series that is about to go.
        """
        self._driver.order_removals(self._connection, alone=alone)

    def order_changes(self) -> None:
        """Until the commit no other process may number a change: readers of the feed never skip one."""
        self._driver.order_changes(self._connection)


def _close(connection: Connection) -> None:
    try:
        connection.close()
    except Exception:  # noqa: S110 - a connection that is being thrown away has nothing left to say
        pass


def _start_again_after_fork(database: Database) -> None:
    reference = weakref.ref(database)

    def start_again() -> None:
        alive = reference()
        if alive is not None:
            # The parent's connections are kept, never used and never closed here: closing would end the parent's
            # session on the server.
            _INHERITED.append((alive._idle, alive._writer))
            alive._start()

    os.register_at_fork(after_in_child=start_again)
