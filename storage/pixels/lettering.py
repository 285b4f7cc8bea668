"""The fonts that pictures are lettered with: one of the system's with many scripts, else the one that Pillow has."""

from functools import lru_cache
from typing import Final

from PIL import ImageFont

Font = ImageFont.FreeTypeFont | ImageFont.ImageFont

_NAMES: Final = ("NotoSansCJK-Regular.ttc", "DejaVuSans.ttf", "NotoSans-Regular.ttf", "LiberationSans-Regular.ttf")
_LARGEST: Final = 512


@lru_cache(maxsize=32)
def font(size: int) -> Font:
    """A font of about this height in pixels."""
    size = max(6, min(size, _LARGEST))
    for name in _NAMES:
        try:
            return ImageFont.truetype(name, size)
        except OSError:
            continue
    return ImageFont.load_default(size=size)
