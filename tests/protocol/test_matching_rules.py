"""Every kind of matching of PS3.4 C.2.2.2 through QIDO-RS and C-FIND, on both databases, against rules written here."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone
from itertools import product
from pathlib import Path
from typing import Any

import httpx
import pytest
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid
from pynetdicom.presentation import build_context

from tests.associations import PATIENT_FIND, STUDY_FIND, dcmtk, keys, scu
from tests.conftest import Server, start
from tests.protocol.web import stow, write
from tests.servers import postgresql_url

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
UTF_8 = "ISO_IR 192"

NAMES: dict[str, tuple[str | list[str], str]] = {
    "japanese": (["", "ISO 2022 IR 87"], "Yamada^Tarou=山田^太郎=やまだ^たろう"),
    "katakana": (["ISO_IR 13", "ISO 2022 IR 87"], "ﾔﾏﾀﾞ^ﾊﾅｺ=山田^花子=やまだ^はなこ"),
    "korean": (["", "ISO 2022 IR 149"], "Hong^Gildong=洪^吉洞=홍^길동"),
    "chinese": ("GB18030", "Wang^XiaoDong=王^小东"),
    "chinese utf": (UTF_8, "Zhang^Wei=张^伟"),
    "greek": ("ISO_IR 126", "Διονυσίου^Μαρία"),
    "russian": ("ISO_IR 144", "Люксембург^Роза"),
    "arabic": ("ISO_IR 127", "قباني^لنزار"),
    "hebrew": ("ISO_IR 138", "שרון^דבורה"),
    "thai": ("ISO_IR 166", "นามสกุล^ชื่อ"),
    "german": ("ISO_IR 100", "Äneas^Rüdiger"),
    "polish": ("ISO_IR 101", "Wałęsa^Łucja"),
    "turkish": ("ISO_IR 148", "Çavuşoğlu^Işıl"),
    "arabic points": (UTF_8, "مُحَمَّد^أحمد"),
    "five parts": (UTF_8, "Adams^John Robert^Quincy^Rev.^B.A. M.Div."),
    "hyphens": (UTF_8, "Morrison-Jones^Susan^^^Ph.D."),
    "stephen": (UTF_8, "Schmidt^Stephen"),
    "steven": (UTF_8, "Schmitt^Steven"),
    "none": (UTF_8, ""),
}

FOUND_BY: list[tuple[str, set[str]]] = [
    # One component group is enough, whichever it is.
    ("Yamada^Tarou", {"japanese"}),
    ("山田^太郎", {"japanese"}),
    ("やまだ^たろう", {"japanese"}),
    ("ヤマダ^タロウ", {"japanese"}),
    ("山田*", {"japanese", "katakana"}),
    ("やまだ*", {"japanese", "katakana"}),
    ("ﾔﾏﾀﾞ^*", {"japanese", "katakana"}),
    ("*^花子", {"katakana"}),
    ("yamada*=山田*", {"japanese"}),
    ("yamada*=王*", set()),
    ("홍*", {"korean"}),
    ("洪^吉洞", {"korean"}),
    ("hong^*=*=홍^길동", {"korean"}),
    ("王^小?", {"chinese"}),
    ("wang^xiaodong", {"chinese"}),
    ("张*", {"chinese utf"}),
    # Case and accents do not matter, in any script.
    ("ΔΙΟΝΥΣΙΟΥ^ΜΑΡΙΑ", {"greek"}),
    ("διονυσιου*", {"greek"}),
    ("люксембург^роза", {"russian"}),
    ("ЛЮКС*", {"russian"}),
    ("قباني*", {"arabic"}),
    ("محمد^احمد", {"arabic points"}),
    ("שרון^*", {"hebrew"}),
    ("*^ชื่อ", {"thai"}),
    ("ANEAS^RUDIGER", {"german"}),
    ("walesa^lucja", {"polish"}),
    ("CAVUSOGLU^ISIL", {"turkish"}),
    # Components, empty ones left out, and wild cards.
    ("adams^john robert^quincy^rev.^*", {"five parts"}),
    ("Adams", set()),
    ("Adams*", {"five parts"}),
    ("*quincy*", {"five parts"}),
    ("morrison-jones^susan", set()),
    ("morrison-jones^susan^^^ph.d.", {"hyphens"}),
    ("sch??d?^*", {"stephen"}),
    ("schmit?^*", {"steven"}),
]

FOUND_FUZZILY: list[tuple[str, set[str]]] = [
    ("john adams", {"five parts"}),
    ("Quincy,Adams", {"five parts"}),
    ("jones", {"hyphens"}),
    ("susan morrison", {"hyphens"}),
    ("Smith", {"stephen", "steven"}),
    ("Schmid*", {"stephen"}),
    ("Stefan", {"stephen", "steven"}),
    ("Schmit^Stevven", {"stephen", "steven"}),
    ("太郎", {"japanese"}),
    ("роза люкс", {"russian"}),
    ("*ayman*", set()),
    ("*adam*", {"five parts"}),
]


def an_object(study: str, **values: Any) -> Dataset:
    """One instance of a study that is known by its Accession Number."""
    ds = Dataset()
    ds.SpecificCharacterSet = UTF_8
    ds.SOPClassUID, ds.AccessionNumber, ds.PatientID = SECONDARY_CAPTURE, study, f"ID {study}"
    ds.StudyInstanceUID = generate_uid(entropy_srcs=[study])
    ds.SeriesInstanceUID, ds.SOPInstanceUID = f"{ds.StudyInstanceUID[:50]}.1", generate_uid()
    ds.Modality = "OT"
    for keyword, value in values.items():
        setattr(ds, keyword, value)
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    return ds


MOMENTS: dict[str, tuple[str, str, str]] = {
    "t1": ("20240310", "235959.999999", "+0000"),
    "t2": ("20240311", "000000", "+0000"),
    "t3": ("20240311", "003000", "+0100"),
    "t4": ("20240310", "190000", "-0500"),
    "t5": ("20240312", "1200", "+0530"),
    "t6": ("20240312", "120000", ""),
    "t7": ("20240311", "", "+0100"),
    "t8": ("20240101", "010203.5", "-1200"),
    "t9": ("20231231", "140203.5", "+1400"),
    "t10": ("", "101500", "+0100"),
}


def objects() -> Iterator[Dataset]:
    """What the servers hold."""
    for study, (charset, name) in NAMES.items():
        yield an_object(study, SpecificCharacterSet=charset, PatientName=name, StudyDescription="name")
    for study, (date, time, offset) in MOMENTS.items():
        zone = {"TimezoneOffsetFromUTC": offset} if offset else {}
        yield an_object(
            study, StudyDate=date, StudyTime=time, SeriesDate=date, SeriesTime=time, StudyDescription="moment", **zone
        )
    for study, modalities in (("m1", ["CT"]), ("m2", ["CT", "PT"]), ("m3", ["PT", "CT", "SR"]), ("m4", [""])):
        for number, modality in enumerate(modalities, 1):
            one = an_object(study, Modality=modality, StudyDescription="modality", SeriesNumber=number)
            one.SeriesInstanceUID = f"{one.StudyInstanceUID[:50]}.{number}"
            yield one
    inside = an_object("inside", StudyDescription="inside", SeriesNumber=None, PatientSex="")
    step, code = Dataset(), Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID, step.RequestedProcedureDescription = "S1", "R1", "Head"
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "T-D1100", "SRT", "Head"
    inside.RequestAttributesSequence, inside.ProcedureCodeSequence = [step], [code]
    inside.AnatomicRegionSequence = [code]
    inside.private_block(0x0019, "ACME 1", create=True).add_new(0x0A, "LO", "one")
    inside.private_block(0x0019, "ACME 2", create=True).add_new(0x0A, "LO", "two")
    yield inside


OBJECTS = list(objects())


@dataclass
class Served:
    """A server and a client of its web services."""

    server: Server
    web: httpx.Client


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def served(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that holds the objects and nothing else."""
    database = {} if request.param == "sqlite" else {"url": postgresql_url()}
    running = start(tmp_path_factory.mktemp("rules"), database=database)
    with httpx.Client(base_url=running.dicomweb_url, timeout=60) as client:
        assert stow(client, *map(write, OBJECTS)).status_code == 200
        yield Served(running, client)
    running.stop()


