"""The transaction that makes instances known: patient, study, series, instance, document and change row.

The first instance of a patient, study or series decides its attributes; later ones that say otherwise are
recorded in `disagreements` and never refused. Counters are kept here and nowhere else (see also
`index.removed.versions`, which takes instances out again). On PostgreSQL several processes run this at once. First come
all inserts, in the order of UIDs; then all updates of rows that others may want as well, patients before studies
before series, each by id (`Touch`): who waits never holds what the other one needs. Who loses a race for a unique
key runs its transaction again.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from sqlalchemy import bindparam, case, func, or_, select, update

from config.settings import Renditions
from index.anatomy import anatomic_region
from index.database import Database, Prepared, Transaction
from index.declared_values import DeclaredValues, Owners, newest_generation
from index.disagreements import Disagreements
from index.entries import TERM_KINDS, Entry, Newcomer, list_member
from index.reading import KIND as READING
from index.reading import Reading
from index.records import Level, Origin
from index.renditions.requests import RenditionRequests
from index.tables import changes, documents, instances, patients, series, studies, study_terms, tenants

_MAXIMUM_LIST_CHARACTERS = 2000
"""A study's lists of modalities and SOP classes stop growing here."""
_NO_RENDITIONS = Renditions()


Change = dict[str, Any]
"""A row of the change feed."""


@dataclass(slots=True)
class Place:
    """Where an instance belongs: ids of the rows above it."""

    patient_fk: int
    study_fk: int
    series_fk: int


class Touch(NamedTuple):
    """An update of a row that other processes update too, put off until its turn."""

    height: int
    """0 for patients, 1 for studies, 2 for series."""
    row: int
    statement: Prepared
    params: dict[str, Any]


