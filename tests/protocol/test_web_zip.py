"""Zip files: what was stored comes out, as a file-set that other people's tools can read."""

import gc
import io
import random
import re
import subprocess
import warnings
import zipfile
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.fileset import FileSet
from pydicom.uid import generate_uid

from dicomweb.zips import zip_bytes
from tests.conftest import Server
from tests.protocol.web import dataset_bytes, path_of, read, stow, write
from tests.samples import sample

ZIP = {"Accept": "application/zip"}
AS_STORED = {"Accept": "application/zip; transfer-syntax=*"}
NAMES = (
    "ct_head_phantom_54/I100.dcm",
    "ct_head_phantom_54/I110.dcm",
    "ct_syntaxes/JPEG2000LosslessOnly.dcm",
    "generated/encapsulated_pdf.dcm",
    "charset/chrH31.dcm",
)


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the running server."""
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def study(client: httpx.Client) -> list[pydicom.Dataset]:
    """A new study of several kinds of objects in three series."""
    uid, series = generate_uid(), [generate_uid() for _ in range(3)]
    found = []
    names = [path for path in map(sample, NAMES) if path.exists()] + sorted(sample("sr").glob("*.dcm"))[:1]
    for number, path in enumerate(names):
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = uid, series[min(number // 2, 2)]
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.PatientID, ds.InstanceNumber = "ZIP", number + 1
        ds.SeriesNumber, ds.StudyID, ds.StudyDate, ds.StudyTime = min(number // 2, 2) + 1, "S1", "20240102", "1200"
        found.append(ds)
        assert stow(client, write(ds)).status_code == 200
    return found


def unpacked(response: httpx.Response) -> zipfile.ZipFile:
    """The zip of an answer, every check sum verified."""
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == "application/zip"
    found = zipfile.ZipFile(io.BytesIO(response.content))
    assert found.testzip() is None
    assert {member.compress_type for member in found.infolist()} == {zipfile.ZIP_STORED}
    return found


def test_objects_come_out_as_they_are_stored(client: httpx.Client, study: list[pydicom.Dataset]) -> None:
    response = client.get(f"/studies/{study[0].StudyInstanceUID}", headers=AS_STORED)
    found = unpacked(response)
    assert int(response.headers["content-length"]) == len(response.content)
    assert response.headers["content-disposition"] == f'attachment; filename="{study[0].StudyInstanceUID}.zip"'
    names = [name for name in found.namelist() if name != "DICOMDIR"]
    stored = {ds.SOPInstanceUID: dataset_bytes(write(ds)) for ds in study}
    assert {read(found.read(name)).SOPInstanceUID: dataset_bytes(found.read(name)) for name in names} == stored


def test_series_and_instances_are_zipped_too(client: httpx.Client, study: list[pydicom.Dataset]) -> None:
    path = path_of(study[0])
    series, _, _ = path.partition("/instances/")
    assert len(unpacked(client.get(series, headers=AS_STORED)).namelist()) == 3
    assert len(unpacked(client.get(path, headers=AS_STORED)).namelist()) == 2
    assert len(unpacked(client.get(f"{path}?accept=application/zip")).namelist()) == 2


def test_objects_are_converted_on_request(client: httpx.Client, study: list[pydicom.Dataset]) -> None:
    found = unpacked(client.get(f"/studies/{study[0].StudyInstanceUID}", headers=ZIP))
    images = 0
    for name in found.namelist():
        ds = read(found.read(name))
        assert ds.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.1"
        original = next((one for one in study if one.SOPInstanceUID == ds.get("SOPInstanceUID")), None)
        if original is not None and "PixelData" in ds:
            assert (ds.pixel_array == original.pixel_array).all()
            images += 1
    assert images >= 3


def test_the_directory_is_that_of_a_file_set(
    client: httpx.Client, study: list[pydicom.Dataset], tmp_path: Path
) -> None:
    found = unpacked(client.get(f"/studies/{study[0].StudyInstanceUID}", headers=AS_STORED))
    assert found.namelist()[0] == "DICOMDIR"
    found.extractall(tmp_path)
    for name in found.namelist():
        assert re.fullmatch(r"([A-Z0-9_]{1,8}/){0,7}[A-Z0-9_]{1,8}", name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        files = FileSet(tmp_path / "DICOMDIR")
        assert {one.SOPInstanceUID for one in files} == {ds.SOPInstanceUID for ds in study}
        for one in files:
            assert pydicom.dcmread(one.path).SOPInstanceUID == one.SOPInstanceUID
        del files, one
        gc.collect()  # A file-set says something when its temporary folder goes.
    done = subprocess.run(["/usr/bin/dcmdump", "-q", str(tmp_path / "DICOMDIR")], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    checked = subprocess.run(["dciodvfy", str(tmp_path / "DICOMDIR")], capture_output=True, text=True)
    assert "BasicDirectory" in checked.stderr
    assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []


def test_the_same_study_is_the_same_zip(client: httpx.Client, study: list[pydicom.Dataset]) -> None:
    path = f"/studies/{study[0].StudyInstanceUID}"
    first, second = (client.get(path, headers=AS_STORED) for _ in range(2))
    assert first.content == second.content
    again = client.get(path, headers={**AS_STORED, "If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content) == (304, b"")


def test_what_is_not_there_is_not_zipped(client: httpx.Client) -> None:
    response = client.get("/studies/1.2.3.4.5", headers=ZIP)
    assert (response.status_code, response.json()["error"]["status"]) == (404, 404)


@pytest.mark.parametrize("count", [0, 1, 7, 70_000])
def test_the_length_is_known_beforehand(count: int) -> None:
    chance = random.Random(count)
    sizes = [(f"I{number:07}"[: chance.randint(1, 8)] + str(number), chance.randint(0, 40)) for number in range(count)]
    written = io.BytesIO()

    class Outbox:
        def write(self, data: bytes) -> int:
            return written.write(data)

        def flush(self) -> None:
            pass

    with zipfile.ZipFile(Outbox(), "w") as archive:  # type: ignore[call-overload]
        for name, size in sizes:
            with archive.open(zipfile.ZipInfo(name), "w", force_zip64=True) as file:
                file.write(bytes(size))
    assert zip_bytes(sizes) == len(written.getvalue())
