"""What one instance says about its patient, study, series and itself: search columns and answer documents.

Made from the DICOM JSON model before the transaction begins, so that no transaction waits for it.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

import orjson

from index.anatomy import laterality
from index.attributes import ATTRIBUTES, COMPUTED, EXTRA_TAGS, OF_STUDY, Attribute, Matching, snake_case, tag_of
from index.layout import pack
from index.moments import utc_columns
from index.records import DicomJson, InstanceRecord, Level, Origin
from index.reports import report_status
from index.tables import NO_NUMBER
from index.words.matching import date_text, name_column, plain, sort_key, time_text, words_of
from index.words.sounds import sound

Values = dict[str, Any]

_MAXIMUM_VALUE_BYTES = 8192
"""A larger value (a long sequence, say) is left to the instance's own metadata."""

_MAXIMUM_DOCUMENT_BYTES = 65536
"""A larger summary loses its large values: it is read for every line of a list."""

_INT32 = 2**31


@dataclass(frozen=True, slots=True)
class Described:
    """One level of one instance: search columns, and the documents that answers are made of."""

    columns: Values
    summary: bytes
    """DICOM JSON of the table's attributes; computed ones hold null until the answer is made."""
    extra: bytes | None
    """DICOM JSON of the other attributes of the level's modules."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One instance, ready for the transaction."""

    tenant: str
    record: InstanceRecord
    patient: Described
    study: Described
    series: Described
    instance: Values
    terms: tuple[tuple[int, str], ...]
    """Kind and folded text of the study's names (see `TERM_KINDS`)."""
    laterality: str
    """L, R or B; empty for what has no side (see `index.anatomy`)."""
    report: str
    """Interpretation Status ID when the instance is a report (see `index.reports`)."""

    def documents(self) -> tuple[bytes | None, ...]:
        """All that the instance says about its study and series."""
        return self.study.summary, self.study.extra, self.series.summary, self.series.extra


class Newcomer(NamedTuple):
    """An instance to be made known."""

    tenant_id: int
    entry: Entry
    origin: Origin
    at_ms: int
    version: int = 1
    action: str = "stored"


TERM_KINDS: Mapping[str, int] = {
    "PatientName": 1,
    "ReferringPhysicianName": 2,
    "ModalitiesInStudy": 3,
    "BodyPartExamined": 8,
    "InterpretationStatusID": 9,
}
WORD_KINDS: Mapping[str, int] = {"PatientName": 4, "ReferringPhysicianName": 5}
"""Terms for `fuzzymatching`: words of a name that do not begin a component group."""
SOUND_KINDS: Mapping[str, int] = {"PatientName": 6, "ReferringPhysicianName": 7}
"""Terms for `fuzzymatching`: how the words of a name sound (`index.words.sounds`)."""

_SEARCHED: Mapping[Level, tuple[Attribute, ...]] = {
    level: tuple(
        row
        for row in ATTRIBUTES
        if row.level is level
        and row.searchable
        and row.keyword not in COMPUTED[level]
        and row.matching is not Matching.UID
    )
    for level in (Level.PATIENT, Level.STUDY, Level.SERIES)
}


_SummaryRows = tuple[tuple[str, str, bool, bool], ...]


def _summarised(*levels: Level, computed: Iterable[str] = ()) -> _SummaryRows:
    """Tag, VR, default and computed of what a summary holds. A study's has its patient's attributes as the images
    say them, but not the patient's counters. `computed` are further tags that answers of this level have."""
    rows = [
        row
        for row in ATTRIBUTES
        if row.level in levels and (row.level is levels[-1] or row.keyword not in COMPUTED[row.level])
    ]
    found = [(row.tag, row.vr, row.default, row.keyword in COMPUTED[row.level]) for row in rows]
    return tuple(sorted([*found, *((tag, "", True, True) for tag in computed)]))


