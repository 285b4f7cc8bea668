"""Every attribute and matching kind of the conformance statement finds what it should and nothing else."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

import httpx
import pytest
from pydicom.datadict import dictionary_VR
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from tests.associations import CT, find
from tests.claims.statement import rows
from tests.conftest import Server, start
from tests.protocol.web import stow, write

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

ROWS = {row["keyword"]: row for row in rows("4.2.4 Query", "keyword")}
CLAIMS = [
    (name, kind) for name, row in ROWS.items() if row["matching"] != "none" for kind in row["matching"].split(", ")
]
MR = "1.2.840.10008.5.1.4.1.1.4"
RESOURCES = {"PATIENT": "/studies", "STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}
UNIQUE = {"PATIENT": "0020000D", "STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}
VALUES: dict[str, tuple[Any, Any]] = {
    "DA": ("20200110", "20210220"),
    "TM": ("101010", "202020"),
    "IS": (3, 4),
    "US": (16, 8),
    "PN": ("Alpha^Anna", "Beta^Bert"),
}
SPECIAL: dict[str, tuple[Any, Any]] = {
    "Modality": ("CT", "MR"),
    "PatientSex": ("FEMALE", "MALE"),
    "SOPClassUID": (CT, MR),
}
GIVEN = {"ModalitiesInStudy": "Modality", "SOPClassesInStudy": "SOPClassUID"}
BASIC_TEXT_SR = "1.2.840.10008.5.1.4.1.1.88.11"
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRLittleEndian)


def value(keyword: str, which: int) -> Any:
    """The value that the first or the second object has."""
    vr = dictionary_VR(keyword)
    pair = SPECIAL.get(keyword) or VALUES.get(vr) or (f"ALPHA {keyword}".upper()[:16], f"BETA {keyword}".upper()[:16])
    return pair[which]


def instance(which: int) -> Dataset:
    """The first, the second, or the third object, which has no value where that is allowed."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = SYNTAXES[which]
    for keyword, row in ROWS.items():
        if row["matching"] != "none" and row["VR"] != "UI" and keyword not in (*GIVEN, "InterpretationStatusID"):
            setattr(ds, keyword, None if which == 2 else value(keyword, which))
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID"):
        setattr(ds, keyword, generate_uid())
    ds.SOPClassUID = SPECIAL["SOPClassUID"][which % 2]
    ds.file_meta.MediaStorageSOPClassUID, ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPClassUID, ds.SOPInstanceUID
    return ds


def report(of: Dataset, verified: str) -> Dataset:
    """A report that says the same of its patient, study and series as the object that it is about."""
    ds = deepcopy(of)
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = BASIC_TEXT_SR
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SeriesInstanceUID = generate_uid()
    title = Dataset()
    title.CodeValue, title.CodingSchemeDesignator, title.CodeMeaning = "18748-4", "LN", "Diagnostic Imaging Report"
    ds.ConceptNameCodeSequence = [title]
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", verified
    return ds


