"""Where we may listen, and the sockets themselves.

The web server stays on loopback unless people have to sign in and passwords are carried by TLS, which a proxy speaks,
or somebody writes down that it is unprotected. DIMSE leaves loopback only with an AE table to tell friend from
stranger.
"""

import errno
import ipaddress
import socket
import time

from config.settings import Settings, SettingsError

_BACKLOG = 1024
_PATIENCE_SECONDS = 5.0


def check_exposure(settings: Settings, *, web: bool, dimse: bool) -> None:
    """Refuse to listen where nobody would be asked who he is. Raises SettingsError."""
    if web and not is_loopback(settings.web.host) and not settings.access.unprotected:
        _check_protection(settings)
    if dimse and not is_loopback(settings.dimse.host) and not settings.dimse.peers:
        raise SettingsError(
            f"dimse.host is {settings.dimse.host}, but the AE table is empty: name the devices that may connect as "
            "[[dimse.peers]] in the settings file, or listen on 127.0.0.1"
        )


def _check_protection(settings: Settings) -> None:
    """Whether the web server may leave this machine."""
    instead = "or set access.unprotected = true (PACS_ACCESS_UNPROTECTED=true) if the network is closed"
    if settings.access.sign_in == "none":
        raise SettingsError(
            f"web.host is {settings.web.host}: other machines could read and change everything, because there is no "
            'login. Listen on 127.0.0.1 (behind a proxy that asks for a login), set access.sign_in = "required", '
            + instead
        )
    if not settings.web.public_url.startswith("https://"):
        raise SettingsError(
            f"web.host is {settings.web.host}: passwords and images would cross the network in the clear. Put a proxy "
            'that speaks TLS before the server and name its address as web.public_url = "https://...", listen on '
            "127.0.0.1, " + instead
        )


def is_loopback(host: str) -> bool:
    """True when only this machine can reach the address. Names other than `localhost` may change their meaning."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host.lower() == "localhost"


def listen(host: str, port: int, setting: str) -> socket.socket:
    """A listening socket. Waits a few seconds for a predecessor that is still letting go of the port."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while True:
        try:
            return _listen_once(host, port)
        except OSError as error:
            if error.errno != errno.EADDRINUSE or time.monotonic() > give_up:
                reason = "the port is in use" if error.errno == errno.EADDRINUSE else error.strerror or str(error)
                raise SettingsError(f"{setting}: cannot listen on {host} port {port}: {reason}") from error
        time.sleep(0.1)


def _listen_once(host: str, port: int) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(
        host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )[0]
    sock = socket.socket(family, kind, protocol)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(address)
        sock.listen(_BACKLOG)
    except OSError:
        sock.close()
        raise
    return sock
