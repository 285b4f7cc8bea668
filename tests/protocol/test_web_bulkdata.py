"""Bulk data and pixel data at every level, in every form, compared with what pydicom reads from the files."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames, get_frame
from pydicom.pixels import pixel_array
from pydicom.uid import UID, generate_uid

from tests.conftest import Server
from tests.protocol.web import OCTETS, parts_of, path_of, read, stow, write
from tests.samples import sample

EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_2000, JPEG_LS, RLE, HTJ2K = (f"1.2.840.10008.1.2.{n}" for n in ("4.90", "4.80", "5", "4.201"))
RAW = "multipart/related; type=application/octet-stream"
MEDIA_TYPES = {
    JPEG_2000: "image/jp2",
    JPEG_LS: "image/jls",
    RLE: "image/dicom-rle",
    HTJ2K: "image/jphc",
    "1.2.840.10008.1.2.4.50": "image/jpeg",
    "1.2.840.10008.1.2.4.51": "image/jpeg",
    "1.2.840.10008.1.2.4.53": "image/jpeg",
    "1.2.840.10008.1.2.4.55": "image/jpeg",
    "1.2.840.10008.1.2.4.57": "image/jpeg",
    "1.2.840.10008.1.2.4.70": "image/jpeg",
    "1.2.840.10008.1.2.4.81": "image/jls",
    "1.2.840.10008.1.2.4.91": "image/jp2",
}
NATIVE = ("1.2.840.10008.1.2", EXPLICIT, "1.2.840.10008.1.2.1.99", "1.2.840.10008.1.2.2")
SAMPLES = (
    *sorted(path.relative_to(sample("")) for path in sample("ct_syntaxes").glob("*.dcm")),
    "seg",
    "us_cine",
    "wsi",
    "mr_enhanced",
    "op",
)


def files() -> list[Path]:
    """One file of every stored syntax, and multi-frame images."""
    found = [sample(str(name)) for name in SAMPLES]
    return [min(path.glob("*.dcm"), key=lambda one: one.stat().st_size) if path.is_dir() else path for path in found]


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the running server."""
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        yield made


@pytest.fixture(scope="module")
def images(client: httpx.Client) -> dict[str, pydicom.Dataset]:
    """The files, each stored under UIDs of its own, by name."""
    found = {}
    for path in files():
        ds = pydicom.dcmread(path)
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        assert stow(client, write(ds)).status_code in (200, 202)
        found[path.name] = ds
    return found


def syntax_of(ds: pydicom.Dataset) -> str:
    """Its transfer syntax."""
    return str(ds.file_meta.TransferSyntaxUID)


def count_of(ds: pydicom.Dataset) -> int:
    """How many frames it has."""
    return int(ds.get("NumberOfFrames") or 1)


def locations(response: httpx.Response) -> list[str]:
    """The Content-Location of each part."""
    mark = b"\r\nContent-Location: "
    return [piece.partition(b"\r\n")[0].decode() for piece in response.content.split(mark)[1:]]


def decoded(ds: pydicom.Dataset) -> np.ndarray | None:
    """The pixels by pydicom, where it has a decoder."""
    try:
        return pixel_array(ds)
    except (RuntimeError, NotImplementedError, AttributeError):
        return None


