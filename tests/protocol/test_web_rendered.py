"""Rendered resources through the front door: every kind of instance, media type and parameter."""

import io
import json
from collections.abc import Iterator
from dataclasses import dataclass
from email.parser import BytesParser

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from PIL import Image, ImageSequence
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate

from tests.conftest import start
from tests.pixel_objects import image, load, quiet, written
from tests.presentation_states import BLENDING, item, shown, state
from tests.protocol.web import path_of, stow, write
from tests.samples import sample

CT, REPORT, KEYS = "ct_head_phantom_54/I100.dcm", "generated/sr_tid1500.dcm", "generated/key_objects.dcm"
PDF, ECG, CINE = "generated/encapsulated_pdf.dcm", "ecg/anonymous_ecg.dcm", "us_cine/examples_ybr_color.dcm"
CONTOURS = "generated/rtstruct.dcm"
CDA = b'<?xml version="1.0"?><ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2"/></ClinicalDocument>'

pytestmark = pytest.mark.filterwarnings("ignore::UserWarning")


@dataclass(frozen=True)
class Things:
    """What was stored."""

    samples: dict[str, Dataset]
    images: list[Dataset]
    state: Dataset
    blending: Dataset
    cda: Dataset

    def path(self, name: str) -> str:
        return path_of(self.samples[name])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    running = start(tmp_path_factory.mktemp("rendered"))
    with httpx.Client(base_url=running.dicomweb_url, timeout=60) as made:
        yield made
    running.stop()


def encapsulated(kind: str, mime: str, data: bytes) -> Dataset:
    ds = image(np.zeros((1, 2, 2), "u1"))
    del ds.PixelData
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.104.{kind}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.104.{kind}"
    ds.StudyInstanceUID, ds.SeriesInstanceUID = "1.2.3.104", f"1.2.3.104.{kind}.1"
    ds.MIMETypeOfEncapsulatedDocument = mime
    ds.EncapsulatedDocument = data + b"\0" * (len(data) % 2)
    ds.EncapsulatedDocumentLength = len(data)
    return ds


@pytest.fixture(scope="module")
def things(client: httpx.Client) -> Things:
    found = {}
    for name in (CT, REPORT, KEYS, PDF, ECG, CINE, CONTOURS):
        assert stow(client, sample(name).read_bytes()).status_code in (200, 202)
        with quiet():
            found[name] = pydicom.dcmread(sample(name), force=True)
    images = []
    for number in (1, 2):
        ds = image(np.random.default_rng(number).integers(0, 255, (1, 30, 40)).astype("u1"))
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = "1.2.3.4", "1.2.3.4.1", number
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.4.1.{number}"
        images.append(ds)
    turned = state(*images, ImageRotation=90, ImageHorizontalFlip="N")
    blending = state(*images, sop_class_uid=BLENDING)
    for ds in (turned, blending):
        ds.StudyInstanceUID = "1.2.3.4"
    cda = encapsulated("2", "text/XML", CDA)
    for ds in (*images, turned, blending, cda, encapsulated("3", "model/stl", b"solid x\nendsolid x\n")):
        assert stow(client, write(ds)).status_code in (200, 202)
    return Things(found, images, turned, blending, cda)


def parts_of(response: httpx.Response) -> list[tuple[str, str, bytes]]:
    """Media type, Content-Location and data of each part, by Python's own parser."""
    head = f"Content-Type: {response.headers['content-type']}\r\n\r\n".encode()
    message = BytesParser().parsebytes(head + response.content)
    assert message.get_content_type() == "multipart/related"
    found = []
    for part in message.get_payload():
        _, _, body = part.as_bytes().partition(b"\n\n")
        found.append((part.get_content_type(), part["Content-Location"], body))
    raw = response.content
    delimiter = b"\r\n--" + message.get_boundary().encode()
    bodies = [piece.partition(b"\r\n\r\n")[2] for piece in (b"\r\n" + raw).split(delimiter)[1:-1]]
    return [(kind, where, body) for (kind, where, _), body in zip(found, bodies, strict=True)]


def picture(content: bytes) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(content)))


def get(client: httpx.Client, path: str, accept: str = "*/*", **parameters: str) -> httpx.Response:
    return client.get(path, headers={"Accept": accept}, params=parameters)


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        ("*/*", "JPEG"),
        ("image/*", "JPEG"),
        ("image/jpg", "JPEG"),
        ("image/png", "PNG"),
        ("image/gif", "GIF"),
        ("image/jp2", "JPEG2000"),
        ("text/html, image/png;q=0.5", "PNG"),
    ],
)
def test_pictures_of_an_image(client: httpx.Client, things: Things, accept: str, kind: str) -> None:
    for tail in ("/rendered", "/frames/1/rendered", "/thumbnail"):
        response = get(client, things.path(CT) + tail, accept)
        assert response.status_code == 200
        found = Image.open(io.BytesIO(response.content))
        assert found.format == kind
        assert response.headers["content-type"] == Image.MIME[kind]


