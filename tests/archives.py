"""An archive on each of the two stores, without a server around it, and small objects to put into it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import Any

import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from config import settings
from index.access import AuditEvent, Permission, Principal, Scope
from index.catalog import Catalog
from index.database import Database
from index.records import InstanceKey, Origin, StoreOutcome, Wanted
from index.search import Search
from pacs.migrations import upgrade
from storage.archive import Archive, Incoming
from storage.blobs import BlobStore, open_store
from storage.ingest import Desk
from tests import s3
from tests.servers import postgresql_url

CT = "1.2.840.10008.5.1.4.1.1.2"
ANYTHING = Wanted()
PERMISSIONS = frozenset({Permission.QUERY, Permission.VIEW, Permission.STORE})


def principal(tenant: str = "default", **scope: Any) -> Principal:
    """Somebody who may store and see everything of a tenant."""
    return Principal("tester", "local", PERMISSIONS, Scope(tenant, **scope))


@dataclass
class House:
    """An archive with all that a test wants to look at from behind."""

    database: settings.Database
    storage: settings.Storage
    rules: settings.Archive = field(default_factory=settings.Archive)
    limits: settings.Limits = field(default_factory=settings.Limits)
    events: list[AuditEvent] = field(default_factory=list)

    def __post_init__(self) -> None:
        upgrade(self.database)
        self.index = Database(self.database)
        self.catalog = Catalog(self.index)
        self.blobs: BlobStore = open_store(self.storage)
        self.archive = Archive(
            catalog=self.catalog,
            search=Search(self.index),
            blobs=self.blobs,
            archive_settings=self.rules,
            limits=self.limits,
            audit=self.events.append,
        )
        self.desk = Desk(self.catalog, self.blobs, self.rules, self.limits)
        self.principal = principal(self.rules.tenant)

    def store(
        self, data: bytes | Iterable[bytes], *, via: Any = "import", tenant: str = "", **incoming: str
    ) -> StoreOutcome:
        """Take in one object: a file, or with `transfer_syntax_uid` a bare data set."""
        who = principal(tenant) if tenant else self.principal
        blocks = pieces(data) if isinstance(data, bytes) else data
        origin = Origin(via, "PEER", "tester")
        return self.archive.ingest(who, blocks, origin, incoming=Incoming(**incoming))

    def keys(self) -> list[str]:
        """Keys of all stored objects."""
        return [blob.key for blob in self.blobs.walk()]

    def file(self, outcome: StoreOutcome, tenant: str = "") -> bytes:
        """The file as it leaves for somebody who takes anything."""
        assert outcome.key is not None
        who = principal(tenant) if tenant else self.principal
        found = self.archive.instances(
            who, outcome.key.study_instance_uid, outcome.key.series_instance_uid, outcome.key.sop_instance_uid
        )
        opened = self.archive.open_file(who, found[0], ANYTHING)
        data = b"".join(opened.blocks)
        assert len(data) == opened.length_bytes
        return data

    def frames(self, key: InstanceKey, numbers: Iterable[int], tenant: str = "") -> list[bytes]:
        """Frames as they are stored."""
        opened = self.archive.open_frames(principal(tenant) if tenant else self.principal, key, ANYTHING)
        return [b"".join(opened.open(number).blocks) for number in numbers]

    def close(self) -> None:
        """Let go of the index."""
        self.index.close()


def scale_out(folder: Path, **changes: Any) -> House:
    """PostgreSQL and an S3 service; a small threshold, so that objects go by way of memory and of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    storage = s3.storage(folder, spool_threshold_bytes=300_000)
    return House(settings.Database(url=postgresql_url()), storage, **changes)


MakeHouse = Callable[..., House]


def embedded(folder: Path, **changes: Any) -> House:
    """SQLite and a local folder."""
    return House(
        settings.Database(url=f"sqlite:///{folder}/index.sqlite"),
        settings.Storage(url=f"file:{folder}/objects"),
        **changes,
    )


def pieces(data: bytes, size: int = 30_000) -> Iterable[bytes]:
    """The data in blocks, as a network brings them."""
    return (data[start : start + size] for start in range(0, len(data), size))


def a_dataset(**values: Any) -> Dataset:
    """A small CT image with new UIDs."""
    ds = Dataset()
    ds.SOPClassUID = CT
    ds.SOPInstanceUID = generate_uid()
    ds.StudyInstanceUID = generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    ds.PatientID = "P1"
    ds.PatientName = "Doe^Jane"
    ds.Modality = "CT"
    ds.InstanceNumber = 1
    ds.Rows = ds.Columns = 16
    ds.BitsAllocated = ds.BitsStored = 16
    ds.HighBit = 15
    ds.PixelRepresentation = 0
    ds.SamplesPerPixel = 1
    ds.PhotometricInterpretation = "MONOCHROME2"
    ds.PixelData = bytes(range(256)) * 2
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def encode(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian) -> bytes:
    """The data set alone."""
    return split(as_file(ds, transfer_syntax_uid))[1]


def as_file(ds: Dataset, transfer_syntax_uid: str = ExplicitVRLittleEndian, **meta: str) -> bytes:
    """The data set as a file."""
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.UID(transfer_syntax_uid)
    ds.file_meta.MediaStorageSOPClassUID = ds.get("SOPClassUID", CT)
    ds.file_meta.MediaStorageSOPInstanceUID = ds.get("SOPInstanceUID", "1.2.3")
    for keyword, value in meta.items():
        setattr(ds.file_meta, keyword, value)
    ds.preamble = bytes(128)
    buffer = BytesIO()
    ds.save_as(buffer, enforce_file_format=not meta)
    return buffer.getvalue()


def split(file: bytes) -> tuple[str, bytes]:
    """Transfer syntax and data set of a file, by pydicom and nothing of ours."""
    source = BytesIO(file)
    source.seek(132)
    assert file[128:132] == b"DICM"
    meta = pydicom.filereader._read_file_meta_info(source)
    return str(meta.TransferSyntaxUID), file[source.tell() :]
