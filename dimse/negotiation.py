"""A-ASSOCIATE for both sides, with pynetdicom's PDU codecs and negotiation rules (PS3.8 7.1, 9.3.2; PS3.7 D.3).

The length of an association PDU is checked before it is read. Answering 128 proposed contexts costs tens of
milliseconds of CPU, and a modality proposes the same ones with every association, so answers are remembered.
"""

import functools
import logging
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from types import MappingProxyType
from typing import Any, Final

import pydicom.config
from pynetdicom import _config
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    ImplementationVersionNameNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import PresentationContext, negotiate_as_acceptor, negotiate_as_requestor

from dimse.connection import Connection, UpperLayerError
from dimse.contexts import MODELS, Policy, general_class
from dimse.extended import Flags, flags, granted
from dimse.request import DECODE_ERRORS, Proposal, Request, decode_request, maximum_length, roles
from dimse.upper_layer import ABORT, UNEXPECTED_PDU, UNRECOGNISED_PDU, Context, PeerAborted, ProtocolViolation
from storage.meta_group import IMPLEMENTATION_CLASS_UID, IMPLEMENTATION_VERSION_NAME
from storage.sop_classes import is_storage

ASSOCIATE_RQ: Final = 0x01
ASSOCIATE_AC: Final = 0x02
ASSOCIATE_RJ: Final = 0x03
LARGEST_ASSOCIATE_BYTES: Final = 1024**2
APPLICATION_CONTEXT: Final = "1.2.840.10008.3.1.1.1"
MOST_CONTEXTS: Final = 128

# Identifiers hold patient data and must not reach a log, and what a peer sends must not fill one, nor the
# registry of Python's warnings: both libraries remark on every malformed UID they are shown.
_config.LOG_REQUEST_IDENTIFIERS = False
_config.LOG_RESPONSE_IDENTIFIERS = False
logging.getLogger("pynetdicom").setLevel(logging.CRITICAL)
logging.getLogger("pydicom").setLevel(logging.CRITICAL)
pydicom.config.settings.reading_validation_mode = pydicom.config.IGNORE

_HEAD = struct.Struct(">BxI")

_REMEMBERED: Final = 128

STORAGE_SUPPORT: Final = bytes((2, 0, 3, 0, 0, 0))
"""Our answer to the extended negotiation of storage classes (PS3.4 B.3.1): level 2, every element is kept;
digital signatures of level 3, because objects are kept bit by bit; nothing is coerced."""
COERCING_SUPPORT: Final = bytes((2, 0, 1, 0, 1, 0))
"""The same where `archive.coercions` changes what arrives, and with it what was signed."""


class Rejected(UpperLayerError):
    """The peer rejected the association; result, source and reason are those of PS3.8 table 9-21."""

    def __init__(self, result: int, source: int, reason: int) -> None:
        """The three numbers of A-ASSOCIATE-RJ."""
        super().__init__(f"association rejected: result {result}, source {source}, reason {reason}")
        self.result, self.source, self.reason = result, source, reason


@dataclass(frozen=True, slots=True)
class Agreed:
    """What an acceptor agreed to."""

    contexts: Mapping[int, Context]
    peer_pdu_bytes: int
    extended: Mapping[str, Flags] = field(default_factory=dict)
    """SOP Class Extended Negotiation of Query/Retrieve: SOP class -> what we granted."""


def read_request(connection: Connection, deadline: float) -> Request:
    """Receive A-ASSOCIATE-RQ. Raises UpperLayerError."""
    return decode_request(_read_pdu(connection, deadline, expected=ASSOCIATE_RQ))


@dataclass(frozen=True, slots=True)
class Terms:
    """What we accept an association on."""

    policy: Policy
    our_pdu_bytes: int
    identity_response: bytes | None = None
    """Server-Response to a user identity that was verified; None: nothing is said about it."""


def accept(connection: Connection, request: Request, terms: Terms, *, seconds: float) -> Agreed:
    """Answer A-ASSOCIATE-AC. `seconds`: how long sending may take."""
    # Answers are remembered, but nobody's passcode and no ticket may be.
    answer = _answer if terms.identity_response is not None else _remembered_answer
    encoded, agreed = answer(replace(request, identity=None), terms)
    connection.send([encoded], seconds)
    return agreed


