"""Overlays (PS3.3 C.9.2): planes of single bits beside the pixels, or in bits of the samples that they leave free."""

from typing import Final

import numpy as np
import numpy.typing as npt

from index.records import DicomJson
from storage.pixels.decode import Samples
from storage.pixels.description import ImageDescription, StoredFrame, integer, numbers
from storage.pixels.lut import in_word_order

Mask = npt.NDArray[np.uint8]
"""(rows, columns) of the image: 255 where the overlay is drawn, else 0."""

GROUPS: Final = tuple(range(0x6000, 0x6020, 2))
_ROWS: Final = tuple((group, f"{group:04X}0010") for group in GROUPS)
_MOST_PIXELS: Final = 65535**2


def groups_of(dataset: DicomJson) -> list[int]:
    """The overlay groups of a data set, ascending."""
    return [group for group, rows in _ROWS if rows in dataset]


def mask_of(source: StoredFrame, group: int, image: ImageDescription, *, number: int) -> Mask | None:
    """The overlay data of a group over frame `number` of an image; None when the group has none for it."""
    element = source.dataset.get(f"{group:04X}3000")
    rows, columns = (integer(source.dataset, f"{group:04X}{tag}", 0) for tag in ("0010", "0011"))
    plane = _plane_number(source.dataset, group, number)
    if element is None or plane is None or not 0 < rows * columns < _MOST_PIXELS or min(rows, columns) < 1:
        return None
    data = source.binary(element)
    if element.get("vr") != "OB":
        data = in_word_order(source, data)
    first = plane * rows * columns
    if len(data) * 8 < first + rows * columns:
        return None
    skipped = first % 8
    stored = np.frombuffer(data, np.uint8)[first // 8 :]
    bits = np.unpackbits(stored, bitorder="little", count=skipped + rows * columns)[skipped:]
    return _placed(bits.reshape(rows, columns), source.dataset, group, (image.rows, image.columns))


def embedded_mask(samples: Samples, dataset: DicomJson, group: int, image: ImageDescription) -> Mask | None:
    """An overlay in a bit of the samples themselves (PS3.3 C.9.2, retired); None when that bit is a pixel's own."""
    position = integer(dataset, f"{group:04X}0102", 0)
    high = integer(dataset, "00280102", image.bits_stored - 1)
    free = not high - image.bits_stored < position <= high
    if f"{group:04X}3000" in dataset or samples.ndim != 2 or image.floating or not free:
        return None
    if not 0 <= position < 8 * samples.dtype.itemsize:
        return None
    bits = (samples.view(f"u{samples.dtype.itemsize}") >> position & 1).astype(np.uint8)
    mask: Mask = bits * np.uint8(255)
    return mask


def _plane_number(dataset: DicomJson, group: int, number: int) -> int | None:
    """Which plane, from 0, belongs to a frame; overlays of one plane without frame numbers belong to all."""
    if f"{group:04X}0015" not in dataset:
        return 0
    plane = number - integer(dataset, f"{group:04X}0051", 1)
    return plane if 0 <= plane < integer(dataset, f"{group:04X}0015", 1) else None


def _placed(bits: Mask, dataset: DicomJson, group: int, size: tuple[int, int]) -> Mask:
    """The plane where Overlay Origin (row and column, from 1, below 1 too) puts it, cut at the image's edges."""
    origin = numbers(dataset, f"{group:04X}0050")
    top, left = (int(origin[0]) - 1, int(origin[1]) - 1) if len(origin) == 2 else (0, 0)
    mask = np.zeros(size, np.uint8)
    inside = bits[max(0, -top) : max(0, size[0] - top), max(0, -left) : max(0, size[1] - left)]
    if inside.size:
        start_row, start_column = max(0, top), max(0, left)
        mask[start_row : start_row + inside.shape[0], start_column : start_column + inside.shape[1]] = inside * 255
    return mask
