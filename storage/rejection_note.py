"""Rejection notes of our own: Key Object Selection documents (PS3.3 A.35.4, PS3.16 TID 2010).

They are stored like any other object, so that whoever receives the study later learns of the rejection too, and so
that an index rebuilt from the objects hides the same instances.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import uuid4

from pydicom.datadict import dictionary_VR, tag_for_keyword

from index.records import DicomJson, Element, InstanceKey, StoredInstance
from index.removed.rejection import KEY_OBJECT_SELECTION, Rule
from storage import composing, sop_classes
from storage.syntaxes import EXPLICIT_LITTLE

_COPIED: Final = (
    "PatientName",
    "PatientID",
    "IssuerOfPatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyInstanceUID",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
)
_OPTIONAL: Final = frozenset({"IssuerOfPatientID"})
_WAVEFORMS: Final = "1.2.840.10008.5.1.4.1.1.9."


def build(rule: Rule, rejected: Sequence[StoredInstance], example: DicomJson) -> Iterator[bytes]:
    """The blocks of the file. `rejected` are instances of one study, `example` is the data set of one of them."""
    study = rejected[0].key.study_instance_uid
    key = InstanceKey(study, _new_uid(), _new_uid())
    dataset = composing.in_unicode(dict(sorted((_head(key, example) | _document(rule, rejected)).items())))
    composition = composing.Composition(dataset, EXPLICIT_LITTLE, _no_bulk_data)
    return composing.part10(composition, key, KEY_OBJECT_SELECTION)


def _head(key: InstanceKey, example: DicomJson) -> dict[str, Element]:
    """The modules of patient, study, series and equipment, and SOP Common."""
    now = datetime.now(UTC)
    known = {tag: example[tag] for tag in map(_tag, _COPIED) if tag in example}
    copied = {tag: element for tag, element in known.items() if "BulkDataURI" not in element}
    empty = dict(_element(keyword) for keyword in _COPIED if keyword not in _OPTIONAL and _tag(keyword) not in copied)
    own = (
        _element("SOPClassUID", KEY_OBJECT_SELECTION),
        _element("SOPInstanceUID", key.sop_instance_uid),
        _element("StudyInstanceUID", key.study_instance_uid),
        _element("SeriesInstanceUID", key.series_instance_uid),
        _element("Modality", "KO"),
        _element("SeriesNumber", 1),
        _element("InstanceNumber", 1),
        _element("SeriesDescription", "Rejection note"),
        _element("ReferencedPerformedProcedureStepSequence"),
        _element("Manufacturer"),
        _element("ContentDate", f"{now:%Y%m%d}"),
        _element("ContentTime", f"{now:%H%M%S}"),
        _element("TimezoneOffsetFromUTC", "+0000"),
    )
    return copied | empty | dict(own)


def _document(rule: Rule, rejected: Sequence[StoredInstance]) -> dict[str, Element]:
    value, _, scheme = rule.code.partition("^")
    title = dict((_element("CodeValue", value), _element("CodingSchemeDesignator", scheme), _meaning(rule)))
    template = dict((_element("MappingResource", "DCMR"), _element("TemplateIdentifier", "2010")))
    return dict(
        (
            _element("ValueType", "CONTAINER"),
            _element("ConceptNameCodeSequence", title),
            _element("ContinuityOfContent", "SEPARATE"),
            _element("ContentTemplateSequence", template),
            _element("ContentSequence", *map(_content, rejected)),
            _element("CurrentRequestedProcedureEvidenceSequence", _evidence(rejected)),
        )
    )


def _meaning(rule: Rule) -> tuple[str, Element]:
    return _element("CodeMeaning", rule.meaning[:64])


def _evidence(rejected: Sequence[StoredInstance]) -> DicomJson:
    series: dict[str, list[StoredInstance]] = {}
    for one in rejected:
        series.setdefault(one.key.series_instance_uid, []).append(one)
    items = [
        dict((_element("SeriesInstanceUID", uid), _element("ReferencedSOPSequence", *map(_reference, members))))
        for uid, members in series.items()
    ]
    study = rejected[0].key.study_instance_uid
    return dict((_element("ReferencedSeriesSequence", *items), _element("StudyInstanceUID", study)))


def _reference(one: StoredInstance) -> DicomJson:
    return dict(
        (
            _element("ReferencedSOPClassUID", one.sop_class_uid),
            _element("ReferencedSOPInstanceUID", one.key.sop_instance_uid),
        )
    )


def _content(one: StoredInstance) -> DicomJson:
    return dict(
        (
            _element("ReferencedSOPSequence", _reference(one)),
            _element("RelationshipType", "CONTAINS"),
            _element("ValueType", _value_type(one.sop_class_uid)),
        )
    )


def _value_type(sop_class_uid: str) -> str:
    if sop_class_uid.startswith(_WAVEFORMS):
        return "WAVEFORM"
    return "IMAGE" if "Image" in sop_classes.KNOWN.get(sop_class_uid, "") else "COMPOSITE"


def _element(keyword: str, *values: Any) -> tuple[str, Element]:
    tag = tag_for_keyword(keyword)
    assert tag is not None, keyword
    element: dict[str, Any] = {"vr": dictionary_VR(tag)}
    return f"{tag:08X}", element | {"Value": list(values)} if values else element


def _tag(keyword: str) -> str:
    return _element(keyword)[0]


def _new_uid() -> str:
    """PS3.5 B.2."""
    return f"2.25.{uuid4().int}"


def _no_bulk_data(path: str, uri: str) -> composing.Content:
    raise AssertionError(f"{path} refers to {uri}")
