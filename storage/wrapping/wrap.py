"""A file and attributes -> an instance: the one call of this package.

The sender's attributes stand; the file adds what it says about itself, and the template of the SOP class what an
instance must have. UIDs that are missing are derived from the content, so that the same request made twice gives the
same instance and not a second one.
"""

import hashlib
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final

import orjson
from pydicom.datadict import keyword_for_tag

from config.settings import Limits
from index.errors import CannotUnderstand, DataSetMismatch
from index.records import DicomJson, Element
from storage.composing import Content
from storage.spool import Source, Spool
from storage.wrapping import compressed, documents, movies, pictures
from storage.wrapping.material import (
    BITS_ALLOCATED,
    BITS_STORED,
    COLUMNS,
    FRAMES,
    HIGH_BIT,
    PHOTOMETRIC,
    ROWS,
    SAMPLES,
    Material,
    element,
    first,
    whole,
)
from storage.wrapping.templates import TEMPLATES, defaults, image_class, video_class

PIXEL_DATA: Final = "7FE00010"
_SOP_CLASS, _SOP_INSTANCE = "00080016", "00080018"
_STUDY, _SERIES, _MODALITY = "0020000D", "0020000E", "00080060"
_FRAME_OF_REFERENCE: Final = "00200052"
_LOSSY, _RATIO, _METHOD = "00282110", "00282112", "00282114"
_MODELS: Final = "M3D"

_COMPRESSED: Final[Mapping[str, Callable[[Source, DicomJson, str], Material]]] = {
    "image/jpeg": compressed.read_jpeg,
    "image/jpg": compressed.read_jpeg,
    "image/jls": compressed.read_jpeg,
    "image/x-jls": compressed.read_jpeg,
    "image/jp2": compressed.read_jpeg_2000,
    "image/jpx": compressed.read_jpeg_2000,
    "image/jphc": compressed.read_jpeg_2000,
    "image/jph": compressed.read_jpeg_2000,
    "image/jxl": compressed.read_described,
    "image/dicom-rle": compressed.read_described,
    "image/x-dicom-rle": compressed.read_described,
}
_VIDEOS: Final[Mapping[str, Callable[[Source, str], Material]]] = {
    "video/mp4": movies.read_mp4,
    "video/mpeg2": movies.read_mpeg2,
    "video/mpeg": movies.read_mpeg2,
}
PIXEL_TYPES: Final = frozenset({*_COMPRESSED, *_VIDEOS, *pictures.FORMATS})
"""Media types that Pixel Data may have besides application/octet-stream."""
DOCUMENT_TYPES: Final = frozenset(documents.KINDS)
"""Media types that Encapsulated Document may have."""


@dataclass(frozen=True, slots=True)
class File:
    """What is to be wrapped."""

    media_type: str
    source: Source
    transfer_syntax_uid: str = ""
    """What the sender says about the encoding; empty when it says nothing."""


@dataclass(frozen=True, slots=True)
class Workshop:
    """What wrapping needs besides the file."""

    limits: Limits
    new_spool: Callable[[], Spool]


@dataclass(frozen=True, slots=True)
class Wrapped:
    """An instance; `content` belongs to the element `tag`, which is in the data set without a value."""

    dataset: dict[str, Element]
    tag: str
    content: Content
    transfer_syntax_uid: str
    made: tuple[str, ...]
    """Tags of what neither the sender nor the file said."""


def wrap(file: File, attributes: DicomJson, workshop: Workshop, *, study_seed: bytes = b"") -> Wrapped:
    """Make an instance. Raises CannotUnderstand, DataSetMismatch, TooLarge.

    Instances with the same `study_seed` and no Study Instance UID come into the same study.
    """
    if file.media_type in DOCUMENT_TYPES:
        material, tag = documents.read_document(file.media_type, file.source), documents.DOCUMENT
        sop_class = documents.KINDS[file.media_type].sop_class_uid
    else:
        material, tag = _pixels(file, attributes, workshop), PIXEL_DATA
        sop_class = _image_class(file, material, attributes)
    _check_agreement(material, attributes, is_file_described=file.media_type in pictures.FORMATS)
    dataset = dict(attributes)
    dataset[tag] = {"vr": "OB"} if tag == documents.DOCUMENT else _pixel_element(material)
    _add(dataset, material.attributes | _frame_attributes(material) | _lossy(material, file.source.size_bytes))
    known = set(dataset)
    _add(dataset, {_SOP_CLASS: element("UI", sop_class)})
    template = TEMPLATES.get(str(first(dataset, _SOP_CLASS)))
    if template is not None:
        _add(dataset, _grey_multiframe(material, template.sop_class_uid) | defaults(template))
    _add_uids(dataset, file.source, study_seed)
    made = tuple(sorted(found for found in set(dataset) - known if not _is_given(attributes, found)))
    return Wrapped(dict(sorted(dataset.items())), tag, material.content, material.transfer_syntax_uid, made)


def names(tags: tuple[str, ...]) -> str:
    """The attributes as people call them."""
    return ", ".join(keyword_for_tag(int(tag, 16)) or tag for tag in tags)


