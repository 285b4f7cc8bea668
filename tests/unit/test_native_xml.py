"""The Native DICOM Model: nothing is lost between JSON and XML, DCMTK writes and reads the same, and hostile documents
cost nothing."""

import base64
import math
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.datadict import DicomDictionary

from config.settings import Limits
from dicomweb import native_xml
from index.errors import CannotUnderstand, PacsError, TooLarge
from storage import part10
from tests.json_oracle import quiet_pydicom
from tests.samples import shipped_files

LIMITS = Limits()
DICOM_FILES = shipped_files()
NO_INSTANCES = {"chrSQEncoding.dcm", "chrSQEncoding1.dcm"}
"""Samples of character sets without any UID."""
RETIRED = {f"{tag:08X}" for tag, entry in DicomDictionary.items() if entry[3]}

characters = st.characters(exclude_categories=["Cs", "Cc", "Cn"], exclude_characters="\\=\ufffe\uffff")
texts = st.text(characters | st.sampled_from("\r\n\t<&>\"']"), min_size=1, max_size=12)
plain = st.text(st.sampled_from("ABCXYZ019._:/-+ "), min_size=1, max_size=16).map(str.strip).filter(bool)
numbers = st.floats(allow_nan=False, allow_infinity=False)
names = st.dictionaries(st.sampled_from(["Alphabetic", "Ideographic", "Phonetic"]), texts | st.just("^^"), min_size=1)


def several(values: st.SearchStrategy[Any]) -> st.SearchStrategy[list[Any]]:
    """Lists with empty values among others; a single empty value is an empty attribute."""
    return st.lists(values | st.none(), max_size=4).filter(lambda found: found != [None])


VALUES = {
    "LO": several(texts),
    "PN": several(names),
    "LT": st.lists(texts, max_size=1),
    "CS": several(plain),
    "UI": several(plain),
    "DS": several(numbers | plain.filter(lambda text: not text[0].isdigit() and text[0] not in "+-.")),
    "IS": several(st.integers(-(2**63) + 1, 2**63 - 1)),
    "US": st.lists(st.integers(0, 65535), max_size=4),
    "SV": st.lists(st.integers(-(2**63), 2**63 - 1), max_size=2),
    "FD": st.lists(numbers | st.sampled_from(["NaN", "Infinity", "-Infinity"]), max_size=4),
    "AT": st.lists(st.sampled_from(["00100010", "7FE00010"]), max_size=2),
}
TAGS = {"LO": "00081030", "PN": "00100010", "LT": "00104000", "CS": "00080008", "UI": "00080018", "DS": "00280030"}
TAGS |= {"IS": "00200013", "US": "00280010", "SV": "00720082", "FD": "00189087", "AT": "00280009"}


@st.composite
def elements(draw: st.DrawFn, vr: str) -> dict[str, Any]:
    values = draw(VALUES[vr])
    return {"vr": vr, "Value": values} if values else {"vr": vr}


@st.composite
def datasets(draw: st.DrawFn, depth: int = 2) -> dict[str, Any]:
    dataset: dict[str, Any] = {TAGS[vr]: draw(elements(vr)) for vr in draw(st.sets(st.sampled_from(sorted(TAGS))))}
    if draw(st.booleans()):
        data = draw(st.binary(min_size=1, max_size=20))
        dataset["00282000"] = {"vr": "OB", "InlineBinary": base64.b64encode(data).decode()}
    if draw(st.booleans()):
        dataset["7FE00010"] = {"vr": "OW", "BulkDataURI": draw(plain)}
    for block in range(draw(st.integers(0, 2))):
        dataset[f"0009{0x10 + block:04X}"] = {"vr": "LO", "Value": [f"ACME {block} <&>"]}
        for number in draw(st.sets(st.integers(0, 255), min_size=1, max_size=3)):
            dataset[f"0009{0x10 + block:02X}{number:02X}"] = draw(elements("LO"))
    if depth and draw(st.booleans()):
        items = draw(st.lists(datasets(depth - 1), max_size=3))
        dataset["00081140"] = {"vr": "SQ", "Value": items} if items else {"vr": "SQ"}
    return dict(sorted(dataset.items()))


@given(datasets())
def test_nothing_is_lost_between_json_and_xml(dataset: dict[str, Any]) -> None:
    assert native_xml.read(native_xml.write(dataset), LIMITS) == dataset


def scan(path: Path) -> dict[str, Any]:
    data = path.read_bytes()
    reader = part10.MetaReader()
    meta = reader.feed(data) or reader.finish()
    scanned = part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=LIMITS,
        bulk_threshold_bytes=1 << 30,
    )
    return scanned.dataset


