"""WADO-RS against independent readers of the same files: pydicom, numpy, Pillow."""

import io
import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.encaps import get_frame

from tests.conftest import start
from tests.pixel_objects import image, written
from tests.protocol.web import ANY_SYNTAX, OCTETS, dataset_bytes, parts_of, path_of, read, stow
from tests.samples import instance_files, sample, sample_id

EXPLICIT, IMPLICIT, BIG, DEFLATED = (f"1.2.840.10008.1.2{tail}" for tail in (".1", "", ".2", ".1.99"))
NATIVE = {EXPLICIT, IMPLICIT, BIG, DEFLATED}
PROGRESSIVE = {"1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"}
JPEG_LS = "1.2.840.10008.1.2.4.80"

Stored = dict[str, Path]

# Some samples break rules on purpose, and pydicom, our oracle, says so.
pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server of our own: what is stored under a UID must be what this module put there."""
    running = start(tmp_path_factory.mktemp("web"))
    with httpx.Client(base_url=running.dicomweb_url, timeout=60) as made:
        yield made
    running.stop()


@pytest.fixture(scope="module")
def stored(client: httpx.Client) -> Stored:
    """All sample files, by SOP Instance UID; of several files with one UID the first."""
    found: Stored = {}
    for path in instance_files():
        response = stow(client, path.read_bytes())
        ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        if response.status_code == 409:
            assert ds.SOPInstanceUID in found, f"{path.name}: {response.text}"
        else:
            assert response.status_code in (200, 202), response.text
            found.setdefault(ds.SOPInstanceUID, path)
    return found


def one(stored: Stored, name: str) -> pydicom.Dataset:
    """A shipped sample that was stored."""
    ds = pydicom.dcmread(sample(name), force=True)
    assert ds.SOPInstanceUID in stored
    return ds


CT = "ct_head_phantom_54/I100.dcm"
PDF = "generated/encapsulated_pdf.dcm"


def test_every_file_comes_back_byte_for_byte_where_the_web_allows(client: httpx.Client, stored: Stored) -> None:
    for path in stored.values():
        ds = pydicom.dcmread(path, stop_before_pixels=True, force=True)
        response = client.get(path_of(ds), headers={"Accept": f"application/dicom; {ANY_SYNTAX}"})
        assert response.status_code == 200, (path.name, response.text)
        syntax = str(ds.file_meta.get("TransferSyntaxUID", IMPLICIT))
        if syntax in (IMPLICIT, BIG):
            assert read(response.content).file_meta.TransferSyntaxUID == EXPLICIT
        else:
            assert dataset_bytes(response.content) == dataset_bytes(path.read_bytes()), path.name
            assert response.headers["content-type"] == f"application/dicom; transfer-syntax={syntax}"


def test_frames_leave_as_they_lie_in_the_file(client: httpx.Client, stored: Stored) -> None:
    compared = 0
    for path in stored.values():
        ds = pydicom.dcmread(path, force=True)
        syntax = str(ds.file_meta.get("TransferSyntaxUID", IMPLICIT))
        if "PixelData" not in ds or ds.get("BitsAllocated") == 1 or syntax == BIG:
            continue
        count = int(ds.get("NumberOfFrames") or 1)
        accept = OCTETS
        if syntax in PROGRESSIVE or (syntax in NATIVE and ds.PhotometricInterpretation == "YBR_FULL_422"):
            # As they are stored for those who name the syntax, see below.
            accept = OCTETS.replace("*", EXPLICIT if syntax in NATIVE else syntax)
        for number in {1, count}:
            response = client.get(f"{path_of(ds)}/frames/{number}", headers={"Accept": accept})
            assert response.status_code == 200, (path.name, response.text)
            ((kind, data),) = parts_of(response)
            if syntax in NATIVE:
                size = len(ds.PixelData) // count if count > 1 else _frame_bytes(ds)
                assert data == ds.PixelData[(number - 1) * size : number * size], path.name
                assert kind == f"application/octet-stream;transfer-syntax={EXPLICIT}"
            else:
                assert data == get_frame(ds.PixelData, number - 1, number_of_frames=count), path.name
                assert kind.endswith(f";transfer-syntax={syntax}")
            compared += 1
    assert compared > 30


def any_syntax(client: httpx.Client, ds: pydicom.Dataset) -> tuple[str, bytes]:
    """Transfer syntax and bytes of the first frame for somebody who takes any."""
    ((kind, data),) = parts_of(client.get(f"{path_of(ds)}/frames/1", headers={"Accept": OCTETS}))
    return kind.rpartition("=")[2], data


@pytest.mark.parametrize("name", ["JPEGProcess6_8.dcm", "JPEGProcess10_12.dcm"])
def test_frames_that_no_browser_decodes_leave_decoded(client: httpx.Client, stored: Stored, name: str) -> None:
    ds = pydicom.dcmread(sample(f"ct_syntaxes/{name}"))
    assert ds.file_meta.TransferSyntaxUID in PROGRESSIVE
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=["any", name])
    stream = io.BytesIO()
    ds.save_as(stream)
    assert stow(client, stream.getvalue()).status_code == 200
    syntax, data = any_syntax(client, ds)
    assert syntax == EXPLICIT
    original = pydicom.dcmread(sample("ct_syntaxes/JPEG2000LosslessOnly.dcm")).pixel_array
    assert np.corrcoef(np.frombuffer(data, "<i2"), original.ravel())[0, 1] > 0.99


def test_half_the_colour_leaves_with_all_samples(client: httpx.Client) -> None:
    chosen = np.random.default_rng(4)
    luma, colour = chosen.integers(0, 256, (16, 8), np.uint8), chosen.integers(0, 256, (16, 4, 2), np.uint8)
    packed = np.concatenate([luma.reshape(16, 4, 2), colour], axis=2).tobytes()
    ds = image(np.zeros((1, 16, 8, 3), np.uint8), PhotometricInterpretation="YBR_FULL_422", PixelData=packed)
    assert stow(client, written(ds)).status_code == 200
    (item,) = client.get(f"{path_of(ds)}/metadata").json()
    assert item["00083002"]["Value"] == [EXPLICIT]
    syntax, data = any_syntax(client, ds)
    assert syntax == JPEG_LS
    expected = np.concatenate([luma[..., None], colour.repeat(2, axis=1)], axis=2)
    assert np.array_equal(imagecodecs.jpegls_decode(data), expected)
    named = client.get(f"{path_of(ds)}/frames/1", headers={"Accept": OCTETS.replace("*", EXPLICIT)})
    assert parts_of(named) == [(f"application/octet-stream;transfer-syntax={EXPLICIT}", packed)]


def _frame_bytes(ds: pydicom.Dataset) -> int:
    if str(ds.PhotometricInterpretation) == "YBR_FULL_422":
        return ds.Rows * ds.Columns * 2
    return ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8


@pytest.mark.parametrize("path", sorted(sample("ct_syntaxes").glob("*.dcm")), ids=sample_id)
def test_every_syntax_is_decoded_on_request(client: httpx.Client, stored: Stored, path: Path) -> None:
    ds = pydicom.dcmread(path)
    if stored[ds.SOPInstanceUID] != path:
        # All of them share one UID: each gets one of its own, so that all can be stored.
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = pydicom.uid.generate_uid(entropy_srcs=[path.name])
        stream = io.BytesIO()
        ds.save_as(stream)
        assert stow(client, stream.getvalue()).status_code == 200
    response = client.get(path_of(ds), headers={"Accept": "application/dicom"})
    assert response.headers["content-type"] == f"application/dicom; transfer-syntax={EXPLICIT}"
    whole = read(response.content)
    (frame,) = parts_of(client.get(f"{path_of(ds)}/frames/1", headers={"Accept": "multipart/related"}))
    assert frame[0] == f"application/octet-stream;transfer-syntax={EXPLICIT}"
    assert frame[1] == whole.PixelData[: len(frame[1])]
    try:
        expected = ds.pixel_array
    except (RuntimeError, NotImplementedError, AttributeError):
        return  # pydicom has no decoder for JPEG processes 6 and 10.
    assert np.array_equal(whole.pixel_array, expected)


def test_series_metadata_is_that_of_its_instances_in_order(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    series = f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}"
    response = client.get(f"{series}/metadata", headers={"Accept": "application/dicom+json"})
    assert response.headers["content-type"] == "application/dicom+json"
    found = response.json()
    numbers = [item["00200013"]["Value"][0] for item in found]
    assert len(found) >= 3
    assert numbers == sorted(numbers)
    for item in found:
        uid = item["00080018"]["Value"][0]
        assert client.get(f"{series}/instances/{uid}/metadata").json() == [item]
    whole = client.get(f"/studies/{ds.StudyInstanceUID}/metadata").json()
    assert [item for item in whole if item["0020000E"]["Value"] == [ds.SeriesInstanceUID]] == found
    mine = next(item for item in found if item["00080018"]["Value"][0] == ds.SOPInstanceUID)
    expected = json.loads(ds.to_json(bulk_data_threshold=10**9, bulk_data_element_handler=None))
    assert mine["00280010"] == expected["00280010"]
    assert mine["00200032"] == expected["00200032"]


def bulk_uris(item: dict) -> Iterator[tuple[str, str]]:
    """Tag and BulkDataURI of the elements at top level."""
    for tag, element in item.items():
        if "BulkDataURI" in element:
            yield tag, element["BulkDataURI"]


def test_bulk_data_is_the_value_in_the_file(client: httpx.Client, stored: Stored) -> None:
    root = str(client.base_url).rstrip("/").removesuffix("/dicomweb")
    compared = 0
    for path in stored.values():
        ds = pydicom.dcmread(path, force=True)
        if str(ds.file_meta.get("TransferSyntaxUID", IMPLICIT)) not in (EXPLICIT, IMPLICIT, DEFLATED):
            continue
        (item,) = client.get(f"{path_of(ds)}/metadata").json()
        for tag, uri in bulk_uris(item):
            expected = ds[int(tag, 16)].value
            response = client.get(root + uri)
            assert response.status_code == 200, (path.name, uri, response.text)
            if isinstance(expected, bytes):
                assert response.content == expected, (path.name, tag)
                compared += 1
    assert compared > 20


def test_bulk_data_in_parts_and_ranges(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    url = f"{path_of(ds)}/bulkdata/7FE00010"
    whole = client.get(url)
    assert whole.content == ds.PixelData
    assert whole.headers["accept-ranges"] == "bytes"
    ((kind, data),) = parts_of(client.get(url, headers={"Accept": 'multipart/related; type="*/*"'}))
    assert (kind, data) == (f"application/octet-stream;transfer-syntax={EXPLICIT}", ds.PixelData)
    size = len(ds.PixelData)
    for asked, first, stop in (("0-9", 0, 10), ("100-", 100, size), ("-7", size - 7, size), (f"5-{size * 2}", 5, size)):
        part = client.get(url, headers={"Range": f"bytes={asked}"})
        assert part.status_code == 206
        assert part.content == ds.PixelData[first:stop]
        assert part.headers["content-range"] == f"bytes {first}-{stop - 1}/{size}"
    assert client.get(url, headers={"Range": f"bytes={size}-"}).status_code == 416
    for ignored in ("bytes=5-2", "bytes=a-b", "lines=0-1", "bytes=-"):
        assert client.get(url, headers={"Range": ignored}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": '"old"'}).status_code == 200
    assert client.get(url, headers={"Range": "bytes=0-9", "If-Range": whole.headers["etag"]}).status_code == 206
    assert client.get(f"{path_of(ds)}/bulkdata/00420011").status_code == 404


def test_study_series_and_instance_hold_the_same_objects(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    study, _, _ = path_of(ds).partition("/series/")
    series, _, _ = path_of(ds).partition("/instances/")
    accept = {"Accept": f'multipart/related; type="application/dicom"; {ANY_SYNTAX}'}
    by_series = client.get(series, headers=accept)
    assert int(by_series.headers["content-length"]) == len(by_series.content)
    assert "transfer-encoding" not in by_series.headers
    objects = dict(_objects(by_series))
    assert objects.keys() == {item["00080018"]["Value"][0] for item in client.get(f"{series}/instances").json()}
    whole = dict(_objects(client.get(study, headers=accept)))
    assert whole.keys() == {item["00080018"]["Value"][0] for item in client.get(f"{study}/instances").json()}
    assert whole.items() >= objects.items()
    assert dict(_objects(client.get(path_of(ds), headers=accept))) == {ds.SOPInstanceUID: objects[ds.SOPInstanceUID]}


def _objects(response: httpx.Response) -> Iterator[tuple[str, bytes]]:
    for _, data in parts_of(response):
        yield str(read(data).SOPInstanceUID), data


def test_several_frames_in_the_order_asked(client: httpx.Client, stored: Stored) -> None:
    path = next(
        path
        for path in stored.values()
        if int(pydicom.dcmread(path, stop_before_pixels=True, force=True).get("NumberOfFrames") or 1) > 3
        and "PixelData" in pydicom.dcmread(path, force=True)
    )
    ds = pydicom.dcmread(path, force=True)
    url = f"{path_of(ds)}/frames/"
    singles = [parts_of(client.get(f"{url}{n}", headers={"Accept": OCTETS}))[0] for n in (3, 1, 2)]
    assert parts_of(client.get(f"{url}3,1,2", headers={"Accept": OCTETS})) == singles
    assert parts_of(client.get(f"{url}3%2C1%2C2", headers={"Accept": OCTETS})) == singles
    count = int(ds.NumberOfFrames)
    assert client.get(f"{url}1,{count + 1}", headers={"Accept": OCTETS}).status_code == 404
    assert client.get(f"{url}1,2", headers={"Accept": f"application/octet-stream; {ANY_SYNTAX}"}).status_code == 406
    for bad in ("0", "-1", "x", "1,,2", "1;2", "1.5", "٣", "9" * 30):
        assert client.get(url + bad, headers={"Accept": OCTETS}).status_code == 400


def test_single_part_frame(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    response = client.get(f"{path_of(ds)}/frames/1", headers={"Accept": f"application/octet-stream; {ANY_SYNTAX}"})
    assert response.headers["content-type"] == f"application/octet-stream;transfer-syntax={EXPLICIT}"
    assert response.content == ds.PixelData


def test_unknown_things_are_not_found(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    for path in (
        "/studies/1.2.3.4",
        "/studies/1.2.3.4/metadata",
        f"/studies/{ds.StudyInstanceUID}/series/1.2.3/metadata",
        path_of(ds) + "9",
        path_of(ds) + "/frames/2",
        f"/studies/1.2/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}",
        "/studies/" + "1" * 65,
        "/studies/1.2%00.3/metadata",
        "/nonsense",
        "/studies/1.2.3.4/thumbnail",
    ):
        response = client.get(path)
        assert response.status_code == 404, path
        assert response.json()["error"]["status"] == 404


def test_what_cannot_be_made_is_refused_and_named(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    for path, accept in (
        (path_of(ds), "image/jpeg"),
        (path_of(ds), f"application/dicom; transfer-syntax={IMPLICIT}"),
        (path_of(ds) + "/metadata", "application/dicom+xml"),
        (path_of(ds) + "/metadata", "multipart/related; type=image/jpeg"),
        (path_of(ds) + "/frames/1", "text/plain"),
        (path_of(ds) + "/rendered", "video/mp4"),
    ):
        response = client.get(path, headers={"Accept": accept})
        assert response.status_code == 406, path
        assert "Available: " in response.json()["error"]["message"]


def test_unchanged_things_are_not_sent_again(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    study, _, _ = path_of(ds).partition("/series/")
    for path in (path_of(ds), study, path_of(ds) + "/frames/1", path_of(ds) + "/rendered", path_of(ds) + "/thumbnail"):
        first = client.get(path)
        assert first.status_code == 200
        assert "private" in first.headers["cache-control"]
        assert "Accept" in first.headers["vary"]
        tag = first.headers["etag"]
        again = client.get(path, headers={"If-None-Match": f'"other", W/{tag}'})
        assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", tag)
        assert client.get(path, headers={"If-None-Match": '"other"'}).status_code == 200
    assert client.get(path_of(ds), headers={"Accept": "application/dicom"}).headers["etag"] != tag
    assert "max-age" not in client.get(study).headers["cache-control"]


def test_head_says_what_get_would(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    for path in (path_of(ds), path_of(ds) + "/metadata", path_of(ds) + "/frames/1", "/studies?limit=1"):
        head, get = client.head(path), client.get(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == get.headers["content-length"]


def test_rendered_and_thumbnail_are_pictures_of_the_right_size(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, CT)
    url = path_of(ds)
    series, _, _ = url.partition("/instances/")
    picture = Image.open(io.BytesIO(client.get(f"{url}/rendered").content))
    assert (picture.format, picture.size) == ("JPEG", (ds.Columns, ds.Rows))
    png = client.get(f"{url}/frames/1/rendered?viewport=100,80&window=40,400,linear", headers={"Accept": "image/png"})
    picture = Image.open(io.BytesIO(png.content))
    assert (picture.format, picture.size) == ("PNG", (80, 80))
    for path in (f"{url}/thumbnail", f"{url}/frames/1/thumbnail", f"{series}/thumbnail"):
        picture = Image.open(io.BytesIO(client.get(f"{path}?viewport=64,64", headers={"Accept": "image/jpeg"}).content))
        assert (picture.format, picture.size) == ("JPEG", (64, 64))
    for bad in ("viewport=0,10", "viewport=a", "viewport=1,1,1,1,1,0", "window=1", "window=1,0,linear", "window=1,2,x",
                "quality=0", "quality=101", "window=nan,1,linear"):  # fmt: skip
        assert client.get(f"{url}/rendered?{bad}").status_code == 400, bad
    assert client.get(f"{url}/frames/2/rendered").status_code == 404
    assert client.get(f"{url}/frames/1,2/rendered").status_code == 404
    assert client.get(f"{url}/rendered?annotation=patient,mood").headers["warning"].startswith("299 ")


def test_document_is_its_own_rendering(client: httpx.Client, stored: Stored) -> None:
    ds = one(stored, PDF)
    response = client.get(f"{path_of(ds)}/rendered", headers={"Accept": "text/html,application/xhtml+xml,*/*;q=0.8"})
    assert response.headers["content-type"] == "application/pdf"
    assert response.content == ds.EncapsulatedDocument
    assert client.get(f"{path_of(ds)}/rendered", headers={"Range": "bytes=0-3"}).content == b"%PDF"
    thumbnail = client.get(f"{path_of(ds)}/thumbnail?viewport=64,64")
    assert Image.open(io.BytesIO(thumbnail.content)).format == "JPEG"