_RETRIEVE_URL = tag_of("RetrieveURL")
_TIMEZONE = tag_of("TimezoneOffsetFromUTC")
_SUMMARISED: Mapping[Level, _SummaryRows] = {
    Level.PATIENT: _summarised(Level.PATIENT),
    Level.STUDY: _summarised(Level.PATIENT, Level.STUDY, computed=(_RETRIEVE_URL, *map(tag_of, OF_STUDY))),
    # A series also tells its study and availability; all instances have one, so it is not stored for each.
    Level.SERIES: tuple(
        sorted(
            (
                *_summarised(
                    Level.SERIES, computed=(_RETRIEVE_URL, tag_of("InstanceAvailability"), tag_of("StudyInstanceUID"))
                ),
                # PS3.18 tables 10.6.3-3 to 10.6.3-5 want the offset of the clock at every level.
                (_TIMEZONE, "SH", False, False),
            )
        )
    ),
}
_EXTRA: Mapping[Level, tuple[str, ...]] = {
    Level.PATIENT: tuple(sorted(EXTRA_TAGS[Level.PATIENT])),
    Level.STUDY: tuple(sorted(EXTRA_TAGS[Level.PATIENT] | EXTRA_TAGS[Level.STUDY])),
    Level.SERIES: tuple(sorted(EXTRA_TAGS[Level.SERIES])),
}
_INTEGERS = tuple(row for row in ATTRIBUTES if row.level is Level.IMAGE and row.matching is Matching.INTEGER)
_STUDY_UID = tag_of("StudyInstanceUID")


_ABOVE = frozenset(tag for rows in _SUMMARISED.values() for tag, *_ in rows) | frozenset(
    tag for tags in _EXTRA.values() for tag in tags
)


_OF_STUDY = frozenset(
    (
        _TIMEZONE,
        *(tag for level in (Level.PATIENT, Level.STUDY) for tag, *_ in _SUMMARISED[level]),
        *(tag for level in (Level.PATIENT, Level.STUDY) for tag in _EXTRA[level]),
    )
)


@dataclass(frozen=True, slots=True)
class _Study:
    """A study and its patient. Shared by the instances of a study: nobody may change it."""

    patient: Described
    study: Described
    terms: tuple[tuple[int, str], ...]


@dataclass(frozen=True, slots=True)
class _Levels:
    """The levels above an instance. Shared by the instances of a series: nobody may change it."""

    above: _Study
    series: Described


def describe(tenant: str, record: InstanceRecord) -> Entry:
    """All that the index keeps of an instance."""
    text = orjson.dumps({tag: element for tag, element in record.dataset.items() if tag in _ABOVE})
    levels = _levels(text) if len(text) <= _MAXIMUM_DOCUMENT_BYTES else _levels.__wrapped__(text)
    above = levels.above
    instance, side = _instance(record), laterality(record.dataset)
    report = report_status(record.sop_class_uid, record.dataset)
    return Entry(tenant, record, above.patient, above.study, levels.series, instance, above.terms, side, report)


@lru_cache(maxsize=256)
def _levels(text: bytes) -> _Levels:
    """Instances of a series say the same about their patient, study and series: worked out once."""
    dataset = orjson.loads(text)
    of_study = orjson.dumps({tag: element for tag, element in dataset.items() if tag in _OF_STUDY})
    above = _study(of_study) if len(of_study) <= _MAXIMUM_DOCUMENT_BYTES else _study.__wrapped__(of_study)
    series = _described(Level.SERIES, dataset)
    timezone = plain(first_text(dataset.get(_TIMEZONE)))
    zoned = utc_columns(Level.SERIES, series.columns, timezone)
    series.columns.update(zoned, timezone_offset_from_utc=timezone)
    return _Levels(above, series)


@lru_cache(maxsize=256)
def _study(text: bytes) -> _Study:
    """Series of a study say the same about their patient and study."""
    dataset = orjson.loads(text)
    patient = _described(Level.PATIENT, dataset)
    study = _described(Level.STUDY, dataset)
    study.columns.update(patient.columns)
    study.columns["sort_key"] = sort_key(study.columns["study_date"], study.columns["study_time"])
    patient.columns["anchor"] = "" if patient.columns["patient_id"] else first_text(dataset.get(_STUDY_UID))
    study.columns.update(utc_columns(Level.STUDY, study.columns, plain(first_text(dataset.get(_TIMEZONE)))))
    names = [term for keyword in WORD_KINDS for term in terms_of_name(keyword, study.columns[snake_case(keyword)])]
    return _Study(patient, study, tuple(names))


