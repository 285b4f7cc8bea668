"""Rejection notes on their way in, and instances that a note has named before they came.

Part of the transaction that takes instances in: a note and what it hides are committed together, or not at all.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import bindparam, delete, select, update

from index.database import Database, Transaction
from index.entries import Entry, Newcomer
from index.reasons import Code, Reason
from index.records import Level, StoreStatus
from index.removed.bin import UIDS, Bin, Live, Role, uids_of
from index.removed.rejection import KEY_OBJECT_SELECTION, Rule, references, strictest, title
from index.removed.versions import STORED, Added
from index.selection import FROM
from index.tables import instances, rejected, removals, removed, series, studies

_DAY_MS = 24 * 3600 * 1000
_REFUSAL = Reason(Code.REJECTED_BEFORE, "A rejection note has named this instance")
_KNOWN = Reason(Code.DUPLICATE_INSTANCE, "SOP Instance UID is known with other content")


class Notes:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database, bin_: Bin, rules: Mapping[str, Rule]) -> None:
        """`rules` by title. Compiles; touches no connection."""
        prepare = database.prepare
        self._list = database.list_value
        self._bin = bin_
        self._rules = rules
        self._find_live = prepare(
            select(instances.c.id, *_uid_columns(), instances.c.version)
            .select_from(FROM[Level.IMAGE])
            .where(instances.c.tenant_id == bindparam("tenant"), database.one_of(instances.c.sop_instance_uid, "uids"))
            .order_by(instances.c.id)
        )
        self._find_held = prepare(
            select(removed.c.sop_instance_uid, removed.c.sha256, removed.c.available_transfer_syntax_uid)
            .add_columns(removed.c.blob_key, removed.c.role)
            .where(removed.c.tenant_id == bindparam("tenant"), database.one_of(removed.c.sop_instance_uid, "uids"))
        )
        of_uid = (rejected.c.tenant_id == bindparam("tenant"), rejected.c.sop_instance_uid == bindparam("uid"))
        self._find_notes = prepare(
            select(removals.c.id, removals.c.reason)
            .select_from(rejected.join(removals, rejected.c.removal_fk == removals.c.id))
            .where(*of_uid)
            .order_by(removals.c.id)
        )
        self._forgive = prepare(delete(rejected).where(*of_uid))
        self._revise = prepare(
            update(removals).where(removals.c.id == bindparam("row")).values(revision=removals.c.revision + 1)
        )
        self._find_note = prepare(
            select(removals.c.id).where(
                removals.c.tenant_id == bindparam("tenant"), removals.c.note_uid == bindparam("uid")
            )
        )

    def rule_of(self, one: Newcomer) -> Rule | None:
        """The rule when the newcomer is a rejection note that has any effect."""
        return self._rule(one.entry)

    def is_note(self, entry: Entry) -> bool:
        """Whether it is a rejection note that has any effect."""
        return self._rule(entry) is not None

    def _rule(self, entry: Entry) -> Rule | None:
        if entry.record.sop_class_uid != KEY_OBJECT_SELECTION:
            return None
        rule = self._rules.get(title(entry.record.dataset))
        return rule if rule is not None and rule.hide != "nowhere" else None

    def meet_note(self, tx: Transaction, one: Newcomer) -> Added | None:
        """What becomes of a note that is in the bin already; None when it is new."""
        for sha256, syntax, blob_key, role in self._held(tx, one):
            if role is Role.NOTE:
                return _same_or_refused(one, sha256, syntax, blob_key)
        return None

    def apply(self, tx: Transaction, one: Newcomer, rule: Rule) -> Added:
        """Hide what a note names; the note itself was admitted just now, and goes as well unless it is shown.

        A note that had its effect before, and went and came again, has no new one: it may have been revoked.
        """
        uid = one.entry.record.key.sop_instance_uid
        known = tx.rows(self._find_note, {"tenant": one.tenant_id, "uid": uid})
        added = STORED
        if known:
            number = known[0][0]
        else:
            number = self._bin.open(tx, _head(one, rule), one.origin)
            added = self._reject(tx, one, number)
        if not rule.show_note:
            itself = {"tenant": one.tenant_id, "uids": self._list([uid])}
            notes = [Live(*row) for row in tx.rows(self._find_live, itself)]
            self._bin.put(tx, (one.tenant_id, number), notes, Role.NOTE)
        return added

    def _reject(self, tx: Transaction, one: Newcomer, number: int) -> Added:
        uids = [uid for uid in references(one.entry.record.dataset) if uid != one.entry.record.key.sop_instance_uid]
        self._bin.refer(tx, one.tenant_id, number, uids)
        asked = {"tenant": one.tenant_id, "uids": self._list(uids)}
        going = [Live(*row) for row in tx.rows(self._find_live, asked)]
        known = {row[0] for row in tx.rows(self._find_held, asked)} | {live.sop_instance_uid for live in going}
        self._bin.put(tx, (one.tenant_id, number), going)
        self._bin.record_changes(tx, one.tenant_id, ("rejected", going), one.origin, one.at_ms)
        missing = len(set(uids) - known)
        detail = f"{missing} of {len(uids)} rejected instances have not arrived"
        reasons = (Reason(Code.REFERENCES_UNKNOWN, detail),) if missing else ()
        return Added(StoreStatus.STORED, reasons, rejected=len(going))

    def meet(self, tx: Transaction, one: Newcomer) -> Added | None:
        """What becomes of an instance that notes in force name; None when it is to be taken in."""
        notes = tx.rows(self._find_notes, {"tenant": one.tenant_id, "uid": one.entry.record.key.sop_instance_uid})
        if not notes:
            return None
        again = strictest(self._rules.get(reason) or Rule(reason, "") for _, reason in notes).again
        held = self._held(tx, one)
        record = one.entry.record
        if any(blob_key == record.blob_key for _, _, blob_key, _ in held):
            return STORED
        # A rebuild only tells what was taken in before.
        if held and again == "refuse" and one.origin.via != "recovery":
            return Added(StoreStatus.REFUSED, (_REFUSAL,), record.blob_key)
        if held and again == "accept" and one.origin.via != "recovery":
            tx.run(self._forgive, {"tenant": one.tenant_id, "uid": record.key.sop_instance_uid})
            tx.run_many(self._revise, [{"row": number} for number, _ in notes])
            return None
        if any((sha256, syntax) == (record.sha256, record.transfer_syntax_uid) for sha256, syntax, _, _ in held):
            return Added(StoreStatus.DUPLICATE, (), record.blob_key)
        self._bin.keep(tx, one._replace(action="rejected", version=len(held) + 1), notes[0][0])
        return STORED

    def _held(self, tx: Transaction, one: Newcomer) -> list[tuple[bytes, str, str, Role]]:
        asked = {"tenant": one.tenant_id, "uids": self._list([one.entry.record.key.sop_instance_uid])}
        rows = tx.rows(self._find_held, asked)
        return [
            (bytes(sha256), syntax, blob_key, Role(role))
            for _, sha256, syntax, blob_key, role in rows
            if role != Role.ASIDE
        ]


def _uid_columns() -> tuple[Any, ...]:
    return studies.c.study_instance_uid, series.c.series_instance_uid, instances.c.sop_instance_uid


def _head(one: Newcomer, rule: Rule) -> dict[str, Any]:
    return {
        **dict(zip(UIDS, uids_of(one.entry.record.key), strict=True)),
        "tenant_id": one.tenant_id,
        "reason": rule.code,
        "note_uid": one.entry.record.key.sop_instance_uid,
        "removed_at_ms": one.at_ms,
        "purge_at_ms": one.at_ms + int(rule.purge_days * _DAY_MS) if rule.purge_days else 0,
    }


def _same_or_refused(one: Newcomer, sha256: bytes, syntax: str, blob_key: str) -> Added:
    record = one.entry.record
    if blob_key == record.blob_key:
        return STORED
    if (sha256, syntax) == (record.sha256, record.transfer_syntax_uid):
        return Added(StoreStatus.DUPLICATE, (), record.blob_key)
    return Added(StoreStatus.REFUSED, (_KNOWN,), record.blob_key)
