"""The background process: what must be done some time, by nobody in particular."""

import logging
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from config.settings import Settings
from index.errors import PacsError
from index.filling import Filling
from index.jobs import ClaimLost, Handlers, Jobs
from pacs.lifeline import Lifeline
from pacs.services import Services, build
from pacs.uploads.keeping import keep
from pacs.uploads.taking import Reception
from storage.deletion import sweep
from storage.purging import purge
from storage.removal_records import write_all

logger = logging.getLogger(__name__)

_FIRST_SWEEP_SECONDS = 600.0
"""Not at the very start: then everybody who waited for the server is busy with it."""

_FIRST_PURGE_SECONDS = 60.0

_FIRST_UPLOADS_SECONDS = 2.0
_UPLOADS_SECONDS = 300.0

_BETWEEN_LOOKS_SECONDS = 1.0
_LONGEST_BREAK_SECONDS = 0.5


@dataclass(frozen=True, slots=True)
class _Chore:
    name: str
    work: Callable[[Services], None]
    seconds: float
    """Between two rounds; 0 turns it off."""
    first_seconds: float


def run(settings: Settings, _sockets: Mapping[str, socket.socket], lifeline: Lifeline) -> None:
    """Work until told to stop."""
    services = build(settings)
    stopping = threading.Event()
    lifeline.on_stop(stopping.set, grace_seconds=settings.web.shutdown_seconds)
    lifeline.ready()
    chores = (
        _Chore("sweep", _sweep, settings.worker.sweep_hours * 3600, _FIRST_SWEEP_SECONDS),
        _Chore("purge", _purge, settings.worker.purge_minutes * 60, _FIRST_PURGE_SECONDS),
        _Chore("uploads", _keep_uploads, _UPLOADS_SECONDS, _FIRST_UPLOADS_SECONDS),
    )
    # Each in its own thread: a sweep of a large store takes long.
    threads = [threading.Thread(target=_repeat, args=(chore, services, stopping)) for chore in chores if chore.seconds]
    # Renditions have a thread of their own: they take long, and nobody waits for them.
    kinds = (Filling(services.database).handlers(), services.rounds.handlers(services.database))
    threads += [threading.Thread(target=_do_jobs, args=(services, handlers, stopping)) for handlers in kinds]
    for thread in threads:
        thread.start()
    stopping.wait()
    for thread in threads:
        thread.join()
    services.close()


def _repeat(chore: "_Chore", services: Services, stopping: threading.Event) -> None:
    """Do it again and again. What goes wrong is logged and tried again the next time."""
    pause = min(chore.first_seconds, chore.seconds)
    while not stopping.wait(pause):
        try:
            chore.work(services)
        except PacsError as error:
            logger.error("a chore was given up", extra={"Chore": chore.name, "Reason": error.detail})
        except Exception:
            logger.exception("a chore failed", extra={"Chore": chore.name})
        pause = chore.seconds


def _sweep(services: Services) -> None:
    swept = sweep(services.catalog, services.blobs)
    logger.info("swept", extra={"Objects": swept.objects, "Removed": swept.removed})


def _purge(services: Services) -> None:
    write_all(services.catalog, services.blobs)
    purge(services.catalog, services.blobs)


def _keep_uploads(services: Services) -> None:
    kept = keep(Reception(services.archive, services.settings))
    if kept.taken or kept.removed:
        logger.info("uploads kept", extra={"Taken": kept.taken, "Removed": kept.removed})


def _do_jobs(services: Services, handlers: Handlers, stopping: threading.Event) -> None:
    """Do what others ask for (`index.jobs`), one thing after the other."""
    jobs = Jobs(services.database)
    while not stopping.is_set():
        try:
            done = _do_job(jobs, handlers, stopping)
        except PacsError as error:
            logger.error("jobs cannot be read", extra={"Reason": error.detail})
            done = False
        if not done:
            stopping.wait(_BETWEEN_LOOKS_SECONDS)


def _do_job(jobs: Jobs, handlers: Handlers, stopping: threading.Event) -> bool:
    """Do one job, if there is one; after each step others have as long for themselves as the step took."""
    job = jobs.claim(handlers)
    if job is None:
        return False
    about = {"Job": job.kind, "Key": job.key}
    try:
        began = time.monotonic()
        for _ in handlers[job.kind](job):
            if stopping.wait(min(time.monotonic() - began, _LONGEST_BREAK_SECONDS)):
                jobs.release(job)
                return True
            began = time.monotonic()
    except ClaimLost:
        logger.warning("another worker goes on with a job", extra=about)
    except PacsError as error:
        pause = jobs.put_off(job, error.detail)
        logger.error("a job was put off", extra={**about, "Reason": error.detail, "Seconds": pause})
    except Exception as error:
        pause = jobs.put_off(job, type(error).__name__)
        logger.exception("a job failed", extra={**about, "Seconds": pause})
    else:
        jobs.finish(job)
        logger.info("a job is done", extra=about)
    return True