def qido(served: Served, level: str = "studies", /, **parameters: str) -> list[dict[str, Any]]:
    """The answers of a search."""
    response = served.web.get(f"/{level}", params=parameters)
    assert response.status_code == 200, response.text
    return response.json()


def searched(served: Served, **parameters: str) -> set[str]:
    """The studies that QIDO-RS finds, by their Accession Numbers."""
    return {one["00080050"]["Value"][0] for one in qido(served, **parameters)}


def cfind(
    served: Served, identifier: Dataset, flags: bytes = b"", model: str = STUDY_FIND
) -> tuple[list[Dataset], list[int]]:
    """The answers of a C-FIND with this extended negotiation, and the statuses."""
    extended = {model: flags} if flags else {}
    with scu(served.server, [build_context(model)], extended=extended) as association:
        responses = list(association.send_c_find(identifier, model))
    return [one for _, one in responses if one is not None], [status.Status for status, _ in responses]


def found(served: Served, flags: bytes = b"", **values: Any) -> set[str]:
    """The studies that C-FIND finds, by their Accession Numbers."""
    identifier = keys("STUDY", AccessionNumber="", SpecificCharacterSet=UTF_8, **values)
    answers, statuses = cfind(served, identifier, flags)
    assert statuses[-1] == 0 and set(statuses[:-1]) <= {0xFF00}, statuses
    return {str(one.AccessionNumber) for one in answers}


