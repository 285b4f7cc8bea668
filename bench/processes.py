"""What a process tree costs: CPU seconds, resident memory; and free ports to put servers on.

Everything is read from `/proc`, so the server under measurement runs no code of ours for it.
"""

import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

_TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


def free_port() -> int:
    """A TCP port on loopback that nobody listens on at the moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def tree(root_pid: int) -> list[int]:
    """The process and all that descend from it."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit() and (stat := _stat(int(entry.name))):
            children.setdefault(int(stat[1]), []).append(int(entry.name))
    found, waiting = [], [root_pid]
    while waiting:
        pid = waiting.pop()
        found.append(pid)
        waiting.extend(children.get(pid, ()))
    return found


def cpu_seconds(root_pid: int) -> float:
    """User and system time of the tree so far, children that have ended and were waited for included."""
    total = 0
    for pid in tree(root_pid):
        if stat := _stat(pid):
            total += sum(int(ticks) for ticks in stat[11:15])
    return total / _TICKS_PER_SECOND


def resident_bytes(root_pid: int) -> int:
    """Resident memory of the tree. Pages that processes share are counted once each: their proportional share (PSS)."""
    total = 0
    for pid in tree(root_pid):
        try:
            rollup = Path(f"/proc/{pid}/smaps_rollup").read_text(encoding="ascii")
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in rollup.splitlines() if line.startswith("Pss:"))
    return total * 1024


def _stat(pid: int) -> list[str] | None:
    """Fields of `/proc/PID/stat` from `state` on, or None when the process is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


@dataclass(slots=True)
class Cost:
    """What a stretch of work cost."""

    wall_seconds: float = 0.0
    cpu_seconds: float = 0.0


@contextmanager
def measured(root_pid: int) -> Iterator[Cost]:
    """Take wall time and the tree's CPU time around a block."""
    cost = Cost()
    cpu_before, started = cpu_seconds(root_pid), time.perf_counter()
    yield cost
    cost.wall_seconds = time.perf_counter() - started
    cost.cpu_seconds = cpu_seconds(root_pid) - cpu_before


@dataclass(slots=True)
class MemoryPeak:
    """Highest resident size seen while sampling."""

    peak_bytes: int = 0
    _stop: threading.Event = field(default_factory=threading.Event)

    def sample_until_stopped(self, root_pid: int, every_seconds: float) -> None:
        """Body of the sampling thread."""
        while not self._stop.wait(every_seconds):
            self.peak_bytes = max(self.peak_bytes, resident_bytes(root_pid))


@contextmanager
def memory_watched(root_pid: int) -> Iterator[MemoryPeak]:
    """Sample the tree's memory five times a second; the work inside must not be timed."""
    peak = MemoryPeak()
    thread = threading.Thread(target=peak.sample_until_stopped, args=(root_pid, 0.2), daemon=True)
    thread.start()
    try:
        yield peak
    finally:
        peak._stop.set()
        thread.join()


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], timeout_seconds: float) -> None:
    """Poll every 10 ms until ready; fail when the process ends or time is up."""
    deadline = time.monotonic() + timeout_seconds
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"server ended with status {process.returncode} before it was ready")
        if time.monotonic() > deadline:
            raise TimeoutError(f"server not ready after {timeout_seconds} s")
        time.sleep(0.01)


def settle(root_pid: int, timeout_seconds: float = 10.0) -> None:
    """Wait until the tree uses less than 5 % of a core, so that background work of one is not charged to the next."""
    deadline = time.monotonic() + timeout_seconds
    while time.monotonic() < deadline:
        before = cpu_seconds(root_pid)
        time.sleep(0.2)
        if cpu_seconds(root_pid) - before <= 0.01:
            return
