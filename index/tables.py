"""The tables, as SQLAlchemy Core.

Search columns hold normalised text (see `index.words.matching`) and carry the attribute's snake-case keyword as
their name. Text is compared by code point on both databases (collation "C" on PostgreSQL). Documents are
DICOM JSON bytes. Foreign keys are called `*_fk`, because `study_id` is the DICOM attribute Study ID.

Beside these there are trigram indexes of some text columns (`index.words.substrings`). They differ between the two
databases and keep themselves up to date, by triggers on SQLite, so they stand in the migration alone: `studies_texts`
and `patients_texts` on SQLite, `ix_studies_texts` and `ix_patients_texts` on PostgreSQL where pg_trgm can be had.
"""

from typing import Any

from sqlalchemy import (
    BigInteger,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Table,
    Text,
    UniqueConstraint,
)

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_name)s",
        "pk": "pk_%(table_name)s",
    }
)

NO_NUMBER = 2**40
"""Series and instance number of an object that has none: sorts behind every IS value (PS3.5 6.2)."""

_Text = Text().with_variant(Text(collation="C"), "postgresql")
_Id = BigInteger().with_variant(Integer, "sqlite")


def _id() -> Column[int]:
    return Column("id", _Id, primary_key=True)


def _parent(name: str, target: str) -> Column[int]:
    return Column(name, _Id, ForeignKey(f"{target}.id"), nullable=False)


def _text(*names: str) -> list[Column[str]]:
    return [Column(name, _Text, nullable=False, server_default="") for name in names]


def _count(*names: str) -> list[Column[int]]:
    return [Column(name, _Id, nullable=False, server_default="0") for name in names]


def _bytes(name: str, *, nullable: bool = False) -> Column[Any]:
    return Column(name, LargeBinary, nullable=nullable)


_PATIENT_COLUMNS = ("patient_name", "patient_id", "issuer_of_patient_id", "patient_birth_date", "patient_sex")

tenants = Table(
    "tenants",
    metadata,
    _id(),
    Column("name", _Text, nullable=False, unique=True),
)

patients = Table(
    "patients",
    metadata,
    _id(),
    _parent("tenant_id", "tenants"),
    # Study Instance UID when there is no Patient ID, else empty: people without an ID are never merged.
    *_text("anchor"),
    *_text(*_PATIENT_COLUMNS),
    *_count(
        "number_of_patient_related_studies",
        "number_of_patient_related_series",
        "number_of_patient_related_instances",
    ),
    _bytes("summary"),
    _bytes("extra", nullable=True),
    UniqueConstraint("tenant_id", "patient_id", "issuer_of_patient_id", "anchor"),
    Index(None, "tenant_id", "patient_name", "id"),
    Index(None, "tenant_id", "patient_birth_date"),
)

studies = Table(
    "studies",
    metadata,
    _id(),
    _parent("tenant_id", "tenants"),
    _parent("patient_fk", "patients"),
    *_text("study_instance_uid"),
    # Study Date and Time as one integer, yyyymmddhhmmssfff: the newest-first order of every study list.
    *_count("sort_key"),
    *_text(*_PATIENT_COLUMNS),
    *_text("study_date", "study_time", "accession_number", "study_id", "study_description"),
    *_text("referring_physician_name", "modalities_in_study", "sop_classes_in_study", "body_parts_in_study"),
    # Whether there is a report (see `index.reports`).
    *_text("interpretation_status_id"),
    # Study Date and Time in UTC, when the offset of the clock is known (see `index.moments`).
    *_text("study_utc"),
    *_count("number_of_study_related_series", "number_of_study_related_instances"),
    _bytes("summary"),
    _bytes("extra", nullable=True),
    UniqueConstraint("tenant_id", "study_instance_uid"),
    # The list's own index also carries what viewers filter by `*x*`, so that a walk need not visit the rows.
    Index(
        "ix_studies_newest",
        "tenant_id",
        "sort_key",
        "id",
        "patient_name",
        "modalities_in_study",
        "patient_id",
        "accession_number",
        "study_description",
    ),
    Index(None, "tenant_id", "patient_id", "sort_key", "id"),
    Index(None, "tenant_id", "accession_number", "sort_key", "id"),
    Index(None, "tenant_id", "study_id", "sort_key", "id"),
    Index(None, "tenant_id", "patient_birth_date", "sort_key", "id"),
    # The order of `orderby=PatientName`.
    Index(None, "tenant_id", "patient_name", "id"),
    Index(None, "patient_fk"),
)

study_terms = Table(
    "study_terms",
    metadata,
    # One row per folded name component group, its words, their sounds, per modality, body part and status of the
    # report: finds the newest studies with a term.
    Column("tenant_id", _Id, primary_key=True),
    Column("kind", SmallInteger, primary_key=True),
    Column("term", _Text, primary_key=True),
    Column("sort_key", _Id, primary_key=True),
    Column("study_fk", _Id, primary_key=True),
    sqlite_with_rowid=False,
)

