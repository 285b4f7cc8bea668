"""SCUs that share no code with DCMTK or pynetdicom: odil (its own upper layer) and GDCM."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.conftest import Server, free_port, start
from tests.samples import sample

IMAGE = "ct_head_phantom_54/I100.dcm"


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    running = start(tmp_path_factory.mktemp("ours"))
    yield running
    running.stop()


def odil(command: str, server: Server, *arguments: str, cwd: Path | None = None) -> str:
    address = ("127.0.0.1", str(server.dimse_port), "ODIL", server.ae_title)
    run = subprocess.run(["odil", command, *address, *arguments], capture_output=True, text=True, timeout=60, cwd=cwd)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


def test_odil(ours: Server, tmp_path: Path) -> None:
    ds = pydicom.dcmread(sample(IMAGE))
    odil("echo", ours)
    odil("store", ours, str(sample(IMAGE)))
    found = odil("find", ours, "study", "QueryRetrieveLevel=STUDY", f"PatientID={ds.PatientID}", "StudyInstanceUID=")
    assert ds.StudyInstanceUID in found
    odil("get", ours, "study", "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={ds.StudyInstanceUID}", cwd=tmp_path)
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    assert pydicom.dcmread(path).PixelData == ds.PixelData


def gdcmscu(port: int, called: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["gdcmscu", *arguments, "--aetitle", "GDCM", "--call", called, "127.0.0.1", str(port)],
        capture_output=True,
        text=True,
        timeout=60,
    )


def test_gdcm(ours: Server, tmp_path: Path) -> None:
    """Debian's gdcmscu ends every association by crashing, whoever its peer is; the work before that is done."""
    port = free_port()
    with subprocess.Popen(
        ["storescp", "--output-directory", str(tmp_path), str(port)], executable="/usr/bin/storescp"
    ) as peer:
        try:
            assert "ProtocolStream as nullptr" in gdcmscu(port, "ANY", "--echo").stderr
        finally:
            peer.terminate()
    ds = pydicom.dcmread(sample("mr_enhanced/" + sorted(path.name for path in sample("mr_enhanced").iterdir())[0]))
    assert "ProtocolStream as nullptr" in gdcmscu(ours.dimse_port, ours.ae_title, "--echo").stderr
    gdcmscu(ours.dimse_port, ours.ae_title, "--store", "-i", str(ds.filename))
    query = {"SOPInstanceUID": str(ds.SOPInstanceUID)}
    assert len(httpx.get(f"{ours.dicomweb_url}/instances", params=query).json()) == 1
