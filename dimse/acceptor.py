"""From an A-ASSOCIATE-RQ to a session, or to a rejection that says why and is audited."""

import logging
from dataclasses import dataclass

from config.settings import Archive as ArchiveSettings
from config.settings import Dimse
from dimse import negotiation
from dimse.connection import Connection
from dimse.contexts import Policy
from dimse.peers import Caller, Granted, Refused, identify
from dimse.session import Session
from dimse.upper_layer import Association, Timeouts
from index.access import Audit, AuditEvent
from storage.archive import Archive

logger = logging.getLogger(__name__)

_LOCAL_LIMIT = Refused((2, 3, 2), "too many associations")
_APPLICATION_CONTEXT_UNKNOWN = Refused((1, 1, 2), "application context unknown")


@dataclass(frozen=True, slots=True)
class Whence:
    """Where a connection comes from: its address and the fingerprint of its TLS certificate, if it has one."""

    address: str
    certificate_sha256: str


class Acceptor:
    """Negotiates incoming associations."""

    def __init__(self, settings: Dimse, archive_settings: ArchiveSettings, archive: Archive, audit: Audit) -> None:
        """One for all connections of a process; it keeps no state."""
        self._settings = settings
        self._archive_settings = archive_settings
        self._archive = archive
        self._audit = audit

    def establish(self, connection: Connection, whence: Whence, deadline: float, *, crowded: bool) -> Session | None:
        """Negotiate; None when the association was rejected. Raises UpperLayerError."""
        request = negotiation.read_request(connection, deadline)
        granted = self._judge(request, whence, crowded=crowded)
        if isinstance(granted, Refused):
            self._reject(connection, request, whence, granted)
            return None
        settings = self._settings
        agreed = negotiation.accept(
            connection,
            request,
            Policy(granted.services, self._archive_settings),
            our_pdu_bytes=settings.maximum_pdu_bytes,
            seconds=settings.pdu_timeout_seconds,
        )
        association = Association(
            connection,
            agreed.contexts,
            our_pdu_bytes=settings.maximum_pdu_bytes,
            peer_pdu_bytes=agreed.peer_pdu_bytes,
            timeouts=Timeouts(settings.pdu_timeout_seconds, settings.idle_timeout_seconds),
        )
        return Session(
            association=association,
            principal=granted.principal,
            our_ae_title=request.called,
            archive=self._archive,
            settings=settings,
            audit=self._audit,
            tenant=self._archive_settings.tenant,
            extended=agreed.extended,
        )

    def _judge(self, request: negotiation.Request, whence: Whence, *, crowded: bool) -> Granted | Refused:
        if crowded:
            return _LOCAL_LIMIT
        if request.application_context != negotiation.APPLICATION_CONTEXT:
            return _APPLICATION_CONTEXT_UNKNOWN
        caller = Caller(request.calling, request.called, whence.address, whence.certificate_sha256)
        return identify(caller, self._settings, self._archive_settings.tenant)

    def _reject(self, connection: Connection, request: negotiation.Request, whence: Whence, refused: Refused) -> None:
        negotiation.reject(connection, *refused.answer)
        logger.warning(
            "Association rejected",
            extra={"calling": request.calling, "called": request.called, "address": whence.address, "why": refused.why},
        )
        self._audit(
            AuditEvent(
                "Node Authentication",
                request.calling,
                self._archive_settings.tenant,
                outcome="serious",
                address=whence.address,
                detail=refused.why,
            )
        )
