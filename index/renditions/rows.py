"""Renditions as rows: which originals have none yet, where those of the others are, and what is to go.

A row belongs to an object, by its key, and not to the row of an instance: keys are never used twice, so whatever
becomes of the instance (set aside, deleted, restored), the rendition is found as long as the original is, and only as
long. It is written in one transaction with a look whether the original is still a current instance.
"""

import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import and_, bindparam, delete, func, null, or_, select, union_all

from index.access import Scope
from index.database import Database, Transaction
from index.layout import ObjectLayout, pack, unpack
from index.records import InstanceKey, Level, StoredInstance
from index.renditions.requests import Subject
from index.selection import FROM
from index.statements import STORED
from index.tables import instances, removed, renditions, series, set_aside, studies, tenants

_PAGE: Final = 50
_DROPPED_AT_ONCE: Final = 500


@dataclass(frozen=True, slots=True)
class Rendition:
    """A second encoding of a stored object, itself a whole DICOM file."""

    original_key: str
    transfer_syntax_uid: str
    blob_key: str
    size_bytes: int
    sha256: bytes
    """Digest of its data set."""
    layout: ObjectLayout
    made_at_ms: int = 0

    def of(self, instance: StoredInstance) -> StoredInstance:
        """The instance as it is found in this encoding."""
        return StoredInstance(
            instance.key,
            instance.sop_class_uid,
            self.transfer_syntax_uid,
            self.blob_key,
            self.layout,
            self.size_bytes,
            self.sha256,
            instance.version,
            self.made_at_ms,
        )


@dataclass(frozen=True, slots=True)
class Candidate:
    """An instance that has no rendition, and about which nothing is known that stands against one."""

    id: int
    tenant_id: int
    subject: Subject
    instance: StoredInstance


@dataclass(frozen=True, slots=True)
class Count:
    """Renditions of a study: how many with which problem (none: they exist), and bytes before and after."""

    study_instance_uid: str
    problem: str
    number: int
    original_bytes: int
    bytes: int


