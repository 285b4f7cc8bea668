"""Orthanc as a DICOMweb client: its plug-in stores with us, searches here and retrieves from here."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
import pytest

from tests import orthanc
from tests.conftest import Server, start
from tests.protocol.web import stow
from tests.samples import sample

NAMES = ("ct_head_phantom_54/I100.dcm", "ct_head_phantom_54/I110.dcm", "ct_syntaxes/JPEGLSLossless.dcm")


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server of our own for this module: objects with a UID of the samples may be in the shared one."""
    running = start(tmp_path_factory.mktemp("ours"))
    yield running
    running.stop()


@pytest.fixture(scope="module")
def peer(ours: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[orthanc.Orthanc]:
    folder = tmp_path_factory.mktemp("orthanc")
    with orthanc.running(folder, webs={"pacs": {"Url": f"{ours.dicomweb_url}/", "HasDelete": False}}) as found:
        yield found


def upload(peer: orthanc.Orthanc, path: Path) -> str:
    """Put a file into Orthanc; its own identifier."""
    answer = httpx.post(f"{peer.url}/instances", content=path.read_bytes(), timeout=60)
    answer.raise_for_status()
    return str(answer.json()["ID"])


def test_it_stores_with_us(ours: Server, peer: orthanc.Orthanc) -> None:
    sent = {name: upload(peer, sample(name)) for name in NAMES}
    answer = peer.post("/dicom-web/servers/pacs/stow", {"Resources": list(sent.values()), "Synchronous": True})
    assert answer["InstancesCount"] == str(len(NAMES)) or answer["InstancesCount"] == len(NAMES)
    with httpx.Client(base_url=ours.dicomweb_url) as client:
        for name in NAMES:
            uid = pydicom.dcmread(sample(name), stop_before_pixels=True).SOPInstanceUID
            assert len(client.get("/instances", params={"SOPInstanceUID": uid}).json()) == 1


def test_it_searches_and_retrieves_here(ours: Server, peer: orthanc.Orthanc) -> None:
    path = sample("mr_enhanced/" + sorted(item.name for item in sample("mr_enhanced").glob("*.dcm"))[0])
    ds = pydicom.dcmread(path)
    with httpx.Client(base_url=ours.dicomweb_url) as client:
        assert stow(client, path.read_bytes()).status_code == 200
    query = {"Uri": "/studies", "Arguments": {"PatientID": str(ds.PatientID), "StudyInstanceUID": ds.StudyInstanceUID}}
    (found,) = peer.post("/dicom-web/servers/pacs/qido", query)
    assert found["0020000D"]["Value"] == ds.StudyInstanceUID
    answer = peer.post(
        "/dicom-web/servers/pacs/retrieve", {"Resources": [{"Study": ds.StudyInstanceUID}], "Synchronous": True}
    )
    assert int(answer["ReceivedInstancesCount"]) == 1
    assert ds.SOPInstanceUID in peer.instances()


def test_it_reads_any_resource_through_its_proxy(ours: Server, peer: orthanc.Orthanc) -> None:
    path = sample("ct_head_phantom_54/I100.dcm")
    ds = pydicom.dcmread(path)
    with httpx.Client(base_url=ours.dicomweb_url) as client:
        assert stow(client, path.read_bytes()).status_code == 200
    uri = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}/rendered"
    answer = httpx.post(
        f"{peer.url}/dicom-web/servers/pacs/get",
        json={"Uri": uri, "HttpHeaders": {"Accept": "image/png"}},
        timeout=60,
    )
    assert answer.status_code == 200 and answer.content.startswith(b"\x89PNG")