@pytest.mark.parametrize(("name", "expected"), FOUND_BY, ids=[name for name, _ in FOUND_BY])
def test_names_are_found_by_any_component_group(served: Served, name: str, expected: set[str]) -> None:
    assert searched(served, PatientName=name) == expected


def test_findscu_finds_names_of_every_script_in_one_run(served: Served, tmp_path: Path) -> None:
    for number, (name, _) in enumerate(FOUND_BY):
        dump = tmp_path / f"{number}.dump"
        dump.write_text(f"(0008,0005) CS [{UTF_8}]\n(0008,0052) CS [STUDY]\n(0008,0050) SH\n(0010,0010) PN [{name}]\n")
        dcmtk("dump2dcm", dump, tmp_path / f"{number}.dcm")
    for start_at in range(0, len(FOUND_BY), 12):
        numbers = range(start_at, min(start_at + 12, len(FOUND_BY)))
        printed = dcmtk(
            "findscu", "-v", "-S", "-aec", served.server.ae_title, "127.0.0.1", served.server.dimse_port,
            *(tmp_path / f"{number}.dcm" for number in numbers),
        )  # fmt: skip
        runs = printed.split("Sending Find Request")[1:]
        assert len(runs) == len(numbers)
        for number, run in zip(numbers, runs, strict=True):
            answered = run.split("Find Response:")[1:]
            accessions = {
                line.partition("[")[2].partition("]")[0].strip()
                for one in answered
                for line in one.splitlines()
                if "(0008,0050)" in line
            }
            assert accessions == FOUND_BY[number][1], FOUND_BY[number][0]


@pytest.mark.parametrize(("name", "expected"), FOUND_FUZZILY, ids=[name for name, _ in FOUND_FUZZILY])
def test_fuzzy_names_by_word_and_sound(served: Served, name: str, expected: set[str]) -> None:
    assert searched(served, PatientName=name, fuzzymatching="true") == expected
    assert found(served, b"\0\0\1", PatientName=name) == expected


def moment(study: str) -> tuple[str, datetime | None]:
    """As written, and in UTC when that is known; a time that is missing is midnight as written."""
    date, time, offset = MOMENTS[study]
    written = f"{date}{(time or '000000').ljust(6, '0'):.6}.{time[7:].ljust(6, '0') if '.' in time else '000000'}"
    if not (date and time and offset):
        return written if date else "", None
    local = datetime.strptime(written, "%Y%m%d%H%M%S.%f")
    minutes = int(offset[:3]) * 60 + int(offset[0] + offset[3:])
    return written, local.replace(tzinfo=timezone(timedelta(minutes=minutes))).astimezone(UTC)


def between(low: str, high: str, offset: str = "") -> set[str]:
    """Studies whose moment lies between the two, by a clock with this offset."""
    expected = set()
    for study in MOMENTS:
        written, at = moment(study)
        if offset and at is not None:
            minutes = int(offset[:3]) * 60 + int(offset[0] + offset[3:])
            shown = at.astimezone(timezone(timedelta(minutes=minutes)))
            written = f"{shown:%Y%m%d%H%M%S.%f}"
        if written and low <= written <= high:
            expected.add(study)
    return expected


