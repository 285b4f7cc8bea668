"""Every media type that the conformance statement claims for a resource is answered for some object."""

import re
from collections.abc import Iterator

import httpx
import pydicom
import pytest
from pydicom.encaps import encapsulate
from pydicom.uid import UID, generate_uid

from tests.claims.statement import rows
from tests.conftest import Server, start
from tests.protocol.web import parts_of, stow, write
from tests.samples import sample

RESOURCES = {
    row["request"].removeprefix("GET "): row["answers"].split(", ")
    for row in rows("4.3 DICOMweb", "answers")
    if row["request"].startswith("GET ") and row["answers"] and row["request"] != "GET /reject"
}
STREAMS = (
    "1.2.840.10008.1.2.4.92",
    "1.2.840.10008.1.2.4.107",
    "1.2.840.10008.1.2.4.100",
    "1.2.840.10008.1.2.4.102",
)
VIDEO_CLASS = "1.2.840.10008.5.1.4.1.1.77.1.4.1"
FILES = (
    "ct_head_phantom_54/I100.dcm",
    "ct_syntaxes/JPEGProcess1.dcm",
    "ct_syntaxes/RLELossless.dcm",
    "ct_syntaxes/JPEGLSLossless.dcm",
    "ct_syntaxes/JPEG2000.dcm",
    "generated/encapsulated_pdf.dcm",
)


def stream(transfer_syntax_uid: str) -> pydicom.Dataset:
    """An object whose pixel data can only be handed out as it is; nothing here looks into it."""
    ds = pydicom.dcmread(sample("ct_syntaxes/JPEGProcess1.dcm"))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(VIDEO_CLASS)
    ds.file_meta.TransferSyntaxUID = UID(transfer_syntax_uid)
    ds.NumberOfFrames, ds.Modality, ds.FrameTime = 1, "XC", 40
    ds.PixelData = encapsulate([b"a stream of frames" * 100])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    return ds


def document(number: int, media_type: str) -> pydicom.Dataset:
    """An encapsulated document; what is in it is of no matter here."""
    ds = pydicom.dcmread(sample("generated/encapsulated_pdf.dcm"))
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = UID(f"1.2.840.10008.5.1.4.1.1.104.{number}")
    ds.MIMETypeOfEncapsulatedDocument = media_type
    ds.EncapsulatedDocument = b"anything!!" * 200
    return ds


DOCUMENTS = ((1, "application/pdf"), (2, "text/xml"), (3, "model/stl"), (4, "model/obj"), (5, "model/mtl"))


def objects() -> list[pydicom.Dataset]:
    """One object of each kind, each in a study of its own."""
    found = [pydicom.dcmread(sample(name)) for name in FILES] + [stream(uid) for uid in STREAMS]
    found += [document(*row) for row in DOCUMENTS]
    reports = sorted(sample("sr").glob("*.dcm"))
    cines = sorted(sample("us_cine").glob("*.dcm"))
    found += [pydicom.dcmread(path) for path in (reports[0], cines[0])]
    for ds in found:
        ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return found


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that holds the objects; their studies are found by searching."""
    server: Server = start(tmp_path_factory.mktemp("media"))
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as made:
        for ds in objects():
            assert stow(made, write(ds)).status_code == 200
        yield made
    server.stop()


def instances(client: httpx.Client) -> Iterator[dict[str, str]]:
    """What stands for the placeholders of a path, for each object."""
    for item in client.get("/instances", params={"includefield": "all"}).json():
        found = {"study": item["0020000D"], "series": item["0020000E"], "instance": item["00080018"]}
        uids = {name: element["Value"][0] for name, element in found.items()}
        address = f"/studies/{uids['study']}/series/{uids['series']}/instances/{uids['instance']}"
        (metadata,) = client.get(f"{address}/metadata").json()
        bulk = {tag: element["BulkDataURI"] for tag, element in metadata.items() if "BulkDataURI" in element}
        address = bulk.get("7FE00010") or next(iter(bulk.values()), "/bulkdata/none")
        yield {**uids, "frames": "1", "path": address.rpartition("/bulkdata/")[2]}


def address_of(path: str, one: dict[str, str], media_type: str) -> str:
    """The resource of an object; WADO-URI names it by parameters."""
    if path != "/wado":
        return path.format(**one)
    uids = f"studyUID={one['study']}&seriesUID={one['series']}&objectUID={one['instance']}"
    return f"/wado?requestType=WADO&{uids}&contentType={media_type}"


def answers(client: httpx.Client, path: str, media_type: str) -> bool:
    """Whether the answer has the media type, as a whole or in each of its parts."""
    answer = client.get(path, headers={"Accept": media_type})
    if answer.status_code != 200:
        assert answer.status_code in (204, 400, 404, 406), f"{path}: {answer.status_code} {answer.text[:300]}"
        return False
    kind = answer.headers["content-type"]
    if not media_type.startswith("multipart/"):
        return kind.partition(";")[0] == media_type
    inner = re.findall(r'type="([^"]+)"', media_type)[0]
    return bool(answer.content) and all(found.partition(";")[0] == inner for found, _ in parts_of(answer))


@pytest.mark.parametrize("path", RESOURCES)
def test_media_types(client: httpx.Client, path: str) -> None:
    known = list(instances(client))
    missing = [
        media_type
        for media_type in RESOURCES[path]
        if not any(answers(client, address_of(path, one, media_type), media_type) for one in known)
    ]
    assert missing == []


@pytest.mark.parametrize("path", RESOURCES)
def test_nothing_else_is_offered(client: httpx.Client, path: str) -> None:
    """Who asks for what there is not is told what there is: all of it is claimed."""
    for one in instances(client):
        answer = client.get(address_of(path, one, "chemical/x-pdb"), headers={"Accept": "chemical/x-pdb"})
        assert answer.status_code in (404, 406)
        if answer.status_code == 406:
            offered = re.sub(r"; transfer-syntax=[^,]*", "", answer.json()["error"]["message"])
            assert set(offered.removeprefix("Available: ").split(", ")) <= set(RESOURCES[path])
