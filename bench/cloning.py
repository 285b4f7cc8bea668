"""A block of studies that was taken in, again and again under other identities, by SQL alone.

A clone has the same names, dates and descriptions, as other people's studies have; what is unique in a real archive
differs: UIDs, Patient IDs and accession numbers. Keys are those of the block plus a multiple of the highest one.
"""

import sqlite3
from collections.abc import Callable

from index.declared_values import VALUES
from index.records import Level
from index.tables import changes, documents, instances, patients, reports, series, studies, study_terms

ROOT = "1.2.276.0.7230010."
SITES = ("RAD", "KAR", "EXT")

_OWNERS = {Level.PATIENT: "patients", Level.STUDY: "studies", Level.SERIES: "series", Level.IMAGE: "instances"}
_UIDS = ("study_instance_uid", "series_instance_uid", "sop_instance_uid")
_KEYS = {
    "id": None,
    "patient_fk": "patients",
    "study_fk": "studies",
    "series_fk": "series",
    "instance_fk": "instances",
    "number": "changes",
}


def multiply(connection: sqlite3.Connection, clones: int, tell: Callable[[str], None]) -> None:
    """Add so many clones of everything, nine at most."""
    tables = (patients, studies, study_terms, series, instances, documents, reports, changes)
    steps = {
        table.name: connection.execute(f"SELECT max({key}) FROM {table.name}").fetchone()[0]
        for table, key in ((patients, "id"), (studies, "id"), (series, "id"), (instances, "id"), (changes, "number"))
    }
    owners = {VALUES[level].name: owner for level, owner in _OWNERS.items()}
    for clone in range(1, clones + 1):
        for table in (*tables, *(VALUES[level] for level in _OWNERS)):
            chosen = [
                _column(table.name, column.name, clone, steps, owners.get(table.name)) for column in table.columns
            ]
            names = ", ".join(f'"{column.name}"' for column in table.columns)
            where = _block(table.name, steps, owners.get(table.name))
            connection.execute(
                f"INSERT INTO {table.name} ({names}) SELECT {', '.join(chosen)} FROM {table.name} WHERE {where}"
            )
        tell(f"clone {clone} of {clones}")


def _key_of(table: str, column: str, owner: str | None) -> str | None:
    """The table whose keys a column holds."""
    if column == "owner_fk":
        return owner
    return table if column == "id" else _KEYS.get(column) if column in _KEYS else None


def _block(table: str, steps: dict[str, int], owner: str | None) -> str:
    """The rows that are no clones."""
    key = {"documents": "instance_fk", "reports": "instance_fk", "study_terms": "study_fk", "changes": "number"}.get(
        table, "id"
    )
    if owner:
        return f"owner_fk <= {steps[owner]}"
    of = {"documents": "instances", "reports": "instances", "study_terms": "studies"}.get(table, table)
    return f"{key} <= {steps[of]}"


def _column(table: str, column: str, clone: int, steps: dict[str, int], owner: str | None) -> str:
    key = _key_of(table, column, owner)
    if key is not None and not (column == "number" and table != "changes"):
        return f'"{column}" + {clone * steps[key]}'
    if column in _UIDS:
        return _renamed(column, clone)
    if column == "summary":
        text = _renamed(_sited("CAST(summary AS TEXT)", clone), clone)
        if table != "series":
            text = f"""replace({text}, '"' || patient_id || '"', '"' || {_other_patient(clone)} || '"')"""
        return f"CAST({text} AS BLOB)"
    if column == "patient_id":
        return _other_patient(clone)
    if column == "accession_number":
        return _sited(column, clone)
    if column == "blob_key":
        return f"replace(blob_key, '/2026110', '/202611{clone}')"
    return f'"{column}"'


def _other_patient(clone: int) -> str:
    """`P00001234` of the block is `P10001234` of its first clone."""
    return f"substr(patient_id, 1, 1) || '{clone}' || substr(patient_id, 3)"


def _renamed(text: str, clone: int) -> str:
    return f"replace({text}, '{ROOT}3.', '{ROOT}{3 + clone}.')"


def _sited(text: str, clone: int) -> str:
    for site in SITES:
        text = f"replace({text}, '{site}', '{site[:2]}{clone}')"
    return text
