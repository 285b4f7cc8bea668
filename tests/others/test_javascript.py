"""The JavaScript libraries that viewers are made of: dicomweb-client and dcmjs, run by Node.js."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from tests.conftest import Server, start
from tests.protocol.web import stow
from tests.samples import sample

FOLDER = Path(__file__).parent / "javascript"


@pytest.fixture(scope="module")
def libraries() -> Path:
    """The folder with the libraries as the lock file names them; fetched when they are not there yet."""
    installed = FOLDER / "node_modules" / ".package-lock.json"
    lock = FOLDER / "package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        npm = shutil.which("npm")
        assert npm, "npm is missing: run `make tools`"
        subprocess.run([npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"], cwd=FOLDER, check=True, timeout=300)
        os.utime(installed)
    return FOLDER


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of their own: other tests store the sample in other syntaxes and under the same UIDs."""
    running = start(tmp_path_factory.mktemp("javascript"))
    yield running
    running.stop()


@pytest.mark.parametrize("name", ["ct_head_phantom_54/I100.dcm", "ct_syntaxes/RLELossless.dcm"])
def test_viewer_libraries(archive: Server, libraries: Path, name: str) -> None:
    path = sample(name)
    ds = pydicom.dcmread(path)
    with httpx.Client(base_url=archive.dicomweb_url) as client:
        assert stow(client, path.read_bytes()).status_code == 200
    uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    run = subprocess.run(
        ["node", "archive.mjs", archive.dicomweb_url, *uids], cwd=libraries, capture_output=True, timeout=120, text=True
    )
    assert run.returncode == 0, run.stderr
    found = json.loads(run.stdout.splitlines()[-1])
    assert found["studies"] == [ds.StudyInstanceUID]
    assert ds.SeriesInstanceUID in found["series"]
    assert ds.SOPInstanceUID in found["instances"] and ds.SOPInstanceUID in found["files"]
    assert [row[1] for row in found["metadata"] if row[0] == ds.SOPInstanceUID] == [ds.Rows]
    assert found["patientName"] == str(ds.PatientName)
    if ds.file_meta.TransferSyntaxUID.is_compressed:
        ds.decompress()
    assert found["frameLength"] == len(ds.PixelData) // int(ds.get("NumberOfFrames", 1))
    assert bytes(found["frameBytes"]) == ds.PixelData[:64]
    assert bytes(found["rendered"])[:3] == b"\xff\xd8\xff"
    asked, got, length = found["copy"]
    assert asked == got and length == len(ds.PixelData)
