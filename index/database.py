"""Connections, transactions and prepared statements. The only module that knows which database is underneath.

Theory. Statements are SQLAlchemy Core, compiled once to driver SQL (`Database.prepare`) and executed on the
driver's own connection: a point select costs 8 us that way and 170 us through Core. Both drivers share the
shape `connection.execute(sql, {"name": value})`, so nothing above needs to know them. Reads take a connection
from a small pool, each statement its own snapshot. Writes go through `write()`: one connection a process,
one thread at a time, BEGIN IMMEDIATE on SQLite, because a plain BEGIN loses to "database is locked" as soon as
a second process reads and then writes.
"""

import os
import sqlite3
import threading
import time
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import orjson
from sqlalchemy import ARRAY, ClauseElement, ColumnElement, Text, any_, bindparam, func, select
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL, make_url
from sqlalchemy.schema import Table

from config import settings
from index.errors import InvalidQuery, OutOfResources, PacsError
from index.matching import glob, like

Connection = Any
"""A DBAPI connection of sqlite3 or psycopg: both have `execute(sql, params)` that returns a cursor."""

Params = Mapping[str, Any]

_SQLITE_BUSY_SECONDS = 30.0
_SQLITE_STEPS_BETWEEN_CLOCK_READS = 20_000
_WRITE_TIMEOUT_SECONDS = 60.0

_INHERITED: list[object] = []


class Conflicting(PacsError):
    """Another process wrote the same at the same time; the transaction may be run again."""


class Unreachable(OutOfResources):
    """The index cannot be reached."""

    http_status = 503


class Prepared(NamedTuple):
    """Driver SQL and the values that the statement itself holds."""

    sql: str
    values: Params


class Database:
    """One index, shared by all threads of a process; survives a fork by opening its own connections again."""

    def __init__(self, database: settings.Database) -> None:
        """Nothing is opened before it is needed."""
        self._url = make_url(database.url)
        self._driver = _Sqlite(self._url, database) if is_sqlite(self._url) else _Postgresql(self._url, database)
        self._size = max(1, database.pool_size)
        self._start()
        _start_again_after_fork(self)

    def _start(self) -> None:
        self._idle: list[Connection] = []
        self._room = threading.Semaphore(self._size)
        self._writing = threading.Lock()
        self._writer: Connection | None = None

    def prepare(self, statement: ClauseElement) -> Prepared:
        """Compile a Core statement for the driver. Lists must have one bound value per member."""
        compiled = statement.compile(dialect=self._driver.dialect)
        values = {name: value for name, value in (compiled.params or {}).items() if value is not None}
        return Prepared(str(compiled), values)

    def rows(self, statement: Prepared, params: Params) -> list[Any]:
        """All rows of a query, as tuples. The hot path: no context manager, one pool checkout."""
        values = {**statement.values, **params} if statement.values else params
        with self._room:
            try:
                return self._read(statement.sql, values)
            except Unreachable:
                # The server was restarted: every idle connection is as dead as this one.
                while self._idle:
                    _close(self._idle.pop())
                return self._read(statement.sql, values)

    def _read(self, sql: str, values: Params) -> list[Any]:
        connection = self._idle.pop() if self._idle else self._driver.open_reader()
        try:
            self._driver.begin_read()
            found: list[Any] = connection.execute(sql, values).fetchall()
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
                connection.execute(self._driver.begin)
                yield Transaction(connection, self._driver)
                connection.execute("COMMIT")
            except BaseException as exc:
                self._roll_back(connection)
                if isinstance(exc, self._driver.errors):
                    raise self._driver.translate(exc) from exc
                raise

    def _roll_back(self, connection: Connection) -> None:
        try:
            connection.execute("ROLLBACK")
        except self._driver.errors:
            # No transaction was open, or the connection is gone: a new one is as good as rolled back.
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

    def close(self) -> None:
        """Close what this process has opened."""
        with self._writing:
            if self._writer is not None:
                _close(self._writer)
            while self._idle:
                _close(self._idle.pop())
            self._writer = None


