"""Identifiers against pydicom's reader and writer."""

from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pydicom.filewriter import write_dataset
from pydicom.sequence import Sequence

from dimse.contexts import Model
from dimse.elements import read
from dimse.extended import NONE, Flags
from dimse.find_request import FindRequest, find_request
from dimse.identifier import Identifier, Renderer, failed_instances, parse, retrieve_query
from index.errors import CannotUnderstand, InvalidQuery
from index.query import AllOf, AnyOf, Clock, Empty, Exact, Moment, PersonName, Query, Range, Wildcard
from index.records import Level

IMPLICIT, EXPLICIT, BIG = "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
STUDY_ROOT = Model("find", "study")
PATIENT_ROOT = Model("find", "patient")

# We write what a conforming SCU would not.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

syntaxes = pytest.mark.parametrize("syntax", [IMPLICIT, EXPLICIT, BIG])


def encoded(dataset: Dataset, syntax: str, *, undefined_lengths: bool = False) -> bytes:
    for element in dataset:
        if element.VR == "SQ" and undefined_lengths:
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
    buffer = DicomBytesIO()
    buffer.is_implicit_VR, buffer.is_little_endian = syntax == IMPLICIT, syntax != BIG
    write_dataset(buffer, dataset)
    return buffer.getvalue()


def decoded(data: bytes, syntax: str) -> Dataset:
    return read_dataset(BytesIO(data), syntax == IMPLICIT, syntax != BIG)


def keys(**values) -> Dataset:
    dataset = Dataset()
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def identifier(model: Model = STUDY_ROOT, syntax: str = EXPLICIT, **values) -> Identifier:
    return parse(encoded(keys(**values), syntax), syntax, model)


def find_query(asked: Identifier, model: Model = STUDY_ROOT, flags: Flags = NONE) -> tuple[Query, FindRequest]:
    """The query of a C-FIND with these flags negotiated, and what else was asked."""
    request = find_request(asked, model, flags)
    return request.query(), request


@syntaxes
@pytest.mark.parametrize("undefined_lengths", [False, True])
def test_reads_what_pydicom_writes(syntax, undefined_lengths):
    item = keys(ScheduledProcedureStepID="1", RequestedProcedureID="")
    nested = keys(CodeValue="x")
    item.RequestedProcedureCodeSequence = Sequence([nested, Dataset()])
    dataset = keys(PatientName="A*", StudyInstanceUID=["1.2", "1.3"], Rows=512, StudyDate="20200101-")
    dataset.RequestAttributesSequence = Sequence([item])

    elements = read(encoded(dataset, syntax, undefined_lengths=undefined_lengths), syntax)

    assert list(elements) == [int(element.tag) for element in dataset]
    assert elements[0x00100010].value.strip() == b"A*"
    assert elements[0x0020000D].value == b"1.2\\1.3\0"
    [step] = elements[0x00400275].items
    assert step[0x00400009].value.strip() == b"1"
    assert [list(one) for one in step[0x00321064].items] == [[0x00080100], []]
    assert not elements[0x00400275].is_empty


@given(data=st.binary(max_size=300), syntax=st.sampled_from([IMPLICIT, EXPLICIT, BIG]))
def test_garbage_raises_only_invalid_query(data, syntax):
    try:
        find_query(parse(data, syntax, PATIENT_ROOT), PATIENT_ROOT)
    except InvalidQuery:
        pass


@given(data=st.data())
def test_a_cut_identifier_is_refused_or_shorter(data):
    whole = encoded(keys(QueryRetrieveLevel="STUDY", PatientName="A", StudyInstanceUID=""), EXPLICIT)
    cut = whole[: data.draw(st.integers(0, len(whole) - 1))]
    try:
        assert len(read(cut, EXPLICIT)) < 3
    except CannotUnderstand:
        pass


def test_deep_nesting_is_refused():
    bomb = bytes.fromhex("08001211ffffffff" + "feff00e0ffffffff") * 5000
    with pytest.raises(CannotUnderstand):
        read(bomb, IMPLICIT)


