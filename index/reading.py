"""The status of studies, kept beside the instances that are reports: raised when one comes, lowered when one goes.

A study without a report has the term of the empty status, so that the newest unread studies are found like all others.
Called within transactions that have counted in the study's row already and so hold it: nobody else can work out the
status of the same study at the same moment.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from index.database import Database, Transaction
from index.entries import TERM_KINDS
from index.reports import STATUSES
from index.tables import reports, studies, study_terms

KIND = TERM_KINDS["InterpretationStatusID"]


class Reading:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        prepare = database.prepare
        row = studies.c.id == bindparam("row")
        self._add = prepare(reports.insert())
        self._found = prepare(select(reports.c.status).where(reports.c.study_fk == bindparam("row")).distinct())
        self._study = prepare(
            select(studies.c.tenant_id, studies.c.sort_key, studies.c.interpretation_status_id).where(row)
        )
        status = bindparam("status", type_=studies.c.interpretation_status_id.type)
        self._set = prepare(update(studies).where(row).values(interpretation_status_id=status))
        self._add_term = prepare(database.insert(study_terms).on_conflict_do_nothing())
        self._delete_term = prepare(
            delete(study_terms).where(
                *(column == bindparam(column.name, type_=column.type) for column in study_terms.columns)
            )
        )

    def admit(self, tx: Transaction, rows: Sequence[dict[str, Any]]) -> None:
        """Instances that are reports have come: ids, their studies' ids and their statuses."""
        tx.run_many(self._add, rows)
        self.settle(tx, {row["study_fk"] for row in rows})

    def settle(self, tx: Transaction, study_fks: Iterable[int]) -> None:
        """Work out the status of these studies anew."""
        for study_fk in sorted(study_fks):
            tenant_id, newest, before = tx.rows(self._study, {"row": study_fk})[0]
            found = {status for (status,) in tx.rows(self._found, {"row": study_fk})}
            now = max(found, key=STATUSES.index, default="")
            if now != before:
                term = {"tenant_id": tenant_id, "kind": KIND, "sort_key": newest, "study_fk": study_fk}
                tx.run(self._set, {"row": study_fk, "status": now})
                tx.run(self._delete_term, term | {"term": before})
                tx.run(self._add_term, term | {"term": now})
