"""Deleting, rejecting and restoring: the rows by the index, the records and objects by the object store."""

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import orjson

from index.access import Scope
from index.errors import Conflict, NotFound, PacsError
from index.records import Origin, StoreOutcome
from index.removed.bin import BinEntry
from index.removed.rejection import rules_from
from index.removed.restoration import Restored
from storage import metadata, rejection_note, removal_records
from storage.incoming import Incoming
from storage.ingest import Desk, ObjectIntake

_log = logging.getLogger(__name__)

Where = tuple[str, str | None, str | None]
"""Study, series and SOP Instance UID; what is not given means all below."""


@dataclass(frozen=True, slots=True)
class Rejection:
    """A rejection note that was made here, and how many instances it has hidden."""

    note: StoreOutcome
    instances: int


def delete(desk: Desk, scope: Scope, where: Where, origin: Origin) -> tuple[int, int]:
    """Delete. Returns the number of the removal and how many instances went. Raises NotFound."""
    deleted = desk.catalog.removals.delete(scope, where, origin, desk.rules.undo_days)
    removal_records.write_soon(desk.catalog, desk.blobs)
    return deleted


def reject(desk: Desk, scope: Scope, code: str, where: Where, origin: Origin) -> Rejection:
    """Reject what is visible there by a note of our own, stored like any other object. Raises NotFound."""
    rule = rules_from(desk.rules.rejections).get(code)
    if rule is None:
        raise NotFound(f"No rejection note has the title {code[:64]}; see GET /reject")
    members = desk.catalog.members(scope, *where)
    key = members[0].key
    example = desk.catalog.metadata(scope, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
    intake = ObjectIntake(desk, scope.tenant, Incoming(), origin)
    for block in rejection_note.build(rule, members, orjson.loads(metadata.decompress(example[0]))):
        intake.write(block)
    outcome = intake.finish()
    if not outcome.stored:
        raise Conflict(f"The rejection note cannot be stored: {outcome.reasons[0].detail}")
    removal_records.write_soon(desk.catalog, desk.blobs)
    return Rejection(outcome, outcome.rejected)


def undo(
    desk: Desk, scope: Scope, number: int, origin: Origin, uids: frozenset[str] | None
) -> tuple[BinEntry, Restored]:
    """Restore a removal, or some SOP Instance UIDs of it. Raises NotFound, Conflict."""
    entry = desk.catalog.removals.entry(scope, number)
    restored = desk.catalog.removals.restore(scope, number, origin, uids)
    _remove(desk, restored.obsolete_blob_keys)
    removal_records.write_soon(desk.catalog, desk.blobs)
    return entry, restored


def _remove(desk: Desk, keys: Iterable[str]) -> None:
    """Objects that no row needs any more; one that cannot be removed now is left to the sweep."""
    try:
        desk.blobs.delete(desk.catalog.unknown_blobs(keys))
    except (OSError, PacsError):
        _log.exception("Objects left to the sweep")
