"""STOW-RS: what clients send, what must be refused, and what a broken connection leaves behind."""

import socket
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.conftest import Server, StartServer
from tests.protocol.web import ANY_SYNTAX, BOUNDARY, STOW_TYPE, dataset_bytes, multipart, path_of, stow, write
from tests.samples import sample

REFERENCED, FAILED, OTHERS, FAILURE_REASON, COMMENT = "00081199", "00081198", "0008119A", "00081197", "00000902"


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


def new_ct(study: str = "") -> pydicom.Dataset:
    """A CT image that nobody else has."""
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.StudyInstanceUID = study or generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def fetch(client: httpx.Client, ds: pydicom.Dataset) -> httpx.Response:
    return client.get(path_of(ds), headers={"Accept": f"application/dicom; {ANY_SYNTAX}"})


def is_stored(client: httpx.Client, ds: pydicom.Dataset) -> bool:
    """True when the instance can be read; then it must be whole and listed, else neither."""
    found = fetch(client, ds)
    listed = client.get("/instances", params={"SOPInstanceUID": str(ds.SOPInstanceUID)}).json()
    assert len(listed) == (found.status_code == 200)
    if found.status_code == 200:
        assert dataset_bytes(found.content) == dataset_bytes(write(ds))
    return found.status_code == 200


def test_stored_instances_are_named_and_found(client: httpx.Client) -> None:
    images = [new_ct(), new_ct()]
    response = stow(client, *map(write, images))
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/dicom+json"
    items = response.json()[REFERENCED]["Value"]
    assert [item["00081155"]["Value"][0] for item in items] == [ds.SOPInstanceUID for ds in images]
    assert {item["00081150"]["Value"][0] for item in items} == {images[0].SOPClassUID}
    for item, ds in zip(items, images, strict=True):
        url = item["00081190"]["Value"][0]
        assert url == str(client.base_url).rstrip("/") + path_of(ds)
        assert httpx.get(url + "/metadata").status_code == 200
        assert is_stored(client, ds)
    answer = pydicom.Dataset.from_json(response.text)
    assert len(answer.ReferencedSOPSequence) == 2


def test_retrieve_url_of_the_study_when_there_is_one(client: httpx.Client) -> None:
    ds = new_ct()
    answer = stow(client, write(ds)).json()
    assert answer["00081190"]["Value"] == [f"{str(client.base_url).rstrip('/')}/studies/{ds.StudyInstanceUID}"]


def test_single_part_body(client: httpx.Client) -> None:
    ds = new_ct()
    assert client.post("/studies", content=write(ds), headers={"Content-Type": "application/dicom"}).status_code == 200
    assert is_stored(client, ds)


def test_sending_again_is_success_and_changes_nothing(client: httpx.Client) -> None:
    ds = new_ct()
    first, second = stow(client, write(ds)), stow(client, write(ds))
    assert (first.status_code, second.status_code) == (200, 200)
    assert first.json() == second.json()
    assert stow(client, write(ds), write(ds), write(ds)).status_code == 200
    assert len(client.get("/instances", params={"StudyInstanceUID": str(ds.StudyInstanceUID)}).json()) == 1


def test_other_bytes_under_the_same_uid_are_refused_and_named(client: httpx.Client) -> None:
    ds = new_ct()
    assert stow(client, write(ds)).status_code == 200
    other = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    other.StudyInstanceUID, other.SeriesInstanceUID = ds.StudyInstanceUID, ds.SeriesInstanceUID
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    other.SeriesDescription = "another"
    response = stow(client, write(other))
    assert response.status_code == 409
    (item,) = response.json()[FAILED]["Value"]
    assert item["00081155"]["Value"] == [ds.SOPInstanceUID]
    assert item[FAILURE_REASON]["Value"] == [0xC110]
    assert item[COMMENT]["Value"][0]
    assert is_stored(client, ds)


