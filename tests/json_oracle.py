"""What pydicom makes of a file, in the form our scan returns it: the independent oracle for metadata.

Differences that are meant, and nothing else, are removed here: group lengths are left out (PS3.18 F.2.2), tags
ascend, the top-level pixels are always a reference, and every reference reads BULK.
"""

import contextlib
import logging
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

import pydicom
from pydicom.dataset import Dataset

BULK = "BULK"
PIXELS = frozenset({0x7FE00008, 0x7FE00009, 0x7FE00010})

OUR_THRESHOLD_BYTES = 1023
PYDICOM_THRESHOLD = 1364
"""pydicom counts base64 characters: it refers to what is longer than 1364 // 4 * 3 = 1023 bytes."""


@contextlib.contextmanager
def quiet_pydicom() -> Iterator[None]:
    """pydicom warns about values that are not valid; what it makes of them is the point here."""
    logger = logging.getLogger("pydicom")
    level = logger.level
    logger.setLevel(logging.CRITICAL)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logger.setLevel(level)


def pydicom_json(source: Path | BinaryIO) -> dict[str, Any]:
    """The data set of a file as DICOM JSON, by pydicom."""
    with quiet_pydicom():
        dataset = pydicom.dcmread(source, force=True)
        return _without_group_lengths({_key(tag): _element(dataset, tag) for tag in sorted(dataset.keys())})


def _key(tag: int) -> str:
    return f"{tag:08X}"


def _element(dataset: Dataset, tag: Any) -> dict[str, Any]:
    element: dict[str, Any] = dataset[tag].to_json_dict(lambda _: BULK, PYDICOM_THRESHOLD)
    if tag in PIXELS and "InlineBinary" in element:
        return {"vr": element["vr"], "BulkDataURI": BULK}
    return element


def _without_group_lengths(value: Any) -> Any:
    if isinstance(value, dict):
        return {
            key: _without_group_lengths(item)
            for key, item in value.items()
            if not (len(key) == 8 and key.endswith("0000"))
        }
    return [_without_group_lengths(item) for item in value] if isinstance(value, list) else value


def with_bulk_hidden(value: Any) -> Any:
    """Our JSON with BULK for every BulkDataURI."""
    if isinstance(value, dict):
        return {key: BULK if key == "BulkDataURI" else with_bulk_hidden(item) for key, item in value.items()}
    return [with_bulk_hidden(item) for item in value] if isinstance(value, list) else value
