"""DICOM over TLS (PS3.15 B.12, BCP 195): TLS 1.2 and above, client certificates, fingerprints of the AE table."""

import hashlib
import hmac
import select
import socket
import ssl
import time

from config.settings import Dimse, Peer
from dimse.connection import ConnectionLost, TimedOut


def server_context(settings: Dimse) -> ssl.SSLContext:
    """The context of our TLS port. A client certificate is required once `tls_client_ca` is set."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    if settings.tls_client_ca:
        context.load_verify_locations(settings.tls_client_ca)
        context.verify_mode = ssl.CERT_REQUIRED
    return context


def wrap_server(sock: socket.socket, context: ssl.SSLContext, seconds: float) -> ssl.SSLSocket:
    """The handshake of an incoming connection, with one deadline for all of it. Raises UpperLayerError."""
    sock.setblocking(False)
    secured = context.wrap_socket(sock, server_side=True, do_handshake_on_connect=False)
    deadline = time.monotonic() + seconds
    try:
        while True:
            try:
                secured.do_handshake()
                return secured
            except ssl.SSLWantReadError:
                _wait(secured, select.POLLIN, deadline)
            except ssl.SSLWantWriteError:
                _wait(secured, select.POLLOUT, deadline)
    except OSError as exc:
        secured.close()
        raise ConnectionLost("TLS handshake failed") from exc
    except TimedOut:
        secured.close()
        raise


def wrap_client(sock: socket.socket, peer: Peer, settings: Dimse) -> ssl.SSLSocket:
    """The handshake towards a peer, whose certificate is the pinned one, or signed by `tls_client_ca` or a known CA."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if settings.tls_certificate:
        context.load_cert_chain(settings.tls_certificate, settings.tls_key or None)
    if peer.certificate_sha256:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    elif settings.tls_client_ca:
        context.load_verify_locations(settings.tls_client_ca)
    else:
        context.load_default_certs()
    secured = context.wrap_socket(sock, server_hostname=peer.host)
    if peer.certificate_sha256 and not matches(peer.certificate_sha256, fingerprint(secured)):
        secured.close()
        raise ConnectionLost("the peer's certificate is not the one of the AE table")
    return secured


def fingerprint(sock: socket.socket) -> str:
    """SHA-256 in hex of the other side's certificate; empty when it showed none."""
    certificate = sock.getpeercert(binary_form=True) if isinstance(sock, ssl.SSLSocket) else None
    return hashlib.sha256(certificate).hexdigest() if certificate else ""


def matches(wanted: str, shown: str) -> bool:
    """Compare fingerprints; colons and case do not count."""
    return hmac.compare_digest(wanted.replace(":", "").lower(), shown.lower())


def _wait(sock: ssl.SSLSocket, event: int, deadline: float) -> None:
    remaining = deadline - time.monotonic()
    waiting = select.poll()
    waiting.register(sock, event)
    if remaining <= 0 or not waiting.poll(remaining * 1000):
        raise TimedOut("the TLS handshake was not complete in time")
