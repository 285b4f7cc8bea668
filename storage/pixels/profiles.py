"""Colour spaces of pictures: the profile of the image, and conversion to a wanted one (PS3.18 8.3.5.1.5)."""

import io
import struct
from functools import lru_cache
from typing import Final

from PIL import Image, ImageCms

from index.errors import CannotUnderstand
from index.records import DicomJson, IccProfile
from storage.pixels.description import StoredFrame, items

_ICC_PROFILE: Final = "00282000"
_OPTICAL_PATHS: Final = "00480105"
_LARGEST_BYTES: Final = 4 * 1024**2
_SRGB_CURVE: Final = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
"""Parametric curve of type 3 (ICC.1 10.18): exponent, slope and offset, slope of the straight part, its end."""

_SPACES: Final = {
    # Red, green and blue in XYZ of D50, and the curve.
    "srgb": (
        (0.43607, 0.22249, 0.01392),
        (0.38515, 0.71687, 0.09708),
        (0.14307, 0.06061, 0.71410),
        _SRGB_CURVE,
    ),
    "displayp3": (
        (0.51512, 0.24120, -0.00105),
        (0.29198, 0.69225, 0.04189),
        (0.15710, 0.06657, 0.78407),
        _SRGB_CURVE,
    ),
    "adobergb": (
        (0.60974, 0.31111, 0.01947),
        (0.20528, 0.62567, 0.06087),
        (0.14919, 0.06322, 0.74457),
        (563 / 256,),
    ),
    "rommrgb": (
        (0.79767, 0.28804, 0.0),
        (0.13519, 0.71188, 0.0),
        (0.03134, 0.00008, 0.82491),
        (1.8, 1.0, 0.0, 1 / 16, 1 / 32),
    ),
}
_TITLES: Final = {"srgb": "sRGB", "displayp3": "Display P3", "adobergb": "Adobe RGB (1998)", "rommrgb": "ROMM RGB"}
_D50: Final = (0.9642, 1.0, 0.8249)


def profile_of(frame: StoredFrame, dataset: DicomJson | None = None) -> bytes | None:
    """The ICC profile of an image or of its first optical path; None when there is none that can be one."""
    dataset = frame.dataset if dataset is None else dataset
    for attributes in (dataset, *items(dataset, _OPTICAL_PATHS)[:1]):
        element = attributes.get(_ICC_PROFILE)
        data = frame.binary(element) if element else b""
        if len(data) >= 128 and data[36:40] == b"acsp" and len(data) <= _LARGEST_BYTES:
            size = int.from_bytes(data[:4], "big")
            return data[:size] if 128 <= size <= len(data) else None
    return None


def convert(image: Image.Image, own: bytes | None, wanted: IccProfile | None) -> tuple[Image.Image, bytes | None]:
    """The picture and the profile to put into it. Pictures without a profile are taken for sRGB.

    Raises CannotUnderstand when the profile of the image cannot be used.
    """
    if wanted == "no":
        return image, None
    if wanted is None or wanted == "yes":
        if image.mode != "RGB":
            return image, None
        return image, own or (made("srgb") if wanted else None)
    target = made(wanted)
    image = image.convert("RGB")
    if own is None and wanted == "srgb":
        return image, target
    try:
        source, wished = (ImageCms.ImageCmsProfile(io.BytesIO(data)) for data in (own or made("srgb"), target))
        converted = ImageCms.profileToProfile(image, source, wished, outputMode="RGB")
    except (ImageCms.PyCMSError, OSError, ValueError, TypeError) as exc:
        raise CannotUnderstand("The ICC profile of the image cannot be used") from exc
    return converted or image, target


@lru_cache(maxsize=8)
def made(name: IccProfile) -> bytes:
    """A profile of one of the spaces that can be asked for: three colours and a curve (ICC.1:2010, version 4.3)."""
    red, green, blue, curve = _SPACES[name]
    response = _curve(curve)
    tags = {
        b"desc": _words(_TITLES[name]),
        b"cprt": _words("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        b"rXYZ": _xyz(red),
        b"gXYZ": _xyz(green),
        b"bXYZ": _xyz(blue),
        b"rTRC": response,
        b"gTRC": response,
        b"bTRC": response,
    }
    table, body = [struct.pack(">I", len(tags))], b""
    start = 128 + 4 + 12 * len(tags)
    for signature, data in tags.items():
        table.append(signature + struct.pack(">II", start + len(body), len(data)))
        body += data + b"\0" * (-len(data) % 4)
    rest = b"".join(table) + body
    return _head(128 + len(rest)) + rest


def _head(size: int) -> bytes:
    version, date = b"\x04\x30\0\0", struct.pack(">6H", 2020, 1, 1, 0, 0, 0)
    intent = struct.pack(">I", 0) + b"".join(map(_fixed, _D50))
    head = struct.pack(">I", size) + b"\0" * 4 + version + b"mntrRGB XYZ " + date + b"acsp"
    return (head + b"\0" * 24 + intent).ljust(128, b"\0")


def _fixed(value: float) -> bytes:
    """s15Fixed16Number."""
    return struct.pack(">i", round(value * 65536))


def _xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(map(_fixed, values))


def _curve(parameters: tuple[float, ...]) -> bytes:
    kind = {1: 0, 5: 3}[len(parameters)]
    return b"para\0\0\0\0" + struct.pack(">HH", kind, 0) + b"".join(map(_fixed, parameters))


def _words(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return b"mluc\0\0\0\0" + struct.pack(">II", 1, 12) + b"enUS" + struct.pack(">II", len(encoded), 28) + encoded
