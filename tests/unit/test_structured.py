"""Structured reports as pages and text: everything that DCMTK reads is there, and nothing of it is markup."""

import re
import subprocess
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from storage.structured import content, outline, page
from tests.pixel_objects import load, quiet
from tests.samples import sample, sample_files, sample_id

REPORTS = [
    path for path in sample_files() if path.parent.name == "sr" or path.name in ("sr_tid1500.dcm", "key_objects.dcm")
]
VOID = {"meta", "img", "br"}


class Page(HTMLParser):
    """The text of a page; fails when its tags do not nest."""

    def __init__(self, source: bytes) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []
        self.words: list[str] = []
        self.feed(source.decode())
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self) -> str:
        return " ".join(" ".join(self.words).split())


def dump(path: Path) -> str:
    done = subprocess.run(["/usr/bin/dsrdump", "-Er", "-Ec", "-Ev", "+Pl", "+U8", str(path)], capture_output=True)
    return done.stdout.decode("utf-8", "replace")


@pytest.mark.parametrize("path", REPORTS, ids=sample_id)
def test_all_that_dcmtk_reads_is_shown(path: Path) -> None:
    dataset = load(path).scanned.dataset
    text, shown = outline.plain(dataset).decode(), Page(page.html(dataset)).text
    flat = " ".join(text.split())
    for line in dump(path).splitlines():
        item = re.match(r'\s*<(?:[a-z ]+ )?([A-Z]+):\([^"]*(?:"(.*?)")?\)=(.*)>$', line)
        if not item:
            continue
        kind, concept, value = item.groups()
        quoted = [re.sub(r"\\[rn]", " ", words) for words in re.findall(r'"((?:[^"\\]|\\.)*)"', value)]
        wanted = [*filter(None, [concept]), *(quoted if kind in ("TEXT", "CODE", "NUM", "UIDREF") else [])]
        for words in (" ".join(word.split()) for word in wanted):
            if kind == "NUM" and words != concept and not re.fullmatch(r"[-+.\d eE]+", words):
                continue  # Units are named by their code in text.
            if kind == "NUM" and words != concept and float(words).is_integer():
                words = str(int(float(words)))  # JSON knows the number 10.0 only as 10.
            assert words in flat, line
            assert words in shown, line


def entry(meaning: str, value: str = "1", scheme: str = "99T") -> Dataset:
    ds = Dataset()
    ds.CodeValue, ds.CodingSchemeDesignator, ds.CodeMeaning = value, scheme, meaning
    return ds


def node(kind: str, concept: str | None, **attributes: object) -> Dataset:
    ds = Dataset()
    ds.RelationshipType, ds.ValueType = "CONTAINS", kind
    if concept is not None:
        ds.ConceptNameCodeSequence = Sequence([entry(concept)])
    for name, value in attributes.items():
        setattr(ds, name, value)
    return ds


def as_json(*children: Dataset, **attributes: object) -> dict[str, Any]:
    root = node("CONTAINER", "A report", ContentSequence=Sequence(list(children)), **attributes)
    return root.to_json_dict()


def test_every_value_type() -> None:
    measured = Dataset()
    measured.NumericValue, measured.MeasurementUnitsCodeSequence = "12.5", Sequence([entry("millimetre", "mm", "UCUM")])
    referred = Dataset()
    referred.ReferencedSOPClassUID, referred.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    referred.ReferencedFrameNumber = [4, 5]
    by_reference = Dataset()
    by_reference.RelationshipType, by_reference.ReferencedContentItemIdentifier = "INFERRED FROM", [1, 2]
    children = [
        node("TEXT", "Finding", TextValue="two\r\nlines"),
        node("NUM", "Length", MeasuredValueSequence=Sequence([measured])),
        node("NUM", "Lost", MeasuredValueSequence=Sequence([])),
        node("CODE", "Site", ConceptCodeSequence=Sequence([entry("Lung", "39607008", "SCT")])),
        node("DATE", "Day", Date="20240229"),
        node("TIME", "Hour", Time="1530"),
        node("DATETIME", "Moment", DateTime="20240229153000.5+0100"),
        node("PNAME", "Observer", PersonName="Doe^Jane^^Dr"),
        node("UIDREF", "Tracking", UID="2.25.1"),
        node("IMAGE", "Source", ReferencedSOPSequence=Sequence([referred])),
        node("SCOORD", "Region", GraphicType="POLYLINE", GraphicData=[1.5, 2, 3, 4]),
        node("SCOORD3D", "Place", GraphicType="POINT", GraphicData=[1, 2, 3.5]),
        node("TCOORD", "Beats", TemporalRangeType="MULTIPOINT", ReferencedSamplePositions=[3, 7]),
        node("TABLE", "New"),
        by_reference,
    ]
    text = outline.plain(as_json(*children)).decode()
    for line in (
        "Finding: two\nlines",
        "Length: 12.5 mm",
        "Lost: no value",
        "Site: Lung (39607008, SCT)",
        "Day: 2024-02-29",
        "Hour: 15:30",
        "Moment: 2024-02-29 15:30:00 +0100",
        "Observer: Doe, Dr Jane",
        "Tracking: 2.25.1",
        "Source: frame 4, 5 1.2.3",
        "Region: polyline: 1.5 2; 3 4",
        "Place: point: 1 2 3.5",
        "Beats: multipoint: 3, 7",
        "New: (TABLE)",
        "Reference (inferred from): see 1.2",
    ):
        assert line in text, line