def test_keys_become_filters():
    query, request = find_query(
        identifier(
            QueryRetrieveLevel="SERIES",
            PatientName="Smith^*",
            PatientID="AB?",
            StudyDate="20200101-20201231",
            StudyInstanceUID=["1.2", "1.3"],
            SeriesInstanceUID="1.2.3",
            Modality="",
            SeriesDescription="",
        )
    )
    assert not request.unsupported
    assert not request.declared
    assert query.level is Level.SERIES
    assert set(query.filters) == {
        PersonName("PatientName", "Smith^*"),
        Wildcard("PatientID", "AB?"),
        Range("StudyDate", "20200101", "20201231"),
        AnyOf("StudyInstanceUID", ("1.2", "1.3")),
        Exact("SeriesInstanceUID", "1.2.3"),
    }
    assert {"00080060", "0008103E", "0020000E"} <= query.returned


def test_matching_text_is_read_in_its_character_set():
    query, _ = find_query(
        identifier(SpecificCharacterSet="ISO_IR 144", QueryRetrieveLevel="STUDY", PatientName="Люкceмбypг*")
    )
    assert query.filters == (PersonName("PatientName", "Люкceмбypг*"),)


def test_modality_at_study_level_means_modalities_in_study():
    query, request = find_query(identifier(QueryRetrieveLevel="STUDY", Modality="CT"))
    assert query.filters == (Exact("ModalitiesInStudy", "CT"),)
    assert not request.unsupported


def test_a_key_that_cannot_be_matched_is_announced():
    query, request = find_query(identifier(QueryRetrieveLevel="STUDY", PatientComments="x"))
    assert [([step.tag for step in path], text) for path, text in request.declared] == [(["00104000"], "x")]
    assert query.filters == ()


def test_a_view_that_nobody_makes_is_announced():
    assert find_query(identifier(QueryRetrieveLevel="STUDY", QueryRetrieveView="ENHANCED"))[1].unsupported
    assert not find_query(identifier(QueryRetrieveLevel="STUDY", QueryRetrieveView=""))[1].unsupported


SERIES_QUERY = {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2"}
IMAGE_QUERY = {"QueryRetrieveLevel": "IMAGE", "StudyInstanceUID": "1.2", "SeriesInstanceUID": ["1.3", "1.4"]}


@pytest.mark.parametrize(
    ("model", "values", "missing"),
    [
        (STUDY_ROOT, {"QueryRetrieveLevel": "STUDY", "PatientName": "A*"}, None),
        (STUDY_ROOT, SERIES_QUERY, None),
        (STUDY_ROOT, IMAGE_QUERY, None),
        (STUDY_ROOT, {**SERIES_QUERY, "StudyInstanceUID": ""}, "StudyInstanceUID"),
        (STUDY_ROOT, {"QueryRetrieveLevel": "SERIES", "Modality": "CT"}, "StudyInstanceUID"),
        (STUDY_ROOT, {**IMAGE_QUERY, "SeriesInstanceUID": ""}, "SeriesInstanceUID"),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "PATIENT"}, None),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "STUDY", "PatientID": "P1"}, None),
        (PATIENT_ROOT, {"QueryRetrieveLevel": "STUDY", "PatientID": "P*"}, "PatientID"),
        (PATIENT_ROOT, SERIES_QUERY, "PatientID"),
    ],
)
def test_hierarchical_queries_name_what_is_above_relational_ones_need_not(model, values, missing):
    if missing is None:
        find_query(identifier(model, **values), model)
    else:
        with pytest.raises(InvalidQuery, match=missing) as caught:
            find_query(identifier(model, **values), model)
        assert len(caught.value.detail) <= 64, "Error Comment is LO"
    find_query(identifier(model, **values), model, Flags(relational=True))


