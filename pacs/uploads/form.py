"""What people say about files that are no DICOM files: which formats there are, and the form's fields as attributes."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, Final

from index.access import Permission, Principal
from index.attributes import BY_KEYWORD
from index.errors import CannotUnderstand
from index.query import Exact, Query
from index.records import DicomJson, Element, Level
from storage.archive import Archive
from storage.part10 import is_uid
from storage.wrapping.documents import DOCUMENT
from storage.wrapping.wrap import DOCUMENT_TYPES, PIXEL_DATA

FORMATS: Final = {
    "pdf": "application/pdf",
    "jpg": "image/jpeg",
    "jpeg": "image/jpeg",
    "jls": "image/jls",
    "jp2": "image/jp2",
    "j2k": "image/jp2",
    "jph": "image/jph",
    "png": "image/png",
    "gif": "image/gif",
    "tif": "image/tiff",
    "tiff": "image/tiff",
    "bmp": "image/bmp",
    "mp4": "video/mp4",
    "m4v": "video/mp4",
    "mpg": "video/mpeg2",
    "mpeg": "video/mpeg2",
    "stl": "model/stl",
    "obj": "model/obj",
    "mtl": "model/mtl",
    "cda": "text/xml",
    "xml": "text/xml",
}
"""Ending of a file's name -> its media type: the files that can be wrapped into DICOM objects."""


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the form, a key of Upload-Metadata."""

    tag: str
    vr: str
    pattern: str
    """A regular expression for the whole value."""


_NAME, _TEXT, _SHORT = r"[^\\=\x00-\x1f]{1,64}", r"[^\\\x00-\x1f]{1,64}", r"[^\\\x00-\x1f]{1,16}"
_DAY: Final = r"[0-9]{4}(0[1-9]|1[0-2])(0[1-9]|[12][0-9]|3[01])"

FIELDS: Final = {
    "PatientName": Field("00100010", "PN", _NAME),
    "PatientID": Field("00100020", "LO", _TEXT),
    "PatientBirthDate": Field("00100030", "DA", _DAY),
    "PatientSex": Field("00100040", "CS", "[FMO]"),
    "StudyInstanceUID": Field("0020000D", "UI", "[0-9.]{1,64}"),
    "StudyDate": Field("00080020", "DA", _DAY),
    "StudyDescription": Field("00081030", "LO", _TEXT),
    "AccessionNumber": Field("00080050", "SH", _SHORT),
    "SeriesDescription": Field("0008103E", "LO", _TEXT),
    "InstanceNumber": Field("00200013", "IS", "[0-9]{1,9}"),
    "Modality": Field("00080060", "CS", "[A-Z0-9_ ]{1,16}"),
}
_STUDY: Final = "0020000D"
_OF_THE_STUDY: Final = (
    "PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime",
    "StudyDescription", "AccessionNumber", "ReferringPhysicianName", "StudyID",
)  # fmt: skip


def media_type_of(name: str) -> str:
    """What a file of this name is wrapped as; empty when it cannot be wrapped."""
    return FORMATS.get(PurePosixPath(name).suffix.lower().removeprefix("."), "")


def value_tag(media_type: str) -> str:
    """The attribute that a file of this type becomes the value of."""
    return DOCUMENT if media_type in DOCUMENT_TYPES else PIXEL_DATA


def read(metadata: Mapping[str, str]) -> dict[str, Element]:
    """The fields that are filled in, as attributes. Raises CannotUnderstand that names the field."""
    found: dict[str, Element] = {}
    for keyword, field in FIELDS.items():
        said = metadata.get(keyword, "").strip()
        if not said:
            continue
        if not re.fullmatch(field.pattern, said) or (field.vr == "UI" and not is_uid(said)):
            raise CannotUnderstand(f"{keyword} has a value that it cannot have")
        value: Any = {"Alphabetic": said} if field.vr == "PN" else int(said) if field.vr == "IS" else said
        found[field.tag] = {"vr": field.vr, "Value": [value]}
    return found


def attributes_for(archive: Archive, principal: Principal, metadata: Mapping[str, str]) -> dict[str, Element]:
    """The form's fields; when they name a study that is there, what it says about itself and its patient stands."""
    said = read(metadata)
    study = said.get(_STUDY, {}).get("Value", [""])[0]
    known = _study(archive, principal, study) if study and Permission.QUERY in principal.permissions else None
    if known is None:
        return said
    tags = {BY_KEYWORD[keyword].tag for keyword in _OF_THE_STUDY if keyword in BY_KEYWORD}
    ours = {tag: known[tag] for tag in tags if known.get(tag, {}).get("Value")}
    return {tag: value for tag, value in said.items() if tag not in tags} | ours


def _study(archive: Archive, principal: Principal, study: str) -> DicomJson | None:
    tags = frozenset(BY_KEYWORD[keyword].tag for keyword in _OF_THE_STUDY if keyword in BY_KEYWORD)
    query = Query(Level.STUDY, (Exact("StudyInstanceUID", study),), returned=tags, limit=1)
    return next(iter(archive.search(principal, query)), None)
