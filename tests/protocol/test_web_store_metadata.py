"""STOW-RS of metadata and bulk data: JSON and XML, raw and compressed pixels, everyday files, bad requests."""

import base64
import io
import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from config.settings import Limits
from dicomweb import native_xml
from tests.conftest import Server, StartServer
from tests.json_oracle import quiet_pydicom
from tests.protocol.test_web_store import peak_bytes
from tests.protocol.web import ANY_SYNTAX, BOUNDARY, multipart, parts_of, stow, write
from tests.samples import SHIPPED, sample

JSON, XML, OCTETS = "application/dicom+json", "application/dicom+xml", "application/octet-stream"
REFERENCED, FAILED, OTHERS = "00081199", "00081198", "0008119A"
WARNING, FAILURE, ATTRIBUTES, COMMENT = "00081196", "00081197", "00741048", "00000902"
VIDEO = SHIPPED / "video" / "h264.mp4"

Part = tuple[str, str, bytes]
"""Content-Location, Content-Type and data."""


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


def body_of(metadata: list[bytes], kind: str, parts: list[Part]) -> bytes:
    pieces = [f"--{BOUNDARY}\r\nContent-Type: {kind}\r\n\r\n".encode() + one + b"\r\n" for one in metadata]
    for location, media_type, data in parts:
        head = f"--{BOUNDARY}\r\nContent-Type: {media_type}\r\n"
        head += f"Content-Location: {location}\r\n" if location else ""
        pieces.append(head.encode() + b"\r\n" + data + b"\r\n")
    return b"".join(pieces) + f"--{BOUNDARY}--\r\n".encode()


def send(
    client: httpx.Client,
    datasets: list[Any],
    *parts: Part,
    kind: str = JSON,
    path: str = "/studies",
    accept: str = JSON,
) -> httpx.Response:
    """Store metadata, in the form that `kind` names, with its parts."""
    metadata = [*map(native_xml.write, datasets)] if kind == XML else [json.dumps(datasets).encode()]
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary={BOUNDARY}', "Accept": accept}
    return client.post(path, content=body_of(metadata, kind, list(parts)), headers=headers)


def new(path: str = "ct_head_phantom_54/I100.dcm") -> tuple[pydicom.Dataset, dict[str, Any]]:
    """An instance that nobody else has, and its metadata by pydicom with Pixel Data at `pixels`."""
    with quiet_pydicom():
        ds = pydicom.dcmread(sample(path))
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID = generate_uid(), generate_uid(), generate_uid()
        ds.walk(lambda dataset, element: dataset.pop(element.tag) if element.tag.is_private else None)
        found = {tag: element for tag, element in ds.to_json_dict().items() if tag[4:] != "0000"}
    found["7FE00010"] = {"vr": "OW", "BulkDataURI": "pixels"}
    return ds, found


def stored(client: httpx.Client, response: httpx.Response) -> list[pydicom.Dataset]:
    """The instances that an answer calls stored, as they come back."""
    found = []
    for item in response.json()[REFERENCED]["Value"]:
        url = item["00081190"]["Value"][0]
        whole = client.get(url, headers={"Accept": f"application/dicom; {ANY_SYNTAX}"})
        assert whole.status_code == 200
        found.append(pydicom.dcmread(io.BytesIO(whole.content)))
    return found


@pytest.mark.parametrize("kind", [JSON, XML, "application/json"])
def test_metadata_with_raw_pixels_become_the_instance(client: httpx.Client, kind: str) -> None:
    ds, metadata = new()
    response = send(client, [metadata], ("pixels", OCTETS, ds.PixelData), kind=kind)
    assert response.status_code == 200
    (back,) = stored(client, response)
    assert back.PixelData == ds.PixelData
    for element in ds:
        if element.tag != 0x00080005:
            assert back[element.tag].value == element.value, element.tag


def test_several_instances_in_one_request(client: httpx.Client) -> None:
    pairs = [new(), new(), new()]
    for number, (_, metadata) in enumerate(pairs):
        metadata["7FE00010"]["BulkDataURI"] = f"http://elsewhere.example/bulk/{number}"
    parts = [(f"http://elsewhere.example/bulk/{n}", OCTETS, ds.PixelData) for n, (ds, _) in enumerate(pairs)]
    for kind in (JSON, XML):
        response = send(client, [metadata for _, metadata in pairs], *reversed(parts), kind=kind)
        assert response.status_code == 200
        uids = [item["00081155"]["Value"][0] for item in response.json()[REFERENCED]["Value"]]
        assert uids == [ds.SOPInstanceUID for ds, _ in pairs]
    assert len(stored(client, response)) == 3


