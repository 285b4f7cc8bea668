"""Random data sets, written by pydicom in every encoding, read the same by us and by pydicom."""

import io
import string
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary
from pydicom.dataset import Dataset, FileMetaDataset

from config.settings import Limits
from storage import part10, syntaxes
from tests.json_oracle import OUR_THRESHOLD_BYTES, pydicom_json, quiet_pydicom, with_bulk_hidden

WRITTEN_BY_PYDICOM = [
    syntaxes.IMPLICIT_LITTLE,
    syntaxes.EXPLICIT_LITTLE,
    syntaxes.EXPLICIT_BIG,
    syntaxes.DEFLATED_LITTLE,
]
UIDS = {"SOPClassUID": "1.2.5", "SOPInstanceUID": "1.2.6", "StudyInstanceUID": "1.2.3", "SeriesInstanceUID": "1.2.4"}
# Character sets, pixel descriptions and tables decide how other elements are read: they have tests of their own.
LEFT_ALONE = {0x00080005, 0x00080016, 0x00080018, 0x0020000D, 0x0020000E, 0x00280103, 0x00283002, 0x00283006}


def tags_of(vr: str) -> list[int]:
    tags = [tag for tag, entry in DicomDictionary.items() if entry[0] == vr]
    usable = [tag for tag in tags if 0x0008 <= tag >> 16 < 0x7FE0 and tag & 0xFFFF and tag not in LEFT_ALONE]
    return usable[:: max(1, len(usable) // 12)][:12]


def many(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(st.just([]), values, st.lists(values, min_size=2, max_size=4))


def letters(alphabet: str, size: int) -> st.SearchStrategy[str]:
    """Text that pydicom accepts and that padding does not change: it neither starts nor ends with a space."""
    return st.text(alphabet, min_size=1, max_size=size).map(str.strip).filter(bool)


WORDS = string.ascii_letters + string.digits + " .,-_äöüßéñ"
TEXT = letters(WORDS + "ΩЖ漢字한글", 16)
NAME = st.tuples(letters(string.ascii_letters + "^", 12), letters("山田^太郎", 6), letters("やまだ", 6)).flatmap(
    lambda groups: st.integers(1, 3).map(lambda count: "=".join(groups[:count]))
)
CODE = letters(string.ascii_uppercase + string.digits + "_ ", 16)
BYTES = st.binary(max_size=40).map(lambda value: value * 2) | st.just(b"\x07\x01" * 700)
SIZED = {"OW": 2, "OF": 4, "OL": 4, "OD": 8, "OV": 8}

VALUES: dict[str, st.SearchStrategy[Any]] = {
    "AE": many(letters(string.ascii_uppercase, 16)),
    "AS": many(st.sampled_from(["018M", "042Y", "003D"])),
    "AT": many(st.sampled_from([0x00100010, 0x7FE00010, 0x00091001])),
    "CS": many(CODE),
    "DA": many(st.sampled_from(["20200229", "19991231"])),
    "DS": many(st.floats(-1e9, 1e9).map(lambda number: f"{number:.6g}")),
    "DT": many(st.sampled_from(["20200229", "20200229120000.5+0100"])),
    "FD": many(st.floats(allow_nan=False, allow_infinity=False)),
    "FL": many(st.floats(allow_nan=False, allow_infinity=False, width=32)),
    "IS": many(st.integers(-(2**31), 2**31 - 1)),
    "LO": many(TEXT),
    "LT": TEXT.map(lambda text: text + "\\x\r\n" + text),
    "PN": many(NAME),
    "SH": many(TEXT),
    "SL": many(st.integers(-(2**31), 2**31 - 1)),
    "SS": many(st.integers(-(2**15), 2**15 - 1)),
    "ST": TEXT,
    "SV": many(st.integers(-(2**63), 2**63 - 1)),
    "TM": many(st.sampled_from(["120000", "235959.999999"])),
    "UC": many(TEXT),
    "UI": many(st.sampled_from(["1.2.3", "1.2.840.10008.1.2"])),
    "UL": many(st.integers(0, 2**32 - 1)),
    "UR": st.sampled_from(["http://example.org/a?b=c", "urn:oid:1.2.3"]),
    "US": many(st.integers(0, 2**16 - 1)),
    "UT": TEXT,
    "UV": many(st.integers(0, 2**64 - 1)),
    "OB": BYTES,
} | {vr: BYTES.map(lambda value, size=size: value * size) for vr, size in SIZED.items()}
TAGS = {vr: tags_of(vr) for vr in VALUES}
PRIVATE_TAGS = [0x00091001, 0x00091002, 0x7FD31010]
SEQUENCES = tags_of("SQ")
DEEPEST = 3


@st.composite
def datasets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    """A data set with random elements and, down to DEEPEST, sequences of such data sets."""
    ds = Dataset()
    for vr in draw(st.lists(st.sampled_from(sorted(VALUES)), max_size=8)):
        tag = draw(st.sampled_from(TAGS[vr] + PRIVATE_TAGS))
        if tag >> 16 & 1:
            ds.add_new(tag & 0xFFFF0000 | (tag >> 8 & 0xFF), "LO", "OPEN PACS TEST")
        ds.add_new(tag, vr, draw(VALUES[vr]))
    for tag in draw(st.lists(st.sampled_from(SEQUENCES), max_size=2 if depth < DEEPEST else 0)):
        items = draw(st.lists(datasets(depth + 1), max_size=3))
        undefined = draw(st.booleans())
        ds.add_new(tag, "SQ", items)
        ds[tag].is_undefined_length = undefined
        for item in items:
            item.is_undefined_length_sequence_item = undefined
    return ds


@settings(max_examples=120, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    datasets(), st.sampled_from(WRITTEN_BY_PYDICOM), st.sampled_from(["ISO_IR 192", "GB18030"]), st.sampled_from([0, 1])
)
def test_the_same_as_pydicom(ds: Dataset, uid: str, charset: str, signed: int) -> None:
    ds.SpecificCharacterSet = charset
    ds.PixelRepresentation = signed
    ds.add_new(0x00280106, "SS" if signed else "US", -5 if signed else 65535)
    for keyword, value in UIDS.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid
    output = io.BytesIO()
    with quiet_pydicom():
        ds.save_as(output, enforce_file_format=True)
    data = output.getvalue()
    meta = part10.MetaReader().feed(data)
    assert meta is not None
    scanned = part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=uid,
        limits=Limits(),
        bulk_threshold_bytes=OUR_THRESHOLD_BYTES,
    )
    assert with_bulk_hidden(scanned.dataset) == pydicom_json(io.BytesIO(data))
    assert scanned.warnings == ()
