"""The two databases: what they do differently, and nothing else. Only `index.database` and migrations look in here."""

import os
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import nullcontext, suppress
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import ARRAY, ColumnElement, Select, Text, any_, bindparam, column, func, literal_column, select, table
from sqlalchemy.dialects import sqlite
from sqlalchemy.dialects.postgresql import insert as postgresql_insert
from sqlalchemy.dialects.postgresql.psycopg import PGDialect_psycopg
from sqlalchemy.dialects.sqlite import insert as sqlite_insert
from sqlalchemy.engine import URL
from sqlalchemy.schema import Table

from config import settings
from index.errors import InvalidQuery, NoTables, OutOfResources, PacsError, TooLong, Unreachable
from index.words.matching import glob, group_matches, like
from index.words.substrings import Texts, full_text_query

Connection = Any
"""A DBAPI connection of sqlite3 or psycopg: both have `execute(sql, params)` that returns a cursor."""

_SQLITE_BUSY_SECONDS = 30.0
_SQLITE_STEPS_BETWEEN_CLOCK_READS = 5_000
_WRITE_TIMEOUT_SECONDS = 60.0
_HAS_TRIGRAMS = "SELECT count(*) = 2 FROM pg_indexes WHERE indexname IN ('ix_studies_texts', 'ix_patients_texts')"
_HAS_FOREIGN_TRIGRAMS = "SELECT cardinality(show_trgm('\u0436\u0443\u043a')) > 0"
"""With the locale C the server takes letters beyond ASCII for blanks."""


class Conflicting(PacsError):
    """Another process wrote the same at the same time; the transaction may be run again."""


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


class Sqlite:
    """A file; one writer at a time, also among processes."""

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
        connection.create_function("regexp", 2, group_matches, deterministic=True)
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
    def pipeline(_connection: Connection) -> Any:
        return nullcontext()

    @staticmethod
    def changed(cursor: Any) -> int:
        return int(cursor.rowcount)

    @staticmethod
    def new_ids(connection: Connection, table: str, number: int) -> Sequence[int]:
        (highest,) = connection.execute(f"SELECT coalesce(max(id), 0) FROM {table}").fetchone()  # noqa: S608
        return range(highest + 1, highest + 1 + number)

    @staticmethod
    def order_changes(connection: Connection) -> None:
        """BEGIN IMMEDIATE lets one transaction write at a time already."""

    @staticmethod
    def order_removals(_connection: Connection, *, alone: bool) -> None:
        """The same."""

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
    def has_trigrams(_texts: Texts, _read: Any) -> bool:
        return True

    @staticmethod
    def holding(owner: Table, _clause: ColumnElement[bool]) -> Select[Any]:
        name = f"{owner.name}_texts"
        found = literal_column(name).op("MATCH", is_comparison=True)(bindparam("texts", type_=Text()))
        return select(column("rowid")).select_from(table(name)).where(found)

    @staticmethod
    def texts_value(texts: Texts) -> str:
        return full_text_query(texts)

    @staticmethod
    def execute_fresh(connection: sqlite3.Connection, sql: str, values: Any) -> Any:
        # Plans of SQLite do not depend on values.
        return connection.execute(sql, values)

    @staticmethod
    def translate(exc: BaseException) -> BaseException:
        words = str(exc)
        if "interrupted" in words:
            return TooLong()
        if "no such table" in words:
            return NoTables()
        if "full" in words or "locked" in words:
            return OutOfResources(f"The index cannot be written: {words}")
        if isinstance(exc, sqlite3.IntegrityError):
            return Conflicting(words)
        return exc if not isinstance(exc, sqlite3.Error) else PacsError(f"The index failed: {words}")


class Postgresql:
    """A server, by psycopg 3."""

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
        self._trigrams: tuple[bool, bool] | None = None

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
    def pipeline(connection: Connection) -> Any:
        return connection.pipeline()

    def changed(self, cursor: Any) -> int:
        # Only a synchronised pipeline has results.
        with cursor.connection.pipeline() as pipeline:
            pipeline.sync()
        return int(cursor.rowcount)

    @staticmethod
    def new_ids(connection: Connection, table: str, number: int) -> Sequence[int]:
        sql = "SELECT nextval(pg_get_serial_sequence(%(table)s, 'id')) FROM generate_series(1, %(number)s)"
        return sorted(row[0] for row in connection.execute(sql, {"table": table, "number": number}).fetchall())

    @staticmethod
    def order_changes(connection: Connection) -> None:
        # The number only has to be the same in every process of this index.
        connection.execute("SELECT pg_advisory_xact_lock(7301)")

    @staticmethod
    def order_removals(connection: Connection, *, alone: bool) -> None:
        connection.execute(f"SELECT pg_advisory_xact_lock{'' if alone else '_shared'}(7302)")

    @staticmethod
    def matches(column: ColumnElement[str], pattern: ColumnElement[str]) -> ColumnElement[bool]:
        return column.like(pattern, escape="!")

    @staticmethod
    def one_of(column: ColumnElement[Any], name: str) -> ColumnElement[bool]:
        return column == any_(bindparam(name, type_=ARRAY(column.type)))

    @staticmethod
    def list_value(values: Sequence[Any]) -> list[Any]:
        return list(values)

    def has_trigrams(self, texts: Texts, read: Callable[[str], list[Any]]) -> bool:
        """Whether the server could make the indexes, and of which letters: asked once."""
        if self._trigrams is None:
            made = read(_HAS_TRIGRAMS)[0][0]
            self._trigrams = (made, made and read(_HAS_FOREIGN_TRIGRAMS)[0][0])
        ascii_, foreign = self._trigrams
        return ascii_ and (foreign or all(piece.isascii() for piece in texts.pieces))

    @staticmethod
    def holding(owner: Table, clause: ColumnElement[bool]) -> Select[Any]:
        # The condition itself is what the GIN index serves; its limit lets the server choose to read the table.
        return select(owner.c.id).where(owner.c.tenant_id == bindparam("tenant"), clause)

    @staticmethod
    def texts_value(_texts: Texts) -> str:
        return ""

    @staticmethod
    def execute_fresh(connection: Connection, sql: str, values: Any) -> Any:
        # Not prepared: the server chooses by the values whether its trigrams lead anywhere.
        return connection.execute(sql, values, prepare=False)

    def translate(self, exc: BaseException) -> BaseException:
        errors = self._psycopg.errors
        if isinstance(exc, errors.QueryCanceled):
            return TooLong()
        if isinstance(exc, errors.UndefinedTable):
            return NoTables()
        if isinstance(exc, errors.UniqueViolation | errors.ForeignKeyViolation | errors.TransactionRollback):
            return Conflicting(type(exc).__name__)
        if isinstance(exc, errors.DiskFull | errors.OutOfMemory):
            return OutOfResources("The index cannot be written")
        if isinstance(exc, self._psycopg.OperationalError | self._psycopg.InterfaceError):
            return Unreachable("The index cannot be reached")
        if isinstance(exc, self._psycopg.DataError):
            return InvalidQuery("A value cannot be compared with the index")
        return exc if not isinstance(exc, self._psycopg.Error) else PacsError("The index failed")