def terms_of_name(keyword: str, column: str) -> list[tuple[int, str]]:
    """Kind and text of all terms of a study's names column, each once."""
    groups = [group for group in column.split("=") if group]
    words = [word for group in groups for word in words_of(group)]
    later = {word for group in groups for word in words_of(group) if not group.startswith(word)}
    sounds = {key for word in words if (key := sound(word))}
    terms = [(TERM_KINDS[keyword], group) for group in groups]
    terms += [(WORD_KINDS[keyword], word) for word in sorted(later)]
    return terms + [(SOUND_KINDS[keyword], key) for key in sorted(sounds)]


def _described(level: Level, dataset: DicomJson) -> Described:
    columns: Values = {row.column: _column(row, dataset.get(row.tag)) for row in _SEARCHED[level]}
    extra = {tag: dataset[tag] for tag in _EXTRA[level] if tag in dataset and _is_small(dataset[tag])}
    summary = orjson.dumps(_summary(level, dataset))
    if len(summary) > _MAXIMUM_DOCUMENT_BYTES:
        summary = orjson.dumps(_summary(level, {tag: one for tag, one in dataset.items() if _is_small(one)}))
    return Described(columns, summary, orjson.dumps(extra) if extra else None)


def _summary(level: Level, dataset: DicomJson) -> Values:
    summary: Values = {}
    for tag, vr, default, computed in _SUMMARISED[level]:
        element = dataset.get(tag)
        if computed:
            summary[tag] = None
        elif element is not None:
            summary[tag] = element
        elif default:
            summary[tag] = {"vr": vr}
    return summary


def _is_small(element: Mapping[str, Any]) -> bool:
    return "BulkDataURI" not in element and len(orjson.dumps(element)) <= _MAXIMUM_VALUE_BYTES


def _column(row: Attribute, element: Mapping[str, Any] | None) -> str | int:
    if row.matching is Matching.NAME:
        return name_column(name_groups(element))
    value = first_text(element)
    if row.matching is Matching.DATE:
        return date_text(value)
    if row.matching is Matching.TIME:
        return time_text(value)
    if row.matching is Matching.INTEGER:
        number = integer(value)
        return NO_NUMBER if number is None else number
    return plain(value)


def _instance(record: InstanceRecord) -> Values:
    values: Values = {row.column: integer(first_text(record.dataset.get(row.tag))) for row in _INTEGERS}
    if values["instance_number"] is None:
        values["instance_number"] = NO_NUMBER
    return values | {
        "sop_instance_uid": record.key.sop_instance_uid,
        "sop_class_uid": record.sop_class_uid,
        "available_transfer_syntax_uid": record.transfer_syntax_uid,
        "size_bytes": record.size_bytes,
        "sha256": record.sha256,
        "blob_key": record.blob_key,
        "layout": pack(record.layout),
    }


def first_text(element: Mapping[str, Any] | None) -> str:
    """The first value of an element as text, empty when there is none."""
    values = element.get("Value") if element else None
    if not values or values[0] is None or isinstance(values[0], dict):
        return ""
    return str(values[0])


def name_groups(element: Mapping[str, Any] | None) -> list[str]:
    """The component groups of the first value of a PN element."""
    values = element.get("Value") if element else None
    if not values or not values[0]:
        return []
    name = values[0]
    return [str(group) for group in name.values() if group] if isinstance(name, dict) else str(name).split("=")


def integer(value: str) -> int | None:
    """IS or US as a number; None when it is none or beyond 32 bits, which IS may not be (PS3.5 6.2)."""
    try:
        number = int(value.strip(" \0"))
    except ValueError:
        return None
    return number if -_INT32 <= number < _INT32 else None


def list_member(value: str) -> str:
    """One member of a list column: lists are `\\CT\\MR\\`, so a member is found with its delimiters."""
    return f"\\{value}\\"


def list_values(column: str) -> list[str]:
    """The members of a list column, sorted."""
    return sorted(set(column.split("\\")) - {""})


def list_members(values: Iterable[str]) -> str:
    """A list column with these members."""
    joined = "\\".join(sorted(values))
    return list_member(joined) if joined else ""