def test_partial_failure_is_202_with_both_sequences(client: httpx.Client) -> None:
    good, bad = new_ct(), new_ct()
    response = stow(client, write(bad)[:3000], b"no DICOM at all", write(good))
    assert response.status_code == 202
    answer = response.json()
    assert [item["00081155"]["Value"][0] for item in answer[REFERENCED]["Value"]] == [good.SOPInstanceUID]
    failures = answer.get(FAILED, {}).get("Value", []) + answer.get(OTHERS, {}).get("Value", [])
    assert len(failures) == 2
    assert all(item[FAILURE_REASON]["vr"] == "US" and item[COMMENT]["Value"][0] for item in failures)
    assert is_stored(client, good)
    assert not is_stored(client, bad)


def test_nothing_stored_is_409_and_says_why(client: httpx.Client) -> None:
    response = stow(client, b"no DICOM at all")
    assert response.status_code == 409
    assert response.json()[OTHERS]["Value"][0][COMMENT]["Value"][0]


def test_study_of_the_path_must_be_that_of_the_instance(client: httpx.Client) -> None:
    mine, other = new_ct(), new_ct()
    response = stow(client, write(mine), write(other), path=f"/studies/{mine.StudyInstanceUID}")
    assert response.status_code == 202
    assert response.json()[FAILED]["Value"][0]["00081155"]["Value"] == [other.SOPInstanceUID]
    assert is_stored(client, mine)
    assert not is_stored(client, other)


def test_body_as_ohif_writes_it(client: httpx.Client) -> None:
    ds = new_ct()
    body = b"\r\n" + multipart([write(ds)]).removesuffix(b"\r\n") + bytes(7)
    headers = {"Content-Type": f'multipart/related; type="application/dicom"; boundary="{BOUNDARY}"'}
    assert client.post("/studies", content=body, headers=headers).status_code == 200
    assert is_stored(client, ds)


def test_unknown_length_and_small_chunks(client: httpx.Client) -> None:
    ds = new_ct()
    body = multipart([write(ds)])
    chunks = (body[at : at + 1777] for at in range(0, len(body), 1777))
    assert client.post("/studies", content=chunks, headers={"Content-Type": STOW_TYPE}).status_code == 200
    assert is_stored(client, ds)


def test_many_small_and_large_parts_in_one_request(client: httpx.Client) -> None:
    images = []
    for number in range(24):
        ds = new_ct()
        # Some parts are larger than what is collected in memory, and one sits on the edge of a block.
        ds.PixelData = bytes([number]) * (512 * 1024 * (1, 9, 2, 4)[number % 4])
        ds.NumberOfFrames = (1, 9, 2, 4)[number % 4]
        images.append(ds)
    response = stow(client, *map(write, images))
    assert response.status_code == 200
    items = response.json()[REFERENCED]["Value"]
    assert [item["00081155"]["Value"][0] for item in items] == [ds.SOPInstanceUID for ds in images]
    assert all(is_stored(client, ds) for ds in images)


@pytest.mark.parametrize(
    ("content_type", "status"),
    [
        ("application/json", 400),
        ("text/html", 415),
        ('multipart/related; type="application/dicom+json"; boundary=x', 400),
        ('multipart/related; type="text/html"; boundary=x', 415),
        ("multipart/form-data; boundary=x", 415),
        ("", 415),
        ('multipart/related; type="application/dicom"', 400),
        (f"multipart/related; boundary={'x' * 300}", 400),
    ],
)
def test_wrong_content_type(client: httpx.Client, content_type: str, status: int) -> None:
    response = client.post("/studies", content=multipart([b"x"]), headers={"Content-Type": content_type})
    assert response.status_code == status
    assert response.json()["error"]["message"]


@pytest.mark.parametrize(
    "body", [b"", b"no parts", f"--{BOUNDARY}--".encode(), f"--{BOUNDARY}\r\n\r\n".encode(), multipart([b"x"])[:-9]]
)
def test_unreadable_body_is_400(client: httpx.Client, body: bytes) -> None:
    response = client.post("/studies", content=body, headers={"Content-Type": STOW_TYPE})
    assert response.status_code == 400
    assert response.json()["error"]["status"] == 400


