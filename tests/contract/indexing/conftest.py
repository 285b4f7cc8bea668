"""The same tests on both databases: SQLite in a file, PostgreSQL as a server. Each test has a tenant of its own."""

from collections.abc import Iterator
from uuid import uuid4

import pytest

from config import settings
from index.access import Scope
from index.catalog import Catalog
from index.database import Database
from index.search import Search
from pacs.migrations import upgrade
from tests.indexes import Index
from tests.servers import postgresql_url


@pytest.fixture(scope="session", params=["sqlite", "postgresql"])
def database_settings(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> settings.Database:
    """A migrated, empty index."""
    if request.param == "sqlite":
        url = f"sqlite:///{tmp_path_factory.mktemp('index')}/private/index.sqlite"
    else:
        url = postgresql_url()
    upgrade(url)
    return settings.Database(url=url)


@pytest.fixture(scope="session")
def database(database_settings: settings.Database) -> Iterator[Database]:
    """Its connections."""
    database = Database(database_settings)
    yield database
    database.close()


@pytest.fixture
def index(database: Database, database_settings: settings.Database) -> Index:
    """The index for a tenant that nobody else uses."""
    return Index(database_settings, database, Catalog(database), Search(database), Scope(f"tenant-{uuid4().hex}"))
