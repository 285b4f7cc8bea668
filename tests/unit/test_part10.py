"""The scan of real files: its JSON is pydicom's, its ranges are where the values are, whatever the buffer."""

import mmap
from pathlib import Path
from typing import Any

import orjson
import pydicom
import pytest
from pydicom.encaps import generate_fragments

from config.settings import Limits
from storage import part10
from storage.inflate import inflate
from storage.metadata import bulk_data_prefix
from tests.json_oracle import OUR_THRESHOLD_BYTES, PIXELS, pydicom_json, quiet_pydicom, with_bulk_hidden
from tests.samples import instance_files, sample, sample_id

# pydicom fails on a delimiter too many at the end of this file.
UNREADABLE_FOR_PYDICOM = {"DIRW0007.dcm"}
FILES = instance_files()
READABLE = [path for path in FILES if path.name not in UNREADABLE_FOR_PYDICOM]


LIMITS = Limits()


def scan(data: Any, threshold: int = OUR_THRESHOLD_BYTES) -> part10.Scanned:
    reader = part10.MetaReader()
    meta = reader.feed(data[: 1024 * 1024]) or reader.finish()
    return part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=LIMITS,
        bulk_threshold_bytes=threshold,
    )


@pytest.mark.parametrize("path", READABLE, ids=sample_id)
def test_json_is_that_of_pydicom(path: Path) -> None:
    scanned = scan(path.read_bytes())
    assert with_bulk_hidden(scanned.dataset) == pydicom_json(path)
    assert list(scanned.dataset) == sorted(scanned.dataset)
    # A round trip through JSON changes nothing: there are only JSON's types, and no NaN.
    assert orjson.loads(orjson.dumps(scanned.dataset)) == scanned.dataset


@pytest.mark.parametrize("path", FILES, ids=sample_id)
def test_the_three_uids_and_the_class_are_found(path: Path) -> None:
    scanned = scan(path.read_bytes())
    with quiet_pydicom():
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        uids = (ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID, ds.SOPClassUID)
    key = scanned.key
    found = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid, scanned.sop_class_uid)
    assert found == uids


def value_at(ds: pydicom.Dataset, path: str) -> bytes:
    *sequences, last = path.split("/")
    for tag, item in zip(sequences[::2], sequences[1::2], strict=True):
        ds = ds[int(tag, 16)].value[int(item) - 1]
    value = ds[int(last, 16)].value
    assert isinstance(value, bytes)
    return value


def references(dataset: Any) -> list[str]:
    if isinstance(dataset, list):
        return [uri for item in dataset for uri in references(item)]
    if not isinstance(dataset, dict):
        return []
    own = [dataset["BulkDataURI"]] if "BulkDataURI" in dataset else []
    return own + [uri for value in dataset.values() for uri in references(value)]


@pytest.mark.parametrize("path", READABLE, ids=sample_id)
def test_bulk_data_is_where_the_layout_says(path: Path) -> None:
    data = path.read_bytes()
    scanned = scan(data, threshold=64)
    uris = references(scanned.dataset)
    prefix = bulk_data_prefix(scanned.key)
    assert sorted(uris) == sorted(prefix + bulk for bulk in scanned.layout.bulk)
    where = inflate(data, scanned.layout.dataset_offset_bytes, LIMITS) if scanned.layout.deflated else data
    with quiet_pydicom():
        ds = pydicom.dcmread(path)
        for bulk, (offset, length) in scanned.layout.bulk.items():
            assert where[offset : offset + length] == value_at(ds, bulk)


@pytest.mark.parametrize("path", READABLE, ids=sample_id)
def test_fragments_are_where_the_layout_says(path: Path) -> None:
    data = path.read_bytes()
    layout = scan(data).layout
    if not hasattr(layout.pixels, "fragment_offsets"):
        return
    with quiet_pydicom():
        fragments = list(generate_fragments(pydicom.dcmread(path).PixelData))[1:]
    ranges = zip(layout.pixels.fragment_offsets, layout.pixels.fragment_lengths, strict=True)
    assert [data[offset : offset + length] for offset, length in ranges] == fragments


@pytest.mark.parametrize("name", ["ct_head_phantom_54/I100.dcm", "ct_syntaxes/DeflatedExplicitVRLittleEndian.dcm"])
def test_any_buffer_gives_the_same(name: str) -> None:
    path = sample(name)
    data = path.read_bytes()
    expected = scan(data)
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        assert scan(mapped) == expected
    assert scan(bytearray(data)) == expected
    with memoryview(bytearray(data)) as view:
        assert scan(view) == expected


def test_threshold_decides_what_is_inline() -> None:
    data = sample("ct_head_phantom_54/I100.dcm").read_bytes()
    assert set(scan(data, threshold=10**9).layout.bulk) == {"7FE00010"}
    assert len(scan(data, threshold=0).layout.bulk) > 1


def test_pixels_are_always_a_reference() -> None:
    for path in FILES:
        dataset = scan(path.read_bytes(), threshold=10**9).dataset
        assert not any("InlineBinary" in dataset.get(f"{tag:08X}", {}) for tag in PIXELS)