@pytest.mark.parametrize("name", [path.name for path in files()])
def test_pixel_data_in_every_form(client: httpx.Client, images: dict[str, pydicom.Dataset], name: str) -> None:
    ds = images[name]
    path, syntax, count = path_of(ds), syntax_of(ds), count_of(ds)
    (whole,) = parts_of(client.get(f"{path}/pixeldata", headers={"Accept": RAW}))
    assert whole[0] == f"application/octet-stream;transfer-syntax={EXPLICIT}"
    converted = read(client.get(path, headers={"Accept": "application/dicom"}).content)
    assert whole[1] == converted.PixelData
    if (expected := decoded(ds)) is not None:
        assert np.array_equal(pixel_array(converted), expected)
    single = client.get(f"{path}/pixeldata", headers={"Accept": "application/octet-stream"})
    by_uri = client.get(f"{path}/bulkdata/7FE00010")
    assert single.content == by_uri.content == whole[1]
    assert single.headers["content-type"] == by_uri.headers["content-type"] == whole[0]
    if syntax in NATIVE:
        assert parts_of(client.get(f"{path}/pixeldata", headers={"Accept": OCTETS})) == [whole]
        return
    # By name, because some syntaxes are never chosen for whoever takes any.
    named = f"multipart/related; type={MEDIA_TYPES[syntax]}; transfer-syntax={syntax}"
    stored = client.get(f"{path}/pixeldata", headers={"Accept": named})
    kind = f"{MEDIA_TYPES[syntax]};transfer-syntax={syntax}"
    assert parts_of(stored) == [(kind, frame) for frame in generate_frames(ds.PixelData, number_of_frames=count)]
    suffixes = [f"/frames/{number}" for number in range(1, count + 1)] if count > 1 else [""]
    assert locations(stored) == [f"/dicomweb{path}/bulkdata/7FE00010{suffix}" for suffix in suffixes]
    for uri, part in zip(locations(stored), parts_of(stored), strict=True):
        again = client.get(uri.removeprefix("/dicomweb"), headers={"Accept": named})
        assert parts_of(again) == [part]


@pytest.mark.parametrize("target", [JPEG_2000, JPEG_LS, RLE, HTJ2K])
def test_pixel_data_is_compressed_without_loss(
    client: httpx.Client, images: dict[str, pydicom.Dataset], target: str
) -> None:
    for name in ("DeflatedExplicitVRLittleEndian.dcm", "JPEGProcess14SV1.dcm", "JPEG2000LosslessOnly.dcm"):
        ds = images[name]
        accept = f'multipart/related; type="{MEDIA_TYPES[target]}"; transfer-syntax={target}'
        for resource in ("/pixeldata", "/frames/1", "/bulkdata", ""):
            ((kind, frame),) = parts_of(client.get(path_of(ds) + resource, headers={"Accept": accept}))
            assert kind == f"{MEDIA_TYPES[target]};transfer-syntax={target}"
            copy = pydicom.dcmread(io.BytesIO(write(images["DeflatedExplicitVRLittleEndian.dcm"])))
            for keyword in ("Rows", "Columns", "BitsStored", "HighBit", "PixelRepresentation"):
                setattr(copy, keyword, ds[keyword].value)
            copy.PixelData, copy["PixelData"].VR = encapsulate([frame]), "OB"
            copy["PixelData"].is_undefined_length = True
            copy.file_meta.TransferSyntaxUID = UID(target)
            assert np.array_equal(pixel_array(copy), pixel_array(ds))


