"""DICOM files (PS3.10 7): the one pass over a stored object that tells ingest all it needs."""

import logging
import re
import struct
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from config.settings import Limits
from index.errors import CannotUnderstand, DataSetMismatch
from index.layout import NativePixels, ObjectLayout
from index.reasons import Reason
from index.records import InstanceKey, InstanceRecord
from storage import syntaxes
from storage.elements import Scan
from storage.encoding import Encoding
from storage.inflate import inflate
from storage.meta_group import FileMeta, MetaReader, build_meta
from storage.metadata import bulk_data_prefix, compress, to_json
from storage.pixel_layout import pixel_layout
from storage.scopes import Json
from storage.values import Buffer

__all__ = ["FileMeta", "MetaReader", "Scanned", "build_meta", "is_uid", "record_of", "scan"]

_UID: Final = re.compile(r"[0-9]+(?:\.[0-9]+)*")
_LONGEST_UID: Final = 64
_CHARACTER_SET: Final = "00080005"
_AVAILABLE_SYNTAX: Final = "00083002"
_REPLACED: Final = "\ufffd".encode()
"""What stands in the JSON for bytes that are no text in their character set."""

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Scanned:
    """What one pass over a stored object found."""

    key: InstanceKey
    sop_class_uid: str
    dataset: Json
    layout: ObjectLayout
    warnings: tuple[Reason, ...]


def is_uid(text: object) -> bool:
    """Whether a text can stand for a UID here: digits and single dots, at most 64 (PS3.5 9.1).

    Components with leading zeros are tolerated; what could be a path is not.
    """
    return isinstance(text, str) and len(text) <= _LONGEST_UID and _UID.fullmatch(text) is not None


def scan(
    view: Buffer, *, dataset_offset: int, transfer_syntax_uid: str, limits: Limits, bulk_threshold_bytes: int
) -> Scanned:
    """Read a whole stored object once: metadata, layout and the UIDs that name it.

    `view` is any buffer: bytes, bytearray, memoryview (of bytes) or mmap. Raises CannotUnderstand,
    DataSetMismatch or TooLarge. Text is taken out, everything else stays where it is.
    """
    syntax = syntaxes.lookup(transfer_syntax_uid)
    deflated = syntax is not None and syntax.deflated
    data, start = (inflate(view, dataset_offset, limits), 0) if deflated else (view, dataset_offset)
    # Private syntaxes are nearly always one of the two little endian ones; `Scan` finds out which.
    encoding = Encoding(explicit=syntax is None or syntax.explicit_vr, little=syntax is None or syntax.little_endian)
    state = Scan(data, encoding, limits, bulk_threshold_bytes=bulk_threshold_bytes)
    try:
        dataset = state.read(start)
        pixels = pixel_layout(state, dataset, syntax)
    except (struct.error, IndexError) as exc:
        raise CannotUnderstand("The data set is damaged") from exc
    finally:
        if deflated and hasattr(data, "close"):
            data.close()
    key = _key(dataset)
    prefix = bulk_data_prefix(key)
    for element, path in state.references:
        element["BulkDataURI"] = prefix + path
    layout = ObjectLayout(dataset_offset, pixels, MappingProxyType(state.bulk), deflated)
    return Scanned(key, _uid(dataset, "00080016", "SOP Class UID"), dataset, layout, tuple(state.warnings.values()))


def record_of(
    scanned: Scanned, *, transfer_syntax_uid: str, blob_key: str, size_bytes: int, sha256: bytes
) -> InstanceRecord:
    """All that is kept of an object besides its bytes. Raises CannotUnderstand when it cannot be written as JSON."""
    text = to_json(_announced(scanned, transfer_syntax_uid))
    if _REPLACED in text:
        _log.warning(
            "Text cannot be decoded",
            extra={
                "SOPInstanceUID": scanned.key.sop_instance_uid,
                "SpecificCharacterSet": scanned.dataset.get(_CHARACTER_SET, {}).get("Value", []),
            },
        )
    return InstanceRecord(
        key=scanned.key,
        sop_class_uid=scanned.sop_class_uid,
        transfer_syntax_uid=transfer_syntax_uid,
        dataset=scanned.dataset,
        metadata=compress(text),
        layout=scanned.layout,
        blob_key=blob_key,
        size_bytes=size_bytes,
        sha256=sha256,
    )


def _announced(scanned: Scanned, transfer_syntax_uid: str) -> Json:
    """The data set as clients see it. Some name their transfer syntax (0008,3002), because nothing else in them tells.

    Viewers ask for a video as a whole, not for its frames. And frames whose pixels share chrominance hold two samples
    for each pixel when they are native, but three when a compressed one is decoded.
    """
    syntax = syntaxes.lookup(transfer_syntax_uid)
    pixels = scanned.layout.pixels
    if not (syntax and syntax.video) and not (isinstance(pixels, NativePixels) and pixels.half_colour):
        return scanned.dataset
    element = {"vr": "UI", "Value": [transfer_syntax_uid]}
    return dict(sorted({**scanned.dataset, _AVAILABLE_SYNTAX: element}.items()))


def _key(dataset: Json) -> InstanceKey:
    return InstanceKey(
        _uid(dataset, "0020000D", "Study Instance UID"),
        _uid(dataset, "0020000E", "Series Instance UID"),
        _uid(dataset, "00080018", "SOP Instance UID"),
    )


def _uid(dataset: Json, key: str, name: str) -> str:
    values = dataset.get(key, {}).get("Value")
    if not values:
        raise DataSetMismatch(f"{name} is missing", attributes=(key,))
    if len(values) > 1 or not is_uid(values[0]):
        raise DataSetMismatch(f"{name} is not a valid UID", attributes=(key,))
    return str(values[0])
