"""Answers as text say the same as answers as values, in the order of PS3.18 F.2.2, and where to get what they name."""

import json

import pytest

from index.query import Exact, Filter, Query
from index.records import InstanceRecord, Level
from tests.indexes import Index
from tests.records import a_record

_ROOT = "http://pacs.example/dicomweb"
_LOOKS_LIKE_A_GAP = '{"00080056":null,"00081190":null}, "x":null\\ null'


def _records() -> list[InstanceRecord]:
    """Plain ones, one without an image, and ones whose texts look like the places of computed values."""
    return [
        a_record("plain", StudyDescription="Head", BodyPartExamined="HEAD", Rows=2, Columns=2, InstanceNumber=7),
        a_record("odd", StudyDescription=_LOOKS_LIKE_A_GAP, SeriesDescription=_LOOKS_LIKE_A_GAP, PatientName='O"Neill'),
        a_record("empty", PatientComments="none", Manufacturer="ACME", Modality=""),
        a_record("percent", StudyDescription="100 %b %d", ProtocolName="ä % ü"),
    ]


def _questions(record: InstanceRecord, level: Level) -> list[Query]:
    """Relational, down the hierarchy, with everything and with what only some parts of an answer hold."""
    own: tuple[Filter, ...] = (
        Exact("StudyInstanceUID", record.key.study_instance_uid),
        Exact("SeriesInstanceUID", record.key.series_instance_uid),
        Exact("SOPInstanceUID", record.key.sop_instance_uid),
    )
    above = own[: 1 + [Level.STUDY, Level.SERIES, Level.IMAGE].index(level)]
    return [
        Query(level),
        Query(level, above),
        Query(level, above[-1:]),
        Query(level, above, return_all=True),
        Query(level, above, returned=frozenset({"00104000", "00080070", "00201200", "00280010"})),
    ]


def _retrieve_url(level: Level, answer: dict[str, dict[str, list[str]]]) -> str:
    names = {"studies": "0020000D", "series": "0020000E", "instances": "00080018"}
    depth = [Level.STUDY, Level.SERIES, Level.IMAGE].index(level) + 1
    return _ROOT + "".join(f"/{name}/{answer[tag]['Value'][0]}" for name, tag in list(names.items())[:depth])


@pytest.mark.parametrize("level", [Level.STUDY, Level.SERIES, Level.IMAGE])
def test_texts_are_the_answers_with_their_address(index: Index, level: Level) -> None:
    records = _records()
    for record in records:
        index.add(record)
    for query in (query for record in records for query in _questions(record, level)):
        answers = index.find(query)
        texts = [json.loads(text) for text in index.search.find_texts(index.scope, query, _ROOT)]
        assert texts
        for answer, text in zip(answers, texts, strict=True):
            assert list(text) == sorted(text)
            assert text.pop("00081190") == {"vr": "UR", "Value": [_retrieve_url(level, text)]}
            assert text == answer


def test_the_address_is_a_text_as_any_other(index: Index) -> None:
    index.add(a_record())
    for level in (Level.STUDY, Level.SERIES, Level.IMAGE):
        (text,) = index.search.find_texts(index.scope, Query(level), 'http://"\\ü%b')
        assert json.loads(text)["00081190"]["Value"][0].startswith('http://"\\ü%b/studies/')
