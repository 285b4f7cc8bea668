"""Many senders at once, into the same study and with the same instances: nothing is lost, nothing counted twice."""

import json
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.associations import dcmtk
from tests.conftest import Server, StartServer, start
from tests.protocol.test_web_store import new_ct
from tests.protocol.test_web_store_metadata import OCTETS, REFERENCED, send
from tests.protocol.web import read, stow, write
from tests.servers import postgresql_url

SENDERS, INSTANCES = 8, 6


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two web processes on one of the databases."""
    database = {"url": postgresql_url()} if request.param == "postgresql" else {}
    running = start(tmp_path_factory.mktemp(request.param), database=database, web={"workers": 2})
    yield running
    running.stop()


def counts(client: httpx.Client, study: str) -> tuple[int, int, int]:
    """What the study says about itself, and what is really listed."""
    (found,) = client.get("/studies", params={"StudyInstanceUID": study}).json()
    listed = client.get(f"/studies/{study}/instances").json()
    assert len({item["00080018"]["Value"][0] for item in listed}) == len(listed)
    return found["00201206"]["Value"][0], found["00201208"]["Value"][0], len(listed)


def test_many_senders_into_one_study(server: Server) -> None:
    """Each sends an instance that all send, and some of its own: in files, and in metadata with bulk data."""
    study, series, shared = generate_uid(), generate_uid(), new_ct()
    shared.StudyInstanceUID, shared.SeriesInstanceUID = study, series
    begin = threading.Barrier(SENDERS)

    def one_sender(number: int) -> list[int]:
        own = [new_ct(study) for _ in range(INSTANCES)]
        for ds in own[: INSTANCES // 2]:
            ds.SeriesInstanceUID = series
        with httpx.Client(base_url=server.dicomweb_url, timeout=120) as client:
            begin.wait()
            statuses = [stow(client, write(shared), *map(write, own[1:])).status_code]
            statuses.append(stow(client, write(shared), path=f"/studies/{study}").status_code)
            statuses.append(send(client, [metadata_of(own[0])], ("pixels", OCTETS, own[0].PixelData)).status_code)
            return statuses

    with ThreadPoolExecutor(SENDERS) as pool:
        found = [status for statuses in pool.map(one_sender, range(SENDERS)) for status in statuses]
    assert set(found) == {200}
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        total = SENDERS * INSTANCES + 1
        assert counts(client, study) == (1 + SENDERS * (INSTANCES - INSTANCES // 2), total, total)


def metadata_of(ds: pydicom.Dataset) -> dict[str, Any]:
    ds.walk(lambda dataset, element: dataset.pop(element.tag) if element.tag.is_private else None)
    found: dict[str, Any] = json.loads(
        ds.to_json(bulk_data_threshold=1000, bulk_data_element_handler=lambda _: "pixels")
    )
    return found


def test_the_same_instance_with_other_bytes_by_many(server: Server) -> None:
    """One of them is stored, whichever came first; all others are told that it is another."""
    study, series, instance = generate_uid(), generate_uid(), generate_uid()
    versions = []
    for number in range(SENDERS):
        ds = new_ct(study)
        ds.SeriesInstanceUID, ds.SeriesDescription = series, f"version {number}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = instance
        versions.append(write(ds))
    begin = threading.Barrier(SENDERS)

    def one_sender(data: bytes) -> int:
        with httpx.Client(base_url=server.dicomweb_url, timeout=120) as client:
            begin.wait()
            return stow(client, data).status_code

    with ThreadPoolExecutor(SENDERS) as pool:
        assert sorted(pool.map(one_sender, versions)) == [200, *[409] * (SENDERS - 1)]
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        assert counts(client, study) == (1, 1, 1)


def test_rules_change_what_a_sender_sends_and_tell_it(start_server: StartServer, tmp_path: Any) -> None:
    """The same rule by both protocols: WarningReason 45056 on the web, status B000 in DIMSE."""
    rule = {"keyword": "InstitutionName", "value": "St. Elsewhere", "when": "always"}
    of_scanner = {"source": "SCANNER", "keyword": "StationName", "value": "ROOM 1", "when": "always"}
    server = start_server(archive={"coercions": [rule, of_scanner]})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        ds = new_ct()
        response = stow(client, write(ds))
        assert response.status_code == 202
        (item,) = response.json()[REFERENCED]["Value"]
        assert item["00081196"]["Value"] == [45056]
        assert item["00741048"]["Value"][0]["00720026"]["Value"] == ["00080080"]
        assert stow(client, write(ds)).json() == response.json()
        other = new_ct()
        (tmp_path / "other.dcm").write_bytes(write(other))
        arguments = ["-v", "-aet", "SCANNER", "-aec", server.ae_title, "127.0.0.1", server.dimse_port]
        assert "CoercionOfDataElements" in dcmtk("storescu", *arguments, tmp_path / "other.dcm")
        for sent, station in ((ds, ds.get("StationName")), (other, "ROOM 1")):
            url = f"/studies/{sent.StudyInstanceUID}"
            back = read(client.get(f"{url}/series/{sent.SeriesInstanceUID}/instances/{sent.SOPInstanceUID}",
                        headers={"Accept": "application/dicom; transfer-syntax=*"}).content)  # fmt: skip
            assert (back.InstitutionName, back.get("StationName")) == ("St. Elsewhere", station)
            assert back.PixelData == sent.PixelData
            listed = client.get(f"{url}/series", params={"InstitutionName": "St. Elsewhere"}).json()
            assert len(listed) == 1
