"""8-bit samples -> a JPEG, PNG, GIF or JPEG 2000 file of the wanted size."""

import io

import numpy as np
import numpy.typing as npt
from PIL import Image

from index.errors import NotAcceptable
from index.records import RenderOptions
from storage.pixels import geometry

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


def fitted(samples: npt.NDArray[np.uint8], options: RenderOptions, *, shape: tuple[float, float]) -> Image.Image:
    """Grey (rows, columns) or RGB (rows, columns, 3) as a picture. `shape`: the image's true width and height."""
    return geometry.scaled(Image.fromarray(samples), geometry.fit(shape, options.viewport))


def save(image: Image.Image, options: RenderOptions, profile: bytes | None = None) -> bytes:
    """The file, with an ICC profile where the format has a place for it. Raises NotAcceptable."""
    file = io.BytesIO()
    try:
        if options.media_type == "image/png":
            image.save(file, "PNG", compress_level=_PNG_LEVEL, icc_profile=profile)
        elif options.media_type == "image/gif":
            image.save(file, "GIF")
        elif options.media_type == "image/jp2":
            image.save(file, "JPEG2000", quality_mode="dB", quality_layers=[25 + options.quality * 0.3])
        else:
            subsampling = 0 if options.quality >= _FINE_QUALITY else 2
            quality = max(1, min(100, options.quality))
            image.save(file, "JPEG", quality=quality, subsampling=subsampling, icc_profile=profile)
    except (OSError, ValueError) as exc:
        raise NotAcceptable(f"A picture of {image.width} x {image.height} pixels cannot be made") from exc
    return file.getvalue()
