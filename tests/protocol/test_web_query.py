"""QIDO-RS over HTTP: resources, parameters, limits and refusals; OHIF's queries letter by letter.

What matches what is tested on the index itself; here the oracle is a list of five studies.
"""

from collections.abc import Iterator

import httpx
import pydicom
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from tests.conftest import StartServer, start
from tests.protocol.web import path_of, stow, write

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
STUDIES = (
    ("P1", "Müller^Änne", "20240115", "A1", ("CT", "CT", "SR")),
    ("P2", "Muller^Hans", "20240210", "A2", ("MR",)),
    ("P3", "Smith^John", "20240301", "A3", ("CT", "PT")),
    ("P3", "Smith^John", "20250301", "A4", ("US",)),
    ("P4", "山田^太郎", "20250401", "A5", ("DX", "DX")),
)


def objects() -> Iterator[Dataset]:
    """One series per modality, two instances each."""
    for patient, name, date, accession, modalities in STUDIES:
        study = generate_uid(entropy_srcs=[accession])
        for number, modality in enumerate(modalities, 1):
            for instance in (1, 2):
                ds = Dataset()
                ds.SpecificCharacterSet = "ISO_IR 192"
                ds.PatientID, ds.PatientName = patient, name
                ds.StudyDate, ds.StudyTime, ds.AccessionNumber = date, "101500", accession
                ds.StudyDescription, ds.Modality, ds.SeriesNumber = f"Study {accession}", modality, number
                ds.SeriesDescription, ds.InstanceNumber = f"{modality} series", instance
                ds.PatientWeight = "71.5"
                ds.StudyInstanceUID, ds.SOPClassUID = study, SECONDARY_CAPTURE
                ds.SeriesInstanceUID = f"{study[:50]}.{number}"
                ds.SOPInstanceUID = f"{study[:50]}.{number}.{instance}"
                ds.file_meta = FileMetaDataset()
                ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
                yield ds


OBJECTS = list(objects())


def study_uid(accession: str) -> str:
    return generate_uid(entropy_srcs=[accession])


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    """A client of a server that holds the five studies and nothing else."""
    running = start(tmp_path_factory.mktemp("query"))
    with httpx.Client(base_url=running.dicomweb_url, timeout=60) as made:
        assert stow(made, *map(write, OBJECTS)).status_code == 200
        yield made
    running.stop()


def accessions(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["00080050"]["Value"][0] for item in response.json()]


def find(client: httpx.Client, query: str) -> set[str]:
    """Accession numbers of the studies that a query string finds."""
    return set(accessions(client.get(f"/studies?{query}")))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("", {"A1", "A2", "A3", "A4", "A5"}),
        ("PatientID=P3", {"A3", "A4"}),
        ("00100020=P3", {"A3", "A4"}),
        ("0020000d={A2}", {"A2"}),
        ("PatientID=", {"A1", "A2", "A3", "A4", "A5"}),
        ("PatientID=*", {"A1", "A2", "A3", "A4", "A5"}),
        ("PatientID=nobody", set()),
        ("AccessionNumber=A?&StudyDate=20240101-20240229", {"A1", "A2"}),
        ("StudyDate=20250301-", {"A4", "A5"}),
        ("StudyDate=-20240115", {"A1"}),
        ("StudyDate=20240301", {"A3"}),
        ("ModalitiesInStudy=CT", {"A1", "A3"}),
        ("ModalitiesInStudy=SR%2CUS", {"A1", "A4"}),
        ("ModalitiesInStudy=SR\\US", {"A1", "A4"}),
        ("StudyInstanceUID={A1}%2C{A4}", {"A1", "A4"}),
        ("StudyInstanceUID={A1}%5C{A4}", {"A1", "A4"}),
        ("PatientName=smith*", {"A3", "A4"}),
        ("PatientName=MULLER*", {"A1", "A2"}),
        ("PatientName=%E5%B1%B1%E7%94%B0*", {"A5"}),
        ("PatientName=*john*&fuzzymatching=true", {"A3", "A4"}),
        ("StudyDescription=*A2", {"A2"}),
        # OHIF: the study list, its filters, and the priors of a patient
        (
            "limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060%2C00080090%2C00100030",
            {"A1", "A2", "A3", "A4", "A5"},
        ),
        (
            "PatientName=*mith*&ModalitiesInStudy=CT%2CMR&StudyDate=19700102-20241231&limit=101&offset=0"
            "&fuzzymatching=true&includefield=00081030%2C00080060",
            {"A3"},
        ),
        ("00100020=P3&limit=101&offset=0&fuzzymatching=true&includefield=00081030%2C00080060", {"A3", "A4"}),
        ("limit=101&offset=0&fuzzymatching=true&StudyInstanceUID={A5}", {"A5"}),
    ],
)
def test_studies_found(client: httpx.Client, query: str, expected: set[str]) -> None:
    for name in ("A1", "A2", "A3", "A4", "A5"):
        query = query.replace(f"{{{name}}}", study_uid(name))
    assert find(client, query) == expected


