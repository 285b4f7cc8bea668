"""The AE table: who calls, from where, with which certificate, and what they may do (PS3.15 B.12 for TLS).

An AE title alone is a label and no credential, so a peer is also bound to its networks and, over TLS,
to its certificate.
"""

import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from config.settings import Dimse, Peer
from dimse import tls
from index.access import Permission, Principal, Scope

ALL_SERVICES: Final = frozenset(("echo", "store", "find", "move", "get"))

_PERMISSIONS: Final = {
    "echo": frozenset[Permission](),
    "store": frozenset((Permission.STORE,)),
    "find": frozenset((Permission.QUERY,)),
    "move": frozenset((Permission.VIEW,)),
    "get": frozenset((Permission.VIEW,)),
}

CALLED_UNKNOWN: Final = (1, 1, 7)
CALLING_UNKNOWN: Final = (1, 1, 3)
IDENTITY_REFUSED: Final = (1, 1, 1)
APPLICATION_CONTEXT_UNKNOWN: Final = (1, 1, 2)
VERSION_UNKNOWN: Final = (1, 2, 2)
LOCAL_LIMIT: Final = (2, 3, 2)

REJECTIONS: Final = {
    CALLED_UNKNOWN: "The called AE title is none of ours, or belongs to another tenant than the caller.",
    CALLING_UNKNOWN: "The calling AE title, its network or its certificate is not in the AE table.",
    IDENTITY_REFUSED: "The user identity is wrong, or cannot be verified and `dimse.unverified_identity` is `reject`.",
    APPLICATION_CONTEXT_UNKNOWN: "The application context is not that of DICOM.",
    VERSION_UNKNOWN: "The protocol version lacks the bit of version 1.",
    LOCAL_LIMIT: "Too many associations at once, in all or from this address; try again later.",
}
"""Result, source and reason of A-ASSOCIATE-RJ (PS3.8 table 9-21) -> when we answer it."""


@dataclass(frozen=True, slots=True)
class Caller:
    """What is known of the other side before anything is granted."""

    calling: str
    called: str
    address: str
    certificate_sha256: str = ""
    """Fingerprint in hex of the client certificate that was verified; empty without TLS."""


@dataclass(frozen=True, slots=True)
class Granted:
    """A caller who is known."""

    principal: Principal
    services: frozenset[str]
    peer: Peer | None = None
    """Its row of the AE table; None when it needed none."""


@dataclass(frozen=True, slots=True)
class Refused:
    """Result, source and reason of A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    answer: tuple[int, int, int]
    why: str


def identify(caller: Caller, settings: Dimse, tenant: str) -> Granted | Refused:
    """Look a caller up in the AE table. `tenant`: that of rows and titles without one of their own."""
    tenants = {row.ae_title: row.tenant for row in settings.titles}
    if caller.called not in settings.ae_titles and caller.called not in tenants:
        return Refused(CALLED_UNKNOWN, "called AE title unknown")
    refused = Refused(CALLING_UNKNOWN, "calling AE title unknown")
    rows = [peer for peer in settings.peers if peer.ae_title == caller.calling]
    for peer in rows:
        own_tenant = peer.tenant or tenant
        why = _objection(caller, peer)
        if why:
            refused = Refused(CALLING_UNKNOWN, why)
        elif tenants.get(caller.called, own_tenant) != own_tenant:
            # The same answer as to a title that does not exist: other tenants are never visible.
            refused = Refused(CALLED_UNKNOWN, "called AE title of another tenant")
        else:
            return _grant(caller, peer.services, own_tenant, peer)
    if not rows and settings.allow_unknown_local_peers and _address(caller.address).is_loopback:
        return _grant(caller, ALL_SERVICES, tenants.get(caller.called, tenant))
    return refused


def destination(ae_title: str, settings: Dimse, principal: Principal, tenant: str) -> Peer | None:
    """The peer that a C-MOVE may send to: in the AE table, with an address, of the same tenant."""
    for peer in settings.peers:
        if peer.ae_title == ae_title and peer.host and (peer.tenant or tenant) == principal.tenant:
            return peer
    return None


def _objection(caller: Caller, peer: Peer) -> str:
    """Why this entry of the AE table does not let the caller in; empty when it does."""
    if peer.called_ae_titles and caller.called not in peer.called_ae_titles:
        return "called AE title not allowed"
    address = _address(caller.address)
    if not any(address in ipaddress.ip_network(network, strict=False) for network in peer.networks):
        return "network not allowed"
    if peer.certificate_sha256 and not tls.matches(peer.certificate_sha256, caller.certificate_sha256):
        return "certificate does not match"
    return ""


def _grant(caller: Caller, services: Iterable[str], tenant: str, peer: Peer | None = None) -> Granted:
    known = ALL_SERVICES.intersection(services)
    permissions = frozenset[Permission]().union(*(_PERMISSIONS[service] for service in known))
    principal = Principal(
        name=caller.calling, kind="ae", permissions=permissions, scope=Scope(tenant), address=caller.address
    )
    return Granted(principal, known, peer)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; IPv4 addresses that a dual-stack socket shows as ::ffff:a.b.c.d become IPv4 again."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
