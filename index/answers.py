"""The parts of an answer: which columns each is read from, and how they become DICOM JSON.

A summary is stored with its tags in ascending order and null where only the index knows the value; putting the
value in keeps the order (PS3.18 F.2.2). The Retrieve URL is null too: only the web has it (`index.texts`). Answers
of several parts are merged and sorted.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import orjson
import zstandard
from sqlalchemy import null

from index.attributes import BY_KEYWORD, EXTRA_TAGS, OF_STUDY, SUMMARY_TAGS, levels_down_to, tag_of
from index.entries import list_values
from index.query import Query
from index.records import Level
from index.rendition_columns import of_instances
from index.selection import is_single
from index.tables import NO_NUMBER, documents, instances, patients, series, studies

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Part:
    """Columns to read and the function that makes a document of them."""

    columns: tuple[Any, ...]
    build: Callable[..., Document]


ONLINE = {"vr": "CS", "Value": ["ONLINE"]}
"""Instance Availability of everything."""
SYNTAX = tag_of("AvailableTransferSyntaxUID")
"""Has several values when there is a rendition: the stored one comes first."""
_AVAILABILITY = tag_of("InstanceAvailability")
_TIMEZONE = tag_of("TimezoneOffsetFromUTC")
_MODALITIES = tag_of("ModalitiesInStudy")
_CLASSES = tag_of("SOPClassesInStudy")
_STUDY_UID = tag_of("StudyInstanceUID")
_SERIES_UID = tag_of("SeriesInstanceUID")
_BODY_PART = tag_of("BodyPartExamined")
_STATUS = tag_of("InterpretationStatusID")
_OF_SERIES_IN_STUDY = tuple(map(tag_of, OF_STUDY))
_SERIES_OF_STUDY = tag_of("NumberOfStudyRelatedSeries")
_INSTANCES_OF_STUDY = tag_of("NumberOfStudyRelatedInstances")
_RETRIEVE_URL = tag_of("RetrieveURL")
_INSTANCES_OF_SERIES = tag_of("NumberOfSeriesRelatedInstances")
_COUNTERS = tuple(
    (row.tag, row.column)
    for row in BY_KEYWORD.values()
    if row.level is Level.PATIENT and row.keyword.startswith("NumberOfPatientRelated")
)
_COUNTER_TAGS = frozenset(tag for tag, _ in _COUNTERS)
IMAGE: tuple[tuple[str, str, Any], ...] = tuple(
    sorted(
        [
            *((row.tag, row.vr, instances.c[row.column]) for row in BY_KEYWORD.values() if row.level is Level.IMAGE),
            (_STUDY_UID, "UI", studies.c.study_instance_uid),
            (_SERIES_UID, "UI", series.c.series_instance_uid),
            (_AVAILABILITY, "CS", None),
            (_TIMEZONE, "SH", series.c.timezone_offset_from_utc),
        ],
        key=lambda row: row[0],
    )
)
"""Tag, VR and column, ascending; the availability is a constant."""


def _element(vr: str, values: list[Any]) -> Document:
    return {"vr": vr, "Value": values} if values else {"vr": vr}


@lru_cache(maxsize=1024)
def listed(vr: str, column: str) -> Document:
    """A list column as an element; shared by answers, which nobody may change. Few different ones occur."""
    return _element(vr, list_values(column))


def _counters(*numbers: int) -> Document:
    return {tag: _element("IS", [number]) for (tag, _), number in zip(_COUNTERS, numbers, strict=True)}


def _patient(summary: bytes, *numbers: int) -> Document:
    document: Document = orjson.loads(summary)
    document.update(_counters(*numbers))
    return document


def _study(summary: bytes, *columns: Any) -> Document:
    modalities, classes, body_parts, status, of_series, of_instances = columns
    document: Document = orjson.loads(summary)
    document.pop(_RETRIEVE_URL, None)
    document[_AVAILABILITY] = ONLINE
    document[_MODALITIES] = listed("CS", modalities)
    document[_CLASSES] = listed("UI", classes)
    document[_BODY_PART] = listed("CS", body_parts)
    document[_STATUS] = listed("CS", status)
    document[_SERIES_OF_STUDY] = {"vr": "IS", "Value": [of_series]}
    document[_INSTANCES_OF_STUDY] = {"vr": "IS", "Value": [of_instances]}
    return document


def _series(summary: bytes, of_instances: int, study_uid: str) -> Document:
    document: Document = orjson.loads(summary)
    document.pop(_RETRIEVE_URL, None)
    document[_AVAILABILITY] = ONLINE
    document[_STUDY_UID] = {"vr": "UI", "Value": [study_uid]}
    document[_INSTANCES_OF_SERIES] = {"vr": "IS", "Value": [of_instances]}
    return document


def _image(rendition: str | None, *values: Any) -> Document:
    document: Document = {}
    for (tag, vr, column), value in zip(IMAGE, values, strict=True):
        if column is None:
            document[tag] = ONLINE
        elif value == NO_NUMBER:
            document[tag] = {"vr": vr}
        elif value is not None and value != "":
            # Objects without an image have no rows and columns, so these are left out rather than empty.
            document[tag] = {"vr": vr, "Value": [value]}
    if rendition:
        document[SYNTAX] = {"vr": "UI", "Value": [*document[SYNTAX]["Value"], rendition]}
    return document


def _extra(extra: bytes | None) -> Document:
    return orjson.loads(extra) if extra else {}


def _body(body: bytes) -> Document:
    document: Document = orjson.loads(zstandard.ZstdDecompressor().decompress(body))
    return document


PARTS: Mapping[str, Part] = {
    # Later parts win when several hold the same tag.
    "body": Part((documents.c.body,), _body),
    "patient": Part((patients.c.summary, *(patients.c[column] for _, column in _COUNTERS)), _patient),
    "patient extra": Part((patients.c.extra,), _extra),
    "patient counters": Part(tuple(patients.c[column] for _, column in _COUNTERS), _counters),
    "study extra": Part((studies.c.extra,), _extra),
    "study": Part(
        (
            studies.c.summary,
            studies.c.modalities_in_study,
            studies.c.sop_classes_in_study,
            studies.c.body_parts_in_study,
            studies.c.interpretation_status_id,
            studies.c.number_of_study_related_series,
            studies.c.number_of_study_related_instances,
        ),
        _study,
    ),
    "series extra": Part((series.c.extra,), _extra),
    "series": Part(
        (series.c.summary, series.c.number_of_series_related_instances, studies.c.study_instance_uid), _series
    ),
    "image": Part((of_instances(), *(null() if column is None else column for _, _, column in IMAGE)), _image),
}

_PRIVATE_BLOCKS = tuple(f"{block:02X}" for block in range(0x10, 0x100))
"""Blocks of elements that a Private Creator can reserve (PS3.5 7.8.1)."""
_OF_STUDY = SUMMARY_TAGS[Level.STUDY] | SUMMARY_TAGS[Level.PATIENT]
_OF_STUDY_EXTRA = EXTRA_TAGS[Level.STUDY] | EXTRA_TAGS[Level.PATIENT]


def needed_parts(query: Query) -> tuple[str, ...]:
    """The parts of an answer to this query, in the order in which they are merged."""
    wanted = query.returned | {BY_KEYWORD[one.keyword].tag for one in query.filters}
    if query.level is Level.PATIENT:
        chosen = {"patient"} | _if(query.return_all or wanted & EXTRA_TAGS[Level.PATIENT], "patient extra")
    elif query.level is Level.STUDY:
        chosen = {"study"} | _if(query.return_all or wanted & _OF_STUDY_EXTRA, "study extra")
    else:
        chosen = _below_study(query, wanted - {_STUDY_UID, _SERIES_UID})
    if Level.STUDY in levels_down_to(query.level):
        chosen |= _if(wanted & _COUNTER_TAGS, "patient counters")
    return tuple(name for name in PARTS if name in chosen)


def _below_study(query: Query, wanted: frozenset[str]) -> set[str]:
    """A query that does not name its study or series is relational: answers tell where they belong."""
    everything = query.return_all
    chosen = _if(everything or wanted & _OF_STUDY or not is_single(query, "StudyInstanceUID"), "study")
    if query.level is Level.SERIES:
        chosen |= {"series"} | _if(everything or wanted & EXTRA_TAGS[Level.SERIES], "series extra")
        return chosen | _if(everything or wanted & _OF_STUDY_EXTRA, "study extra")
    chosen |= {"image"}
    named = is_single(query, "SeriesInstanceUID")
    chosen |= _if(everything or wanted & SUMMARY_TAGS[Level.SERIES] or not named, "series")
    known = _OF_STUDY | SUMMARY_TAGS[Level.SERIES] | SUMMARY_TAGS[Level.IMAGE]
    return chosen | _if(everything or query.private or wanted - known, "body")


def _if(condition: object, part: str) -> set[str]:
    return {part} if condition else set()


def merge(names: Sequence[str], row: Sequence[Any], query: Query) -> Document:
    """One answer from the columns of its parts."""
    if len(names) == 1:
        merged = PARTS[names[0]].build(*row)
        return _trimmed(merged, query.paths) if query.paths else merged
    merged = {}
    start = 0
    for name in names:
        part = PARTS[name]
        end = start + len(part.columns)
        document = part.build(*row[start:end])
        start = end
        if name == "body" and not query.return_all:
            asked = {tag: document[tag] for tag in query.returned if tag in document}
            document = asked | _private(document, query.private) if query.private else asked
        if name == "study" and query.level is not Level.STUDY:
            # A series or instance that says nothing of it has not the values of its neighbours.
            for tag in _OF_SERIES_IN_STUDY:
                document.pop(tag, None)
        merged.update(document)
    if query.paths:
        merged = _trimmed(merged, query.paths)
    return dict(sorted(merged.items()))


def _private(document: Document, asked: Iterable[tuple[str, str]]) -> Document:
    """Private attributes with their creators, in the block in which they were asked for."""
    made: Document = {}
    for tag, creator in asked:
        group, block, number = tag[:4], tag[4:6], tag[6:]
        for reserved in _PRIVATE_BLOCKS:
            named = document.get(f"{group}00{reserved}", {}).get("Value") or ("",)
            element = document.get(f"{group}{reserved}{number}")
            if element is not None and str(named[0]).strip() == creator:
                made |= {f"{group}00{block}": {"vr": "LO", "Value": [creator]}, tag: element}
                break
    return made


def _trimmed(document: Document, paths: Iterable[tuple[str, ...]]) -> Document:
    """The answer with the items of these sequences cut down to what was asked for (PS3.4 C.2.2.2.6)."""
    made = dict(document)
    for tag in {path[0] for path in paths}:
        element = document.get(tag)
        if element and element.get("vr") == "SQ" and "Value" in element:
            inside = [path[1:] for path in paths if path[0] == tag]
            made[tag] = {**element, "Value": [_item(item, inside) for item in element["Value"]]}
    return made


def _item(item: Document, paths: Sequence[tuple[str, ...]]) -> Document:
    asked = {tag: item[tag] for tag in sorted({path[0] for path in paths}) if tag in item}
    return _trimmed(asked, [path for path in paths if len(path) > 1])


@lru_cache(maxsize=4096)
def returnable(level: Level, tag: str) -> bool:
    """False for what answers of this level never hold: attributes of the levels below, and what no row keeps.

    Answers about instances hold whatever the instance's data set holds.
    """
    return (
        level is Level.IMAGE
        or tag == _RETRIEVE_URL
        or (level is Level.STUDY and tag in _OF_SERIES_IN_STUDY)
        or any(
            tag in SUMMARY_TAGS[one] or tag in EXTRA_TAGS[one]
            for one in levels_down_to(level)
            if one is not Level.IMAGE
        )
    )
