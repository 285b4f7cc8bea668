"""The background process: what must be done some time, by nobody in particular."""

import socket
import threading
from collections.abc import Mapping

from config.settings import Settings
from pacs.lifeline import Lifeline
from pacs.services import build


def run(settings: Settings, _sockets: Mapping[str, socket.socket], lifeline: Lifeline) -> None:
    """Work until told to stop."""
    services = build(settings)
    stopping = threading.Event()
    lifeline.on_stop(stopping.set, grace_seconds=settings.web.shutdown_seconds)
    lifeline.ready()
    stopping.wait()
    services.close()
