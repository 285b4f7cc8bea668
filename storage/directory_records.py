"""Directory records: which type an instance has in a DICOMDIR, and the keys of each type (PS3.3 F.4, F.5).

A key is an attribute that the record repeats from the instance. Keys of type 1 and 2 are always written, empty when
the instance lacks them, because a directory that leaves an instance out would lose it; keys of type 1C when they are
there.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydicom import uid
from pydicom.datadict import dictionary_VR, tag_for_keyword

from index.records import DicomJson, Element


@dataclass(frozen=True, slots=True)
class Key:
    """An attribute of a record."""

    tag: str
    vr: str
    required: bool = True


def _keys(*keywords: str) -> tuple[Key, ...]:
    """Keys by keyword; those with a question mark are of type 1C or 3."""
    found = []
    for keyword in keywords:
        tag = tag_for_keyword(keyword.rstrip("?"))
        if tag is None:
            raise KeyError(keyword)
        found.append(Key(f"{tag:08X}", dictionary_VR(tag), not keyword.endswith("?")))
    return tuple(sorted(found, key=lambda key: key.tag))


_CONTENT_SEQUENCE: Final = "0040A730"
_RELATIONSHIP: Final = "0040A010"
_NUMBER: Final = "InstanceNumber"
_CONTENT: Final = (_NUMBER, "ContentDate", "ContentTime")
_LABELLED: Final = (*_CONTENT, "ContentLabel", "ContentDescription", "ContentCreatorName")
_CONCEPT: Final = ("ConceptNameCodeSequence", "ContentSequence?")
_STATE: Final = ("PresentationCreationDate", "PresentationCreationTime", "ReferencedSeriesSequence?")
_SPECTRUM: Final = ("ImageType", "NumberOfFrames", "Rows", "Columns", "DataPointRows", "DataPointColumns")
_HANGING: Final = ("HangingProtocolCreator", "HangingProtocolCreationDateTime", "HangingProtocolDefinitionSequence")

KEYS: Final[Mapping[str, tuple[Key, ...]]] = {
    "PATIENT": _keys("PatientName", "PatientID", "PatientBirthDate?", "PatientSex?"),
    "STUDY": _keys("StudyDate", "StudyTime", "AccessionNumber", "StudyDescription", "StudyInstanceUID", "StudyID"),
    "SERIES": _keys("Modality", "SeriesInstanceUID", "SeriesNumber", "SeriesDescription?"),
    "IMAGE": _keys(_NUMBER, "ImageType?", "NumberOfFrames?", "Rows?", "Columns?"),
    "RT DOSE": _keys(_NUMBER, "DoseSummationType"),
    "RT STRUCTURE SET": _keys(_NUMBER, "StructureSetLabel", "StructureSetDate", "StructureSetTime"),
    "RT PLAN": _keys(_NUMBER, "RTPlanLabel", "RTPlanDate", "RTPlanTime"),
    "RT TREAT RECORD": _keys(_NUMBER, "TreatmentDate", "TreatmentTime"),
    "PRESENTATION": _keys(
        _NUMBER, "ContentLabel", "ContentDescription", "ContentCreatorName", "BlendingSequence?", *_STATE
    ),
    "WAVEFORM": _keys(*_CONTENT),
    "SR DOCUMENT": _keys(*_CONTENT, "CompletionFlag", "VerificationFlag", "VerificationDateTime?", *_CONCEPT),
    "KEY OBJECT DOC": _keys(*_CONTENT, *_CONCEPT),
    "SPECTROSCOPY": _keys(*_CONTENT, *_SPECTRUM, "ReferencedImageEvidenceSequence?"),
    "RAW DATA": _keys(*_CONTENT),
    "REGISTRATION": _keys(*_LABELLED),
    "FIDUCIAL": _keys(*_LABELLED),
    "ENCAP DOC": _keys(
        *_CONTENT,
        "DocumentTitle",
        "HL7InstanceIdentifier?",
        "ConceptNameCodeSequence",
        "MIMETypeOfEncapsulatedDocument",
    ),
    "VALUE MAP": _keys(*_LABELLED),
    "STEREOMETRIC": (),
    "ANNOTATION": _keys(*_LABELLED),
    "MEASUREMENT": _keys(*_LABELLED),
    "SURFACE": _keys(*_LABELLED),
    "SURFACE SCAN": _keys("ContentDate", "ContentTime"),
    "TRACT": _keys(*_LABELLED),
    "ASSESSMENT": _keys(_NUMBER, "InstanceCreationDate", "InstanceCreationTime"),
    "RADIOTHERAPY": _keys(
        _NUMBER, "UserContentLabel?", "UserContentLongLabel?", "ContentDescription", "ContentCreatorName"
    ),
    "PLAN": (),
    "HANGING PROTOCOL": _keys(*_HANGING, "NumberOfPriorsReferenced", "HangingProtocolUserIdentificationCodeSequence"),
    "PALETTE": _keys("ContentLabel", "ContentDescription"),
    "IMPLANT": _keys("Manufacturer", "ImplantName", "ImplantSize?", "ImplantPartNumber"),
    "IMPLANT ASSY": _keys("ImplantAssemblyTemplateName", "Manufacturer", "ProcedureTypeCodeSequence"),
    "IMPLANT GROUP": _keys("ImplantTemplateGroupName", "ImplantTemplateGroupIssuer"),
}
"""Directory Record Type -> keys, ascending."""

AT_TOP: Final = frozenset({"HANGING PROTOCOL", "PALETTE", "IMPLANT", "IMPLANT ASSY", "IMPLANT GROUP"})
"""Types that belong to no patient and stand in the root directory (PS3.3 table F.4-1)."""

_SR: Final = "1.2.840.10008.5.1.4.1.1.88."
_ENCAPSULATED: Final = "1.2.840.10008.5.1.4.1.1.104."
_WAVEFORM: Final = "1.2.840.10008.5.1.4.1.1.9."
_STATES: Final = "1.2.840.10008.5.1.4.1.1.11."
_FAMILIES: Final = (
    # SOP classes are numbered by family, so those that are newer than any table have the right record too.
    (_SR, "SR DOCUMENT"),
    (_ENCAPSULATED, "ENCAP DOC"),
    (_WAVEFORM, "WAVEFORM"),
    (_STATES, "PRESENTATION"),
)

_TYPES: Final = {
    uid.KeyObjectSelectionDocumentStorage: "KEY OBJECT DOC",
    uid.RTDoseStorage: "RT DOSE",
    uid.RTStructureSetStorage: "RT STRUCTURE SET",
    uid.RTPlanStorage: "RT PLAN",
    uid.RTIonPlanStorage: "RT PLAN",
    uid.RTBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTBrachyTreatmentRecordStorage: "RT TREAT RECORD",
    uid.RTTreatmentSummaryRecordStorage: "RT TREAT RECORD",
    uid.RTIonBeamsTreatmentRecordStorage: "RT TREAT RECORD",
    uid.BasicStructuredDisplayStorage: "PRESENTATION",
    uid.MRSpectroscopyStorage: "SPECTROSCOPY",
    uid.RawDataStorage: "RAW DATA",
    uid.SpatialRegistrationStorage: "REGISTRATION",
    uid.DeformableSpatialRegistrationStorage: "REGISTRATION",
    uid.SpatialFiducialsStorage: "FIDUCIAL",
    uid.RealWorldValueMappingStorage: "VALUE MAP",
    uid.StereometricRelationshipStorage: "STEREOMETRIC",
    uid.MicroscopyBulkSimpleAnnotationsStorage: "ANNOTATION",
    uid.LensometryMeasurementsStorage: "MEASUREMENT",
    uid.AutorefractionMeasurementsStorage: "MEASUREMENT",
    uid.KeratometryMeasurementsStorage: "MEASUREMENT",
    uid.SubjectiveRefractionMeasurementsStorage: "MEASUREMENT",
    uid.VisualAcuityMeasurementsStorage: "MEASUREMENT",
    uid.OphthalmicAxialMeasurementsStorage: "MEASUREMENT",
    uid.OphthalmicVisualFieldStaticPerimetryMeasurementsStorage: "MEASUREMENT",
    uid.SurfaceSegmentationStorage: "SURFACE",
    uid.SurfaceScanMeshStorage: "SURFACE SCAN",
    uid.SurfaceScanPointCloudStorage: "SURFACE SCAN",
    uid.TractographyResultsStorage: "TRACT",
    uid.ContentAssessmentResultsStorage: "ASSESSMENT",
    uid.HangingProtocolStorage: "HANGING PROTOCOL",
    uid.ColorPaletteStorage: "PALETTE",
    uid.GenericImplantTemplateStorage: "IMPLANT",
    uid.ImplantAssemblyTemplateStorage: "IMPLANT ASSY",
    uid.ImplantTemplateGroupStorage: "IMPLANT GROUP",
}

_BY_MODALITY: Final = {"RTINTENT": "RADIOTHERAPY", "RTSEGANN": "RADIOTHERAPY", "RTRAD": "RADIOTHERAPY", "PLAN": "PLAN"}


def record_type(dataset: DicomJson) -> str:
    """The Directory Record Type of an instance; what is nothing else is an image."""
    sop_class = first(dataset, "00080016")
    if sop_class in _TYPES:
        return _TYPES[uid.UID(sop_class)]
    for prefix, name in _FAMILIES:
        if sop_class.startswith(prefix):
            return name
    return _BY_MODALITY.get(first(dataset, "00080060"), "IMAGE")


def value_of(key: Key, dataset: DicomJson) -> Element | None:
    """What the record repeats of the instance; None when it has the attribute not, or not as its VR says."""
    element = dataset.get(key.tag)
    if element is None or element.get("vr") != key.vr:
        return None
    if key.tag != _CONTENT_SEQUENCE:
        return element
    # Of a report's content only what modifies its title (PS3.3 table F.5-25).
    items = [item for item in element.get("Value", ()) if item and first(item, _RELATIONSHIP) == "HAS CONCEPT MOD"]
    return {"vr": "SQ", "Value": items} if items else None


def first(dataset: DicomJson, tag: str) -> str:
    """The first value of an attribute as text; empty when there is none."""
    values = dataset.get(tag, {}).get("Value")
    return str(values[0]) if values else ""