def test_bulk_data_of_a_series_and_a_study(client: httpx.Client) -> None:
    study, series = generate_uid(), generate_uid()
    made = {}
    for name in ("I100", "I110"):
        ds = pydicom.dcmread(sample(f"ct_head_phantom_54/{name}.dcm"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID = study, series
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.add_new(0x00090010, "LO", "TEST")
        ds.add_new(0x00091001, "OB", bytes(range(256)) * 8)
        made[ds.SOPInstanceUID] = ds
        assert stow(client, write(ds)).status_code == 200
    expected = {}
    for item in client.get(f"/studies/{study}/metadata").json():
        ds = made[item["00080018"]["Value"][0]]
        expected.update(
            {one["BulkDataURI"]: ds[int(tag, 16)].value for tag, one in item.items() if "BulkDataURI" in one}
        )
    assert len(expected) >= 4
    for resource in (f"/studies/{study}/bulkdata", f"/studies/{study}/series/{series}/bulkdata", f"/studies/{study}"):
        response = client.get(resource, headers={"Accept": RAW})
        assert int(response.headers["content-length"]) == len(response.content)
        values = [data for _, data in parts_of(response)]
        assert dict(zip(locations(response), values, strict=True)) == expected
    pixels = client.get(f"/studies/{study}/series/{series}/pixeldata", headers={"Accept": RAW})
    assert sorted(data for _, data in parts_of(pixels)) == sorted(ds.PixelData for ds in made.values())
    again = client.get(f"/studies/{study}/pixeldata", headers={"Accept": RAW})
    assert parts_of(again) == parts_of(pixels)
    known = client.get(f"/studies/{study}/pixeldata", headers={"Accept": RAW, "If-None-Match": again.headers["etag"]})
    assert known.status_code == 304


def test_what_has_no_such_data_is_not_found(client: httpx.Client) -> None:
    ds = pydicom.dcmread(sorted(sample("sr").glob("*.dcm"))[0])
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    assert stow(client, write(ds)).status_code == 200
    study, _, _ = path_of(ds).partition("/series/")
    for path in (f"{study}/pixeldata", f"{study}/bulkdata", f"{path_of(ds)}/pixeldata", f"{path_of(ds)}/bulkdata"):
        assert client.get(path).status_code == 404
    assert client.get("/studies/1.2.3/bulkdata").status_code == 404


def test_objects_are_the_second_choice(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = images["JPEG2000.dcm"]
    objects = "multipart/related; type=application/dicom; transfer-syntax=*;q=0.5"
    for first, expected in (("image/jp2; transfer-syntax=*", "image/jp2"), ("video/mp4", "application/dicom")):
        accept = f"multipart/related; type={first}, {objects}"
        ((kind, _),) = parts_of(client.get(path_of(ds), headers={"Accept": accept}))
        assert kind.partition(";")[0] == expected


def test_what_cannot_be_made_is_refused(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = images["JPEG2000.dcm"]
    study, _, _ = path_of(ds).partition("/series/")
    for path, accept in itertools.product(
        (f"{study}/pixeldata", f"{study}/bulkdata", f"{path_of(ds)}/pixeldata", study),
        ('multipart/related; type="video/mp4"', "text/html", "multipart/related; type=image/bmp"),
    ):
        response = client.get(path, headers={"Accept": accept})
        assert response.status_code == 406, (path, accept, response.text)
        assert response.json()["error"]["message"]
    multi = next(ds for ds in images.values() if count_of(ds) > 1 and syntax_of(ds) not in NATIVE)
    accept = MEDIA_TYPES[syntax_of(multi)]
    assert client.get(f"{path_of(multi)}/pixeldata", headers={"Accept": accept}).status_code == 406


def test_documents_leave_under_their_own_type(client: httpx.Client) -> None:
    ds = pydicom.dcmread(sample("generated/encapsulated_pdf.dcm"))
    ds.EncapsulatedDocument += b"%" * 2000
    ds.StudyInstanceUID = ds.SeriesInstanceUID = ds.SOPInstanceUID = uid = generate_uid()
    ds.file_meta.MediaStorageSOPInstanceUID = uid
    ds.MIMETypeOfEncapsulatedDocument = "text/html"  # It never becomes a page of this server, whatever it says.
    assert stow(client, write(ds)).status_code == 200
    url = f"{path_of(ds)}/bulkdata/00420011"
    for accept, expected in (
        ("*/*", "application/pdf"),
        ("application/pdf", "application/pdf"),
        ("text/html,*/*;q=0.8", "application/pdf"),
        ("application/octet-stream", "application/octet-stream"),
    ):
        response = client.get(url, headers={"Accept": accept})
        assert (response.headers["content-type"], response.content) == (expected, ds.EncapsulatedDocument)
    ((kind, data),) = parts_of(client.get(url, headers={"Accept": "multipart/related; type=application/pdf"}))
    assert (kind, data) == ("application/pdf", ds.EncapsulatedDocument)
    assert client.get(url, headers={"Accept": "text/html"}).status_code == 406


def test_frames_of_bulk_data_have_uris(client: httpx.Client, images: dict[str, pydicom.Dataset]) -> None:
    ds = next(ds for ds in images.values() if count_of(ds) > 2 and syntax_of(ds) not in NATIVE)
    url = f"{path_of(ds)}/bulkdata/7FE00010/frames/"
    frames = [data for _, data in parts_of(client.get(f"{url}3,1", headers={"Accept": OCTETS}))]
    assert frames == [get_frame(ds.PixelData, n, number_of_frames=count_of(ds)) for n in (2, 0)]
    assert client.get(f"{url}0", headers={"Accept": OCTETS}).status_code == 400
    assert client.get(f"{url}{count_of(ds) + 1}", headers={"Accept": OCTETS}).status_code == 404
    assert client.get(f"{path_of(ds)}/bulkdata/00091001/frames/1").status_code == 404