def test_a_single_part_body_of_metadata_alone(client: httpx.Client) -> None:
    ds, metadata = new("generated/sr_tid1500.dcm")
    del metadata["7FE00010"]
    response = client.post("/studies", content=json.dumps([metadata]), headers={"Content-Type": JSON})
    assert response.status_code == 200
    assert stored(client, response)[0].ContentSequence == ds.ContentSequence
    assert client.post("/studies", content=native_xml.write(metadata), headers={"Content-Type": XML}).status_code == 200


def test_unicode_text_and_bulk_data_in_sequences(client: httpx.Client) -> None:
    ds, metadata = new()
    metadata["00080005"] = {"vr": "CS", "Value": ["ISO_IR 126"]}
    metadata["00100010"] = {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}]}
    metadata["00282000"] = {"vr": "OB", "BulkDataURI": "profile"}
    waveform = {"54001010": {"vr": "OW", "BulkDataURI": "wave"}}
    metadata["54000100"] = {"vr": "SQ", "Value": [waveform]}
    parts: list[Part] = [("wave", OCTETS, b"\1\2\3\4"), ("profile", OCTETS, b"abc"), ("pixels", OCTETS, ds.PixelData)]
    (back,) = stored(client, send(client, [metadata], *parts))
    assert (back.PatientName.ideographic, back.SpecificCharacterSet) == ("王^小东", "ISO_IR 192")
    assert back.WaveformSequence[0].WaveformData == b"\1\2\3\4"
    assert back.ICCProfile == b"abc\0"


def test_compressed_pixels_are_encapsulated(client: httpx.Client) -> None:
    grey = np.random.default_rng(2).integers(0, 4096, (32, 48), dtype="uint16")
    frame = pydicom.pixels.get_encoder("1.2.840.10008.1.2.4.80").encode(
        grey, rows=32, columns=48, samples_per_pixel=1, bits_allocated=16, bits_stored=12, pixel_representation=0,
        photometric_interpretation="MONOCHROME2", number_of_frames=1,
    )  # fmt: skip
    _, metadata = new()
    # The Image Pixel Description may be left out (PS3.18 10.5.2).
    for tag in ("00280002", "00280004", "00280010", "00280011", "00280100", "00280101", "00280102", "00280103"):
        del metadata[tag]
    for media_type in ("image/jls", "image/jls; transfer-syntax=1.2.840.10008.1.2.4.80"):
        response = send(client, [metadata], ("pixels", media_type, frame))
        assert response.status_code == 200
        (back,) = stored(client, response)
        assert back.file_meta.TransferSyntaxUID == "1.2.840.10008.1.2.4.80"
        assert (back.BitsStored, np.array_equal(back.pixel_array, grey)) == (12, True)


def pdf() -> bytes:
    return b"%PDF-1.4\n1 0 obj<<>>endobj\ntrailer<<>>\n%%EOF\n"


def png() -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.arange(3072, dtype="uint16").astype("uint8").reshape(32, 32, 3)).save(stream, "PNG")
    return stream.getvalue()


PATIENT = {
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Doe^Jane"}]},
    "00100020": {"vr": "LO", "Value": ["4711"]},
}


@pytest.mark.parametrize(
    ("tag", "media_type", "data", "sop_class"),
    [
        ("7FE00010", "image/png", png(), "1.2.840.10008.5.1.4.1.1.7"),
        ("7FE00010", "video/mp4", VIDEO.read_bytes(), "1.2.840.10008.5.1.4.1.1.77.1.4.1"),
        ("00420011", "application/pdf", pdf(), "1.2.840.10008.5.1.4.1.1.104.1"),
    ],
)
def test_everyday_files_with_minimal_metadata(
    client: httpx.Client, tag: str, media_type: str, data: bytes, sop_class: str
) -> None:
    uid = generate_uid()
    metadata = {**PATIENT, tag: {"vr": "OB", "BulkDataURI": "file"}}
    response = send(client, [metadata], ("file", media_type, data), path=f"/studies/{uid}")
    assert response.status_code == 202
    (item,) = response.json()[REFERENCED]["Value"]
    assert item[WARNING]["Value"] == [0xB000]
    filled = {selector["00720026"]["Value"][0] for selector in item[ATTRIBUTES]["Value"]}
    assert {"00080018", "00080016", "0020000E", "00080020"} <= filled
    assert not {"0020000D", "00100010", "00100020"} & filled
    (back,) = stored(client, response)
    assert (back.StudyInstanceUID, back.SOPClassUID, back.PatientID) == (uid, sop_class, "4711")
    again = send(client, [metadata], ("file", media_type, data), path=f"/studies/{uid}")
    assert again.json() == response.json()
    assert len(client.get(f"/studies/{uid}/instances").json()) == 1


