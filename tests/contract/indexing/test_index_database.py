"""Connections and schema: migrations, transactions, forks, restarts."""

import os
import re
import stat
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import create_engine, literal_column, select
from sqlalchemy.engine import make_url

import pacs.migrations
from config import settings
from index.catalog import Catalog
from index.database import Conflicting, Database, is_sqlite
from index.errors import OutOfResources
from index.query import Query
from index.records import Level, StoreStatus
from index.tables import metadata, tenants
from tests.indexes import Index
from tests.records import ORIGIN, a_record
from tests.servers import postgresql_url

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=["sqlite", "postgresql"])
def empty_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """An index without any table."""
    return f"sqlite:///{tmp_path}/new/index.sqlite" if request.param == "sqlite" else postgresql_url()


def test_a_migrated_index_is_what_the_tables_say(empty_url: str) -> None:
    pacs.migrations.upgrade(empty_url)
    engine = create_engine(empty_url)
    with engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"include_name": _is_ordinary})
        assert compare_metadata(context, metadata) == []
    engine.dispose()


def _is_ordinary(name: str | None, _kind: str, _parents: object) -> bool:
    """Trigram indexes differ between the databases, so the tables do not have them."""
    return name is None or not re.search(r"_texts(_\w+)?$", name)


def test_the_newest_revision_is_the_one_that_starts_look_for() -> None:
    scripts = ScriptDirectory(str(Path(pacs.migrations.__file__).parent))
    assert scripts.get_current_head() == pacs.migrations.HEAD


def test_several_processes_may_migrate_at_once_and_again(empty_url: str) -> None:
    program = "import sys; from pacs.migrations import upgrade; upgrade(sys.argv[1])"
    processes = [subprocess.Popen([sys.executable, "-c", program, empty_url], cwd=ROOT) for _ in range(4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0, 0]
    pacs.migrations.upgrade(settings.Database(url=empty_url))
    database = Database(settings.Database(url=empty_url))
    assert Catalog(database).add("t", a_record(), ORIGIN, duplicates="refuse").status is StoreStatus.STORED
    database.close()


def test_the_folder_of_a_file_is_its_owners_alone(tmp_path: Path) -> None:
    pacs.migrations.upgrade(f"sqlite:///{tmp_path}/deep/private/index.sqlite")
    assert stat.S_IMODE((tmp_path / "deep" / "private").stat().st_mode) == 0o700


@pytest.mark.parametrize("url", ["sqlite://", "sqlite:///:memory:", "mysql://localhost/x"])
def test_other_databases_are_refused_by_name(url: str) -> None:
    with pytest.raises(ValueError, match=r"database\.url"):
        pacs.migrations.upgrade(url)


def test_a_transaction_that_raises_leaves_nothing(index: Index) -> None:
    add = index.database.prepare(tenants.insert().values(name=literal_column("'nobody'")))
    with pytest.raises(RuntimeError, match="enough"), index.database.write() as tx:
        tx.run(add, {})
        raise RuntimeError("enough")
    find = index.database.prepare(select(tenants.c.id).where(tenants.c.name == literal_column("'nobody'")))
    assert index.database.rows(find, {}) == []


def test_a_statement_that_a_failed_pipeline_never_reached_works_afterwards() -> None:
    """What psycopg believes to have prepared must be forgotten with the transaction, not only the first time."""
    url = postgresql_url()
    pacs.migrations.upgrade(url)
    database = Database(settings.Database(url=url))
    add = database.prepare(tenants.insert().values(name=literal_column("'wanted by two'")))
    find = database.prepare(select(tenants.c.id).where(tenants.c.name == literal_column("'nobody'")))
    with pytest.raises(RuntimeError), database.write() as tx:
        tx.run(find, {})
        raise RuntimeError
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(False)) as other:
        other.execute(add.sql)
        with pytest.raises(Conflicting), database.write() as tx:
            tx.run(add, {})  # Waits for the other one, and everything behind it as well.
            for _ in range(10):
                tx.run(find, {})
            other.commit()
    with database.write() as tx:
        assert tx.rows(find, {}) == []
    database.close()


def test_a_broken_rule_is_a_conflict_and_the_next_transaction_works(index: Index) -> None:
    add = index.database.prepare(tenants.insert().values(id=literal_column("-5"), name=literal_column("'double'")))
    with pytest.raises(Conflicting), index.database.write() as tx:
        tx.run(add, {})
        tx.run(add, {})
    assert index.add(a_record()).status is StoreStatus.STORED


def test_readers_cannot_write(index: Index) -> None:
    if not is_sqlite(make_url(index.settings.url)):
        # A role that may only read is the administrator's choice there.
        return
    forbidden = index.database.prepare(tenants.delete())
    with pytest.raises(Exception, match="readonly"):
        index.database.rows(forbidden, {})


def test_a_forked_process_opens_its_own_connections(index: Index) -> None:
    first, second, third = a_record(), a_record(), a_record()
    index.add(first)
    index.find(Query(Level.IMAGE))
    child = os.fork()
    if child == 0:
        # No assert here: the child must leave without running pytest's own end.
        ok = index.add(second).status is StoreStatus.STORED and len(index.find(Query(Level.IMAGE))) == 2
        index.database.close()
        os._exit(0 if ok else 1)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    assert index.add(third).status is StoreStatus.STORED
    assert len(index.find(Query(Level.IMAGE))) == 3


def test_a_server_that_cuts_all_connections_is_reached_again() -> None:
    url = postgresql_url()
    pacs.migrations.upgrade(url)
    database = Database(settings.Database(url=url))
    catalog = Catalog(database)
    record = a_record()
    catalog.add("t", record, ORIGIN, duplicates="refuse")
    find = database.prepare(select(tenants.c.name))
    assert database.rows(find, {}) == [("t",)]
    with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as administrator:
        administrator.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
            "WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
    assert database.rows(find, {}) == [("t",)]
    assert catalog.add("t", a_record(), ORIGIN, duplicates="refuse").status is StoreStatus.STORED
    database.close()


def test_an_index_out_of_reach_is_said_so() -> None:
    url = make_url(postgresql_url()).set(port=1).render_as_string(hide_password=False)
    database = Database(replace(settings.Database(), url=url))
    with pytest.raises(OutOfResources, match="reached"):
        Catalog(database).add("t", a_record(), ORIGIN, duplicates="refuse")
