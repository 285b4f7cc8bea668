"""Data sets written from the DICOM JSON model: what was scanned is written and scanned again, and pydicom agrees."""

import io
import resource
import struct
from pathlib import Path
from typing import Any

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st

from config.settings import Limits
from dicomweb import json_model
from index.errors import CannotUnderstand, OutOfResources, PacsError, TooLarge
from index.records import InstanceKey
from storage import part10, syntaxes
from storage.composing import Composition, Content, Encoding, Fragments, blocks, encode, in_unicode
from storage.composing import part10 as file_of
from storage.elements import Scan
from storage.encoding import Encoding as ScanEncoding
from storage.spool import Cut, Held, Spool
from tests.json_oracle import quiet_pydicom
from tests.samples import sample, sample_id, shipped_files

LIMITS = Limits()
KEY = InstanceKey("1.2", "1.3", "1.4")
NO_INSTANCES = {"chrSQEncoding.dcm", "chrSQEncoding1.dcm"}


def scan(data: bytes) -> part10.Scanned:
    reader = part10.MetaReader()
    meta = reader.feed(data) or reader.finish()
    return part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=LIMITS,
        bulk_threshold_bytes=64,
    )


def no_bulk(path: str, uri: str) -> Content:
    raise AssertionError(path)


def recomposed(path: Path) -> tuple[part10.Scanned, bytes]:
    """What the scan found of a file, and the file that is written from that: Explicit VR Little Endian."""
    data = path.read_bytes()
    scanned = scan(data)
    source = Held(data)

    def find(element: str, _uri: str) -> Content:
        if element == "7FE00010":
            # The order of bytes, and frames, are others' matter.
            return Held(b"\1\2" * 200)
        return Cut(source, *scanned.layout.bulk[element])

    composition = Composition(in_unicode(scanned.dataset), syntaxes.EXPLICIT_LITTLE, find)
    return scanned, b"".join(file_of(composition, scanned.key, scanned.sop_class_uid))


def without_references(value: Any) -> Any:
    if isinstance(value, dict):
        found = {key: without_references(item) for key, item in value.items() if key != "00080005"}
        return found | ({"BulkDataURI": ""} if "BulkDataURI" in value else {})
    if isinstance(value, float):
        return float(f"{value:.8g}")  # DS has 16 characters (PS3.5 6.2), which some writers do not keep to.
    return [without_references(item) for item in value] if isinstance(value, list) else value


WRITTEN = [
    path
    for path in shipped_files()
    if path.name not in NO_INSTANCES and "BigEndian" not in path.name and "Deflated" not in path.name
]


@pytest.mark.parametrize("path", WRITTEN, ids=sample_id)
def test_what_was_scanned_is_written_and_scanned_again(path: Path) -> None:
    scanned, written = recomposed(path)
    again = scan(written)
    before, after = without_references(scanned.dataset), without_references(again.dataset)
    for dataset in (before, after):
        dataset.pop("7FE00010", None)
    assert after == before


@pytest.mark.parametrize("path", WRITTEN[::5], ids=sample_id)
def test_pydicom_reads_the_same_values(path: Path) -> None:
    _, written = recomposed(path)
    with quiet_pydicom():
        ours, original = pydicom.dcmread(io.BytesIO(written)), pydicom.dcmread(path)
        for element in original:
            if element.tag not in (0x7FE00010, 0x00080005) and element.tag.element and element.VR != "SQ":
                assert ours[element.tag].value == element.value, element.tag
            if element.VR == "SQ":
                assert len(ours[element.tag].value) == len(element.value)


EVERY_VR = {
    "00080008": {"vr": "CS", "Value": ["A", None, "B"]},
    "00080054": {"vr": "AE", "Value": ["X"]},
    "00090010": {"vr": "LO", "Value": ["ACME"]},
    "00091001": {"vr": "UN", "InlineBinary": "AQIDBA=="},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "A^B", "Ideographic": "", "Phonetic": "c"}, None]},
    "00104000": {"vr": "LT", "Value": ["back\\slash"]},
    "00189087": {"vr": "FD", "Value": [1.5, "NaN", "-Infinity"]},
    "00200013": {"vr": "IS", "Value": [-3]},
    "00200032": {"vr": "DS", "Value": [0.1, -123456.789012345678]},
    "00280009": {"vr": "AT", "Value": ["00181063"]},
    "00189219": {"vr": "SS", "Value": [-5]},
    "00281201": {"vr": "OW", "InlineBinary": "AQIDBA=="},
    "00720082": {"vr": "SV", "Value": [-(2**60), "123"]},
    "00081140": {"vr": "SQ", "Value": [{"00081155": {"vr": "UI", "Value": ["1.2"]}}, {}]},
    "00081110": {"vr": "SQ"},
}


@pytest.mark.parametrize(("explicit", "little"), [(True, True), (False, True), (True, False)])
def test_every_encoding_is_read_back(*, explicit: bool, little: bool) -> None:
    data = b"".join(blocks(encode(EVERY_VR, no_bulk, Encoding(explicit, little))))
    found = Scan(data, ScanEncoding(explicit=explicit, little=little), LIMITS, bulk_threshold_bytes=100).read(0)
    wanted = {tag: dict(element) for tag, element in EVERY_VR.items()}
    wanted["00080008"]["Value"] = ["A", "", "B"]
    wanted["00200032"]["Value"] = [0.1, -123456.78901235]
    wanted["00720082"]["Value"] = [-(2**60), 123]
    wanted["00081110"] = {"vr": "SQ", "Value": []}
    if not little:
        wanted["00281201"] = {"vr": "OW", "InlineBinary": "AgEEAw=="}
    if not explicit:
        wanted["00091001"] = {"vr": "UN", "InlineBinary": "AQIDBA=="}
    assert found == dict(sorted(wanted.items()))


