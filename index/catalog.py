"""What is stored: taking instances in, finding them again, and the feed of changes."""

import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, select, union_all

from config.settings import DuplicatePolicy
from index.access import Scope
from index.admission import Admission, Newcomer
from index.commits import GroupCommit
from index.database import Conflicting, Database, Prepared, Transaction, Unreachable
from index.entries import Entry, describe
from index.errors import NotFound
from index.layout import ObjectLayout, unpack
from index.lists import LARGEST, bound, one_of, padded_size
from index.query import Query
from index.records import InstanceKey, InstanceRecord, Level, Origin, StoredInstance
from index.removal import Removal
from index.selection import FROM, TABLE_OF, Selection
from index.tables import changes, disagreements, documents, instances, series, set_aside, studies
from index.versions import STORED, Added, Current, Versions

_TRIES = 4
_LARGE_LAYOUT_BYTES = 1024
_LAYOUTS_KEPT = 32
_PAGE = 256


@dataclass(frozen=True, slots=True)
class Change:
    """One line of the change feed; `number` only grows, also across processes."""

    number: int
    action: str
    key: InstanceKey
    version: int
    at_ms: int


@dataclass(frozen=True, slots=True)
class SetAside:
    """A version that is kept beside the current one."""

    number: int
    key: InstanceKey
    version: int
    sha256: bytes
    size_bytes: int
    blob_key: str
    set_aside_at_ms: int


@dataclass(frozen=True, slots=True)
class Disagreement:
    """An attribute that a later instance gave another value; values are JSON. `uid` is the study's or series'."""

    level: Level
    uid: str
    keyword: str
    kept: str
    offered: str


@dataclass(frozen=True, slots=True)
class _Arrival:
    entry: Entry
    origin: Origin
    duplicates: DuplicatePolicy
    at_ms: int