def test_frames_in_parts_and_in_motion(client: httpx.Client, things: Things) -> None:
    path, frames = things.path(CINE), int(things.samples[CINE].NumberOfFrames)
    response = get(client, f"{path}/rendered", 'multipart/related; type="image/png"', viewport="64,64")
    parts = parts_of(response)
    assert [kind for kind, _, _ in parts] == ["image/png"] * frames
    for number in (1, frames):
        _, where, body = parts[number - 1]
        assert where.endswith(f"{path}/frames/{number}/rendered")
        alone = client.get(where, headers={"Accept": "image/png"}, params={"viewport": "64,64"})
        assert alone.content == body
    chosen = parts_of(get(client, f"{path}/frames/5,2/rendered", "image/png", viewport="64,64"))
    assert [body for _, _, body in chosen] == [parts[4][2], parts[1][2]]
    moving = Image.open(io.BytesIO(get(client, f"{path}/rendered", "image/gif", viewport="64,64").content))
    # Frames that are equal become one that is seen longer.
    times = [frame.info["duration"] for frame in ImageSequence.Iterator(moving)]
    assert 1 < len(times) <= frames and sum(times) == frames * min(times)
    two = Image.open(io.BytesIO(get(client, f"{path}/frames/2,5/rendered", "image/gif", viewport="64,64").content))
    reference = picture(parts[1][2]).astype(int)
    first = np.asarray(next(iter(ImageSequence.Iterator(two))).convert("RGB")).astype(int)
    assert two.n_frames == 2 and np.abs(first - reference).mean() < 6
    assert get(client, f"{path}/frames/{frames + 1}/rendered").status_code == 404
    assert get(client, f"{path}/rendered", "image/gif", viewport="16384,16384").status_code == 413


@pytest.mark.parametrize("tail", ["", "/series/{series}"])
def test_a_study_and_a_series_in_parts(client: httpx.Client, things: Things, tail: str) -> None:
    ds = things.images[0]
    path = f"/studies/{ds.StudyInstanceUID}" + tail.format(series=ds.SeriesInstanceUID)
    parts = parts_of(get(client, f"{path}/rendered", 'multipart/related; type="image/png"'))
    if tail:
        assert [where.rpartition("/instances/")[2] for _, where, _ in parts] == [
            "1.2.3.4.1.1/frames/1/rendered",
            "1.2.3.4.1.2/frames/1/rendered",
        ]
    for made in things.images:
        body = next(body for _, where, body in parts if f"{made.SOPInstanceUID}/frames/1/" in where)
        alone = get(client, f"{path_of(made)}/rendered", "image/png")
        assert body == alone.content
    if not tail:
        assert sum(where.endswith(f"{things.state.SOPInstanceUID}/rendered") for _, where, _ in parts) == 2


def test_kinds_that_a_client_does_not_take_are_left_out(client: httpx.Client, things: Things) -> None:
    study = f"/studies/{things.samples[REPORT].StudyInstanceUID}"
    for accept, kinds in (
        ('multipart/related; type="image/jpeg"', {"image/jpeg"}),
        ('multipart/related; type="text/html"', {"text/html"}),
    ):
        response = get(client, f"{study}/rendered", accept)
        assert response.status_code == 200
        assert {kind for kind, _, _ in parts_of(response)} == kinds
    assert get(client, f"{study}/rendered", "video/mp4").status_code == 406
    plan = things.samples[CONTOURS]
    series = f"/studies/{plan.StudyInstanceUID}/series/{plan.SeriesInstanceUID}"
    assert get(client, f"{series}/rendered").status_code == 404
    assert get(client, "/studies/1.2.3.99/rendered").status_code == 404