def test_files_of_one_request_come_into_one_study(client: httpx.Client) -> None:
    datasets = [{**PATIENT, "7FE00010": {"vr": "OB", "BulkDataURI": name}} for name in ("one", "two")]
    response = send(client, datasets, ("one", "image/png", png()), ("two", "video/mp4", VIDEO.read_bytes()))
    one, two = stored(client, response)
    assert one.StudyInstanceUID == two.StudyInstanceUID
    assert one.SeriesInstanceUID != two.SeriesInstanceUID


def test_a_stored_picture_can_be_seen_and_a_document_read(client: httpx.Client) -> None:
    pixels = {"7FE00010": {"vr": "OB", "BulkDataURI": "file"}}
    picture = send(client, [pixels], ("file", "image/png", png())).json()
    url = picture[REFERENCED]["Value"][0]["00081190"]["Value"][0]
    shown = httpx.get(url + "/rendered", headers={"Accept": "image/png"})
    with Image.open(io.BytesIO(shown.content)) as ours, Image.open(io.BytesIO(png())) as theirs:
        assert np.array_equal(np.asarray(ours.convert("RGB")), np.asarray(theirs))
    document = send(client, [{"00420011": {"vr": "OB", "BulkDataURI": "file"}}], ("file", "application/pdf", pdf()))
    url = document.json()[REFERENCED]["Value"][0]["00081190"]["Value"][0]
    assert httpx.get(url + "/rendered", headers={"Accept": "application/pdf"}).content.startswith(pdf())


def test_curl_stores_and_reads_xml(server: Server, tmp_path: Path) -> None:
    ds, metadata = new()
    (tmp_path / "body").write_bytes(body_of([native_xml.write(metadata)], XML, [("pixels", OCTETS, ds.PixelData)]))
    run = subprocess.run(
        [
            *("curl", "-sS", "-H", f'Content-Type: multipart/related; type="{XML}"; boundary={BOUNDARY}'),
            *("-H", f"Accept: {XML}", "--data-binary", f"@{tmp_path / 'body'}", f"{server.dicomweb_url}/studies"),
        ],
        capture_output=True,
        check=True,
    )
    answer = native_xml.read(run.stdout, Limits())
    assert answer[REFERENCED]["Value"][0]["00081155"]["Value"] == [ds.SOPInstanceUID]
    assert answer["00081190"]["Value"] == [f"{server.dicomweb_url}/studies/{ds.StudyInstanceUID}"]


@pytest.mark.parametrize(
    ("accept", "content_type"),
    [
        ("*/*", JSON),
        (JSON, JSON),
        ("application/json", "application/json"),
        (XML, XML),
        (f'multipart/related; type="{XML}"', f'multipart/related; type="{XML}"; boundary='),
    ],
)
def test_the_answer_comes_in_the_form_that_is_asked_for(client: httpx.Client, accept: str, content_type: str) -> None:
    ds, _ = new()
    response = stow(client, write(ds), Accept=accept)
    assert response.status_code == 200
    assert response.headers["content-type"].startswith(content_type)
    assert ds.SOPInstanceUID in response.text


def failures(response: httpx.Response) -> list[dict[str, Any]]:
    answer = response.json()
    return [*answer.get(FAILED, {}).get("Value", []), *answer.get(OTHERS, {}).get("Value", [])]


