"""Taking instances out of the index again, with the series, studies and patients that become empty."""

from typing import Any

from sqlalchemy import bindparam, delete, select, update

from index.admission import Admission, Place
from index.database import Database, Transaction
from index.entries import TERM_KINDS, list_members, list_values
from index.tables import instances, patients, series, studies, study_terms


class Removal:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, admission: Admission) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        self._admission = admission
        self._delete_instance = prepare(_delete(instances))
        self._delete_series = prepare(_delete(series).where(series.c.number_of_series_related_instances == 0))
        self._delete_study = prepare(_delete(studies).where(studies.c.number_of_study_related_series == 0))
        self._delete_patient = prepare(_delete(patients).where(patients.c.number_of_patient_related_studies == 0))
        self._place = prepare(
            select(studies.c.patient_fk, studies.c.id, series.c.id)
            .select_from(instances.join(series, instances.c.series_fk == series.c.id).join(studies))
            .where(instances.c.id == bindparam("row"))
        )
        names = ("tenant_id", "sort_key", "patient_name", "referring_physician_name", "modalities_in_study")
        self._study = prepare(select(*(studies.c[name] for name in names)).where(studies.c.id == bindparam("row")))
        self._series_of_study = prepare(
            select(series.c.modality, series.c.sop_classes)
            .where(series.c.study_fk == bindparam("row"))
            .order_by(series.c.id)
        )
        self._set_lists = prepare(
            update(studies)
            .where(studies.c.id == bindparam("row"))
            .values(modalities_in_study=bindparam("modalities"), sop_classes_in_study=bindparam("classes"))
        )
        self._delete_term = prepare(
            delete(study_terms).where(
                *(column == bindparam(column.name, type_=column.type) for column in study_terms.columns)
            )
        )

    def remove(self, tx: Transaction, instance_id: int) -> None:
        """Take one instance out; its document goes with it."""
        place = Place(*tx.rows(self._place, {"row": instance_id})[0])
        tx.run(self._delete_instance, {"row": instance_id})
        self._admission.uncount(tx, place)
        if not tx.changed(self._delete_series, {"row": place.series_fk}):
            return
        self._admission.uncount_series(tx, place)
        self._forget_lost_terms(tx, place.study_fk)
        if tx.changed(self._delete_study, {"row": place.study_fk}):
            self._admission.uncount_study(tx, place)
            tx.run(self._delete_patient, {"row": place.patient_fk})

    def _forget_lost_terms(self, tx: Transaction, study_fk: int) -> None:
        """After a series has gone: its modality, and all terms with the last series."""
        tenant_id, newest, patient_name, referring, modalities = tx.rows(self._study, {"row": study_fk})[0]
        remaining = tx.rows(self._series_of_study, {"row": study_fk})
        kept = {modality for modality, _ in remaining if modality}
        lost = [("ModalitiesInStudy", term) for term in list_values(modalities) if term not in kept]
        if not remaining:
            lost += [("PatientName", term) for term in patient_name.split("=") if term]
            lost += [("ReferringPhysicianName", term) for term in referring.split("=") if term]
        base = {"tenant_id": tenant_id, "sort_key": newest, "study_fk": study_fk}
        tx.run_many(self._delete_term, [base | {"kind": TERM_KINDS[kind], "term": term} for kind, term in lost])
        classes = {uid for _, column in remaining for uid in list_values(column)}
        tx.run(self._set_lists, {"row": study_fk, "modalities": list_members(kept), "classes": list_members(classes)})


def _delete(table: Any) -> Any:
    return delete(table).where(table.c.id == bindparam("row"))