def test_presentation_states(client: httpx.Client, things: Things) -> None:
    parts = parts_of(get(client, f"{path_of(things.state)}/rendered", "image/png"))
    for ds, (kind, _, body) in zip(things.images, parts, strict=True):
        assert kind == "image/png"
        assert np.array_equal(picture(body), np.rot90(ds.pixel_array, -1))
    ds = things.images[0]
    parameters = {
        "requestType": "WADO",
        "studyUID": ds.StudyInstanceUID,
        "seriesUID": ds.SeriesInstanceUID,
        "objectUID": ds.SOPInstanceUID,
        "contentType": "image/png",
        "presentationUID": things.state.SOPInstanceUID,
        "presentationSeriesUID": things.state.SeriesInstanceUID,
    }
    response = client.get("/wado", params=parameters)
    assert np.array_equal(picture(response.content), np.rot90(ds.pixel_array, -1))
    assert client.get("/wado", params=parameters | {"region": "0,0,1,0.5"}).status_code == 400
    assert client.get("/wado", params=parameters | {"windowCenter": "1", "windowWidth": "2"}).status_code == 400
    del parameters["presentationSeriesUID"]
    assert client.get("/wado", params=parameters).status_code == 400
    assert get(client, f"{path_of(things.blending)}/rendered", "image/png").status_code == 406


def test_a_state_for_one_image_is_one_picture(client: httpx.Client, things: Things) -> None:
    ct = things.samples[CT]
    window = item(WindowCenter=1000, WindowWidth=500)
    made = state(ct, SoftcopyVOILUTSequence=[window], ImageRotation=180, ImageHorizontalFlip="Y")
    assert stow(client, write(made)).status_code in (200, 202)
    response = get(client, f"{path_of(made)}/rendered", "image/png")
    assert response.headers["content-type"] == "image/png"
    assert np.array_equal(picture(response.content), shown(load(sample(CT)), made))
    absent = image(np.zeros((1, 4, 4), "u1"), SOPInstanceUID="1.2.3.98", StudyInstanceUID=ct.StudyInstanceUID)
    lonely = state(absent)
    assert stow(client, write(lonely)).status_code in (200, 202)
    assert get(client, f"{path_of(lonely)}/rendered", "image/png").status_code == 404
    other = state(absent)
    other.StudyInstanceUID = ct.StudyInstanceUID
    assert stow(client, write(other)).status_code in (200, 202)


@pytest.mark.parametrize("name", [REPORT, KEYS])
def test_reports(client: httpx.Client, things: Things, name: str) -> None:
    path = things.path(name) + "/rendered"
    page = get(client, path, "text/html,application/xhtml+xml,*/*;q=0.8")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.text.startswith("<!DOCTYPE html>") and "/thumbnail" in page.text
    assert get(client, path).headers["content-type"].startswith("text/html")
    plain = get(client, path, "text/plain")
    assert plain.headers["content-type"] == "text/plain; charset=utf-8" and "=====" in plain.text
    assert get(client, path, "text/rtf").content.startswith(b"{\\rtf1")
    xml = get(client, path, "text/xml")
    assert xml.headers["content-type"] == "text/xml; charset=utf-8" and b"NativeDicomModel" in xml.content
    for accept in ("image/jpeg", "application/pdf"):
        refused = get(client, path, accept)
        assert refused.status_code == 406 and "text/html" in refused.text
    assert get(client, things.path(name) + "/thumbnail").headers["content-type"] == "image/jpeg"
    again = client.get(path, headers={"Accept": "text/html", "If-None-Match": page.headers["etag"]})
    assert again.status_code in (200, 304)