def test_every_resource(client: httpx.Client) -> None:
    study = study_uid("A1")
    series = f"{study[:50]}.1"
    members = [ds for ds in OBJECTS if ds.StudyInstanceUID == study]
    for path, tag, expected in (
        ("/studies", "0020000D", {ds.StudyInstanceUID for ds in OBJECTS}),
        ("/series", "0020000E", {ds.SeriesInstanceUID for ds in OBJECTS}),
        ("/instances", "00080018", {ds.SOPInstanceUID for ds in OBJECTS}),
        (f"/studies/{study}/series", "0020000E", {ds.SeriesInstanceUID for ds in members}),
        (f"/studies/{study}/instances", "00080018", {ds.SOPInstanceUID for ds in members}),
        (f"/studies/{study}/series/{series}/instances", "00080018", {f"{series}.1", f"{series}.2"}),
        (f"/series/{series}/instances", "00080018", {f"{series}.1", f"{series}.2"}),
    ):
        response = client.get(path, headers={"Accept": "application/dicom+json"})
        assert response.headers["content-type"] == "application/dicom+json"
        found = [item[tag]["Value"][0] for item in response.json()]
        assert len(found) == len(set(found))
        assert set(found) == expected, path
    assert client.get("/studies/1.2.3/series").json() == []
    assert client.get(f"/studies/{study}/series?Modality=SR&StudyInstanceUID={study}").json()[0]["00080060"] == {
        "vr": "CS",
        "Value": ["SR"],
    }


def test_answers_lead_to_the_resource_and_are_sorted_by_tag(client: httpx.Client) -> None:
    for path in ("/studies", "/series", "/instances"):
        for item in client.get(path).json():
            assert list(item) == sorted(item)
            pydicom.Dataset.from_json(item)
            url = item["00081190"]["Value"][0]
            assert httpx.get(f"{url}/metadata").status_code == 200
    assert url.endswith(path_of(Dataset.from_json(item)))


def test_counters(client: httpx.Client) -> None:
    (study,) = client.get("/studies?AccessionNumber=A1").json()
    assert study["00201206"]["Value"] == [3]
    assert study["00201208"]["Value"] == [6]
    assert set(study["00080061"]["Value"]) == {"CT", "SR"}


def test_included_fields(client: httpx.Client) -> None:
    def tags(query: str, path: str = "/studies") -> set[str]:
        return set(client.get(f"{path}?AccessionNumber=A1&{query}").json()[0])

    assert "00101030" not in tags("")
    for query in ("includefield=PatientWeight", "includefield=00101030", "includefield=PatientSex,PatientWeight"):
        assert "00101030" in tags(query), query
    both = tags("includefield=StudyDescription&includefield=00101030")
    assert {"00081030", "00101030"} <= both
    assert tags("includefield=all") >= both
    # Attributes of a lower level are no part of the answer, and asking for them is no mistake.
    assert "00080060" not in tags("includefield=Modality")
    assert {"0008103E", "00081030", "00100010"} <= tags("includefield=StudyDescription,PatientName", "/series")


def test_paging_is_complete_and_without_overlap(client: httpx.Client) -> None:
    everything = accessions(client.get("/studies"))
    pages = [accessions(client.get(f"/studies?limit=2&offset={at}")) for at in (0, 2, 4, 6)]
    assert [len(page) for page in pages] == [2, 2, 1, 0]
    assert [name for page in pages for name in page] == everything
    assert accessions(client.get("/studies?limit=0")) == []