def test_empty_single_part_is_400(client: httpx.Client) -> None:
    assert client.post("/studies", content=b"", headers={"Content-Type": "application/dicom"}).status_code == 400


def test_part_of_another_kind_is_a_failure_of_that_part(client: httpx.Client) -> None:
    ds = new_ct()
    foreign = multipart([b"<x/>"], "text/xml").removesuffix(f"--{BOUNDARY}--\r\n".encode())
    body = foreign + multipart([write(ds)])
    response = client.post("/studies", content=body, headers={"Content-Type": STOW_TYPE})
    assert response.status_code == 202
    assert len(response.json()[OTHERS]["Value"]) == 1
    assert is_stored(client, ds)


def test_whole_instances_before_the_break_of_a_body_are_reported(client: httpx.Client) -> None:
    ds, cut = new_ct(), new_ct()
    body = multipart([write(ds), write(cut)])[:-2000]
    response = client.post("/studies", content=body, headers={"Content-Type": STOW_TYPE})
    assert response.status_code == 202
    assert is_stored(client, ds)
    assert not is_stored(client, cut)


def test_answer_that_cannot_be_made_stores_nothing(client: httpx.Client) -> None:
    ds = new_ct()
    assert stow(client, write(ds), Accept="text/html").status_code == 406
    assert not is_stored(client, ds)


def test_limits_are_named(start_server: StartServer) -> None:
    server = start_server(limits={"request_bytes": 3_000_000, "request_parts": 3, "object_bytes": 1_000_000})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        many = stow(client, b"x", b"x", b"x", b"x")
        assert (many.status_code, "request_parts" in many.text) == (413, True)
        large = stow(client, bytes(3_000_000))
        assert (large.status_code, "request_bytes" in large.text) == (413, True)
        chunked = client.post("/studies", content=iter([bytes(2_000_000)] * 2), headers={"Content-Type": STOW_TYPE})
        assert chunked.status_code == 413
        ds = new_ct()
        ds.PixelData = bytes(2 * 1024 * 1024)
        assert stow(client, write(ds)).status_code == 409
        assert not is_stored(client, ds)


def wrong_meta(ds: pydicom.Dataset) -> bytes:
    """A file whose meta group names another instance: stored with a warning."""
    data, uid = write(ds), str(ds.SOPInstanceUID).encode()
    return data.replace(uid, uid[:-1] + (b"1" if uid[-1:] != b"1" else b"2"), 1)


def unsupported(ds: pydicom.Dataset) -> bytes:
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.3.4"
    return write(ds)


@pytest.mark.parametrize(
    ("status", "parts", "path"),
    [
        (200, [write], "/studies"),
        (200, [write, write], "/studies"),
        (202, [wrong_meta], "/studies"),
        (202, [write, unsupported], "/studies"),
        (202, [write, lambda _: b"no DICOM"], "/studies"),
        (409, [unsupported], "/studies"),
        (409, [write], "/studies/1.2.3"),
        (409, [unsupported, lambda _: b"no DICOM"], "/studies"),
        (400, [], "/studies"),
        (405, [write], "/instances"),
    ],
)
def test_statuses_are_those_of_the_standard(
    client: httpx.Client, status: int, parts: list[Callable[[pydicom.Dataset], bytes]], path: str
) -> None:
    """PS3.18 table 10.5.3-1, and 8.5 for the rest."""
    response = stow(client, *(part(new_ct()) for part in parts), path=path)
    assert response.status_code == status
    if status in (200, 202, 409):
        answer = response.json()
        found = [len(answer.get(tag, {}).get("Value", [])) for tag in (REFERENCED, FAILED, OTHERS)]
        assert sum(found) == len(parts)
        assert (found[0] > 0) == (status != 409)


