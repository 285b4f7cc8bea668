"""The first schema."""

import sqlalchemy as sa
from alembic import op

from pacs.migrations import trigrams

revision = "0001"
down_revision = None

TEXT = sa.Text().with_variant(sa.Text(collation="C"), "postgresql")
ID = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Create everything."""
    op.create_table(
        "study_terms",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("kind", sa.SmallInteger(), nullable=False),
        sa.Column("term", TEXT, nullable=False),
        sa.Column("sort_key", ID, nullable=False),
        sa.Column("study_fk", ID, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "kind", "term", "sort_key", "study_fk", name=op.f("pk_study_terms")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "tenants",
        sa.Column("id", ID, nullable=False),
        sa.Column("name", TEXT, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tenants")),
        sa.UniqueConstraint("name", name=op.f("uq_tenants_name")),
    )
    op.create_table(
        "changes",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("number", ID, nullable=False),
        sa.Column("action", TEXT, server_default="", nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("version", ID, server_default="0", nullable=False),
        sa.Column("at_ms", ID, server_default="0", nullable=False),
        sa.Column("via", TEXT, server_default="", nullable=False),
        sa.Column("peer", TEXT, server_default="", nullable=False),
        sa.Column("principal", TEXT, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_changes_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "number", name=op.f("pk_changes")),
        sqlite_with_rowid=False,
    )
    op.create_table(
        "disagreements",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("level", TEXT, server_default="", nullable=False),
        sa.Column("uid", TEXT, server_default="", nullable=False),
        sa.Column("keyword", TEXT, server_default="", nullable=False),
        sa.Column("kept", TEXT, server_default="", nullable=False),
        sa.Column("offered", TEXT, server_default="", nullable=False),
        sa.Column("seen_at_ms", ID, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_disagreements_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_disagreements")),
        sa.UniqueConstraint(
            "tenant_id", "uid", "keyword", "offered", name=op.f("uq_disagreements_tenant_id_uid_keyword_offered")
        ),
    )
    op.create_table(
        "patients",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("anchor", TEXT, server_default="", nullable=False),
        sa.Column("patient_name", TEXT, server_default="", nullable=False),
        sa.Column("patient_id", TEXT, server_default="", nullable=False),
        sa.Column("issuer_of_patient_id", TEXT, server_default="", nullable=False),
        sa.Column("patient_birth_date", TEXT, server_default="", nullable=False),
        sa.Column("patient_sex", TEXT, server_default="", nullable=False),
        sa.Column("number_of_patient_related_studies", ID, server_default="0", nullable=False),
        sa.Column("number_of_patient_related_series", ID, server_default="0", nullable=False),
        sa.Column("number_of_patient_related_instances", ID, server_default="0", nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_patients_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_patients")),
        sa.UniqueConstraint(
            "tenant_id",
            "patient_id",
            "issuer_of_patient_id",
            "anchor",
            name=op.f("uq_patients_tenant_id_patient_id_issuer_of_patient_id_anchor"),
        ),
    )
    op.create_index(op.f("ix_patients_tenant_id_patient_birth_date"), "patients", ["tenant_id", "patient_birth_date"])
    op.create_index(op.f("ix_patients_tenant_id_patient_name_id"), "patients", ["tenant_id", "patient_name", "id"])
    op.create_table(
        "set_aside",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_class_uid", TEXT, server_default="", nullable=False),
        sa.Column("available_transfer_syntax_uid", TEXT, server_default="", nullable=False),
        sa.Column("version", ID, server_default="0", nullable=False),
        sa.Column("size_bytes", ID, server_default="0", nullable=False),
        sa.Column("set_aside_at_ms", ID, server_default="0", nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("blob_key", TEXT, server_default="", nullable=False),
        sa.Column("layout", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_set_aside_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_set_aside")),
        sa.UniqueConstraint(
            "tenant_id", "sop_instance_uid", "sha256", "available_transfer_syntax_uid", name="uq_set_aside_content"
        ),
    )
    op.create_index(op.f("ix_set_aside_blob_key"), "set_aside", ["blob_key"], unique=True)
    op.create_table(
        "removals",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("uid", TEXT, server_default="", nullable=False),
        sa.Column("reason", TEXT, server_default="", nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("note_uid", TEXT, server_default="", nullable=False),
        sa.Column("removed_at_ms", ID, server_default="0", nullable=False),
        sa.Column("purge_at_ms", ID, server_default="0", nullable=False),
        sa.Column("undone_at_ms", ID, server_default="0", nullable=False),
        sa.Column("purge_began_at_ms", ID, server_default="0", nullable=False),
        sa.Column("revision", ID, server_default="0", nullable=False),
        sa.Column("recorded", ID, server_default="0", nullable=False),
        sa.Column("record_key", TEXT, server_default="", nullable=False),
        sa.Column("via", TEXT, server_default="", nullable=False),
        sa.Column("peer", TEXT, server_default="", nullable=False),
        sa.Column("principal", TEXT, server_default="", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_removals_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removals")),
        sa.UniqueConstraint("uid", name=op.f("uq_removals_uid")),
    )
    op.create_index(op.f("ix_removals_record_key"), "removals", ["record_key"])
    op.create_index(op.f("ix_removals_tenant_id_note_uid"), "removals", ["tenant_id", "note_uid"])
    op.create_table(
        "rejected",
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("sop_instance_uid", TEXT, nullable=False),
        sa.Column("removal_fk", ID, nullable=False),
        sa.ForeignKeyConstraint(["removal_fk"], ["removals.id"], name=op.f("fk_rejected_removal_fk")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_rejected_tenant_id")),
        sa.PrimaryKeyConstraint("tenant_id", "sop_instance_uid", "removal_fk", name=op.f("pk_rejected")),
        sqlite_with_rowid=False,
    )
    op.create_index(op.f("ix_rejected_removal_fk"), "rejected", ["removal_fk"])
    op.create_table(
        "removed",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("removal_fk", ID, nullable=False),
        sa.Column("role", sa.SmallInteger(), nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sop_class_uid", TEXT, server_default="", nullable=False),
        sa.Column("available_transfer_syntax_uid", TEXT, server_default="", nullable=False),
        sa.Column("version", ID, server_default="0", nullable=False),
        sa.Column("size_bytes", ID, server_default="0", nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("blob_key", TEXT, server_default="", nullable=False),
        sa.Column("layout", sa.LargeBinary(), nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["removal_fk"], ["removals.id"], name=op.f("fk_removed_removal_fk")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_removed_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_removed")),
    )
    op.create_index(op.f("ix_removed_blob_key"), "removed", ["blob_key"], unique=True)
    op.create_index(op.f("ix_removed_removal_fk_id"), "removed", ["removal_fk", "id"])
    op.create_index(op.f("ix_removed_tenant_id_sop_instance_uid"), "removed", ["tenant_id", "sop_instance_uid"])
    op.create_index(op.f("ix_removed_tenant_id_study_instance_uid"), "removed", ["tenant_id", "study_instance_uid"])
    op.create_table(
        "studies",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("patient_fk", ID, nullable=False),
        sa.Column("study_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("sort_key", ID, server_default="0", nullable=False),
        sa.Column("patient_name", TEXT, server_default="", nullable=False),
        sa.Column("patient_id", TEXT, server_default="", nullable=False),
        sa.Column("issuer_of_patient_id", TEXT, server_default="", nullable=False),
        sa.Column("patient_birth_date", TEXT, server_default="", nullable=False),
        sa.Column("patient_sex", TEXT, server_default="", nullable=False),
        sa.Column("study_date", TEXT, server_default="", nullable=False),
        sa.Column("study_time", TEXT, server_default="", nullable=False),
        sa.Column("accession_number", TEXT, server_default="", nullable=False),
        sa.Column("study_id", TEXT, server_default="", nullable=False),
        sa.Column("study_description", TEXT, server_default="", nullable=False),
        sa.Column("referring_physician_name", TEXT, server_default="", nullable=False),
        sa.Column("modalities_in_study", TEXT, server_default="", nullable=False),
        sa.Column("sop_classes_in_study", TEXT, server_default="", nullable=False),
        sa.Column("body_parts_in_study", TEXT, server_default="", nullable=False),
        sa.Column("interpretation_status_id", TEXT, server_default="", nullable=False),
        sa.Column("study_utc", TEXT, server_default="", nullable=False),
        sa.Column("number_of_study_related_series", ID, server_default="0", nullable=False),
        sa.Column("number_of_study_related_instances", ID, server_default="0", nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["patient_fk"], ["patients.id"], name=op.f("fk_studies_patient_fk")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_studies_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_studies")),
        sa.UniqueConstraint("tenant_id", "study_instance_uid", name=op.f("uq_studies_tenant_id_study_instance_uid")),
    )
    op.create_index(
        "ix_studies_newest",
        "studies",
        [
            "tenant_id",
            "sort_key",
            "id",
            "patient_name",
            "modalities_in_study",
            "patient_id",
            "accession_number",
            "study_description",
        ],
    )
    op.create_index(op.f("ix_studies_patient_fk"), "studies", ["patient_fk"])
    op.create_index(op.f("ix_studies_tenant_id_patient_name_id"), "studies", ["tenant_id", "patient_name", "id"])
    op.create_index(
        op.f("ix_studies_tenant_id_accession_number_sort_key_id"),
        "studies",
        ["tenant_id", "accession_number", "sort_key", "id"],
    )
    op.create_index(
        op.f("ix_studies_tenant_id_patient_birth_date_sort_key_id"),
        "studies",
        ["tenant_id", "patient_birth_date", "sort_key", "id"],
    )
    op.create_index(
        op.f("ix_studies_tenant_id_patient_id_sort_key_id"), "studies", ["tenant_id", "patient_id", "sort_key", "id"]
    )
    op.create_index(
        op.f("ix_studies_tenant_id_study_id_sort_key_id"), "studies", ["tenant_id", "study_id", "sort_key", "id"]
    )
    op.create_table(
        "series",
        sa.Column("id", ID, nullable=False),
        sa.Column("study_fk", ID, nullable=False),
        sa.Column("series_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("series_number", ID, server_default="0", nullable=False),
        sa.Column("series_date", TEXT, server_default="", nullable=False),
        sa.Column("series_time", TEXT, server_default="", nullable=False),
        sa.Column("modality", TEXT, server_default="", nullable=False),
        sa.Column("institution_name", TEXT, server_default="", nullable=False),
        sa.Column("station_name", TEXT, server_default="", nullable=False),
        sa.Column("series_description", TEXT, server_default="", nullable=False),
        sa.Column("body_part_examined", TEXT, server_default="", nullable=False),
        sa.Column("protocol_name", TEXT, server_default="", nullable=False),
        sa.Column("performed_procedure_step_start_date", TEXT, server_default="", nullable=False),
        sa.Column("performed_procedure_step_start_time", TEXT, server_default="", nullable=False),
        sa.Column("timezone_offset_from_utc", TEXT, server_default="", nullable=False),
        sa.Column("series_utc", TEXT, server_default="", nullable=False),
        sa.Column("performed_procedure_step_start_utc", TEXT, server_default="", nullable=False),
        sa.Column("sop_classes", TEXT, server_default="", nullable=False),
        sa.Column("lateralities", TEXT, server_default="", nullable=False),
        sa.Column("anatomic_region", TEXT, server_default="", nullable=False),
        sa.Column("number_of_series_related_instances", ID, server_default="0", nullable=False),
        sa.Column("summary", sa.LargeBinary(), nullable=False),
        sa.Column("extra", sa.LargeBinary(), nullable=True),
        sa.ForeignKeyConstraint(["study_fk"], ["studies.id"], name=op.f("fk_series_study_fk")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_series")),
        sa.UniqueConstraint("study_fk", "series_instance_uid", name=op.f("uq_series_study_fk_series_instance_uid")),
    )
    op.create_index(op.f("ix_series_series_instance_uid"), "series", ["series_instance_uid"])
    op.create_index(op.f("ix_series_study_fk_series_number_id"), "series", ["study_fk", "series_number", "id"])
    op.create_table(
        "instances",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("series_fk", ID, nullable=False),
        sa.Column("sop_instance_uid", TEXT, server_default="", nullable=False),
        sa.Column("instance_number", ID, server_default="0", nullable=False),
        sa.Column("sop_class_uid", TEXT, server_default="", nullable=False),
        sa.Column("available_transfer_syntax_uid", TEXT, server_default="", nullable=False),
        sa.Column("number_of_frames", sa.Integer(), nullable=True),
        sa.Column("rows", sa.Integer(), nullable=True),
        sa.Column("columns", sa.Integer(), nullable=True),
        sa.Column("bits_allocated", sa.Integer(), nullable=True),
        sa.Column("version", ID, server_default="0", nullable=False),
        sa.Column("size_bytes", ID, server_default="0", nullable=False),
        sa.Column("stored_at_ms", ID, server_default="0", nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("blob_key", TEXT, server_default="", nullable=False),
        sa.Column("layout", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["series_fk"], ["series.id"], name=op.f("fk_instances_series_fk")),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_instances_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_instances")),
        sa.UniqueConstraint("tenant_id", "sop_instance_uid", name=op.f("uq_instances_tenant_id_sop_instance_uid")),
    )
    op.create_index(op.f("ix_instances_blob_key"), "instances", ["blob_key"], unique=True)
    op.create_index(
        op.f("ix_instances_series_fk_instance_number_id"), "instances", ["series_fk", "instance_number", "id"]
    )
    op.create_table(
        "documents",
        sa.Column("instance_fk", ID, autoincrement=False, nullable=False),
        sa.Column("body", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_fk"], ["instances.id"], name=op.f("fk_documents_instance_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("instance_fk", name=op.f("pk_documents")),
    )
    op.create_table(
        "reports",
        sa.Column("instance_fk", ID, autoincrement=False, nullable=False),
        sa.Column("study_fk", ID, nullable=False),
        sa.Column("status", TEXT, server_default="", nullable=False),
        sa.ForeignKeyConstraint(
            ["instance_fk"], ["instances.id"], name=op.f("fk_reports_instance_fk"), ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("instance_fk", name=op.f("pk_reports")),
    )
    op.create_index(op.f("ix_reports_study_fk"), "reports", ["study_fk"])
    declarations = op.create_table(
        "declarations",
        sa.Column("id", ID, nullable=False),
        sa.Column("path", TEXT, server_default="", nullable=False),
        sa.Column("level", TEXT, server_default="", nullable=False),
        sa.Column("vr", TEXT, server_default="", nullable=False),
        sa.Column("state", TEXT, server_default="", nullable=False),
        sa.Column("generation", ID, server_default="0", nullable=False),
        sa.Column("filled_id", ID, server_default="0", nullable=False),
        sa.Column("last_id", ID, server_default="0", nullable=False),
        sa.Column("declared_at_ms", ID, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_declarations")),
    )
    op.create_index(op.f("ix_declarations_generation"), "declarations", ["generation"], unique=True)
    op.create_index(op.f("ix_declarations_path_level"), "declarations", ["path", "level"])
    # The attributes of `index.declared.DEFAULTS`; there is nothing yet that they could lack.
    op.bulk_insert(
        declarations,
        [
            {"path": path, "level": level, "vr": vr, "state": "ready", "generation": number}
            for number, (path, level, vr) in enumerate(
                (
                    ("00101000", "PATIENT", "LO"),
                    ("00101002.00100020", "PATIENT", "LO"),
                    ("00101001", "PATIENT", "PN"),
                    ("00081032.00080100", "STUDY", "SH"),
                    ("00081032.00080102", "STUDY", "SH"),
                    ("00321033", "STUDY", "LO"),
                    ("00081060", "STUDY", "PN"),
                    ("00400275.00400009", "SERIES", "SH"),
                    ("00400275.00401001", "SERIES", "SH"),
                    ("00082218.00080100", "SERIES", "SH"),
                    ("00082218.00080102", "SERIES", "SH"),
                    ("00081050", "SERIES", "PN"),
                    ("00081070", "SERIES", "PN"),
                    ("0040A043.00080100", "IMAGE", "SH"),
                    ("0040A043.00080102", "IMAGE", "SH"),
                    ("0040A491", "IMAGE", "CS"),
                    ("0040A493", "IMAGE", "CS"),
                    ("00700080", "IMAGE", "CS"),
                ),
                1,
            )
        ],
    )
    op.create_table(
        "jobs",
        sa.Column("id", ID, nullable=False),
        sa.Column("kind", TEXT, server_default="", nullable=False),
        sa.Column("key", TEXT, server_default="", nullable=False),
        sa.Column("claim", TEXT, server_default="", nullable=False),
        sa.Column("error", TEXT, server_default="", nullable=False),
        sa.Column("requested", ID, server_default="0", nullable=False),
        sa.Column("attempts", ID, server_default="0", nullable=False),
        sa.Column("not_before_ms", ID, server_default="0", nullable=False),
        sa.Column("beat_ms", ID, server_default="0", nullable=False),
        sa.Column("queued_at_ms", ID, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_jobs")),
        sa.UniqueConstraint("kind", "key", name=op.f("uq_jobs_kind_key")),
    )
    op.create_table(
        "renditions",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("original_key", TEXT, server_default="", nullable=False),
        sa.Column("transfer_syntax_uid", TEXT, server_default="", nullable=False),
        sa.Column("blob_key", TEXT, server_default="", nullable=False),
        sa.Column("problem", TEXT, server_default="", nullable=False),
        sa.Column("size_bytes", ID, server_default="0", nullable=False),
        sa.Column("made_at_ms", ID, server_default="0", nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("layout", sa.LargeBinary(), nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_renditions_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_renditions")),
        sa.UniqueConstraint("original_key", name=op.f("uq_renditions_original_key")),
    )
    op.create_index(op.f("ix_renditions_blob_key"), "renditions", ["blob_key"])
    for owner, parent in (
        ("patient", "patients"),
        ("study", "studies"),
        ("series", "series"),
        ("instance", "instances"),
    ):
        name = f"{owner}_values"
        op.create_table(
            name,
            sa.Column("declaration_fk", ID, nullable=False),
            sa.Column("tenant_id", ID, nullable=False),
            sa.Column("term", TEXT, nullable=False),
            sa.Column("owner_fk", ID, nullable=False),
            sa.Column("items", TEXT, nullable=False),
            sa.ForeignKeyConstraint(
                ["owner_fk"], [f"{parent}.id"], name=op.f(f"fk_{name}_owner_fk"), ondelete="CASCADE"
            ),
            sa.PrimaryKeyConstraint(
                "declaration_fk", "tenant_id", "term", "owner_fk", "items", name=op.f(f"pk_{name}")
            ),
            sqlite_with_rowid=False,
        )
        op.create_index(op.f(f"ix_{name}_owner_fk_declaration_fk_term"), name, ["owner_fk", "declaration_fk", "term"])
    op.create_table(
        "users",
        sa.Column("id", ID, nullable=False),
        sa.Column("tenant_id", ID, nullable=False),
        sa.Column("name", TEXT, server_default="", nullable=False),
        sa.Column("password_hash", TEXT, server_default="", nullable=False),
        sa.Column("created_at_ms", ID, server_default="0", nullable=False),
        sa.Column("password_set_at_ms", ID, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["tenant_id"], ["tenants.id"], name=op.f("fk_users_tenant_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_users")),
        sa.UniqueConstraint("name", name=op.f("uq_users_name")),
    )
    op.create_table(
        "sessions",
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("user_fk", ID, nullable=False),
        sa.Column("address", TEXT, server_default="", nullable=False),
        sa.Column("began_at_ms", ID, server_default="0", nullable=False),
        sa.Column("seen_at_ms", ID, server_default="0", nullable=False),
        sa.Column("ends_at_ms", ID, server_default="0", nullable=False),
        sa.ForeignKeyConstraint(["user_fk"], ["users.id"], name=op.f("fk_sessions_user_fk"), ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("digest", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_user_fk"), "sessions", ["user_fk"])
    op.create_table(
        "sign_in_attempts",
        sa.Column("id", ID, nullable=False),
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("at_ms", ID, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_in_attempts")),
    )
    op.create_index(op.f("ix_sign_in_attempts_subject_at_ms"), "sign_in_attempts", ["subject", "at_ms"])
    trigrams.make(op.get_bind())
