"""Elements that are shared between data sets: the same bytes mean the same only where they are read the same way."""

import io
from typing import Any

import orjson
import pydicom
from pydicom.dataset import FileMetaDataset
from pydicom.uid import CTImageStorage, ExplicitVRBigEndian, ExplicitVRLittleEndian

from config.settings import Limits
from storage import part10

THRESHOLD_BYTES = 1024


def encoded(syntax: str, charset: str, name: bytes, **more: Any) -> bytes:
    ds = pydicom.Dataset()
    ds.SpecificCharacterSet = charset
    ds.SOPClassUID = CTImageStorage
    ds.SOPInstanceUID = ds.StudyInstanceUID = ds.SeriesInstanceUID = "2.25.1"
    ds.PatientID = "_" * len(name)
    for keyword, value in more.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = syntax
    buffer = io.BytesIO()
    ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue().replace(b"_" * len(name), name)


def scan(data: bytes) -> Any:
    meta = part10.MetaReader().feed(data)
    assert meta is not None
    scanned = part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=Limits(),
        bulk_threshold_bytes=THRESHOLD_BYTES,
    )
    return orjson.loads(orjson.dumps(scanned.dataset)), scanned.warnings


def test_text_is_read_in_the_character_set_of_each_data_set() -> None:
    greek, latin = "ISO_IR 126", "ISO_IR 100"
    for charset, text in 2 * [(greek, "αβγδ"), (latin, "áâãä")]:
        dataset, _ = scan(encoded(ExplicitVRLittleEndian, charset, b"\xe1\xe2\xe3\xe4"))
        assert dataset["00100020"] == {"vr": "LO", "Value": [text]}


def test_numbers_are_read_in_the_byte_order_of_each_data_set() -> None:
    for syntax in 2 * [ExplicitVRLittleEndian, ExplicitVRBigEndian]:
        dataset, _ = scan(encoded(syntax, "ISO_IR 100", b"ID", Rows=0x0102))
        assert dataset["00280010"] == {"vr": "US", "Value": [0x0102]}


def test_a_repeated_slip_is_remarked_on_every_time() -> None:
    once = encoded(ExplicitVRLittleEndian, "ISO_IR 100", b"ID", Rows=[1, 2])
    damaged = once.replace(b"US\x04\x00\x01\x00\x02\x00", b"US\x03\x00\x01\x00\x02")
    for _ in range(2):
        dataset, warnings = scan(damaged)
        assert dataset["00280010"]["vr"] == "UN"
        assert len(warnings) == 1


def test_more_elements_than_are_kept_are_all_read() -> None:
    for number in range(2500):
        dataset, _ = scan(encoded(ExplicitVRLittleEndian, "ISO_IR 100", f"{number:06d}".encode()))
        assert dataset["00100020"]["Value"] == [f"{number:06d}"]
