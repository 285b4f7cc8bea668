"""Display shutters (PS3.3 C.7.6.11, C.7.6.15): what lies outside is covered in one grey or colour."""

import math
from typing import Final

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

from index.records import DicomJson
from storage.pixels.description import StoredFrame, integer, items, numbers, values
from storage.pixels.lab import to_rgb

Mask = npt.NDArray[np.uint8]

_SHAPE: Final = "00181600"
_PER_FRAME: Final = "52009230"
_SHARED: Final = "52009229"
_FRAME_SHUTTER: Final = "00189472"


def shutter_of(frame: StoredFrame) -> DicomJson | None:
    """The attributes of the shutter of a frame, its own before those of the object; None when there is none."""
    dataset = frame.dataset
    if _SHAPE in dataset:
        return dataset
    for groups in (items(dataset, _PER_FRAME)[frame.number - 1 : frame.number], items(dataset, _SHARED)[:1]):
        found = items(groups[0], _FRAME_SHUTTER) if groups else []
        if found:
            return found[0]
    return None


def cover(image: Image.Image, shutter: DicomJson, *, bitmap: Mask | None = None) -> Image.Image:
    """The image with everything outside the shutter's shapes covered; `bitmap` covers where it is set."""
    hidden = Image.new("L", image.size, 0)
    for shape in dict.fromkeys(str(value).strip().upper() for value in values(shutter, _SHAPE)):
        opening = _opening(shutter, shape, image.size)
        if opening is not None:
            hidden.paste(255, mask=opening)
    if bitmap is not None:
        hidden.paste(255, mask=Image.fromarray(bitmap))
    colour = numbers(shutter, "00181624")
    if len(colour) == 3:
        image = image.convert("RGB")
        image.paste(to_rgb(colour), mask=hidden)
    else:
        grey = max(0, min(integer(shutter, "00181622", 0), 65535)) >> 8
        image.paste(grey if image.mode == "L" else (grey, grey, grey), mask=hidden)
    return image


def _opening(shutter: DicomJson, shape: str, size: tuple[int, int]) -> Image.Image | None:
    """What one shape hides; None when its attributes are missing. Rows and columns count from 1; edges are seen."""
    hidden = Image.new("L", size, 255)
    pen = ImageDraw.Draw(hidden)
    if shape == "RECTANGULAR":
        edges = [numbers(shutter, f"0018160{digit}") for digit in "2648"]
        if not all(edges):
            return None
        left, upper, right, lower = (_bounded(edge[0]) for edge in edges)
        if left > right or upper > lower:
            return hidden
        pen.rectangle((left - 1, upper - 1, right - 1, lower - 1), fill=0)
    elif shape == "CIRCULAR":
        centre, radius = numbers(shutter, "00181610"), numbers(shutter, "00181612")
        if len(centre) != 2 or not radius:
            return None
        row, column, reach = _bounded(centre[0]) - 1, _bounded(centre[1]) - 1, abs(_bounded(radius[0]))
        pen.ellipse((column - reach, row - reach, column + reach, row + reach), fill=0)
    elif shape == "POLYGONAL":
        corners = [_bounded(value) - 1 for value in numbers(shutter, "00181620")]
        if len(corners) < 6 or len(corners) % 2:
            return None
        pen.polygon(list(zip(corners[1::2], corners[::2], strict=True)), fill=0)
    else:
        return None
    return hidden


def _bounded(value: float) -> float:
    """Coordinates far outside any image overflow in the drawing library."""
    return math.copysign(min(abs(value), 200_000.0), value)
