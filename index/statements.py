"""The statements of the catalogue's reads, in Core; `Catalog` compiles each once."""

from typing import Any

from sqlalchemy import LargeBinary, bindparam, cast, func, literal_column, null, select, union_all

from index.database import Database
from index.records import Level
from index.selection import FROM, TABLE_OF
from index.tables import (
    changes,
    disagreements,
    documents,
    instances,
    rejected,
    removals,
    removed,
    renditions,
    series,
    set_aside,
    studies,
)

STORED = (
    studies.c.study_instance_uid,
    series.c.series_instance_uid,
    instances.c.sop_instance_uid,
    instances.c.sop_class_uid,
    instances.c.available_transfer_syntax_uid,
    instances.c.blob_key,
    instances.c.layout,
    instances.c.size_bytes,
    instances.c.sha256,
    instances.c.version,
    instances.c.stored_at_ms,
)
"""The columns of a `StoredInstance`."""
_DOCUMENT = (documents.c.body, instances.c.sha256, instances.c.version)


def below(what: str, depth: int) -> Any:
    """Instances or their documents below a study (depth 1), a series (2), or one of them (3)."""
    source = FROM[Level.IMAGE]
    if what == "metadata":
        source = source.join(documents, documents.c.instance_fk == instances.c.id)
    built = select(*(STORED if what == "members" else _DOCUMENT)).select_from(source)
    built = built.where(studies.c.tenant_id == bindparam("tenant"), studies.c.study_instance_uid == bindparam("study"))
    if depth > 1:
        built = built.where(series.c.series_instance_uid == bindparam("series"))
    if depth > 2:
        named = instances.c.sop_instance_uid == bindparam("instance")
        return built.where(instances.c.tenant_id == bindparam("tenant"), named)
    return built.order_by(series.c.series_number, series.c.id, instances.c.instance_number, instances.c.id)


def hidden(what: str) -> Any:
    """What `below` says of one instance, of one that notes hide from searches alone."""
    names = [column.name for column in (STORED if what == "members" else _DOCUMENT)]
    kept = [removed.c.get(name, removals.c.removed_at_ms) for name in names]
    built = select(*kept).select_from(removed.join(removals, removed.c.removal_fk == removals.c.id))
    return (
        built.where(
            removed.c.tenant_id == bindparam("tenant"),
            removed.c.sop_instance_uid == bindparam("instance"),
            removed.c.study_instance_uid == bindparam("study"),
            removed.c.series_instance_uid == bindparam("series"),
            removed.c.role == 0,
        )
        .order_by(removed.c.id.desc())
        .limit(1)
    )


def known(database: Database, *, alone: bool) -> Any:
    """What is there already under these SOP Instance UIDs, or under one alone, which is cheaper than a list of one.

    With id 0 come those that a rejection note in force names: the one question of every arrival answers both.
    """
    names = ("sop_instance_uid", "id", "sha256", "available_transfer_syntax_uid", "blob_key", "version")

    def named(column: Any) -> Any:
        return column == bindparam("uids") if alone else database.one_of(column, "uids")

    there = select(*(instances.c[name] for name in names)).where(
        instances.c.tenant_id == bindparam("tenant"), named(instances.c.sop_instance_uid)
    )
    nothing: tuple[Any, ...] = (
        cast(null(), LargeBinary),
        literal_column("''"),
        literal_column("''"),
        literal_column("0"),
    )
    hidden = select(rejected.c.sop_instance_uid, literal_column("0"), *nothing).where(
        rejected.c.tenant_id == bindparam("tenant"), named(rejected.c.sop_instance_uid)
    )
    return union_all(there, hidden)


def of_parents(database: Database, level: Level) -> Any:
    """All instances below rows of this level; the first column is that row's id."""
    identity = TABLE_OF[level].c.id if level is not Level.PATIENT else studies.c.patient_fk
    order = (studies.c.sort_key.desc(), studies.c.id.desc(), series.c.series_number, series.c.id)
    built = select(identity, *STORED).select_from(FROM[Level.IMAGE]).where(database.one_of(identity, "parents"))
    return built.order_by(*order, instances.c.instance_number, instances.c.id)


def known_blobs(database: Database) -> Any:
    """Those of the keys that a row names."""
    return union_all(
        *(
            select(table.c.blob_key).where(database.one_of(table.c.blob_key, "keys"))
            for table in (instances, set_aside, removed, renditions)
        ),
        select(removals.c.record_key).where(database.one_of(removals.c.record_key, "keys")),
    )


def set_aside_versions(*, of_one: bool) -> Any:
    """The versions that are set aside, of one instance or of all."""
    names = ("id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
    rest = ("version", "sha256", "size_bytes", "blob_key", "set_aside_at_ms")
    built = select(*(set_aside.c[name] for name in (*names, *rest)))
    built = built.where(set_aside.c.tenant_id == bindparam("tenant"))
    if of_one:
        built = built.where(set_aside.c.sop_instance_uid == bindparam("uid"))
    return built.order_by(set_aside.c.id)


def newest_disagreements() -> Any:
    """The newest disagreements of a tenant."""
    built = select(*(disagreements.c[name] for name in ("level", "uid", "keyword", "kept", "offered")))
    mine = disagreements.c.tenant_id == bindparam("tenant")
    return built.where(mine).order_by(disagreements.c.id.desc()).limit(bindparam("limit"))


def newest_change() -> Any:
    """The number of a tenant's newest change."""
    return select(func.max(changes.c.number)).where(changes.c.tenant_id == bindparam("tenant"))


def changes_after() -> Any:
    """One page of a tenant's change feed."""
    names = ("number", "action", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "version", "at_ms")
    built = select(*(changes.c[name] for name in names))
    later = (changes.c.tenant_id == bindparam("tenant"), changes.c.number > bindparam("after"))
    return built.where(*later).order_by(changes.c.number).limit(bindparam("limit"))
