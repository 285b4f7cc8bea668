"""The earlier studies of a patient: in the order of a hand-made list, and never those of somebody else."""

from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from tests.archives import a_dataset, as_file
from tests.associations import store as send
from tests.conftest import Server, start
from tests.protocol.test_reading_status import a_report, code
from tests.protocol.web import stow, write
from tests.servers import postgresql_url

CURRENT = {"StudyDate": "20240615", "StudyTime": "100000", "Modality": "CT", "BodyPartExamined": "CHEST"}

# Ten studies before a CT of the chest on 15 June 2024, most relevant first, as a radiologist would put them. The
# points are those of the rule, worked out by hand: region, modality, recency, side, report.
TEN: list[tuple[str, dict[str, str], tuple[float, ...]]] = [
    (
        "the same examination, three months ago",
        {"StudyDate": "20240315", "Modality": "CT", "BodyPartExamined": "CHEST"},
        (45, 20, 17.6, 10, 0),
    ),
    (
        "the same examination two years ago, and reported",
        {"StudyDate": "20220615", "Modality": "CT", "BodyPartExamined": "CHEST", "report": "yes"},
        (45, 20, 7.3, 10, 5),
    ),
    (
        "the chest, by X-ray, two weeks ago; a chest has no side, so the words are enough",
        {"StudyDate": "20240601", "Modality": "CR", "StudyDescription": "Thorax p.a."},
        (45, 8, 19.6, 10, 0),
    ),
    (
        "old, but it shows the chest among others",
        {"StudyDate": "20190615", "Modality": "CT", "BodyPartExamined": "CHESTABDPELVIS"},
        (36, 20, 1.6, 10, 0),
    ),
    (
        "the abdomen begins where the chest ends",
        {"StudyDate": "20240115", "Modality": "CT", "StudyDescription": "CT Abd/Pel"},
        (18, 20, 16.2, 10, 0),
    ),
    (
        "all of the body, with a CT that was made for the PET",
        {"StudyDate": "20231215", "Modality": "PT", "and": "CT", "StudyDescription": "PET/CT skull base to mid-thigh"},
        (18, 16, 15.6, 10, 0),
    ),
    (
        "the heart is in the chest; by MR",
        {"StudyDate": "20210615", "Modality": "MR", "code": "MR Heart W and WO contrast IV"},
        (18, 10, 4.5, 10, 0),
    ),
    (
        "of last week, but of the head",
        {"StudyDate": "20240610", "Modality": "MR", "BodyPartExamined": "BRAIN"},
        (0, 10, 19.9, 10, 0),
    ),
    (
        "the neck ends where the chest begins; years ago, by ultrasound",
        {"StudyDate": "20200101", "Modality": "US", "StudyDescription": "US Schilddrüse"},
        (18, 6, 2.2, 10, 0),
    ),
    (
        "nothing in common, long ago: hidden",
        {"StudyDate": "20130615", "Modality": "MG", "BodyPartExamined": "BREAST"},
        (0, 2, 0.1, 10, 0),
    ),
]


def image(patient: str, **values: str) -> Dataset:
    """A small image of a new study. `and` is the modality of a second series, `code` names the procedure."""
    ds = a_dataset(PatientID=patient, SpecificCharacterSet="ISO_IR 192", StudyTime="080000", StudyID="1")
    for keyword, value in values.items():
        if keyword[0].isupper():
            setattr(ds, keyword, value)
    if "code" in values:
        ds.ProcedureCodeSequence = [code("X1", "99LOCAL", values["code"])]
    return ds


def files_of(patient: str, values: dict[str, str], study: str) -> list[bytes]:
    """The objects of a study."""
    ds = image(patient, **values)
    ds.StudyInstanceUID = study
    files = [as_file(ds)]
    if "and" in values:
        second = image(patient, **{**values, "Modality": values["and"]})
        second.StudyInstanceUID = study
        files.append(as_file(second))
    if "report" in values:
        files.append(write(a_report(ds)))
    return files


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    database = {} if request.param == "sqlite" else {"database": {"url": postgresql_url()}}
    titles = [{"ae_title": "NORTH", "tenant": "north"}]
    running = start(tmp_path_factory.mktemp("priors"), dimse={"ae_titles": ["PACS"], "titles": titles}, **database)
    yield running
    running.stop()


@pytest.fixture
def client(archive: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=archive.web_url, timeout=60) as made:
        yield made


