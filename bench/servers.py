"""Start the two servers under measurement, each with its own folder, ports and nothing else shared.

Orthanc is Debian's package with its DICOMweb plug-in. It gets the benefit of TCP_NODELAY (DCMTK, which it is built
on, reads the environment for that), no authentication, and otherwise its defaults. We run as `pacs serve` does.
"""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench import processes

REPOSITORY = Path(__file__).resolve().parent.parent
ORTHANC_PLUGIN = Path("/usr/share/orthanc/plugins/libOrthancDicomWeb.so")
SINK_AE_TITLE = "SINK"
_ENDPOINT_KEYS = ("PACS_", "TCP_NODELAY", "TCP_BUFFER_LENGTH")


@dataclass(frozen=True, slots=True)
class Server:
    """A running server."""

    name: str
    pid: int
    web_port: int
    dimse_port: int
    ae_title: str
    base_path: str
    ready_seconds: float
    folder: Path

    @property
    def is_orthanc(self) -> bool:
        """True for the peer."""
        return self.name == "Orthanc"


def environment(*, nodelay: bool, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    """This process's environment without settings of ours that could leak in.

    The virtual environment leaves the search path, because pynetdicom puts a `storescp` of its own there.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_ENDPOINT_KEYS)}
    own_scripts = str(Path(sys.executable).parent)
    kept["PATH"] = os.pathsep.join(path for path in kept["PATH"].split(os.pathsep) if path != own_scripts)
    if nodelay:
        kept["TCP_NODELAY"] = "1"
    return kept | dict(extra or {})


@contextmanager
def orthanc(folder: Path, *, sink_port: int, nodelay: bool = True) -> Iterator[Server]:
    """Orthanc on loopback."""
    folder.mkdir(parents=True)
    web_port, dimse_port = processes.free_port(), processes.free_port()
    configuration = {
        "Name": "bench",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": web_port,
        "DicomPort": dimse_port,
        "DicomAet": "ORTHANC",
        "RemoteAccessAllowed": True,
        "AuthenticationEnabled": False,
        "DicomAlwaysAllowEcho": True,
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "DicomCheckCalledAet": False,
        "TcpNoDelay": nodelay,
        "UnknownSopClassAccepted": True,
        "DicomModalities": {SINK_AE_TITLE: [SINK_AE_TITLE, "127.0.0.1", sink_port]},
        "Plugins": [str(ORTHANC_PLUGIN)],
        "DicomWeb": {"Enable": True},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration, indent=2), encoding="utf-8")
    with _running(["Orthanc", str(path)], folder, environment(nodelay=nodelay), (web_port, dimse_port)) as (pid, ready):
        yield Server("Orthanc", pid, web_port, dimse_port, "ORTHANC", "/dicom-web", ready, folder)


@contextmanager
def pacs(
    folder: Path, *, sink_port: int, settings: Mapping[str, str] | None = None, name: str = "pacs"
) -> Iterator[Server]:
    """Our server as `pacs serve` starts it, everything in one folder."""
    folder.mkdir(parents=True, exist_ok=True)
    web_port = int((settings or {}).get("PACS_WEB_PORT") or processes.free_port())
    dimse_port = processes.free_port()
    path = folder / "pacs.toml"
    peer = f'ae_title = "{SINK_AE_TITLE}"\nhost = "127.0.0.1"\nport = {sink_port}\n'
    path.write_text(f"[[dimse.peers]]\n{peer}", encoding="utf-8")
    extra = {
        "PACS_CONFIG": str(path),
        "PACS_WEB_PORT": str(web_port),
        "PACS_DIMSE_PORT": str(dimse_port),
        "PACS_DATABASE_URL": f"sqlite:///{folder / 'index.sqlite'}",
        "PACS_STORAGE_URL": f"file:{folder / 'objects'}",
        "PACS_LOG_AUDIT_FILE": str(folder / "audit.jsonl"),
        "PACS_LOG_LEVEL": "warning",
        "PACS_DIMSE_MAXIMUM_ASSOCIATIONS_PER_PEER": "150",
        "PYTHONPATH": str(REPOSITORY),
    } | dict(settings or {})
    command = [sys.executable, "-c", "from pacs.cli import main; main()", "serve"]
    with _running(command, folder, environment(nodelay=False, extra=extra), (web_port, dimse_port)) as (pid, ready):
        yield Server(name, pid, web_port, dimse_port, "PACS", "/dicomweb", ready, folder)


@contextmanager
def sink(port: int) -> Iterator[int]:
    """DCMTK's `storescp --ignore`: takes everything, keeps nothing. Yields its process id."""
    command = [
        "storescp",
        "--ignore",
        "--fork",
        "--accept-all",
        "--max-pdu",
        "131072",
        "-aet",
        SINK_AE_TITLE,
        str(port),
    ]
    process = subprocess.Popen(
        command, env=environment(nodelay=True), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        processes.wait_until(lambda: listens(port), process, 10)
        yield process.pid
    finally:
        _stop(process)


@contextmanager
def _running(
    command: list[str], folder: Path, env: dict[str, str], ports: tuple[int, ...]
) -> Iterator[tuple[int, float]]:
    """Run a server until the block ends. Yields its process id and how long it took until all ports answered."""
    with (folder / "log").open("ab") as log:
        started = time.perf_counter()
        process = subprocess.Popen(command, cwd=folder, env=env, stdout=log, stderr=log)
        try:
            processes.wait_until(lambda: all(listens(port) for port in ports), process, 60)
            yield process.pid, time.perf_counter() - started
        finally:
            _stop(process)


def listens(port: int) -> bool:
    """True when something accepts connections on the port."""
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


def _stop(process: subprocess.Popen[bytes]) -> None:
    """Ask the process to end; after 20 seconds make its whole tree end."""
    process.send_signal(signal.SIGTERM)
    try:
        process.wait(20)
    except subprocess.TimeoutExpired:
        for pid in reversed(processes.tree(process.pid)):
            os.kill(pid, signal.SIGKILL)
        process.wait()