def _answer(request: Request, terms: Terms) -> tuple[bytes, Agreed]:
    results: list[Any] = []
    roles: dict[str, Any] = {}
    for proposal in request.contexts:
        result, answered = _negotiate(proposal, terms.policy, request)
        results.append(result)
        roles.update((str(item.sop_class_uid), item) for item in answered)
    primitive = _primitive(request.calling, request.called, terms.our_pdu_bytes)
    primitive.result = 0
    primitive.result_source = 1
    primitive.presentation_context_definition_results_list = results
    extra: list[Any] = list(roles.values())
    if request.asynchronous:
        extra.append(AsynchronousOperationsWindowNegotiation())
    accepted = {
        result.context_id: _context(result, as_scp=result.as_scp, as_scu=result.as_scu, request=request)
        for result in results
        if result.result == 0
    }
    extended = _extended_answers(request)
    extra += [_extended_item(uid, information) for uid, information in extended.items()]
    stored = {one.abstract_syntax for one in accepted.values() if one.as_scp and is_storage(one.abstract_syntax)}
    support = COERCING_SUPPORT if terms.policy.archive.coercions else STORAGE_SUPPORT
    extra += [_extended_item(uid, support) for uid in dict(request.extended) if uid in stored]
    if terms.identity_response is not None:
        extra.append(_identity_item(terms.identity_response))
    primitive.user_information = [*primitive.user_information, *extra]
    agreed = {uid: flags(information) for uid, information in extended.items()}
    return A_ASSOCIATE_AC(primitive).encode(), Agreed(
        MappingProxyType(accepted), request.peer_pdu_bytes, MappingProxyType(agreed)
    )


_remembered_answer = functools.lru_cache(maxsize=_REMEMBERED)(_answer)


def reject(connection: Connection, result: int, source: int, reason: int) -> None:
    """Answer A-ASSOCIATE-RJ (PS3.8 table 9-21)."""
    connection.send([_HEAD.pack(ASSOCIATE_RJ, 4) + bytes((0, result, source, reason))], 5.0)


@dataclass(frozen=True, slots=True)
class Offer:
    """How we introduce ourselves when we ask for an association."""

    calling: str
    called: str
    our_pdu_bytes: int
    receive: frozenset[str] = frozenset()
    """Classes of which we offer to be SCP: objects that the other side is to send us (PS3.7 D.3.3.4)."""


def propose(
    connection: Connection, proposals: Sequence[tuple[str, Sequence[str]]], offer: Offer, *, deadline: float
) -> Agreed:
    """Ask for an association with up to 128 contexts, each an abstract syntax and its transfer syntaxes.

    Raises Rejected or another UpperLayerError.
    """
    contexts = []
    for number, (abstract_syntax, transfer_syntaxes) in enumerate(proposals[:MOST_CONTEXTS]):
        context = PresentationContext()
        context.context_id = 2 * number + 1
        context.abstract_syntax = abstract_syntax
        context.transfer_syntax = list(transfer_syntaxes)
        if abstract_syntax in offer.receive:
            context.scu_role, context.scp_role = False, True
        contexts.append(context)
    primitive = _primitive(offer.calling, offer.called, offer.our_pdu_bytes)
    primitive.presentation_context_definition_list = contexts
    primitive.user_information = [*primitive.user_information, *map(_role_item, sorted(offer.receive))]
    connection.send([A_ASSOCIATE_RQ(primitive).encode()], 10.0)
    pdu = _read_pdu(connection, deadline, expected=ASSOCIATE_AC)
    try:
        answer = A_ASSOCIATE_AC()
        answer.decode(pdu)
        items = answer.user_information.user_data
        peer_pdu_bytes = maximum_length(items)
        results = negotiate_as_requestor(
            contexts, [item.to_primitive() for item in answer.presentation_context], dict(roles(items))
        )
    except DECODE_ERRORS as exc:
        raise ProtocolViolation("A-ASSOCIATE-AC cannot be decoded") from exc
    accepted = {
        result.context_id: _context(result, as_scp=bool(result.as_scp), as_scu=bool(result.as_scu))
        for result in results
        if result.result == 0
    }
    return Agreed(accepted, peer_pdu_bytes)