class Renditions:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, tenant_id: Callable[[str], int | None], *, preferred: bool) -> None:
        """Compiles; touches no connection. `preferred` is the setting `renditions.prefer`."""
        prepare = database.prepare
        self.preferred = preferred
        self._database = database
        self._tenant_id = tenant_id
        found = [renditions.c[name] for name in _FOUND]
        mine = renditions.c.tenant_id == bindparam("tenant")
        made = and_(mine, renditions.c.blob_key != "")
        self._one = prepare(select(*found).where(made, renditions.c.original_key == bindparam("key")))
        self._some = prepare(select(*found).where(made, database.one_of(renditions.c.original_key, "keys")))
        self._candidates = prepare(_candidates())
        self._series = {of_study: prepare(_series(of_study=of_study)) for of_study in (False, True)}
        self._current = prepare(
            select(instances.c.id)
            .where(instances.c.blob_key == bindparam("key"))
            .with_for_update(key_share=True, read=True)
        )
        values = {c.name: bindparam(c.name, type_=c.type) for c in renditions.columns if c.name != "id"}
        self._add = prepare(database.insert(renditions).values(values).on_conflict_do_nothing())
        self._counts = {of_study: prepare(_counts(of_study=of_study)) for of_study in (False, True)}
        self._page = {of_study: prepare(_page(of_study=of_study)) for of_study in (False, True)}
        self._delete = prepare(delete(renditions).where(database.one_of(renditions.c.id, "rows")))
        self._forget = prepare(delete(renditions).where(database.one_of(renditions.c.original_key, "keys")))
        self._objects_of = prepare(
            select(renditions.c.blob_key).where(
                renditions.c.blob_key != "", database.one_of(renditions.c.original_key, "keys")
            )
        )
        self._strays = prepare(_strays())
        self._originals = prepare(_originals())

    # Finding

    def of(self, scope: Scope, instance: StoredInstance) -> Rendition | None:
        """The rendition of an instance that was found within the scope: one look at an index."""
        asked = {"tenant": self._tenant_id(scope.tenant), "key": instance.blob_key}
        rows = self._database.rows(self._one, asked)
        return _rendition(rows[0]) if rows else None

    def of_many(self, scope: Scope, found: Iterable[StoredInstance]) -> dict[str, Rendition]:
        """Those of many instances that were found within the scope, by the key of the original."""
        keys = self._database.list_value([one.blob_key for one in found])
        rows = self._database.rows(self._some, {"tenant": self._tenant_id(scope.tenant), "keys": keys})
        return {row[0]: _rendition(row) for row in rows}

    # Making

    def series(self, scope: Scope, study: str | None = None) -> list[int]:
        """Ids of the series in which instances have none, of one study or of all."""
        asked = {"tenant": self._tenant_id(scope.tenant), "study": study}
        return [row[0] for row in self._database.rows(self._series[study is not None], asked)]

    def candidates(self, series_id: int, after: int) -> list[Candidate]:
        """Some instances of a series that have none, behind id `after`."""
        rows = self._database.rows(self._candidates, {"series": series_id, "after": after})
        return [_candidate(row) for row in rows]

    def record(
        self, candidate: Candidate, made: Rendition | str, also: Callable[[Transaction], None] | None = None
    ) -> bool:
        """Make a rendition known, or why there can be none; `also` runs in the same transaction.

        False when there is no use for it: the original is no current instance any more, or somebody was faster.
        """
        row = _row(made) | {
            "tenant_id": candidate.tenant_id,
            "original_key": candidate.instance.blob_key,
            "made_at_ms": time.time_ns() // 1_000_000,
        }

        def write(tx: Transaction) -> bool:
            # First the instance, then the job: so does whoever takes instances in.
            current = tx.rows(self._current, {"key": candidate.instance.blob_key})
            if also is not None:
                also(tx)
            return bool(current and tx.changed(self._add, row))

        return self._database.transact(write)

    def adopt(self, tenant: str, sop_instance_uid: str, sha256: bytes, found: Rendition) -> bool:
        """Make a rendition known again that lies in the object store; False when its original does not."""
        tenant_id = self._tenant_id(tenant)
        asked = {"tenant": tenant_id, "uid": sop_instance_uid, "sha256": sha256}
        rows = self._database.rows(self._originals, asked)
        if not rows:
            return False
        row = {"tenant_id": tenant_id, "original_key": rows[0][0], "made_at_ms": time.time_ns() // 1_000_000}
        return bool(self._database.transact(lambda tx: tx.changed(self._add, _row(found) | row)))

    # Dropping

    def counts(self, scope: Scope, study: str | None = None) -> list[Count]:
        """How many there are, and why there are none, study by study."""
        asked = {"tenant": self._tenant_id(scope.tenant), "study": study}
        return [Count(*row) for row in self._database.rows(self._counts[study is not None], asked)]

    def drop(self, scope: Scope, study: str | None = None) -> list[str] | None:
        """Forget some of those of a study, or of all; the objects that nothing names now, None when all are gone."""
        asked = {"tenant": self._tenant_id(scope.tenant), "study": study}
        rows = self._database.rows(self._page[study is not None], asked)
        return self._forget_rows(rows) if rows else None

    def drop_strays(self) -> list[str] | None:
        """The same with those whose original no row names."""
        rows = self._database.rows(self._strays, {})
        return self._forget_rows(rows) if rows else None

    def objects_of(self, original_keys: Sequence[str]) -> list[str]:
        """The objects that go when these originals go."""
        keys = self._database.list_value(list(original_keys))
        return [row[0] for row in self._database.rows(self._objects_of, {"keys": keys})]

    def forget(self, original_keys: Sequence[str]) -> None:
        """The objects of these originals are gone."""
        keys = self._database.list_value(list(original_keys))
        self._database.transact(lambda tx: tx.run(self._forget, {"keys": keys}))

    def _forget_rows(self, rows: Sequence[Any]) -> list[str]:
        going = self._database.list_value([row[0] for row in rows])
        self._database.transact(lambda tx: tx.run(self._delete, {"rows": going}))
        return [row[1] for row in rows if row[1]]


_FOUND: Final = ("original_key", "transfer_syntax_uid", "blob_key", "size_bytes", "sha256", "layout", "made_at_ms")


def _rendition(row: Sequence[Any]) -> Rendition:
    original, syntax, key, size, sha256, layout, made_at_ms = row
    return Rendition(original, syntax, key, size, bytes(sha256), unpack(layout), made_at_ms)


def _row(made: Rendition | str) -> dict[str, Any]:
    if isinstance(made, str):
        return {
            "transfer_syntax_uid": "",
            "blob_key": "",
            "problem": made,
            "size_bytes": 0,
            "sha256": b"",
            "layout": b"",
        }
    return {
        "transfer_syntax_uid": made.transfer_syntax_uid,
        "blob_key": made.blob_key,
        "problem": "",
        "size_bytes": made.size_bytes,
        "sha256": made.sha256,
        "layout": pack(made.layout),
    }


def _without() -> Any:
    """Instances and what stands above them, where there is no rendition."""
    joined = FROM[Level.IMAGE].outerjoin(renditions, renditions.c.original_key == instances.c.blob_key)
    return joined.join(tenants, tenants.c.id == instances.c.tenant_id)


def _candidates() -> Any:
    about = (instances.c.tenant_id, tenants.c.name, series.c.modality, instances.c.number_of_frames)
    return (
        select(instances.c.id, *about, *STORED)
        .select_from(_without())
        .where(renditions.c.id.is_(null()), instances.c.series_fk == bindparam("series"))
        .where(instances.c.id > bindparam("after"))
        .order_by(instances.c.id)
        .limit(_PAGE)
    )


def _candidate(row: Sequence[Any]) -> Candidate:
    number, tenant_id, tenant, modality, frames, study, one_series, uid, sop_class, syntax, key, layout, *rest = row
    stored = StoredInstance(InstanceKey(study, one_series, uid), sop_class, syntax, key, unpack(layout), *rest)
    subject = Subject(tenant, modality, sop_class, syntax, stored.size_bytes, frames or 1)
    return Candidate(number, tenant_id, subject, stored)


def _series(*, of_study: bool) -> Any:
    built = select(series.c.id).select_from(_without()).where(renditions.c.id.is_(null()))
    built = built.where(instances.c.tenant_id == bindparam("tenant"))
    if of_study:
        built = built.where(studies.c.study_instance_uid == bindparam("study"))
    return built.distinct().order_by(series.c.id)


def _counts(*, of_study: bool) -> Any:
    sums = (func.count(), func.sum(instances.c.size_bytes), func.sum(renditions.c.size_bytes))
    built = select(studies.c.study_instance_uid, renditions.c.problem, *sums)
    source = FROM[Level.IMAGE].join(renditions, renditions.c.original_key == instances.c.blob_key)
    built = built.select_from(source).where(renditions.c.tenant_id == bindparam("tenant"))
    if of_study:
        built = built.where(studies.c.study_instance_uid == bindparam("study"))
    grouped = built.group_by(studies.c.id, studies.c.study_instance_uid, renditions.c.problem)
    return grouped.order_by(studies.c.id, renditions.c.problem)


def _page(*, of_study: bool) -> Any:
    built = select(renditions.c.id, renditions.c.blob_key).where(renditions.c.tenant_id == bindparam("tenant"))
    if of_study:
        source = renditions.join(instances, renditions.c.original_key == instances.c.blob_key)
        built = built.select_from(source.join(series, instances.c.series_fk == series.c.id).join(studies))
        built = built.where(studies.c.study_instance_uid == bindparam("study"))
    return built.order_by(renditions.c.id).limit(_DROPPED_AT_ONCE)


def _strays() -> Any:
    named = or_(
        *(
            select(table.c.id).where(table.c.blob_key == renditions.c.original_key).correlate(renditions).exists()
            for table in (instances, set_aside, removed)
        )
    )
    return select(renditions.c.id, renditions.c.blob_key).where(~named).limit(_DROPPED_AT_ONCE)


def _originals() -> Any:
    return union_all(
        *(
            select(table.c.blob_key).where(
                table.c.tenant_id == bindparam("tenant"),
                table.c.sop_instance_uid == bindparam("uid"),
                table.c.sha256 == bindparam("sha256"),
            )
            for table in (instances, set_aside, removed)
        )
    )
