"""Instances that say something else about their patient, study or series than the first one did.

The first wins and nobody is refused: modalities and gateways do this every day. But a study whose images name
two patients must not stay unnoticed, so each differing value is kept once, for a person to look at.
"""

from typing import Any

import orjson
from pydicom.datadict import keyword_for_tag
from sqlalchemy import bindparam, func, select

from index.database import Database, Transaction
from index.entries import Described, Entry, Newcomer
from index.records import Level
from index.tables import disagreements

_MOST_OF_ONE_UID = 100
_MAXIMUM_CHARACTERS = 400

Kept = tuple[str, bytes, bytes | None]
"""UID under which a disagreement is recorded, and the documents of the row that was there first."""


class Disagreements:
    """Compares and records, inside the transaction that takes the instance in."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        names = ("tenant_id", "level", "uid", "keyword", "kept", "offered", "seen_at_ms")
        values = {name: bindparam(name, type_=disagreements.c[name].type) for name in names}
        self._add = database.prepare(database.insert(disagreements).values(values).on_conflict_do_nothing())
        self._number = database.prepare(
            select(func.count()).where(
                disagreements.c.tenant_id == bindparam("tenant_id"), disagreements.c.uid == bindparam("uid")
            )
        )

    def compare(self, tx: Transaction, one: Newcomer, level: Level, kept: Kept) -> None:
        """Record what `one` says otherwise. Equal bytes, the usual case, cost nothing."""
        described = _described(one.entry, level)
        uid, summary, extra = kept
        if described.summary == summary and described.extra == extra:
            return
        found = _differences(_loaded(summary, extra), _loaded(described.summary, described.extra))
        if not found:
            return
        base = {"tenant_id": one.tenant_id, "level": level.value, "uid": uid, "seen_at_ms": one.at_ms}
        room = _MOST_OF_ONE_UID - tx.rows(self._number, base)[0][0]
        rows = [base | {"keyword": keyword, "kept": ours, "offered": theirs} for keyword, ours, theirs in found]
        tx.run_many(self._add, rows[: max(0, room)])


def _described(entry: Entry, level: Level) -> Described:
    if level is Level.PATIENT:
        return entry.patient
    return entry.study if level is Level.STUDY else entry.series


def _loaded(summary: bytes, extra: bytes | None) -> dict[str, Any]:
    document: dict[str, Any] = orjson.loads(summary)
    return document | orjson.loads(extra) if extra else document


def _differences(kept: dict[str, Any], offered: dict[str, Any]) -> list[tuple[str, str, str]]:
    """Keyword, kept and offered value; an attribute that is not offered says nothing."""
    found = []
    for tag, element in offered.items():
        ours = kept.get(tag)
        if element and element.get("Value") and (not ours or ours.get("Value") != element["Value"]):
            found.append((keyword_for_tag(int(tag, 16)) or tag, _text(ours), _text(element)))
    return found


def _text(element: dict[str, Any] | None) -> str:
    values = element.get("Value") if element else None
    return orjson.dumps(values).decode()[:_MAXIMUM_CHARACTERS] if values else ""
