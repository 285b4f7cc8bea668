"""Annotations of presentation states: layers, text and graphics (PS3.3 C.10.5, C.10.7), drawn into the picture."""

import itertools
import math
from dataclasses import dataclass
from typing import Final

from PIL import Image, ImageDraw

from index.records import DicomJson
from storage.pixels import lettering, presentation
from storage.pixels.description import StoredFrame, integer, items, numbers, text
from storage.pixels.geometry import Placement
from storage.pixels.lab import to_rgb

Colour = int | tuple[int, int, int]

_MOST_POINTS: Final = 20_000
_MOST_OBJECTS: Final = 2_000
_WHITE: Final = 255
_FAR: Final = 30_000.0
"""Points are kept within so many pixels of the picture: further out the drawing library overflows."""


@dataclass(frozen=True, slots=True)
class Layer:
    """How one graphic layer is drawn."""

    order: int
    colour: Colour


def layers_of(state: DicomJson) -> dict[str, Layer]:
    """The graphic layers by name."""
    found = {}
    for item in items(state, "00700060"):
        found[text(item, "00700002")] = Layer(integer(item, "00700062", 0), _colour(item))
    return found


def _colour(layer: DicomJson) -> Colour:
    lab, rgb = numbers(layer, "00700401"), numbers(layer, "00700067")
    if len(lab) == 3:
        return to_rgb(lab)
    if len(rgb) == 3:
        red, green, blue = (max(0, min(int(value), 65535)) >> 8 for value in rgb)
        return red, green, blue
    return max(0, min(integer(layer, "00700066", 65535), 65535)) >> 8


def draw(image: Image.Image, state: StoredFrame, stored: StoredFrame, placement: Placement) -> Image.Image:
    """The picture with the annotations that the state has for this image, lower layers first."""
    layers = layers_of(state.dataset)
    default = Layer(0, _WHITE)
    found = presentation.applying(state, stored, "00700001")[:_MOST_OBJECTS]
    annotations = [(layers.get(text(item, "00700002"), default), item) for item in found]
    if any(isinstance(layer.colour, tuple) for layer, _ in annotations):
        image = image.convert("RGB")
    pen = ImageDraw.Draw(image)
    for layer, item in sorted(annotations, key=lambda pair: pair[0].order):
        colour = layer.colour
        if image.mode == "RGB" and isinstance(colour, int):
            colour = (colour, colour, colour)
        for graphic in items(item, "00700009")[:_MOST_OBJECTS]:
            _draw_graphic(pen, graphic, placement, colour)
        for label in items(item, "00700008")[:_MOST_OBJECTS]:
            _draw_text(pen, label, placement, colour)
    return image


def _points(coordinates: list[float], units: str, placement: Placement) -> list[tuple[float, float]]:
    """Pairs of column and row, or shares of the displayed area, as points of the picture."""
    place = placement.display_point if units == "DISPLAY" else placement.point
    pairs = zip(coordinates[: 2 * _MOST_POINTS : 2], coordinates[1 : 2 * _MOST_POINTS : 2], strict=False)
    return [(_near(x), _near(y)) for x, y in itertools.starmap(place, pairs)]


def _near(value: float) -> float:
    return max(-_FAR, min(value, _FAR))


def _line_width(placement: Placement) -> int:
    return max(1, round(min(placement.size) / 512))


def _draw_graphic(pen: ImageDraw.ImageDraw, graphic: DicomJson, placement: Placement, colour: Colour) -> None:
    points = _points(numbers(graphic, "00700022"), text(graphic, "00700005"), placement)
    kind, filled = text(graphic, "00700023"), text(graphic, "00700024") == "Y"
    width = _line_width(placement)
    if kind == "CIRCLE" and len(points) >= 2:
        points = _circle(points[0], points[1])
    elif kind == "ELLIPSE" and len(points) >= 4:
        points = _ellipse(points[:4])
    elif kind == "INTERPOLATED" and len(points) > 2:
        points = _curve(points)
    elif kind == "POINT" or len(points) == 1:
        for x, y in points[:1]:
            pen.ellipse((x - 1.5 * width, y - 1.5 * width, x + 1.5 * width, y + 1.5 * width), fill=colour)
        return
    if len(points) < 2:
        return
    if filled and len(points) > 2:
        pen.polygon(points, fill=colour)
    pen.line(points, fill=colour, width=width, joint="curve")