def comparable(dataset: dict[str, Any]) -> dict[str, Any]:
    """A data set without what the XML model, or DCMTK's idea of it, does not keep."""
    found = {}
    for tag, element in dataset.items():
        values = [_comparable(value, element["vr"]) for value in element.get("Value", [])]
        if element["vr"] not in ("OB", "OW", "UN", "OF", "OD", "OL", "OV", "UT") and int(tag[3], 16) % 2 == 0:
            found[tag] = [] if values in ([None], [""], [["", ""]]) else values
    return found


def _comparable(value: Any, vr: str) -> Any:
    if isinstance(value, dict):
        if vr == "SQ":
            return comparable(value)
        # DCMTK repeats the ideographic group when the phonetic one is empty, so only two are compared.
        return [value.get(group, "").rstrip("^ ") for group in ("Alphabetic", "Ideographic")]
    if isinstance(value, float) and vr in ("FL", "FD"):
        return float(f"{value:.5g}") if math.isfinite(value) else str(value)
    return (value.strip() or None) if isinstance(value, str) else value


def of_dcmtk(path: Path) -> bytes:
    """The document that DCMTK writes, empty when it has no converter for the character set."""
    run = subprocess.run(["/usr/bin/dcm2xml", "-q", "-nat", "+Xn", "+U8", "+M", path], capture_output=True)
    return b"" if run.returncode else run.stdout


def instances_with_documents() -> Iterator[tuple[Path, dict[str, Any], bytes]]:
    for path in DICOM_FILES:
        if path.name not in NO_INSTANCES and (document_of_dcmtk := of_dcmtk(path)):
            dataset = scan(path)
            dataset.pop("00080005", None)  # DCMTK has made it ISO_IR 192.
            yield path, dataset, document_of_dcmtk


def test_documents_of_dcmtk_are_read_as_our_scan_reads_the_files() -> None:
    compared = 0
    for path, dataset, theirs in instances_with_documents():
        found = comparable(native_xml.read(theirs, LIMITS))
        found.pop("00080005", None)
        assert found == comparable(dataset), path
        compared += 1
    assert compared > 40


def flat(node: ElementTree.Element, prefix: str = "") -> Iterator[tuple[str, ...]]:
    """Every public attribute and every name of a document, as another reader of XML sees it."""
    for child in node:
        name = child.tag.rpartition("}")[2]
        place = f"{prefix}/{child.get('tag') or name}{child.get('number') or ''}"
        if child.get("tag", "0000")[3] in "13579BDF" or child.get("tag") in ("00080005", "7FE00010"):
            continue  # Of bulk data the two name other references, and OB or OW by other rules.
        if name == "DicomAttribute":
            yield place, child.get("vr", "")
            # DCMTK knows no keywords of what is retired.
            if child.get("tag") not in RETIRED:
                yield place, child.get("keyword", "")
        if name in ("Alphabetic", "Ideographic"):
            parts = {part.tag.rpartition("}")[2]: part.text or "" for part in child}
            yield from ((place, key, text.rstrip()) for key, text in parts.items() if text)
        else:
            yield from flat(child, place)


def test_our_documents_have_the_structure_of_those_of_dcmtk() -> None:
    for path, dataset, theirs in instances_with_documents():
        ours = ElementTree.fromstring(native_xml.write(dataset))
        assert set(flat(ours)) == set(flat(ElementTree.fromstring(theirs))), path


def test_the_form_of_a_document() -> None:
    dataset = {
        "00080018": {"vr": "UI", "Value": ["1.2"]},
        "00090011": {"vr": "LO", "Value": ["ACME"]},
        "00091101": {"vr": "CS", "Value": ["X"]},
        "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Wang^XiaoDong", "Ideographic": "王^小东"}]},
    }
    root = ElementTree.fromstring(native_xml.write(dataset))
    space = "{http://www.w3.org/XML/1998/namespace}space"
    assert (root.tag, root.get(space)) == (f"{{{native_xml.NAMESPACE}}}NativeDicomModel", "preserve")
    uid, private, name = root
    assert (uid.get("keyword"), uid.get("tag"), uid.get("vr")) == ("SOPInstanceUID", "00080018", "UI")
    # PS3.19 A.1.5: the creator instead of the block, which is not sent.
    assert (private.get("tag"), private.get("privateCreator")) == ("00090001", "ACME")
    assert [part.tag.rpartition("}")[2] for part in name[0]] == ["Alphabetic", "Ideographic"]
    assert [part.tag.rpartition("}")[2] for part in name[0][0]] == ["FamilyName", "GivenName"]


def test_private_elements_keep_their_creator_and_get_the_first_free_block() -> None:
    dataset = {"00090042": {"vr": "LO", "Value": ["ACME"]}, "00094201": {"vr": "CS", "Value": ["X"]}}
    expected = {"00090010": {"vr": "LO", "Value": ["ACME"]}, "00091001": {"vr": "CS", "Value": ["X"]}}
    assert native_xml.read(native_xml.write(dataset), LIMITS) == expected


