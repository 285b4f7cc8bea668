"""Run a server under strace while instances stream in; then cut the power at many moments of what it did to its disk.

After each cut a new server is started on what the disk kept, and everything that had been acknowledged to a client
before the moment of the cut has to be there. A client knows of an acknowledgement after the server's last system
call for it, so the clients' clock never names an instance too early.
"""

import bisect
import os
import random
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.conftest import Server, environment, free_port, launch, to_toml
from tests.flows.archive_check import check, check_database
from tests.flows.disk import Keep
from tests.flows.file_trace import REBUILT, Event, Replay, command, events
from tests.flows.senders import Ledger, sending

_START_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Recording:
    """What a server did, and what it acknowledged meanwhile."""

    folder: Path
    events: list[Event]
    ledger: Ledger

    def acknowledged_before(self, time: float) -> Ledger:
        """The ledger as it was at that time; what came later was perhaps attempted."""
        ledger = Ledger(attempted=dict(self.ledger.attempted))
        ledger.acknowledged = {
            uid: sent for uid, sent in self.ledger.acknowledged.items() if self.ledger.times[uid] < time
        }
        return ledger


def record(folder: Path, count: int) -> Recording:
    """Let a fresh server take in at least this many instances by C-STORE and STOW-RS, and stop it."""
    folder.mkdir()
    web_port, dimse_port = free_port(), free_port()
    (folder / "pacs.toml").write_text(to_toml({"web": {"port": web_port}, "dimse": {"port": dimse_port}}))
    trace = folder.parent / f"{folder.name}.trace"
    program = [sys.executable, "-m", "pacs", "--config", "pacs.toml", "serve"]
    process = subprocess.Popen(
        command(program, trace),
        cwd=folder,
        env=environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    overdue = threading.Timer(_START_SECONDS, process.kill)
    overdue.start()
    assert process.stdout is not None
    try:
        assert "ready" in process.stdout.readline()
        ledger = Ledger()
        with sending(web_port=web_port, dimse_port=dimse_port, ledger=ledger, seed="power"):
            ledger.wait_for(count)
        os.kill(_child_of(process.pid), signal.SIGTERM)
        process.wait()
    finally:
        overdue.cancel()
        process.kill()
        process.wait()
        process.stdout.close()
    assert not ledger.refusals, ledger.refusals
    concerned = _concerned(folder, trace)
    trace.unlink()
    return Recording(folder, concerned, ledger)


def _child_of(pid: int) -> int:
    return int(Path(f"/proc/{pid}/task/{pid}/children").read_text().split()[0])


def _concerned(folder: Path, trace: Path) -> list[Event]:
    """The events that concern the folder; a first replay finds them, and whatever cannot be modelled."""
    replay = Replay(folder)
    return [event for event in events(trace) if replay.play(event)]


def cut(recording: Recording, moments: list[int], keep: Callable[[], Keep]) -> Iterator[tuple[Replay, Path]]:
    """Cut the power after each of these events, in ascending order. Yields what was replayed and the folder left."""
    replay = Replay(recording.folder)
    done = 0
    for moment in sorted(moments):
        for event in recording.events[done:moment]:
            replay.play(event)
        done = max(done, moment)
        left = recording.folder.parent / f"after-{moment}"
        left.mkdir()
        replay.disk.after_cut(left, keep(), without=REBUILT)
        yield replay, left
        shutil.rmtree(left)


def check_after_cut(recording: Recording, time: float, left: Path) -> int:
    """Start a server on the folder and hold it to what was acknowledged before the time. Returns how much that was."""
    settings: dict[str, dict[str, Any]] = {"web": {"port": free_port()}, "dimse": {"port": free_port()}}
    (left / "pacs.toml").write_text(to_toml(settings))
    server = Server(left, settings, launch(left))
    try:
        ledger = recording.acknowledged_before(time)
        check(server.web_port, ledger, retrieve=list(ledger.acknowledged.values()))
        check_database(left / "data" / "index.sqlite")
    finally:
        server.stop()
    return len(ledger.acknowledged)


def moments(recording: Recording, chance: random.Random, count: int) -> list[int]:
    """Moments of the whole life of the server: its first start, its work, amid a checkpoint of the index, its end."""
    times = [event.time for event in recording.events]
    first = bisect.bisect_left(times, min(recording.ledger.times.values()))
    last = bisect.bisect_right(times, max(recording.ledger.times.values()))
    working = [chance.randint(first, last) for _ in range(count)]
    amid = [number for number in checkpoints(recording) if first < number < last]
    working += chance.sample(amid, min(1, len(amid)))
    return sorted({chance.randrange(first), *working, chance.randint(last, len(times)), len(times)})


def checkpoints(recording: Recording) -> list[int]:
    """The events that write to the main file of the index: SQLite does so only when it empties its log."""
    return [number for number, event in enumerate(recording.events) if event.writes_to("index.sqlite")]
