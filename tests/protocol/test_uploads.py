"""tus 1.0.0 at /api/uploads, as its specification says it, and what becomes of what was uploaded."""

import base64
import hashlib
import io
import json
import os
import shutil
import signal
import socket
import subprocess
import threading
import time
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import generate_uid

from index.access import Permission, Principal, Scope
from index.errors import NotFound
from pacs.uploads import tus
from pacs.uploads.shelf import Owner, Shelf
from tests.conftest import Server, StartServer
from tests.protocol.web import write
from tests.samples import sample

ROOT = Path(__file__).parents[2]
TUS = {"Tus-Resumable": "1.0.0"}
OCTETS = {**TUS, "Content-Type": "application/offset+octet-stream"}


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.web_url, timeout=30) as opened:
        yield opened


def metadata(**values: str) -> str:
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}" for key, value in values.items())


def begin(client: httpx.Client, length: int, **values: str) -> str:
    """The address of a new upload."""
    headers = {**TUS, "Upload-Length": str(length), "Upload-Metadata": metadata(**values)}
    answer = client.post("/api/uploads", headers=headers)
    assert answer.status_code == 201, answer.text
    return str(answer.headers["location"])


def add(client: httpx.Client, url: str, offset: int, data: bytes, **headers: str) -> httpx.Response:
    named = {key.replace("_", "-"): value for key, value in headers.items()}
    return client.patch(url, headers={**OCTETS, "Upload-Offset": str(offset), **named}, content=data)


def offset_of(client: httpx.Client, url: str) -> int:
    answer = client.head(url, headers=TUS)
    assert (answer.status_code, answer.headers["cache-control"]) == (200, "no-store")
    return int(answer.headers["upload-offset"])


def result_of(client: httpx.Client, url: str) -> dict[str, Any]:
    found = client.get(url, params={"wait": 20}).json()
    assert found["state"] == "done", found
    return found["result"]


def image() -> pydicom.Dataset:
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def upload(client: httpx.Client, data: bytes, **values: str) -> dict[str, Any]:
    url = begin(client, len(data), **values)
    assert add(client, url, 0, data).status_code == 204
    return result_of(client, url)


def test_what_the_server_can_do(client: httpx.Client) -> None:
    answer = client.options("/api/uploads")
    assert answer.status_code == 204
    assert answer.headers["tus-version"] == answer.headers["tus-resumable"] == "1.0.0"
    extensions = {"creation", "creation-with-upload", "termination", "expiration", "checksum"}
    assert set(answer.headers["tus-extension"].split(",")) == extensions
    assert int(answer.headers["tus-max-size"]) == 8 * 1024**3
    assert "sha1" in answer.headers["tus-checksum-algorithm"].split(",")


def test_a_file_in_pieces(client: httpx.Client) -> None:
    data = write(image())
    url = begin(client, len(data), filename="ct.dcm")
    assert offset_of(client, url) == 0
    for start in range(0, len(data), 200_000):
        answer = add(client, url, start, data[start : start + 200_000])
        assert answer.status_code == 204 and answer.headers["tus-resumable"] == "1.0.0"
        assert int(answer.headers["upload-offset"]) == min(len(data), start + 200_000)
        assert answer.headers["upload-expires"].endswith(" GMT")
    result = result_of(client, url)
    assert result["counts"] == {"stored": 1} and result["instances"][0]["name"] == "ct.dcm"
    ds = pydicom.dcmread(io.BytesIO(data))
    found = client.get(f"/dicomweb/studies/{ds.StudyInstanceUID}/instances").json()
    assert [one["00080018"]["Value"] for one in found] == [[str(ds.SOPInstanceUID)]]
    head = client.head(url, headers=TUS)
    assert head.headers["upload-offset"] == head.headers["upload-length"] == str(len(data))
    assert head.headers["upload-metadata"] == metadata(filename="ct.dcm")
    assert upload(client, data)["counts"] == {"duplicate": 1}


def test_creation_with_upload_answers_with_the_result(client: httpx.Client, server: Server) -> None:
    data = write(image())
    answer = client.post("/api/uploads", headers={**OCTETS, "Upload-Length": str(len(data))}, content=data)
    assert answer.status_code == 201 and answer.headers["upload-offset"] == str(len(data))
    assert answer.json()["result"]["counts"] == {"stored": 1}
    study = answer.json()["result"]["studies"][0]
    events = [one for one in server.audit() if one.get("study_instance_uid") == study]
    assert any(one["detail"].startswith("upload 127.0.0.1") for one in events)