series = Table(
    "series",
    metadata,
    _id(),
    _parent("study_fk", "studies"),
    *_text("series_instance_uid"),
    *_count("series_number"),
    *_text("series_date", "series_time", "modality", "institution_name", "station_name", "series_description"),
    *_text("body_part_examined", "protocol_name"),
    *_text("performed_procedure_step_start_date", "performed_procedure_step_start_time"),
    *_text("timezone_offset_from_utc", "series_utc", "performed_procedure_step_start_utc"),
    # SOP classes of the series, as in studies: tells whether the study's list must grow.
    *_text("sop_classes"),
    # L, R and B of the series or of its images, as a list: what priors are compared by.
    *_text("lateralities"),
    # What the first image shows, for series without Body Part Examined (see `index.anatomy`).
    *_text("anatomic_region"),
    *_count("number_of_series_related_instances"),
    _bytes("summary"),
    _bytes("extra", nullable=True),
    UniqueConstraint("study_fk", "series_instance_uid"),
    Index(None, "study_fk", "series_number", "id"),
    Index(None, "series_instance_uid"),
)

instances = Table(
    "instances",
    metadata,
    _id(),
    _parent("tenant_id", "tenants"),
    _parent("series_fk", "series"),
    *_text("sop_instance_uid"),
    *_count("instance_number"),
    *_text("sop_class_uid", "available_transfer_syntax_uid"),
    Column("number_of_frames", Integer),
    Column("rows", Integer),
    Column("columns", Integer),
    Column("bits_allocated", Integer),
    *_count("version", "size_bytes", "stored_at_ms"),
    _bytes("sha256"),
    *_text("blob_key"),
    _bytes("layout"),
    UniqueConstraint("tenant_id", "sop_instance_uid"),
    Index(None, "series_fk", "instance_number", "id"),
    Index(None, "blob_key", unique=True),
)

