"""The only wiring: settings in, everything that serves out."""

from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings
from index.catalog import Catalog
from index.database import Database
from index.people.accounts import Accounts
from index.removed.rejection import rules_from
from index.search import Search
from pacs.audit import AuditLog
from storage.archive import Archive
from storage.blobs import BlobStore, open_store
from storage.ingest import Desk
from storage.rendition_making import Workshop
from storage.rendition_rounds import Rounds


@dataclass(frozen=True, slots=True)
class Services:
    """What a process needs to serve; made after the fork, closed at its end."""

    settings: Settings
    archive: Archive
    audit: AuditLog
    database: Database
    catalog: Catalog
    blobs: BlobStore
    desk: Desk
    accounts: Accounts
    rounds: Rounds
    """Who makes renditions."""

    def close(self) -> None:
        """Finish what is queued and let go of files and connections."""
        self.database.close()
        self.audit.close()


def build(settings: Settings) -> Services:
    """Build everything from the settings. Nothing is contacted before it is used."""
    audit = AuditLog(Path(settings.log.audit_file))
    database = Database(settings.database)
    catalog = Catalog(database, rules_from(settings.archive.rejections), settings.renditions)
    blobs = open_store(settings.storage)
    archive = Archive(
        catalog=catalog,
        search=Search(database),
        blobs=blobs,
        archive_settings=settings.archive,
        limits=settings.limits,
        audit=audit,
    )
    desk = Desk(catalog, blobs, settings.archive, settings.limits)
    workshop = Workshop(blobs, settings.limits, settings.archive, settings.storage.spool_folder or None)
    rounds = Rounds(catalog, workshop, settings.renditions)
    return Services(settings, archive, audit, database, catalog, blobs, desk, Accounts(database), rounds)
