"""`pacs removed list`, `show`, `restore`, `purge`: what was deleted or rejected, the way back, and the end of it."""

from collections.abc import Iterator
from datetime import UTC, datetime

from config.settings import Settings
from index.errors import NotFound
from index.records import Origin
from pacs.auth.local import local_principal
from pacs.services import build
from storage.archive import BinEntry, Restored
from storage.purging import purge as purge_due
from storage.removal_records import write_all

_HEADING = (
    f"{'number':>6}  {'removed at':<20}  {'purged after':<20}  {'instances':>9}  {'reason':<12}  by, patient, study"
)


def list_all(settings: Settings, study: str | None) -> Iterator[str]:
    """Lines for a person."""
    services = build(settings)
    try:
        lines = map(_line, services.archive.removals(local_principal(settings), study))
        first = next(lines, None)
        if first is None:
            yield "Nothing was deleted or rejected."
            return
        yield _HEADING
        yield first
        yield from lines
    finally:
        services.close()


def show(settings: Settings, number: int) -> Iterator[str]:
    """The instances of one removal. Raises NotFound."""
    services = build(settings)
    try:
        for row in services.archive.removed(local_principal(settings), number):
            key = row.key
            role = row.role.name.lower()
            yield f"{role:<8}  {key.study_instance_uid}  {key.series_instance_uid}  {key.sop_instance_uid}"
    finally:
        services.close()


def restore(settings: Settings, number: int, instances: tuple[str, ...]) -> str:
    """Undo one removal, or some instances of it. Raises NotFound, Conflict."""
    services = build(settings)
    principal = local_principal(settings)
    try:
        origin = Origin("command", "pacs removed", principal.name)
        uids = frozenset(instances) or None
        restored = services.archive.undo(principal, number, origin, uids)
        if uids and not (restored.instances or restored.set_aside or restored.still_rejected):
            raise NotFound(f"Number {number} has not removed that; see `pacs removed show {number}`")
        return _told(restored)
    finally:
        services.close()


def purge(settings: Settings, number: int) -> str:
    """Remove for good what a removal has taken. Raises NotFound."""
    services = build(settings)
    try:
        entry = services.archive.purge(local_principal(settings), number)
        write_all(services.catalog, services.blobs)
        purge_due(services.catalog, services.blobs)
        return f"{entry.instances} instances are removed for good."
    finally:
        services.close()


def _told(restored: Restored) -> str:
    told = [f"{restored.instances} instances are back"]
    if restored.set_aside:
        told.append(f"{restored.set_aside} met a newer instance and are set aside (pacs versions)")
    if restored.still_rejected:
        told.append(f"{restored.still_rejected} are still rejected by another note")
    return ", ".join(told) + "."


def _line(entry: BinEntry) -> str:
    until = _moment(entry.purge_at_ms) if entry.purge_at_ms else "never"
    reason = "revoked" if entry.undone_at_ms else entry.reason
    said = ", ".join(filter(None, (entry.said.get("PatientName"), entry.said.get("PatientID"))))
    who = f"{entry.origin.via} {entry.origin.principal}"
    what = f"{who}; {said or 'nothing there yet'}; {entry.key.study_instance_uid}"
    when = _moment(entry.removed_at_ms)
    return f"{entry.number:>6}  {when:<20}  {until:<20}  {entry.instances:>9}  {reason:<12}  {what}"


def _moment(at_ms: int) -> str:
    return datetime.fromtimestamp(at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