class Transaction:
    """What may be done inside `write()`."""

    def __init__(self, connection: Connection, driver: "_Sqlite | _Postgresql") -> None:
        """Made by `Database.write` only."""
        self._connection = connection
        self._driver = driver

    def rows(self, statement: Prepared, params: Params) -> list[Any]:
        """Rows of a query or of a RETURNING clause."""
        rows: list[Any] = self._connection.execute(statement.sql, {**statement.values, **params}).fetchall()
        return rows

    def run(self, statement: Prepared, params: Params) -> int:
        """Number of rows that the statement changed."""
        changed: int = self._connection.execute(statement.sql, {**statement.values, **params}).rowcount
        return changed

    def run_many(self, statement: Prepared, rows: Sequence[Params]) -> None:
        """The statement once for each of `rows`; a pipeline on PostgreSQL."""
        if not rows:
            return
        if len(rows) == 1:
            self._connection.execute(statement.sql, rows[0])
        else:
            self._connection.cursor().executemany(statement.sql, rows)

    def new_ids(self, table: str, number: int) -> Sequence[int]:
        """Unused primary keys, ascending, so that rows and their children can be inserted in bulk."""
        return self._driver.new_ids(self._connection, table, number)

    def order_changes(self) -> None:
        """Until the commit no other process may number a change: readers of the feed never skip one."""
        self._driver.order_changes(self._connection)


def is_sqlite(url: URL) -> bool:
    """True for `sqlite:///path`; the other database is PostgreSQL."""
    name = url.get_backend_name()
    if name not in ("sqlite", "postgresql"):
        raise ValueError(f"database.url: {name} is not supported, use sqlite or postgresql+psycopg")
    return name == "sqlite"


def prepare_folder(url: URL) -> None:
    """The folder of an SQLite file, readable by its owner alone: it holds names and dates of birth."""
    if not url.database or url.database == ":memory:":
        raise ValueError("database.url: SQLite needs a file, `sqlite:///path`")
    folder = Path(url.database).absolute().parent
    missing = [made for made in (folder, *folder.parents) if not made.exists()]
    if missing:
        folder.mkdir(parents=True, mode=0o700, exist_ok=True)
    # Commits are worth nothing in a folder whose own name a power cut can take away. An existing one may have been
    # made by a process that was killed before it came to this line.
    for made in missing or [folder]:
        with suppress(PermissionError):
            _sync_names(made.parent)