class Admission:
    """The statements of the transaction, compiled once for a database."""

    def __init__(self, database: Database, renditions: Renditions = _NO_RENDITIONS) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._database = database
        self._renditions = RenditionRequests(database, renditions)
        self._disagreements = Disagreements(database)
        self.values = DeclaredValues(database)
        self.reading = Reading(database)
        self._find_tenant = prepare(select(tenants.c.id).where(tenants.c.name == bindparam("name")))
        self._add_tenant = self._insert(tenants, ("name",))
        self._find_patient = prepare(
            select(patients.c.id, patients.c.summary, patients.c.extra).where(
                *(
                    patients.c[name] == bindparam(name)
                    for name in ("tenant_id", "patient_id", "issuer_of_patient_id", "anchor")
                )
            )
        )
        self._find_study = prepare(
            select(studies.c.id, studies.c.patient_fk, studies.c.sort_key, studies.c.summary, studies.c.extra).where(
                studies.c.tenant_id == bindparam("tenant_id"), studies.c.study_instance_uid == bindparam("uid")
            )
        )
        self._find_series = prepare(
            select(*(series.c[name] for name in ("id", "sop_classes", "lateralities", "summary", "extra"))).where(
                series.c.study_fk == bindparam("study_fk"), series.c.series_instance_uid == bindparam("uid")
            )
        )
        self._add_patient = self._insert(patients, _columns(patients, "number_of"))
        kept_here = ("number_of", "modalities_in", "sop_classes_in", "body_parts_in", "interpretation_status")
        self._add_study = self._insert(studies, _columns(studies, *kept_here))
        self._add_series = self._insert(series, _columns(series, "number_of", "sop_classes", "lateralities"))
        self._add_term = prepare(database.insert(study_terms).on_conflict_do_nothing())
        self._add_instance = prepare(instances.insert())
        self._add_document = prepare(documents.insert())
        self._add_change = prepare(changes.insert().values({name: bindparam(name) for name in _columns(changes)}))
        numbers = select(func.coalesce(func.max(changes.c.number), 0))
        numbers = numbers.where(changes.c.tenant_id == bindparam("tenant_id"))
        self._highest = prepare(select(numbers.scalar_subquery(), newest_generation()))
        self._grow_modalities = self._grow(studies, "modalities_in_study")
        self._grow_body_parts = self._grow(studies, "body_parts_in_study")
        self._grow_study_classes = self._grow(studies, "sop_classes_in_study")
        self._grow_series_classes = self._grow(series, "sop_classes")
        self._grow_lateralities = self._grow(series, "lateralities")
        self._count = tuple(_counting(database, table, names) for table, names in _COUNTERS)
        self._tenant_ids: dict[str, int] = {}

    def _insert(self, table: Any, names: Sequence[str]) -> Prepared:
        values = {name: bindparam(name, type_=table.c[name].type) for name in names}
        return self._database.prepare(
            self._database.insert(table).values(values).on_conflict_do_nothing().returning(table.c.id)
        )

    def _grow(self, table: Any, name: str) -> Prepared:
        column = table.c[name]
        grown = case(
            (
                or_(
                    func.replace(column, bindparam("member"), "") != column,
                    func.length(column) > _MAXIMUM_LIST_CHARACTERS,
                ),
                column,
            ),
            (column == "", bindparam("member")),
            else_=column.concat(bindparam("tail")),
        )
        return self._database.prepare(update(table).where(table.c.id == bindparam("row")).values({name: grown}))

    def tenant_id(self, tx: Transaction, name: str) -> int:
        """The tenant's id; a tenant comes to be with its first instance."""
        known = self._tenant_ids.get(name)
        if known is None:
            rows = tx.rows(self._find_tenant, {"name": name}) or tx.rows(self._add_tenant, {"name": name})
            known = rows[0][0] if rows else tx.rows(self._find_tenant, {"name": name})[0][0]
        return known

    def remember_tenant(self, name: str, tenant_id: int) -> None:
        """Called after the commit: a rolled back tenant must not be remembered."""
        self._tenant_ids[name] = tenant_id

    def admit(self, tx: Transaction, newcomers: Sequence[Newcomer]) -> None:
        """Insert instances that are not known yet. Their SOP Instance UIDs must differ."""
        if not newcomers:
            return
        ordered = sorted(newcomers, key=lambda one: (one.tenant_id, *_uids(one)))
        touches: list[Touch] = []
        places = self._places(tx, ordered, touches)
        ids = tx.new_ids("instances", len(ordered))
        rows = [
            one.entry.instance
            | {
                "id": number,
                "tenant_id": one.tenant_id,
                "series_fk": place.series_fk,
                "version": one.version,
                "stored_at_ms": one.at_ms,
            }
            for one, place, number in zip(ordered, places, ids, strict=True)
        ]
        tx.run_many(self._add_instance, rows)
        bodies = [
            {"instance_fk": number, "body": one.entry.record.metadata} for one, number in zip(ordered, ids, strict=True)
        ]
        tx.run_many(self._add_document, bodies)
        touches += self._counts(places, 1)
        for touch in sorted(touches, key=lambda one: one[:2]):
            tx.run(touch.statement, touch.params)
        self._renditions.ask(tx, ((one, place.series_fk) for one, place in zip(ordered, places, strict=True)))
        said_by = ((one.entry.report, p.study_fk, number) for one, p, number in zip(ordered, places, ids, strict=True))
        if reports := [{"instance_fk": n, "study_fk": study, "status": one} for one, study, n in said_by if one]:
            self.reading.admit(tx, reports)
        owners = (Owners(p.patient_fk, p.study_fk, p.series_fk, number) for p, number in zip(places, ids, strict=True))
        said = zip(ordered, owners, strict=True)
        self.values.write(tx, ((one.tenant_id, rows, one.entry.record.dataset) for one, rows in said))
        self.record_changes(tx, [change_of(one) for one in ordered])

    def _places(self, tx: Transaction, newcomers: Sequence[Newcomer], touches: list[Touch]) -> list[Place]:
        known: dict[tuple[object, ...], Place] = {}
        classes: set[tuple[int, str]] = set()
        places = []
        for one in newcomers:
            study_uid, series_uid, _ = _uids(one)
            # What the instance says of its study and series is part of the key, so that one that differs is compared.
            key = (one.tenant_id, study_uid, series_uid, *one.entry.documents())
            place = known.get(key)
            if place is None:
                place = known[key] = self._place(tx, one, classes, touches)
            touches += self._note_class(place, one.entry, classes)
            touches += self._note_side(place, one.entry.laterality, classes)
            places.append(place)
        return places

    def _place(self, tx: Transaction, one: Newcomer, classes: set[tuple[int, str]], touches: list[Touch]) -> Place:
        study_uid, series_uid, _ = _uids(one)
        rows = tx.rows(self._find_study, {"tenant_id": one.tenant_id, "uid": study_uid})
        if rows:
            study_fk, patient_fk, newest, summary, extra = rows[0]
            self._disagreements.compare(tx, one, Level.STUDY, (study_uid, summary, extra))
        else:
            study_fk, patient_fk, newest = self._new_study(tx, one, touches)
        found = tx.rows(self._find_series, {"study_fk": study_fk, "uid": series_uid})
        if found:
            series_fk, known_classes, known_sides, summary, extra = found[0]
            self._disagreements.compare(tx, one, Level.SERIES, (series_uid, summary, extra))
            classes.update((series_fk, value) for value in f"{known_classes}{known_sides}".split("\\"))
        else:
            series_fk, made = self._new_series(tx, one, study_fk)
            if made:
                touches += self._count_series(Place(patient_fk, study_fk, series_fk), 1)
                touches += self._note_kind(one, study_fk, newest)
        return Place(patient_fk, study_fk, series_fk)

    def _new_study(self, tx: Transaction, one: Newcomer, touches: list[Touch]) -> tuple[int, int, int]:
        entry, study_uid = one.entry, one.entry.record.key.study_instance_uid
        patient_fk = self._patient(tx, one)
        described = entry.study
        values = described.columns | {
            "tenant_id": one.tenant_id,
            "patient_fk": patient_fk,
            "study_instance_uid": study_uid,
            "summary": described.summary,
            "extra": described.extra,
        }
        made = tx.rows(self._add_study, values)
        if not made:
            found = tx.rows(self._find_study, {"tenant_id": one.tenant_id, "uid": study_uid})
            return found[0][0], found[0][1], found[0][2]
        study_fk, newest = made[0][0], described.columns["sort_key"]
        term = {"tenant_id": one.tenant_id, "sort_key": newest, "study_fk": study_fk}
        terms = (*entry.terms, (READING, ""))
        tx.run_many(self._add_term, [term | {"kind": kind, "term": text} for kind, text in terms])
        touches.append(self._count_study(patient_fk, 1))
        return study_fk, patient_fk, newest

    def _patient(self, tx: Transaction, one: Newcomer) -> int:
        described = one.entry.patient
        values = described.columns | {
            "tenant_id": one.tenant_id,
            "summary": described.summary,
            "extra": described.extra,
        }
        rows = tx.rows(self._find_patient, values)
        if not rows:
            rows = tx.rows(self._add_patient, values)
            if rows:
                return int(rows[0][0])
            rows = tx.rows(self._find_patient, values)
        self._disagreements.compare(tx, one, Level.PATIENT, (one.entry.record.key.study_instance_uid, *rows[0][1:]))
        return int(rows[0][0])

    def _new_series(self, tx: Transaction, one: Newcomer, study_fk: int) -> tuple[int, bool]:
        described = one.entry.series
        uid = one.entry.record.key.series_instance_uid
        values = described.columns | {
            "study_fk": study_fk,
            "series_instance_uid": uid,
            "anatomic_region": anatomic_region(one.entry.record.dataset),
            "summary": described.summary,
            "extra": described.extra,
        }
        made = tx.rows(self._add_series, values)
        if not made:
            return int(tx.rows(self._find_series, {"study_fk": study_fk, "uid": uid})[0][0]), False
        return int(made[0][0]), True

    def _note_kind(self, one: Newcomer, study_fk: int, newest: int) -> list[Touch]:
        """Add modality and body part of a series to a study, `newest` is its sort key, and make it findable by both."""
        columns = one.entry.series.columns
        touches: list[Touch] = []
        for keyword, value, grow in (
            ("ModalitiesInStudy", columns["modality"], self._grow_modalities),
            ("BodyPartExamined", columns["body_part_examined"], self._grow_body_parts),
        ):
            if value:
                term = {"tenant_id": one.tenant_id, "kind": TERM_KINDS[keyword], "term": value}
                touches.append(Touch(1, study_fk, grow, _growth(study_fk, value)))
                touches.append(Touch(1, study_fk, self._add_term, term | {"sort_key": newest, "study_fk": study_fk}))
        return touches

    def _note_class(self, place: Place, entry: Entry, classes: set[tuple[int, str]]) -> list[Touch]:
        uid = entry.record.sop_class_uid
        if (place.series_fk, uid) in classes:
            return []
        classes.add((place.series_fk, uid))
        return [
            Touch(1, place.study_fk, self._grow_study_classes, _growth(place.study_fk, uid)),
            Touch(2, place.series_fk, self._grow_series_classes, _growth(place.series_fk, uid)),
        ]

    def _note_side(self, place: Place, side: str, known: set[tuple[int, str]]) -> list[Touch]:
        """Most images have no side; `known` are values of the lists of series, whichever list."""
        if not side or (place.series_fk, side) in known:
            return []
        known.add((place.series_fk, side))
        return [Touch(2, place.series_fk, self._grow_lateralities, _growth(place.series_fk, side))]

    def _count_study(self, patient_fk: int, sign: int) -> Touch:
        return self._counted(0, patient_fk, studies=sign)

    def _count_series(self, place: Place, sign: int) -> list[Touch]:
        return [self._counted(0, place.patient_fk, series=sign), self._counted(1, place.study_fk, series=sign)]

    def _counts(self, places: Sequence[Place], sign: int) -> list[Touch]:
        totals = (
            Counter(p.patient_fk for p in places),
            Counter(p.study_fk for p in places),
            Counter(p.series_fk for p in places),
        )
        return [
            self._counted(height, row, instances=sign * number)
            for height, total in enumerate(totals)
            for row, number in total.items()
        ]

    def _counted(self, height: int, row: int, **more: int) -> Touch:
        params = {"row": row, "studies": 0, "series": 0, "instances": 0, **more}
        return Touch(height, row, self._count[height], params)

    def count(self, tx: Transaction, height: int, row: int, **more: int) -> None:
        """Add to the counters of one patient (height 0), study (1) or series (2), at once."""
        touch = self._counted(height, row, **more)
        tx.run(touch.statement, touch.params)

    def record_changes(self, tx: Transaction, changes: Sequence[Change]) -> None:
        """One row of the change feed for each; the last thing a transaction does."""
        tx.order_changes()
        highest = {}
        for tenant_id in sorted({one["tenant_id"] for one in changes}):
            highest[tenant_id], generation = tx.rows(self._highest, {"tenant_id": tenant_id})[0]
            self.values.expect(generation)
        rows = []
        for one in changes:
            highest[one["tenant_id"]] += 1
            rows.append(one | {"number": highest[one["tenant_id"]]})
        tx.run_many(self._add_change, rows)


