"""What a peer asks for: an A-ASSOCIATE-RQ, decoded and checked (PS3.8 9.3.2, PS3.7 D.3.3).

Everything that pynetdicom's decoders can throw at malformed input leaves here as ProtocolViolation. Decoding 128
contexts costs tens of milliseconds, most of it checks of UIDs, and a modality proposes the same ones with every
association, perhaps one for each image; so requests are remembered, unless they hold somebody's passcode.
"""

import functools
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_items import (
    AsynchronousOperationsWindowSubItem,
    MaximumLengthSubItem,
    SCP_SCU_RoleSelectionSubItem,
    SOPClassCommonExtendedNegotiationSubItem,
    SOPClassExtendedNegotiationSubItem,
    UserIdentitySubItemRQ,
)

from dimse.identity import Identity
from dimse.upper_layer import ProtocolViolation

DECODE_ERRORS: Final = (ValueError, KeyError, IndexError, TypeError, AttributeError, AssertionError, struct.error)
"""What pynetdicom's decoders raise."""

_MOST_ITEMS: Final = 8192
"""Items and sub-items of one A-ASSOCIATE-RQ. 128 contexts with all transfer syntaxes that exist have 7,800."""

_REMEMBERED_BYTES: Final = 65536
_REMEMBERED: Final = 128
_IDENTITY_HEAD: Final = b"\x58\x00"
"""Type of the user identity sub-item. The same bytes elsewhere only cost the remembering."""

Roles = tuple[tuple[str, tuple[bool, bool]], ...]
"""SOP class and whether the requestor proposes to be SCU, and SCP, of it."""


@dataclass(frozen=True, slots=True)
class Proposal:
    """A proposed presentation context."""

    context_id: int
    abstract_syntax: str
    transfer_syntaxes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Request:
    """A decoded A-ASSOCIATE-RQ."""

    called: str
    calling: str
    application_context: str
    contexts: tuple[Proposal, ...]
    roles: Roles
    peer_pdu_bytes: int
    asynchronous: bool
    """The peer proposed an asynchronous operations window; we answer one operation at a time."""
    extended: tuple[tuple[str, bytes], ...] = ()
    """SOP Class Extended Negotiation (PS3.7 D.3.3.5): SOP class -> application information."""
    related: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """SOP Class Common Extended Negotiation (PS3.7 D.3.3.6): SOP class -> related general SOP classes."""
    identity: Identity | None = None
    protocol_version: int = 1
    """Bit 0 is the version that there is (PS3.8 table 9-11)."""

    def general(self, sop_class_uid: str) -> tuple[str, ...]:
        """The related general SOP classes that the peer named for a class."""
        return next((classes for uid, classes in self.related if uid == sop_class_uid), ())


def decode_request(pdu: bytes) -> Request:
    """Decode A-ASSOCIATE-RQ. Raises ProtocolViolation."""
    if len(pdu) > _REMEMBERED_BYTES or _IDENTITY_HEAD in pdu:
        return _decode(pdu)
    return _remembered(pdu)


def _decode(pdu: bytes) -> Request:
    if _items(memoryview(pdu)[74:], _MOST_ITEMS) < 0:
        raise ProtocolViolation("A-ASSOCIATE-RQ has too many items, or they are cut off")
    try:
        decoded = A_ASSOCIATE_RQ()
        decoded.decode(pdu)
        request = _request(decoded, decoded.user_information.user_data)
    except DECODE_ERRORS as exc:
        raise ProtocolViolation("A-ASSOCIATE-RQ cannot be decoded") from exc
    _check(request)
    return request


_remembered = functools.lru_cache(maxsize=_REMEMBERED)(_decode)


def _request(decoded: Any, items: Sequence[Any]) -> Request:
    return Request(
        called=decoded.called_ae_title.strip(),
        calling=decoded.calling_ae_title.strip(),
        application_context=str(decoded.application_context_name),
        contexts=tuple(
            Proposal(item.context_id, str(item.abstract_syntax), tuple(map(str, item.transfer_syntax)))
            for item in decoded.presentation_context
        ),
        roles=roles(items),
        peer_pdu_bytes=maximum_length(items),
        asynchronous=any(isinstance(item, AsynchronousOperationsWindowSubItem) for item in items),
        extended=tuple(
            (str(item.sop_class_uid), bytes(item.service_class_application_information or b""))
            for item in items
            if isinstance(item, SOPClassExtendedNegotiationSubItem)
        ),
        related=tuple(
            (str(item.sop_class_uid), tuple(map(str, item.related_general_sop_class_identification)))
            for item in items
            if isinstance(item, SOPClassCommonExtendedNegotiationSubItem)
        ),
        identity=_identity(items),
        protocol_version=decoded.protocol_version,
    )


def _identity(items: Sequence[Any]) -> Identity | None:
    for item in items:
        if isinstance(item, UserIdentitySubItemRQ):
            return Identity(
                kind=item.user_identity_type or 0,
                wants_response=bool(item.positive_response_requested),
                primary=bytes(item.primary_field or b""),
                secondary=bytes(item.secondary_field or b""),
            )
    return None


def roles(items: Sequence[Any]) -> Roles:
    """Role selections among the items of the user information."""
    return tuple(
        (str(item.sop_class_uid), (bool(item.scu_role), bool(item.scp_role)))
        for item in items
        if isinstance(item, SCP_SCU_RoleSelectionSubItem)
    )


def maximum_length(items: Sequence[Any]) -> int:
    """Maximum Length Received (PS3.8 D.1); 0 when the peer sets no limit or does not say."""
    for item in items:
        if isinstance(item, MaximumLengthSubItem):
            return int(item.maximum_length_received)
    return 0


def _items(data: memoryview, most: int) -> int:
    """How many items and sub-items there are beyond `most` allow: what is left of `most`, negative when it is exceeded.

    Items are a type, a reserved byte and a 16-bit length (PS3.8 9.3.2); those of a presentation context
    (20H) start with four bytes of their own, those of the user information (50H) at once.
    """
    offset = 0
    while offset < len(data) and most >= 0:
        if len(data) - offset < 4:
            return -1
        kind, length = data[offset], int.from_bytes(data[offset + 2 : offset + 4])
        inside = data[offset + 4 : offset + 4 + length]
        if len(inside) != length:
            return -1
        most -= 1
        if kind in (0x20, 0x50):
            most = _items(inside[4:] if kind == 0x20 else inside, most)
        offset += 4 + length
    return most


def _check(request: Request) -> None:
    """Rules that the decoders do not know: odd, distinct context identifiers and complete contexts (PS3.8 9.3.2.2)."""
    identifiers = {proposal.context_id for proposal in request.contexts}
    if len(identifiers) != len(request.contexts) or any(not number & 1 for number in identifiers):
        raise ProtocolViolation("presentation context identifiers are not odd and distinct")
    if any(not proposal.transfer_syntaxes or not proposal.abstract_syntax for proposal in request.contexts):
        raise ProtocolViolation("a presentation context is incomplete")
