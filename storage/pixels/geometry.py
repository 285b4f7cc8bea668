"""From pixels of the image to pixels of the picture: displayed area, rotation, flip, aspect, region, viewport.

The order is that of PS3.4 N.2 and PS3.18 9.5.2: what a presentation state says, then the region that the client
asks for, then the viewport. Whole turns and cuts move samples; only the last step, the scaling, mixes them.
"""

import math
from dataclasses import dataclass
from typing import Final

from PIL import Image

from index.errors import CannotUnderstand, InvalidQuery
from index.records import Region, RenderOptions

_LARGEST_VIEWPORT: Final = 4096
"""A picture is not blown up beyond this many pixels a side."""
_LARGEST_SIDE: Final = 65536
_MOST_PIXELS: Final = 4096 * 4096
"""More than these, and more than four times those of the image, is no picture of it."""
_TURNS: Final = {
    90: Image.Transpose.ROTATE_270,
    180: Image.Transpose.ROTATE_180,
    270: Image.Transpose.ROTATE_90,
}
"""Pillow turns anti-clockwise, DICOM clockwise."""

Size = tuple[float, float]
"""Width and height."""


@dataclass(frozen=True, slots=True)
class View:
    """What of an image is displayed and how (PS3.3 C.10.4, C.10.6)."""

    area: tuple[int, int, int, int]
    """Left, top, right and bottom in pixels from 0; right and bottom are just outside. May exceed the image."""
    ratio: float = 1.0
    """Height of a pixel to its width."""
    rotation: int = 0
    """Degrees clockwise: 0, 90, 180 or 270."""
    mirrored: bool = False
    """Left becomes right, after the rotation."""
    magnification: float | None = None
    """Pixels of the picture for one of the image, when the presentation state fixes it."""

    def __post_init__(self) -> None:
        width, height = self.area[2] - self.area[0], self.area[3] - self.area[1]
        near = all(abs(edge) <= _LARGEST_SIDE for edge in self.area)
        if not (near and 0 < width <= _LARGEST_SIDE and 0 < height <= _LARGEST_SIDE):
            raise CannotUnderstand("The displayed area of the presentation state is impossible")

    @property
    def is_turned(self) -> bool:
        """Rows stand upright in the picture."""
        return self.rotation in (90, 270)

    @property
    def displayed(self) -> Size:
        """The size that the area has in square pixels before it is scaled."""
        left, top, right, bottom = self.area
        scale = self.magnification or 1.0
        width, height = (right - left) * scale, (bottom - top) * self.ratio * scale
        return (height, width) if self.is_turned else (width, height)


