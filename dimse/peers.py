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


@dataclass(frozen=True, slots=True)
class Refused:
    """Result, source and reason of A-ASSOCIATE-RJ (PS3.8 table 9-21)."""

    answer: tuple[int, int, int]
    why: str


def identify(caller: Caller, settings: Dimse, tenant: str) -> Granted | Refused:
    """Look a caller up in the AE table."""
    if caller.called not in settings.ae_titles:
        return Refused(CALLED_UNKNOWN, "called AE title unknown")
    why = "calling AE title unknown"
    for peer in settings.peers:
        if peer.ae_title == caller.calling:
            why = _objection(caller, peer)
            if not why:
                return _grant(caller, peer.services, peer.tenant or tenant)
    known = any(peer.ae_title == caller.calling for peer in settings.peers)
    if not known and settings.allow_unknown_local_peers and _address(caller.address).is_loopback:
        return _grant(caller, ALL_SERVICES, tenant)
    return Refused(CALLING_UNKNOWN, why)


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


def _grant(caller: Caller, services: Iterable[str], tenant: str) -> Granted:
    known = ALL_SERVICES.intersection(services)
    permissions = frozenset[Permission]().union(*(_PERMISSIONS[service] for service in known))
    principal = Principal(
        name=caller.calling, kind="ae", permissions=permissions, scope=Scope(tenant), address=caller.address
    )
    return Granted(principal, known)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    """An address; IPv4 addresses that a dual-stack socket shows as ::ffff:a.b.c.d become IPv4 again."""
    address = ipaddress.ip_address(text.partition("%")[0])
    return (address.ipv4_mapped or address) if isinstance(address, ipaddress.IPv6Address) else address
