"""The rows of a synthetic hospital, written straight into an SQLite index: the same rows as ingest would have written.

Ten million instances one commit after the other would take a day. So the search columns and documents come from
`index.entries`, as at ingest, and only what `index.admission` adds (keys, counters, lists, terms, changes) is worked
out here. `bench.scale` proves it before it measures: it takes the first studies in the ordinary way and compares all
rows of all tables (`differences`). PostgreSQL gets a copy of the rows.
"""

import sqlite3
import time
from collections.abc import Callable, Iterable, Sequence
from itertools import count
from typing import Any

from bench import hospital
from index.declared import Declarations
from index.declared_values import VALUES, found
from index.entries import TERM_KINDS, Entry, describe, list_members
from index.records import DicomJson, Level
from index.reports import STATUSES
from index.tables import (
    changes,
    documents,
    instances,
    metadata,
    patients,
    reports,
    series,
    studies,
    study_terms,
    tenants,
)

TENANT = "default"
VIA, PEER, PRINCIPAL = "import", "bench", "bench"

_BATCH_STUDIES = 2000
_LATER = 3_600_000
"""Instances are said to have come in the last hour, in ms."""

Row = dict[str, Any]


class _Rows:
    """Rows of one table that wait to be written."""

    def __init__(self, table: Any) -> None:
        self.name = table.name
        self.columns = [column.name for column in table.columns]
        self.defaults = {
            column.name: _default(column) for column in table.columns if column.server_default or column.nullable
        }
        self.rows: list[Row] = []

    def write(self, connection: sqlite3.Connection) -> None:
        marks = ", ".join(f":{name}" for name in self.columns)
        # A term that a study has twice is one row, as at ingest.
        sql = f"INSERT OR IGNORE INTO {self.name} ({', '.join(map(_quoted, self.columns))}) VALUES ({marks})"
        connection.executemany(sql, (self.defaults | row for row in self.rows))
        self.rows.clear()


def _default(column: Any) -> Any:
    if column.server_default is None:
        return None
    text = str(column.server_default.arg)
    return int(text) if text.lstrip("-").isdigit() else text


def _quoted(name: str) -> str:
    return f'"{name}"'