class Catalog:
    """The index of what is stored; safe from many threads and processes."""

    def __init__(self, database: Database) -> None:
        """Compiles the statements; touches no connection."""
        self._database = database
        self._selection = Selection(database)
        self._admission = Admission(database)
        self._removal = Removal(database, self._admission)
        self._versions = Versions(database, self._admission, self._removal)
        self._arrivals: GroupCommit[_Arrival, Added] = GroupCommit(self._apply)
        self._statements: dict[object, Prepared] = {}
        self._layouts: dict[str, ObjectLayout] = {}

    # Taking in

    def add(self, tenant: str, record: InstanceRecord, origin: Origin, *, duplicates: DuplicatePolicy) -> Added:
        """Make an instance known. Returns when that is durable; calls that wait share a transaction."""
        arrival = _Arrival(describe(tenant, record), origin, duplicates, _now_ms())
        return self._arrivals.submit(arrival)

    def add_many(
        self, tenant: str, records: Iterable[InstanceRecord], origin: Origin, *, duplicates: DuplicatePolicy
    ) -> list[Added]:
        """Make many instances known in one transaction: for imports and for filling an index."""
        now = _now_ms()
        return list(self._apply([_Arrival(describe(tenant, record), origin, duplicates, now) for record in records]))

    def _apply(self, arrivals: Sequence[_Arrival]) -> Sequence[Added]:
        for attempt in range(_TRIES):
            try:
                with self._database.write() as tx:
                    results, tenants = self._take_in(tx, arrivals)
            except (Conflicting, Unreachable):
                # Another process was first with a unique key, or the connection broke: look again.
                if attempt == _TRIES - 1:
                    raise
                continue
            for name, number in tenants.items():
                self._admission.remember_tenant(name, number)
            return results
        raise AssertionError("unreachable")

    def _take_in(self, tx: Transaction, arrivals: Sequence[_Arrival]) -> tuple[list[Added], dict[str, int]]:
        tenants = {name: self._admission.tenant_id(tx, name) for name in {one.entry.tenant for one in arrivals}}
        results: list[Added | None] = [None] * len(arrivals)
        waiting = list(range(len(arrivals)))
        while waiting:
            # The same UID twice in one batch: the second time it is known.
            wave: dict[tuple[int, str], int] = {}
            later = []
            for number in waiting:
                entry = arrivals[number].entry
                identity = (tenants[entry.tenant], entry.record.key.sop_instance_uid)
                if wave.setdefault(identity, number) != number:
                    later.append(number)
            for number, added in self._take_in_wave(tx, arrivals, wave):
                results[number] = added
            waiting = later
        return [one for one in results if one is not None], tenants

    def _take_in_wave(
        self, tx: Transaction, arrivals: Sequence[_Arrival], wave: dict[tuple[int, str], int]
    ) -> list[tuple[int, Added]]:
        known = self._known(tx, list(wave))
        results = []
        newcomers = []
        for identity, number in wave.items():
            arrival = arrivals[number]
            one = Newcomer(identity[0], arrival.entry, arrival.origin, arrival.at_ms)
            current = known.get(identity)
            if current is None:
                newcomers.append(one)
                results.append((number, STORED))
            else:
                results.append((number, self._versions.meet(tx, one, current, arrival.duplicates)))
        self._admission.admit(tx, newcomers)
        return results

    def _known(self, tx: Transaction, identities: list[tuple[int, str]]) -> dict[tuple[int, str], Current]:
        known = {}
        for tenant in {identity[0] for identity in identities}:
            uids = [uid for number, uid in identities if number == tenant]
            for start in range(0, len(uids), LARGEST):
                some = uids[start : start + LARGEST]
                size = padded_size(len(some))
                rows = tx.rows(
                    self._prepared(("known", size), lambda size=size: _known(size)),
                    {"tenant": tenant, **bound("uid", some, size)},
                )
                known.update({(tenant, row[0]): Current(*row[1:]) for row in rows})
        return known

    # Finding again

    def locate(self, scope: Scope, key: InstanceKey) -> StoredInstance:
        """One instance. Raises NotFound, also outside the scope."""
        return self.members(scope, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)[0]

    def members(
        self, scope: Scope, study: str, series: str | None = None, instance: str | None = None
    ) -> list[StoredInstance]:
        """The instances below a study or series, by series and instance number. Raises NotFound when there is none."""
        return [self._stored(row) for row in self._below("members", scope, (study, series, instance))]

    def metadata(self, scope: Scope, study: str, series: str | None = None, instance: str | None = None) -> list[bytes]:
        """Their DICOM JSON, each one zstd frame, in the same order. Raises NotFound when there is none."""
        return [row[0] for row in self._below("metadata", scope, (study, series, instance))]

    def matching(self, scope: Scope, query: Query) -> list[StoredInstance]:
        """The instances that a query of any level selects, parent by parent in the query's order."""
        ids = self._selection.ids(scope, query)
        found: list[StoredInstance] = []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            size = padded_size(len(page))
            level = query.level
            rows = self._database.rows(
                self._prepared(("matching", level, size), lambda level=level, size=size: _matching(level, size)),
                bound("row", page, size),
            )
            place = {number: position for position, number in enumerate(page)}
            rows.sort(key=lambda row, place=place: place[row[0]])
            found.extend(self._stored(row[1:]) for row in rows if _is_visible(scope, row[1]))
        return found

    def _below(self, what: str, scope: Scope, uids: tuple[str, str | None, str | None]) -> list[Any]:
        tenant = self._selection.tenant_id(scope.tenant)
        rows = []
        if tenant is not None and _is_visible(scope, uids[0]):
            depth = 3 - uids.count(None)
            statement = self._prepared((what, depth), lambda: _below(what, depth))
            params = {"tenant": tenant, "study": uids[0], "series": uids[1], "instance": uids[2]}
            rows = self._database.rows(statement, params)
        if not rows:
            raise NotFound(f"There is no such {('study', 'series', 'instance')[2 - uids.count(None)]}")
        return rows

    def _stored(self, row: Sequence[Any]) -> StoredInstance:
        study, series, instance, sop_class, syntax, blob_key, packed, size_bytes, sha256, version = row
        key = InstanceKey(study, series, instance)
        return StoredInstance(
            key, sop_class, syntax, blob_key, self._layout(blob_key, packed), size_bytes, sha256, version
        )

    def _layout(self, blob_key: str, packed: bytes) -> ObjectLayout:
        """Unpacking the frame table of a large multi-frame object costs more than finding its row: some are kept."""
        if len(packed) < _LARGE_LAYOUT_BYTES:
            return unpack(packed)
        layout = self._layouts.get(blob_key)
        if layout is None:
            layout = unpack(packed)
            if len(self._layouts) >= _LAYOUTS_KEPT:
                self._layouts.clear()
            self._layouts[blob_key] = layout
        return layout

    # Objects and versions

    def unknown_blobs(self, keys: Iterable[str]) -> set[str]:
        """Those of the keys that neither a current nor a set-aside version names."""
        unknown = set(keys)
        asked = sorted(unknown)
        for start in range(0, len(asked), _PAGE):
            page = asked[start : start + _PAGE]
            size = padded_size(len(page))
            statement = self._prepared(("blobs", size), lambda size=size: _known_blobs(size))
            unknown.difference_update(row[0] for row in self._database.rows(statement, bound("key", page, size)))
        return unknown

    def set_aside(self, scope: Scope, sop_instance_uid: str) -> list[SetAside]:
        """The versions kept beside the current one, oldest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        statement = self._prepared("set aside", _set_aside)
        rows = self._database.rows(statement, {"tenant": tenant, "uid": sop_instance_uid}) if tenant is not None else []
        return [SetAside(row[0], InstanceKey(*row[1:4]), *row[4:]) for row in rows if _is_visible(scope, row[1])]

    def restore(self, scope: Scope, version: SetAside, origin: Origin) -> None:
        """Make a set-aside version current; the current one is set aside. Raises NotFound."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None or not _is_visible(scope, version.key.study_instance_uid):
            raise NotFound
        with self._database.write() as tx:
            at = (origin, _now_ms())
            one = self._versions.newcomer_from_aside(tx, (tenant, scope.tenant), version.number, at)
            identity = (tenant, version.key.sop_instance_uid)
            current = self._known(tx, [identity]).get(identity)
            self._versions.make_current(tx, one, current, "restored")

    def forget(self, scope: Scope, study: str, series: str | None = None, instance: str | None = None) -> list[str]:
        """Take instances out of the index. Returns the keys of their objects. Raises NotFound when there is none."""
        rows = self._below("members", scope, (study, series, instance))
        identities = [(self._selection.tenant_id(scope.tenant) or 0, row[2]) for row in rows]
        with self._database.write() as tx:
            known = self._known(tx, identities)
            for identity in sorted(known):
                self._removal.remove(tx, known[identity].id)
        return [current.blob_key for current in known.values()]

    def changes(self, scope: Scope, after: int, limit: int) -> list[Change]:
        """The changes behind number `after`, oldest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None:
            return []
        rows = self._database.rows(
            self._prepared("changes", _changes), {"tenant": tenant, "after": after, "limit": limit}
        )
        visible = (row for row in rows if _is_visible(scope, row[2]))
        return [Change(row[0], row[1], InstanceKey(*row[2:5]), row[5], row[6]) for row in visible]

    def disagreements(self, scope: Scope, limit: int = 1000) -> list[Disagreement]:
        """What instances said otherwise than the first of their study or series, newest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None or scope.study_instance_uids is not None:
            return []
        rows = self._database.rows(self._prepared("disagreements", _disagreements), {"tenant": tenant, "limit": limit})
        return [Disagreement(Level(row[0]), *row[1:]) for row in rows]

    def _prepared(self, shape: object, build: Any) -> Prepared:
        statement = self._statements.get(shape)
        if statement is None:
            statement = self._statements[shape] = self._database.prepare(build())
        return statement


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def _is_visible(scope: Scope, study_instance_uid: str) -> bool:
    return scope.study_instance_uids is None or study_instance_uid in scope.study_instance_uids


