"""Metadata and the parts it refers to -> an instance that can be taken in (PS3.18 10.5.1.4, 10.5.2).

What the part of Pixel Data or Encapsulated Document is decides how the instance is made: raw pixels are written as
they are, compressed frames and videos are encapsulated, other pictures are decoded, documents are enclosed.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from index.errors import CannotUnderstand, DataSetMismatch
from index.reasons import Code, Reason
from index.records import DicomJson, Element, InstanceKey
from storage import composing, part10
from storage.composing import Composition, Content
from storage.spool import Source
from storage.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE
from storage.wrapping.documents import DOCUMENT, MIME_TYPE
from storage.wrapping.material import BITS_ALLOCATED, COLUMNS, FRAMES, PHOTOMETRIC, ROWS, SAMPLES, element, first, whole
from storage.wrapping.wrap import DOCUMENT_TYPES, PIXEL_DATA, PIXEL_TYPES, File, Workshop, Wrapped, names, wrap

OCTETS: Final = "application/octet-stream"
STUDY: Final = "0020000D"
_SOP_CLASS, _SERIES, _SOP_INSTANCE = "00080016", "0020000E", "00080018"
_NATIVE: Final = frozenset({"", EXPLICIT_LITTLE, IMPLICIT_LITTLE})
"""Raw values are little endian in any case (PS3.18 10.5.1.4)."""
_TWO_OF_THREE: Final = frozenset({"YBR_FULL_422", "YBR_PARTIAL_422"})
"""Photometric interpretations that keep two samples a pixel where three are meant (PS3.3 C.7.6.3.1.2)."""


@dataclass(frozen=True, slots=True)
class Part:
    """One value that came beside the metadata."""

    media_type: str
    source: Source
    transfer_syntax_uid: str = ""


@dataclass(frozen=True, slots=True)
class Assembly:
    """An instance ready to be taken in."""

    composition: Composition
    key: InstanceKey
    sop_class_uid: str
    warnings: tuple[Reason, ...] = ()

    def blocks(self) -> Iterator[bytes]:
        """The bytes of its DICOM file."""
        return composing.part10(self.composition, self.key, self.sop_class_uid)


def assemble(
    dataset: DicomJson, parts: Mapping[str, Part], workshop: Workshop, *, study: str = "", study_seed: bytes = b""
) -> Assembly:
    """Make an instance of metadata and `parts` by BulkDataURI.

    `study` is the Study Instance UID when the data set has none. Raises CannotUnderstand, DataSetMismatch, TooLarge.
    """
    given = dict(dataset)
    if study and first(given, STUDY) is None:
        given[STUDY] = element("UI", study)
    found = dict(_referenced(given, "", parts))
    wrapped = _wrapped(given, found, workshop, study_seed)
    if wrapped is None:
        _check_raw(given, found)
        return _assembly(given, EXPLICIT_LITTLE, lambda path, _: found[path].source, ())
    whole = wrapped.dataset | {wrapped.tag: {**wrapped.dataset[wrapped.tag], "BulkDataURI": wrapped.tag}}

    def find(path: str, _uri: str) -> Content:
        return wrapped.content if path == wrapped.tag else found[path].source

    return _assembly(whole, wrapped.transfer_syntax_uid, find, wrapped.made)


def key_of(dataset: DicomJson) -> InstanceKey | None:
    """The UIDs of a data set as far as it has valid ones, None when it does not even name the instance."""
    study, series, instance = (_uid(dataset, tag) for tag in (STUDY, _SERIES, _SOP_INSTANCE))
    return InstanceKey(study, series, instance) if instance else None


def class_of(dataset: DicomJson) -> str:
    """The SOP Class UID of a data set, empty when it has no valid one."""
    return _uid(dataset, _SOP_CLASS)


def _uid(dataset: DicomJson, tag: str) -> str:
    value = first(dataset, tag)
    return str(value) if part10.is_uid(value) else ""


def _assembly(
    dataset: DicomJson, transfer_syntax_uid: str, find: composing.FindBulk, made: tuple[str, ...]
) -> Assembly:
    composition = Composition(composing.in_unicode(dataset), transfer_syntax_uid, find)
    warnings = (Reason(Code.COERCION, f"Filled in {len(made)} attributes that were missing", made),) if made else ()
    key = key_of(dataset) or InstanceKey("", "", "")
    return Assembly(composition, key, class_of(dataset), warnings)


def _referenced(dataset: DicomJson, prefix: str, parts: Mapping[str, Part]) -> Iterator[tuple[str, Part]]:
    """The part of every element that has its value elsewhere, by path."""
    for tag, item in dataset.items():
        path = prefix + tag
        uri = item.get("BulkDataURI")
        if uri is not None:
            part = parts.get(uri)
            if part is None:
                raise CannotUnderstand(f"No part has the Content-Location of {names((tag,))}", attributes=(path,))
            yield path, part
        elif item.get("vr") == "SQ":
            for number, inner in enumerate(item.get("Value", ()), 1):
                yield from _referenced(inner, f"{path}/{number}/", parts)


def _wrapped(
    dataset: dict[str, Element], found: Mapping[str, Part], workshop: Workshop, study_seed: bytes
) -> Wrapped | None:
    """The instance when pixels or a document came as a file of some format, None when all values are raw."""
    result: Wrapped | None = None
    for path, part in found.items():
        media_type = part.media_type
        if path == DOCUMENT and media_type == OCTETS:
            media_type = str(first(dataset, MIME_TYPE) or OCTETS).lower()
        fits = {PIXEL_DATA: PIXEL_TYPES, DOCUMENT: DOCUMENT_TYPES}.get(path, frozenset())
        if media_type in fits and result is None:
            file = File(media_type, part.source, part.transfer_syntax_uid)
            plain = {tag: value for tag, value in dataset.items() if tag != path}
            result = wrap(file, plain, workshop, study_seed=study_seed)
        elif media_type != OCTETS:
            raise CannotUnderstand(f"{names((path[-8:],))} cannot be {media_type[:40]}", attributes=(path,))
    return result


def _check_raw(dataset: dict[str, Element], found: Mapping[str, Part]) -> None:
    """Raw Pixel Data must be native, and as long as the image that the metadata describes."""
    part = found.get(PIXEL_DATA)
    if part is None:
        return
    if part.transfer_syntax_uid not in _NATIVE:
        raise CannotUnderstand(
            "application/octet-stream must not be compressed or big endian",
            code=Code.TRANSFER_SYNTAX_NOT_SUPPORTED,
            attributes=(PIXEL_DATA,),
        )
    counts = {tag: whole(dataset, tag) for tag in (ROWS, COLUMNS, SAMPLES, BITS_ALLOCATED)}
    missing = tuple(tag for tag, count in counts.items() if count is None)
    if missing:
        raise DataSetMismatch(f"The metadata lacks {names(missing)}", attributes=missing)
    rows, columns, samples, bits = (count or 0 for count in counts.values())
    if first(dataset, PHOTOMETRIC) in _TWO_OF_THREE:
        samples = 2
    expected = (rows * columns * samples * bits * (whole(dataset, FRAMES) or 1) + 7) // 8
    if part.source.size_bytes not in (expected, expected + expected % 2):
        raise DataSetMismatch(
            f"Pixel Data has {part.source.size_bytes} bytes, not {expected}", attributes=(PIXEL_DATA,)
        )
    dataset[PIXEL_DATA] = {**dataset[PIXEL_DATA], "vr": "OW" if bits > 8 else "OB"}