@pytest.mark.parametrize(
    ("headers", "status"),
    [
        ({"Upload-Length": "10"}, 412),
        ({"Upload-Length": "10", "Tus-Resumable": "0.2.2"}, 412),
        ({**TUS}, 400),
        ({**TUS, "Upload-Length": "-1"}, 400),
        ({**TUS, "Upload-Length": "ten"}, 400),
        ({**TUS, "Upload-Defer-Length": "1"}, 400),
        ({**TUS, "Upload-Length": str(8 * 1024**3 + 1)}, 413),
        ({**TUS, "Upload-Length": "10", "Upload-Metadata": "filename not-base64!"}, 400),
        ({**TUS, "Upload-Length": "10", "Upload-Metadata": "a YQ==,a YQ=="}, 400),
        ({**TUS, "Upload-Length": "10", "Upload-Metadata": metadata(PatientBirthDate="yesterday")}, 400),
        ({**TUS, "Upload-Length": "10", "Upload-Metadata": metadata(StudyInstanceUID="1..2")}, 400),
        ({**TUS, "Upload-Length": "10", "Sec-Fetch-Site": "cross-site"}, 403),
    ],
)
def test_bad_creations_create_nothing(client: httpx.Client, headers: dict[str, str], status: int) -> None:
    before = client.get("/api/uploads").json()["uploads"]
    answer = client.post("/api/uploads", headers=headers)
    assert answer.status_code == status and answer.json()["error"]["message"]
    if status == 412:
        assert answer.headers["tus-version"] == "1.0.0"
    assert client.get("/api/uploads").json()["uploads"] == before


def test_bad_patches_change_nothing(client: httpx.Client) -> None:
    url = begin(client, 100, filename="a.dcm")
    assert add(client, url, 0, b"x" * 40).status_code == 204
    assert add(client, url, 0, b"x").status_code == 409
    assert add(client, url, 41, b"x").status_code == 409
    assert add(client, url, 40, b"x" * 61).status_code == 413
    assert client.patch(url, headers={**OCTETS, "Upload-Offset": "40"}, content=iter([b"x" * 61])).status_code == 413
    assert client.patch(url, headers={**TUS, "Upload-Offset": "40"}, content=b"x").status_code == 415
    assert client.patch(url, headers=OCTETS, content=b"x").status_code == 400
    assert client.patch(url, headers={"Upload-Offset": "40"}, content=b"x").status_code == 412
    assert client.put(url, headers=TUS).status_code == 405
    assert offset_of(client, url) == 40
    for wrong in (url[:-1] + "z", url + "0", "/api/uploads/..%2f..%2fpacs.toml"):
        assert client.head(wrong, headers=TUS).status_code == 404


def test_checksums(client: httpx.Client) -> None:
    url = begin(client, 100)
    good = base64.b64encode(hashlib.sha1(b"x" * 40).digest()).decode()
    assert add(client, url, 0, b"y" * 40, Upload_Checksum=f"sha1 {good}").status_code == 460
    assert offset_of(client, url) == 0
    assert add(client, url, 0, b"x" * 40, Upload_Checksum=f"sha1 {good}").status_code == 204
    assert add(client, url, 40, b"x", Upload_Checksum="crc32 AAAA").status_code == 400
    assert add(client, url, 40, b"x", Upload_Checksum="sha1 ?").status_code == 400
    assert offset_of(client, url) == 40


def test_termination_and_methods_by_header(client: httpx.Client) -> None:
    url = begin(client, 10)
    headers = {**OCTETS, "Upload-Offset": "0", "X-HTTP-Method-Override": "PATCH"}
    assert client.post(url, headers=headers, content=b"12345").status_code == 204
    assert offset_of(client, url) == 5
    assert client.delete(url, headers=TUS).status_code == 204
    assert client.head(url, headers=TUS).status_code == 404
    assert add(client, url, 5, b"12345").status_code == 404


def open_patch(server: Server, url: str, length: int) -> socket.socket:
    """A PATCH whose body is still to come."""
    sock = socket.create_connection(("127.0.0.1", server.web_port))
    head = [f"PATCH {url} HTTP/1.1", f"Host: 127.0.0.1:{server.web_port}", "Tus-Resumable: 1.0.0", "Upload-Offset: 0"]
    head += ["Content-Type: application/offset+octet-stream", f"Content-Length: {length}", "", ""]
    sock.sendall("\r\n".join(head).encode())
    return sock


