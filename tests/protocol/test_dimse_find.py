"""C-FIND against brute force over the files, with DCMTK and pynetdicom asking."""

import re
from fnmatch import fnmatchcase

import pytest
from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid
from pynetdicom.presentation import build_context

from dimse import commands
from tests.associations import (
    EXPLICIT,
    IMPLICIT,
    PATIENT_FIND,
    STUDY_FIND,
    dcmtk,
    find,
    keys,
    pdata,
    raw_association,
    read_pdu,
    scu,
    store,
)
from tests.conftest import Server
from tests.samples import sample

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

BIG = "1.2.840.10008.1.2.2"
CHARSETS = ("chrArab", "chrFren", "chrGerm", "chrGreek", "chrHbrw", "chrI2", "chrRuss", "chrX1", "chrX2", "chrH31")


@pytest.fixture(scope="module")
def population(server: Server, tmp_path_factory) -> list[Dataset]:
    """Studies of our own on the server: 12 patients with 1 to 3 series of 1 to 4 instances."""
    folder = tmp_path_factory.mktemp("population")
    template = dcmread(sample("ct_head_phantom_54/I100.dcm"))
    del template.PixelData
    made = []
    for number in range(12):
        study = generate_uid()
        for series_number in range(1 + number % 3):
            series = generate_uid()
            for instance_number in range(1 + number % 4):
                one = Dataset()
                one.update(template)
                one.file_meta = template.file_meta.copy() if hasattr(template.file_meta, "copy") else template.file_meta
                one.SOPInstanceUID = generate_uid()
                one.file_meta.MediaStorageSOPInstanceUID = one.SOPInstanceUID
                one.StudyInstanceUID, one.SeriesInstanceUID = study, series
                one.PatientID = f"FIND{number:02}"
                one.PatientName = f"{('Adams', 'Baker', 'Clark')[number % 3]}^N{number}"
                one.StudyDate = f"2021{number + 1:02}15"
                one.StudyTime = f"{number:02}3000"
                one.AccessionNumber = f"ACC{number}"
                one.SeriesNumber = series_number + 1
                one.Modality = ("CT", "MR", "SR")[series_number]
                one.InstanceNumber = instance_number + 1
                path = folder / f"{one.SOPInstanceUID}.dcm"
                one.save_as(path, enforce_file_format=True)
                made.append((one, path))
    assert set(store(server, [path for _, path in made]).values()) == {0}
    return [one for one, _ in made]


def uids(datasets, keyword: str) -> set[str]:
    return {str(getattr(one, keyword)) for one in datasets}


@pytest.mark.parametrize(
    ("values", "matches"),
    [
        ({"PatientID": "FIND*"}, lambda one: True),
        ({"PatientID": "FIND0?"}, lambda one: one.PatientID < "FIND10"),
        ({"PatientID": "FIND03"}, lambda one: one.PatientID == "FIND03"),
        ({"PatientID": "find03"}, lambda one: False),
        ({"PatientID": "FIND*", "PatientName": "BAKER*"}, lambda one: fnmatchcase(str(one.PatientName), "Baker*")),
        (
            {"PatientID": "FIND*", "StudyDate": "20210401-20210731"},
            lambda one: "20210401" <= one.StudyDate <= "20210731",
        ),
        ({"PatientID": "FIND*", "StudyDate": "20211015-"}, lambda one: one.StudyDate >= "20211015"),
        ({"PatientID": "FIND*", "StudyDate": "-20210215"}, lambda one: one.StudyDate <= "20210215"),
        ({"PatientID": "FIND*", "StudyTime": "0000-0400"}, lambda one: one.StudyTime <= "040059"),
        ({"PatientID": "FIND*", "ModalitiesInStudy": "MR"}, lambda one: int(one.PatientID[4:]) % 3 >= 1),
        ({"PatientID": "FIND*", "Modality": "SR"}, lambda one: int(one.PatientID[4:]) % 3 == 2),
        ({"AccessionNumber": "ACC11"}, lambda one: one.AccessionNumber == "ACC11"),
    ],
    ids=lambda value: "-".join(value.values()) if isinstance(value, dict) else "",
)
def test_study_level(server, population, values, matches):
    answers, statuses = find(server, "STUDY", **{"StudyInstanceUID": "", **values})
    wanted = {one.StudyInstanceUID for one in population if matches(one)}
    assert uids(answers, "StudyInstanceUID") & uids(population, "StudyInstanceUID") == wanted
    assert len(answers) == len(uids(answers, "StudyInstanceUID"))
    assert statuses == [0xFF00] * len(answers) + [0]


