"""The trigram indexes of the first schema (see `index.words.substrings`), each database's own way.

SQLite: a full-text table beside each table, which keeps trigrams and no text (FTS5, external content); triggers keep it
the same as the rows. PostgreSQL: one GIN index a table, which needs the extension pg_trgm. It comes with PostgreSQL's
contrib package, and the owner of a database may create it; where neither holds, queries for texts inside of texts are
bounded by their time limit alone.
"""

import logging
from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

COLUMNS = {
    "studies": (
        "patient_name",
        "patient_id",
        "accession_number",
        "study_id",
        "study_description",
        "referring_physician_name",
    ),
    "patients": ("patient_name", "patient_id"),
}

_log = logging.getLogger(__name__)


def make(connection: Connection) -> None:
    """Make them; the tables are empty."""
    if connection.dialect.name == "sqlite":
        for table, columns in COLUMNS.items():
            for statement in _full_text(table, columns):
                connection.exec_driver_sql(statement)
    elif _has_extension(connection):
        for table, columns in COLUMNS.items():
            connection.execute(text(gin_index(table, columns)))


def gin_index(table: str, columns: Sequence[str]) -> str:
    """The statement that makes the index on PostgreSQL, also to be run later by hand."""
    listed = ", ".join(f"{column} gin_trgm_ops" for column in columns)
    return f"CREATE INDEX ix_{table}_texts ON {table} USING gin ({listed})"


def _has_extension(connection: Connection) -> bool:
    try:
        with connection.begin_nested():
            connection.execute(text("CREATE EXTENSION IF NOT EXISTS pg_trgm"))
    except DBAPIError as exc:
        # Not there, or not ours to create.
        _log.warning("no trigram indexes: pg_trgm cannot be created", extra={"error": str(exc.orig)})
        return False
    return True


def _full_text(table: str, columns: Sequence[str]) -> list[str]:
    name, listed = f"{table}_texts", ", ".join(columns)
    options = f"content='{table}', content_rowid='id', tokenize='trigram', detail=column, columnsize=0"
    old, new = (", ".join(f"{when}.{column}" for column in columns) for when in ("old", "new"))
    # The names are the constants above.
    add = f"INSERT INTO {name}(rowid, {listed}) VALUES (new.id, {new});"  # noqa: S608
    take = f"INSERT INTO {name}({name}, rowid, {listed}) VALUES ('delete', old.id, {old});"  # noqa: S608
    return [
        f"CREATE VIRTUAL TABLE {name} USING fts5({listed}, {options})",
        f"CREATE TRIGGER {name}_insert AFTER INSERT ON {table} BEGIN {add} END",
        f"CREATE TRIGGER {name}_delete AFTER DELETE ON {table} BEGIN {take} END",
        f"CREATE TRIGGER {name}_update AFTER UPDATE OF {listed} ON {table} BEGIN {take} {add} END",
    ]
