"""Stored values -> 8-bit grey: modality transformation, VOI transformation, polarity (PS3.4 N.2).

For integers of up to 16 bits the whole chain is one table from the stored bit pattern to the grey value,
so an image costs one look-up a pixel whatever the chain is. Tables without look-up data of their own are
kept, because all slices of a series share one.
"""

from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from index.errors import InvalidQuery
from index.records import DicomJson
from storage.pixels.decode import Samples
from storage.pixels.description import ImageDescription, StoredFrame, integer, items, numbers, text
from storage.pixels.lut import LookUpTable, look_up_table

Floats = npt.NDArray[Any]
Bytes = npt.NDArray[np.uint8]
Window = tuple[float, float, str]
"""Centre, width, VOI LUT Function."""

_PER_FRAME = "52009230"
_SHARED = "52009229"
_PIXEL_VALUE_TRANSFORMATION = "00289145"
_FRAME_VOI_LUT = "00289132"
_MODALITY_LUT = "00283000"
_VOI_LUT = "00283010"


@dataclass(frozen=True, slots=True)
class Chain:
    """What turns a stored value into grey. Without window and VOI table: the range that the frame has."""

    bits_allocated: int
    bits_stored: int
    high_bit: int
    signed: bool
    slope: float = 1.0
    intercept: float = 0.0
    modality: LookUpTable | None = None
    window: Window | None = None
    voi: LookUpTable | None = None
    padding: tuple[int, int] | None = None
    """Stored values from the first to the second are no image (PS3.3 C.7.5.1.1.2) and become black."""
    inverse: bool = False
    presentation: LookUpTable | None = None
    """Softcopy Presentation LUT (PS3.3 C.11.6): over the whole range of what the VOI transformation gives."""


def chain_of(frame: StoredFrame, description: ImageDescription, window: Window | None) -> Chain:
    """The chain that the metadata asks for; `window` replaces its VOI transformation. Raises InvalidQuery."""
    check_window(window)
    dataset = frame.dataset
    transformation = _macro(frame, _PIXEL_VALUE_TRANSFORMATION) or dataset
    modality = look_up_table(frame, items(dataset, _MODALITY_LUT), signed=description.signed)
    if window is None:
        voi = look_up_table(frame, items(dataset, _VOI_LUT), signed=description.signed)
        window = None if voi else window_of(_macro(frame, _FRAME_VOI_LUT)) or window_of(dataset)
    else:
        voi = None
    slope, intercept = rescale_of(transformation)
    shape = text(dataset, "20500020")
    return Chain(
        description.bits_allocated,
        description.bits_stored,
        integer(dataset, "00280102", description.bits_stored - 1),
        description.signed,
        slope=slope,
        intercept=intercept,
        modality=modality,
        window=window,
        voi=voi,
        padding=_padding(frame, description),
        inverse=shape == "INVERSE" or description.photometric_interpretation == "MONOCHROME1",
    )


def check_window(window: Window | None) -> None:
    """Raise InvalidQuery for a window that nothing can be seen through."""
    if window is not None and not _usable(window):
        raise InvalidQuery("A window needs a width above 0 and the function LINEAR, LINEAR_EXACT or SIGMOID")


def rescale_of(attributes: DicomJson) -> tuple[float, float]:
    """Rescale Slope and Intercept; a slope of 0, which some write for "none", is 1."""
    return (numbers(attributes, "00281053") or [1.0])[0] or 1.0, (numbers(attributes, "00281052") or [0.0])[0]


def is_enhanced(frame: StoredFrame) -> bool:
    """The frame has a Pixel Value Transformation of its own (PS3.3 C.7.6.16.2.9)."""
    return bool(_macro(frame, _PIXEL_VALUE_TRANSFORMATION))


def render(samples: Samples, chain: Chain) -> Bytes:
    """(rows, columns) stored values -> (rows, columns) grey.

    Absurd attributes may overflow on the way, which is no reason to show nothing.
    """
    with np.errstate(all="ignore"):
        return _render(samples, chain)


def _render(samples: Samples, chain: Chain) -> Bytes:
    if samples.dtype.kind == "f" or samples.dtype.itemsize > 2:
        return _render_directly(samples, chain)
    patterns = samples.view(f"u{samples.dtype.itemsize}")
    if chain.window is None and chain.voi is None:
        window = (0.5, 1.0, "LINEAR_EXACT") if chain.bits_stored == 1 else _full_range(patterns, chain)
        chain = replace(chain, window=window)
    has_tables = chain.modality or chain.voi or chain.presentation
    table = _table(chain) if has_tables else _cached_table(chain)
    return table.take(patterns, mode="clip")


def apply_window(values: Floats, window: Window) -> Floats:
    """Values -> 0 to 1 (PS3.3 C.11.2.1.2.1 and C.11.2.1.3)."""
    centre, width, function = window
    if function == "SIGMOID":
        return 1.0 / (1.0 + np.exp(np.clip(-4.0 * (values - centre) / width, -700.0, 700.0)))
    if function == "LINEAR_EXACT":
        return np.clip((values - centre) / width + 0.5, 0.0, 1.0)
    if width <= 1.0:
        return (values > centre - 0.5).astype(np.float64)
    return np.clip((values - (centre - 0.5)) / (width - 1.0) + 0.5, 0.0, 1.0)


