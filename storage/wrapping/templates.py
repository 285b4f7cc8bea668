"""The SOP classes that files are wrapped in, and what an instance of each must have that no file says.

Type 2 attributes that are missing become empty, type 1 attributes get the value that claims least (PS3.3 A.8, A.32,
A.45, A.85). Everything here is a default: what the sender says stands.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from pydicom.datadict import dictionary_VR, tag_for_keyword

from index.records import Element
from storage.wrapping.material import element

Values = dict[str, str | int | tuple[str, ...]]

_CODE: Final = ("00080100", "00080102", "00080104")


@dataclass(frozen=True, slots=True)
class Template:
    """One SOP class as a target of wrapping."""

    sop_class_uid: str
    name: str
    modality: str
    values: Values
    """Keyword -> value of type 1 attributes."""
    empty: tuple[str, ...] = ()
    """Keywords of type 2 attributes besides those of `_EMPTY`."""
    codes: Mapping[str, tuple[str, str, str]] | None = None
    """Keyword of a code sequence of type 1 -> value, scheme and meaning."""


_EMPTY: Final = (
    "PatientName",
    "PatientID",
    "PatientBirthDate",
    "PatientSex",
    "StudyDate",
    "StudyTime",
    "AccessionNumber",
    "ReferringPhysicianName",
    "StudyID",
    "SeriesNumber",
    "Manufacturer",
)
"""Type 2 in the Patient, General Study, General Series and General Equipment modules, which all classes share."""

_SC: Final = "1.2.840.10008.5.1.4.1.1.7"
_VL: Final = "1.2.840.10008.5.1.4.1.1.77.1"
_DOCUMENT: Final = "1.2.840.10008.5.1.4.1.1.104"
_IMAGE_TYPE: Final = ("ORIGINAL", "PRIMARY")
_SC_VALUES: Final[Values] = {"ConversionType": "WSD", "InstanceNumber": 1}
_SC_EMPTY: Final = ("PatientOrientation", "Laterality")
_SC_FRAMES: Final[Values] = _SC_VALUES | {"BurnedInAnnotation": "YES"}
_VL_VALUES: Final[Values] = {"ImageType": _IMAGE_TYPE, "InstanceNumber": 1}
_VL_EMPTY: Final = ("AcquisitionContextSequence", "PatientOrientation", "Laterality")
_VIDEO_CODES: Final = {"AnatomicRegionSequence": ("123037004", "SCT", "Body structure")}
_DOCUMENT_VALUES: Final[Values] = {
    "ConversionType": "WSD",
    "BurnedInAnnotation": "YES",
    "InstanceNumber": 1,
    "SeriesNumber": 1,
}
_DOCUMENT_EMPTY: Final = (
    "ContentDate",
    "ContentTime",
    "AcquisitionDateTime",
    "DocumentTitle",
    "ConceptNameCodeSequence",
)
_MODEL_VALUES: Final[Values] = _DOCUMENT_VALUES | {
    "Manufacturer": "UNKNOWN",
    "ManufacturerModelName": "UNKNOWN",
    "DeviceSerialNumber": "UNKNOWN",
    "SoftwareVersions": "UNKNOWN",
    "ModelModification": "NO",
    "ModelMirroring": "NO",
    "ContentDescription": "3D model",
}
_MODEL_EMPTY: Final = (*_DOCUMENT_EMPTY, "PositionReferenceIndicator")
_MODEL_CODES: Final = {"MeasurementUnitsCodeSequence": ("mm", "UCUM", "mm")}


def _images() -> list[Template]:
    return [
        Template(_SC, "Secondary Capture", "OT", _SC_VALUES, _SC_EMPTY),
        Template(f"{_SC}.2", "Multi-frame Grayscale Byte Secondary Capture", "OT", _SC_FRAMES, _SC_EMPTY),
        Template(f"{_SC}.3", "Multi-frame Grayscale Word Secondary Capture", "OT", _SC_FRAMES, _SC_EMPTY),
        Template(f"{_SC}.4", "Multi-frame True Color Secondary Capture", "OT", _SC_FRAMES, _SC_EMPTY),
        Template(f"{_VL}.1", "VL Endoscopic", "ES", _VL_VALUES, _VL_EMPTY),
        Template(f"{_VL}.2", "VL Microscopic", "GM", _VL_VALUES, _VL_EMPTY),
        Template(f"{_VL}.4", "VL Photographic", "XC", _VL_VALUES, _VL_EMPTY),
        Template(f"{_VL}.1.1", "Video Endoscopic", "ES", _VL_VALUES, _VL_EMPTY, _VIDEO_CODES),
        Template(f"{_VL}.2.1", "Video Microscopic", "GM", _VL_VALUES, _VL_EMPTY, _VIDEO_CODES),
        Template(f"{_VL}.4.1", "Video Photographic", "XC", _VL_VALUES, _VL_EMPTY, _VIDEO_CODES),
    ]


def _documents() -> list[Template]:
    return [
        Template(f"{_DOCUMENT}.1", "Encapsulated PDF", "DOC", _DOCUMENT_VALUES, _DOCUMENT_EMPTY),
        Template(f"{_DOCUMENT}.2", "Encapsulated CDA", "DOC", _DOCUMENT_VALUES, _DOCUMENT_EMPTY),
        Template(f"{_DOCUMENT}.3", "Encapsulated STL", "M3D", _MODEL_VALUES, _MODEL_EMPTY, _MODEL_CODES),
        Template(f"{_DOCUMENT}.4", "Encapsulated OBJ", "M3D", _MODEL_VALUES, _MODEL_EMPTY, _MODEL_CODES),
        Template(f"{_DOCUMENT}.5", "Encapsulated MTL", "M3D", _MODEL_VALUES, _MODEL_EMPTY),
    ]


TEMPLATES: Final = {template.sop_class_uid: template for template in (*_images(), *_documents())}
"""SOP Class UID -> template."""


def image_class(modality: str, *, samples: int, bits: int, frames: int) -> str:
    """The SOP class of an image whose metadata names none."""
    if frames > 1:
        if samples > 1:
            return f"{_SC}.4"
        return f"{_SC}.2" if bits <= 8 else f"{_SC}.3"
    by_modality = {"ES": f"{_VL}.1", "GM": f"{_VL}.2", "XC": f"{_VL}.4"}
    return by_modality.get(modality, _SC) if bits <= 8 else _SC


def video_class(modality: str) -> str:
    """The SOP class of a video whose metadata names none."""
    return {"ES": f"{_VL}.1.1", "GM": f"{_VL}.2.1"}.get(modality, f"{_VL}.4.1")


def defaults(template: Template) -> dict[str, Element]:
    """What the template adds to an instance that lacks it."""
    found = {_tag(keyword): _element(keyword) for keyword in (*_EMPTY, *template.empty)}
    for keyword, value in {"Modality": template.modality, **template.values}.items():
        values = value if isinstance(value, tuple) else (value,)
        found[_tag(keyword)] = _element(keyword, *values)
    for keyword, code in (template.codes or {}).items():
        item = {tag: element(vr, text) for tag, vr, text in zip(_CODE, ("SH", "SH", "LO"), code, strict=True)}
        found[_tag(keyword)] = element("SQ", item)
    return found


def _tag(keyword: str) -> str:
    return f"{tag_for_keyword(keyword) or 0:08X}"


def _element(keyword: str, *values: str | int) -> Element:
    return element(dictionary_VR(keyword), *values)
