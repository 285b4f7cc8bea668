"""The head of a file: ours as pydicom reads it, that of others however it arrives and whatever is wrong with it."""

import io
import struct
from pathlib import Path

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import UID

from index.errors import CannotUnderstand, PacsError
from storage import syntaxes
from storage.meta_group import IMPLEMENTATION_CLASS_UID, FileMeta, MetaReader, build_meta
from tests.json_oracle import quiet_pydicom
from tests.samples import sample, sample_files, sample_id

CT = "1.2.840.10008.5.1.4.1.1.2"
DATASET = b"\x08\x00\x05\x00CS\x0a\x00ISO_IR 100" + b"\x08\x00\x16\x00UI\x1a\x00" + CT.encode() + b"\0"


def ours(source_ae: str = "") -> bytes:
    return build_meta(
        sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=syntaxes.EXPLICIT_LITTLE, source_ae=source_ae
    )


def read(data: bytes) -> FileMeta:
    reader = MetaReader()
    return reader.feed(data) or reader.finish()


@pytest.mark.parametrize("source_ae", ["", "SCANNER1", "SCANNER"])
def test_pydicom_reads_our_meta_group(source_ae: str) -> None:
    ds = pydicom.dcmread(io.BytesIO(ours(source_ae) + DATASET))
    meta = ds.file_meta
    assert ds.preamble == bytes(128)
    assert meta.FileMetaInformationVersion == b"\0\1"
    assert (meta.MediaStorageSOPClassUID, meta.MediaStorageSOPInstanceUID) == (CT, "1.2.3")
    assert meta.TransferSyntaxUID == syntaxes.EXPLICIT_LITTLE
    assert meta.ImplementationClassUID == IMPLEMENTATION_CLASS_UID
    assert UID(IMPLEMENTATION_CLASS_UID).is_valid
    assert meta.get("SourceApplicationEntityTitle", "") == source_ae
    assert len(ours(source_ae)) == 144 + meta.FileMetaInformationGroupLength
    assert read(ours(source_ae) + DATASET) == FileMeta(CT, "1.2.3", syntaxes.EXPLICIT_LITTLE, len(ours(source_ae)))


@pytest.mark.parametrize("path", sample_files(), ids=sample_id)
def test_real_files(path: Path) -> None:
    data = path.read_bytes()
    meta = read(data)
    with quiet_pydicom():
        expected = pydicom.filereader.read_file_meta_info(path)
    assert meta.transfer_syntax_uid == expected.TransferSyntaxUID
    assert meta.sop_class_uid == expected.get("MediaStorageSOPClassUID", "")
    assert meta.sop_instance_uid == expected.get("MediaStorageSOPInstanceUID", "")
    assert meta.length_bytes == 144 + expected.FileMetaInformationGroupLength


@given(st.lists(st.integers(1, 400), max_size=30))
def test_the_size_of_the_pieces_does_not_matter(sizes: list[int]) -> None:
    data = sample("sr/reportsi.dcm").read_bytes()
    reader = MetaReader()
    meta, position = None, 0
    for size in [*sizes, len(data)]:
        meta = reader.feed(memoryview(data)[position : position + size])
        position += size
        if meta is not None:
            break
    assert meta == read(data)
    assert data[meta.length_bytes : position] == reader.surplus


def test_byte_by_byte() -> None:
    data = ours() + DATASET
    reader = MetaReader()
    results = [reader.feed(data[i : i + 1]) for i in range(len(ours()) + 12)]
    assert results[:-1] == [None] * (len(results) - 1)
    assert results[-1] == read(data)
    assert reader.surplus == DATASET[:12]


def test_without_preamble() -> None:
    assert read(ours()[128:] + DATASET).length_bytes == len(ours()) - 128
    assert read(ours()[132:] + DATASET).length_bytes == len(ours()) - 132


def test_empty_data_set() -> None:
    assert read(ours()).length_bytes == len(ours())


