"""Waveforms (PS3.3 C.10.9) as pictures: the channels of the first multiplex group below each other, time to the right.

Voltages are drawn as on ECG paper, 25 mm a second and 10 mm a millivolt, and the picture says so; what is longer than
a minute is pressed together without paper, and everything else fills the height of its row.
"""

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from index.errors import CannotUnderstand
from index.records import DicomJson, RenderOptions
from storage import syntaxes
from storage.pixels import geometry, lettering, picture
from storage.pixels.description import StoredFrame, integer, items, numbers, text

Samples = npt.NDArray[np.float64]

SEQUENCE: Final = "54000100"
_PIXELS_A_MM: Final = 4
_MM_A_SECOND: Final = 25
_MM_A_MILLIVOLT: Final = 10
_ROW_MM: Final = 25
_LARGEST_WIDTH: Final = 6000
_MOST_CHANNELS: Final = 64
_TYPES: Final = {"SB": "i1", "UB": "u1", "SS": "i2", "US": "u2", "SL": "i4", "UL": "u4"}
_MILLIVOLTS: Final = {"uV": 0.001, "mV": 1.0, "V": 1000.0}
_PAPER: Final = (255, 255, 255)
_FINE, _COARSE, _INK = (250, 220, 220), (240, 170, 170), (20, 20, 20)


@dataclass(frozen=True, slots=True)
class _Channel:
    """One row: its name, its values, and millivolts for one of them (None when they are no voltage)."""

    name: str
    values: Samples
    millivolts: float | None


def draw(source: StoredFrame, options: RenderOptions, *, limit_bytes: int) -> bytes:
    """The picture of an object's waveforms. Raises CannotUnderstand when there are none that can be drawn."""
    group: DicomJson = next(iter(items(source.dataset, SEQUENCE)), {})
    channels = _channels(source, group, limit_bytes)
    rates = [rate for rate in numbers(group, "003A001A") if rate > 0]
    wanted = len(channels[0].values) / (rates or [1.0])[0] * _MM_A_SECOND * _PIXELS_A_MM
    width = round(max(100.0, min(_LARGEST_WIDTH, wanted)))
    row = _ROW_MM * _PIXELS_A_MM
    image = Image.new("RGB", (width, row * len(channels)), _PAPER)
    pen = ImageDraw.Draw(image)
    is_to_scale = channels[0].millivolts is not None and wanted <= _LARGEST_WIDTH
    if is_to_scale:
        _grid(pen, image.size)
    for place, channel in enumerate(channels):
        _trace(pen, channel, width, (place + 0.5) * row)
        pen.text((4, place * row + 2), channel.name, fill=_INK, font=lettering.font(14))
    if is_to_scale:
        legend = f"{_MM_A_SECOND} mm/s, {_MM_A_MILLIVOLT} mm/mV"
        pen.text((width - 4, image.height - 4), legend, fill=_INK, font=lettering.font(14), anchor="rd")
    placed = geometry.Placement(geometry.View((0, 0, *image.size)), options)
    return picture.save(placed.draw(image), options)


def _channels(source: StoredFrame, group: DicomJson, limit_bytes: int) -> list[_Channel]:
    count, length = integer(group, "003A0005", 0), integer(group, "003A0010", 0)
    kind = _TYPES.get(text(group, "54001006"))
    element = group.get("54001010")
    if not (0 < count <= _MOST_CHANNELS and length > 0 and kind and element):
        raise CannotUnderstand("There is no waveform that can be drawn")
    if 8 * count * length > limit_bytes:
        raise CannotUnderstand("The waveform is too long to be drawn")
    data = source.binary(element)
    needed = count * length * np.dtype(kind).itemsize
    if len(data) < needed:
        raise CannotUnderstand(f"A waveform has {len(data)} bytes, not {needed}")
    syntax = syntaxes.lookup(source.transfer_syntax_uid)
    order = ">" if syntax is not None and not syntax.little_endian else "<"
    samples = np.frombuffer(data, order + kind, count * length).reshape(length, count).T.astype(np.float64)
    definitions = items(group, "003A0200")
    return [_channel(definitions[place] if place < len(definitions) else {}, row) for place, row in enumerate(samples)]


def _channel(definition: DicomJson, samples: Samples) -> _Channel:
    """Sensitivity gives the unit of a sample its size (PS3.3 C.10.9.1.4)."""
    source: DicomJson = next(iter(items(definition, "003A0208")), {})
    units: DicomJson = next(iter(items(definition, "003A0211")), {})
    name = text(definition, "003A0203") or text(source, "00080104")
    size = (numbers(definition, "003A0210") or [1.0])[0] * (numbers(definition, "003A0212") or [1.0])[0]
    millivolts = _MILLIVOLTS.get(text(units, "00080100"))
    usable = millivolts is not None and 0 < abs(size) < 1e9
    return _Channel(name[:32], samples, millivolts * size if usable and millivolts else None)


def _grid(pen: ImageDraw.ImageDraw, size: tuple[int, int]) -> None:
    """A line each millimetre, a strong one each five."""
    for step, colour in ((_PIXELS_A_MM, _FINE), (5 * _PIXELS_A_MM, _COARSE)):
        for x in range(0, size[0], step):
            pen.line((x, 0, x, size[1]), fill=colour)
        for y in range(0, size[1], step):
            pen.line((0, y, size[0], y), fill=colour)


def _trace(pen: ImageDraw.ImageDraw, channel: _Channel, width: int, middle: float) -> None:
    """The lowest and highest value in each column of the picture, so that no peak is lost."""
    values = channel.values - np.median(channel.values)
    if channel.millivolts is None:
        reach = float(np.abs(values).max()) or 1.0
        scale = 0.45 * _ROW_MM * _PIXELS_A_MM / reach
    else:
        scale = channel.millivolts * _MM_A_MILLIVOLT * _PIXELS_A_MM
    heights = np.clip(middle - values * scale, -1e4, 1e5)
    columns = min(width, len(values))
    starts = np.arange(columns) * len(values) // columns
    places = np.arange(columns) * width / columns
    ends: Any = np.stack([np.minimum.reduceat(heights, starts), np.maximum.reduceat(heights, starts)])
    # Up in one column and down in the next: the line meets every extreme and never runs back.
    ends[:, 1::2] = ends[::-1, 1::2]
    points = np.stack([np.repeat(places, 2), ends.T.reshape(-1)], axis=-1)
    pen.line([tuple(point) for point in points.tolist()], fill=_INK, width=1)