def test_two_requests_at_once_and_one_that_breaks_off(client: httpx.Client, server: Server) -> None:
    url = begin(client, 5_000_000)
    with open_patch(server, url, 5_000_000) as sock:
        sock.sendall(b"a" * 2_000_000)
        until = time.monotonic() + 20
        while client.head(url, headers=TUS).headers["upload-offset"] == "0":
            assert time.monotonic() < until
        assert add(client, url, 0, b"b").status_code == 423
        assert client.delete(url, headers=TUS).status_code == 423
    while add(client, url, 1, b"").status_code == 423:
        assert time.monotonic() < until
    assert offset_of(client, url) == 2_000_000
    assert add(client, url, 2_000_000, b"c" * 3_000_000).status_code == 204
    assert result_of(client, url)["counts"] == {"refused": 1}


def test_zip_files(client: httpx.Client) -> None:
    one, other = image(), image()
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("cd/a.dcm", write(one))
        archive.writestr("cd/b", write(other))
        archive.writestr("cd/again.dcm", write(one))
        archive.writestr("cd/readme.txt", "hello")
        archive.writestr("cd/broken.dcm", write(one)[:5000])
        archive.writestr("cd/more.zip", b"PK")
        archive.writestr("DICOMDIR", b"whatever")
    result = upload(client, stream.getvalue(), filename="cd.zip")
    rows = {row["name"]: row for row in result["instances"]}
    assert rows["cd/b"]["status"] == "stored" and rows["cd/readme.txt"]["status"] == "ignored"
    assert {rows["cd/a.dcm"]["status"], rows["cd/again.dcm"]["status"]} <= {"stored", "duplicate"}
    assert rows["cd/broken.dcm"]["status"] == "refused" and rows["cd/broken.dcm"]["reason"]
    assert "archive inside an archive" in rows["cd/more.zip"]["reason"]
    assert set(result["studies"]) == {str(one.StudyInstanceUID), str(other.StudyInstanceUID)}


def png() -> bytes:
    stream = io.BytesIO()
    Image.new("RGB", (32, 24), (200, 10, 20)).save(stream, "PNG")
    return stream.getvalue()


def test_files_of_other_formats_get_the_form(client: httpx.Client) -> None:
    said = {"PatientName": "Ångström^Åsa", "PatientID": "U-1", "PatientSex": "F", "StudyDescription": "Wounds"}
    first = upload(client, png(), filename="wound.PNG", **said)
    again = upload(client, png(), filename="wound.PNG", **said)
    assert first["counts"] == {"stored": 1} and again["counts"] == {"duplicate": 1}
    row = first["instances"][0]
    found = client.get(f"/dicomweb/studies/{row['study']}/metadata").json()[0]
    assert found["00100010"]["Value"] == [{"Alphabetic": "Ångström^Åsa"}] and found["00081030"]["Value"] == ["Wounds"]
    assert found["00080018"]["Value"] == [row["instance"]] and found["00280011"]["Value"] == [32]


def test_the_study_knows_its_patient(client: httpx.Client) -> None:
    ds = image()
    ds.PatientName, ds.PatientID, ds.PatientBirthDate = "Right^Name", "R-1", "19700101"
    upload(client, write(ds))
    said = {"StudyInstanceUID": str(ds.StudyInstanceUID), "PatientName": "Wrong", "PatientBirthDate": "20000101"}
    row = upload(client, png(), filename="a.png", **said)["instances"][0]
    assert row["study"] == ds.StudyInstanceUID
    found = client.get(f"/dicomweb/studies/{row['study']}/metadata").json()
    assert {one["00100010"]["Value"][0]["Alphabetic"] for one in found} == {"Right^Name"}
    assert {one["00100030"]["Value"][0] for one in found} == {"19700101"}


@pytest.mark.parametrize(
    ("name", "data"),
    [("a.pdf", b"no document"), ("a.jpg", png()), ("a.txt", b"hello"), ("a.dcm", b""), ("a.mp4", b"\0" * 100)],
)
def test_what_is_of_no_use_is_refused_with_a_reason(client: httpx.Client, name: str, data: bytes) -> None:
    row = upload(client, data, filename=name, PatientName="A", PatientID="1")["instances"][0]
    assert row["status"] == "refused" and len(row["reason"]) > 10


def kill(server: Server) -> None:
    children = server.children()
    server.stop(signal.SIGKILL)
    for pid in children:
        while Path(f"/proc/{pid}").exists():
            time.sleep(0.02)