FIRST, LAST = "00000000000000.000000", "99999999999999.999999"
RANGES = [
    ("20240310-20240311", "1900-0030", "20240310190000.000000", "20240311003059.999999"),
    ("20240310-20240312", "23-12", "20240310230000.000000", "20240312125959.999999"),
    ("20240311-", "0030-", "20240311003000.000000", LAST),
    ("-20240311", "-0000", FIRST, "20240311000059.999999"),
    ("20240310-20240310", "235959.999999-235959.999999", "20240310235959.999999", "20240310235959.999999"),
    ("20231231-20240101", "140203.4-010203.5", "20231231140203.400000", "20240101010203.599999"),
]
OFFSETS = ("+0000", "+0100", "-0500", "+1400", "-1200", "+0530")


@pytest.mark.parametrize(("dates", "times", "low", "high"), RANGES)
def test_dates_and_times_together_are_moments(served: Served, dates: str, times: str, low: str, high: str) -> None:
    assert searched(served, StudyDate=dates, StudyTime=times) == between(low, high)
    assert found(served, b"\0\1", StudyDate=dates, StudyTime=times) == between(low, high)
    series = qido(served, "series", SeriesDate=dates, SeriesTime=times, includefield="AccessionNumber")
    assert {one["00080050"]["Value"][0] for one in series} == between(low, high)
    total = served.web.get("/studies", params={"StudyDate": dates, "StudyTime": times, "count": "true"})
    assert total.headers["x-total-count"] == str(len(between(low, high)))


@pytest.mark.parametrize("offset", OFFSETS)
def test_moments_by_the_clock_of_the_request(served: Served, offset: str) -> None:
    for dates, times, low, high in RANGES:
        expected = between(low, high, offset)
        parameters = {"StudyDate": dates, "StudyTime": times, "TimezoneOffsetFromUTC": offset}
        assert searched(served, **parameters) == expected, dates
        assert found(served, b"\0\1\0\1", **parameters) == expected, dates
    for day in ("20240310", "20240311", "20231231"):
        expected = between(f"{day}000000.000000", f"{day}235959.999999", offset)
        assert searched(served, StudyDate=day, TimezoneOffsetFromUTC=offset) == expected
        series = qido(served, "series", SeriesDate=day, TimezoneOffsetFromUTC=offset, includefield="AccessionNumber")
        assert {one["00080050"]["Value"][0] for one in series} == expected


def test_times_of_day_by_the_clock_of_the_request(served: Served) -> None:
    for offset, (low, high) in product(OFFSETS, (("00", "0030"), ("1200", "2359"), ("000000", "235959.999999"))):
        expected = set()
        for study, (_, time, _) in MOMENTS.items():
            written, at = moment(study)
            shown = written[8:] if at is None else ""
            if at is not None:
                minutes = int(offset[:3]) * 60 + int(offset[0] + offset[3:])
                shown = f"{at.astimezone(timezone(timedelta(minutes=minutes))):%H%M%S.%f}"
            elif study == "t10":
                shown = "101500.000000"
            start_at, end = low.ljust(6, "0") + ".000000", {"0030": "003059", "2359": "235959"}.get(high, high)
            if time and start_at <= shown <= end[:6] + ".999999":
                expected.add(study)
        assert searched(served, StudyTime=f"{low}-{high}", TimezoneOffsetFromUTC=offset) == expected, (offset, low)


def test_dates_and_times_apart_without_negotiation(served: Served) -> None:
    """Without combined matching a range of dates and one of times are two keys, and offsets do not count."""
    day = {study for study, (date, time, _) in MOMENTS.items() if "20240310" <= date <= "20240312" and time}
    noon = {study for study in day if "10" <= MOMENTS[study][1][:2] <= "12"}
    assert noon and noon != between("20240310100000.000000", "20240312125959.999999")
    assert found(served, StudyDate="20240310-20240312", StudyTime="10-12") == noon
    identifier = keys("STUDY", StudyDate="20240310-20240312", StudyTime="10-12", TimezoneOffsetFromUTC="+0530")
    answers, statuses = cfind(served, identifier)
    assert len(answers) == len(noon)
    assert set(statuses) == {0xFF01, 0}, "the offset is a key that was not matched"