def test_reports_and_documents_by_uri(client: httpx.Client, things: Things) -> None:
    def uri(ds: Dataset, content_type: str = "") -> httpx.Response:
        uids = {"studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID, "objectUID": ds.SOPInstanceUID}
        asked = {"contentType": content_type} if content_type else {}
        return client.get("/wado", params={"requestType": "WADO", **uids, **asked})

    report = things.samples[REPORT]
    for asked, given in (
        ("", "text/html; charset=utf-8"),
        ("text/plain,text/html", "text/plain; charset=utf-8"),
        ("text/*", "text/html; charset=utf-8"),
        ("application/rtf", "text/rtf"),
        ("application/dicom", "application/dicom; transfer-syntax=1.2.840.10008.1.2.1"),
    ):
        assert uri(report, asked).headers["content-type"] == given
    assert uri(report, "image/jpeg").status_code == 406
    assert uri(things.samples[PDF]).headers["content-type"].startswith("application/dicom")
    assert uri(things.samples[PDF], "application/pdf").content.startswith(b"%PDF")
    assert uri(things.samples[CT], "image/gif").headers["content-type"] == "image/gif"


def test_reports_are_utf8(client: httpx.Client, things: Things) -> None:
    refused = client.get(things.path(REPORT) + "/rendered", headers={"Accept-Charset": "iso-8859-1, utf-8;q=0"})
    assert refused.status_code == 406


def test_documents(client: httpx.Client, things: Things) -> None:
    path = f"{path_of(things.cda)}/rendered"
    for accept in ("*/*", "text/xml", "application/xml"):
        response = get(client, path, accept)
        assert (response.content, response.headers["content-type"]) == (CDA, "text/xml")
        assert "sandbox" in response.headers["content-security-policy"]
    assert client.get(path, headers={"Range": "bytes=0-4"}).content == b"<?xml"
    assert get(client, path, "application/pdf").status_code == 406
    stl = "/studies/1.2.3.104/series/1.2.3.104.3.1/instances/1.2.3.104.3/rendered"
    response = get(client, stl, "model/stl")
    assert response.content == b"solid x\nendsolid x\n" and response.headers["content-type"] == "model/stl"
    pdf = get(client, things.path(PDF) + "/rendered", "application/pdf")
    assert pdf.content.startswith(b"%PDF") and "content-security-policy" not in pdf.headers
    whole = parts_of(get(client, "/studies/1.2.3.104/rendered"))
    assert sorted(kind for kind, _, _ in whole) == ["model/stl", "text/xml"]


def test_what_has_no_rendered_form(client: httpx.Client, things: Things) -> None:
    assert get(client, things.path(CONTOURS) + "/rendered").status_code == 404
    assert get(client, things.path(CONTOURS) + "/thumbnail").status_code == 200
    assert get(client, things.path(REPORT) + "/frames/1/rendered").status_code == 404


def test_waveforms(client: httpx.Client, things: Things) -> None:
    path = things.path(ECG)
    found = picture(get(client, f"{path}/rendered", "image/png").content)
    # Ten seconds of 25 mm, twelve rows of 25 mm, 4 pixels a mm.
    assert found.shape == (1200, 1000, 3)
    group = things.samples[ECG].WaveformSequence[0]
    volts = np.frombuffer(group.WaveformData, "<i2").reshape(-1, 12) * 1.25 / 1000
    for channel in range(12):
        row = found[100 * channel + 18 : 100 * channel + 80].max(axis=-1) < 60
        peak = volts[:, channel] - np.median(volts[:, channel])
        reach = min(40, 40 * np.abs(peak).max())
        ink = np.nonzero(row.any(axis=1))[0]
        assert ink.size and ink.max() - ink.min() >= 0.4 * reach
    assert Image.open(io.BytesIO(get(client, f"{path}/thumbnail", viewport="64,64").content)).size == (53, 64)
    assert get(client, f"{path}/frames/1/rendered").status_code == 404
    assert len(parts_of(get(client, f"{path}/rendered", 'multipart/related; type="image/jpeg"'))) == 1


def test_regions_of_the_source(client: httpx.Client, things: Things) -> None:
    path, pixels = path_of(things.images[0]) + "/rendered", things.images[0].pixel_array
    whole = picture(get(client, path, "image/png").content)
    for viewport, expected in (
        ("100,100,5,4,10,12", (slice(4, 16), slice(5, 15))),
        ("100,100,,,-10,", (slice(0, 30), slice(9, None, -1))),
        ("100,100,30,20,,-10", (slice(29, 19, -1), slice(30, 40))),
    ):
        size = whole[expected].shape[::-1]
        found = picture(
            get(client, path, "image/png", viewport=viewport.replace("100,100", f"{size[0]},{size[1]}")).content
        )
        assert np.array_equal(found, whole[expected]), viewport
    assert pixels.shape == whole.shape
    ds = things.images[0]
    wado = {"requestType": "WADO", "studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID,
            "objectUID": ds.SOPInstanceUID, "contentType": "image/png", "region": "0.25,0.1,0.75,0.5"}  # fmt: skip
    assert np.array_equal(picture(client.get("/wado", params=wado).content), whole[3:15, 10:30])


@pytest.mark.parametrize(
    "bad",
    [
        "viewport=10,10,0,0,0,5", "viewport=10,10,-1,0,5,5", "viewport=10,10,99,0,5,5", "viewport=10,10,0,0,99,5",
        "viewport=10,10,0,0", "viewport=10,10,a,,,", "viewport=", "window=", "quality=", "annotation=",
        "annotation=patient,,", "iccprofile=", "iccprofile=SRGB", "iccprofile=cmyk", "viewport=nan,10",
    ],
)  # fmt: skip
def test_values_that_cannot_be_read(client: httpx.Client, things: Things, bad: str) -> None:
    for tail in ("rendered", "frames/1/rendered", "thumbnail"):
        response = client.get(f"{path_of(things.images[0])}/{tail}?{bad}")
        assert response.status_code == 400, bad
        assert json.loads(response.content)["error"]["message"]


def test_annotations_and_profiles(client: httpx.Client, things: Things) -> None:
    path = things.path(CT) + "/rendered"
    plain = picture(get(client, path, "image/png").content)
    written_on = get(client, path, "image/png", annotation="patient,technique,mood")
    assert "mood" in written_on.headers["warning"] and written_on.headers["warning"].startswith("299 ")
    assert (picture(written_on.content) != plain).any()
    assert "warning" not in get(client, path, "image/png", annotation="patient").headers
    coloured = Image.open(io.BytesIO(get(client, path, "image/jpeg", iccprofile="rommrgb").content))
    assert b"ROMM" in coloured.info["icc_profile"].replace(b"\0", b"")
    assert get(client, path, unknown="x").status_code == 200


def test_a_part_that_cannot_be_made_says_so(client: httpx.Client) -> None:
    good = image(np.zeros((1, 8, 8), "u1"))
    broken = image(np.zeros((1, 8, 8), "u1"), PhotometricInterpretation="PALETTE COLOR")
    for number, ds in enumerate((good, broken), start=1):
        ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.InstanceNumber = "1.2.3.5", "1.2.3.5.1", number
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.5.1.{number}"
        assert stow(client, written(ds)).status_code in (200, 202)
    assert get(client, f"{path_of(broken)}/rendered").status_code == 406
    parts = parts_of(get(client, "/studies/1.2.3.5/rendered", "image/png"))
    assert [picture(body).shape for _, _, body in parts] == [(8, 8), (128, 128)]


def test_thumbnails_at_all_levels(client: httpx.Client, things: Things) -> None:
    ds = things.images[0]
    study = f"/studies/{ds.StudyInstanceUID}"
    for path in (study, f"{study}/series/{ds.SeriesInstanceUID}", path_of(ds), path_of(ds) + "/frames/1"):
        found = picture(get(client, f"{path}/thumbnail", "image/png", viewport="20,20,0,0,10,10").content)
        assert found.shape == (20, 20)


@pytest.mark.parametrize("uid", [f"1.2.840.10008.1.2.4.{number}" for number in (201, 202, 203)])
def test_htj2k_on_request(client: httpx.Client, things: Things, uid: str) -> None:
    ds = things.samples[CT]
    accept = f'multipart/related; type="image/jphc"; transfer-syntax={uid}'
    ((kind, _, body),) = parts_of(get(client, things.path(CT) + "/frames/1", accept))
    assert kind == "image/jphc"
    assert np.array_equal(imagecodecs.htj2k_decode(body), ds.pixel_array)
    whole = get(client, things.path(CT), f"application/dicom; transfer-syntax={uid}")
    made = pydicom.dcmread(io.BytesIO(whole.content))
    assert made.file_meta.TransferSyntaxUID == uid
    assert np.array_equal(made.pixel_array, ds.pixel_array)
    assert made.BitsStored == ds.BitsStored and made.PhotometricInterpretation == ds.PhotometricInterpretation


def test_what_was_stored_as_htj2k_and_jpeg_xl_is_read(client: httpx.Client) -> None:
    pixels = np.random.default_rng(14).integers(0, 4096, (1, 70, 90)).astype("u2")
    streams = {
        "1.2.840.10008.1.2.4.201": imagecodecs.htj2k_encode(pixels[0], reversible=True),
        "1.2.840.10008.1.2.4.110": imagecodecs.jpegxl_encode(pixels[0], lossless=True, bitspersample=12),
    }
    for number, (uid, stream) in enumerate(streams.items()):
        ds = image(pixels, BitsStored=12, HighBit=11, StudyInstanceUID="1.2.3.6", SeriesInstanceUID="1.2.3.6.1")
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = f"1.2.3.6.1.{number}"
        ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.4.201"
        ds.PixelData = encapsulate([stream])
        ds["PixelData"].is_undefined_length = True
        # pydicom does not know JPEG XL; the name alone makes the difference.
        data = write(ds).replace(b"1.2.840.10008.1.2.4.201", uid.encode(), 1)
        assert stow(client, data).status_code in (200, 202)
        native = get(client, path_of(ds) + "/frames/1", 'multipart/related; type="application/octet-stream"')
        assert parts_of(native)[0][2] == pixels.tobytes()
        rendered = picture(get(client, path_of(ds) + "/rendered", "image/png", window="2048,4096,linear-exact").content)
        assert np.abs(rendered - pixels[0] / 4096 * 255).max() <= 1
