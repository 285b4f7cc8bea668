"""Every storage SOP class of the conformance statement is taken in and given out again, over both protocols."""

import io
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.associations import STUDY_GET, keys, scu
from tests.claims.statement import rows
from tests.conftest import Server
from tests.protocol.web import parts_of, stow, write

CLASSES = [(row["SOP class"], row["UID"]) for row in rows("4.2.1 SOP classes", "SOP class")]
GROUP = 60


def smallest(sop_class_uid: str, study_uid: str) -> Dataset:
    """An object of a class with nothing in it but who it is."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = sop_class_uid
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study_uid, generate_uid()
    ds.PatientID, ds.PatientName, ds.Modality = "claims", "Claim^All", "OT"
    return ds


def encoded(ds: Dataset) -> bytes:
    stream = DicomBytesIO()
    stream.is_little_endian, stream.is_implicit_VR = True, False
    write_dataset(stream, ds)
    return stream.getvalue()


@pytest.mark.parametrize("first", range(0, len(CLASSES), GROUP))
def test_stored_and_fetched_by_dimse(server: Server, first: int) -> None:
    study_uid = generate_uid()
    sent = [smallest(uid, study_uid) for _, uid in CLASSES[first : first + GROUP]]
    contexts = [build_context(ds.SOPClassUID, ExplicitVRLittleEndian) for ds in sent]
    with scu(server, contexts) as association:
        for ds in sent:
            assert association.send_c_store(ds).Status == 0, ds.SOPClassUID.name
    got: dict[str, bytes] = {}

    def receive(event: evt.Event) -> Any:
        got[event.request.AffectedSOPInstanceUID] = event.request.DataSet.getvalue()
        return 0

    classes = [ds.SOPClassUID for ds in sent]
    with scu(server, [build_context(STUDY_GET), *contexts], receive=receive, scp_of=classes) as association:
        *_, (status, _) = association.send_c_get(keys("STUDY", StudyInstanceUID=study_uid), STUDY_GET)
    assert status.Status == 0
    assert got == {ds.SOPInstanceUID: encoded(ds) for ds in sent}


@pytest.mark.parametrize("first", range(0, len(CLASSES), GROUP))
def test_stored_and_fetched_by_the_web(server: Server, first: int) -> None:
    study_uid = generate_uid()
    sent = [smallest(uid, study_uid) for _, uid in CLASSES[first : first + GROUP]]
    with httpx.Client(base_url=server.dicomweb_url) as client:
        assert stow(client, *map(write, sent)).status_code == 200
        found = client.get(f"/studies/{study_uid}/instances").json()
        fetched = [pydicom.dcmread(io.BytesIO(data)) for _, data in parts_of(client.get(f"/studies/{study_uid}"))]
    expected = {(ds.SOPInstanceUID, ds.SOPClassUID) for ds in sent}
    assert {(ds.SOPInstanceUID, ds.SOPClassUID) for ds in fetched} == expected
    assert {(item["00080018"]["Value"][0], item["00080016"]["Value"][0]) for item in found} == expected