def test_list_of_uids(server, population):
    some = sorted(uids(population, "StudyInstanceUID"))[:3]
    answers, _ = find(server, "STUDY", StudyInstanceUID=[*some, "1.2.3.4.5"])
    assert sorted(one.StudyInstanceUID for one in answers) == some


@pytest.mark.parametrize("model", [STUDY_FIND, PATIENT_FIND])
def test_series_and_image_level(server, population, model):
    study = population[-1].StudyInstanceUID
    here = [one for one in population if one.StudyInstanceUID == study]
    above = {"PatientID": here[0].PatientID, "StudyInstanceUID": study}
    series, _ = find(
        server, "SERIES", model=model, SeriesInstanceUID="", Modality="", NumberOfSeriesRelatedInstances=None, **above
    )
    assert uids(series, "SeriesInstanceUID") == uids(here, "SeriesInstanceUID")
    for answer in series:
        inside = [one for one in here if one.SeriesInstanceUID == answer.SeriesInstanceUID]
        assert answer.Modality == inside[0].Modality
        assert answer.NumberOfSeriesRelatedInstances == len(inside)
        images, _ = find(
            server,
            "IMAGE",
            model=model,
            SeriesInstanceUID=answer.SeriesInstanceUID,
            SOPInstanceUID="",
            InstanceNumber=None,
            **above,
        )
        assert sorted((one.SOPInstanceUID, one.InstanceNumber) for one in images) == sorted(
            (one.SOPInstanceUID, one.InstanceNumber) for one in inside
        )


def test_patient_level(server, population):
    answers, _ = find(
        server, "PATIENT", model=PATIENT_FIND, PatientID="FIND0*", PatientName="", NumberOfPatientRelatedStudies=None
    )
    assert uids(answers, "PatientID") == {one.PatientID for one in population if one.PatientID < "FIND10"}
    assert {int(one.NumberOfPatientRelatedStudies) for one in answers} == {1}


def test_only_what_was_asked_for_is_answered(server, population):
    answers, _ = find(server, "STUDY", PatientID="FIND05", StudyDate="", PatientComments="")
    [answer] = answers
    assert {element.keyword for element in answer} == {
        *("QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability", "StudyInstanceUID"),
        *("PatientID", "StudyDate", "PatientComments"),
    }
    assert answer.RetrieveAETitle == server.ae_title
    assert answer.StudyDate == "20210615"


@pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])
def test_every_encoding_of_identifiers(server, population, syntax):
    with scu(server, [build_context(STUDY_FIND, syntax)]) as association:
        responses = list(association.send_c_find(keys("STUDY", PatientID="FIND07", PatientName=""), STUDY_FIND))
    assert [str(answer.PatientName) for _, answer in responses if answer] == ["Baker^N7"]


@pytest.mark.parametrize("name", CHARSETS)
def test_names_are_found_and_answered_in_the_callers_character_set(server, name):
    path = sample(f"charset/{name}.dcm")
    store(server, [path])
    original = dcmread(path)
    original.decode()
    whole = str(original.PatientName)
    pattern = whole.split("=")[-1].split("^")[0] + "*"
    for charset in ("ISO_IR 192", original.SpecificCharacterSet):
        answers, _ = find(
            server,
            "STUDY",
            SpecificCharacterSet=charset,
            PatientName=pattern,
            StudyInstanceUID=original.StudyInstanceUID,
        )
        [answer] = answers
        answer.decode()
        assert str(answer.PatientName) == whole
        assert answer.SpecificCharacterSet == charset


def test_keys_that_cannot_be_matched_are_announced(server, population):
    answers, statuses = find(server, "STUDY", PatientID="FIND05", StudyInstanceUID="", PatientComments="x")
    assert len(answers) == 1
    assert statuses == [0xFF01, 0]