def objects(server: Server) -> int:
    """Files in the object store."""
    return sum(1 for path in (server.folder / "data" / "objects").rglob("*") if path.is_file())


def wait_until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 20
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


@pytest.mark.parametrize("frames", [1, 18])
def test_broken_connection_leaves_nothing_half_stored(start_server: StartServer, frames: int) -> None:
    server = start_server()
    whole, cut = new_ct(), new_ct()
    cut.NumberOfFrames, cut.PixelData = frames, bytes(512 * 1024 * frames)
    body = multipart([write(whole), write(cut)])
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {STOW_TYPE}\r\n"
    head += f"Content-Length: {len(body)}\r\n\r\n"
    with socket.create_connection(("127.0.0.1", server.web_port)) as sock:
        sock.sendall(head.encode() + body[: -len(cut.PixelData) // 2])
    with httpx.Client(base_url=server.dicomweb_url) as client:
        wait_until(lambda: fetch(client, whole).status_code == 200)
        assert not is_stored(client, cut)
        wait_until(lambda: objects(server) == 1)
        # The sender tries again with everything and succeeds.
        assert stow(client, write(whole), write(cut)).status_code == 200
        assert is_stored(client, cut)


def peak_bytes(pid: int) -> int:
    """Most memory that a process ever had."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM"))


def test_memory_does_not_grow_with_the_object(start_server: StartServer) -> None:
    server = start_server()
    ds = new_ct()
    ds.PixelData = b""
    frame, count = 512 * 1024, 600
    ds.NumberOfFrames = count
    head = write(ds)
    at = head.rindex(b"\xe0\x7f\x10\x00OW")
    size = frame * count
    prefix = head[: at + 8] + size.to_bytes(4, "little")

    def body() -> Iterator[bytes]:
        yield f"--{BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode() + prefix
        for number in range(count):
            yield bytes([number % 256]) * frame
        yield f"\r\n--{BOUNDARY}--\r\n".encode()

    before = max(map(peak_bytes, server.children()))
    with httpx.Client(base_url=server.dicomweb_url, timeout=120) as client:
        assert client.post("/studies", content=body(), headers={"Content-Type": STOW_TYPE}).status_code == 200
        received = 0
        with client.stream("GET", path_of(ds), headers={"Accept": f"application/dicom; {ANY_SYNTAX}"}) as response:
            for chunk in response.iter_raw():
                received += len(chunk)
        assert received > size
    assert max(map(peak_bytes, server.children())) - before < 64 * 1024**2


def test_sender_that_falls_silent_is_told_and_leaves_nothing(start_server: StartServer) -> None:
    server = start_server(web={"silence_seconds": 0.2})
    ds = new_ct()
    ds.NumberOfFrames, ds.PixelData = 18, bytes(512 * 1024 * 18)
    body = multipart([write(ds)])
    head = f"POST /dicomweb/studies HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {STOW_TYPE}\r\n"
    with socket.create_connection(("127.0.0.1", server.web_port)) as sock:
        sock.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body[:5_000_000])
        assert sock.makefile("rb").readline() == b"HTTP/1.1 408 Request Timeout\r\n"
    wait_until(lambda: objects(server) == 0)


def test_replaced_instance_is_served_anew(start_server: StartServer) -> None:
    server = start_server(archive={"duplicates": "replace"})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        ds = new_ct()
        assert stow(client, write(ds)).status_code == 200
        paths = [path_of(ds), f"{path_of(ds)}/frames/1", f"{path_of(ds)}/bulkdata/7FE00010", f"{path_of(ds)}/rendered"]
        before = [client.get(path) for path in paths]
        assert all("no-cache" in response.headers["cache-control"] for response in before)
        ds.PixelData = bytes(len(ds.PixelData))
        assert stow(client, write(ds)).status_code in (200, 202)
        for path, old in zip(paths, before, strict=True):
            new = client.get(path, headers={"If-None-Match": old.headers["etag"]})
            assert new.status_code == 200
            assert new.content != old.content
        assert is_stored(client, ds)