def test_order(client: httpx.Client) -> None:
    assert accessions(client.get("/studies")) == ["A5", "A4", "A3", "A2", "A1"]
    assert accessions(client.get("/studies?orderby=StudyDate")) == ["A1", "A2", "A3", "A4", "A5"]
    assert accessions(client.get("/studies?orderby=-AccessionNumber")) == ["A5", "A4", "A3", "A2", "A1"]
    assert accessions(client.get("/studies?orderby=PatientID,-StudyDate")) == ["A1", "A2", "A4", "A3", "A5"]


def test_total_ignores_paging(client: httpx.Client) -> None:
    response = client.get("/studies?StudyDate=2024-&count=true&limit=1".replace("2024-", "20240101-20241231"))
    assert len(response.json()) == 1
    assert response.headers["x-total-count"] == "3"
    assert "x-total-count" not in client.get("/studies").headers


def test_cut_answers_say_so(start_server: StartServer) -> None:
    server = start_server(web={"query_default_limit": 2, "query_maximum_limit": 3})
    with httpx.Client(base_url=server.dicomweb_url) as client:
        assert stow(client, *map(write, OBJECTS[:6])).status_code == 200
        for query, rows, cut in (
            ("", 2, True),
            ("?limit=3", 3, False),
            ("?limit=100", 3, True),
            ("?offset=4", 2, False),
        ):
            response = client.get(f"/instances{query}")
            assert len(response.json()) == rows
            assert ("warning" in response.headers) == cut, query
        assert response.headers.get("warning", "299 ").startswith("299 ")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("PatinetID=P1", "PatientID"),
        ("patientid=P1", "patientid"),
        ("Rows=512", "Rows"),
        ("PatientComments=x", "PatientComments"),
        ("00104000=x", "PatientComments"),
        ("NumberOfStudyRelatedInstances=3", "NumberOfStudyRelatedInstances"),
        ("RequestAttributesSequence.ScheduledProcedureStepID=1", "RequestAttributesSequence"),
        ("StudyDate=yesterday", "StudyDate"),
        ("StudyDate=20240101-x", "StudyDate"),
        ("StudyInstanceUID=1.2*", "StudyInstanceUID"),
        ("PatientID=a%00b", "PatientID"),
        ("PatientID=P1&PatientID=P2", "PatientID"),
        ("PatientID=P1&00100020=P2", "PatientID"),
        ("limit=-1", "limit"),
        ("limit=many", "limit"),
        ("offset=1.5", "offset"),
        ("offset=99999999999", "offset"),
        ("fuzzymatching=maybe", "fuzzymatching"),
        ("includefield=NoSuchThing", "NoSuchThing"),
        ("orderby=NoSuchThing", "NoSuchThing"),
        ("PatientName=%ff%fe", "UTF-8"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_named(client: httpx.Client, query: str, named: str) -> None:
    response = client.get(f"/studies?{query}")
    assert response.status_code == 400, response.text
    assert named in response.json()["error"]["message"]


def test_uids_of_the_path_cannot_be_widened(client: httpx.Client) -> None:
    path = f"/studies/{study_uid('A1')}/series"
    assert client.get(f"{path}?StudyInstanceUID={study_uid('A2')}").status_code == 400


def test_foreign_parameters_are_ignored_with_a_warning(client: httpx.Client) -> None:
    response = client.get("/studies?PatientID=P2&_=1234567&x%22%0d%0ay=1")
    assert accessions(response) == ["A2"]
    assert response.headers["warning"].startswith("299 ")
    assert "_" in response.headers["warning"]


def test_accept(client: httpx.Client) -> None:
    assert client.get("/studies", headers={"Accept": "application/json"}).status_code == 200
    assert client.get("/studies?accept=application/dicom+json", headers={"Accept": "text/html"}).status_code == 200
    refused = client.get("/studies", headers={"Accept": 'multipart/related; type="application/dicom"'})
    assert refused.status_code == 406
    assert "application/dicom+json" in refused.text


def test_wrong_method_names_the_right_ones(client: httpx.Client) -> None:
    response = client.put("/studies")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, HEAD, OPTIONS, POST"
    assert response.json()["error"]["status"] == 405