def _read_pdu(connection: Connection, deadline: float, *, expected: int) -> bytes:
    connection.fill(6, deadline)
    head = bytes(connection.take(6))
    pdu_type, length = _HEAD.unpack(head)
    if pdu_type not in (expected, ASSOCIATE_RJ, ABORT):
        known = 1 <= pdu_type <= ABORT
        raise ProtocolViolation(f"PDU type {pdu_type:#04x}", UNEXPECTED_PDU if known else UNRECOGNISED_PDU)
    if length > LARGEST_ASSOCIATE_BYTES or (pdu_type != expected and length != 4):
        raise ProtocolViolation(f"association PDU of {length} bytes")
    body = connection.read(length, deadline)
    if pdu_type == ABORT:
        raise PeerAborted(f"source {body[2]}, reason {body[3]}")
    if pdu_type == ASSOCIATE_RJ:
        if expected != ASSOCIATE_AC:
            raise ProtocolViolation("A-ASSOCIATE-RJ before any request", UNEXPECTED_PDU)
        raise Rejected(body[1], body[2], body[3])
    return head + body


def _negotiate(proposal: Proposal, policy: Policy, request: Request) -> tuple[Any, list[Any]]:
    asked = PresentationContext()
    asked.context_id = proposal.context_id
    asked.abstract_syntax = proposal.abstract_syntax
    asked.transfer_syntax = list(proposal.transfer_syntaxes)
    syntaxes, scp_too = policy.choose(
        proposal.abstract_syntax, proposal.transfer_syntaxes, general=request.general(proposal.abstract_syntax)
    )
    ours = []
    if syntaxes is not None:
        supported = PresentationContext()
        supported.abstract_syntax = proposal.abstract_syntax
        supported.transfer_syntax = list(syntaxes)
        # These are the roles of the requestor that we accept (PS3.7 D.3.3.4).
        supported.scu_role, supported.scp_role = True, scp_too
        ours.append(supported)
    results, answered = negotiate_as_acceptor([asked], ours, dict(request.roles))
    result = results[0]
    if result.result == 0 and not result.transfer_syntax:
        raise ProtocolViolation("a transfer syntax UID is malformed")
    return result, answered


def _context(result: Any, *, as_scp: bool, as_scu: bool, request: Request | None = None) -> Context:
    abstract_syntax = str(result.abstract_syntax)
    return Context(
        result.context_id,
        abstract_syntax,
        str(result.transfer_syntax[0]),
        as_scp=as_scp,
        as_scu=as_scu,
        general=general_class(abstract_syntax, request.general(abstract_syntax)) if request else "",
    )


def _primitive(calling: str, called: str, our_pdu_bytes: int) -> Any:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = APPLICATION_CONTEXT
    primitive.calling_ae_title = calling
    primitive.called_ae_title = called
    length = MaximumLengthNotification()
    length.maximum_length_received = our_pdu_bytes
    implementation = ImplementationClassUIDNotification()
    implementation.implementation_class_uid = IMPLEMENTATION_CLASS_UID
    version = ImplementationVersionNameNotification()
    version.implementation_version_name = IMPLEMENTATION_VERSION_NAME
    primitive.user_information = [length, implementation, version]
    return primitive


def _extended_answers(request: Request) -> dict[str, bytes]:
    """What we grant of the extended negotiation of Query/Retrieve (PS3.4 C.5)."""
    return {uid: granted(MODELS[uid].service, asked) for uid, asked in request.extended if uid in MODELS and asked}


def _role_item(uid: str) -> Any:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scu_role, item.scp_role = uid, False, True
    return item


def _extended_item(uid: str, information: bytes) -> Any:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid = uid
    item.service_class_application_information = information
    return item


def _identity_item(response: bytes) -> Any:
    item = UserIdentityNegotiation()
    item.server_response = response
    return item
