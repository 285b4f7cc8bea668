"""Any attribute searchable: declared while the server runs, found by QIDO-RS and C-FIND as brute force finds it."""

import itertools
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import quote

import httpx
import pytest
from pydicom.dataset import Dataset
from pynetdicom.presentation import build_context

from config import settings
from config.settings import Settings
from pacs.attributes import add, list_all, remove
from tests import declared
from tests.associations import STUDY_FIND, find, scu
from tests.command import run, wait_until
from tests.conftest import Server, start
from tests.declared import CREATOR, items, marks, owners, values
from tests.protocol.web import path_of, stow, write
from tests.servers import postgresql_url

RESOURCES = {"STUDY": "/studies", "SERIES": "/series", "IMAGE": "/instances"}
TAGS = {"STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}

CODES = "RequestAttributesSequence.RequestedProcedureCodeSequence"
DECLARED = {
    "STUDY": ("RequestAttributesSequence.ScheduledProcedureStepID", "ProtocolName", "ContentDate"),
    "SERIES": (f"{CODES}.CodeValue", f"{CODES}.CodingSchemeDesignator", "ContentTime"),
    "IMAGE": ("AcquisitionDateTime", "DistanceSourceToDetector", "FrameOfReferenceUID"),
}


@dataclass
class House:
    """A server, and what it should hold."""

    server: Server
    client: httpx.Client
    objects: list[Dataset]

    def store(self, objects: Sequence[Dataset]) -> None:
        for start_at in range(0, len(objects), 10):
            assert stow(self.client, *map(write, objects[start_at : start_at + 10])).status_code == 200

    def search(self, level: str, **keys: str) -> set[str]:
        query = "&".join(f"{quote(name)}={quote(value)}" for name, value in keys.items())
        response = self.client.get(f"{RESOURCES[level]}?{query}")
        assert response.status_code == 200, response.text
        assert "warning" not in response.headers, response.headers["warning"]
        return {answer[TAGS[level]]["Value"][0] for answer in response.json()}

    def expected(self, level: str, matches: Callable[[Dataset], bool]) -> set[str]:
        return owners(self.objects, level, matches)

    def attributes(self, *arguments: str, ok: bool = True) -> str:
        """The command, as an administrator gives it."""
        done = run(self.server.folder, "--config", "pacs.toml", "attributes", *arguments)
        assert (done.returncode == 0) is ok, done.stderr
        return done.stdout if ok else done.stderr

    def is_filled(self) -> bool:
        """What `attributes list` says, without starting a program each time."""
        return not any(" filled " in line for line in list_all(self.settings))

    @property
    def settings(self) -> Settings:
        """Those of the server, for another folder."""
        data = self.server.folder / "data"
        url = self.server.settings.get("database", {}).get("url", f"sqlite:///{data}/index.sqlite")
        return Settings(
            database=settings.Database(url=url),
            storage=settings.Storage(url="memory:"),
            log=settings.Log(audit_file=str(data / "audit.jsonl")),
        )


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def house(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Half of the objects are there before the attributes are declared, the others come meanwhile."""
    sections = {"database": {"url": postgresql_url()}} if request.param == "postgresql" else {}
    server = start(tmp_path_factory.mktemp("declared"), **sections)
    objects = declared.objects(7, 24, "DECL")
    before, meanwhile = objects[: len(objects) // 2], objects[len(objects) // 2 :]
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        made = House(server, client, objects)
        made.store(before)
        storing = threading.Thread(target=made.store, args=(meanwhile,))
        storing.start()
        said = made.attributes("add", "0019100A", "--level", "series", "--creator", CREATOR, "--vr", "LO")
        assert said.startswith(f"0019100A[{CREATOR}] is searchable at level SERIES")
        for level, names in DECLARED.items():
            assert len(list(add(made.settings, names, level, "", ""))) == len(names)
        storing.join()
        wait_until(made.is_filled)
        yield made
    server.stop()


def test_nested_private_and_public_attributes_match_as_brute_force_does(house: House) -> None:
    for step in declared.STEPS:
        wanted = house.expected("STUDY", lambda ds, s=step: any(i.ScheduledProcedureStepID == s for i in items(ds)))
        assert house.search("STUDY", **{"RequestAttributesSequence.ScheduledProcedureStepID": step}) == wanted
        assert house.search("STUDY", **{"00400275.00400009": step}) == wanted
        at_series = house.expected("SERIES", lambda ds, s=step: any(i.ScheduledProcedureStepID == s for i in items(ds)))
        assert house.search("SERIES", **{"RequestAttributesSequence.ScheduledProcedureStepID": step}) == at_series
    for mark in declared.MARKS:
        wanted = house.expected("SERIES", lambda ds, m=mark: m in marks(ds))
        assert wanted
        # Which block the creator has says nothing, and it may be left out while nobody else's attribute is declared.
        for name in (f"0019100A[{CREATOR}]", f"0019420A[{CREATOR}]", "0019100A"):
            assert house.search("SERIES", **{name: mark}) == wanted
        assert house.search("SERIES", **{"00190042": CREATOR, "0019420A": mark}) == wanted
    for part in ("HEAD", "KNEE"):
        assert house.search("STUDY", ProtocolName=part) == house.expected(
            "STUDY", lambda ds, p=part: ds.ProtocolName == p
        )


@pytest.mark.parametrize(
    ("name", "level", "value", "matches"),
    [
        ("ScheduledProcedureStepID", "SERIES", "SPS1*", lambda text: text.startswith("SPS1")),
        ("ScheduledProcedureStepID", "SERIES", "?PS2", lambda text: text == "SPS2"),
        ("ScheduledProcedureStepID", "STUDY", "*1*", lambda text: "1" in text),
        ("ScheduledProcedureStepID", "STUDY", r"SPS2\SPS10", lambda text: text in ("SPS2", "SPS10")),
        ("ScheduledProcedureStepID", "STUDY", "nothing", lambda text: False),
        ("ScheduledProcedureStepID", "SERIES", "*", None),
    ],
)
def test_texts_match_by_wild_cards_and_lists(
    house: House, name: str, level: str, value: str, matches: Callable[[str], bool] | None
) -> None:
    def some(ds: Dataset) -> bool:
        return matches is None or any(matches(item.get(name)) for item in items(ds))

    assert house.search(level, **{f"RequestAttributesSequence.{name}": value}) == house.expected(level, some)


@pytest.mark.parametrize(
    ("name", "level", "value", "texts"),
    [
        ("AcquisitionDateTime", "IMAGE", "20240101-20240131", ("20240101101500", "20240102120000.5+0200")),
        ("AcquisitionDateTime", "IMAGE", "20240102100000.5", ("20240102120000.5+0200",)),
        ("AcquisitionDateTime", "IMAGE", "20240102110000+0100-", ("20240102120000.5+0200", "202402", "20240315235959")),
        ("AcquisitionDateTime", "IMAGE", "-2024010110", ("20240101101500",)),
        ("DistanceSourceToDetector", "IMAGE", "1.5", ("1.50", "15E-1")),
        ("DistanceSourceToDetector", "IMAGE", "02.0", ("2", "2.0")),
        ("ContentDate", "STUDY", "20240102-", ("20240229",)),
        ("ContentTime", "SERIES", "10", ("101500", "10")),
        ("ContentTime", "SERIES", "1010-1016", ("101500",)),
        ("FrameOfReferenceUID", "IMAGE", r"1.2.3\9", ("1.2.3",)),
        ("FrameOfReferenceUID", "IMAGE", "1.2.3,1.2.3.4", ("1.2.3", "1.2.3.4")),
    ],
)
def test_moments_numbers_and_uids_match(
    house: House, name: str, level: str, value: str, texts: tuple[str, ...]
) -> None:
    def some(ds: Dataset) -> bool:
        return str(getattr(ds[name].value, "original_string", ds[name].value)) in texts

    assert house.search(level, **{name: value}) == house.expected(level, some)


@pytest.mark.parametrize(
    ("pattern", "families"),
    [
        ("muller*", ("Müller",)),
        ("SMITH*", ("Smith", "Smithson")),
        ("smith^*", ("Smith",)),
        ("山田^太郎", ("Yamada",)),
        ("*たろう", ("Yamada",)),
        ("yamada*=山*", ("Yamada",)),
        ("smith*=山*", ()),
    ],
)
def test_names_match_by_any_component_group_of_one_name(house: House, pattern: str, families: tuple[str, ...]) -> None:
    def some(ds: Dataset) -> bool:
        return any(str(name.family_name) in families for name in values(ds, "OperatorsName"))

    assert house.search("SERIES", OperatorsName=pattern) == house.expected("SERIES", some)


def test_keys_of_a_sequence_are_met_by_one_and_the_same_item(house: House) -> None:
    both = 0
    for step, procedure in itertools.product(declared.STEPS, declared.PROCEDURES):
        keys = {
            "RequestAttributesSequence.ScheduledProcedureStepID": step,
            "RequestAttributesSequence.RequestedProcedureID": procedure,
        }
        one = house.expected(
            "SERIES",
            lambda ds, s=step, p=procedure: any(
                (item.ScheduledProcedureStepID, item.RequestedProcedureID) == (s, p) for item in items(ds)
            ),
        )
        apart = set.intersection(*(house.search("SERIES", **{name: value}) for name, value in keys.items()))
        assert house.search("SERIES", **keys) == one
        both += len(apart - one)
    assert both, "the objects must tell one item from two"


def test_keys_of_nested_sequences_share_items_as_far_as_they_go(house: House) -> None:
    for value, scheme, step in itertools.product(declared.CODES, ("DCM", "99X"), declared.STEPS):

        def some(ds: Dataset, value: str = value, scheme: str = scheme, step: str = step) -> bool:
            return any(
                item.ScheduledProcedureStepID == step
                and any(
                    (code.CodeValue, code.CodingSchemeDesignator) == (value, scheme)
                    for code in item.RequestedProcedureCodeSequence
                )
                for item in items(ds)
            )

        keys = {
            f"{CODES}.CodeValue": value,
            f"{CODES}.CodingSchemeDesignator": scheme,
            "RequestAttributesSequence.ScheduledProcedureStepID": step,
        }
        assert house.search("SERIES", **keys) == house.expected("SERIES", some)


def test_c_find_matches_sequences_and_private_attributes(house: House) -> None:
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = "SPS2", "RP1"
    for study in sorted({ds.StudyInstanceUID for ds in house.objects}):
        wanted = house.expected(
            "SERIES",
            lambda ds, study=study: (
                ds.StudyInstanceUID == study
                and any(
                    (one.ScheduledProcedureStepID, one.RequestedProcedureID) == ("SPS2", "RP1") for one in items(ds)
                )
            ),
        )
        answers, statuses = find(
            house.server,
            "SERIES",
            StudyInstanceUID=study,
            SeriesInstanceUID="",
            RequestAttributesSequence=[item],
        )
        assert statuses == [0xFF00] * len(wanted) + [0]
        assert {answer.SeriesInstanceUID for answer in answers} == wanted


def test_c_find_asks_for_a_private_attribute_by_its_creator(house: House) -> None:
    asked = Dataset()
    asked.QueryRetrieveLevel, asked.SeriesInstanceUID = "SERIES", ""
    asked.private_block(0x0019, CREATOR, create=True).add_new(0x0A, "LO", "red")
    for study in sorted({ds.StudyInstanceUID for ds in house.objects}):
        asked.StudyInstanceUID = study
        with scu(house.server, [build_context(STUDY_FIND)]) as association:
            responses = list(association.send_c_find(asked, STUDY_FIND))
        wanted = house.expected("SERIES", lambda ds, study=study: ds.StudyInstanceUID == study and "red" in marks(ds))
        assert [status.Status for status, _ in responses] == [0xFF00] * len(wanted) + [0]
        assert {answer.SeriesInstanceUID for _, answer in responses if answer} == wanted


@pytest.mark.parametrize(
    ("level", "key", "message"),
    [
        ("STUDY", "PerformedProtocolCodeSequence.CodeValue=1", "not declared searchable"),
        ("STUDY", "PerformedProtocolCodeSequence.CodeValue=1", "pacs attributes add"),
        ("SERIES", "0029100A=1", "not declared searchable"),
        ("SERIES", "0019100B[ACME 1.0]=1", "not declared searchable"),
        ("SERIES", "0019100A[OTHER]=red", "not declared searchable"),
        ("SERIES", "00190010=OTHER&0019100A=red", "not declared searchable"),
        ("SERIES", "RequestAttributesSequence=1", "not declared searchable"),
        ("STUDY", "RequestAttributesSequence.RequestedProcedureID=RP1", "at level SERIES and cannot be matched"),
        ("SERIES", "AcquisitionDateTime=2024", "at level IMAGE"),
        ("IMAGE", "AcquisitionDateTime=yesterday", "no moment or range"),
        ("IMAGE", "AcquisitionDateTime=-", "no moment or range"),
        ("IMAGE", "DistanceSourceToDetector=far", "is no DS"),
        ("IMAGE", "DistanceSourceToDetector=1*", "cannot be matched by wild cards"),
        ("STUDY", "ContentDate=20240230", "no date or range"),
        ("IMAGE", "FrameOfReferenceUID=1.2*", "cannot be matched by wild cards"),
        ("SERIES", "OperatorsName=a&OperatorsName=b", "given twice"),
        ("SERIES", "RequestAttributesSequence.Nonsense=1", "no attribute Nonsense"),
        ("SERIES", "RequestAttributesSequence.=1", "names no attribute"),
    ],
)
def test_what_cannot_be_matched_is_refused(house: House, level: str, key: str, message: str) -> None:
    response = house.client.get(f"{RESOURCES[level]}?{key}")
    assert response.status_code == 400
    assert message in response.json()["error"]["message"]


def test_c_find_does_not_drop_what_is_not_declared(house: House) -> None:
    item = Dataset()
    item.CodeValue = "1"
    _, statuses = find(house.server, "STUDY", StudyInstanceUID="", PerformedProtocolCodeSequence=[item])
    assert set(statuses) == {0xFF01, 0}
    # Declared, but below the level of the query.
    item = Dataset()
    item.RequestedProcedureID = "RP1"
    _, statuses = find(house.server, "STUDY", StudyInstanceUID="", RequestAttributesSequence=[item])
    assert set(statuses) == {0xFF01, 0}


def test_the_command_lists_refuses_and_removes(house: House) -> None:
    listed = house.attributes("list")
    assert f"SERIES  LO  ready           0019100A[{CREATOR}]\n" in listed
    assert "STUDY   SH  ready           RequestAttributesSequence.ScheduledProcedureStepID\n" in listed
    assert "at level SERIES already" in house.attributes("add", "OperatorsName", "--level", "SERIES", ok=False)
    assert list(add(house.settings, ["PatientComments"], "PATIENT", "", ""))
    assert house.client.get("/studies?PatientComments=x").status_code == 200
    assert list(remove(house.settings, ["PatientComments"], "PATIENT", ""))
    assert house.client.get("/studies?PatientComments=x").status_code == 400


def test_declared_attributes_narrow_other_keys(house: House) -> None:
    patient = house.objects[0].PatientID
    found = house.search("SERIES", PatientID=patient, **{"RequestAttributesSequence.RequestedProcedureID": "RP1"})
    assert found == house.expected(
        "SERIES",
        lambda ds: ds.PatientID == patient and any(item.RequestedProcedureID == "RP1" for item in items(ds)),
    )
    of_all = house.search("SERIES", **{"RequestAttributesSequence.RequestedProcedureID": "RP1"})
    for level, keys in (("SERIES", "limit=3"), ("SERIES", "limit=3&offset=2")):
        answers = house.client.get(
            f"{RESOURCES[level]}?RequestAttributesSequence.RequestedProcedureID=RP1&{keys}"
        ).json()
        assert len(answers) == 3 and {one[TAGS[level]]["Value"][0] for one in answers} <= of_all


def test_deleted_instances_are_not_found_by_what_they_said(house: House) -> None:
    gone = next(ds for ds in house.objects if any(item.ScheduledProcedureStepID == "SPS2" for item in items(ds)))
    assert house.client.delete(path_of(gone)).is_success
    house.objects.remove(gone)
    key = "RequestAttributesSequence.ScheduledProcedureStepID"
    for level in ("STUDY", "SERIES"):
        wanted = house.expected(level, lambda ds: any(item.ScheduledProcedureStepID == "SPS2" for item in items(ds)))
        assert house.search(level, **{key: "SPS2"}) == wanted
