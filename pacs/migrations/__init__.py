"""The schema of the index, revision by revision (Alembic)."""

from pathlib import Path
from typing import Any

from sqlalchemy import Connection, create_engine, event, inspect, text
from sqlalchemy.engine import make_url

from config import settings
from index.database import is_sqlite, prepare_folder

HEAD = "0001"
"""The newest revision. Kept here so that a start on an up-to-date index need not load Alembic."""

# The number only has to be the same in every process that may migrate this index.
_LOCK = "SELECT pg_advisory_xact_lock(7302)"


def upgrade(database: settings.Database | str) -> None:
    """Bring the index to the newest revision; creates it when there is none. Safe from several processes at once."""
    url = make_url(database if isinstance(database, str) else database.url)
    if is_sqlite(url):
        prepare_folder(url)
    engine = create_engine(url)
    try:
        if is_sqlite(url):
            _begin_immediately(engine)
        with engine.connect() as connection:
            if _revision(connection) == HEAD:
                return
        with engine.begin() as connection:
            if not is_sqlite(url):
                connection.execute(text(_LOCK))
            if _revision(connection) != HEAD:
                _run(connection)
    finally:
        engine.dispose()


def _revision(connection: Connection) -> str | None:
    if not inspect(connection).has_table("alembic_version"):
        return None
    row = connection.execute(text("SELECT version_num FROM alembic_version")).first()
    return None if row is None else str(row[0])


def _run(connection: Connection) -> None:
    from alembic import command
    from alembic.config import Config

    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    config.attributes["connection"] = connection
    command.upgrade(config, "head")


def _begin_immediately(engine: Any) -> None:
    """Schema changes in one real transaction: the driver's own transactions would commit before each of them."""

    @event.listens_for(engine, "connect")
    def _no_driver_transactions(connection: Any, _record: Any) -> None:
        connection.isolation_level = None
        connection.execute("PRAGMA busy_timeout=30000")
        connection.execute("PRAGMA journal_mode=WAL")

    @event.listens_for(engine, "begin")
    def _immediate(connection: Connection) -> None:
        connection.exec_driver_sql("BEGIN IMMEDIATE")