class Placement:
    """One view, region and viewport, worked out: draws the image and finds points of it in the picture."""

    def __init__(self, view: View, options: RenderOptions) -> None:
        self.view = view
        self.region = _resolve(options.region, view.displayed)
        left, top, right, bottom = self.region
        if view.magnification is not None and options.viewport is not None:
            # PS3.18 9.5.2.3: a magnified area is cut to the viewport, not scaled.
            across, down = min(right - left, options.viewport[0]), min(bottom - top, options.viewport[1])
            left, top = left + (right - left - across) / 2, top + (bottom - top - down) / 2
            self.region = (left, top, left + across, top + down)
            self.size = (max(1, round(across)), max(1, round(down)))
        else:
            self.size = fit((right - left, bottom - top), options.viewport)
        self.flips = (options.region.mirrored, options.region.upside_down) if options.region else (False, False)

    def draw(self, image: Image.Image) -> Image.Image:
        """The picture of an image."""
        view = self.view
        room = max(_MOST_PIXELS, 4 * image.width * image.height)
        if (view.area[2] - view.area[0]) * (view.area[3] - view.area[1]) > room or self.size[0] * self.size[1] > room:
            raise CannotUnderstand("The presentation state asks for a picture far larger than the image")
        if view.area != (0, 0, *image.size):
            image = image.crop(view.area)
        if view.rotation:
            image = image.transpose(_TURNS[view.rotation])
        if view.mirrored:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        across, down = image.width / view.displayed[0], image.height / view.displayed[1]
        left, top, right, bottom = self.region
        box = (left * across, top * down, min(image.width, right * across), min(image.height, bottom * down))
        image = scaled(image, self.size, box)
        if self.flips[0]:
            image = image.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
        return image.transpose(Image.Transpose.FLIP_TOP_BOTTOM) if self.flips[1] else image

    def point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point of the image (0, 0 is the upper left corner of its first pixel) stands in the picture."""
        view = self.view
        scale = view.magnification or 1.0
        left, top, right, bottom = view.area
        u, v = (x - left) * scale, (y - top) * view.ratio * scale
        width, height = (right - left) * scale, (bottom - top) * view.ratio * scale
        if view.rotation == 90:
            u, v = height - v, u
        elif view.rotation == 180:
            u, v = width - u, height - v
        elif view.rotation == 270:
            u, v = v, width - u
        if view.mirrored:
            u = view.displayed[0] - u
        return self._in_picture(u, v)

    def display_point(self, x: float, y: float) -> tuple[float, float]:
        """Where a point in shares of the displayed area stands in the picture."""
        width, height = self.view.displayed
        return self._in_picture(x * width, y * height)

    def _in_picture(self, u: float, v: float) -> tuple[float, float]:
        left, top, right, bottom = self.region
        u, v = (u - left) * self.size[0] / (right - left), (v - top) * self.size[1] / (bottom - top)
        return self.size[0] - u if self.flips[0] else u, self.size[1] - v if self.flips[1] else v


def fit(shape: Size, viewport: tuple[int, int] | None) -> tuple[int, int]:
    """The largest size within the viewport that keeps the proportions (PS3.18 8.3.5.1.3)."""
    width, height = shape
    if viewport is None:
        return max(1, round(width)), max(1, round(height))
    room = [max(1, min(side, max(_LARGEST_VIEWPORT, round(own)))) for side, own in zip(viewport, shape, strict=True)]
    scale = min(room[0] / width, room[1] / height)
    return max(1, min(room[0], round(width * scale))), max(1, min(room[1], round(height * scale)))


def scaled(
    image: Image.Image, size: tuple[int, int], box: tuple[float, float, float, float] | None = None
) -> Image.Image:
    """The image, or the part of it in `box`, in another size."""
    if box is not None:
        # What lies outside the box must not be mixed in, so whole pixels of it are cut off first.
        hull = (math.floor(box[0]), math.floor(box[1]), math.ceil(box[2]), math.ceil(box[3]))
        if hull != (0, 0, *image.size):
            image = image.crop(hull)
        box = (box[0] - hull[0], box[1] - hull[1], box[2] - hull[0], box[3] - hull[1])
    box = box or (0, 0, *image.size)
    if box == (0, 0, *image.size) and size == image.size:
        return image
    if size[0] > box[2] - box[0] or size[1] > box[3] - box[1]:
        return image.resize(size, Image.Resampling.BICUBIC, box=box)
    # The gap makes Pillow average whole pixels first, which is most of the way and five times faster.
    return image.resize(size, Image.Resampling.BILINEAR, box=box, reducing_gap=1.0)


def _resolve(region: Region | None, size: Size) -> tuple[float, float, float, float]:
    """Left, top, right and bottom of the region in a picture of this size. Raises InvalidQuery when it lies outside."""
    if region is None:
        return 0.0, 0.0, *size
    unit = size if region.relative else (1.0, 1.0)
    left, top = region.left * unit[0], region.top * unit[1]
    right = size[0] if region.width is None else left + region.width * unit[0]
    bottom = size[1] if region.height is None else top + region.height * unit[1]
    inside = 0 <= left < size[0] and 0 <= top < size[1]
    # A pixel more, or the rounding of shares, is cut; anything else is another picture than the client thinks of.
    if not inside or right > size[0] + 1 or bottom > size[1] + 1 or right - left <= 0 or bottom - top <= 0:
        raise InvalidQuery(f"The region is not inside the picture of {round(size[0])} x {round(size[1])} pixels")
    return left, top, min(right, size[0]), min(bottom, size[1])