def test_frames_are_encapsulated_with_even_fragments() -> None:
    dataset = {"7FE00010": {"vr": "OB", "BulkDataURI": "x"}}
    data = b"".join(blocks(encode(dataset, lambda *_: Fragments([Held(b"abc"), Held(b"de")]))))
    head = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OB", 0, 0xFFFFFFFF) + struct.pack("<HHI", 0xFFFE, 0xE000, 0)
    first = struct.pack("<HHI", 0xFFFE, 0xE000, 4) + b"abc\0"
    second = struct.pack("<HHI", 0xFFFE, 0xE000, 2) + b"de"
    assert data == head + first + second + struct.pack("<HHI", 0xFFFE, 0xE0DD, 0)


def test_text_says_that_it_is_unicode_and_items_do_not_contradict() -> None:
    greek = {"00080005": {"vr": "CS", "Value": ["ISO_IR 126"]}, "00080080": {"vr": "LO", "Value": ["Α"]}}
    found = in_unicode({"00081110": {"vr": "SQ", "Value": [greek]}})
    assert found["00080005"]["Value"] == ["ISO_IR 192"]
    assert "00080005" not in found["00081110"]["Value"][0]
    assert in_unicode({"00080080": {"vr": "LO", "Value": ["A"]}}) == {"00080080": {"vr": "LO", "Value": ["A"]}}


@pytest.mark.parametrize(
    "element",
    [
        {"vr": "US", "Value": [70000]},
        {"vr": "US", "Value": ["1"]},
        {"vr": "US", "Value": [None]},
        {"vr": "FL", "Value": [1e300]},
        {"vr": "CS", "Value": ["Ä"]},
        {"vr": "LO", "Value": [1]},
        {"vr": "LO", "Value": ["a\\b"]},
        {"vr": "LT", "Value": ["a", "b"]},
        {"vr": "PN", "Value": ["A^B"]},
        {"vr": "PN", "Value": [{"Alphabetic": "A=B"}]},
        {"vr": "AT", "Value": ["0010"]},
        {"vr": "OB", "Value": [1]},
        {"vr": "OB", "InlineBinary": "?"},
        {"vr": "DS", "Value": [{}]},
    ],
)
def test_values_that_their_vr_cannot_have_are_refused_by_name(element: dict[str, Any]) -> None:
    with pytest.raises(CannotUnderstand) as refusal:
        encode({"00081140": {"vr": "SQ", "Value": [{"00080008": element}]}}, no_bulk)
    assert refusal.value.attributes == ("00081140/1/00080008",)


def test_bulk_data_of_a_wrong_length_is_refused() -> None:
    dataset = {"00281201": {"vr": "OW", "BulkDataURI": "x"}}
    with pytest.raises(CannotUnderstand):
        encode(dataset, lambda *_: Held(b"abc"))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["vr", "Value", "Alphabetic"]), inner),
    max_leaves=6,
)
tags = st.sampled_from(["00080008", "00100010", "00081140", "7FE00010", "00280010", "00020010", "x"])
vrs = st.sampled_from(["CS", "PN", "SQ", "OW", "US", "DS", "xx", 1, None])
loose = st.fixed_dictionaries(
    {"vr": vrs}, optional=dict.fromkeys(("Value", "InlineBinary", "BulkDataURI"), json_values)
)


@given(st.dictionaries(tags, loose | json_values, max_size=4))
def test_any_json_ends_in_a_data_set_or_a_refusal(dataset: dict[str, Any]) -> None:
    try:
        checked = json_model.checked(dataset, LIMITS)
        b"".join(blocks(encode(in_unicode(checked), lambda *_: Held(b"abcd"))))
    except PacsError:
        pass


def test_the_json_reader_is_bounded() -> None:
    with pytest.raises(TooLarge):
        json_model.read(b"[" * 100_000, Limits(elements=1000))
    with pytest.raises(CannotUnderstand):
        json_model.read(b'{"00080008":', LIMITS)
    nested: dict[str, Any] = {}
    for _ in range(70):
        nested = {"00081140": {"vr": "SQ", "Value": [nested]}}
    with pytest.raises(TooLarge):
        json_model.checked(nested, LIMITS)


def test_meta_group_and_group_lengths_are_left_out() -> None:
    found = json_model.checked(
        {"00020010": {"vr": "UI", "Value": ["1.2"]}, "00083002": {"vr": "UI"}, "0008002a": {}}, LIMITS
    )
    assert found == {"0008002A": {"vr": "DT"}}


def test_a_vr_that_nobody_knows_is_refused() -> None:
    with pytest.raises(CannotUnderstand) as refusal:
        json_model.checked({"00080008": {"vr": "ZZ"}}, LIMITS)
    assert refusal.value.attributes == ("00080008",)


def test_a_spool_is_the_same_in_memory_and_on_disk(tmp_path: Path) -> None:
    data = sample("ct_head_phantom_54/I100.dcm").read_bytes() * 4
    for threshold in (1, 1 << 30):
        spool = Spool(threshold_bytes=threshold, folder=str(tmp_path))
        for start in range(0, len(data), 1000):
            spool.write(data[start : start + 1000])
        assert (spool.size_bytes, b"".join(spool.blocks())) == (len(data), data)
        assert Cut(spool, 10, 20).read(5, 100) == data[15:30]
        assert spool.digest() == Held(data).digest() == Cut(spool, 0, len(data)).digest()
        spool.close()
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk_is_told_as_such(tmp_path: Path) -> None:
    spool = Spool(threshold_bytes=1, folder=str(tmp_path))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, hard))
    try:
        with pytest.raises(OutOfResources):
            for _ in range(4):
                spool.write(bytes(1 << 20))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        spool.close()
