"""An index as a test sees it: its connections, its two doors, and one tenant."""

from dataclasses import dataclass

from config import settings
from config.settings import DuplicatePolicy
from index.access import Scope
from index.catalog import Catalog
from index.database import Database
from index.query import Query
from index.records import Answer, InstanceRecord, StoredInstance
from index.removed.versions import Added
from index.search import Search
from tests.records import ORIGIN


@dataclass
class Index:
    """An index, seen by one tenant."""

    settings: settings.Database
    database: Database
    catalog: Catalog
    search: Search
    scope: Scope

    def add(self, record: InstanceRecord, duplicates: DuplicatePolicy = "refuse") -> Added:
        """Take in one instance."""
        return self.catalog.add(self.scope.tenant, record, ORIGIN, duplicates=duplicates)

    def find(self, query: Query) -> list[Answer]:
        """All answers."""
        return list(self.search.find(self.scope, query))

    def current(self, record: InstanceRecord) -> StoredInstance:
        """What is stored under the record's UIDs."""
        return self.catalog.locate(self.scope, record.key)