def keep(client: httpx.Client, *files: bytes) -> None:
    assert stow(client, *files, path="/dicomweb/studies").status_code == 200


def listed(client: httpx.Client, study: str, **asked: str) -> dict[str, Any]:
    answer = client.get("/api/priors", params={"study": study, **asked})
    assert answer.status_code == 200, answer.text
    return answer.json()


def uids(answer: dict[str, Any]) -> list[str]:
    return [prior["StudyInstanceUID"] for prior in answer["priors"]]


def test_ten_priors_in_the_order_of_a_hand_made_list(client: httpx.Client) -> None:
    current, made = generate_uid(), [generate_uid() for _ in TEN]
    # Stored in another order than the list's.
    for (_, values, _), study in reversed(list(zip(TEN, made, strict=True))):
        keep(client, *files_of("TEN", values, study))
    keep(client, *files_of("TEN", CURRENT, current))
    later = generate_uid()
    keep(client, *files_of("TEN", {**CURRENT, "StudyDate": "20240616"}, later))

    answer = listed(client, current)
    assert uids(answer) == made[:9] and answer["hidden"] == 1
    assert (answer["regions"], answer["ModalitiesInStudy"]) == (["Chest"], ["CT"])
    everything = listed(client, current, all="true")
    assert uids(everything) == made and everything["hidden"] == 0
    for prior, (why, values, points) in zip(everything["priors"], TEN, strict=True):
        assert tuple(prior["points"].values()) == points, why
        assert prior["score"] == pytest.approx(sum(points), abs=0.11), why
        assert prior["has_report"] == ("report" in values), why
        assert prior["StudyDate"] == values["StudyDate"]
        assert prior["viewer"].startswith(f"/viewer/viewer?StudyInstanceUIDs={current},{prior['StudyInstanceUID']}")
    assert everything["priors"][0]["days"] == 92
    assert everything["priors"][5]["ModalitiesInStudy"] == ["CT", "PT"]
    assert everything["priors"][5]["NumberOfStudyRelatedInstances"] == 2
    assert uids(listed(client, current, limit="3")) == made[:3]
    # For the later study the current one is a prior, the best of all.
    assert uids(listed(client, later))[0] == current


def test_ties_are_broken_by_time_and_a_study_without_a_date_comes_last(client: httpx.Client) -> None:
    current = generate_uid()
    keep(client, *files_of("TIES", CURRENT, current))
    made = {}
    for name, day, time in (
        ("dateless", "", ""),
        ("same day, later", "20240615", "100001"),
        ("same day, earlier", "20240615", "095959"),
        ("same day, no time", "20240615", ""),
        ("day before, morning", "20240614", "080000"),
        ("day before, evening", "20240614", "200000"),
    ):
        made[name] = generate_uid()
        keep(client, *files_of("TIES", {**CURRENT, "StudyDate": day, "StudyTime": time}, made[name]))
    expected = ("same day, earlier", "same day, no time", "day before, evening", "day before, morning", "dateless")
    answer = listed(client, current)
    assert uids(answer) == [made[name] for name in expected]
    assert [prior["days"] for prior in answer["priors"]] == [0, 0, 1, 1, None]


def test_sides_from_images_and_from_words(client: httpx.Client) -> None:
    knee = {"Modality": "DX", "BodyPartExamined": "KNEE", "StudyDate": "20240101"}
    current = generate_uid()
    keep(client, *files_of("KNEES", {**knee, "ImageLaterality": "L"}, current))
    rows = [
        ("L", {"Laterality": "L", "StudyDate": "20230101"}),
        ("R", {"StudyDescription": "Knie rechts", "StudyDate": "20230103"}),
        ("B", {"StudyDescription": "Knees bilat.", "StudyDate": "20230102"}),
    ]
    for _, values in rows:
        keep(client, *files_of("KNEES", {**knee, **values}, generate_uid()))
    # Two images of one series, one of each side, that came one after the other.
    both = image("KNEES", **{**knee, "ImageLaterality": "L", "StudyDate": "20220101"})
    keep(client, as_file(both))
    both.SOPInstanceUID, both.ImageLaterality = generate_uid(), "R"
    keep(client, as_file(both))
    answer = listed(client, current)
    assert answer["laterality"] == "L"
    found = [(prior["laterality"], prior["points"]["laterality"]) for prior in answer["priors"]]
    assert found == [("L", 10), ("B", 7), ("B", 7), ("R", 0)]


