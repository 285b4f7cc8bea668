"""Orthanc as another archive to talk to: a real process on loopback, in a folder of its own."""

import contextlib
import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from tests.conftest import free_port

PLUGIN = "/usr/share/orthanc/plugins/libOrthancDicomWeb.so"
AE_TITLE = "ORTHANC"


@dataclass(frozen=True)
class Orthanc:
    """A running Orthanc."""

    web_port: int
    dimse_port: int

    @property
    def url(self) -> str:
        """Root of its REST interface."""
        return f"http://127.0.0.1:{self.web_port}"

    def post(self, path: str, body: Any, *, status: int = 200) -> Any:
        """POST JSON to its REST interface and read the JSON of the answer."""
        answer = httpx.post(f"{self.url}{path}", json=body, timeout=60)
        assert answer.status_code == status, f"{path}: {answer.status_code} {answer.text[:500]}"
        return answer.json() if answer.text else None

    def instances(self) -> set[str]:
        """SOP Instance UIDs of everything it holds."""
        found = httpx.get(f"{self.url}/instances?expand", timeout=60).json()
        return {item["MainDicomTags"]["SOPInstanceUID"] for item in found}


@contextlib.contextmanager
def running(
    folder: Path, *, modalities: dict[str, Any] | None = None, webs: dict[str, Any] | None = None
) -> Iterator[Orthanc]:
    """Orthanc that knows these DIMSE `modalities` (name: [AE title, host, port]) and DICOMweb servers (name: URL)."""
    folder.mkdir(parents=True, exist_ok=True)
    server = Orthanc(free_port(), free_port())
    configuration = {
        "Name": "peer",
        "StorageDirectory": str(folder / "storage"),
        "IndexDirectory": str(folder / "index"),
        "HttpPort": server.web_port,
        "DicomPort": server.dimse_port,
        "DicomAet": AE_TITLE,
        "DefaultEncoding": "Utf8",
        "AuthenticationEnabled": False,
        "DicomCheckCalledAet": False,
        "DicomModalities": modalities or {},
        "DicomAlwaysAllowStore": True,
        "DicomAlwaysAllowFind": True,
        "DicomAlwaysAllowGet": True,
        "DicomAlwaysAllowMove": True,
        "UnknownSopClassAccepted": True,
        "TcpNoDelay": True,
        "Plugins": [PLUGIN],
        "DicomWeb": {"Enable": True, "Servers": webs or {}},
    }
    path = folder / "orthanc.json"
    path.write_text(json.dumps(configuration))
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(["Orthanc", str(path)], cwd=folder, stdout=log, stderr=log)
        try:
            _wait(server, process, folder)
            yield server
        finally:
            process.terminate()
            process.wait(30)


def _wait(server: Orthanc, process: subprocess.Popen[bytes], folder: Path) -> None:
    deadline = time.monotonic() + 60
    while True:
        assert process.poll() is None and time.monotonic() < deadline, (folder / "log").read_text(errors="replace")
        with contextlib.suppress(httpx.TransportError):
            httpx.get(f"{server.url}/system")
            return
        time.sleep(0.1)