def test_what_was_negotiated_is_what_keys_mean():
    asked = identifier(
        QueryRetrieveLevel="STUDY",
        StudyDate="20240101-20240102",
        StudyTime="10-1130",
        PatientID='""',
        ModalitiesInStudy=["CT", "PT"],
        TimezoneOffsetFromUTC="+0100",
    )
    query, request = find_query(asked)
    assert query.filters[:2] == (Range("StudyDate", "20240101", "20240102"), Range("StudyTime", "10", "1130"))
    assert query.filters[2:] == (AnyOf("ModalitiesInStudy", ("CT", "PT")), Exact("PatientID", '""'))
    assert [text for _, text in request.declared] == ["+0100"]
    everything = Flags(combined_moments=True, timezone=True, empty_values=True, multiple_values=True, fuzzy_names=True)
    query, request = find_query(asked, flags=everything)
    assert set(query.filters) == {
        Moment("StudyDate", "20240101100000.000000", "20240102113059.999999", 60),
        Empty("PatientID"),
        AllOf("ModalitiesInStudy", ("CT", "PT")),
    }
    assert query.fuzzy
    assert not request.declared
    query, _ = find_query(asked, flags=Flags(timezone=True))
    assert Moment("StudyDate", "20240101000000.000000", "20240102235959.999999", 60) in query.filters
    assert Clock("StudyTime", "100000.000000", "113059.999999", 60) in query.filters
    with pytest.raises(InvalidQuery, match="Timezone"):
        find_query(identifier(QueryRetrieveLevel="STUDY", TimezoneOffsetFromUTC="CET"), flags=Flags(timezone=True))


def test_keys_inside_sequences_and_private_ones():
    item = keys(ScheduledProcedureStepID="S1", RequestedProcedureID="")
    dataset = keys(**SERIES_QUERY)
    dataset.RequestAttributesSequence = Sequence([item])
    dataset.ProcedureCodeSequence = Sequence([])
    dataset.private_block(0x0019, "ACME", create=True).add_new(0x0A, "LO", "x")
    query, request = find_query(parse(encoded(dataset, EXPLICIT), EXPLICIT, STUDY_ROOT))
    asked = {(".".join(map(str, path)), text) for path, text in request.declared}
    assert asked == {("00400275.00400009", "S1"), ("0019100A[ACME]", "x")}
    assert query.paths == {("00400275", "00400009"), ("00400275", "00401001")}
    assert query.private == {("0019100A", "ACME")}
    assert {"00400275", "00081032"} <= query.returned
    dataset.RequestAttributesSequence = Sequence([item, item])
    with pytest.raises(InvalidQuery, match="one item"):
        find_query(parse(encoded(dataset, EXPLICIT), EXPLICIT, STUDY_ROOT))


@pytest.mark.parametrize(
    ("model", "values"),
    [
        (STUDY_ROOT, {"QueryRetrieveLevel": "PATIENT"}),
        (STUDY_ROOT, {"QueryRetrieveLevel": "study"}),
        (STUDY_ROOT, {"PatientID": "1"}),
        (Model("find", "patient-study-only"), {"QueryRetrieveLevel": "SERIES"}),
        (STUDY_ROOT, {"QueryRetrieveLevel": "STUDY", "StudyDate": "yesterday"}),
    ],
    ids=["patient in study root", "lower case", "no level", "series in patient study only", "date"],
)
def test_refused_queries(model, values):
    with pytest.raises(InvalidQuery):
        find_query(identifier(model, **values), model)


def test_undecodable_text_is_refused():
    data = encoded(keys(SpecificCharacterSet="ISO_IR 192", QueryRetrieveLevel="STUDY", PatientID="AAAA"), EXPLICIT)
    with pytest.raises(InvalidQuery):
        find_query(parse(data.replace(b"AAAA", b"\xff\xfe\xfd\xfc"), EXPLICIT, STUDY_ROOT))


@pytest.mark.parametrize(
    "values",
    [
        {"QueryRetrieveLevel": "STUDY"},
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "*"},
        {"QueryRetrieveLevel": "PATIENT", "PatientID": "A*"},
        {"QueryRetrieveLevel": "SERIES", "StudyInstanceUID": "1.2"},
        {"QueryRetrieveLevel": "STUDY", "StudyInstanceUID": "1.2", "PatientComments": "x"},
    ],
    ids=["no key", "all", "pattern", "key of another level", "unknown key"],
)
def test_refused_retrieves(values):
    with pytest.raises(InvalidQuery):
        retrieve_query(identifier(Model("move", "patient"), **values))


def test_a_retrieve_names_its_unique_keys():
    query = retrieve_query(
        identifier(QueryRetrieveLevel="SERIES", StudyInstanceUID="1.2", SeriesInstanceUID=["1.2.3", "1.2.4"])
    )
    assert query.level is Level.SERIES
    assert set(query.filters) == {Exact("StudyInstanceUID", "1.2"), AnyOf("SeriesInstanceUID", ("1.2.3", "1.2.4"))}


