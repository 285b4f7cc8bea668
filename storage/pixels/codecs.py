"""The codec libraries behind one call. Each is imported when its first frame comes.

Every library raises errors of its own; all of them become CannotUnderstand here. Sizes are compared
with the data set before a library is called (see `codestream`).
"""

import io
import zlib
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from index.errors import CannotUnderstand
from storage.pixels import codestream
from storage.pixels.codestream import CodeStream
from storage.pixels.description import ImageDescription

Samples = npt.NDArray[Any]

_ENCAPSULATED_UNCOMPRESSED: Final = "1.2.840.10008.1.2.1.98"
_DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
UNCOMPRESSED: Final = frozenset({_ENCAPSULATED_UNCOMPRESSED, _DEFLATED_FRAMES})
"""Syntaxes whose frames are native little endian bytes once `inflate` has seen them."""

_RLE: Final = "1.2.840.10008.1.2.5"
_JPEG_LS: Final = frozenset({"1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.81"})
_JPEG_2000: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (90, 91, 201, 202, 203))
_JPEG_XL: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))
_LOSSLESS_PROCESS: Final = 0xC3
"""SOF3: JPEG lossless, Huffman."""
_FAILURES: Final = (ValueError, TypeError, RuntimeError, OSError, MemoryError, SyntaxError, IndexError, zlib.error)
"""What the libraries raise for damaged streams; Pillow raises SyntaxError among others."""


def inflate(data: bytes, transfer_syntax_uid: str, native_bytes: int) -> bytes:
    """The bytes of a native frame that is only wrapped, or wrapped and deflated; never more than it needs."""
    if transfer_syntax_uid == _ENCAPSULATED_UNCOMPRESSED:
        return data
    try:
        return zlib.decompressobj(-zlib.MAX_WBITS).decompress(data, native_bytes)
    except zlib.error as exc:
        raise CannotUnderstand("A deflated frame is damaged") from exc


def inspect(data: bytes, description: ImageDescription, transfer_syntax_uid: str) -> CodeStream | None:
    """What the frame claims to hold, compared with the data set; None for RLE. Raises CannotUnderstand."""
    if transfer_syntax_uid == _RLE:
        codestream.check_rle(data, description.samples_per_pixel * description.sample_bytes)
        return None
    if transfer_syntax_uid in _JPEG_2000:
        found = codestream.read_jpeg_2000(data)
    elif transfer_syntax_uid in _JPEG_XL:
        found = codestream.read_jpeg_xl(data, description.samples_per_pixel, description.bits_stored)
    else:
        found = codestream.read_jpeg(data)
    _check(found, description)
    return found


def is_fragile(found: CodeStream | None, transfer_syntax_uid: str) -> bool:
    """The library for this frame has crashed its process on damaged input, or may: see `isolation`."""
    if found is None:
        return False
    return transfer_syntax_uid in _JPEG_LS | _JPEG_2000 | _JPEG_XL or not _is_for_pillow(found)


def decode(data: bytes, description: ImageDescription, transfer_syntax_uid: str) -> tuple[Samples, str]:
    """Decode one compressed frame: (rows, columns[, samples]) and its Photometric Interpretation now."""
    found = inspect(data, description, transfer_syntax_uid)
    try:
        if found is None:
            return _decode_rle(data, description)
        if transfer_syntax_uid in _JPEG_LS:
            return _decode_jpeg_ls(data, description, found)
        if transfer_syntax_uid in _JPEG_2000:
            return _decode_jpeg_2000(data, description, found)
        if transfer_syntax_uid in _JPEG_XL:
            return _decode_jpeg_xl(data, description, found)
        if _is_for_pillow(found):
            return _decode_with_pillow(data, description, found)
        return _decode_with_gdcm(data, description, found, transfer_syntax_uid)
    except _FAILURES as exc:
        raise CannotUnderstand(f"A compressed frame cannot be decoded: {type(exc).__name__}") from exc


def _is_for_pillow(found: CodeStream) -> bool:
    """8-bit DCT processes, sequential and progressive."""
    return found.process != _LOSSLESS_PROCESS and found.bits <= 8


def _check(found: CodeStream, description: ImageDescription) -> None:
    """The stream must hold the image of the data set, or a codec would be asked for something else."""
    claimed = (found.rows, found.columns, found.samples_per_pixel)
    wanted = (description.rows, description.columns, description.samples_per_pixel)
    if claimed != wanted:
        raise CannotUnderstand(f"A compressed frame is {claimed}, the data set says {wanted}")
    if not 0 < found.bits <= max(8, description.bits_allocated):
        raise CannotUnderstand(f"A compressed frame has {found.bits} bits a sample")


def _decode_rle(data: bytes, description: ImageDescription) -> tuple[Samples, str]:
    from rle.utils import decode_pixel_data

    samples, size = description.samples_per_pixel, description.sample_bytes
    size_of = {
        "rows": description.rows,
        "columns": description.columns,
        "bits_allocated": description.bits_allocated,
    }
    decoded = decode_pixel_data(bytes(data), version=2, **size_of)
    kind = "i" if description.signed else "u"
    planes = np.frombuffer(decoded, f"<{kind}{size}").reshape(samples, description.rows, description.columns)
    pixels = planes[0] if samples == 1 else planes.transpose(1, 2, 0)
    return pixels, description.photometric_interpretation


def _decode_jpeg_ls(data: bytes, description: ImageDescription, found: CodeStream) -> tuple[Samples, str]:
    import jpeg_ls

    decoded, info = jpeg_ls.decode_buffer(bytes(data))
    flat = np.frombuffer(decoded, "<u1" if found.bits <= 8 else "<u2")
    planar = found.samples_per_pixel > 1 and info["interleave_mode"] == 0
    pixels = _arrange(flat, found, planar=planar)
    return _with_sign(pixels, found, description), description.photometric_interpretation


