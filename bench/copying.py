"""An SQLite index copied into an empty PostgreSQL one, row by row, indexes last."""

import sqlite3
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql
from sqlalchemy import LargeBinary

from index.tables import metadata

_CONSTRAINTS = """
    SELECT conrelid::regclass::text, conname, pg_get_constraintdef(oid), contype FROM pg_constraint
    WHERE connamespace = 'public'::regnamespace AND contype IN ('f', 'u', 'p') AND conrelid::regclass::text = ANY(%s)
    ORDER BY contype = 'f'
"""
_INDEXES = "SELECT indexname, indexdef FROM pg_indexes WHERE schemaname = 'public' AND tablename = ANY(%s)"


def copy(source: Path, url: str, tell: Callable[[str], None]) -> None:
    """Copy all rows of all tables. `url` is that of `database.url`; its index is migrated and holds nothing yet."""
    tables = list(metadata.sorted_tables)
    names = [table.name for table in tables]
    plain_url = url.replace("postgresql+psycopg", "postgresql")
    with sqlite3.connect(source) as rows, psycopg.connect(plain_url, autocommit=True) as target:
        target.execute("SET maintenance_work_mem = '1GB'")
        target.execute("SET max_parallel_maintenance_workers = 0")
        # A new index has some rows already, the attributes that are declared from the start.
        target.execute(f"TRUNCATE {', '.join(names)}".encode())
        remake = _drop_keys(target, names)
        for table in tables:
            _copy_table(rows, target, table)
            tell(f"copied {table.name}")
        for statement in remake:
            target.execute(statement)  # type: ignore[call-overload]
        tell("made the indexes")
        for table in tables:
            if "id" in table.columns:
                target.execute(
                    sql.SQL(
                        "SELECT setval(pg_get_serial_sequence({0}, 'id'), 1 + coalesce(max(id), 0)) FROM {1}"
                    ).format(sql.Literal(table.name), sql.Identifier(table.name))
                )
        target.execute("VACUUM ANALYZE")
        target.execute("CHECKPOINT")


def _drop_keys(target: psycopg.Connection[Any], names: Sequence[str]) -> list[bytes]:
    """Drop all constraints and indexes of these tables. Returns the statements that make them again."""
    found = target.execute(_CONSTRAINTS, [list(names)]).fetchall()
    remake = []
    for table, name, definition, _ in found:
        remake.append(f'ALTER TABLE {table} ADD CONSTRAINT "{name}" {definition}')
    for table, name, _, _ in reversed(found):
        target.execute(f'ALTER TABLE {table} DROP CONSTRAINT "{name}"'.encode())
    for name, definition in target.execute(_INDEXES, [list(names)]).fetchall():
        remake.insert(0, definition)
        target.execute(f'DROP INDEX "{name}"'.encode())
    return [statement.encode() for statement in remake]


def _copy_table(rows: sqlite3.Connection, target: psycopg.Connection[Any], table: Any) -> None:
    columns = [column.name for column in table.columns]
    chosen = ", ".join(f'"{name}"' for name in columns)
    into = sql.SQL("COPY {0} ({1}) FROM STDIN").format(
        sql.Identifier(table.name), sql.SQL(", ").join(map(sql.Identifier, columns))
    )
    binary = [at for at, column in enumerate(table.columns) if isinstance(column.type, LargeBinary)]
    with target.cursor() as cursor, cursor.copy(into) as stream:
        for row in rows.execute(f'SELECT {chosen} FROM "{table.name}"'):
            if binary:
                values = list(row)
                for at in binary:
                    # SQLite gives text where text was written into a BLOB column.
                    values[at] = values[at].encode() if isinstance(values[at], str) else values[at]
                stream.write_row(values)
            else:
                stream.write_row(row)