def _macro(frame: StoredFrame, tag: str) -> DicomJson:
    """A functional group of this frame, else the shared one (PS3.3 C.7.6.16); empty when there is neither."""
    per_frame = items(frame.dataset, _PER_FRAME)[frame.number - 1 : frame.number]
    for groups in (per_frame, items(frame.dataset, _SHARED)[:1]):
        found = items(groups[0], tag) if groups else []
        if found:
            return found[0]
    return {}


def window_of(attributes: DicomJson) -> Window | None:
    """The first usable window of a data set or functional group."""
    function = text(attributes, "00281056") or "LINEAR"
    for centre, width in zip(numbers(attributes, "00281050"), numbers(attributes, "00281051"), strict=False):
        window = (centre, width, function if function in ("LINEAR_EXACT", "SIGMOID") else "LINEAR")
        if _usable(window):
            return window
    return None


def _usable(window: Window) -> bool:
    centre, width, function = window
    finite = abs(centre) < 1e300 and 0.0 < width < 1e300
    return finite and function in ("LINEAR", "LINEAR_EXACT", "SIGMOID")


def _padding(frame: StoredFrame, description: ImageDescription) -> tuple[int, int] | None:
    if description.floating or not numbers(frame.dataset, "00280120"):
        return None
    value = integer(frame.dataset, "00280120", 0)
    limit = integer(frame.dataset, "00280121", value)
    return min(value, limit), max(value, limit)


@lru_cache(maxsize=64)
def _cached_table(chain: Chain) -> Bytes:
    return _table(chain)


def _table(chain: Chain) -> Bytes:
    """Grey value of every bit pattern."""
    stored = _stored_values(chain)
    grey = _grey(_modality_values(stored, chain), chain)
    if chain.padding is not None:
        low, high = chain.padding
        grey[(stored >= low) & (stored <= high)] = 0
    grey.setflags(write=False)
    return grey


def _stored_values(chain: Chain) -> npt.NDArray[np.int64]:
    """The number that each bit pattern of Bits Allocated stands for (PS3.5 8.1.1)."""
    patterns = np.arange(1 << max(8, chain.bits_allocated), dtype=np.int64)
    spare = chain.bits_allocated - chain.bits_stored
    values = patterns >> max(0, min(spare, chain.high_bit + 1 - chain.bits_stored))
    values &= (1 << chain.bits_stored) - 1
    if chain.signed:
        sign = 1 << (chain.bits_stored - 1)
        values = (values ^ sign) - sign
    return values


def _modality_values(stored: npt.NDArray[np.int64] | Floats, chain: Chain) -> Floats:
    if chain.modality is not None:
        return chain.modality.apply(stored).astype(np.float64)
    return stored * chain.slope + chain.intercept


def _grey(values: Floats, chain: Chain) -> Bytes:
    share = np.nan_to_num(_share(values, chain))
    if chain.presentation is not None:
        table = chain.presentation
        places = np.rint(share * (table.entries.size - 1)).astype(np.int64)
        share = table.entries.take(places, mode="clip") / table.largest
    return np.rint((1.0 - share if chain.inverse else share) * 255.0).astype(np.uint8)


def _share(values: Floats, chain: Chain) -> Floats:
    """0 for black to 1 for white, before the polarity."""
    if chain.voi is not None:
        return chain.voi.apply(values) / chain.voi.largest
    return apply_window(values, chain.window or (0.5, 1.0, "LINEAR_EXACT"))


def whole_range(chain: Chain) -> Window:
    """A window over all values that the modality transformation can give, whether they occur or not."""
    if chain.modality is not None:
        return _window_over(0.0, float(chain.modality.largest))
    values = _modality_values(_stored_values(chain), chain)
    return _window_over(float(values.min()), float(values.max()))


def _full_range(patterns: Samples, chain: Chain) -> Window:
    """A window over the values that occur, padding excluded."""
    stored = _stored_values(chain)
    present = np.bincount(patterns.reshape(-1), minlength=stored.size)[: stored.size] > 0
    if chain.padding is not None:
        image = present & ((stored < chain.padding[0]) | (stored > chain.padding[1]))
        # One value beside the padding, as in a segmentation, would be black on black.
        present = image if np.count_nonzero(image) > 1 else present
    values = _modality_values(stored[present], chain)
    return _window_over(float(values.min()), float(values.max()))


def _window_over(low: float, high: float) -> Window:
    """The lowest value is black, the highest white; an image of one value is black."""
    width = high - low if high > low else 1.0
    return low + width / 2.0, width, "LINEAR_EXACT"


def _render_directly(samples: Samples, chain: Chain) -> Bytes:
    """Floating point and 32-bit values have too many patterns for a table. NaN and infinity are black."""
    values = _modality_values(samples.astype(np.float64), chain)
    finite = np.isfinite(values)
    values = np.where(finite, values, 0.0)
    if chain.window is None and chain.voi is None:
        known = values[finite]
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        chain = replace(chain, window=_window_over(low, high))
    return np.where(finite, _grey(values, chain), np.uint8(0))