def _sync_names(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


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


class _Sqlite:
    begin = "BEGIN IMMEDIATE"
    errors = (sqlite3.Error,)
    dialect = sqlite.dialect(paramstyle="named")
    insert = staticmethod(sqlite_insert)
    pattern_text = staticmethod(glob)

    def __init__(self, url: URL, database: settings.Database) -> None:
        self._url = url
        self._path = url.database or ""
        self._synchronous = database.synchronous
        self._timeout = database.statement_timeout_seconds
        self._deadlines = threading.local()

    def _open(self) -> sqlite3.Connection:
        prepare_folder(self._url)
        connection = sqlite3.connect(
            self._path,
            timeout=_SQLITE_BUSY_SECONDS,
            isolation_level=None,
            check_same_thread=False,
            cached_statements=512,
        )
        for pragma in (
            "journal_mode=WAL",
            f"synchronous={self._synchronous}",
            "foreign_keys=ON",
            f"mmap_size={2**30}",
            "cache_size=-16384",
            "temp_store=MEMORY",
            "wal_autocheckpoint=8000",
            f"journal_size_limit={64 * 2**20}",
        ):
            connection.execute(f"PRAGMA {pragma}")
        return connection

    def open_writer(self) -> sqlite3.Connection:
        return self._open()

    def open_reader(self) -> sqlite3.Connection:
        connection = self._open()
        connection.execute("PRAGMA query_only=ON")
        deadlines = self._deadlines

        def late() -> bool:
            return bool(time.monotonic() > deadlines.until)

        connection.set_progress_handler(late, _SQLITE_STEPS_BETWEEN_CLOCK_READS)
        return connection

    def begin_read(self) -> None:
        self._deadlines.until = time.monotonic() + self._timeout

    @staticmethod
    def new_ids(connection: Connection, table: str, number: int) -> Sequence[int]:
        (highest,) = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
        return range(highest + 1, highest + 1 + number)

    @staticmethod
    def order_changes(connection: Connection) -> None:
        """BEGIN IMMEDIATE lets one transaction write at a time already."""

    @staticmethod
    def matches(column: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
        return column.op("GLOB", is_comparison=True)(pattern)

    @staticmethod
    def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        members = func.json_each(bindparam(name, type_=Text())).table_valued("value", name=f"{name}_list")
        return column.in_(select(members.c.value))

    @staticmethod
    def list_value(values: Sequence[Any]) -> str:
        return orjson.dumps(list(values)).decode()

    @staticmethod
    def translate(exc: BaseException) -> BaseException:
        words = str(exc)
        if "interrupted" in words:
            return OutOfResources("The query takes too long; narrow it, for instance by a date range")
        if "full" in words or "locked" in words:
            return OutOfResources(f"The index cannot be written: {words}")
        if isinstance(exc, sqlite3.IntegrityError):
            return Conflicting(words)
        return exc if not isinstance(exc, sqlite3.Error) else PacsError(f"The index failed: {words}")


class _Postgresql:
    begin = "BEGIN"
    dialect: Any = PGDialect_psycopg()  # type: ignore[no-untyped-call]
    insert = staticmethod(postgresql_insert)
    pattern_text = staticmethod(like)

    def __init__(self, url: URL, database: settings.Database) -> None:
        import psycopg

        self._psycopg = psycopg
        self.errors = (psycopg.Error,)
        self._arguments: dict[str, Any] = self.dialect.create_connect_args(url)[1]
        self._timeout = database.statement_timeout_seconds

    def _open(self, timeout_seconds: float) -> Connection:
        limit = f"-c statement_timeout={int(timeout_seconds * 1000)} -c jit=off"
        options = f"{self._arguments.get('options', '')} {limit}".strip()
        try:
            return self._psycopg.connect(**{**self._arguments, "options": options}, autocommit=True)
        except self._psycopg.OperationalError as exc:
            raise Unreachable("The index cannot be reached") from exc

    def open_writer(self) -> Connection:
        return self._open(_WRITE_TIMEOUT_SECONDS)

    def open_reader(self) -> Connection:
        return self._open(self._timeout)

    def begin_read(self) -> None:
        """The server keeps the time."""

    @staticmethod
    def new_ids(connection: Connection, table: str, number: int) -> Sequence[int]:
        sql = "SELECT nextval(pg_get_serial_sequence(%(table)s, 'id')) FROM generate_series(1, %(number)s)"
        return sorted(row[0] for row in connection.execute(sql, {"table": table, "number": number}).fetchall())

    @staticmethod
    def order_changes(connection: Connection) -> None:
        # The number only has to be the same in every process of this index.
        connection.execute("SELECT pg_advisory_xact_lock(7301)")

    @staticmethod
    def matches(column: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
        return column.like(pattern, escape="!")

    @staticmethod
    def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bindparam(name, type_=ARRAY(column.type)))

    @staticmethod
    def list_value(values: Sequence[Any]) -> list[Any]:
        return list(values)

    def translate(self, exc: BaseException) -> BaseException:
        errors = self._psycopg.errors
        if isinstance(exc, errors.QueryCanceled):
            return OutOfResources("The query takes too long; narrow it, for instance by a date range")
        if isinstance(exc, errors.UniqueViolation | errors.ForeignKeyViolation | errors.TransactionRollback):
            return Conflicting(type(exc).__name__)
        if isinstance(exc, errors.DiskFull | errors.OutOfMemory):
            return OutOfResources("The index cannot be written")
        if isinstance(exc, self._psycopg.OperationalError | self._psycopg.InterfaceError):
            return Unreachable("The index cannot be reached")
        if isinstance(exc, self._psycopg.DataError):
            return InvalidQuery("A value cannot be compared with the index")
        return exc if not isinstance(exc, self._psycopg.Error) else PacsError("The index failed")