def test_characters_that_xml_cannot_hold_are_replaced() -> None:
    dataset = {"00104000": {"vr": "LT", "Value": ["a\x0cb\x00c\x1bd\ud800"]}}
    read = native_xml.read(native_xml.write(dataset), LIMITS)
    assert read["00104000"]["Value"] == ["a\ufffdb\ufffdc\ufffdd\ufffd"]


def document(body: str, head: str = "") -> bytes:
    return f'<?xml version="1.0"?>{head}<NativeDicomModel>{body}</NativeDicomModel>'.encode()


def attribute(body: str, tag: str = "00080008", vr: str = "CS") -> bytes:
    return document(f'<DicomAttribute tag="{tag}" vr="{vr}">{body}</DicomAttribute>')


def test_documents_of_others_are_read_leniently() -> None:
    assert native_xml.read(document('<DicomAttribute tag="00100020"><Value>1</Value></DicomAttribute>'), LIMITS) == {
        "00100020": {"vr": "LO", "Value": ["1"]}
    }
    found = native_xml.read(attribute('<Value number="3"> C\n</Value><Value number="1">A</Value>'), LIMITS)
    assert found["00080008"]["Value"] == ["A", None, "C"]
    bulk = native_xml.read(attribute('<BulkData uuid="1-2"/>', "7FE00010", "OW"), LIMITS)
    assert bulk["7FE00010"]["BulkDataURI"] == "urn:uuid:1-2"
    latin = '<?xml version="1.0" encoding="ISO-8859-1"?><NativeDicomModel><DicomAttribute tag="00100020" vr="LO">'
    latin += '<Value number="1">Ü</Value></DicomAttribute></NativeDicomModel>'
    assert native_xml.read(latin.encode("latin-1"), LIMITS)["00100020"]["Value"] == ["Ü"]


BOMB = '<!DOCTYPE a [<!ENTITY x "y"><!ENTITY z "&x;&x;">]>'
OUTSIDE = '<!DOCTYPE a [<!ENTITY x SYSTEM "file:///etc/passwd">]>'


@pytest.mark.parametrize(
    "bad",
    [
        b"",
        b"no XML",
        b"<NativeDicomModel>",
        b"<Other/>",
        document("", BOMB),
        document("&x;", OUTSIDE),
        document("", '<!DOCTYPE a SYSTEM "http://127.0.0.1/x.dtd">'),
        attribute("", "xyz"),
        attribute("", vr="cs"),
        attribute('<Value number="0">A</Value>'),
        attribute('<Value number="1">A</Value><Value number="1">B</Value>'),
        attribute("<Value>A</Value>", vr="US"),
        attribute("<Value>nan</Value>", vr="FD"),
        attribute("<InlineBinary>!!</InlineBinary>", vr="OB"),
        attribute("<BulkData/>", vr="OB"),
        attribute('<Value>A</Value><BulkData uri="x"/>'),
        document('<DicomAttribute tag="00080008" vr="CS"/>' * 2),
        document('<DicomAttribute tag="00080008" vr="CS" privateCreator="ACME"/>'),
    ],
)
def test_bad_documents_are_refused(bad: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        native_xml.read(bad, LIMITS)


@pytest.mark.parametrize(
    ("bad", "limits"),
    [
        (document("<DicomAttribute>" * 3000 + "</DicomAttribute>" * 3000), LIMITS),
        (document('<DicomAttribute tag="00080008" vr="CS"/>' * 500), Limits(elements=100)),
        (attribute('<Value number="999999999">A</Value>'), LIMITS),
        (document(" " * 2000), Limits(header_bytes=1024)),
    ],
)
def test_documents_that_cost_too_much_are_refused(bad: bytes, limits: Limits) -> None:
    with pytest.raises(TooLarge):
        native_xml.read(bad, limits)


@given(st.binary(max_size=200) | st.binary(max_size=60).map(lambda data: document("") + data))
def test_any_bytes_end_in_a_data_set_or_a_refusal(data: bytes) -> None:
    try:
        assert native_xml.read(data, LIMITS) is not None
    except PacsError:
        pass


def test_pydicom_writes_the_same_json() -> None:
    path = next(path for path in DICOM_FILES if "ct_head" in str(path))
    with quiet_pydicom():
        ds = pydicom.dcmread(path, stop_before_pixels=True)
        ds.walk(lambda dataset, element: dataset.pop(element.tag) if element.tag.is_private else None)
        theirs = {tag: value for tag, value in ds.to_json_dict().items() if tag[4:] != "0000"}
    back = native_xml.read(native_xml.write(theirs), LIMITS)
    assert comparable(back) == comparable(theirs)
