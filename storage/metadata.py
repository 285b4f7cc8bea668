"""The DICOM JSON metadata as it is kept: UTF-8 JSON in one zstd frame, bulk data by reference (PS3.18 F)."""

import threading
from collections.abc import Generator, Sequence
from typing import Final

import orjson
import zstandard

from index.errors import CannotUnderstand
from index.records import DicomJson, InstanceKey

BULK_DATA_ROOT: Final = "/dicomweb"
"""Start of every BulkDataURI. References are relative to the server, whatever name it is reached by."""

_REFERENCE: Final = b'"BulkDataURI":"' + BULK_DATA_ROOT.encode() + b"/"

FORM: Final = 3
"""Raised when the same object gets other metadata than before, so that clients fetch it anew."""

_LEVEL: Final = -1
"""Without Huffman codes: a quarter larger than level 1, and read back, which a series does hundreds of times, in half
the time (9 KB of JSON: 7 instead of 14 microseconds)."""
_contexts = threading.local()

_BLOCK_BYTES: Final = 65536
"""A block stays below what malloc takes from the kernel anew each time (128 KiB), if its last data set is small."""


def bulk_data_prefix(key: InstanceKey) -> str:
    """What precedes the path of a bulk data value (index/layout.py) in its BulkDataURI."""
    return (
        f"{BULK_DATA_ROOT}/studies/{key.study_instance_uid}/series/{key.series_instance_uid}"
        f"/instances/{key.sop_instance_uid}/bulkdata/"
    )


def to_json(dataset: DicomJson) -> bytes:
    """A data set in the DICOM JSON model as UTF-8. Raises CannotUnderstand."""
    try:
        return orjson.dumps(dataset)
    except orjson.JSONEncodeError as exc:
        raise CannotUnderstand("The data set cannot be written as JSON") from exc


def compress(text: bytes) -> bytes:
    """The UTF-8 JSON of a data set as it is stored."""
    return _compressor().compress(text)


def decompress(blob: bytes) -> bytes:
    """The UTF-8 JSON that `compress` stored."""
    return _decompressor().decompress(blob)


def array_length(blobs: Sequence[bytes]) -> int:
    """Length in bytes of what `array_blocks` makes; every blob tells its own."""
    return sum(map(zstandard.frame_content_size, blobs)) + len(blobs) + 1


def with_absolute_uris(text: bytes, root: str) -> bytes:
    """Metadata whose BulkDataURIs start with the address of the server; as it is when `root` is empty.

    The marks cannot stand in a value, where the quotes would be escaped.
    """
    return (
        text.replace(_REFERENCE, b'"BulkDataURI":"' + root.encode() + BULK_DATA_ROOT.encode() + b"/") if root else text
    )


def array_blocks(blobs: Sequence[bytes], root: str = "") -> Generator[bytes, None, None]:
    """Stored data sets as one JSON array, in blocks of several, BulkDataURIs below `root`.

    As one text hundreds of them would be new memory each time, and what the kernel does for that takes as long as the
    decompression.
    """
    texts: list[bytes] = []
    size = 0
    mark = b"["
    for blob in blobs:
        text = with_absolute_uris(decompress(blob), root) if root else decompress(blob)
        texts.append(text)
        size += len(text)
        if size >= _BLOCK_BYTES:
            yield mark + b",".join(texts)
            texts, size, mark = [], 0, b","
    yield mark + b",".join(texts) + b"]" if texts else b"]"


def _compressor() -> zstandard.ZstdCompressor:
    """This thread's compressor: making one costs more than compressing a header, and threads cannot share it."""
    compressor: zstandard.ZstdCompressor | None = getattr(_contexts, "compressor", None)
    if compressor is None:
        compressor = _contexts.compressor = zstandard.ZstdCompressor(level=_LEVEL)
    return compressor


def _decompressor() -> zstandard.ZstdDecompressor:
    decompressor: zstandard.ZstdDecompressor | None = getattr(_contexts, "decompressor", None)
    if decompressor is None:
        decompressor = _contexts.decompressor = zstandard.ZstdDecompressor()
    return decompressor
