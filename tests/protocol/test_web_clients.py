"""Programs people use: dicomweb-client in its plainest calls, and many requests at once on few connections."""

import concurrent.futures
import contextlib
import io
import socket
from collections.abc import Iterator

import httpx
import numpy as np
import pydicom
import pytest
import requests
from dicomweb_client.api import DICOMwebClient
from PIL import Image
from pydicom.uid import generate_uid

from tests.conftest import Server
from tests.protocol.web import ANY_SYNTAX, path_of, stow, write
from tests.samples import sample


@contextlib.contextmanager
def connected(server: Server) -> Iterator[DICOMwebClient]:
    """A dicomweb-client whose connections are closed at the end."""
    with requests.Session() as session:
        yield DICOMwebClient(server.dicomweb_url, session=session)


@pytest.fixture(scope="module")
def images(server: Server) -> list[pydicom.Dataset]:
    """A series of three images that is new to the server, stored by dicomweb-client."""
    study, series = generate_uid(), generate_uid()
    found = []
    for name in ("I100", "I110", "I120"):
        ds = pydicom.dcmread(sample(f"ct_head_phantom_54/{name}.dcm"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.PatientID = study, series, f"client-{study[-8:]}"
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        found.append(ds)
    with connected(server) as client:
        client.store_instances(found)
    return found


@pytest.fixture
def client(server: Server) -> Iterator[DICOMwebClient]:
    with connected(server) as made:
        yield made


def test_search(client: DICOMwebClient, images: list[pydicom.Dataset]) -> None:
    study = images[0].StudyInstanceUID
    (found,) = client.search_for_studies(search_filters={"PatientID": images[0].PatientID}, fields=["StudyDescription"])
    assert found["0020000D"]["Value"] == [study]
    assert len(client.search_for_series(study)) == 1
    assert {item["00080018"]["Value"][0] for item in client.search_for_instances(study)} == {
        ds.SOPInstanceUID for ds in images
    }
    assert client.search_for_studies(search_filters={"StudyInstanceUID": "1.2.3.4.5"}) == []
    assert client.search_for_instances(study, limit=2, get_remaining=True)


def test_retrieve(client: DICOMwebClient, images: list[pydicom.Dataset]) -> None:
    first = images[0]
    uids = first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID
    assert client.retrieve_instance(*uids) == first
    by_uid = {ds.SOPInstanceUID: ds for ds in client.retrieve_series(*uids[:2])}
    assert by_uid == {ds.SOPInstanceUID: ds for ds in images}
    assert {ds.SOPInstanceUID for ds in client.iter_study(uids[0])} == by_uid.keys()
    assert len(client.retrieve_study_metadata(uids[0])) == 3
    (metadata,) = [client.retrieve_instance_metadata(*uids)]
    assert metadata["00100020"]["Value"] == [first.PatientID]


def test_frames_and_bulk_data(client: DICOMwebClient, images: list[pydicom.Dataset]) -> None:
    first = images[0]
    uids = first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID
    kinds = (None, (("application/octet-stream", "1.2.840.10008.1.2.1"),), (("application/octet-stream", "*"),))
    for media_types in kinds:
        (frame,) = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=media_types)
        pixels = np.frombuffer(frame, first.pixel_array.dtype).reshape(first.Rows, first.Columns)
        assert np.array_equal(pixels, first.pixel_array)
    (encoded,) = client.retrieve_instance_frames(*uids, frame_numbers=[1], media_types=("image/dicom-rle",))
    assert 0 < len(encoded) < len(frame)
    (value,) = client.retrieve_bulkdata(f"{client.base_url}{path_of(first)}/bulkdata/7FE00010")
    assert value == first.PixelData


def test_rendered(client: DICOMwebClient, images: list[pydicom.Dataset]) -> None:
    first = images[0]
    uids = first.StudyInstanceUID, first.SeriesInstanceUID, first.SOPInstanceUID
    for media_type, name in (("image/jpeg", "JPEG"), ("image/png", "PNG")):
        picture = client.retrieve_instance_rendered(*uids, media_types=(media_type,))
        assert Image.open(io.BytesIO(picture)).format == name
        frame = client.retrieve_instance_frames_rendered(*uids, frame_numbers=[1], media_types=(media_type,))
        assert Image.open(io.BytesIO(frame)).format == name


def test_many_requests_at_once_are_all_answered_right(server: Server, images: list[pydicom.Dataset]) -> None:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:

        def check(number: int) -> bool:
            ds = images[number % 3]
            if number % 7 == 0:
                return stow(client, write(ds)).status_code == 200
            if number % 5 == 0:
                (item,) = client.get(f"{path_of(ds)}/metadata").json()
                return bool(item["00080018"]["Value"] == [ds.SOPInstanceUID])
            accept = {"Accept": f"application/octet-stream; {ANY_SYNTAX}"}
            return client.get(f"{path_of(ds)}/frames/1", headers=accept).content == ds.PixelData

        with concurrent.futures.ThreadPoolExecutor(16) as pool:
            assert all(pool.map(check, range(200)))


@pytest.fixture
def connection(server: Server) -> Iterator[socket.socket]:
    with socket.create_connection(("127.0.0.1", server.web_port), timeout=30) as made:
        yield made


def test_pipelined_requests_are_answered_in_order(connection: socket.socket, images: list[pydicom.Dataset]) -> None:
    request = "GET /dicomweb{}/metadata HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n"
    connection.sendall("".join(request.format(path_of(ds)) for ds in images).encode())
    stream = connection.makefile("rb")
    for ds in images:
        assert stream.readline() == b"HTTP/1.1 200 OK\r\n"
        length = 0
        while (line := stream.readline()) != b"\r\n":
            if line.lower().startswith(b"content-length:"):
                length = int(line.partition(b":")[2])
        assert ds.SOPInstanceUID.encode() in stream.read(length)


def test_reader_that_goes_away_does_not_disturb_others(server: Server, images: list[pydicom.Dataset]) -> None:
    study, _, _ = path_of(images[0]).partition("/series/")
    for _ in range(20):
        with socket.create_connection(("127.0.0.1", server.web_port)) as sock:
            accept = f'Accept: multipart/related; type="application/dicom"; {ANY_SYNTAX}'
            sock.sendall(f"GET /dicomweb{study} HTTP/1.1\r\nHost: 127.0.0.1\r\n{accept}\r\n\r\n".encode())
            sock.recv(100)
    accept = {"Accept": f'multipart/related; type="application/dicom"; {ANY_SYNTAX}'}
    response = httpx.get(f"{server.dicomweb_url}{study}", headers=accept, timeout=60)
    assert int(response.headers["content-length"]) == len(response.content)
    assert "unexpected error" not in server.log()
