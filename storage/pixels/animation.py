"""Pictures one after the other: an animated GIF, in the time that the data set names (PS3.3 C.7.6.5)."""

import io
from collections.abc import Iterator, Sequence
from typing import Final

from PIL import Image

from index.errors import NotAcceptable
from index.records import DicomJson
from storage.pixels.description import numbers

_FRAME_TIME: Final = "00181063"
_FRAME_TIME_VECTOR: Final = "00181065"
_RATES: Final = ("00082144", "00180040")
"""Recommended Display Frame Rate and Cine Rate, in frames a second."""
_DEFAULT_MS: Final = 100.0
_SHORTEST_MS: Final = 20.0
"""Browsers show anything faster ten times slower."""
_LONGEST_MS: Final = 10_000.0


def durations(dataset: DicomJson, shown: Sequence[int]) -> list[int]:
    """How long each of these frames (from 1) is seen, in milliseconds; GIF counts in hundredths of a second."""
    vector = numbers(dataset, _FRAME_TIME_VECTOR)
    if len(vector) > 1:
        # The vector holds the time from the frame before; a frame is seen until the next one.
        steps = [vector[number] if number < len(vector) else vector[-1] for number in shown]
    else:
        steps = [_step(dataset)] * len(shown)
    return [round(max(_SHORTEST_MS, min(step or _DEFAULT_MS, _LONGEST_MS)) / 10) * 10 for step in steps]


def _step(dataset: DicomJson) -> float:
    times = [value for value in numbers(dataset, _FRAME_TIME) if value > 0]
    rates = [value for tag in _RATES for value in numbers(dataset, tag) if value > 0]
    return times[0] if times else 1000.0 / rates[0] if rates else _DEFAULT_MS


def encode(pictures: Iterator[Image.Image], times_ms: Sequence[int]) -> bytes:
    """The file; it plays without end. Pictures are taken from the iterator as they are needed."""
    file = io.BytesIO()
    first = next(pictures)
    try:
        first.save(file, "GIF", save_all=True, append_images=pictures, duration=list(times_ms), loop=0, optimize=False)
    except (OSError, ValueError) as exc:
        raise NotAcceptable(f"An animation of {first.width} x {first.height} pixels cannot be made") from exc
    return file.getvalue()
