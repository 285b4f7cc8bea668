"""One parent, many children: `pacs serve` and its parts.

The parent does three things. It imports everything once, so that children share the memory and a new
one starts in milliseconds; it owns the listening sockets, so that no connection is refused while a child
is replaced; and it replaces children that die. It builds no service and starts no thread, because only a
single-threaded process may be forked safely at any time. A child learns of the parent's death by the end
of a pipe that only the parent holds open (`pacs.lifeline`).
"""

import contextlib
import gc
import importlib
import logging
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from config.settings import Settings, SettingsError
from pacs.bind import check_exposure, listen
from pacs.lifeline import Lifeline

logger = logging.getLogger(__name__)

ROLES = ("web", "listener", "worker")

Sockets = Mapping[str, socket.socket]
"""Listening sockets by purpose: `web`, `dimse`, `dimse_tls`."""

_HEALTHY_SECONDS = 10.0
_LONGEST_PAUSE_SECONDS = 10.0
_ATTEMPTS_AT_START = 4

_YOUNG_OBJECTS = 20_000
"""New objects, freed ones deducted, after which the collector looks for cycles. Taking in one instance makes more
than the usual 700, all of them gone without its help when the instance is stored: it cost a tenth of an ingest."""


class StartFailed(Exception):
    """A child process died again and again before it was ready."""


@dataclass(slots=True)
class _Child:
    """One place for a process: what runs there now, and how often it failed in a row."""

    role: str
    pid: int = 0
    ready_pipe: int = -1
    ready: bool = False
    ever_ready: bool = False
    started: float = 0.0
    failures: int = 0
    start_at: float = field(default_factory=time.monotonic)


class Supervisor:
    """Runs the children of the given roles until a signal says stop."""

    def __init__(self, settings: Settings, sockets: Sockets, roles: tuple[str, ...]) -> None:
        self._settings = settings
        self._sockets = sockets
        counts = {"web": settings.web.workers, "listener": settings.dimse.processes, "worker": 1}
        self._children = [_Child(role) for role in roles for _ in range(counts[role])]
        self._alive_read, self._alive_write = os.pipe()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._stop_signals = 0

    def run(self, on_ready: Callable[[], None]) -> None:
        """Start all children, call `on_ready` once, replace what dies, return when all have stopped."""
        signal.set_wakeup_fd(self._wake_write, warn_on_full_buffer=False)
        for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
            signal.signal(number, self._note)
        gc.collect()
        gc.freeze()
        gc.set_threshold(_YOUNG_OBJECTS)
        announced = False
        while not self._stop_signals:
            self._start_due()
            self._wait()
            self._reap()
            if not announced and all(child.ever_ready for child in self._children):
                announced = True
                on_ready()
        self._stop()

    def _note(self, number: int, _frame: object) -> None:
        if number != signal.SIGCHLD:
            self._stop_signals += 1

    def _start_due(self) -> None:
        now = time.monotonic()
        for child in self._children:
            if not child.pid and child.start_at <= now:
                self._start(child)

    def _start(self, child: _Child) -> None:
        ready_read, ready_write = os.pipe()
        child.started, child.ready, child.ready_pipe = time.monotonic(), False, ready_read
        child.pid = os.fork()
        if child.pid == 0:
            self._be_child(child.role, ready_write)
        os.close(ready_write)

    def _be_child(self, role: str, ready_pipe: int) -> None:
        """Never returns: nothing of the parent's stack may run in the child."""
        status = 1
        try:
            signal.set_wakeup_fd(-1)
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
                signal.signal(number, signal.SIG_DFL)
            for pipe in (self._alive_write, self._wake_read, self._wake_write):
                os.close(pipe)
            module = importlib.import_module(f"pacs.{role}")
            module.run(self._settings, self._sockets, Lifeline(alive=self._alive_read, ready=ready_pipe))
            status = 0
        except Exception:
            logger.exception("a process failed", extra={"role": role})
        finally:
            sys.stdout.flush()
            logging.shutdown()
            os._exit(status)

    def _wait(self) -> None:
        """Sleep until a signal, a child's ready byte or the next start that is due."""
        pipes = [child.ready_pipe for child in self._children if child.ready_pipe >= 0]
        due = [child.start_at for child in self._children if not child.pid]
        pause = max(0.0, min(due) - time.monotonic()) if due else None
        readable, _, _ = select.select([self._wake_read, *pipes], [], [], pause)
        for child in self._children:
            if child.ready_pipe in readable:
                child.ready = os.read(child.ready_pipe, 1) == b"1"
                child.ever_ready |= child.ready
                os.close(child.ready_pipe)
                child.ready_pipe = -1
        self._drain()

    def _drain(self) -> None:
        with contextlib.suppress(BlockingIOError):
            os.read(self._wake_read, 4096)

    def _reap(self) -> None:
        for child in self._children:
            if not child.pid:
                continue
            pid, status = os.waitpid(child.pid, os.WNOHANG)
            if pid:
                self._bury(child, os.waitstatus_to_exitcode(status))

    def _bury(self, child: _Child, exit_code: int) -> None:
        lived = time.monotonic() - child.started
        child.failures = 1 if lived > _HEALTHY_SECONDS else child.failures + 1
        child.pid = 0
        if child.ready_pipe >= 0:
            os.close(child.ready_pipe)
            child.ready_pipe = -1
        if self._stop_signals:
            return
        if not child.ever_ready and child.failures >= _ATTEMPTS_AT_START:
            self._stop()
            raise StartFailed(f"the {child.role} process does not start; the reason is in the log above")
        # The first replacement comes at once: whoever was served by the dead one is waiting.
        pause = 0.0 if child.failures == 1 else min(_LONGEST_PAUSE_SECONDS, 0.1 * 2.0**child.failures)
        child.start_at = time.monotonic() + pause
        logger.error("a process died", extra={"role": child.role, "exit_code": exit_code, "restart_in_seconds": pause})

    def _stop(self) -> None:
        """Ask all children to finish, and end those that take too long or when asked a second time."""
        deadline = time.monotonic() + self._settings.web.shutdown_seconds + 2
        asked = self._stop_signals
        self._signal_all(signal.SIGTERM)
        while any(child.pid for child in self._children):
            select.select([self._wake_read], [], [], 0.05)
            self._drain()
            self._reap_stopped()
            if time.monotonic() > deadline or self._stop_signals > asked:
                self._signal_all(signal.SIGKILL)
                deadline = float("inf")
                asked = self._stop_signals
        signal.set_wakeup_fd(-1)

    def _reap_stopped(self) -> None:
        for child in self._children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                child.pid = 0

    def _signal_all(self, number: signal.Signals) -> None:
        for child in self._children:
            if child.pid:
                os.kill(child.pid, number)