BAD_INSTANCES: dict[str, tuple[dict[str, Any], list[Part], int, str]] = {
    "bulk data missing": ({}, [], 0xC000, "7FE00010"),
    "too short": ({}, [("pixels", OCTETS, bytes(524286))], 0xA900, "7FE00010"),
    "too long": ({}, [("pixels", OCTETS, bytes(524290))], 0xA900, "7FE00010"),
    "compressed octets": (
        {}, [("pixels", f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.4.50", bytes(524288))], 0xC122, "7FE00010",
    ),
    "big endian octets": (
        {}, [("pixels", f"{OCTETS}; transfer-syntax=1.2.840.10008.1.2.2", bytes(524288))], 0xC122, "7FE00010",
    ),
    "other syntax than named": (
        {}, [("pixels", "image/jpeg; transfer-syntax=1.2.840.10008.1.2.4.80", pdf())], 0xC000, "",
    ),
    "no such media type": ({}, [("pixels", "image/x-unknown", b"x")], 0xC000, "7FE00010"),
    "picture of another size": ({}, [("pixels", "image/png", png())], 0xA900, "00280010"),
    "value of another kind": ({"00280010": {"vr": "US", "Value": ["many"]}}, [], 0xC000, ""),
    "bad value": (
        {"00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": [7]}}]}},
        [("pixels", OCTETS, bytes(524288))], 0xC000, "00081155",
    ),
    "no SOP class": ({"00080016": {"vr": "UI"}}, [("pixels", OCTETS, bytes(524288))], 0xA900, "00080016"),
    "unknown SOP class": (
        {"00080016": {"vr": "UI", "Value": ["1.2.3"]}}, [("pixels", OCTETS, bytes(524288))], 0x0122, "",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", BAD_INSTANCES)
def test_an_instance_that_cannot_be_made_is_a_failure_of_its_own(client: httpx.Client, name: str) -> None:
    changes, parts, code, attribute = BAD_INSTANCES[name]
    ds, metadata = new()
    good, others = new()
    others["7FE00010"]["BulkDataURI"] = "good"
    response = send(client, [metadata | changes], *parts)
    assert response.status_code == 409
    assert {item[FAILURE]["Value"][0] for item in failures(response)} == {code}
    assert failures(response)[0][COMMENT]["Value"][0]
    if attribute:
        selectors = failures(response)[0][ATTRIBUTES]["Value"]
        assert [attribute] in [selector["00720026"]["Value"] for selector in selectors]
    both = send(client, [metadata | changes, others], *parts, ("good", OCTETS, good.PixelData))
    assert both.status_code == 202
    assert [item["00081155"]["Value"][0] for item in both.json()[REFERENCED]["Value"]] == [good.SOPInstanceUID]
    assert client.get("/instances", params={"SOPInstanceUID": str(ds.SOPInstanceUID)}).json() == []


def test_refusals_are_in_the_audit_trail(server: Server, client: httpx.Client) -> None:
    ds, metadata = new()
    before = len(server.audit())
    send(client, [metadata])
    (event,) = [one for one in server.audit()[before:] if one.get("study_instance_uid") == ds.StudyInstanceUID]
    assert (event["outcome"], "refused C000" in event["detail"]) == ("serious", True)


def test_where_a_fault_in_a_sequence_is(client: httpx.Client) -> None:
    changes, parts, _, _ = BAD_INSTANCES["bad value"]
    _, metadata = new()
    (selector,) = failures(send(client, [metadata | changes], *parts))[0][ATTRIBUTES]["Value"]
    assert selector["00720052"]["Value"] == ["00081140"]
    assert selector["00741057"]["Value"] == [1]


def test_a_study_other_than_that_of_the_path_is_refused(client: httpx.Client) -> None:
    ds, metadata = new()
    response = send(client, [metadata], ("pixels", OCTETS, ds.PixelData), path=f"/studies/{generate_uid()}")
    assert response.status_code == 409
    assert failures(response)[0][FAILURE]["Value"] == [0xC409]


def test_parts_that_nobody_refers_to_are_told(client: httpx.Client) -> None:
    ds, metadata = new()
    extra: list[Part] = [("unused", OCTETS, b"x"), ("", OCTETS, b"y")]
    response = send(client, [metadata], ("pixels", OCTETS, ds.PixelData), *extra)
    assert (response.status_code, len(response.json()[OTHERS]["Value"])) == (202, 2)
    assert len(stored(client, response)) == 1


ENTITIES = b'<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]><NativeDicomModel>&x;</NativeDicomModel>'
DEEP = b"<NativeDicomModel>" + b'<DicomAttribute tag="00081140" vr="SQ"><Item>' * 5000


@pytest.mark.parametrize(
    ("kind", "metadata", "status"),
    [
        (JSON, b"", 400),
        (JSON, b"{", 400),
        (JSON, b"[]", 400),
        (JSON, b"[1]", 400),
        (JSON, b'"text"', 400),
        (JSON, b"[" * 2000, 400),
        (JSON, b'{"x":' * 100_000, 400),
        (JSON, b"[" + b"0," * 6_000_000 + b"0]", 413),
        (JSON, b'[{"0008,0018":{"vr":"UI"}}]', 409),
        (JSON, b'[{"00080018":7}]', 409),
        (XML, b"", 400),
        (XML, b"<NativeDicomModel>", 400),
        (XML, b"<html/>", 400),
        (XML, ENTITIES, 400),
        (XML, DEEP, 413),
    ],
)
def test_metadata_that_cannot_be_read(client: httpx.Client, kind: str, metadata: bytes, status: int) -> None:
    headers = {"Content-Type": f'multipart/related; type="{kind}"; boundary={BOUNDARY}'}
    response = client.post("/studies", content=body_of([metadata], kind, []), headers=headers)
    assert response.status_code == status
    assert "root:" not in response.text


def test_two_parts_with_one_location_are_a_bad_request(client: httpx.Client) -> None:
    ds, metadata = new()
    response = send(client, [metadata], ("pixels", OCTETS, ds.PixelData), ("pixels", OCTETS, b"x"))
    assert response.status_code == 400
    assert client.get("/instances", params={"SOPInstanceUID": str(ds.SOPInstanceUID)}).json() == []


def test_parts_without_metadata_are_a_bad_request(client: httpx.Client) -> None:
    assert send(client, [], ("pixels", OCTETS, b"x"), kind=XML).status_code == 400


def test_a_body_with_a_content_encoding_is_refused(client: httpx.Client) -> None:
    assert stow(client, b"x", **{"Content-Encoding": "gzip"}).status_code == 415


def test_bulk_data_of_any_size_takes_little_memory(start_server: StartServer) -> None:
    server = start_server()
    ds, metadata = new()
    frame, count = 512 * 1024, 300
    metadata["00280008"] = {"vr": "IS", "Value": [count]}

    def body() -> Iterator[bytes]:
        whole = body_of([json.dumps([metadata]).encode()], JSON, [("pixels", OCTETS, b"")])
        head, tail = whole[: -len(f"\r\n--{BOUNDARY}--\r\n")], whole[-len(f"\r\n--{BOUNDARY}--\r\n") :]
        yield head
        for number in range(count):
            yield bytes([number % 256]) * frame
        yield tail

    before = max(map(peak_bytes, server.children()))
    with httpx.Client(base_url=server.dicomweb_url, timeout=120) as client:
        headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'}
        response = client.post("/studies", content=body(), headers=headers)
        assert response.status_code == 200
        url = response.json()[REFERENCED]["Value"][0]["00081190"]["Value"][0]
        last = client.get(f"{url}/frames/{count}", headers={"Accept": OCTETS})
        assert last.content == bytes([(count - 1) % 256]) * frame
    assert max(map(peak_bytes, server.children())) - before < 64 * 1024**2
    assert ds.SOPInstanceUID in url


def test_inline_pixels_and_several_metadata_parts(client: httpx.Client) -> None:
    one, first = new()
    two, second = new()
    for ds, metadata in ((one, first), (two, second)):
        metadata["7FE00010"] = {"vr": "OW", "InlineBinary": base64.b64encode(ds.PixelData).decode()}
    body = body_of([json.dumps(metadata).encode() for metadata in (first, second)], JSON, [])
    headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'}
    response = client.post("/studies", content=body, headers=headers)
    assert [back.PixelData for back in stored(client, response)] == [one.PixelData, two.PixelData]


def test_files_in_a_metadata_request_are_refused_as_parts(client: httpx.Client) -> None:
    ds, metadata = new()
    body = body_of([json.dumps([metadata]).encode()], JSON, [("pixels", OCTETS, ds.PixelData)])
    other = multipart([write(new()[0])])
    whole = body.removesuffix(f"--{BOUNDARY}--\r\n".encode()) + other
    headers = {"Content-Type": f'multipart/related; type="{JSON}"; boundary={BOUNDARY}'}
    response = client.post("/studies", content=whole, headers=headers)
    assert (response.status_code, len(response.json()[OTHERS]["Value"])) == (202, 1)


@pytest.mark.parametrize("kind", [JSON, XML])
@pytest.mark.parametrize("name", ["ct_head_phantom_54/I100.dcm", "ecg/anonymous_ecg.dcm", "us/examples_palette.dcm"])
def test_what_is_retrieved_can_be_stored_again(client: httpx.Client, kind: str, name: str, tmp_path: Path) -> None:
    """Metadata and bulk data as they leave are a request as it arrives, once the instance has another UID."""
    path, ds = renamed(name, tmp_path)
    url = stow(client, path.read_bytes()).json()[REFERENCED]["Value"][0]["00081190"]["Value"][0]
    accept = f'multipart/related; type="{XML}"' if kind == XML else JSON
    retrieved = httpx.get(f"{url}/metadata", headers={"Accept": accept})
    document = native_xml.read(parts_of(retrieved)[0][1], Limits()) if kind == XML else retrieved.json()[0]
    uid = generate_uid()
    document["00080018"]["Value"] = [uid]
    parts = list(retrieved_bulk(document, httpx.URL(url)))
    response = send(client, [document], *parts, kind=kind)
    assert response.status_code == 200, response.text
    (back,) = stored(client, response)
    ds.SOPInstanceUID = uid
    same(back, ds)


def retrieved_bulk(document: dict[str, Any], url: httpx.URL) -> Iterator[Part]:
    """Every value that the metadata refer to, under the address they name."""
    for element in document.values():
        if "BulkDataURI" in element:
            value = httpx.get(url.join(element["BulkDataURI"]), headers={"Accept": OCTETS})
            assert value.status_code == 200
            yield element["BulkDataURI"], OCTETS, value.content
        for item in element.get("Value", []) if element["vr"] == "SQ" else []:
            yield from retrieved_bulk(item, url)


FROM_DCMTK = ("ct_head_phantom_54/I100.dcm", "sr/sr_document.dcm", "ecg/anonymous_ecg.dcm", "charset/chrGreek.dcm")


def renamed(name: str, folder: Path) -> tuple[Path, pydicom.Dataset]:
    """A copy of a sample as an instance of its own."""
    with quiet_pydicom():
        ds = pydicom.dcmread(sample(name))
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.StudyInstanceUID = generate_uid()
        (folder / "renamed.dcm").write_bytes(write(ds))
    return folder / "renamed.dcm", ds


@pytest.mark.parametrize("name", FROM_DCMTK)
def test_what_dcmtk_says_in_json_is_stored(client: httpx.Client, name: str, tmp_path: Path) -> None:
    path, ds = renamed(name, tmp_path)
    run = subprocess.run(["/usr/bin/dcm2json", path], capture_output=True, check=True)
    response = client.post("/studies", content=run.stdout, headers={"Content-Type": JSON})
    assert response.status_code == 200, response.text
    same(stored(client, response)[0], ds)


@pytest.mark.parametrize("name", FROM_DCMTK)
def test_what_dcmtk_says_in_xml_is_stored(client: httpx.Client, name: str, tmp_path: Path) -> None:
    """Its bulk data have UUIDs, so the parts are named by URNs."""
    path, ds = renamed(name, tmp_path)
    run = subprocess.run(["/usr/bin/dcm2xml", "-nat", "+U8", "+M", path], capture_output=True, check=True)
    document = native_xml.read(run.stdout, Limits())
    with quiet_pydicom():
        parts = [(uri, OCTETS, value) for uri, value in references(document, ds)]
    headers = {"Content-Type": f'multipart/related; type="{XML}"; boundary={BOUNDARY}'}
    response = client.post("/studies", content=body_of([run.stdout], XML, parts), headers=headers)
    assert response.status_code == 200, response.text
    same(stored(client, response)[0], ds)


def references(document: dict[str, Any], ds: pydicom.Dataset) -> Iterator[tuple[str, bytes]]:
    for tag, element in document.items():
        if "BulkDataURI" in element:
            yield element["BulkDataURI"], ds[tag].value
        for number, item in enumerate(element.get("Value", []) if element["vr"] == "SQ" else []):
            yield from references(item, ds[tag].value[number])


def same(back: pydicom.Dataset, ds: pydicom.Dataset) -> None:
    """Public values are equal; floating point numbers as far as DCMTK writes their digits."""
    with quiet_pydicom():
        for element in ds:
            if element.tag.is_private or element.tag in (0x00080005, 0x00020000) or not element.tag.element:
                continue
            found = back[element.tag]
            if element.VR == "SQ":
                assert len(found.value) == len(element.value)
                for ours, theirs in zip(found.value, element.value, strict=True):
                    same(ours, theirs)
            elif element.VR in ("FL", "FD", "DS") and element.value is not None:
                assert found.value == pytest.approx(element.value, rel=1e-5)
            elif str(element.value).strip("^"):  # DCMTK leaves a name out that has only empty components.
                assert found.value == element.value, element.tag
