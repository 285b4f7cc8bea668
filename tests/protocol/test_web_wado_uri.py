"""WADO-URI: objects and pictures by query parameters."""

import io
from collections.abc import Iterator

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.uid import generate_uid

from tests.conftest import Server
from tests.protocol.test_web_video import STREAM, video
from tests.protocol.web import dataset_bytes, read, stow, write
from tests.samples import sample


@pytest.fixture(scope="module")
def image() -> bytes:
    return sample("ct_head_phantom_54/I110.dcm").read_bytes()


@pytest.fixture
def client(server: Server, image: bytes) -> Iterator[httpx.Client]:
    ds = pydicom.dcmread(io.BytesIO(image), stop_before_pixels=True)
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        assert stow(made, image).status_code == 200
        made.params = {
            "requestType": "WADO",
            "studyUID": ds.StudyInstanceUID,
            "seriesUID": ds.SeriesInstanceUID,
            "objectUID": ds.SOPInstanceUID,
        }
        yield made


def test_object(client: httpx.Client, image: bytes) -> None:
    for syntax in ({}, {"transferSyntax": "1.2.840.10008.1.2.1"}):
        response = client.get("/wado", params={"contentType": "application/dicom", **syntax})
        assert response.headers["content-type"].startswith("application/dicom")
        assert dataset_bytes(response.content) == dataset_bytes(image)
    coded = client.get("/wado", params={"contentType": "application/dicom", "transferSyntax": "1.2.840.10008.1.2.5"})
    assert (read(coded.content).pixel_array == read(image).pixel_array).all()


def test_picture(client: httpx.Client) -> None:
    assert Image.open(io.BytesIO(client.get("/wado").content)).size == (512, 512)
    parameters = {"contentType": "image/png", "rows": "100", "windowCenter": "40", "windowWidth": "400"}
    picture = Image.open(io.BytesIO(client.get("/wado", params=parameters).content))
    assert (picture.format, picture.size) == ("PNG", (100, 100))


@pytest.mark.parametrize(
    ("changed", "status"),
    [
        ({"requestType": "OTHER"}, 400),
        ({"objectUID": ""}, 400),
        ({"objectUID": "1.2.3"}, 404),
        ({"anonymize": "yes"}, 400),
        ({"presentationUID": "1.2.3"}, 400),
        ({"presentationUID": "1.2.3", "presentationSeriesUID": "1.2.3"}, 404),
        ({"region": "0.1,0.1,2,1"}, 400),
        ({"imageQuality": "101"}, 400),
        ({"windowCenter": "40", "windowWidth": "0"}, 400),
        ({"region": "0,0,0,1"}, 400),
        ({"frameNumber": "2"}, 404),
        ({"frameNumber": "x"}, 400),
        ({"windowCenter": "1"}, 400),
        ({"rows": "0"}, 400),
        ({"contentType": "video/mpeg"}, 406),
        ({"contentType": "application/dicom", "transferSyntax": "1.2.840.10008.1.2"}, 406),
    ],
)
def test_refusals(client: httpx.Client, changed: dict[str, str], status: int) -> None:
    response = client.get("/wado", params=changed)
    assert response.status_code == status
    assert response.json()["error"]["message"]


def picture_of(response: httpx.Response) -> np.ndarray:
    """The pixels of a PNG."""
    assert response.status_code == 200, response.text
    return np.asarray(Image.open(io.BytesIO(response.content)))


def test_region_is_cut_out_of_the_picture(client: httpx.Client) -> None:
    whole = picture_of(client.get("/wado", params={"contentType": "image/png"}))
    part = picture_of(client.get("/wado", params={"contentType": "image/png", "region": "0.25,0.5,0.75,1"}))
    assert np.array_equal(part, whole[256:512, 128:384])


def test_presentation_state_is_applied(client: httpx.Client, image: bytes) -> None:
    state, shown = pydicom.dcmread(sample("generated/gsps_brain_window.dcm")), read(image)
    state.StudyInstanceUID, state.SeriesInstanceUID = shown.StudyInstanceUID, generate_uid()
    state.SOPInstanceUID = state.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    series = state.ReferencedSeriesSequence[0]
    series.SeriesInstanceUID = shown.SeriesInstanceUID
    series.ReferencedImageSequence[0].ReferencedSOPInstanceUID = shown.SOPInstanceUID
    window = state.SoftcopyVOILUTSequence[0]
    window.WindowCenter, window.WindowWidth = 700, 900
    assert stow(client, write(state)).status_code == 200
    asked = {
        "contentType": "image/png",
        "presentationUID": state.SOPInstanceUID,
        "presentationSeriesUID": state.SeriesInstanceUID,
    }
    plain = {"contentType": "image/png"}
    by_state = picture_of(client.get("/wado", params=asked))
    by_window = picture_of(client.get("/wado", params={**plain, "windowCenter": "700", "windowWidth": "900"}))
    assert not np.array_equal(by_state, picture_of(client.get("/wado", params=plain)))
    assert np.array_equal(by_state, by_window)
    assert client.get("/wado", params={**asked, "windowCenter": "1", "windowWidth": "2"}).status_code == 400


@pytest.mark.parametrize(
    ("accept", "expected"),
    [
        ("*/*", "image/jpeg"),
        ("image/png, */*;q=0.1", "image/png"),
        ("image/avif,image/webp,image/*,*/*;q=0.8", "image/jpeg"),
        ("application/pdf, */*", "image/jpeg"),
        ("application/dicom", "application/dicom"),
        ("application/pdf;q=0.9, application/dicom;q=0.5", "application/dicom"),
    ],
)
def test_accept_counts_where_no_content_type_is_asked(client: httpx.Client, accept: str, expected: str) -> None:
    response = client.get("/wado", headers={"Accept": accept})
    assert response.headers["content-type"].partition(";")[0] == expected
    by_parameter = client.get("/wado", params={"contentType": "image/png"}, headers={"Accept": accept})
    assert by_parameter.headers["content-type"] == "image/png"


def test_accept_that_nothing_satisfies(client: httpx.Client) -> None:
    response = client.get("/wado", headers={"Accept": "application/pdf"})
    assert (response.status_code, "Available: " in response.text) == (406, True)


def test_report_as_text_in_utf8(client: httpx.Client) -> None:
    ds = pydicom.dcmread(sample("generated/sr_tid1500.dcm"))
    assert stow(client, sample("generated/sr_tid1500.dcm").read_bytes()).status_code == 200
    uids = {"studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID, "objectUID": ds.SOPInstanceUID}
    for asked, charset, status in (("text/html", "utf-8", 200), ("text/plain", "*", 200), ("text/html", "latin1", 406)):
        response = client.get("/wado", params={**uids, "contentType": asked, "charset": charset})
        assert response.status_code == status
        if status == 200:
            assert response.headers["content-type"] == f"{asked}; charset=utf-8"


def test_video_is_played(client: httpx.Client) -> None:
    ds = video()
    assert stow(client, write(ds)).status_code == 200
    uids = {"studyUID": ds.StudyInstanceUID, "seriesUID": ds.SeriesInstanceUID, "objectUID": ds.SOPInstanceUID}
    part = client.get("/wado", params={**uids, "contentType": "video/mp4"}, headers={"Range": "bytes=5-10"})
    assert (part.status_code, part.headers["content-type"], part.content) == (206, "video/mp4", STREAM[5:11])