def _circle(centre: tuple[float, float], edge: tuple[float, float]) -> list[tuple[float, float]]:
    radius = math.dist(centre, edge)
    turns = (2 * math.pi * step / 96 for step in range(97))
    return [(centre[0] + radius * math.cos(turn), centre[1] + radius * math.sin(turn)) for turn in turns]


def _ellipse(ends: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """Ends of the major axis, then of the minor one."""
    centre = ((ends[0][0] + ends[1][0]) / 2, (ends[0][1] + ends[1][1]) / 2)
    major, minor = [((b[0] - a[0]) / 2, (b[1] - a[1]) / 2) for a, b in (ends[:2], ends[2:])]
    turns = [(math.cos(2 * math.pi * step / 96), math.sin(2 * math.pi * step / 96)) for step in range(97)]
    return [(centre[0] + c * major[0] + s * minor[0], centre[1] + c * major[1] + s * minor[1]) for c, s in turns]


def _curve(points: list[tuple[float, float]]) -> list[tuple[float, float]]:
    """A smooth line through all points (Catmull-Rom); closed when the first is the last."""
    closed = points[0] == points[-1]
    before, after = (points[-2], points[1]) if closed else (points[0], points[-1])
    control = [before, *points, after]
    found = [points[0]]
    for a, b, c, d in zip(control, control[1:], control[2:], control[3:], strict=False):
        for step in range(1, 9):
            t = step / 8
            x, y = (
                0.5
                * (
                    2 * b[axis]
                    + (c[axis] - a[axis]) * t
                    + (2 * a[axis] - 5 * b[axis] + 4 * c[axis] - d[axis]) * t**2
                    + (3 * b[axis] - a[axis] - 3 * c[axis] + d[axis]) * t**3
                )
                for axis in (0, 1)
            )
            found.append((_near(x), _near(y)))
    return found


def _draw_text(pen: ImageDraw.ImageDraw, label: DicomJson, placement: Placement, colour: Colour) -> None:
    words = text(label, "00700006").replace("\r\n", "\n").replace("\r", "\n")[:2000]
    corners = _points(numbers(label, "00700010") + numbers(label, "00700011"), text(label, "00700003"), placement)
    anchor = _points(numbers(label, "00700014"), text(label, "00700004"), placement)
    size = max(10, min(placement.size) // 40)
    if len(corners) == 2:
        (left, top), (right, bottom) = corners
        left, right, top, bottom = min(left, right), max(left, right), min(top, bottom), max(top, bottom)
        lines = max(1, words.count("\n") + 1)
        size = int(max(8, min(2 * size, (bottom - top) / lines / 1.3)))
        position, side = {
            "RIGHT": ((right, top), "ra"),
            "CENTER": (((left + right) / 2, top), "ma"),
        }.get(text(label, "00700012"), ((left, top), "la"))
        if anchor and text(label, "00700015") == "Y":
            pen.line([((left + right) / 2, (top + bottom) / 2), anchor[0]], fill=colour, width=_line_width(placement))
    elif anchor:
        position, side = anchor[0], "la"
    else:
        return
    font = lettering.font(size)
    box = pen.multiline_textbbox(position, words, font=font, anchor=side)
    # Turned areas leave narrow boxes; words beyond the edge of the picture would be lost.
    across, down = (_shift(box[axis], box[axis + 2], placement.size[axis]) for axis in (0, 1))
    pen.multiline_text((position[0] + across, position[1] + down), words, fill=colour, font=font, anchor=side)


def _shift(start: float, end: float, room: int) -> float:
    """What brings a stretch that touches the picture into it."""
    if end < 0 or start > room:
        return 0.0
    return min(0.0, room - end) if start > 0 else -start
