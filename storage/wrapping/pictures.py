"""Images that have no transfer syntax: PNG, GIF, TIFF and BMP become pixels without compression.

PS3.18 10.5.2: every sample keeps its value, palettes become true colour, transparency is dropped, pages and animation
steps become frames. What DICOM cannot hold without loss, such as CMYK or floating point, is refused.
"""

import io
import struct
from collections.abc import Callable, Iterator
from typing import Any, Final, cast

import imagecodecs
import numpy as np
from PIL import Image

from config.settings import Limits
from index.errors import CannotUnderstand, PacsError, TooLarge
from storage.spool import Source, Spool
from storage.syntaxes import EXPLICIT_LITTLE
from storage.wrapping.material import Material, Samples, element

FORMATS: Final = {
    "image/png": "PNG",
    "image/gif": "GIF",
    "image/tiff": "TIFF",
    "image/bmp": "BMP",
}
"""Media type -> Pillow's name of the format; no other decoder is let near the file."""

_GREY: Final = {"1": "L", "L": "L", "LA": "L", "La": "L"}
_COLOUR: Final = frozenset({"P", "PA", "RGB", "RGBA", "RGBX", "RGBa"})
_DEEP_GREY: Final = frozenset({"I;16", "I;16B", "I;16L", "I;16N"})
_DAMAGE: Final = (
    ArithmeticError, AttributeError, EOFError, LookupError, OSError, SyntaxError, TypeError, ValueError, struct.error,
)  # fmt: skip
"""What Pillow raises for damaged files, beside its own UnidentifiedImageError, which is an OSError."""
_PNG_HEAD_BYTES: Final = 26
_MOST_FRAMES: Final = 100_000
_FRAME_TIME, _FRAME_TIME_VECTOR, _PAGES = "00181063", "00181065", "00182001"
_SPOOL_BYTES: Final = 8 * 1024**2


class _Reader(io.RawIOBase):
    """A source as a file, because Pillow wants one."""

    def __init__(self, source: Source) -> None:
        super().__init__()
        self._source = source
        self._at = 0

    def readable(self) -> bool:
        """It is."""
        return True

    def seekable(self) -> bool:
        """It is."""
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET, /) -> int:
        """Where to read next."""
        start = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._source.size_bytes}[whence]
        self._at = max(0, start + offset)
        return self._at

    def readinto(self, buffer: Any, /) -> int:
        """The next bytes."""
        data = self._source.read(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def read_picture(media_type: str, source: Source, limits: Limits, new_spool: Callable[[], Spool]) -> Material:
    """Decode an image file. Raises CannotUnderstand, TooLarge."""
    try:
        with Image.open(cast("Any", io.BufferedReader(_Reader(source))), formats=(FORMATS[media_type],)) as image:
            if media_type == "image/png" and _is_deep_colour(source):
                return _deep_colour(source, image.size, limits, new_spool)
            return _material(image, limits, new_spool)
    except PacsError:
        raise
    except _DAMAGE as exc:
        raise CannotUnderstand(f"The part is no {FORMATS[media_type]} image that can be read") from exc
    except Image.DecompressionBombError as exc:
        raise TooLarge("The image has too many pixels") from exc


def _material(image: Image.Image, limits: Limits, new_spool: Callable[[], Spool]) -> Material:
    frames = int(getattr(image, "n_frames", 1))
    if frames > _MOST_FRAMES:
        raise TooLarge(f"The image has more than {_MOST_FRAMES} frames")
    samples = _samples(image)
    _check_size(samples, frames, limits)
    spool, times = new_spool(), []
    for frame in _frames(image, frames):
        found = _samples(frame)
        # Steps of an animation may be kept with another palette, or without one; they become the same in the end.
        if found != samples:
            raise CannotUnderstand("The frames of the image differ in size or kind of pixels")
        spool.write(_pixels(frame))
        times.append(frame.info.get("duration") or 0)
    attributes = samples.attributes() | _order(times, frames)
    # What a TIFF file has lost by JPEG inside of it stays lost.
    method = "ISO_10918_1" if image.info.get("compression") in ("jpeg", "tiff_jpeg") else ""
    return Material(
        EXPLICIT_LITTLE,
        spool,
        attributes,
        frames=frames,
        is_moving=any(times),
        lossy_method=method,
        native_bytes=spool.size_bytes,
    )


def _frames(image: Image.Image, frames: int) -> Iterator[Image.Image]:
    for number in range(frames):
        image.seek(number)
        yield image


def _samples(image: Image.Image) -> Samples:
    columns, rows = image.size
    if image.mode in _GREY:
        return Samples(rows, columns, 1, "MONOCHROME2", 8)
    if image.mode in _DEEP_GREY:
        return Samples(rows, columns, 1, "MONOCHROME2", 16)
    if image.mode in _COLOUR:
        return Samples(rows, columns, 3, "RGB", 8)
    raise CannotUnderstand(f"Pixels of the kind {image.mode} cannot be kept without loss")


def _check_size(samples: Samples, frames: int, limits: Limits) -> None:
    if samples.frame_bytes * frames > limits.decoded_bytes:
        raise TooLarge(f"The image is larger than {limits.decoded_bytes} bytes (limits.decoded_bytes)")


def _pixels(image: Image.Image) -> bytes:
    if image.mode in _DEEP_GREY:
        return np.asarray(image).astype("<u2").tobytes()
    return image.convert(_GREY.get(image.mode, "RGB")).tobytes()


def _order(times: list[Any], frames: int) -> dict[str, Any]:
    """Why there are several frames: steps with their durations in milliseconds, or numbered pages."""
    if frames == 1:
        return {}
    if not any(times):
        return {"00280009": element("AT", _PAGES), _PAGES: element("IS", *range(1, frames + 1))}
    if len(set(times)) == 1:
        return {"00280009": element("AT", _FRAME_TIME), _FRAME_TIME: element("DS", float(times[0]))}
    steps = [0.0, *(float(time) for time in times[:-1])]  # PS3.3 C.7.6.5: the time since the frame before.
    return {"00280009": element("AT", _FRAME_TIME_VECTOR), _FRAME_TIME_VECTOR: element("DS", *steps)}


def _is_deep_colour(source: Source) -> bool:
    """PNG with 16 bits a channel and colour (ISO/IEC 15948, 11.2.2), of which Pillow would keep 8."""
    head = source.read(0, _PNG_HEAD_BYTES)
    return head[12:16] == b"IHDR" and head[24] == 16 and head[25] in (2, 4, 6)


def _deep_colour(source: Source, size: tuple[int, int], limits: Limits, new_spool: Callable[[], Spool]) -> Material:
    """A PNG of 16 bits a channel: colour, or grey with transparency."""
    is_grey = source.read(25, 1) == b"\x04"
    samples = Samples(size[1], size[0], 1 if is_grey else 3, "MONOCHROME2" if is_grey else "RGB", 16)
    _check_size(samples, 1, limits)
    try:
        pixels = imagecodecs.png_decode(b"".join(source.blocks()))
    except imagecodecs.PngError as exc:
        raise CannotUnderstand("The part is no PNG image that can be read") from exc
    channels = pixels[..., : samples.samples_per_pixel]
    spool = new_spool()
    spool.write(np.ascontiguousarray(channels).astype("<u2").tobytes())
    return Material(EXPLICIT_LITTLE, spool, samples.attributes())
