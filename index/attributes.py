"""The table of indexed attributes: what QIDO-RS, C-FIND, the database columns and the conformance page are made from.

Tags and VRs come from pydicom's dictionary. A keyword becomes a column name by `snake_case`, nothing else.
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from pydicom.datadict import dictionary_VM, dictionary_VR, tag_for_keyword

from index.records import Level


class Matching(Enum):
    """How an attribute may be matched (PS3.4 C.2.2.2)."""

    UID = "uid"
    TEXT = "text"
    NAME = "name"
    DATE = "date"
    TIME = "time"
    INTEGER = "integer"
    LIST = "list"
    """Any of the values that the instances of the study have; kept as `\\CT\\MR\\`."""
    NONE = "none"
    """Returned, never matched: counters and the availability."""


@dataclass(frozen=True, slots=True)
class Attribute:
    """One row of the table. `default`: returned by QIDO-RS without being asked for (PS3.18 10.6.3.3)."""

    keyword: str
    level: Level
    matching: Matching
    default: bool
    column: str
    tag: str
    """8 upper-case hex digits, as in the DICOM JSON model."""
    vr: str

    @property
    def searchable(self) -> bool:
        """True when a filter may name it."""
        return self.matching is not Matching.NONE

    @property
    def multiple(self) -> bool:
        """True when multiple value matching applies: the VR allows it and there can be several values (C.2.2.2.8)."""
        return self.vr in _VRS_OF_MANY and self.tag[3] not in "13579BDF" and dictionary_VM(int(self.tag, 16)) != "1"

    @property
    def kinds(self) -> tuple[str, ...]:
        """The matching kinds it has, as PS3.4 C.2.2.2 calls them; without any it is returned alone."""
        known = KINDS[Matching.UID] if self.vr == "UI" else KINDS[self.matching]
        more = [_MULTIPLE] if self.multiple else []
        more += [_COMBINED] if self.keyword in _MOMENTS else []
        return (*known, *more) if self.searchable else ()


_VRS_OF_MANY = frozenset(("AE", "AS", "AT", "CS", "LO", "PN", "SH", "UC"))

_MULTIPLE = "Multiple Value Matching"
_COMBINED = "Combined Datetime Matching"
_MOMENTS = frozenset(
    f"{what}{part}" for what in ("Study", "Series", "PerformedProcedureStepStart") for part in ("Date", "Time")
)
_COMMON = ("Single Value Matching", "Universal Matching", "Empty Value Matching")
KINDS: Mapping[Matching, tuple[str, ...]] = MappingProxyType(
    {
        Matching.UID: ("Single Value Matching", "List of UID Matching", "Universal Matching"),
        Matching.TEXT: (*_COMMON, "Wild Card Matching"),
        Matching.NAME: (*_COMMON, "Wild Card Matching", "Fuzzy Semantic Matching"),
        Matching.DATE: (*_COMMON, "Range Matching"),
        Matching.TIME: (*_COMMON, "Range Matching"),
        Matching.INTEGER: _COMMON,
        Matching.LIST: (*_COMMON, "Wild Card Matching"),
        Matching.NONE: (),
    }
)
"""Matching kinds of PS3.4 C.2.2.2 by the way an attribute is indexed. Sequences are matched by the attributes inside
them that are declared searchable (`index.declared`)."""


def snake_case(keyword: str) -> str:
    """The one rule from a DICOM keyword to a Python or SQL name: `SOPInstanceUID` is `sop_instance_uid`."""
    singular = keyword.replace("IDs", "Ids")
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", singular).lower()


def tag_of(keyword: str) -> str:
    """Tag of a keyword as 8 hex digits; the keyword must be in the data dictionary."""
    tag = tag_for_keyword(keyword)
    if tag is None:
        raise ValueError(f"{keyword} is not in the data dictionary")
    return f"{tag:08X}"


def _rows(level: Level, *rows: tuple[str, Matching, bool]) -> tuple[Attribute, ...]:
    made = []
    for keyword, matching, default in rows:
        tag = tag_of(keyword)
        made.append(Attribute(keyword, level, matching, default, snake_case(keyword), tag, dictionary_VR(int(tag, 16))))
    return tuple(made)


_D = True
_X = False

ATTRIBUTES: tuple[Attribute, ...] = (
    *_rows(
        Level.PATIENT,
        ("PatientName", Matching.NAME, _D),
        ("PatientID", Matching.TEXT, _D),
        ("IssuerOfPatientID", Matching.TEXT, _X),
        ("PatientBirthDate", Matching.DATE, _D),
        ("PatientSex", Matching.TEXT, _D),
        ("NumberOfPatientRelatedStudies", Matching.NONE, _X),
        ("NumberOfPatientRelatedSeries", Matching.NONE, _X),
        ("NumberOfPatientRelatedInstances", Matching.NONE, _X),
    ),
    *_rows(
        Level.STUDY,
        ("StudyDate", Matching.DATE, _D),
        ("StudyTime", Matching.TIME, _D),
        ("AccessionNumber", Matching.TEXT, _D),
        ("InstanceAvailability", Matching.NONE, _D),
        ("ModalitiesInStudy", Matching.LIST, _D),
        ("SOPClassesInStudy", Matching.LIST, _X),
        ("ReferringPhysicianName", Matching.NAME, _D),
        ("TimezoneOffsetFromUTC", Matching.NONE, _X),
        ("StudyDescription", Matching.TEXT, _X),
        ("StudyInstanceUID", Matching.UID, _D),
        ("StudyID", Matching.TEXT, _D),
        ("NumberOfStudyRelatedSeries", Matching.NONE, _D),
        ("NumberOfStudyRelatedInstances", Matching.NONE, _D),
        # Retired with the results management of PS3, and still the one attribute that says it (see `index.reports`).
        ("InterpretationStatusID", Matching.TEXT, _X),
    ),
    *_rows(
        Level.SERIES,
        ("SeriesDate", Matching.DATE, _X),
        ("SeriesTime", Matching.TIME, _X),
        ("Modality", Matching.TEXT, _D),
        ("InstitutionName", Matching.TEXT, _X),
        ("StationName", Matching.TEXT, _X),
        ("SeriesDescription", Matching.TEXT, _D),
        ("BodyPartExamined", Matching.TEXT, _X),
        ("ProtocolName", Matching.TEXT, _X),
        ("SeriesInstanceUID", Matching.UID, _D),
        ("SeriesNumber", Matching.INTEGER, _D),
        ("NumberOfSeriesRelatedInstances", Matching.NONE, _D),
        ("PerformedProcedureStepStartDate", Matching.DATE, _D),
        ("PerformedProcedureStepStartTime", Matching.TIME, _D),
        ("RequestAttributesSequence", Matching.NONE, _D),
    ),
    *_rows(
        Level.IMAGE,
        ("SOPClassUID", Matching.UID, _D),
        ("SOPInstanceUID", Matching.UID, _D),
        ("AvailableTransferSyntaxUID", Matching.UID, _D),
        ("InstanceNumber", Matching.INTEGER, _D),
        ("NumberOfFrames", Matching.INTEGER, _D),
        ("Rows", Matching.INTEGER, _D),
        ("Columns", Matching.INTEGER, _D),
        ("BitsAllocated", Matching.INTEGER, _D),
    ),
)

BY_KEYWORD: Mapping[str, Attribute] = MappingProxyType({row.keyword: row for row in ATTRIBUTES})
BY_TAG: Mapping[str, Attribute] = MappingProxyType({row.tag: row for row in ATTRIBUTES})

COMPUTED: Mapping[Level, tuple[str, ...]] = MappingProxyType(
    {
        Level.PATIENT: (
            "NumberOfPatientRelatedStudies",
            "NumberOfPatientRelatedSeries",
            "NumberOfPatientRelatedInstances",
        ),
        Level.STUDY: (
            "InstanceAvailability",
            "ModalitiesInStudy",
            "SOPClassesInStudy",
            "NumberOfStudyRelatedSeries",
            "NumberOfStudyRelatedInstances",
            "InterpretationStatusID",
        ),
        Level.SERIES: ("InstanceAvailability", "NumberOfSeriesRelatedInstances"),
        Level.IMAGE: ("InstanceAvailability", "AvailableTransferSyntaxUID"),
    }
)
"""Attributes that no data set holds: the index itself knows them."""

OF_STUDY: Mapping[str, str] = MappingProxyType({"BodyPartExamined": "body_parts_in_study"})
"""Series attributes that studies are searched by as well, to the columns with the values of all series of a study."""

_MODULES: Mapping[Level, str] = {
    # PS3.3 C.7.1.1 Patient.
    Level.PATIENT: """
        TypeOfPatientID IssuerOfPatientIDQualifiersSequence PatientBirthTime QualityControlSubject
        ReferencedPatientSequence OtherPatientIDs OtherPatientIDsSequence OtherPatientNames EthnicGroup PatientComments
        PatientSpeciesDescription PatientSpeciesCodeSequence PatientBreedDescription PatientBreedCodeSequence
        ResponsiblePerson ResponsiblePersonRole ResponsibleOrganization PatientIdentityRemoved DeidentificationMethod
        DeidentificationMethodCodeSequence ClinicalTrialSponsorName ClinicalTrialProtocolID ClinicalTrialSubjectID""",
    # PS3.3 C.7.2.1 General Study, C.7.2.2 Patient Study.
    Level.STUDY: """
        ReferringPhysicianIdentificationSequence ConsultingPhysicianName IssuerOfAccessionNumberSequence
        PhysiciansOfRecord NameOfPhysiciansReadingStudy RequestingService RequestingServiceCodeSequence
        ReferencedStudySequence ProcedureCodeSequence ReasonForPerformedProcedureCodeSequence
        AdmittingDiagnosesDescription AdmittingDiagnosesCodeSequence PatientAge PatientSize PatientWeight
        MedicalAlerts Allergies SmokingStatus PregnancyStatus LastMenstrualDate PatientState Occupation
        AdditionalPatientHistory AdmissionID IssuerOfAdmissionIDSequence ServiceEpisodeID ServiceEpisodeDescription
        PatientSexNeutered RequestingPhysician RequestedProcedureDescription RequestedProcedureCodeSequence""",
    # PS3.3 C.7.3.1 General Series, C.7.5.1 General Equipment, C.7.4.1 Frame of Reference.
    Level.SERIES: """
        Laterality PerformingPhysicianName SeriesDescriptionCodeSequence OperatorsName PatientPosition
        ReferencedPerformedProcedureStepSequence PerformedProcedureStepID PerformedProcedureStepEndDate
        PerformedProcedureStepEndTime PerformedProcedureStepDescription PerformedProtocolCodeSequence
        CommentsOnThePerformedProcedureStep AnatomicalOrientationType TreatmentSessionUID Manufacturer
        InstitutionAddress InstitutionalDepartmentName ManufacturerModelName DeviceSerialNumber SoftwareVersions
        GantryID SpatialResolution DateOfLastCalibration TimeOfLastCalibration FrameOfReferenceUID
        PositionReferenceIndicator ClinicalTrialSeriesID""",
}


def _tags(keywords: Iterable[str]) -> frozenset[str]:
    return frozenset(tag_of(keyword) for keyword in keywords)


SUMMARY_TAGS: Mapping[Level, frozenset[str]] = MappingProxyType(
    {level: frozenset(row.tag for row in ATTRIBUTES if row.level is level) for level in Level}
)
"""Tags of the table by level: what a row's summary holds and every answer of that level carries."""

EXTRA_TAGS: Mapping[Level, frozenset[str]] = MappingProxyType(
    {level: _tags(keywords.split()) for level, keywords in _MODULES.items()}
)
"""Further attributes of the level's modules: returned on request, never matched."""

DEFAULT_TAGS: Mapping[Level, frozenset[str]] = MappingProxyType(
    {level: frozenset(row.tag for row in ATTRIBUTES if row.level is level and row.default) for level in Level}
)

_DOWN_TO = {level: tuple(Level)[: number + 1] for number, level in enumerate(Level)}


def levels_down_to(level: Level) -> tuple[Level, ...]:
    """The level and those above it, from PATIENT on: the levels whose attributes a query at `level` may name."""
    return _DOWN_TO[level]


def has_key(level: Level, row: Attribute) -> bool:
    """True when a query at `level` may be filtered and sorted by the attribute."""
    return row.searchable and (row.level in _DOWN_TO[level] or (level is Level.STUDY and row.keyword in OF_STUDY))
