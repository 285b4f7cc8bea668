"""Images that have no transfer syntax: PNG, GIF, TIFF and BMP become pixels without compression.

PS3.18 10.5.2: every sample keeps its value, palettes become true colour, transparency is dropped, pages and animation
steps become frames. What DICOM cannot hold without loss, such as CMYK or floating point, is refused.
"""

import io
import struct
import threading
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
_TIFF_BITS, _TIFF_PHOTOMETRIC = 258, 262
_DECODING: Final = threading.Lock()
_MOST_FRAMES: Final = 100_000
_FRAME_TIME, _FRAME_TIME_VECTOR, _PAGES = "00181063", "00181065", "00182001"


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
    """Decode an image file. Raises CannotUnderstand, TooLarge.

    One image at a time: each may take several times `limits.decoded_bytes`.
    """
    name = FORMATS[media_type]
    try:
        with _DECODING, Image.open(cast("Any", io.BufferedReader(_Reader(source))), formats=(name,)) as image:
            return _material(image, source, limits, new_spool)
    except PacsError:
        raise
    except (*_DAMAGE, imagecodecs.PngError, imagecodecs.TiffError) as exc:
        raise CannotUnderstand(f"The part is no {name} image that can be read") from exc
    except Image.DecompressionBombError as exc:
        raise TooLarge("The image has too many pixels") from exc


def _material(image: Image.Image, source: Source, limits: Limits, new_spool: Callable[[], Spool]) -> Material:
    frames = int(getattr(image, "n_frames", 1))
    if frames > _MOST_FRAMES:
        raise TooLarge(f"The image has more than {_MOST_FRAMES} frames")
    # The steps of an animation may have palettes of their own, so all of them become true colour.
    is_animation = image.format == "GIF" and frames > 1
    samples = _samples(image, in_colour=is_animation)
    if samples.frame_bytes * frames > limits.decoded_bytes:
        raise TooLarge(f"The image is larger than {limits.decoded_bytes} bytes (limits.decoded_bytes)")
    decode = _deep_decoder(source, str(image.format)) if _is_deep_colour(image) else None
    spool, times = new_spool(), []
    for number, frame in enumerate(_frames(image, frames)):
        if _samples(frame, in_colour=is_animation) != samples:
            raise CannotUnderstand("The frames of the image differ in size or kind of pixels")
        spool.write(_deep_pixels(decode(number), samples) if decode else _pixels(frame, samples))
        times.append(frame.info.get("duration") or 0)
    return Material(
        EXPLICIT_LITTLE,
        spool,
        samples.attributes() | _order(times, frames),
        frames=frames,
        is_moving=any(times),
        # What a TIFF file has lost by JPEG inside of it stays lost.
        lossy_method="ISO_10918_1" if image.info.get("compression") in ("jpeg", "tiff_jpeg") else "",
        native_bytes=spool.size_bytes,
    )


def _frames(image: Image.Image, frames: int) -> Iterator[Image.Image]:
    for number in range(frames):
        image.seek(number)
        yield image


def _samples(image: Image.Image, *, in_colour: bool) -> Samples:
    columns, rows = image.size
    if _is_deep_colour(image):
        is_grey = image.mode in _GREY
        return Samples(rows, columns, 1 if is_grey else 3, "MONOCHROME2" if is_grey else "RGB", 16)
    if image.mode in _DEEP_GREY:
        return Samples(rows, columns, 1, "MONOCHROME1" if _is_white_zero(image) else "MONOCHROME2", 16)
    if image.mode in _COLOUR or (in_colour and image.mode in _GREY):
        return Samples(rows, columns, 3, "RGB", 8)
    if image.mode in _GREY:
        return Samples(rows, columns, 1, "MONOCHROME2", 8)
    raise CannotUnderstand(f"Pixels of the kind {image.mode} cannot be kept without loss")


def _is_white_zero(image: Image.Image) -> bool:
    """TIFF may count from white; Pillow turns 8 bits round, and leaves 16 as they are."""
    return bool(dict(getattr(image, "tag_v2", {})).get(_TIFF_PHOTOMETRIC, 1) == 0)


def _pixels(image: Image.Image, samples: Samples) -> bytes:
    if image.mode in _DEEP_GREY:
        return np.asarray(image).astype("<u2").tobytes()
    return image.convert("RGB" if samples.samples_per_pixel == 3 else "L").tobytes()


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


def _is_deep_colour(image: Image.Image) -> bool:
    """16 bits a channel and more than one channel, of which Pillow would keep 8 bits each."""
    if image.mode not in _COLOUR and image.mode not in _GREY:
        return False
    if image.format == "PNG":
        # The raw mode of the first tile, such as RGB;16B: Pillow's reading of the header (ISO/IEC 15948, 11.2.2).
        return any(";16" in str(tile[3]) for tile in getattr(image, "tile", ()))
    bits = dict(getattr(image, "tag_v2", {})).get(_TIFF_BITS, ())
    return 16 in (bits if isinstance(bits, tuple) else (bits,))


def _deep_decoder(source: Source, name: str) -> Callable[[int], Any]:
    """Frame number from 0 -> samples as a numpy array, rows x columns x channels."""
    data = b"".join(source.blocks())
    if name == "PNG":
        return lambda _: imagecodecs.png_decode(data)
    return lambda number: imagecodecs.tiff_decode(data, index=number)


def _deep_pixels(pixels: Any, samples: Samples) -> bytes:
    """The colours without transparency, little endian."""
    wanted = (samples.rows, samples.columns)
    if pixels.dtype.itemsize != 2 or pixels.shape[:2] != wanted or pixels.ndim != 3:
        raise CannotUnderstand("The image does not decode to what its header says")
    return np.ascontiguousarray(pixels[..., : samples.samples_per_pixel]).astype("<u2").tobytes()
