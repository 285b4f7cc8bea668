"""From an A-ASSOCIATE-RQ to a session, or to a rejection that says why and is audited."""

import logging
from dataclasses import dataclass

from config.settings import Archive as ArchiveSettings
from config.settings import Dimse
from dimse import negotiation
from dimse.connection import Connection
from dimse.contexts import Policy
from dimse.identity import Verified, Verify
from dimse.peers import (
    APPLICATION_CONTEXT_UNKNOWN,
    IDENTITY_REFUSED,
    LOCAL_LIMIT,
    VERSION_UNKNOWN,
    Caller,
    Granted,
    Refused,
    identify,
)
from dimse.request import Request
from dimse.session import Session
from dimse.upper_layer import Association, Timeouts
from index.access import Audit, AuditEvent
from storage.archive import Archive

logger = logging.getLogger(__name__)

_FIRST_VERSION = 1


@dataclass(frozen=True, slots=True)
class Whence:
    """Where a connection comes from: its address and the fingerprint of its TLS certificate, if it has one."""

    address: str
    certificate_sha256: str


class Acceptor:
    """Negotiates incoming associations."""

    def __init__(
        self,
        settings: Dimse,
        archive_settings: ArchiveSettings,
        archive: Archive,
        audit: Audit,
        verify: Verify | None = None,
    ) -> None:
        """One for all connections of a process; it keeps no state. `verify` tells whether user identities are true."""
        self._settings = settings
        self._archive_settings = archive_settings
        self._archive = archive
        self._audit = audit
        self._verify = verify

    def establish(self, connection: Connection, whence: Whence, deadline: float, *, crowded: bool) -> Session | None:
        """Negotiate; None when the association was rejected. Raises UpperLayerError."""
        request = negotiation.read_request(connection, deadline)
        granted = self._judge(request, whence, crowded=crowded)
        if isinstance(granted, Refused):
            self._reject(connection, request, whence, granted)
            return None
        user = self._user(request)
        if isinstance(user, Refused):
            self._reject(connection, request, whence, user)
            return None
        settings = self._settings
        asserts = user is not None and request.identity is not None and request.identity.wants_response
        terms = negotiation.Terms(
            Policy(granted.services, self._archive_settings),
            settings.maximum_pdu_bytes,
            user.response if user is not None and asserts else None,
        )
        agreed = negotiation.accept(connection, request, terms, seconds=settings.pdu_timeout_seconds)
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
            send_as=granted.peer.send_as if granted.peer else (),
        )

    def _judge(self, request: Request, whence: Whence, *, crowded: bool) -> Granted | Refused:
        if crowded:
            return Refused(LOCAL_LIMIT, "too many associations")
        if not request.protocol_version & _FIRST_VERSION:
            return Refused(VERSION_UNKNOWN, "protocol version unknown")
        if request.application_context != negotiation.APPLICATION_CONTEXT:
            return Refused(APPLICATION_CONTEXT_UNKNOWN, "application context unknown")
        caller = Caller(request.calling, request.called, whence.address, whence.certificate_sha256)
        return identify(caller, self._settings, self._archive_settings.tenant)

    def _user(self, request: Request) -> Verified | Refused | None:
        """Who the peer says is using it, if that is true; None when nothing can be said and nothing need be."""
        if request.identity is None:
            return None
        if self._verify is not None:
            return self._verify(request.identity) or Refused(IDENTITY_REFUSED, "user identity not accepted")
        if self._settings.unverified_identity == "reject":
            return Refused(IDENTITY_REFUSED, "user identity cannot be verified")
        return None

    def _reject(self, connection: Connection, request: Request, whence: Whence, refused: Refused) -> None:
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
        # Last, so that it is on record even when the peer does not wait for the answer.
        negotiation.reject(connection, *refused.answer)
