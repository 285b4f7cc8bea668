"""Which audit events the archive's door writes, and how often.

One event for each principal, study and quarter of an hour: a viewer asks for a study's frames one by one, and an
audit trail with a line for each would hide what happened. Refusals and queries are rare enough to be written each.
"""

import threading
import time
from typing import Literal

from index.access import Audit, AuditEvent, Principal
from index.query import Query
from index.records import Origin, StoreOutcome, StoreStatus

_WINDOW_SECONDS = 15 * 60.0
_REMEMBERED = 50_000
_TRANSFERRED = "DICOM Instances Transferred"


class AccessLog:
    """Turns what happens at the door into audit events."""

    def __init__(self, audit: Audit) -> None:
        """`audit` writes one event; when it raises, the action fails."""
        self._audit = audit
        self._lock = threading.Lock()
        self._until: dict[tuple[str, ...], float] = {}

    def viewed(self, principal: Principal, study: str) -> None:
        """Metadata, pixels or files of a study leave."""
        if self._is_new(("viewed", principal.tenant, principal.kind, principal.name, study)):
            self._write("DICOM Instances Accessed", principal, study_instance_uid=study)

    def queried(self, principal: Principal, query: Query) -> None:
        """A search: its level and keywords, never the values, which may be names."""
        named = [part.keyword for part in query.filters] + [key.filter.keyword for key in query.declared]
        keywords = ",".join(sorted(set(named)))
        self._write("Query", principal, detail=f"{query.level.value} {keywords}".strip())

    def compared(self, principal: Principal, study: str, count: int) -> None:
        """A search for the earlier studies of a study's patient; pages ask again whenever something is new."""
        if self._is_new(("compared", principal.tenant, principal.kind, principal.name, study)):
            self._write("Query", principal, study_instance_uid=study, detail="STUDY priors", count=count)

    def received(self, principal: Principal, origin: Origin, outcome: StoreOutcome) -> None:
        """An instance arrived or was refused."""
        study = outcome.key.study_instance_uid if outcome.key else ""
        if outcome.status is StoreStatus.REFUSED:
            codes = ",".join(f"{reason.code.status:04X}" for reason in outcome.reasons)
            detail = f"{origin.via} {origin.peer} refused {codes}"
            self._write(_TRANSFERRED, principal, study_instance_uid=study, detail=detail, outcome="serious")
            return
        if outcome.rejected:
            self.removed(principal, study, outcome.rejected, f"{origin.via} {origin.peer} rejected")
        status = outcome.status.value
        seen = ("received", principal.tenant, principal.kind, principal.name, study, origin.via, origin.peer, status)
        if self._is_new(seen):
            event_name = "Import" if origin.via == "import" else _TRANSFERRED
            self._write(event_name, principal, study_instance_uid=study, detail=f"{origin.via} {origin.peer} {status}")

    def restored(self, principal: Principal, study: str) -> None:
        """A version that had been set aside is current again."""
        self._write("DICOM Instances Accessed", principal, study_instance_uid=study, detail="restored a version")

    def removed(self, principal: Principal, study: str, count: int, detail: str) -> None:
        """Instances were deleted, rejected, purged, or came back: each time one event."""
        event = "DICOM Study Deleted" if detail.startswith(("deleted", "purge")) else "DICOM Instances Accessed"
        self._write(event, principal, study_instance_uid=study, detail=detail, count=count)

    def declared(self, principal: Principal, detail: str) -> None:
        """What can be searched has changed."""
        self._write("Security Alert", principal, detail=detail)

    def _write(
        self,
        event: str,
        principal: Principal,
        *,
        study_instance_uid: str = "",
        detail: str = "",
        outcome: Literal["success", "serious"] = "success",
        count: int = 1,
    ) -> None:
        self._audit(
            AuditEvent(
                event,
                principal.name,
                principal.tenant,
                outcome,
                principal.address,
                study_instance_uid=study_instance_uid,
                count=count,
                detail=detail,
            )
        )

    def _is_new(self, what: tuple[str, ...]) -> bool:
        """True once a window. The common case is one look into a dictionary, without the lock."""
        now = time.monotonic()
        if self._until.get(what, 0.0) > now:
            return False
        with self._lock:
            if self._until.get(what, 0.0) > now:
                return False
            if len(self._until) >= _REMEMBERED:
                self._until = {key: until for key, until in self._until.items() if until > now}
            if len(self._until) >= _REMEMBERED:
                self._until = {}
            self._until[what] = now + _WINDOW_SECONDS
            return True
