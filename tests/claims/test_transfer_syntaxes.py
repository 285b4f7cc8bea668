"""Every transfer syntax of the conformance statement: kept, decoded where it says so, made where it says so."""

import io
import zlib
from pathlib import Path
from typing import Any

import httpx
import imagecodecs
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate, generate_frames
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import UID, generate_uid
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.associations import CT, STUDY_GET, keys, raw_association, response_status, scu, send_store
from tests.claims.statement import rows
from tests.conftest import Server
from tests.protocol.web import parts_of, path_of, stow, write
from tests.samples import sample, shipped_files

SYNTAXES = {row["UID"]: row for row in rows("4.2.3 Transfer syntaxes", "transfer syntax")}
ENCODED = [uid for uid, row in SYNTAXES.items() if row["encodes"] == "yes"]
DECODED = [uid for uid, row in SYNTAXES.items() if row["decodes"] == "yes"]
JPEG_XL_RECOMPRESSED = "1.2.840.10008.1.2.4.111"
ENCAPSULATED_UNCOMPRESSED = "1.2.840.10008.1.2.1.98"


def image() -> Dataset:
    """A CT image that is new to the server."""
    return renamed(pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm")))


def renamed(ds: Dataset) -> Dataset:
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    return ds


def encoded(ds: Dataset, uid: str) -> bytes:
    """A data set as the syntax has it written; what stands in an encapsulated Pixel Data is of no matter here."""
    name = SYNTAXES[uid]["transfer syntax"]
    stream = DicomBytesIO()
    stream.is_implicit_VR = "Implicit" in name
    stream.is_little_endian = "Big Endian" not in name
    if SYNTAXES[uid]["decodes"] != "native" and not name.startswith(("JPIP", "SMPTE")):
        ds.PixelData = encapsulate([b"any bytes at all"])
        ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    write_dataset(stream, ds)
    if "Deflate" in name and "Frame" not in name:
        deflate = zlib.compressobj(wbits=-zlib.MAX_WBITS)
        data = deflate.compress(stream.getvalue()) + deflate.flush()
        return data + b"\0" * (len(data) % 2)
    return stream.getvalue()


@pytest.mark.parametrize("uid", SYNTAXES, ids=[row["transfer syntax"] for row in SYNTAXES.values()])
def test_kept_byte_for_byte(server: Server, uid: str) -> None:
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = CT, generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.PatientID, ds.Modality = "claims", "OT"
    data = encoded(ds, uid)
    context = build_context(CT, uid)
    with raw_association(server, context) as sock:
        send_store(sock, CT, ds.SOPInstanceUID, data)
        assert response_status(sock)[0] == 0
    got: list[bytes] = []

    def receive(event: evt.Event) -> Any:
        assert event.context.transfer_syntax == uid
        got.append(event.request.DataSet.getvalue())
        return 0

    with scu(server, [build_context(STUDY_GET), context], receive=receive, scp_of=[CT]) as association:
        *_, (status, _) = association.send_c_get(keys("STUDY", StudyInstanceUID=ds.StudyInstanceUID), STUDY_GET)
    assert status.Status == 0 and got == [data]


def in_syntax(client: httpx.Client, original: Dataset, uid: str) -> Dataset:
    """The stored image as the server converts it."""
    accept = f'application/dicom; transfer-syntax="{uid}"'
    answer = client.get(path_of(original), headers={"Accept": accept})
    assert answer.status_code == 200, answer.text
    found = pydicom.dcmread(io.BytesIO(answer.content))
    assert found.file_meta.TransferSyntaxUID == uid
    return found


def frame_bytes(client: httpx.Client, ds: Dataset) -> bytes:
    answer = client.get(
        f"{path_of(ds)}/frames/1", headers={"Accept": "multipart/related; type=application/octet-stream"}
    )
    assert answer.status_code == 200, answer.text
    ((_, data),) = parts_of(answer)
    return data


@pytest.mark.parametrize("uid", ENCODED, ids=lambda uid: SYNTAXES[uid]["transfer syntax"])
def test_made_without_loss(server: Server, uid: str) -> None:
    """An image that is converted, stored as a new one and decoded again has the pixels it had."""
    original = image()
    with httpx.Client(base_url=server.dicomweb_url) as client:
        assert stow(client, write(original)).status_code == 200
        converted = renamed(in_syntax(client, original, uid))
        assert stow(client, write(converted)).status_code == 200
        assert frame_bytes(client, converted) == original.PixelData


def files_in(uid: str) -> list[Path]:
    return [
        path
        for path in shipped_files()
        if pydicom.dcmread(path, stop_before_pixels=True).file_meta.TransferSyntaxUID == uid
    ]


def made(uid: str) -> Dataset:
    """An image in a syntax that no sample file has."""
    if uid == ENCAPSULATED_UNCOMPRESSED:
        ds = image()
        ds.PixelData = encapsulate([ds.PixelData])
    else:
        ds = renamed(pydicom.dcmread(sample("ct_syntaxes/JPEGProcess1.dcm")))
        (jpeg,) = generate_frames(ds.PixelData, number_of_frames=1)
        recompressed = imagecodecs.jpegxl_encode_jpeg(jpeg)
        lossy = imagecodecs.jpegxl_encode(imagecodecs.jpeg8_decode(jpeg), lossless=False)
        ds.PixelData = encapsulate([recompressed if uid == JPEG_XL_RECOMPRESSED else lossy])
    ds["PixelData"].VR, ds["PixelData"].is_undefined_length = "OB", True
    ds.file_meta.TransferSyntaxUID = UID(uid)
    return ds


@pytest.mark.parametrize(
    "uid", [uid for uid in DECODED if uid not in ENCODED], ids=lambda uid: SYNTAXES[uid]["transfer syntax"]
)
def test_decoded(server: Server, uid: str) -> None:
    """The values are compared with other decoders in tests/unit/test_pixels_decode.py."""
    originals = [renamed(pydicom.dcmread(path)) for path in files_in(uid)] or [made(uid)]
    with httpx.Client(base_url=server.dicomweb_url) as client:
        for ds in originals:
            assert stow(client, write(ds)).status_code == 200
            data = frame_bytes(client, ds)
            samples = ds.Rows * ds.Columns * ds.SamplesPerPixel
            assert len(data) - len(data) % 2 in (samples * ds.BitsAllocated // 8, samples * ds.BitsAllocated // 8 + 1)
            if uid == ENCAPSULATED_UNCOMPRESSED:
                assert data == pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm")).PixelData
            else:
                assert np.frombuffer(data, np.uint8).std() > 0