class Loader:
    """Makes the rows of studies in order and writes them in batches."""

    def __init__(self, connection: sqlite3.Connection, of: int, declared: Declarations) -> None:
        """`of` is the number of studies that the hospital will have in the end."""
        self._connection = connection
        self._of = of
        self._declared = declared
        tables = (
            tenants,
            patients,
            studies,
            study_terms,
            series,
            instances,
            documents,
            reports,
            changes,
            *VALUES.values(),
        )
        self._rows = {table.name: _Rows(table) for table in tables}
        self._patients: dict[tuple[str, str, str], tuple[int, Row]] = {}
        self._ids = {name: count(1) for name in ("patients", "studies", "series", "instances")}
        self._now = int(time.time() * 1000) - _LATER
        self.instances = 0

    def load(self, numbers: Iterable[int], tell: Callable[[str], None]) -> None:
        """Write these studies, and the patients at the end: their counters grow until then."""
        self._rows["tenants"].rows.append({"id": 1, "name": TENANT})
        for done, number in enumerate(numbers, 1):
            self._add_study(hospital.study(number, self._of))
            if done % _BATCH_STUDIES == 0:
                self._flush()
            if done % 50_000 == 0:
                tell(f"{done:,} studies, {self.instances:,} instances written")
        self._rows["patients"].rows.extend(row for _, row in self._patients.values())
        self._flush()

    def _flush(self) -> None:
        for rows in self._rows.values():
            rows.write(self._connection)

    def _add_study(self, study: hospital.Study) -> None:
        entries = [describe(TENANT, hospital.record(study, one, 1)) for one in study.series]
        first = entries[0]
        study_fk = next(self._ids["studies"])
        patient_fk, patient = self._patient(first)
        sort_key = first.study.columns["sort_key"]
        modalities = list(dict.fromkeys(entry.series.columns["modality"] for entry in entries))
        body_parts = list(
            dict.fromkeys(part for entry in entries if (part := entry.series.columns["body_part_examined"]))
        )
        status = max((entry.report for entry in entries), key=STATUSES.index)
        self._rows["studies"].rows.append(
            first.study.columns
            | _documents(first.study)
            | {
                "id": study_fk,
                "tenant_id": 1,
                "patient_fk": patient_fk,
                "study_instance_uid": first.record.key.study_instance_uid,
                "modalities_in_study": _in_order(modalities),
                "body_parts_in_study": _in_order(body_parts),
                "sop_classes_in_study": _in_order(dict.fromkeys(entry.record.sop_class_uid for entry in entries)),
                "interpretation_status_id": status,
                "number_of_study_related_series": len(entries),
                "number_of_study_related_instances": sum(one.instances for one in study.series),
            }
        )
        terms = [*first.terms, *((TERM_KINDS["ModalitiesInStudy"], modality) for modality in modalities)]
        terms += [(TERM_KINDS["BodyPartExamined"], part) for part in body_parts]
        terms.append((TERM_KINDS["InterpretationStatusID"], status))
        self._rows["study_terms"].rows.extend(
            {"tenant_id": 1, "kind": kind, "term": term, "sort_key": sort_key, "study_fk": study_fk}
            for kind, term in terms
        )
        self._add_values(first.record.dataset, {Level.PATIENT: patient_fk, Level.STUDY: study_fk})
        patient["number_of_patient_related_studies"] += 1
        for one, entry in zip(study.series, entries, strict=True):
            self._add_series(one, entry, study_fk)
            patient["number_of_patient_related_series"] += 1
            patient["number_of_patient_related_instances"] += one.instances

    def _patient(self, entry: Entry) -> tuple[int, Row]:
        columns = entry.patient.columns
        key = (columns["patient_id"], columns["issuer_of_patient_id"], columns["anchor"])
        known = self._patients.get(key)
        if known is None:
            row = columns | _documents(entry.patient) | {"id": next(self._ids["patients"]), "tenant_id": 1}
            row |= {f"number_of_patient_related_{what}": 0 for what in ("studies", "series", "instances")}
            known = self._patients[key] = (row["id"], row)
        return known

    def _add_series(self, one: hospital.Series, entry: Entry, study_fk: int) -> None:
        series_fk = next(self._ids["series"])
        self._rows["series"].rows.append(
            entry.series.columns
            | _documents(entry.series)
            | {
                "id": series_fk,
                "study_fk": study_fk,
                "series_instance_uid": entry.record.key.series_instance_uid,
                "sop_classes": list_members([entry.record.sop_class_uid]),
                "number_of_series_related_instances": one.instances,
            }
        )
        self._add_values(entry.record.dataset, {Level.SERIES: series_fk})
        shared = entry.instance | {"tenant_id": 1, "series_fk": series_fk, "version": 1}
        for number in range(1, one.instances + 1):
            instance_fk = self._add_instance(one, entry, shared, number)
            if entry.report:
                self._rows["reports"].rows.append(
                    {"instance_fk": instance_fk, "study_fk": study_fk, "status": entry.report}
                )
                self._add_values(entry.record.dataset, {Level.IMAGE: instance_fk})

    def _add_values(self, dataset: DicomJson, owners: dict[Level, int]) -> None:
        """Values of declared attributes; of the synthetic instances only reports have some of their own."""
        for declaration, term, items in found(dataset, (row for row in self._declared.rows if row.level in owners)):
            rows = self._rows[VALUES[declaration.level].name].rows
            owner = owners[declaration.level]
            rows.append(
                {
                    "declaration_fk": declaration.number,
                    "tenant_id": 1,
                    "term": term,
                    "owner_fk": owner,
                    "items": items,
                }
            )

    def _add_instance(self, one: hospital.Series, entry: Entry, shared: Row, number: int) -> int:
        uid = hospital.instance_uid(one, number)
        instance_fk = next(self._ids["instances"])
        self.instances += 1
        at_ms = self._now + self.instances % _LATER
        self._rows["instances"].rows.append(
            shared
            | {
                "id": instance_fk,
                "sop_instance_uid": uid,
                "instance_number": number,
                "stored_at_ms": at_ms,
                "sha256": hospital.content_digest(uid),
                "blob_key": hospital.blob_key(uid),
            }
        )
        # The bodies of a series differ in a few bytes; making each anew would take longer than all the rest.
        self._rows["documents"].rows.append({"instance_fk": instance_fk, "body": entry.record.metadata})
        key = entry.record.key
        self._rows["changes"].rows.append(
            {
                "tenant_id": 1,
                "number": self.instances,
                "action": "stored",
                "study_instance_uid": key.study_instance_uid,
                "series_instance_uid": key.series_instance_uid,
                "sop_instance_uid": uid,
                "version": 1,
                "at_ms": at_ms,
                "via": VIA,
                "peer": PEER,
                "principal": PRINCIPAL,
            }
        )
        return instance_fk


def _documents(described: Any) -> Row:
    return {"summary": described.summary, "extra": described.extra}


def _in_order(values: Iterable[str]) -> str:
    """A list column whose members came in this order."""
    joined = "\\".join(values)
    return f"\\{joined}\\" if joined else ""


def differences(ours: sqlite3.Connection, theirs: sqlite3.Connection) -> list[str]:
    """Tables whose rows differ, but for keys, times and the bodies and object keys that only a real instance has."""
    found = []
    made = {name for (name,) in ours.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    for table in (table for table in metadata.sorted_tables if table.name in made):
        columns = [column.name for column in table.columns if not _is_incidental(table.name, column)]
        sql = f"SELECT {', '.join(map(_quoted, columns))} FROM {table.name} ORDER BY {', '.join(map(_quoted, columns))}"
        if columns and ours.execute(sql).fetchall() != theirs.execute(sql).fetchall():
            found.append(table.name)
    return found


def _is_incidental(table: str, column: Any) -> bool:
    """Keys and changes are numbered in the order of arrival, which for the instances of a batch is not the same."""
    name = column.name
    return (
        name == "id"
        or name.endswith(("_fk", "_at_ms"))
        or name in ("at_ms", "number" if table == "changes" else "", "body" if table == "documents" else "")
    )


def drop_indexes(connection: sqlite3.Connection) -> Sequence[str]:
    """Drop what a load is faster without: indexes and triggers. Returns the statements that make them again."""
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE type IN ('index', 'trigger') AND sql IS NOT NULL"
    ).fetchall()
    for kind, name, _ in found:
        connection.execute(f"DROP {kind} {_quoted(name)}")
    return [sql for _, _, sql in found]


def rebuild_text_indexes(connection: sqlite3.Connection) -> None:
    """Fill the full-text tables, whose triggers did not run."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE sql LIKE 'CREATE VIRTUAL TABLE%fts5%'")
    for (name,) in found.fetchall():
        connection.execute(f"INSERT INTO {_quoted(name)}({_quoted(name)}) VALUES ('rebuild')")
