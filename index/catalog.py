"""What is stored: taking instances in, finding them again, and the feed of changes."""

import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from config.settings import DuplicatePolicy
from config.settings import Renditions as RenditionSettings
from index import statements
from index.access import Scope
from index.admission import Admission
from index.commits import GroupCommit
from index.database import Database, Prepared, Transaction
from index.entries import Entry, Newcomer, describe
from index.errors import Conflict, NotFound
from index.layout import ObjectLayout, unpack
from index.query import Exact, Query
from index.records import Documents, InstanceKey, InstanceRecord, Level, Origin, StoredInstance
from index.register import Register
from index.removed.notes import Notes
from index.removed.purge import Purge
from index.removed.rejection import RULES, Rule
from index.removed.removal import Removal
from index.removed.removals import Removals
from index.removed.versions import STORED, Added, Current, Versions
from index.renditions.rows import Renditions
from index.selection import Selection

_LARGE_LAYOUT_BYTES = 1024
_LAYOUTS_KEPT = 32
_PAGE = 256
_NO_RENDITIONS = RenditionSettings()


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

    def __init__(
        self,
        database: Database,
        rules: Mapping[str, Rule] = RULES,
        renditions: RenditionSettings = _NO_RENDITIONS,
    ) -> None:
        """Compiles the statements; touches no connection. `rules` says what rejection notes do."""
        self._database = database
        self._selection = Selection(database)
        self._admission = Admission(database, renditions)
        removal = Removal(database, self._admission)
        self._versions = Versions(database, self._admission, removal)
        self.removals = Removals(database, self._admission, removal, self._versions, rules)
        self.purge = Purge(database, self._admission)
        self.register = Register(database)
        self.renditions = Renditions(database, self._selection.tenant_id, preferred=renditions.prefer)
        self._notes = Notes(database, self.removals.bin, rules)
        self._arrivals: GroupCommit[_Arrival, Added] = GroupCommit(self._apply)
        self._known_alone = database.prepare(statements.known(database, alone=True))
        self._known_many = database.prepare(statements.known(database, alone=False))
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
        results, tenants = self._database.transact(lambda tx: self._take_in(tx, arrivals))
        for name, number in tenants.items():
            self._admission.remember_tenant(name, number)
        return results

    def _take_in(self, tx: Transaction, arrivals: Sequence[_Arrival]) -> tuple[list[Added], dict[str, int]]:
        tx.order_removals(alone=any(self._notes.is_note(one.entry) for one in arrivals))
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
        results: dict[int, Added] = {}
        newcomers = []
        notes = []
        for identity, number in wave.items():
            arrival = arrivals[number]
            one = Newcomer(identity[0], arrival.entry, arrival.origin, arrival.at_ms)
            current = known.get(identity)
            rule = self._notes.rule_of(one)
            if current is not None and current.id:
                met: Added | None = self._versions.meet(tx, one, current, arrival.duplicates)
            elif current is not None:
                met = self._notes.meet(tx, one)
            else:
                met = self._notes.meet_note(tx, one) if rule else None
            results[number] = met or STORED
            if met is None:
                newcomers.append(one)
                if rule:
                    notes.append((number, one, rule))
        self._admission.admit(tx, newcomers)
        results.update({number: self._notes.apply(tx, one, rule) for number, one, rule in notes})
        return list(results.items())

    def _known(self, tx: Transaction, identities: list[tuple[int, str]]) -> dict[tuple[int, str], Current]:
        """What is there already, with id 0 for what a note rejects."""
        known = {}
        for tenant in {number for number, _ in identities}:
            uids = [uid for number, uid in identities if number == tenant]
            alone = len(uids) == 1
            statement = self._known_alone if alone else self._known_many
            asked = uids[0] if alone else self._database.list_value(uids)
            for uid, *row in tx.rows(statement, {"tenant": tenant, "uids": asked}):
                if row[0] or (tenant, uid) not in known:
                    known[tenant, uid] = Current(*row)
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

    def documents(self, scope: Scope, study: str, series: str | None = None, instance: str | None = None) -> Documents:
        """The same with what tells whether they have changed."""
        rows = self._below("metadata", scope, (study, series, instance))
        state = b"".join([row[1] for row in rows]) + repr([row[2] for row in rows]).encode()
        return Documents([row[0] for row in rows], state)

    def matching(self, scope: Scope, query: Query) -> list[StoredInstance]:
        """The instances that a query of any level selects, parent by parent in the query's order."""
        ids = self._selection.ids(scope, query)
        if not ids:
            return self._named_alone(scope, query)
        statement = self._prepared(
            ("matching", query.level), lambda: statements.of_parents(self._database, query.level)
        )
        found: list[StoredInstance] = []
        for start in range(0, len(ids), _PAGE):
            page = ids[start : start + _PAGE]
            rows = self._database.rows(statement, {"parents": self._database.list_value(page)})
            place = {number: position for position, number in enumerate(page)}
            in_order = sorted((place[row[0]], number) for number, row in enumerate(rows) if _is_visible(scope, row[1]))
            found.extend(self._stored(rows[number][1:]) for _, number in in_order)
        return found

    def _named_alone(self, scope: Scope, query: Query) -> list[StoredInstance]:
        """An instance that searches do not show, but that is retrieved by its UIDs all the same."""
        named = {one.keyword: one.value for one in query.filters if isinstance(one, Exact)}
        uids = (named.get("StudyInstanceUID"), named.get("SeriesInstanceUID"), named.get("SOPInstanceUID"))
        if query.level is not Level.IMAGE or len(query.filters) != 3 or None in uids:
            return []
        try:
            return self.members(scope, *map(str, uids))
        except NotFound:
            return []

    def _below(self, what: str, scope: Scope, uids: tuple[str, str | None, str | None]) -> list[Any]:
        tenant = self._selection.tenant_id(scope.tenant)
        rows = []
        if tenant is not None and _is_visible(scope, uids[0]):
            depth = 3 - uids.count(None)
            statement = self._prepared((what, depth), lambda: statements.below(what, depth))
            params = {"tenant": tenant, "study": uids[0], "series": uids[1], "instance": uids[2]}
            rows = self._database.rows(statement, params)
            if not rows and depth == 3 and self.removals.is_retrievable(tenant, uids[2] or ""):
                statement = self._prepared(("hidden", what), lambda: statements.hidden(what))
                rows = self._database.rows(statement, params)
        if not rows:
            raise NotFound(f"There is no such {('study', 'series', 'instance')[2 - uids.count(None)]}")
        return rows

    def _stored(self, row: Sequence[Any]) -> StoredInstance:
        study, series, instance, sop_class, syntax, blob_key, packed, *rest = row
        key = InstanceKey(study, series, instance)
        return StoredInstance(key, sop_class, syntax, blob_key, self._layout(blob_key, packed), *rest)

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
        statement = self._prepared("blobs", lambda: statements.known_blobs(self._database))
        asked = self._database.list_value(sorted(unknown))
        return unknown.difference(row[0] for row in self._database.rows(statement, {"keys": asked}))

    def set_aside(self, scope: Scope, sop_instance_uid: str | None = None) -> list[SetAside]:
        """The versions kept beside the current one, of one instance or of all, oldest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        of_one = sop_instance_uid is not None
        statement = self._prepared(("set aside", of_one), lambda: statements.set_aside_versions(of_one=of_one))
        rows = self._database.rows(statement, {"tenant": tenant, "uid": sop_instance_uid}) if tenant is not None else []
        return [SetAside(row[0], InstanceKey(*row[1:4]), *row[4:]) for row in rows if _is_visible(scope, row[1])]

    def restore(self, scope: Scope, version: SetAside, origin: Origin) -> None:
        """Make a set-aside version current; the current one is set aside. Raises NotFound."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None or not _is_visible(scope, version.key.study_instance_uid):
            raise NotFound
        identity = (tenant, version.key.sop_instance_uid)

        def work(tx: Transaction) -> None:
            tx.order_removals(alone=True)
            at = (origin, _now_ms())
            one = self._versions.newcomer_from_aside(tx, (tenant, scope.tenant), version.number, at)
            current = self._known(tx, [identity]).get(identity)
            if current is not None and not current.id:
                raise Conflict("A rejection note has named this instance")
            self._versions.make_current(tx, one, current, "restored")

        self._database.transact(work)

    def newest_change(self, scope: Scope) -> int:
        """The number of the tenant's newest change, 0 before the first: one look at the end of an index."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None:
            return 0
        ((number,),) = self._database.rows(
            self._prepared("newest change", statements.newest_change), {"tenant": tenant}
        )
        return number or 0

    def changes(self, scope: Scope, after: int, limit: int) -> list[Change]:
        """The changes behind number `after`, oldest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None:
            return []
        rows = self._database.rows(
            self._prepared("changes", statements.changes_after), {"tenant": tenant, "after": after, "limit": limit}
        )
        visible = (row for row in rows if _is_visible(scope, row[2]))
        return [Change(row[0], row[1], InstanceKey(*row[2:5]), row[5], row[6]) for row in visible]

    def disagreements(self, scope: Scope, limit: int = 1000) -> list[Disagreement]:
        """What instances said otherwise than the first of their study or series, newest first."""
        tenant = self._selection.tenant_id(scope.tenant)
        if tenant is None or scope.study_instance_uids is not None:
            return []
        rows = self._database.rows(
            self._prepared("disagreements", statements.newest_disagreements), {"tenant": tenant, "limit": limit}
        )
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
