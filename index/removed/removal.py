"""Taking instances out of the live tables, with the series, studies and patients that become empty.

Many at once in a number of statements that depends on the series and studies touched, never on the instances:
a study must vanish as a whole, in one transaction, without holding the writer for long. What is counted down is what
the DELETE returned, so that two processes that remove the same instances count each of them once.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from index.admission import Admission
from index.database import Database, Transaction
from index.entries import TERM_KINDS, list_members, list_values, terms_of_name
from index.tables import disagreements, instances, patients, series, studies, study_terms

_LISTS = {"ModalitiesInStudy": "modalities_in_study", "BodyPartExamined": "body_parts_in_study"}
"""Lists of a study's values that have terms, in the order in which the series' values are read."""

_STATUS = studies.c.interpretation_status_id


class Removal:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._list = database.list_value
        self._admission = admission
        in_rows = {table: database.one_of(table.c.id, "rows") for table in (instances, series, studies, patients)}
        of_series = database.one_of(instances.c.series_fk, "rows")
        self._delete_instances = prepare(delete(instances).where(in_rows[instances]).returning(instances.c.series_fk))
        self._above = prepare(
            select(studies.c.patient_fk, studies.c.id, series.c.id, series.c.sop_classes, _STATUS)
            .select_from(series.join(studies, series.c.study_fk == studies.c.id))
            .where(in_rows[series])
        )
        self._delete_series = prepare(
            delete(series)
            .where(in_rows[series], series.c.number_of_series_related_instances == 0)
            .returning(series.c.id, series.c.series_instance_uid)
        )
        self._delete_studies = prepare(
            delete(studies)
            .where(in_rows[studies], studies.c.number_of_study_related_series == 0)
            .returning(studies.c.patient_fk, studies.c.study_instance_uid)
        )
        self._delete_patients = prepare(
            delete(patients).where(in_rows[patients], patients.c.number_of_patient_related_studies == 0)
        )
        self._classes = prepare(select(instances.c.series_fk, instances.c.sop_class_uid).where(of_series).distinct())
        self._set_classes = _setting(database, series, "sop_classes")
        names = ("patient_name", "referring_physician_name", "interpretation_status_id", *_LISTS.values())
        base = (studies.c.tenant_id, studies.c.sort_key)
        self._study = prepare(
            select(*base, *(studies.c[name] for name in names)).where(studies.c.id == bindparam("row"))
        )
        self._series_of_study = prepare(
            select(series.c.modality, series.c.body_part_examined, series.c.sop_classes)
            .where(series.c.study_fk == bindparam("row"))
            .order_by(series.c.id)
        )
        self._set_lists = _setting(database, studies, *_LISTS.values(), "sop_classes_in_study")
        self._delete_term = prepare(
            delete(study_terms).where(
                *(column == bindparam(column.name, type_=column.type) for column in study_terms.columns)
            )
        )
        self._forget_disagreements = prepare(
            delete(disagreements).where(
                disagreements.c.tenant_id == bindparam("tenant"), database.one_of(disagreements.c.uid, "uids")
            )
        )

    def remove(self, tx: Transaction, tenant_id: int, instance_ids: Sequence[int]) -> None:
        """Take instances of a tenant out; their documents go with them."""
        gone = Counter(row[0] for row in tx.rows(self._delete_instances, {"rows": self._list(instance_ids)}))
        if not gone:
            return
        above = tx.rows(self._above, {"rows": self._list(sorted(gone))})
        self._count_down(tx, above, gone)
        emptied = tx.rows(self._delete_series, {"rows": self._list(sorted(gone))})
        ended = {row for row, _ in emptied}
        touched = {study for _, study, row, *_ in above if row in ended}
        touched |= self._shrink_classes(tx, [row for row in above if row[2] not in ended])
        uids = [uid for _, uid in emptied]
        if ended:
            self._count_series_down(tx, [row for row in above if row[2] in ended])
        self._admission.reading.settle(tx, {study for _, study, _, _, status in above if status})
        for study_fk in sorted(touched):
            self._forget_lost_terms(tx, study_fk)
        if ended:
            uids += self._remove_studies(tx, sorted(touched))
            tx.run(self._forget_disagreements, {"tenant": tenant_id, "uids": self._list(uids)})
        self._admission.values.settle(tx, [row[:3] for row in above])

    def _count_down(self, tx: Transaction, above: Sequence[Any], gone: Mapping[int, int]) -> None:
        """Patients before studies before series, as in `index.admission`: who waits never holds what others need."""
        for height in range(3):
            total: Counter[int] = Counter()
            for row in above:
                total[row[height]] += gone[row[2]]
            for identity, number in sorted(total.items()):
                self._admission.count(tx, height, identity, instances=-number)

    def _count_series_down(self, tx: Transaction, ended: Sequence[Any]) -> None:
        for height in range(2):
            for identity, number in sorted(Counter(row[height] for row in ended).items()):
                self._admission.count(tx, height, identity, series=-number)

    def _remove_studies(self, tx: Transaction, study_fks: Sequence[int]) -> list[str]:
        """Studies and patients that are empty now; returns the studies' UIDs."""
        emptied = tx.rows(self._delete_studies, {"rows": self._list(study_fks)})
        patients_left = Counter(row[0] for row in emptied)
        for identity, number in sorted(patients_left.items()):
            self._admission.count(tx, 0, identity, studies=-number)
        if patients_left:
            tx.run(self._delete_patients, {"rows": self._list(sorted(patients_left))})
        return [uid for _, uid in emptied]

    def _shrink_classes(self, tx: Transaction, remaining: Sequence[Any]) -> set[int]:
        """Series that had several SOP classes may have lost one. Returns the studies whose lists may be shorter."""
        several = {row: (study, column) for _, study, row, column, _ in remaining if len(list_values(column)) > 1}
        if not several:
            return set()
        left: dict[int, list[str]] = {row: [] for row in several}
        for row, uid in tx.rows(self._classes, {"rows": self._list(sorted(several))}):
            left[row].append(uid)
        shorter = [row for row, uids in left.items() if list_members(uids) != several[row][1]]
        tx.run_many(self._set_classes, [{"row": row, "sop_classes": list_members(left[row])} for row in shorter])
        return {several[row][0] for row in shorter}

    def _forget_lost_terms(self, tx: Transaction, study_fk: int) -> None:
        """After a series has gone: its modality and body part, and all terms with the last series."""
        found = tx.rows(self._study, {"row": study_fk})[0]
        tenant_id, newest, patient_name, referring, status, *before = found
        remaining = tx.rows(self._series_of_study, {"row": study_fk})
        lists: dict[str, Iterable[str]] = {
            "sop_classes_in_study": {uid for _, _, column in remaining for uid in list_values(column)}
        }
        lost = []
        for number, ((keyword, name), known) in enumerate(zip(_LISTS.items(), before, strict=True)):
            kept = lists[name] = {row[number] for row in remaining if row[number]}
            lost += [(TERM_KINDS[keyword], term) for term in list_values(known) if term not in kept]
        if not remaining:
            lost += terms_of_name("PatientName", patient_name)
            lost += terms_of_name("ReferringPhysicianName", referring)
            lost.append((TERM_KINDS["InterpretationStatusID"], status))
        base = {"tenant_id": tenant_id, "sort_key": newest, "study_fk": study_fk}
        tx.run_many(self._delete_term, [base | {"kind": kind, "term": term} for kind, term in lost])
        tx.run(self._set_lists, {"row": study_fk} | {name: list_members(values) for name, values in lists.items()})


def _setting(database: Database, table: Any, *names: str) -> Any:
    values = {name: bindparam(name, type_=table.c[name].type) for name in names}
    return database.prepare(update(table).where(table.c.id == bindparam("row")).values(values))