def test_answers_by_the_clock_of_the_request(served: Served) -> None:
    asked = {"StudyDate": "", "StudyTime": "", "StudyDescription": "moment", "AccessionNumber": ""}
    answers, _ = cfind(served, keys("STUDY", TimezoneOffsetFromUTC="+0530", **asked), b"\0\0\0\1")
    assert len(answers) == len(MOMENTS)
    for answer in answers:
        date, time, offset = MOMENTS[answer.AccessionNumber]
        _, at = moment(answer.AccessionNumber)
        if at is None:
            assert (answer.StudyDate, answer.StudyTime) == (date, time)
            assert answer.TimezoneOffsetFromUTC == offset or not offset
        else:
            shown = at.astimezone(timezone(timedelta(hours=5, minutes=30)))
            assert (answer.StudyDate, answer.StudyTime[:4]) == (f"{shown:%Y%m%d}", f"{shown:%H%M}")
            assert answer.TimezoneOffsetFromUTC == "+0530"


EMPTY = '""'


def test_empty_values_match_what_has_none(served: Served) -> None:
    everything = {one.AccessionNumber for one in OBJECTS}
    undated = everything - {study for study, (date, _, _) in MOMENTS.items() if date}
    for keyword, expected in (
        ("PatientName", everything - {study for study, (_, name) in NAMES.items() if name}),
        ("StudyDate", undated),
        ("ModalitiesInStudy", {"m4"}),
        ("PatientSex", everything),
        ("StudyDescription", set()),
    ):
        assert searched(served, **{keyword: EMPTY, "emptyvaluematching": "true"}) == expected, keyword
        assert found(served, b"\0\0\0\0\0\1", **{keyword: EMPTY}) == expected, keyword
    assert len(qido(served, "series", SeriesNumber=EMPTY, emptyvaluematching="true", limit="1000")) == sum(
        "SeriesNumber" not in one or one.SeriesNumber is None for one in OBJECTS
    )
    rows = qido(served, "instances", Rows=EMPTY, emptyvaluematching="true", StudyDescription="modality")
    assert len(rows) == 7
    # Without asking for it, two quotation marks are a text like others.
    assert searched(served, PatientName=EMPTY) == set()
    assert found(served, PatientID=EMPTY) == set()


def test_multiple_values_must_all_be_there(served: Served) -> None:
    either, both = {"m1", "m2", "m3"}, {"m2", "m3"}
    assert searched(served, ModalitiesInStudy="CT\\PT") == either
    assert searched(served, ModalitiesInStudy="CT,PT") == either
    assert searched(served, ModalitiesInStudy="CT\\PT", multiplevaluematching="true") == both
    assert found(served, ModalitiesInStudy=["CT", "PT"]) == either
    assert found(served, b"\0" * 6 + b"\1", ModalitiesInStudy=["CT", "PT"]) == both
    assert found(served, b"\0" * 6 + b"\1", ModalitiesInStudy=["PT", "SR", "CT"]) == {"m3"}
    uids = [one.StudyInstanceUID for one in OBJECTS if one.AccessionNumber in ("m1", "m4")]
    assert found(served, b"\0" * 6 + b"\1", StudyInstanceUID=uids) == {"m1", "m4"}, "a list of UIDs stays a list"


def test_hierarchical_and_relational_queries(served: Served) -> None:
    ct = keys("SERIES", Modality="CT", SeriesInstanceUID="", AccessionNumber="")
    _, statuses = cfind(served, ct)
    assert statuses == [0xA900]
    answers, _ = cfind(served, ct, b"\1")
    assert {one.AccessionNumber for one in answers} == {"m1", "m2", "m3"}
    uids = [one.StudyInstanceUID for one in OBJECTS if one.AccessionNumber in ("m1", "m2")]
    ct.StudyInstanceUID = uids
    answers, _ = cfind(served, ct)
    assert {one.StudyInstanceUID for one in answers} == set(uids)
    study = keys("STUDY", PatientID="ID m*", StudyInstanceUID="")
    assert len(cfind(served, study)[0]) == 4, "Patient ID is a key of the study in the study root"
    assert cfind(served, study, model=PATIENT_FIND)[1] == [0xA900]
    assert len(cfind(served, study, b"\1", PATIENT_FIND)[0]) == 4
    study.PatientID = "ID m1"
    assert len(cfind(served, study, model=PATIENT_FIND)[0]) == 1


