"""The background process: what must be done some time, by nobody in particular."""

import logging
import socket
import threading
from collections.abc import Mapping

from config.settings import Settings
from index.errors import PacsError
from pacs.lifeline import Lifeline
from pacs.services import Services, build
from storage.deletion import sweep

logger = logging.getLogger(__name__)

_FIRST_SWEEP_SECONDS = 600.0
"""Not at the very start: then everybody who waited for the server is busy with it."""


def run(settings: Settings, _sockets: Mapping[str, socket.socket], lifeline: Lifeline) -> None:
    """Work until told to stop."""
    services = build(settings)
    stopping = threading.Event()
    lifeline.on_stop(stopping.set, grace_seconds=settings.web.shutdown_seconds)
    lifeline.ready()
    if settings.worker.sweep_hours:
        pause = min(_FIRST_SWEEP_SECONDS, settings.worker.sweep_hours * 3600)
        while not stopping.wait(pause):
            _sweep(services)
            pause = settings.worker.sweep_hours * 3600
    stopping.wait()
    services.close()


def _sweep(services: Services) -> None:
    """One search for orphans. What goes wrong is logged and tried again the next time."""
    try:
        swept = sweep(services.catalog, services.blobs)
    except PacsError as error:
        logger.error("the sweep was given up", extra={"Reason": error.detail})
    except Exception:
        logger.exception("the sweep failed")
    else:
        logger.info("swept", extra={"Objects": swept.objects, "Removed": swept.removed})
