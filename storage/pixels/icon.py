"""A small neutral picture for what has no pixels of its own: reports, documents, waveforms, video."""

from functools import lru_cache

from index.records import RenderOptions

_SIDE = 128
_LARGEST_SIDE = 512
_BACKGROUND = 36
_FRAME = 96
_INK = 200
_LONGEST_LABEL = 8


@lru_cache(maxsize=256)
def draw(label: str, options: RenderOptions) -> bytes:
    """A square JPEG or PNG with `label` (the Modality: `SR`, `KO`, `ECG`) on it, within `options.viewport`."""
    from PIL import Image, ImageDraw, ImageFont

    from storage.pixels import picture

    side = max(8, min(*(options.viewport or (_SIDE, _SIDE)), _LARGEST_SIDE))
    image = Image.new("L", (side, side), _BACKGROUND)
    pen = ImageDraw.Draw(image)
    pen.rectangle((side // 8, side // 8, side - side // 8, side - side // 8), outline=_FRAME, width=max(1, side // 64))
    ink = "".join(letter for letter in label.upper() if letter.isascii() and letter.isprintable())[:_LONGEST_LABEL]
    if ink:
        font = ImageFont.load_default(size=max(6, round(1.1 * side / max(3, len(ink)))))
        pen.text((side / 2, side / 2), ink, fill=_INK, font=font, anchor="mm")
    return picture.save(image, options)