def test_images_are_linked_where_the_evidence_tells() -> None:
    referred = Dataset()
    referred.ReferencedSOPClassUID, referred.ReferencedSOPInstanceUID = "1.2", "1.2.3"
    series = Dataset()
    series.SeriesInstanceUID, series.ReferencedSOPSequence = "1.5", Sequence([referred])
    study = Dataset()
    study.StudyInstanceUID, study.ReferencedSeriesSequence = "1.4", Sequence([series])
    image = node("IMAGE", "Source", ReferencedSOPSequence=Sequence([referred]))
    found = Page(page.html(as_json(image, CurrentRequestedProcedureEvidenceSequence=Sequence([study]))))
    path = "/dicomweb/studies/1.4/series/1.5/instances/1.2.3"
    assert ("href", f"{path}/rendered") in found.attributes and ("src", f"{path}/thumbnail") in found.attributes
    with quiet():
        study.StudyInstanceUID = "../../admin"
        assert b"admin" not in page.html(as_json(image, PertinentOtherEvidenceSequence=Sequence([study])))


def test_markup_in_a_report_stays_text() -> None:
    nasty = "<script>alert(1)</script>\" onload='x' &amp; \\par {x}"
    with quiet():
        dataset = as_json(
            node("TEXT", nasty, TextValue=nasty),
            node("UIDREF", nasty, UID=nasty),
            node("CODE", None, ConceptCodeSequence=Sequence([entry(nasty, nasty[:16], nasty[:16])])),
            node("CONTAINER", nasty),
            PatientName=nasty,
            PatientID=nasty,
        )
    found = Page(page.html(dataset))
    assert "script" not in found.tags and not any(name.startswith("on") for name, _ in found.attributes)
    assert nasty in found.text
    assert rb"\\par \{x\}" in outline.rich(dataset)


def test_text_of_all_scripts() -> None:
    words = "Ä日本語😀\tend"
    dataset = as_json(node("TEXT", "Finding", TextValue=words))
    assert words in outline.plain(dataset).decode() and words.encode() in page.html(dataset)
    rich = outline.rich(dataset)
    assert rich.isascii() and rb"\u196?\u26085?" in rich and rb"\u-10179?\u-8704?\tab end" in rich
    assert rich.count(b"{") == rich.count(b"}")


def test_only_reports_are_reports() -> None:
    assert content.is_report("1.2.840.10008.5.1.4.1.1.88.59") and content.is_report("1.2.840.10008.5.1.4.1.1.88.33")
    assert not content.is_report("1.2.840.10008.5.1.4.1.1.2")


values = st.recursive(
    st.none() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
tags = st.sampled_from(
    ["0040A040", "0040A043", "0040A730", "0040A300", "0040A30A", "00081199", "0040DB73", "00100010", "0040A073"]
)
elements = st.fixed_dictionaries({}, optional={"vr": st.text(max_size=2), "Value": values})


@given(st.dictionaries(tags, elements, max_size=6), st.sampled_from(content.VALUE_TYPES))
@settings(deadline=None)
def test_whatever_a_report_holds_it_is_shown(dataset: dict[str, Any], kind: str) -> None:
    child = {**dataset, "0040A040": {"vr": "CS", "Value": [kind]}}
    whole = {**dataset, "0040A730": {"vr": "SQ", "Value": [child]}}
    Page(page.html(whole))
    assert outline.plain(whole) and outline.rich(whole)


def test_a_report_without_content() -> None:
    stored = load(sample("ct_head_phantom_54/I110.dcm")).scanned.dataset
    assert "Structured report" in outline.plain(stored).decode()