@pytest.mark.parametrize(
    ("level", "model", "values"),
    [
        ("PATIENT", STUDY_FIND, {"PatientID": "FIND01"}),
        ("NOTHING", STUDY_FIND, {"PatientID": "FIND01"}),
        ("", STUDY_FIND, {"PatientID": "FIND01"}),
        ("STUDY", STUDY_FIND, {"StudyDate": "tomorrow"}),
        ("STUDY", STUDY_FIND, {"SOPInstanceUID": "1.2.3"}),
        ("STUDY", STUDY_FIND, {"StudyInstanceUID": "1.2.*"}),
    ],
)
def test_refused_queries(server, population, level, model, values):
    answers, statuses = find(server, level, model=model, **values)
    assert (answers, statuses) == ([], [0xA900])


def test_cancel(server, tmp_path):
    """A query with more answers than fit into one batch is cancelled after the first."""
    with raw_association(server, build_context(STUDY_FIND, EXPLICIT)) as sock:
        template = _make_images(server, tmp_path, count=150)
        request = {
            commands.AFFECTED_SOP_CLASS: STUDY_FIND,
            commands.COMMAND_FIELD: 0x20,
            commands.MESSAGE_ID: 5,
            commands.PRIORITY: 0,
            commands.DATA_SET_TYPE: 1,
        }
        identifier = bytes.fromhex("08005200") + b"CS\6\0IMAGE " + bytes.fromhex("08001800") + b"UI\0\0"
        for tag, uid in (("20000D00", template.StudyInstanceUID), ("20000E00", template.SeriesInstanceUID)):
            value = uid.encode() + b"\0" * (len(uid) % 2)
            identifier += bytes.fromhex(tag) + b"UI" + len(value).to_bytes(2, "little") + value
        cancel = {commands.COMMAND_FIELD: 0x0FFF, commands.RESPONDED_TO: 5, commands.DATA_SET_TYPE: 0x0101}
        # Both go out together, so that the C-CANCEL is there before the first batch.
        sock.sendall(
            pdata(1, 3, commands.encode(request)) + pdata(1, 2, identifier) + pdata(1, 3, commands.encode(cancel))
        )
        statuses = _statuses(sock)
        assert statuses[-1] == 0xFE00
        assert len(statuses) < 150
        # The association can be used further, and a late C-CANCEL is no error.
        sock.sendall(pdata(1, 3, commands.encode(cancel)))
        sock.sendall(pdata(1, 3, commands.encode(request)) + pdata(1, 2, identifier))
        statuses = _statuses(sock)
        assert statuses[-1] == 0
        assert len(statuses) > 150


def test_findscu(server, population):
    printed = dcmtk(
        "findscu", "-v", "-S", "-aec", server.ae_title, "127.0.0.1", server.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", "PatientID=FIND1*", "-k", "StudyInstanceUID",
    )  # fmt: skip
    # findscu prints the zero byte that pads a UID of odd length (PS3.5 6.2).
    found = set(re.findall(r"UI \[([0-9.]+)\0?\]", printed))
    assert found == {one.StudyInstanceUID for one in population if one.PatientID >= "FIND10"}
    assert "Received Final Find Response (Success)" in printed


def _make_images(server: Server, folder, *, count: int) -> Dataset:
    template = dcmread(sample("ct_head_phantom_54/I100.dcm"))
    del template.PixelData
    template.StudyInstanceUID, template.SeriesInstanceUID = generate_uid(), generate_uid()
    paths = []
    for number in range(count):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        template.InstanceNumber = number
        paths.append(folder / f"{number}.dcm")
        template.save_as(paths[-1])
    assert set(store(server, paths).values()) == {0}
    return template


def _statuses(sock) -> list[int]:
    """The statuses of all responses up to the final one."""
    statuses = []
    while True:
        pdu_type, body = read_pdu(sock)
        assert pdu_type == 4
        if body[5] & 1:
            statuses.append(commands.decode(body[6:]).status)
            if statuses[-1] & 0xFF00 != 0xFF00:
                return statuses