ANSWER = {
    "00080020": {"vr": "DA", "Value": ["20200102"]},
    "00080061": {"vr": "CS", "Value": ["CT", "MR"]},
    "00100010": {"vr": "PN", "Value": [{"Alphabetic": "Müller^Änne"}]},
    "00101020": {"vr": "DS", "Value": [1.7, 12]},
    "0020000D": {"vr": "UI", "Value": ["1.2.3"]},
    "00201208": {"vr": "IS", "Value": [250]},
    "00280010": {"vr": "US", "Value": [512]},
    "00400275": {"vr": "SQ", "Value": [{"00400009": {"vr": "SH", "Value": ["S1"]}}, {}]},
}


def rendered(syntax: str = EXPLICIT, *, answer=ANSWER, **values) -> Dataset:
    asked = identifier(syntax=syntax, QueryRetrieveLevel="STUDY", **values)
    return decoded(Renderer(asked, STUDY_ROOT, "PACS", syntax).render(answer), syntax)


@syntaxes
def test_answers_are_what_pydicom_reads(syntax):
    answer = rendered(
        syntax,
        SpecificCharacterSet="ISO_IR 100",
        StudyDate="",
        ModalitiesInStudy="",
        PatientName="",
        PatientSize="",
        NumberOfStudyRelatedInstances="",
        Rows=None,
        RequestAttributesSequence=[],
        PatientID="",
    )
    assert answer.SpecificCharacterSet == "ISO_IR 100"
    assert answer.QueryRetrieveLevel == "STUDY"
    assert answer.RetrieveAETitle == "PACS"
    assert answer.InstanceAvailability == "ONLINE"
    assert answer.StudyInstanceUID == "1.2.3"
    assert answer.ModalitiesInStudy == ["CT", "MR"]
    assert answer.PatientName == "Müller^Änne"
    assert [float(value) for value in answer.PatientSize] == [1.7, 12.0]
    assert answer.NumberOfStudyRelatedInstances == 250
    assert answer.Rows == 512
    assert answer.RequestAttributesSequence[0].ScheduledProcedureStepID == "S1"
    assert len(answer.RequestAttributesSequence[1]) == 0
    assert answer["PatientID"].is_empty
    assert [element.tag for element in answer] == sorted(element.tag for element in answer)


def test_only_requested_and_unique_keys_return():
    answer = rendered(StudyDate="")
    expected = {"StudyDate", "StudyInstanceUID", "QueryRetrieveLevel", "RetrieveAETitle", "InstanceAvailability"}
    assert {element.keyword for element in answer} == expected


@pytest.mark.parametrize(
    ("terms", "name", "expected_terms"),
    [
        (None, "Mueller", None),
        (None, "Müller", "ISO_IR 192"),
        ("ISO_IR 100", "Müller", "ISO_IR 100"),
        ("ISO_IR 100", "Кириллица", "ISO_IR 192"),
        ("ISO_IR 192", "山田", "ISO_IR 192"),
        ("GB18030", "王^小东", "GB18030"),
        (["", "ISO 2022 IR 87"], "山田^太郎", ["", "ISO 2022 IR 87"]),
        (["", "ISO 2022 IR 149"], "김^희중", ["", "ISO 2022 IR 149"]),
        (["", "ISO 2022 IR 149"], "山^ü", "ISO_IR 192"),
    ],
)
def test_answers_keep_to_the_character_set_asked_with(terms, name, expected_terms):
    asked = {"SpecificCharacterSet": terms} if terms else {}
    answer = rendered(
        answer={**ANSWER, "00100010": {"vr": "PN", "Value": [{"Alphabetic": "x", "Ideographic": name}]}},
        PatientName="",
        **asked,
    )
    answer.decode()
    assert answer.PatientName.ideographic == name
    assert answer.get("SpecificCharacterSet") == expected_terms


def test_failed_instances():
    answer = decoded(failed_instances(["1.2", "1.3.4"], EXPLICIT), EXPLICIT)
    assert answer.FailedSOPInstanceUIDList == ["1.2", "1.3.4"]