def _decode_jpeg_2000(data: bytes, description: ImageDescription, found: CodeStream) -> tuple[Samples, str]:
    from openjpeg.utils import decode_pixel_data

    container = 1 if found.bits <= 8 else 2 if found.bits <= 16 else 4
    decoded = decode_pixel_data(bytes(data), version=2)
    flat = np.frombuffer(decoded, f"<{'i' if found.signed else 'u'}{container}")
    pixels = _with_sign(_arrange(flat, found, planar=False), found, description)
    photometric = description.photometric_interpretation
    return pixels, "RGB" if photometric in ("YBR_RCT", "YBR_ICT") else photometric


def _decode_jpeg_xl(data: bytes, description: ImageDescription, found: CodeStream) -> tuple[Samples, str]:
    """Colour becomes RGB, whatever it is inside. The array is compared with the data set: the head told sizes only."""
    import imagecodecs

    pixels = imagecodecs.jpegxl_decode(bytes(data), numthreads=1)
    wanted = (found.rows, found.columns) + ((found.samples_per_pixel,) if found.samples_per_pixel > 1 else ())
    if pixels.shape != wanted or pixels.dtype.kind != "u":
        raise CannotUnderstand(f"A JPEG XL frame decodes to {pixels.dtype} of {pixels.shape}, not {wanted}")
    photometric = description.photometric_interpretation
    return pixels, "RGB" if found.samples_per_pixel == 3 else photometric


def _decode_with_pillow(data: bytes, description: ImageDescription, found: CodeStream) -> tuple[Samples, str]:
    """Colour becomes RGB. Without JFIF or Adobe marker the stream does not tell its colour space; the data
    set does then, and Pillow, which would assume YCbCr, is asked for the components as they are.
    """
    from PIL import Image

    # Sizes were checked against the data set and our own limit; Pillow's would refuse large slides.
    Image.MAX_IMAGE_PIXELS = None
    with Image.open(io.BytesIO(data), formats=("JPEG",)) as image:
        if found.samples_per_pixel == 3 and found.is_rgb is None and description.photometric_interpretation == "RGB":
            image.draft("YCbCr", image.size)
        samples = np.asarray(image)
    return samples, "RGB" if found.samples_per_pixel == 3 else description.photometric_interpretation


def _decode_with_gdcm(
    data: bytes, description: ImageDescription, found: CodeStream, transfer_syntax_uid: str
) -> tuple[Samples, str]:
    """Lossless and 12-bit processes."""
    import gdcm

    gdcm.Trace.WarningOff()
    gdcm.Trace.ErrorOff()
    container = 1 if found.bits <= 8 else 2
    decoded = _gdcm_image(gdcm, data, description, (transfer_syntax_uid, found.bits, container)).GetBuffer()
    raw = decoded.encode("utf-8", "surrogateescape")
    expected = found.rows * found.columns * found.samples_per_pixel * container
    if len(raw) != expected:
        raise CannotUnderstand(f"A JPEG frame decodes to {len(raw)} bytes, not {expected}")
    pixels = _arrange(np.frombuffer(raw, f"<u{container}"), found, planar=False)
    return _with_sign(pixels, found, description), description.photometric_interpretation


def _gdcm_image(gdcm: Any, data: bytes, description: ImageDescription, coding: tuple[str, int, int]) -> Any:
    """GDCM decodes images, not streams, so one is built around the frame. Colour comes out by pixel."""
    transfer_syntax_uid, bits, container = coding
    fragment = gdcm.Fragment()
    fragment.SetByteStringValue(bytes(data))
    fragments = gdcm.SequenceOfFragments.New()
    fragments.AddFragment(fragment)
    element = gdcm.DataElement(gdcm.Tag(0x7FE0, 0x0010))
    element.SetValue(fragments.__ref__())
    image = gdcm.Image()
    image.SetNumberOfDimensions(2)
    image.SetDimensions((description.columns, description.rows, 1))
    image.SetDataElement(element)
    samples = description.samples_per_pixel
    kind = gdcm.PhotometricInterpretation.GetPIType("MONOCHROME2" if samples == 1 else "RGB")
    image.SetPhotometricInterpretation(gdcm.PhotometricInterpretation(kind))
    image.SetPlanarConfiguration(0)
    image.SetTransferSyntax(gdcm.TransferSyntax(gdcm.TransferSyntax.GetTSType(transfer_syntax_uid)))
    image.SetPixelFormat(gdcm.PixelFormat(samples, container * 8, bits, bits - 1, 0))
    return image


def _arrange(flat: Samples, found: CodeStream, *, planar: bool) -> Samples:
    rows, columns, samples = found.rows, found.columns, found.samples_per_pixel
    if flat.size != rows * columns * samples:
        raise CannotUnderstand(f"A compressed frame decodes to {flat.size} samples")
    if samples == 1:
        return flat.reshape(rows, columns)
    if planar:
        return flat.reshape(samples, rows, columns).transpose(1, 2, 0)
    return flat.reshape(rows, columns, samples)


def _with_sign(pixels: Samples, found: CodeStream, description: ImageDescription) -> Samples:
    """Codecs without a notion of sign return two's complement of `found.bits` bits as unsigned numbers."""
    if found.signed == description.signed:
        return pixels
    if description.signed:
        shift = 8 * pixels.dtype.itemsize - found.bits
        signed = pixels.astype(f"i{pixels.dtype.itemsize}")
        return (signed << shift) >> shift
    return pixels.view(f"u{pixels.dtype.itemsize}")
