"""WADO-URI: objects and pictures by query parameters."""

import io
from collections.abc import Iterator

import httpx
import pydicom
import pytest
from PIL import Image

from tests.conftest import Server
from tests.protocol.web import dataset_bytes, read, stow
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