_COUNTERS: tuple[tuple[Any, dict[str, str]], ...] = (
    (
        patients,
        {
            "studies": "number_of_patient_related_studies",
            "series": "number_of_patient_related_series",
            "instances": "number_of_patient_related_instances",
        },
    ),
    (studies, {"series": "number_of_study_related_series", "instances": "number_of_study_related_instances"}),
    (series, {"instances": "number_of_series_related_instances"}),
)


def _counting(database: Database, table: Any, names: dict[str, str]) -> Prepared:
    values = {column: table.c[column] + bindparam(name, type_=table.c[column].type) for name, column in names.items()}
    return database.prepare(update(table).where(table.c.id == bindparam("row")).values(values))


def _columns(table: Any, *without: str) -> tuple[str, ...]:
    return tuple(
        name
        for name in (column.name for column in table.columns)
        if name != "id" and not name.startswith(without or ("\0",))
    )


def _growth(row: int, value: str) -> dict[str, Any]:
    member = list_member(value)
    return {"row": row, "member": member, "tail": member[1:]}


def _uids(one: Newcomer) -> tuple[str, str, str]:
    key = one.entry.record.key
    return key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid


def change_of(one: Newcomer) -> Change:
    """The row of the change feed for an instance that is made known."""
    return change(one.tenant_id, one.action, (*_uids(one), one.version), one.origin, one.at_ms)


def change(tenant_id: int, action: str, what: tuple[str, str, str, int], origin: Origin, at_ms: int) -> Change:
    """A row of the change feed, without its number; `what` is the three UIDs and the version."""
    study_uid, series_uid, instance_uid, version = what
    return {
        "tenant_id": tenant_id,
        "action": action,
        "study_instance_uid": study_uid,
        "series_instance_uid": series_uid,
        "sop_instance_uid": instance_uid,
        "version": version,
        "at_ms": at_ms,
        "via": origin.via,
        "peer": origin.peer,
        "principal": origin.principal,
    }