def test_computed_keys_at_every_level_where_they_are_defined(served: Served) -> None:
    [own] = {one.StudyInstanceUID for one in OBJECTS if one.AccessionNumber == "m3"}
    counters = dict.fromkeys(
        (
            *("NumberOfPatientRelatedStudies", "NumberOfPatientRelatedSeries", "NumberOfPatientRelatedInstances"),
            *("NumberOfStudyRelatedSeries", "NumberOfStudyRelatedInstances", "NumberOfSeriesRelatedInstances"),
        )
    )
    asked = {**counters, "ModalitiesInStudy": "", "SOPClassesInStudy": "", "AvailableTransferSyntaxUID": ""}
    expected = {
        "PATIENT": [1, 3, 3, None, None, None, [], [], None],
        "STUDY": [1, 3, 3, 3, 3, None, ["CT", "PT", "SR"], [SECONDARY_CAPTURE], None],
        "SERIES": [1, 3, 3, 3, 3, 1, ["CT", "PT", "SR"], [SECONDARY_CAPTURE], None],
        "IMAGE": [1, 3, 3, 3, 3, 1, ["CT", "PT", "SR"], [SECONDARY_CAPTURE], ExplicitVRLittleEndian],
    }
    for level, values in expected.items():
        answers, _ = cfind(served, keys(level, PatientID="ID m3", **asked), b"\1", PATIENT_FIND)
        assert len(answers) == (1 if level in ("PATIENT", "STUDY") else 3)
        for answer in answers:
            shown = [getattr(answer, keyword) for keyword in counters]
            assert [None if one is None else int(one) for one in shown] == values[:6], level
            lists = [answer.get(keyword) or [] for keyword in ("ModalitiesInStudy", "SOPClassesInStudy")]
            assert [[one] if isinstance(one, str) else list(one) for one in lists] == values[6:8], level
            assert (answer.AvailableTransferSyntaxUID or None) == values[8], level
            assert (answer.QueryRetrieveLevel, answer.InstanceAvailability) == (level, "ONLINE")
            assert answer.RetrieveAETitle == served.server.ae_title
    [answer] = qido(served, StudyInstanceUID=own, includefield="NumberOfPatientRelatedInstances,SOPClassesInStudy")
    assert answer["00201204"]["Value"] == [3]
    assert answer["00080062"]["Value"] == [SECONDARY_CAPTURE]


def test_fields_inside_sequences_and_private_ones(served: Served) -> None:
    def asked(level: str, fields: str) -> dict[str, Any]:
        [answer] = qido(served, level, AccessionNumber="inside", includefield=fields)
        return answer

    code = asked("studies", "ProcedureCodeSequence.CodeValue")["00081032"]
    assert code == {"vr": "SQ", "Value": [{"00080100": {"vr": "SH", "Value": ["T-D1100"]}}]}
    code = asked("studies", "00081032.00080100,ProcedureCodeSequence.00080104")["00081032"]
    assert set(code["Value"][0]) == {"00080100", "00080104"}
    assert set(asked("studies", "ProcedureCodeSequence")["00081032"]["Value"][0]) == {
        "00080100",
        "00080102",
        "00080104",
    }
    # What is returned anyway is not cut down (PS3.18 table 10.6.3-4).
    steps = asked("series", "RequestAttributesSequence.ScheduledProcedureStepID")["00400275"]["Value"]
    assert {"00400009", "00401001"} <= set(steps[0])
    region = asked("instances", "AnatomicRegionSequence.CodeMeaning")["00082218"]
    assert region["Value"] == [{"00080104": {"vr": "LO", "Value": ["Head"]}}]
    private = asked("instances", "0019100A")
    assert (private["00190010"]["Value"], private["0019100A"]["Value"]) == (["ACME 1"], ["one"])
    assert "0019110A" not in private
    private = asked("instances", "0019200A[ACME 2]")
    assert (private["00190020"]["Value"], private["0019200A"]["Value"]) == (["ACME 2"], ["two"])
    everything = asked("instances", "all")
    assert {"0019100A", "0019110A", "00081032", "00100010"} <= set(everything)

    identifier = keys("IMAGE", AccessionNumber="inside")
    identifier.private_block(0x0019, "ACME 2", create=True).add_new(0x0A, "LO", "")
    step = Dataset()
    step.RequestedProcedureID = ""
    identifier.RequestAttributesSequence = [step]
    [answer], statuses = cfind(served, identifier, b"\1")
    assert statuses == [0xFF00, 0]
    assert answer.private_block(0x0019, "ACME 2")[0x0A].value == "two"
    assert [list(item.keys()) for item in answer.RequestAttributesSequence] == [[0x00401001]]
    assert answer.RequestAttributesSequence[0].RequestedProcedureID == "R1"