documents = Table(
    "documents",
    metadata,
    # The whole DICOM JSON model of an instance, one zstd frame. Apart, so that lists of instances stay small.
    Column("instance_fk", _Id, ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    _bytes("body"),
)

reports = Table(
    "reports",
    metadata,
    # The instances that are reports, and how far each has come: the status of a study is made from these rows.
    Column("instance_fk", _Id, ForeignKey("instances.id", ondelete="CASCADE"), primary_key=True, autoincrement=False),
    Column("study_fk", _Id, nullable=False),
    *_text("status"),
    Index(None, "study_fk"),
)

set_aside = Table(
    "set_aside",
    metadata,
    _id(),
    _parent("tenant_id", "tenants"),
    *_text("study_instance_uid", "series_instance_uid", "sop_instance_uid"),
    *_text("sop_class_uid", "available_transfer_syntax_uid"),
    *_count("version", "size_bytes", "set_aside_at_ms"),
    _bytes("sha256"),
    *_text("blob_key"),
    _bytes("layout"),
    _bytes("body"),
    UniqueConstraint(
        "tenant_id", "sop_instance_uid", "sha256", "available_transfer_syntax_uid", name="uq_set_aside_content"
    ),
    Index(None, "blob_key", unique=True),
)

removals = Table(
    "removals",
    metadata,
    # One for each deletion and for each rejection note: who, when, why, and until when it can be undone.
    _id(),
    _parent("tenant_id", "tenants"),
    # Its name in the object store (`storage.removal_records`): row numbers do not outlive an index.
    *_text("uid"),
    *_text("reason", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "note_uid"),
    # 0 means never.
    *_count("removed_at_ms", "purge_at_ms", "undone_at_ms", "purge_began_at_ms"),
    # `recorded` is the revision that the record in the object store has.
    *_count("revision", "recorded"),
    *_text("record_key", "via", "peer", "principal"),
    UniqueConstraint("uid"),
    Index(None, "tenant_id", "note_uid"),
    Index(None, "record_key"),
)

removed = Table(
    "removed",
    metadata,
    # Instances that are in no list: moved here from `instances` and `set_aside`, and back when a removal is undone.
    _id(),
    _parent("tenant_id", "tenants"),
    _parent("removal_fk", "removals"),
    # See `index.removed.bin.Role`.
    Column("role", SmallInteger, nullable=False),
    *_text("study_instance_uid", "series_instance_uid", "sop_instance_uid"),
    *_text("sop_class_uid", "available_transfer_syntax_uid"),
    *_count("version", "size_bytes"),
    _bytes("sha256"),
    *_text("blob_key"),
    _bytes("layout"),
    _bytes("body"),
    Index(None, "removal_fk", "id"),
    Index(None, "tenant_id", "sop_instance_uid"),
    Index(None, "tenant_id", "study_instance_uid"),
    Index(None, "blob_key", unique=True),
)

rejected = Table(
    "rejected",
    metadata,
    # What rejection notes in force refer to, whether it has arrived or not.
    Column("tenant_id", _Id, ForeignKey("tenants.id"), primary_key=True),
    Column("sop_instance_uid", _Text, primary_key=True),
    Column("removal_fk", _Id, ForeignKey("removals.id"), primary_key=True),
    Index(None, "removal_fk"),
    sqlite_with_rowid=False,
)

disagreements = Table(
    "disagreements",
    metadata,
    _id(),
    _parent("tenant_id", "tenants"),
    *_text("level", "uid", "keyword", "kept", "offered"),
    *_count("seen_at_ms"),
    UniqueConstraint("tenant_id", "uid", "keyword", "offered"),
)

changes = Table(
    "changes",
    metadata,
    # Numbered from 1 without gaps within a tenant, in the order of the commits.
    Column("tenant_id", _Id, ForeignKey("tenants.id"), primary_key=True),
    Column("number", _Id, primary_key=True),
    *_text("action", "study_instance_uid", "series_instance_uid", "sop_instance_uid"),
    *_count("version", "at_ms"),
    *_text("via", "peer", "principal"),
    sqlite_with_rowid=False,
)

declarations = Table(
    "declarations",
    metadata,
    # Attributes that are searchable besides those with columns (see `index.declared`). Rows stay when an attribute is
    # given up, so that the highest generation only grows: it tells a process that it knows the newest ones.
    _id(),
    *_text("path", "level", "vr", "state"),
    *_count("generation"),
    # Filling: instances up to `filled_id` are done, those up to `last_id` were there before the declaration.
    *_count("filled_id", "last_id", "declared_at_ms"),
    Index(None, "generation", unique=True),
    Index(None, "path", "level"),
)


def _values_of(owner: Table, name: str) -> Table:
    """Values that the instances of an owner have of declared attributes: each once, however many instances say so."""
    return Table(
        name,
        metadata,
        Column("declaration_fk", _Id, primary_key=True),
        Column("tenant_id", _Id, primary_key=True),
        Column("term", _Text, primary_key=True),
        Column("owner_fk", _Id, ForeignKey(f"{owner.name}.id", ondelete="CASCADE"), primary_key=True),
        # Digests of the sequence items around the value, outermost first: equal ones are one and the same item.
        Column("items", _Text, primary_key=True),
        Index(None, "owner_fk", "declaration_fk", "term"),
        sqlite_with_rowid=False,
    )


patient_values = _values_of(patients, "patient_values")
study_values = _values_of(studies, "study_values")
series_values = _values_of(series, "series_values")
instance_values = _values_of(instances, "instance_values")

renditions = Table(
    "renditions",
    metadata,
    # A second encoding of an object, made by rule (`storage.renditions`), or why there can be none. It belongs to the
    # object and not to a row of an instance, so it goes along to the bin, and back, without being touched.
    _id(),
    _parent("tenant_id", "tenants"),
    *_text("original_key"),
    # Without a problem: where it is. The digest is that of its data set.
    *_text("transfer_syntax_uid", "blob_key", "problem"),
    *_count("size_bytes", "made_at_ms"),
    _bytes("sha256"),
    _bytes("layout"),
    UniqueConstraint("original_key"),
    Index(None, "blob_key"),
)

jobs = Table(
    "jobs",
    metadata,
    # What the worker must do; `requested` counts how often it was asked for, so that nothing asked for while it runs
    # is lost. A claim without a beat for some seconds is that of a process that died.
    _id(),
    *_text("kind", "key", "claim", "error"),
    *_count("requested", "attempts", "not_before_ms", "beat_ms", "queued_at_ms"),
    UniqueConstraint("kind", "key"),
)

users = Table(
    "users",
    metadata,
    # Names are folded, and unique over all tenants: people sign in by their name alone.
    _id(),
    _parent("tenant_id", "tenants"),
    *_text("name", "password_hash"),
    *_count("created_at_ms", "password_set_at_ms"),
    UniqueConstraint("name"),
)

sessions = Table(
    "sessions",
    metadata,
    # SHA-256 of the identifier that the person's browser has.
    Column("digest", LargeBinary, primary_key=True),
    Column("user_fk", _Id, ForeignKey("users.id", ondelete="CASCADE"), nullable=False),
    *_text("address"),
    *_count("began_at_ms", "seen_at_ms", "ends_at_ms"),
    Index(None, "user_fk"),
)

sign_in_attempts = Table(
    "sign_in_attempts",
    metadata,
    # A row for the name and one for the address of each attempt that has not succeeded (see `index.people.attempts`).
    _id(),
    _bytes("subject"),
    *_count("at_ms"),
    Index(None, "subject", "at_ms"),
)
