"""Every resource with every media type: what is offered comes with that type, all else is refused and says why."""

import io
from collections.abc import Iterator
from email.utils import parsedate_to_datetime
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pydicom
import pytest
from pydicom.uid import generate_uid

from tests.conftest import Server, StartServer
from tests.protocol.test_web_video import STREAM, video
from tests.protocol.web import OCTETS, parts_of, path_of, read, stow, write
from tests.samples import sample

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_2000, JPEG_LS, RLE, HTJ2K = (f"1.2.840.10008.1.2.{n}" for n in ("4.90", "4.80", "5", "4.201"))
LOSSLESS = {
    "application/octet-stream": EXPLICIT,
    "image/jp2": JPEG_2000,
    "image/jls": JPEG_LS,
    "image/dicom-rle": RLE,
    "image/jphc": HTJ2K,
}
OBJECTS = ("application/dicom", *LOSSLESS)
METADATA = ("application/dicom+json", "application/json")
TABLE = {
    # resource: media types in multipart/related, media types of a single part
    "study": (OBJECTS, ("application/zip",)),
    "series": (OBJECTS, ("application/zip",)),
    "instance": (OBJECTS, ("application/dicom", "application/zip")),
    "study/metadata": (("application/dicom+xml",), METADATA),
    "series/metadata": (("application/dicom+xml",), METADATA),
    "instance/metadata": (("application/dicom+xml",), METADATA),
    "study/bulkdata": (tuple(LOSSLESS), ()),
    "series/bulkdata": (tuple(LOSSLESS), ()),
    "instance/bulkdata": (tuple(LOSSLESS), ()),
    "study/pixeldata": (tuple(LOSSLESS), ()),
    "series/pixeldata": (tuple(LOSSLESS), ()),
    "instance/pixeldata": (tuple(LOSSLESS), tuple(LOSSLESS)),
    "instance/frames/1": (tuple(LOSSLESS), tuple(LOSSLESS)),
    "instance/bulkdata/7FE00010": (tuple(LOSSLESS), tuple(LOSSLESS)),
}
ALL = {*OBJECTS, *METADATA, "application/zip", "application/dicom+xml", "text/plain", "image/webp", "video/mp4"}
STORED = ("DeflatedExplicitVRLittleEndian", "JPEG2000LosslessOnly", "RLELossless", "JPEGProcess14SV1", "JPEGLSLossless")


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the running server."""
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def images(client: httpx.Client) -> dict[str, pydicom.Dataset]:
    """Images in several transfer syntaxes, each in a study of its own."""
    found = {}
    for name in STORED:
        ds = pydicom.dcmread(sample(f"ct_syntaxes/{name}.dcm"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        assert stow(client, write(ds)).status_code in (200, 202)
        found[name] = ds
    return found


def url_of(ds: pydicom.Dataset, resource: str) -> str:
    """The address of a resource of the table."""
    level, slash, rest = resource.partition("/")
    whole = path_of(ds)
    cut = {"study": "/series/", "series": "/instances/", "instance": "\n"}[level]
    return whole.partition(cut)[0] + slash + rest


@pytest.mark.parametrize("resource", TABLE)
@pytest.mark.parametrize("name", STORED[:2])
def test_media_types(client: httpx.Client, images: dict[str, pydicom.Dataset], name: str, resource: str) -> None:
    url = url_of(images[name], resource)
    several, single = TABLE[resource]
    for media_type in several:
        response = client.get(url, headers={"Accept": f'multipart/related; type="{media_type}"'})
        assert response.status_code == 200, (media_type, response.text)
        assert response.headers["content-type"].startswith(f'multipart/related; type="{media_type}"; boundary=')
        for kind, data in parts_of(response):
            assert kind.partition(";")[0] == media_type
            assert data
            if kind.partition(";")[0] in LOSSLESS and "transfer-syntax=" in kind:
                assert kind.partition("transfer-syntax=")[2] == LOSSLESS[media_type]
    for media_type in single:
        response = client.get(f"{url}?accept={media_type.replace('+', '%2B')}", headers={"Accept": "text/html"})
        assert response.status_code == 200, (media_type, response.text)
        assert response.headers["content-type"].partition(";")[0] == media_type
    for media_type in sorted(ALL - {*several}):
        assert client.get(url, headers={"Accept": f"multipart/related; type={media_type}"}).status_code == 406
    for media_type in sorted(ALL - {*single}):
        response = client.get(url, headers={"Accept": media_type})
        assert response.status_code == 406, media_type
        assert "Available: " in response.text or "Stored as" in response.text


@pytest.mark.parametrize("target", ["1.2.840.10008.1.2.1.99", *LOSSLESS.values()])
@pytest.mark.parametrize("name", STORED)
def test_objects_in_every_lossless_syntax(
    client: httpx.Client, images: dict[str, pydicom.Dataset], name: str, target: str
) -> None:
    accept = f"application/dicom; transfer-syntax={target}"
    response = client.get(path_of(images[name]), headers={"Accept": accept})
    assert response.status_code == 200, response.text
    assert response.headers["content-type"] == accept
    made = read(response.content)
    assert made.file_meta.TransferSyntaxUID == target
    assert (made.pixel_array == images[name].pixel_array).all()


@pytest.mark.parametrize(
    "accept",
    ["application/dicom; transfer-syntax=1.2.840.10008.1.2", "application/dicom; transfer-syntax=1.2.840.10008.1.2.2",
     "application/dicom; transfer-syntax=1.2.840.10008.1.2.4.50", "application/dicom; transfer-syntax=1.2.3",
     "application/dicom;q=0", "application/dicom+json", "a" * 5000],
)  # fmt: skip
def test_what_an_object_cannot_be(client: httpx.Client, images: dict[str, pydicom.Dataset], accept: str) -> None:
    response = client.get(path_of(images[STORED[0]]), headers={"Accept": accept})
    assert response.status_code == 406
    assert response.json()["error"]["message"]


def test_what_is_wanted_most_goes_before_what_is_stored(
    client: httpx.Client, images: dict[str, pydicom.Dataset]
) -> None:
    url = path_of(images[STORED[0]]) + "/frames/1"
    for accept, expected in (
        ("image/jls, application/octet-stream;q=0.5", "image/jls"),
        ("image/jls;q=0.5, application/octet-stream", "application/octet-stream"),
        ("image/jls, application/octet-stream", "application/octet-stream"),
        ("video/mp4, application/octet-stream;q=0.1", "application/octet-stream"),
    ):
        response = client.get(url, headers={"Accept": accept})
        assert response.headers["content-type"].partition(";")[0] == expected, accept


def test_metadata_as_xml_says_the_same(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = images[STORED[0]]
    url = path_of(ds) + "/metadata"
    ((kind, text),) = parts_of(client.get(url, headers={"Accept": "multipart/related; type=application/dicom+xml"}))
    assert kind == "application/dicom+xml"
    root = ElementTree.fromstring(text)
    (item,) = client.get(url).json()
    namespace = "{http://dicom.nema.org/PS3.19/models/NativeDICOM}"
    assert root.tag == f"{namespace}NativeDicomModel"
    written = {node.get("tag"): node for node in root.findall(f"{namespace}DicomAttribute")}
    # A private element may change its block, because XML names the creator in its place.
    assert {tag for tag in written if int(tag[:4], 16) % 2 == 0} == {tag for tag in item if int(tag[:4], 16) % 2 == 0}
    assert written["0020000D"].findtext(f"{namespace}Value") == ds.StudyInstanceUID
    bulk = written["7FE00010"].find(f"{namespace}BulkData")
    assert bulk is not None and bulk.get("uri") == item["7FE00010"]["BulkDataURI"]


def test_metadata_that_is_known_is_not_sent_again(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = images[STORED[0]]
    for resource in ("study/metadata", "series/metadata", "instance/metadata"):
        url = url_of(ds, resource)
        json, xml = (
            client.get(url),
            client.get(url, headers={"Accept": "multipart/related; type=application/dicom+xml"}),
        )
        assert json.headers["etag"] != xml.headers["etag"]
        assert client.get(url, headers={"If-None-Match": json.headers["etag"]}).status_code == 304
        assert client.get(url, headers={"If-None-Match": xml.headers["etag"]}).status_code == 200
    before = client.get(url_of(ds, "study/metadata")).headers["etag"]
    other = pydicom.dcmread(io.BytesIO(write(ds)))
    other.SOPInstanceUID = other.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    assert stow(client, write(other)).status_code in (200, 202)
    after = client.get(url_of(ds, "study/metadata"), headers={"If-None-Match": before})
    assert (after.status_code, len(after.json())) == (200, 2)


def test_text_leaves_in_utf8_only(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    url = path_of(images[STORED[0]]) + "/metadata"
    for accepted in ("utf-8", "UTF-8", "iso-8859-1, utf-8;q=0.5", "*", "iso-8859-1;q=1, *;q=0.1", ""):
        assert client.get(url, headers={"Accept-Charset": accepted}).status_code == 200, accepted
        assert client.get(url, params={"charset": accepted}, headers={"Accept-Charset": "x"}).status_code == (
            200 if accepted else 406
        )
    for refused in ("iso-8859-1", "utf-8;q=0", "*;q=0", "iso-8859-1, us-ascii"):
        response = client.get(url, headers={"Accept-Charset": refused})
        assert response.status_code == 406, refused
        assert "utf-8" in response.json()["error"]["message"]
        assert client.get(url, params={"charset": refused}).status_code == 406
    assert client.get(url, headers={"Accept": "application/dicom+json; charset=utf-8"}).status_code == 200
    assert client.get(url, headers={"Accept": "application/dicom+json; charset=latin1"}).status_code == 406
    # What is not text has no character set.
    assert client.get(path_of(images[STORED[0]]), headers={"Accept-Charset": "iso-8859-1"}).status_code == 200


def test_dates_of_what_does_not_change(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = images[STORED[1]]
    for path in ("", "/frames/1", "/bulkdata/7FE00010", "/pixeldata", "/bulkdata"):
        response = client.get(path_of(ds) + path)
        stored_at = response.headers["last-modified"]
        assert parsedate_to_datetime(stored_at).year >= 2024
        again = client.get(path_of(ds) + path, headers={"If-Modified-Since": stored_at})
        assert (again.status_code, again.content) == (304, b"")
        old = {"If-Modified-Since": "Mon, 01 Jan 2001 00:00:00 GMT"}
        assert client.get(path_of(ds) + path, headers=old).status_code == 200
        both = {"If-Modified-Since": stored_at, "If-None-Match": '"other"'}
        assert client.get(path_of(ds) + path, headers=both).status_code == 200
    part = client.get(path_of(ds) + "/bulkdata/7FE00010", headers={"Range": "bytes=0-1", "If-Range": stored_at})
    assert part.status_code == 206


def test_options_says_what_is_allowed(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    for path, expected in (
        (path_of(images[STORED[0]]), "GET, HEAD, OPTIONS"),
        ("/studies", "GET, HEAD, OPTIONS, POST"),
    ):
        response = client.options(path)
        assert (response.status_code, response.content) == (204, b"")
        assert set(response.headers["allow"].split(", ")) >= set(expected.split(", "))
    assert client.options("/nonsense").status_code == 404
    refused = client.put(path_of(images[STORED[0]]))
    assert (refused.status_code, "OPTIONS" in refused.headers["allow"]) == (405, True)


@pytest.mark.parametrize("resource", ["", "/frames/1", "/bulkdata/7FE00010", "/pixeldata"])
def test_ranges_of_single_parts(client: httpx.Client, images: dict[str, pydicom.Dataset], resource: str) -> None:
    media_type = "application/octet-stream" if resource else "application/dicom"
    for name in STORED[:2]:
        url = path_of(images[name]) + resource
        for syntax in ("", "; transfer-syntax=*"):
            accept = {"Accept": media_type + syntax}
            whole = client.get(url, headers=accept)
            size = len(whole.content)
            assert whole.headers["accept-ranges"] == "bytes"
            for first, last in ((0, 0), (1, 1000), (size - 7, size - 1), (size // 2, size // 2 + 70_000)):
                part = client.get(url, headers={**accept, "Range": f"bytes={first}-{last}"})
                assert (part.status_code, part.content) == (206, whole.content[first : last + 1])
                assert part.headers["content-range"] == f"bytes {first}-{min(last, size - 1)}/{size}"
            beyond = client.get(url, headers={**accept, "Range": f"bytes={size}-"})
            assert (beyond.status_code, beyond.headers["content-range"]) == (416, f"bytes */{size}")


def test_several_ranges_at_once(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    url = path_of(images[STORED[0]]) + "/bulkdata/7FE00010"
    whole = client.get(url).content
    response = client.get(url, headers={"Range": "bytes=10-19, -5, 0-1"})
    assert response.status_code == 206
    assert int(response.headers["content-length"]) == len(response.content)
    kind, _, boundary = response.headers["content-type"].partition("; boundary=")
    assert kind == "multipart/byteranges"
    size = len(whole)
    expected = b""
    for first, stop in ((10, 20), (size - 5, size), (0, 2)):
        head = (
            f"--{boundary}\r\nContent-Type: application/octet-stream;transfer-syntax={EXPLICIT}\r\n"
            f"Content-Range: bytes {first}-{stop - 1}/{size}\r\n\r\n"
        )
        expected += head.encode() + whole[first:stop] + b"\r\n"
    assert response.content == expected + f"--{boundary}--\r\n".encode()
    for ignored in ("bytes=0-10,5-20", "bytes=" + ",".join(f"{n * 2}-{n * 2}" for n in range(30))):
        assert client.get(url, headers={"Range": ignored}).status_code == 200


def test_a_video_is_one_frame_that_is_never_read_whole(client: httpx.Client) -> None:
    ds = video()
    assert stow(client, write(ds)).status_code == 200
    stream = STREAM + b"\0" * (len(STREAM) % 2)
    for resource in ("/frames/1", "/pixeldata", "/bulkdata/7FE00010"):
        url = path_of(ds) + resource
        ((kind, data),) = parts_of(client.get(url, headers={"Accept": OCTETS}))
        assert (kind, data) == ("video/mp4;transfer-syntax=1.2.840.10008.1.2.4.102", stream)
        single = client.get(url, headers={"Accept": "video/mp4"})
        assert (single.headers["content-type"], single.content) == (kind, stream)
        part = client.get(url, headers={"Accept": "video/mp4", "Range": "bytes=999990-1000020"})
        assert (part.status_code, part.content) == (206, stream[999_990:1_000_021])
        assert client.get(url, headers={"Accept": "application/octet-stream"}).status_code == 406
    study, _, _ = path_of(ds).partition("/series/")
    ((kind, data),) = parts_of(
        client.get(f"{study}/pixeldata", headers={"Accept": "multipart/related; type=video/mp4"})
    )
    assert data == stream


def test_a_lost_object_is_an_error_of_the_server(start_server: StartServer) -> None:
    server = start_server()
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
        assert stow(client, write(ds)).status_code == 200
        (stored,) = (server.folder / "data" / "objects").rglob("*.dcm")
        stored.unlink()
        for path in ("", "/frames/1", "/bulkdata/7FE00010", "/pixeldata", "/rendered"):
            for syntax in ("*", EXPLICIT):
                accept = {"Accept": f"*/*, multipart/related; type=application/octet-stream; transfer-syntax={syntax}"}
                response = client.get(path_of(ds) + path, headers=accept)
                assert response.status_code == 500, path
                assert "lost" in response.json()["error"]["message"]
        assert client.get(path_of(ds) + "/metadata").status_code == 200
    line = next(line for line in server.log().splitlines() if "Stored object is lost" in line)
    for uid in (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID):
        assert uid in line
    assert str(ds.PatientName) not in server.log()


def test_an_answer_that_breaks_off_is_seen_to(start_server: StartServer) -> None:
    server = start_server()
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
        known: set[str] = set()
        for number in range(1, 6):
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.InstanceNumber = number
            assert stow(client, write(ds)).status_code == 200
            paths = {str(path) for path in (server.folder / "data" / "objects").rglob("*.dcm")}
            (last,) = paths - known
            known = paths
        Path(last).unlink()
        for accept in ("application/zip", 'multipart/related; type="application/dicom"'):
            with pytest.raises(httpx.RemoteProtocolError):
                client.get(f"/studies/{ds.StudyInstanceUID}", headers={"Accept": accept})
    assert "an answer breaks off" in server.log()
    assert "Traceback" not in server.log()


def test_a_proxy_has_an_address_of_its_own(start_server: StartServer) -> None:
    public = "https://pacs.example.org/archive"
    server = start_server(web={"public_url": public})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60, headers={"Host": "pacs.example.org"}) as client:
        ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
        answer = stow(client, write(ds)).json()
        url = f"{public}/dicomweb/studies/{ds.StudyInstanceUID}"
        assert answer["00081190"]["Value"] == [url]
        assert client.get("/studies").json()[0]["00081190"]["Value"] == [url]
        (item,) = client.get(path_of(ds) + "/metadata").json()
        bulk = item["7FE00010"]["BulkDataURI"]
        assert bulk == f"{public}/dicomweb{path_of(ds)}/bulkdata/7FE00010"
        accept = {"Accept": "multipart/related; type=application/dicom+xml"}
        assert bulk.encode() in client.get(path_of(ds) + "/metadata", headers=accept).content
        raw = client.get(path_of(ds) + "/bulkdata", headers={"Accept": OCTETS})
        assert f"Content-Location: {bulk}".encode() in raw.content
        assert client.get("/studies", headers={"Host": "elsewhere.example.org"}).status_code == 421