def test_uploads_outlive_the_server(start_server: StartServer) -> None:
    """Half a file goes on, a whole one is taken in though nobody asks, and one that is too old is forgotten."""
    server = start_server(uploads={"keep_hours": 1})
    folder = server.folder / "data" / "uploads"
    data = write(image())
    with httpx.Client(base_url=server.web_url, timeout=30) as client:
        half, whole, old = begin(client, len(data)), begin(client, len(data)), begin(client, len(data))
        assert add(client, half, 0, data[:100_000]).status_code == 204
        assert add(client, whole, 0, data[:-1]).status_code == 204
    kill(server)
    # As when the server is killed between the last byte and the result.
    with next(folder.glob(f"*/{whole.rpartition('/')[2]}.data")).open("ab") as file:
        file.write(data[-1:])
    for path in folder.glob(f"*/{old.rpartition('/')[2]}.*"):
        os.utime(path, (time.time() - 4000, time.time() - 4000))
    server.restart()
    until = time.monotonic() + 30
    with httpx.Client(base_url=server.web_url, timeout=30) as client:
        while client.head(old, headers=TUS).status_code != 404 or not list(folder.glob("*/*.result")):
            assert time.monotonic() < until
            time.sleep(0.1)
        assert result_of(client, whole)["counts"] == {"stored": 1}
        assert offset_of(client, half) == 100_000
        assert add(client, half, 100_000, data[100_000:]).status_code == 204
        assert result_of(client, half)["counts"] == {"duplicate": 1}


def test_other_principals_see_nothing(tmp_path: Path) -> None:
    shelf = Shelf(tmp_path, minimum_free_percent=0)

    def owner(name: str, tenant: str) -> Owner:
        return Owner.of(Principal(name, "user", frozenset(Permission), Scope(tenant)))

    mine = shelf.create(owner("a", "one"), 10, {"filename": "x"})
    assert shelf.find(owner("a", "one"), mine.id) == mine
    assert mine.owner.principal().permissions == {Permission.STORE, Permission.QUERY}
    for other in (owner("a", "two"), owner("b", "one")):
        assert list(shelf.of(other)) == []
        with pytest.raises(NotFound):
            shelf.find(other, mine.id)


CLIENT = """
import { readFileSync } from 'node:fs';
import { createRequire } from 'node:module';
const tus = createRequire(process.argv[2] + '/package.json')('tus-js-client');
const data = readFileSync(process.argv[4]);
const upload = new tus.Upload(data, {
  endpoint: process.argv[3] + '/api/uploads', chunkSize: 150000, retryDelays: [100, 100],
  metadata: { filename: 'nød.dcm' }, uploadDataDuringCreation: process.argv[5] === 'creation',
  onError: (error) => { console.error(String(error)); process.exit(1); },
  onSuccess: () => console.log(JSON.stringify({ url: upload.url })),
});
upload.start();
"""


@pytest.mark.parametrize("way", ["creation", "afterwards"])
def test_the_clients_of_others(client: httpx.Client, server: Server, tmp_path: Path, way: str) -> None:
    node = shutil.which("node")
    assert node is not None
    (tmp_path / "client.mjs").write_text(CLIENT)
    (tmp_path / "ct.dcm").write_bytes(write(image()))
    portal = ROOT / "web" / "portal"
    arguments = [node, tmp_path / "client.mjs", portal, server.web_url, tmp_path / "ct.dcm", way]
    run = subprocess.run(arguments, capture_output=True, text=True, timeout=60)
    assert run.returncode == 0, run.stderr
    result = result_of(client, json.loads(run.stdout)["url"])
    assert result["counts"] == {"stored": 1} and result["instances"][0]["name"] == "nød.dcm"


def test_lists_while_uploads_come_and_go(client: httpx.Client, server: Server) -> None:
    ended = threading.Event()

    def come_and_go() -> None:
        with httpx.Client(base_url=server.web_url) as other:
            while not ended.is_set():
                assert other.delete(begin(other, 10), headers=TUS).status_code == 204

    thread = threading.Thread(target=come_and_go)
    thread.start()
    answers = [client.get("/api/uploads") for _ in range(50)]
    ended.set()
    thread.join()
    assert {answer.status_code for answer in answers} == {200}


def test_many_at_once(client: httpx.Client) -> None:
    files = [write(image()) for _ in range(16)]
    statuses: list[dict[str, int]] = []

    def send(data: bytes) -> None:
        statuses.append(upload(client, data)["counts"])

    threads = [threading.Thread(target=send, args=(data,)) for data in files]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [{"stored": 1}] * 16


@given(st.dictionaries(st.from_regex(r"[A-Za-z0-9_.-]{1,20}", fullmatch=True), st.text(max_size=50), max_size=10))
def test_metadata_comes_back(values: dict[str, str]) -> None:
    assert tus.metadata(tus.write_metadata(values)) == values


@given(st.text(max_size=80))
def test_no_header_breaks_the_parsers(text: str) -> None:
    for parse in (tus.metadata, tus.checksum, lambda said: tus.number("Upload-Length", said), tus.check_version):
        try:
            parse(text)
        except tus.Refusal as refusal:
            assert refusal.status in (400, 412)
