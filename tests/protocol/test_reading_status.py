"""Whether a study has a report, and which body parts it shows: kept right whatever comes, goes and comes back."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.associations import dcmtk
from tests.command import run
from tests.conftest import Server, start
from tests.protocol.test_delete import a_study, store
from tests.protocol.web import stow, write
from tests.servers import postgresql_url

REPORT = ("18748-4", "LN", "Diagnostic Imaging Report")
MEASUREMENTS = ("126000", "DCM", "Imaging Measurement Report")
DRAFT, FINAL = ["TRANSCRIBED"], ["APPROVED"]


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = {} if request.param == "sqlite" else {"database": {"url": postgresql_url()}}
    running = start(tmp_path_factory.mktemp("reading"), archive={"duplicates": "replace"}, **database)
    yield running
    running.stop()


@pytest.fixture
def client(archive: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=archive.dicomweb_url, timeout=60) as made:
        yield made


def code(value: str, scheme: str, meaning: str) -> Dataset:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return item


def a_report(of: Dataset, title: tuple[str, str, str] = REPORT, sop_class: str = "88.11", **values: Any) -> Dataset:
    """A report about an image, by default one that is complete and signed."""
    ds = Dataset()
    ds.file_meta = pydicom.dataset.FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = f"1.2.840.10008.5.1.4.1.1.{sop_class}"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = of.StudyInstanceUID, generate_uid()
    for keyword in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(ds, keyword, of.get(keyword, ""))
    ds.Modality, ds.SeriesNumber, ds.InstanceNumber = "SR", 99, 1
    ds.ConceptNameCodeSequence = [code(*title)]
    ds.CompletionFlag, ds.VerificationFlag = "COMPLETE", "VERIFIED"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    return ds


def found(client: httpx.Client, study: str, **keys: str) -> list[dict[str, Any]]:
    asked = {"StudyInstanceUID": study, "includefield": "InterpretationStatusID,BodyPartExamined", **keys}
    answer = client.get("/studies", params=asked)
    assert answer.status_code == 200, answer.text
    return answer.json()


def status(client: httpx.Client, study: str) -> list[str]:
    """What the answer says, after a proof that searches say the same."""
    (one,) = found(client, study)
    said = one["40080212"].get("Value", [])
    for value in ("TRANSCRIBED", "APPROVED"):
        assert bool(found(client, study, InterpretationStatusID=value)) == (said == [value])
    either = client.get("/studies", params={"InterpretationStatusID": "APPROVED,TRANSCRIBED", "limit": "1000"})
    assert (study in [row["0020000D"]["Value"][0] for row in either.json()]) == bool(said)
    unread = {"InterpretationStatusID": '""', "emptyvaluematching": "true"}
    assert bool(found(client, study, **unread)) == (not said)
    listed = client.get("/studies", params={**unread, "limit": "1000"}).json()
    assert (study in [row["0020000D"]["Value"][0] for row in listed]) == (not said)
    return said


def a_template(number: str) -> Dataset:
    item = Dataset()
    item.MappingResource, item.TemplateIdentifier = "DCMR", number
    return item


@pytest.mark.parametrize(
    ("title", "sop_class", "values", "expected"),
    [
        (REPORT, "88.11", {}, FINAL),
        (REPORT, "88.22", {}, FINAL),
        (("11528-7", "LN", "Radiology Report"), "88.33", {}, FINAL),
        (("24627-2", "LN", "CT Chest"), "88.33", {}, FINAL),
        (("111400", "DCM", "Breast Imaging Report"), "88.33", {}, FINAL),
        (("R1", "99LOCAL", "Befund"), "88.11", {"ContentTemplateSequence": [a_template("2000")]}, FINAL),
        (REPORT, "88.11", {"VerificationFlag": "UNVERIFIED"}, DRAFT),
        (REPORT, "88.11", {"CompletionFlag": "PARTIAL"}, DRAFT),
        (REPORT, "88.11", {"PreliminaryFlag": "PRELIMINARY"}, DRAFT),
        (REPORT, "88.11", {"PreliminaryFlag": "FINAL"}, FINAL),
        (REPORT, "104.1", {"VerificationFlag": "VERIFIED"}, FINAL),
        (REPORT, "104.2", {"VerificationFlag": "UNVERIFIED"}, DRAFT),
        (("59284-0", "LN", "Consent"), "104.1", {}, []),
        (MEASUREMENTS, "88.33", {}, []),
        (MEASUREMENTS, "88.33", {"ContentTemplateSequence": [a_template("1500")]}, []),
        (("R1", "99LOCAL", "Befund"), "88.11", {}, []),
        (("113000", "DCM", "Of Interest"), "88.59", {}, []),
        (("113701", "DCM", "X-Ray Radiation Dose Report"), "88.67", {}, []),
    ],
)
def test_what_counts_as_a_report(
    client: httpx.Client,
    title: tuple[str, str, str],
    sop_class: str,
    values: dict[str, Any],
    expected: list[str],
) -> None:
    (image,) = a_study(1, 1)
    store(client, image)
    assert status(client, image.StudyInstanceUID) == []
    store(client, a_report(image, title, sop_class, **values))
    assert status(client, image.StudyInstanceUID) == expected


def test_a_document_without_a_title_is_no_report(client: httpx.Client) -> None:
    (image,) = a_study(1, 1)
    report = a_report(image, sop_class="104.1")
    report.ConceptNameCodeSequence = []
    store(client, image, report)
    assert status(client, image.StudyInstanceUID) == []


def test_the_best_report_counts_and_what_goes_counts_no_more(client: httpx.Client, archive: Server) -> None:
    (image,) = a_study(1, 1)
    study = image.StudyInstanceUID
    draft, final = a_report(image, VerificationFlag="UNVERIFIED"), a_report(image)
    store(client, final, draft)
    assert status(client, study) == FINAL, "a report may come before its images"
    store(client, image)
    assert status(client, study) == FINAL
    assert client.delete(f"/studies/{study}/series/{final.SeriesInstanceUID}").status_code == 204
    assert status(client, study) == DRAFT
    assert client.delete(f"/studies/{study}/series/{draft.SeriesInstanceUID}").status_code == 204
    assert status(client, study) == []
    newest, older = httpx.get(f"{archive.web_url}/api/removed", params={"StudyInstanceUID": study}).json()
    for entry, expected in ((older, FINAL), (newest, FINAL)):
        undone = httpx.post(f"{archive.web_url}/api/removed/{entry['number']}/restore", timeout=60)
        assert undone.json()["restored"] == 1
        assert status(client, study) == (FINAL if entry is older else expected)


def test_a_rejected_report_counts_no_more(client: httpx.Client) -> None:
    (image,) = a_study(1, 1)
    report = a_report(image)
    store(client, image, report)
    path = f"/studies/{image.StudyInstanceUID}/series/{report.SeriesInstanceUID}"
    assert client.post(f"{path}/reject/113001^DCM").status_code == 200
    assert status(client, image.StudyInstanceUID) == []


def test_a_report_is_replaced_by_one_that_is_signed(client: httpx.Client) -> None:
    (image,) = a_study(1, 1)
    report = a_report(image, VerificationFlag="UNVERIFIED")
    store(client, image, report)
    assert status(client, image.StudyInstanceUID) == DRAFT
    report.VerificationFlag = "VERIFIED"
    assert stow(client, write(report)).status_code == 200
    assert status(client, image.StudyInstanceUID) == FINAL


def test_a_study_that_is_deleted_and_comes_again_is_unread(client: httpx.Client) -> None:
    (image,) = a_study(1, 1)
    store(client, image, a_report(image))
    assert client.delete(f"/studies/{image.StudyInstanceUID}").status_code == 204
    for value in ("APPROVED", "TRANSCRIBED"):
        assert found(client, image.StudyInstanceUID, InterpretationStatusID=value) == []
    store(client, image)
    assert status(client, image.StudyInstanceUID) == []


def parts(client: httpx.Client, study: str) -> list[str]:
    (one,) = found(client, study)
    return one["00180015"].get("Value", [])


def test_a_study_is_found_by_the_body_parts_of_its_series(client: httpx.Client, archive: Server) -> None:
    head, neck, nothing = a_study(3, 1)
    head.BodyPartExamined, neck.BodyPartExamined, nothing.BodyPartExamined = "HEAD", "NECK", ""
    study = head.StudyInstanceUID
    store(client, head, neck, nothing)
    assert parts(client, study) == ["HEAD", "NECK"]
    for keys in ("HEAD", "NECK", "FOOT,NECK", "HE*", "?ECK"):
        assert found(client, study, BodyPartExamined=keys), keys
    for keys in ("FOOT", "HEADNECK", "EA", "FO*", "head"):
        assert not found(client, study, BodyPartExamined=keys), keys
    both = {"multiplevaluematching": "true"}
    assert found(client, study, BodyPartExamined="HEAD", ModalitiesInStudy="MR", **both), "not of the same series"
    assert client.delete(f"/studies/{study}/series/{head.SeriesInstanceUID}").status_code == 204
    assert parts(client, study) == ["NECK"]
    assert not found(client, study, BodyPartExamined="HEAD")
    assert found(client, study, BodyPartExamined="NECK", orderby="BodyPartExamined")


def test_a_series_has_its_own_body_part_alone(client: httpx.Client) -> None:
    head, nothing = a_study(2, 1)
    head.BodyPartExamined, nothing.BodyPartExamined = "HEAD", ""
    store(client, head, nothing)
    asked = {"StudyInstanceUID": head.StudyInstanceUID, "includefield": "all"}
    for level in ("series", "instances"):
        rows = client.get(f"/{level}", params=asked).json()
        said = {row["0020000E"]["Value"][0]: row.get("00180015", {}).get("Value", []) for row in rows}
        assert said == {head.SeriesInstanceUID: ["HEAD"], nothing.SeriesInstanceUID: []}
        (one,) = client.get(f"/{level}", params={**asked, "BodyPartExamined": "HEAD"}).json()
        assert one["0020000E"]["Value"] == [head.SeriesInstanceUID]


def test_every_answer_has_the_study_s_values_in_order(client: httpx.Client) -> None:
    (image,) = a_study(1, 1)
    image.BodyPartExamined = "KNEE"
    store(client, image, a_report(image))
    quick = client.get("/studies", params={"StudyInstanceUID": image.StudyInstanceUID}).json()
    full = client.get("/studies", params={"StudyInstanceUID": image.StudyInstanceUID, "includefield": "all"}).json()
    for (one,) in (quick, full):
        assert list(one) == sorted(one)
        assert (one["00180015"]["Value"], one["40080212"]["Value"]) == (["KNEE"], FINAL)


def test_c_find_knows_the_status_always_and_body_parts_when_relations_are_agreed(
    client: httpx.Client, archive: Server
) -> None:
    (image,) = a_study(1, 1)
    image.BodyPartExamined = "KNEE"
    store(client, image, a_report(image))

    def asked(*more: str) -> str:
        keys = ["QueryRetrieveLevel=STUDY", f"PatientID={image.PatientID}", "StudyInstanceUID", *more]
        options = [option for key in keys for option in ("-k", key)]
        return dcmtk(
            "findscu", "-v", "-S", "-aec", archive.ae_title, "127.0.0.1", archive.dimse_port, *options, ok=False
        )

    assert "APPROVED" in asked("4008,0212")
    assert image.StudyInstanceUID in asked("4008,0212=APPROVED")
    assert image.StudyInstanceUID not in asked("4008,0212=TRANSCRIBED")
    assert "KNEE" in asked("BodyPartExamined")


def test_an_index_that_is_built_anew_knows_both(tmp_path: Path) -> None:
    running = start(tmp_path)
    try:
        with httpx.Client(base_url=running.dicomweb_url, timeout=60) as client:
            (image,) = a_study(1, 1)
            image.BodyPartExamined = "KNEE"
            store(client, image, a_report(image))
        running.stop()
        (tmp_path / "data" / "index.sqlite").unlink()
        for leftover in (tmp_path / "data").glob("index.sqlite-*"):
            leftover.unlink()
        built = run(tmp_path, "reindex")
        assert built.returncode == 0, built.stderr
        running = start(tmp_path, **running.settings)
        with httpx.Client(base_url=running.dicomweb_url, timeout=60) as client:
            assert status(client, image.StudyInstanceUID) == FINAL
            assert parts(client, image.StudyInstanceUID) == ["KNEE"]
    finally:
        running.stop()
