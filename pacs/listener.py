"""The DIMSE process: associations on the supervisor's sockets."""

import socket
import threading
from collections.abc import Mapping

from config.settings import Settings
from dimse.server import Server
from pacs.lifeline import Lifeline
from pacs.services import build


def run(settings: Settings, sockets: Mapping[str, socket.socket], lifeline: Lifeline) -> None:
    """Serve until told to stop."""
    services = build(settings)
    server = Server(settings.dimse, services.archive, services.audit, settings.archive)
    grace = settings.web.shutdown_seconds
    lifeline.on_stop(lambda: _stop(server, grace), grace_seconds=grace + 2)
    lifeline.ready()
    server.serve([sockets[name] for name in ("dimse", "dimse_tls") if name in sockets])
    services.close()


def _stop(server: Server, grace_seconds: float) -> None:
    """From a thread: a signal handler must not wait for associations whose threads need the interpreter."""
    threading.Thread(target=server.stop, args=(grace_seconds,), name="stop").start()