def open_sockets(settings: Settings, roles: tuple[str, ...]) -> dict[str, socket.socket]:
    """Check that we may listen where the settings say, and do. Raises SettingsError."""
    web, dimse = "web" in roles, "listener" in roles
    check_exposure(settings, web=web, dimse=dimse)
    sockets = {}
    if web:
        sockets["web"] = listen(settings.web.host, settings.web.port, "web.port")
    if dimse and settings.dimse.port:
        sockets["dimse"] = listen(settings.dimse.host, settings.dimse.port, "dimse.port")
    if dimse and settings.dimse.tls_port:
        sockets["dimse_tls"] = listen(settings.dimse.host, settings.dimse.tls_port, "dimse.tls_port")
    if roles == ("listener",) and not sockets:
        raise SettingsError("dimse.port and dimse.tls_port are both 0: there is nothing to listen on")
    return sockets


def supervise(
    settings: Settings,
    roles: tuple[str, ...],
    on_ready: Callable[[Sockets], None],
    prepare: Callable[[Settings], None] | None = None,
) -> None:
    """Run the roles until stopped. Before anything is served, the database's schema is brought up to date and
    `prepare` is called, both in a child: the parent must never have an open database."""
    sockets = open_sockets(settings, roles)
    if not {"dimse", "dimse_tls"} & set(sockets):
        roles = tuple(role for role in roles if role != "listener")
    for role in roles:
        importlib.import_module(f"pacs.{role}")
    _run_in_child(settings, prepare)
    Supervisor(settings, sockets, roles).run(lambda: on_ready(sockets))


def _run_in_child(settings: Settings, prepare: Callable[[Settings], None] | None) -> None:
    upgrade = importlib.import_module("pacs.migrations").upgrade
    pid = os.fork()
    if pid == 0:
        status = 1
        try:
            upgrade(settings.database.url)
            if prepare:
                prepare(settings)
            status = 0
        except Exception:
            logger.exception("the archive cannot be prepared")
        finally:
            logging.shutdown()
            os._exit(status)
    if os.waitpid(pid, 0)[1]:
        raise StartFailed("the index or the object store cannot be used; the reason is in the log above")