def _pixels(file: File, attributes: DicomJson, workshop: Workshop) -> Material:
    if file.media_type in _COMPRESSED:
        return _COMPRESSED[file.media_type](file.source, attributes, file.transfer_syntax_uid)
    if file.media_type in _VIDEOS:
        return _VIDEOS[file.media_type](file.source, file.transfer_syntax_uid)
    if file.media_type in pictures.FORMATS:
        return pictures.read_picture(file.media_type, file.source, workshop.limits, workshop.new_spool)
    raise CannotUnderstand(f"Pixel Data cannot be {file.media_type[:40]}", attributes=(PIXEL_DATA,))


def _image_class(file: File, material: Material, attributes: DicomJson) -> str:
    modality = str(first(attributes, _MODALITY) or "")
    if file.media_type in _VIDEOS:
        return video_class(modality)
    described = material.attributes or attributes
    samples, bits = whole(described, SAMPLES) or 1, whole(described, BITS_ALLOCATED) or 8
    return image_class(modality, samples=samples, bits=bits, frames=material.frames)


def _pixel_element(material: Material) -> Element:
    return {"vr": "OW" if (first(material.attributes, BITS_ALLOCATED) or 8) > 8 else "OB"}


def _check_agreement(material: Material, attributes: DicomJson, *, is_file_described: bool) -> None:
    """The metadata must not say something else than the file. Of a decoded file everything is known; of others the
    sender may know better how many bits mean something, and in which colours they are."""
    binding = {ROWS, COLUMNS, SAMPLES, BITS_ALLOCATED, documents.MIME_TYPE, documents.LENGTH}
    if is_file_described:
        binding |= {BITS_STORED, HIGH_BIT}
        if first(material.attributes, SAMPLES) != 1:
            binding.add(PHOTOMETRIC)
    said = {tag: first(attributes, tag) for tag in binding if _is_given(attributes, tag) and tag in material.attributes}
    wrong = tuple(sorted(tag for tag, value in said.items() if _differ(value, first(material.attributes, tag))))
    if whole(attributes, FRAMES) not in (None, material.frames):
        wrong = (*wrong, FRAMES)
    if wrong:
        raise DataSetMismatch(f"The file contradicts the metadata: {names(wrong)}", attributes=wrong)


def _differ(said: object, found: object) -> bool:
    if isinstance(said, str) and isinstance(found, str):
        return said.lower() != found.lower()
    return said != found


def _is_given(attributes: DicomJson, tag: str) -> bool:
    return first(attributes, tag) is not None


def _add(dataset: dict[str, Element], more: Mapping[str, Element]) -> None:
    """Set what is missing, and what is empty though there is a value for it."""
    for tag, found in more.items():
        if tag not in dataset or ("Value" in found and not _has_value(dataset[tag])):
            dataset[tag] = found


def _has_value(found: Element) -> bool:
    return bool(found.get("Value")) or "InlineBinary" in found or "BulkDataURI" in found


def _frame_attributes(material: Material) -> dict[str, Element]:
    return {FRAMES: element("IS", material.frames)} if material.frames > 1 or material.is_moving else {}


def _grey_multiframe(material: Material, sop_class_uid: str) -> dict[str, Element]:
    """PS3.3 C.8.6.3: grey values of several frames are as they are, and shown so."""
    if material.frames == 1 or first(material.attributes, SAMPLES) != 1 or ".1.1.7." not in sop_class_uid:
        return {}
    return {
        "20500020": element("CS", "IDENTITY"),
        "00281052": element("DS", 0),
        "00281053": element("DS", 1),
        "00281054": element("LO", "US"),
    }


def _lossy(material: Material, size_bytes: int) -> dict[str, Element]:
    """Lossy Image Compression with its ratio and method (PS3.3 C.7.6.1.1.5); `01` can never become `00` again."""
    if not material.attributes.get(ROWS):
        return {}
    if not material.lossy_method:
        return {_LOSSY: element("CS", "00")} if material.frames == 1 else {}
    ratio = round(material.native_bytes / max(1, size_bytes), 3)
    return {
        _LOSSY: element("CS", "01"),
        _RATIO: element("DS", ratio),
        _METHOD: element("CS", material.lossy_method),
    }


def _add_uids(dataset: dict[str, Element], source: Source, study_seed: bytes) -> None:
    said = orjson.dumps(dict(sorted(dataset.items())))
    content = source.digest()
    study = str(first(dataset, _STUDY) or _uid(b"study", study_seed or said + content))
    kind = f"{first(dataset, _MODALITY)} {first(dataset, _SOP_CLASS)}".encode()
    series = first(dataset, _SERIES) or _uid(b"series", study.encode() + kind)
    uids = {_STUDY: study, _SERIES: series, _SOP_INSTANCE: _uid(b"instance", said + content)}
    if first(dataset, _MODALITY) == _MODELS:
        uids[_FRAME_OF_REFERENCE] = _uid(b"frame of reference", study.encode())
    _add(dataset, {tag: element("UI", uid) for tag, uid in uids.items()})


def _uid(purpose: bytes, content: bytes) -> str:
    """A UID from a digest (PS3.5 B.2, with a UUID of the variant that names are made from)."""
    digest = hashlib.sha256(purpose + b"\0" + content).digest()
    return f"2.25.{uuid.UUID(bytes=digest[:16], version=5).int}"