def test_fields_that_a_level_does_not_have_are_named(served: Served) -> None:
    response = served.web.get("/studies?includefield=Rows,StudyDescription,0019100A")
    assert response.status_code == 200
    assert "Rows, 0019100A" in response.headers["warning"]
    assert "StudyDescription" not in response.headers["warning"]
    assert "warning" not in served.web.get("/studies?includefield=PatientComments,all").headers


def test_keys_inside_sequences(served: Served) -> None:
    path = "RequestAttributesSequence.ScheduledProcedureStepID"
    assert len(qido(served, "series", **{path: "S1"})) == 1
    assert len(qido(served, "series", **{"00400275.00400009": "S*"})) == 1
    assert qido(served, "series", **{path: "S2"}) == []
    step = Dataset()
    step.ScheduledProcedureStepID, step.RequestedProcedureID = "S1", ""
    identifier = keys("SERIES", SeriesInstanceUID="")
    identifier.RequestAttributesSequence = [step]
    [answer], statuses = cfind(served, identifier, b"\1")
    assert statuses == [0xFF00, 0]
    assert (answer.RequestAttributesSequence[0].RequestedProcedureID) == "R1"
    step.ScheduledProcedureStepID = "S2"
    assert cfind(served, identifier, b"\1")[0] == []
    step.ScheduledProcedureStepDescription = "x"
    assert cfind(served, identifier, b"\1")[1] == [0], "no match, so nothing to announce"
    step.ScheduledProcedureStepID = "S1"
    assert cfind(served, identifier, b"\1")[1] == [0xFF01, 0]


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ("limit=1&limit=2", "limit"),
        ("fuzzymatching=true&fuzzymatching=true", "fuzzymatching"),
        ("emptyvaluematching=perhaps", "emptyvaluematching"),
        ("StudyDate=20240201-20240101", "StudyDate"),
        ("StudyTime=12-11", "StudyTime"),
        ("StudyDate=20240101-20240101&StudyTime=12-11", "StudyDate"),
        ("StudyDate=20240101&TimezoneOffsetFromUTC=CET", "TimezoneOffsetFromUTC"),
        ("TimezoneOffsetFromUTC=%2B1500", "TimezoneOffsetFromUTC"),
        ("includefield=StudyDescription.", "StudyDescription"),
        ("includefield=NoSuchSequence.CodeValue", "NoSuchSequence"),
        ("00191010=x", "00191010"),
        ("ModalitiesInStudy=C*,M*", "ModalitiesInStudy"),
        ("PatientName=a%07b", "control"),
    ],
)
def test_what_cannot_be_understood_is_refused_and_named(served: Served, query: str, named: str) -> None:
    response = served.web.get(f"/studies?{query}")
    assert response.status_code == 400, response.text
    assert named in response.json()["error"]["message"]


def test_edges_of_paging(served: Served) -> None:
    assert qido(served, limit="0") == []
    assert qido(served, offset="2000000000") == []
    assert qido(served, PatientID="", limit="3") == qido(served, limit="3")
    assert len(qido(served, limit="1000")) == len({one.StudyInstanceUID for one in OBJECTS})


def test_answers_in_xml(served: Served) -> None:
    xml = 'multipart/related; type="application/dicom+xml"'
    response = served.web.get("/studies?StudyDescription=modality", headers={"Accept": xml})
    assert response.headers["content-type"].startswith(xml)
    documents = response.content.split(b"<?xml")[1:]
    assert len(documents) == 4
    for document, answer in zip(documents, qido(served, StudyDescription="modality"), strict=True):
        assert answer["0020000D"]["Value"][0].encode() in document
        assert answer["00081190"]["Value"][0].encode() in document
    by_parameter = served.web.get("/studies", params={"StudyDescription": "modality", "accept": xml})
    assert by_parameter.content.count(b"<NativeDicomModel") == 4
    nothing = served.web.get("/studies?StudyDescription=none", headers={"Accept": xml})
    assert (nothing.status_code, nothing.content) == (204, b"")
    assert served.web.get("/studies?charset=utf-8").status_code == 200
    assert served.web.get("/studies?charset=iso-8859-1").status_code == 406
