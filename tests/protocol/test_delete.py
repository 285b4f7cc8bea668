"""DELETE and its undoing: what is deleted is gone for every service at once, and comes back as it was."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.conftest import Server
from tests.protocol.web import dataset_bytes, path_of, stow, write
from tests.samples import sample

FILE = {"Accept": "application/dicom; transfer-syntax=*"}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


def a_study(series: int = 2, instances: int = 2, **values: str) -> list[pydicom.Dataset]:
    """CT images of one new study and patient."""
    study, patient = generate_uid(), generate_uid()[-16:]
    made = []
    for number in range(series):
        uid = generate_uid()
        for _ in range(instances):
            ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
            ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = study, uid, patient
            ds.Modality = ("CT", "MR", "US")[number % 3]
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            for keyword, value in values.items():
                setattr(ds, keyword, value)
            made.append(ds)
    return made


def store(client: httpx.Client, *objects: pydicom.Dataset) -> None:
    answer = stow(client, *map(write, objects))
    assert answer.status_code == 200, answer.text


def find(server: Server, level: str, *keys: str) -> list[str]:
    """Identifiers that findscu prints, one line of the level's UID each."""
    command = ["/usr/bin/findscu", "-S", "-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)]
    for key in (f"QueryRetrieveLevel={level}", *keys):
        command += ["-k", key]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    name = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}[level]
    lines = [line for line in (done.stdout + done.stderr).splitlines() if line.rstrip().endswith(f" {name}")]
    return sorted(line.partition("[")[2].partition("]")[0].rstrip("\0 ") for line in lines)


def get(server: Server, folder: Path, *keys: str) -> list[str]:
    """SOP Instance UIDs that C-GET brings."""
    folder.mkdir()
    command = ["/usr/bin/getscu", "-S", "-od", str(folder), "-aec", server.ae_title]
    for key in keys:
        command += ["-k", key]
    subprocess.run([*command, "127.0.0.1", str(server.dimse_port)], capture_output=True, timeout=60, check=False)
    return sorted(pydicom.dcmread(path).SOPInstanceUID for path in folder.iterdir())


def check(client: httpx.Client, server: Server, folder: Path, visible: list[pydicom.Dataset], study: str) -> None:
    """Every service shows these instances of a study, and no other."""
    uids = sorted(ds.SOPInstanceUID for ds in visible)
    found = client.get("/instances", params={"StudyInstanceUID": study}).json()
    assert sorted(one["00080018"]["Value"][0] for one in found) == uids
    series = find(server, "SERIES", f"StudyInstanceUID={study}", "SeriesInstanceUID")
    assert series == sorted({ds.SeriesInstanceUID for ds in visible})
    keys = [(f"StudyInstanceUID={study}", f"SeriesInstanceUID={uid}", "SOPInstanceUID") for uid in series]
    assert sorted(uid for each in keys for uid in find(server, "IMAGE", *each)) == uids
    assert get(server, folder, "QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}") == uids
    metadata = client.get(f"/studies/{study}/metadata")
    studies = client.get("/studies", params={"StudyInstanceUID": study, "includefield": "00201206,00201208"}).json()
    if not visible:
        assert (metadata.status_code, studies) == (404, [])
        assert client.get(f"/studies/{study}").status_code == 404
        assert client.get(f"/studies/{study}/thumbnail").status_code == 404
        return
    assert sorted(one["00080018"]["Value"][0] for one in metadata.json()) == uids
    (one,) = studies
    assert one["00201208"]["Value"] == [len(visible)]
    assert one["00201206"]["Value"] == [len({ds.SeriesInstanceUID for ds in visible})]
    assert sorted(one["00080061"]["Value"]) == sorted({ds.Modality for ds in visible})
    for ds in visible:
        assert dataset_bytes(client.get(path_of(ds), headers=FILE).content) == dataset_bytes(write(ds))


def removals(server: Server, study: str) -> list[dict[str, object]]:
    answer = httpx.get(f"{server.web_url}/api/removed", params={"StudyInstanceUID": study})
    assert answer.status_code == 200, answer.text
    return answer.json()


def undo(server: Server, number: object, **params: str) -> httpx.Response:
    return httpx.post(f"{server.web_url}/api/removed/{number}/restore", params=params)


@pytest.mark.parametrize("level", ["study", "series", "instance"])
def test_what_is_deleted_is_gone_everywhere_and_comes_back(
    client: httpx.Client, server: Server, tmp_path: Path, level: str
) -> None:
    images = a_study()
    store(client, *images)
    one = images[0]
    study = one.StudyInstanceUID
    path, going = {
        "study": (f"/studies/{study}", images),
        "series": (f"/studies/{study}/series/{one.SeriesInstanceUID}", images[:2]),
        "instance": (path_of(one), images[:1]),
    }[level]
    assert client.delete(path).status_code == 204
    left = [ds for ds in images if ds not in going]
    check(client, server, tmp_path / "deleted", left, study)
    for ds in going:
        for resource in ("", "/metadata", "/frames/1", "/rendered", "/thumbnail"):
            assert client.get(path_of(ds) + resource).status_code == 404
    patients = find(server, "STUDY", f"PatientID={one.PatientID}", "StudyInstanceUID")
    assert patients == ([study] if left else [])
    assert client.delete(path).status_code == 404
    (entry,) = removals(server, study)
    assert (entry["instances"], entry["reason"], entry["PatientID"]) == (len(going), "deleted", one.PatientID)
    assert undo(server, entry["number"]).json()["restored"] == len(going)
    check(client, server, tmp_path / "restored", images, study)
    assert removals(server, study) == []
    assert undo(server, entry["number"]).status_code == 404


def test_numbers_that_are_none(server: Server) -> None:
    for method, path in (("GET", ""), ("DELETE", ""), ("POST", "/restore")):
        answer = httpx.request(method, f"{server.web_url}/api/removed/999999999{path}")
        assert (answer.status_code, answer.json()["error"]["message"]) == (404, "There is no such removal")
        assert httpx.request(method, f"{server.web_url}/api/removed/x{path}").status_code in (404, 405)


def test_looked_into_and_purged_on_request(client: httpx.Client, server: Server) -> None:
    images = a_study(1, 2)
    store(client, *images)
    client.delete(path_of(images[0]))
    (entry,) = removals(server, images[0].StudyInstanceUID)
    address = f"{server.web_url}/api/removed/{entry['number']}"
    (row,) = httpx.get(address).json()["objects"]
    assert (row["role"], row["SOPInstanceUID"]) == ("instance", images[0].SOPInstanceUID)
    ordered = httpx.delete(address)
    assert ordered.status_code == 202
    assert ordered.json()["number"] == entry["number"]


@pytest.mark.parametrize("path", ["/studies/1.2.3", "/studies/1.2.3/series/4", "/studies/1.2.3/series/4/instances/5"])
def test_what_is_not_there_cannot_be_deleted(client: httpx.Client, path: str) -> None:
    assert client.delete(path).status_code == 404
    assert client.delete("/studies").status_code == 405