def test_regions_and_sides_that_are_coded(client: httpx.Client) -> None:
    """Digital X-ray names its region by a code, multi-frame images in a functional group."""
    current, enhanced = (image("CODED", Modality="MR", StudyDate=f"2024010{day}") for day in (2, 1))
    current.AnatomicRegionSequence = [code("72696002", "SCT", "Knee")]
    current.ImageLaterality = "R"
    groups, frame = Dataset(), Dataset()
    frame.AnatomicRegionSequence = [code("70258002", "SCT", "Ankle joint")]
    frame.FrameLaterality = "L"
    groups.FrameAnatomySequence = [frame]
    enhanced.SharedFunctionalGroupsSequence = [groups]
    keep(client, as_file(current), as_file(enhanced))
    answer = listed(client, current.StudyInstanceUID)
    (prior,) = answer["priors"]
    assert (answer["regions"], answer["laterality"]) == (prior["regions"], "R") == (["Lower extremity"], "R")
    assert (prior["laterality"], prior["points"]["region"], prior["points"]["laterality"]) == ("L", 36, 0)


def test_nobody_elses_studies_and_nothing_that_is_gone(client: httpx.Client, archive: Server, tmp_path: Any) -> None:
    before = {**CURRENT, "StudyDate": "20240101"}
    current, mine = generate_uid(), generate_uid()
    keep(client, *files_of("SAME", {**CURRENT, "IssuerOfPatientID": "HERE"}, current))
    keep(client, *files_of("SAME", {**before, "IssuerOfPatientID": "HERE"}, mine))
    for other in ({"IssuerOfPatientID": "THERE"}, {}):
        keep(client, *files_of("SAME", {**before, **other}, generate_uid()))
    keep(client, *files_of("OTHER", {**before, "IssuerOfPatientID": "HERE"}, generate_uid()))
    # The same person in another tenant.
    north = tmp_path / "north.dcm"
    north.write_bytes(files_of("SAME", {**before, "IssuerOfPatientID": "HERE"}, generate_uid())[0])

    class North:
        ae_title, dimse_port = "NORTH", archive.dimse_port

    assert set(send(North, [north]).values()) == {0}
    # Notes about images alone are nothing to look at.
    note = image("SAME", **{**before, "IssuerOfPatientID": "HERE", "Modality": "PR"})
    note.SOPClassUID = "1.2.840.10008.5.1.4.1.1.11.1"
    keep(client, as_file(note))
    rejected, deleted = generate_uid(), generate_uid()
    for study in (rejected, deleted):
        keep(client, *files_of("SAME", {**before, "IssuerOfPatientID": "HERE"}, study))
    assert len(uids(listed(client, current))) == 3
    assert client.post(f"/dicomweb/studies/{rejected}/reject/113001^DCM").status_code == 200
    assert client.delete(f"/dicomweb/studies/{deleted}").status_code == 204
    assert uids(listed(client, current)) == [mine]
    assert client.get("/api/priors", params={"study": deleted}).status_code == 404


def test_people_without_an_id_have_no_priors(client: httpx.Client) -> None:
    current = generate_uid()
    keep(client, *files_of("", CURRENT, current), *files_of("", {**CURRENT, "StudyDate": "20200101"}, generate_uid()))
    assert listed(client, current)["priors"] == []


@pytest.mark.parametrize(
    ("asked", "status", "word"),
    [
        ("study=1.2.3.4", 404, "no such study"),
        ("", 400, "Study Instance UID"),
        ("study=x", 400, "Study Instance UID"),
        (f"study={'1' * 65}", 400, "Study Instance UID"),
        ("study=1.2&all=yes", 400, "true or false"),
        ("study=1.2&limit=0", 400, "1 to 500"),
        ("study=1.2&limit=501", 400, "1 to 500"),
        ("study=1.2&limit=ten", 400, "1 to 500"),
        ("study=1.2&limit=%D9%A3", 400, "1 to 500"),
        ("study=1.2&study=1.3", 400, "once"),
        ("study=1.2&PatientID=P", 400, "PatientID"),
    ],
)
def test_what_cannot_be_answered_is_refused(client: httpx.Client, asked: str, status: int, word: str) -> None:
    answer = client.get(f"/api/priors?{asked}")
    assert answer.status_code == status
    assert word in answer.json()["error"]["message"]
