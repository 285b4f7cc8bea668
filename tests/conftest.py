"""A real server for every test that wants one: `pacs serve` as a process, on free ports, in a temporary folder."""

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import hypothesis
import pytest

# A build must not fail by chance on what another change has broken; people's own runs go on looking for new cases.
hypothesis.settings.register_profile("build", derandomize=True, print_blob=True)
if os.environ.get("CI"):
    hypothesis.settings.load_profile("build")

START_SECONDS = 60

_PORTS_EACH = 500
"""Ports of one test process, reused in turn."""


def _port_numbers() -> Iterator[int]:
    """The ports of this test process, from 10000 on: its part by the number of the process, begun anywhere.

    Below 32768, where systems begin to take ports for outgoing connections: those would take a port in the time between
    its choice and the start of the server.
    """
    process = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw")) % 40
    begin = os.getpid() % _PORTS_EACH
    for step in itertools.count():
        yield 10000 + process * _PORTS_EACH + (begin + step) % _PORTS_EACH


_port_number = _port_numbers()


def free_port() -> int:
    """A TCP port that nobody listens on, and that no other test process and no outgoing connection will take."""
    for number in itertools.islice(_port_number, _PORTS_EACH):
        with socket.socket() as sock, contextlib.suppress(OSError):
            sock.bind(("127.0.0.1", number))
            return number
    raise OSError(f"All {_PORTS_EACH} ports of this test process are taken.")


def to_toml(sections: dict[str, dict[str, Any]]) -> str:
    """Settings as TOML; JSON's scalars and lists are TOML's, tables become inline tables."""

    def value(item: Any) -> str:
        if isinstance(item, dict):
            return "{" + ", ".join(f"{key} = {value(inner)}" for key, inner in item.items()) + "}"
        if isinstance(item, (list, tuple)):
            return "[" + ", ".join(value(inner) for inner in item) + "]"
        return json.dumps(str(item) if isinstance(item, Path) else item)

    lines = []
    for name, table in sections.items():
        lines += [f"[{name}]", *(f"{key} = {value(item)}" for key, item in table.items()), ""]
    return "\n".join(lines)


@dataclass
class Server:
    """A running `pacs serve`."""

    folder: Path
    """Working folder: pacs.toml, server.log, data/index.sqlite, data/objects, data/audit.jsonl."""
    settings: dict[str, dict[str, Any]]
    process: subprocess.Popen[str] = field(repr=False)

    @property
    def pid(self) -> int:
        """Process id of the supervisor."""
        return self.process.pid

    @property
    def web_port(self) -> int:
        """HTTP port."""
        return self.settings["web"]["port"]

    @property
    def web_url(self) -> str:
        """`http://127.0.0.1:port`, no slash at the end."""
        return f"http://127.0.0.1:{self.web_port}"

    @property
    def dicomweb_url(self) -> str:
        """Root of the DICOMweb services."""
        return f"{self.web_url}/dicomweb"

    @property
    def dimse_port(self) -> int:
        """Port for plain DIMSE."""
        return self.settings["dimse"]["port"]

    @property
    def ae_title(self) -> str:
        """Our first AE title."""
        return self.settings["dimse"]["ae_titles"][0]

    def children(self) -> list[int]:
        """Process ids of the web, listener and worker processes."""
        text = Path(f"/proc/{self.pid}/task/{self.pid}/children").read_text()
        return [int(pid) for pid in text.split()]

    def log(self) -> str:
        """Everything the server wrote to its log so far."""
        return (self.folder / "server.log").read_text(errors="replace")

    def audit(self) -> list[dict[str, Any]]:
        """The audit trail so far."""
        path = self.folder / "data" / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def stop(self, sig: int = signal.SIGTERM) -> int:
        """Stop the server (SIGTERM: in order) and return its exit status."""
        if self.process.poll() is None:
            self.process.send_signal(sig)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise AssertionError(f"the server did not stop; its log ends:\n{tail(self.folder)}") from None

    def restart(self) -> None:
        """Start again in the same folder with the same settings, after `stop` or a kill."""
        self.stop()
        self.process = launch(self.folder)


def tail(folder: Path, lines: int = 60) -> str:
    """The end of the server's log, for the message of a failed test."""
    path = folder / "server.log"
    return "\n".join(path.read_text(errors="replace").splitlines()[-lines:]) if path.exists() else "(no log)"


def environment() -> dict[str, str]:
    """Our environment without settings that somebody exported for a server of his own."""
    return {key: value for key, value in os.environ.items() if not key.startswith("PACS_")}


def launch(folder: Path) -> subprocess.Popen[str]:
    """Start `pacs serve` in the folder and wait until it says that it is ready."""
    with (folder / "server.log").open("ab") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "pacs", "--config", "pacs.toml", "serve"],
            cwd=folder,
            env=environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=log,
            text=True,
        )
    assert process.stdout is not None
    overdue = threading.Timer(START_SECONDS, process.kill)
    overdue.start()
    line = process.stdout.readline()
    overdue.cancel()
    process.stdout.close()
    if "ready" not in line:
        process.kill()
        process.wait()
        raise AssertionError(f"the server did not start; it said {line!r} and its log ends:\n{tail(folder)}")
    return process


StartServer = Callable[..., Server]


def start(folder: Path, **sections: dict[str, Any]) -> Server:
    """Start a server with these settings beside free ports, e.g. `archive={"duplicates": "replace"}`."""
    settings: dict[str, dict[str, Any]] = {
        "web": {"port": free_port()},
        "dimse": {"port": free_port(), "ae_titles": ["PACS"]},
        **{name: {} for name in sections if name not in ("web", "dimse")},
    }
    for name, table in sections.items():
        settings[name].update(table)
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "pacs.toml").write_text(to_toml(settings))
    return Server(folder, settings, launch(folder))


@pytest.fixture(scope="session")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for the whole run, default settings: tests that use it must not depend on its being empty."""
    running = start(tmp_path_factory.mktemp("server"))
    yield running
    running.stop()


@pytest.fixture
def start_server(tmp_path: Path) -> Iterator[StartServer]:
    """A factory of servers of one's own: `start_server(dimse={"peers": [...]}, archive={"duplicates": "replace"})`."""
    running: list[Server] = []

    def start_one(**sections: dict[str, Any]) -> Server:
        running.append(start(tmp_path / f"server{len(running) + 1}", **sections))
        return running[-1]

    yield start_one
    for one in running:
        with contextlib.suppress(ProcessLookupError):
            one.stop()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Iterator[None]:
    """Show the end of the server's log beside a failed test that used it."""
    report = yield
    if report.failed and isinstance(item, pytest.Function):
        started = [value for value in item.funcargs.values() if isinstance(value, Server)]
        for one in started:
            report.sections.append(("server log", tail(one.folder)))
    return report