class Archive:
    """A server with three objects, each of a patient of its own; the first is reported, of the second is a draft."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.objects = [instance(which) for which in range(3)]
        self.client = httpx.Client(base_url=server.dicomweb_url)
        reports = [report(ds, said) for ds, said in zip(self.objects, ("VERIFIED", "UNVERIFIED"), strict=False)]
        self._all = list(zip("ABCAB", [*self.objects, *reports], strict=True))
        for _, ds in self._all:
            assert stow(self.client, write(ds)).status_code == 200

    def names(self, level: str, found: list[str]) -> set[str]:
        """Which objects these unique keys belong to."""
        keys = {str(ds[UNIQUE[level]].value): name for name, ds in self._all}
        return {keys[uid] for uid in found}

    def qido(self, level: str, **parameters: str) -> set[str]:
        answer = self.client.get(RESOURCES[level], params=parameters)
        assert answer.status_code == 200, answer.text
        assert "ignored" not in answer.headers.get("warning", "")
        return self.names(level, [item[UNIQUE[level]]["Value"][0] for item in answer.json()])

    def c_find(self, level: str, keyword: str, text: str) -> set[str]:
        """With the unique keys of the levels above, as a hierarchical query has them."""
        asked = {"SOPInstanceUID": ""} if level == "IMAGE" else {}
        studies, series = (
            [getattr(ds, name) for _, ds in self._all] for name in ("StudyInstanceUID", "SeriesInstanceUID")
        )
        asked |= {"StudyInstanceUID": studies if level in ("SERIES", "IMAGE") else ""}
        if level in ("SERIES", "IMAGE"):
            asked |= {"SeriesInstanceUID": series if level == "IMAGE" else ""}
        value = int(text) if ROWS[keyword]["VR"] == "US" and text else text or None
        answers, statuses = find(self.server, "STUDY" if level == "PATIENT" else level, **{**asked, keyword: value})
        assert statuses[-1] == 0
        return self.names(level, [str(ds[UNIQUE[level]].value) for ds in answers])


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    server = start(tmp_path_factory.mktemp("matching"))
    made = Archive(server)
    yield made
    made.client.close()
    server.stop()


def text_of(archive: Archive, keyword: str) -> str:
    """The first object's value."""
    if keyword == "AvailableTransferSyntaxUID":
        return str(SYNTAXES[1])
    if keyword == "InterpretationStatusID":
        return "APPROVED"  # No object says it: it follows from the reports.
    return str(getattr(archive.objects[0], GIVEN.get(keyword, keyword)))


def asked(kind: str, text: str) -> tuple[str, dict[str, str]]:
    """The value of the key, and what else QIDO-RS must be told."""
    return {
        "Single Value": (text, {}),
        "Multiple Value": (text, {"multiplevaluematching": "true"}),
        "Wild Card": (f"{text[:-1]}*", {}),
        "Fuzzy Semantic": ("anna alpha", {"fuzzymatching": "true"}),
        "List of UID": (f"{text}\\1.2.3", {}),
        "Range": (f"-{text}", {}),
        "Empty Value": ('""', {"emptyvaluematching": "true"}),
    }[kind]


NEGOTIATED = {"Fuzzy Semantic", "Combined Datetime", "Empty Value", "Multiple Value"}
"""Kinds that C-FIND has only where the association agreed on them: see tests/protocol/test_dimse_extended.py."""


def expected(keyword: str, kind: str) -> set[str]:
    if kind == "Universal":
        return {"A", "B", "C"}
    if kind == "Empty Value":
        return set() if keyword == "SOPClassesInStudy" else {"C"}
    if keyword in ("SOPClassUID", "SOPClassesInStudy"):
        return {"A", "C"}
    return {"B"} if keyword == "AvailableTransferSyntaxUID" else {"A"}


@pytest.mark.parametrize(("keyword", "kind"), [claim for claim in CLAIMS if claim[1] != "Combined Datetime"])
def test_claim(archive: Archive, keyword: str, kind: str) -> None:
    level = ROWS[keyword]["level"]
    text, more = ("*", {}) if kind == "Universal" else asked(kind, text_of(archive, keyword))
    assert archive.qido(level, **{keyword: text.replace("\\", ",")}, **more) == expected(keyword, kind)
    if kind not in NEGOTIATED:
        text = "" if kind == "Universal" else text
        assert archive.c_find(level, keyword, text) == expected(keyword, kind)


@pytest.mark.parametrize("keyword", [keyword for keyword, kind in CLAIMS if kind == "Combined Datetime"])
def test_combined(archive: Archive, keyword: str) -> None:
    """A range of moments, which ranges of days and of times of day alone would not find."""
    level, stem = ROWS[keyword]["level"], keyword.removesuffix("Date").removesuffix("Time")
    day, time = f"{stem}Date", f"{stem}Time"
    assert archive.qido(level, **{day: "20200110-20200111", time: "100000-090000"}) == {"A"}
    assert archive.qido(level, **{day: "20200109-20200110", time: "110000-100000"}) == set()
