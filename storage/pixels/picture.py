"""8-bit samples -> a JPEG or PNG file of the wanted size."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from index.errors import NotAcceptable
from index.records import RenderOptions

_LARGEST_VIEWPORT = 4096
"""A picture is not blown up beyond this many pixels a side."""
_PNG_LEVEL = 3
"""zlib level: half the time of Pillow's own choice for a tenth more bytes."""
_FINE_QUALITY = 90
"""From this JPEG quality on colour is not sub-sampled: thin coloured marks in ultrasound would smear."""


def stride_for(size: tuple[int, int], options: RenderOptions) -> int:
    """How many samples (columns, rows) may be skipped before rendering: at least two a pixel of the picture remain."""
    if options.viewport is None:
        return 1
    columns, rows = size
    width, height = options.viewport
    return max(1, int(min(columns / max(1, width), rows / max(1, height)) / 2))


def encode(samples: npt.NDArray[np.uint8], options: RenderOptions, *, shape: tuple[float, float]) -> bytes:
    """Grey (rows, columns) or RGB (rows, columns, 3) as a file. `shape` is the true width and height of the image."""
    image = Image.fromarray(samples)
    size = _fit(shape, options.viewport)
    if size[0] > image.width or size[1] > image.height:
        image = image.resize(size, Image.Resampling.BICUBIC)
    elif size != image.size:
        # The gap makes Pillow average whole pixels first, which is most of the way and five times faster.
        image = image.resize(size, Image.Resampling.BILINEAR, reducing_gap=1.0)
    return save(image, options)


def save(image: Image.Image, options: RenderOptions) -> bytes:
    """The file. Raises NotAcceptable when the format cannot hold the image."""
    file = io.BytesIO()
    try:
        if options.media_type == "image/png":
            image.save(file, "PNG", compress_level=_PNG_LEVEL)
        else:
            subsampling = 0 if options.quality >= _FINE_QUALITY else 2
            image.save(file, "JPEG", quality=max(1, min(100, options.quality)), subsampling=subsampling)
    except (OSError, ValueError) as exc:
        raise NotAcceptable(f"A picture of {image.width} x {image.height} pixels cannot be made") from exc
    return file.getvalue()


def _fit(shape: tuple[float, float], viewport: tuple[int, int] | None) -> tuple[int, int]:
    """The largest size within the viewport that keeps the proportions (PS3.18 8.3.5.1.3)."""
    width, height = shape
    if viewport is None:
        return max(1, round(width)), max(1, round(height))
    room = [max(1, min(side, max(_LARGEST_VIEWPORT, round(own)))) for side, own in zip(viewport, shape, strict=True)]
    scale = min(room[0] / width, room[1] / height)
    return max(1, min(room[0], round(width * scale))), max(1, min(room[1], round(height * scale)))