_STORED = (
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
)


def _below(what: str, depth: int) -> Any:
    source = FROM[Level.IMAGE]
    if what == "metadata":
        source = source.join(documents, documents.c.instance_fk == instances.c.id)
    built = select(*(_STORED if what == "members" else (documents.c.body,))).select_from(source)
    built = built.where(studies.c.tenant_id == bindparam("tenant"), studies.c.study_instance_uid == bindparam("study"))
    if depth > 1:
        built = built.where(series.c.series_instance_uid == bindparam("series"))
    if depth > 2:
        named = instances.c.sop_instance_uid == bindparam("instance")
        return built.where(instances.c.tenant_id == bindparam("tenant"), named)
    return built.order_by(series.c.series_number, series.c.id, instances.c.instance_number, instances.c.id)


def _known(size: int) -> Any:
    names = ("sop_instance_uid", "id", "sha256", "available_transfer_syntax_uid", "blob_key", "version")
    built = select(*(instances.c[name] for name in names))
    return built.where(instances.c.tenant_id == bindparam("tenant"), one_of(instances.c.sop_instance_uid, "uid", size))


def _matching(level: Level, size: int) -> Any:
    identity = TABLE_OF[level].c.id if level is not Level.PATIENT else studies.c.patient_fk
    order = (studies.c.sort_key.desc(), studies.c.id.desc(), series.c.series_number, series.c.id)
    built = select(identity, *_STORED).select_from(FROM[Level.IMAGE]).where(one_of(identity, "row", size))
    return built.order_by(*order, instances.c.instance_number, instances.c.id)


def _known_blobs(size: int) -> Any:
    return union_all(
        *(select(table.c.blob_key).where(one_of(table.c.blob_key, "key", size)) for table in (instances, set_aside))
    )


def _set_aside() -> Any:
    names = ("id", "study_instance_uid", "series_instance_uid", "sop_instance_uid")
    rest = ("version", "sha256", "size_bytes", "blob_key", "set_aside_at_ms")
    built = select(*(set_aside.c[name] for name in (*names, *rest)))
    mine = (set_aside.c.tenant_id == bindparam("tenant"), set_aside.c.sop_instance_uid == bindparam("uid"))
    return built.where(*mine).order_by(set_aside.c.id)


def _disagreements() -> Any:
    built = select(*(disagreements.c[name] for name in ("level", "uid", "keyword", "kept", "offered")))
    mine = disagreements.c.tenant_id == bindparam("tenant")
    return built.where(mine).order_by(disagreements.c.id.desc()).limit(bindparam("limit"))


def _changes() -> Any:
    names = ("id", "action", "study_instance_uid", "series_instance_uid", "sop_instance_uid", "version", "at_ms")
    built = select(*(changes.c[name] for name in names))
    later = (changes.c.tenant_id == bindparam("tenant"), changes.c.id > bindparam("after"))
    return built.where(*later).order_by(changes.c.id).limit(bindparam("limit"))
