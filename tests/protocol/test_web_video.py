"""Video as players ask for it: one stream, by ranges, whatever the fragments in the object are."""

import io
import random
from collections.abc import Iterator

import httpx
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate
from pydicom.uid import MPEG2MPML, MPEG4HP41, generate_uid

from tests.conftest import Server
from tests.protocol.web import path_of, read, stow, write

STREAM = b"\0\0\0\x18ftypmp42" + random.Random(7).randbytes(3_000_000)


def video(transfer_syntax_uid: str = MPEG4HP41) -> Dataset:
    """An endoscopy of 250 frames, whose stream lies in three fragments."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = transfer_syntax_uid
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.77.1.1.1"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.Modality, ds.NumberOfFrames, ds.Rows, ds.Columns = "ES", 250, 480, 640
    ds.BitsAllocated, ds.SamplesPerPixel, ds.PhotometricInterpretation = 8, 3, "YBR_PARTIAL_420"
    ds.PixelData = encapsulate([STREAM[:1_000_000], STREAM[1_000_000:1_000_010], STREAM[1_000_010:]], has_bot=False)
    ds["PixelData"].is_undefined_length = True
    return ds


@pytest.fixture(scope="module")
def client(server: Server) -> Iterator[httpx.Client]:
    """A client of the running server."""
    with httpx.Client(base_url=server.dicomweb_url, timeout=30) as made:
        yield made


@pytest.fixture(scope="module")
def rendered(client: httpx.Client) -> str:
    """Path of the rendered form of a stored video."""
    ds = video()
    assert stow(client, write(ds)).status_code == 200
    return path_of(ds) + "/rendered"


def test_a_player_gets_the_stream(client: httpx.Client, rendered: str) -> None:
    answer = client.get(rendered, headers={"Accept": "*/*", "Range": "bytes=0-"})
    assert (answer.status_code, answer.headers["content-type"]) == (206, "video/mp4")
    assert answer.headers["content-range"] == f"bytes 0-{len(STREAM) - 1}/{len(STREAM)}"
    assert answer.content == STREAM
    whole = client.get(rendered)
    assert (whole.status_code, whole.headers["accept-ranges"], whole.content) == (200, "bytes", STREAM)
    assert client.get(rendered, headers={"If-None-Match": whole.headers["etag"]}).status_code == 304


@pytest.mark.parametrize("first, last", [(0, 1), (999_990, 1_000_020), (1_000_005, 1_000_005), (2_999_000, 2_999_999)])
def test_a_player_seeks(client: httpx.Client, rendered: str, first: int, last: int) -> None:
    answer = client.get(rendered, headers={"Range": f"bytes={first}-{last}"})
    assert (answer.status_code, answer.content) == (206, STREAM[first : last + 1])


def test_beyond_the_end_there_is_nothing(client: httpx.Client, rendered: str) -> None:
    assert client.get(rendered, headers={"Range": f"bytes={len(STREAM)}-"}).status_code == 416


def test_who_wants_a_picture_gets_one(client: httpx.Client, rendered: str) -> None:
    thumbnail = rendered.replace("/rendered", "/thumbnail?viewport=256,256")
    for path in (rendered, thumbnail):
        answer = client.get(path, headers={"Accept": "image/jpeg"})
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
        assert Image.open(io.BytesIO(answer.content)).size[0] <= 256
    assert client.get(rendered, headers={"Accept": "application/pdf"}).status_code == 406


def test_other_frames_do_not_exist(client: httpx.Client, rendered: str) -> None:
    any_syntax = {"Accept": "multipart/related; type=application/octet-stream; transfer-syntax=*"}
    assert client.get(rendered.replace("/rendered", "/frames/2"), headers=any_syntax).status_code == 404


def test_an_old_video_says_what_it_is(client: httpx.Client) -> None:
    ds = video(MPEG2MPML)
    assert stow(client, write(ds)).status_code == 200
    answer = client.get(path_of(ds) + "/rendered", headers={"Accept": "video/mpeg"})
    assert (answer.status_code, answer.headers["content-type"]) == (200, "video/mpeg2")
    assert client.get(path_of(ds) + "/rendered", headers={"Accept": "video/mp4"}).status_code == 406


def test_metadata_tell_a_video_from_a_cine_loop(client: httpx.Client, rendered: str) -> None:
    (described,) = client.get(rendered.replace("/rendered", "/metadata")).json()
    assert described["00083002"] == {"vr": "UI", "Value": [MPEG4HP41]}
    assert list(described) == sorted(described)
    whole = client.get(rendered.removesuffix("/rendered"), headers={"Accept": "application/dicom"})
    assert "AvailableTransferSyntaxUID" not in read(whole.content)