@pytest.mark.parametrize("group_length", [0, 1, 20, 10_000, 0xFFFFFFFF])
def test_wrong_group_length(group_length: int) -> None:
    data = bytearray(ours() + DATASET)
    data[140:144] = struct.pack("<I", group_length)
    assert read(bytes(data)) == read(ours() + DATASET)


def test_missing_group_length() -> None:
    assert read(ours()[:132] + ours()[144:] + DATASET).length_bytes == len(ours()) - 12


def test_implicit_meta_group() -> None:
    group = b"".join(
        struct.pack("<HHI", 2, number, len(value)) + value
        for number, value in [(2, CT.encode() + b"\0"), (3, b"1.2.3\0"), (16, b"1.2.840.10008.1.2\0")]
    )
    meta = read(bytes(128) + b"DICM" + group + DATASET)
    assert meta == FileMeta(CT, "1.2.3", syntaxes.IMPLICIT_LITTLE, 132 + len(group))


def test_deflated_data_that_looks_like_the_meta_group() -> None:
    head = build_meta(sop_class_uid=CT, sop_instance_uid="1.2.3", transfer_syntax_uid=syntaxes.DEFLATED_LITTLE)
    assert read(head + b"\x02\x00\x10\x00UI\x08\x001.2.3.4\0").length_bytes == len(head)


@pytest.mark.parametrize(
    ("head", "uid"),
    [
        (DATASET, syntaxes.EXPLICIT_LITTLE),
        (b"\x00\x08\x00\x05CS\x00\x0aISO_IR 100", syntaxes.EXPLICIT_BIG),
        (b"\x08\x00\x05\x00\x0a\x00\x00\x00ISO_IR 100", syntaxes.IMPLICIT_LITTLE),
        (b"\x08\x00\x00\x00\x04\x00\x00\x00\x00\x01\x00\x00", syntaxes.IMPLICIT_LITTLE),
    ],
)
def test_bare_data_set(head: bytes, uid: str) -> None:
    assert read(head) == FileMeta("", "", uid, 0)
    assert read(head + bytes(500)) == FileMeta("", "", uid, 0)


def test_missing_transfer_syntax_is_guessed() -> None:
    ds = Dataset()
    ds.SOPInstanceUID = "1.2.3"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.MediaStorageSOPInstanceUID = "1.2.3"
    output = io.BytesIO()
    pydicom.filewriter.write_file_meta_info(output, ds.file_meta, enforce_standard=False)
    head = bytes(128) + b"DICM" + output.getvalue()
    assert read(head + DATASET) == FileMeta("", "1.2.3", syntaxes.EXPLICIT_LITTLE, len(head))
    with pytest.raises(CannotUnderstand, match="Transfer Syntax UID is missing"):
        read(head + b"garbage!")


@pytest.mark.parametrize("data", [b"", b"\x08", b"GIF89a" + bytes(300), bytes(200), b"%PDF-1.4\n", b"PK\x03\x04" * 50])
def test_what_is_no_dicom_file(data: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        read(data)


@pytest.mark.parametrize("length", [1, 131, 132, 140, 150, 200, 300])
def test_truncated(length: int) -> None:
    with pytest.raises(CannotUnderstand):
        read(ours()[:length])


def test_meta_group_without_end() -> None:
    reader = MetaReader()
    reader.feed(bytes(128) + b"DICM")
    element = b"\x02\x00\x02\x01OB\0\0\x00\x80\x00\x00" + bytes(0x8000)
    with pytest.raises(PacsError, match="meta group"):
        for _ in range(1000):
            reader.feed(element)


@given(st.binary(max_size=300), st.integers(0, 320))
def test_garbage_never_crashes(garbage: bytes, position: int) -> None:
    data = (ours() + DATASET)[:position] + garbage
    try:
        meta = read(data)
    except PacsError:
        return
    assert 0 <= meta.length_bytes <= len(data)
