"""numpy samples -> frame bytes, always without loss."""

import zlib
from typing import Final

import numpy as np

from index.errors import CannotUnderstand, NotAcceptable
from storage.pixels.decode import DecodedFrame, Samples
from storage.pixels.description import ImageDescription
from storage.transfer import NATIVE

_JPEG_LS: Final = "1.2.840.10008.1.2.4.80"
_JPEG_2000: Final = "1.2.840.10008.1.2.4.90"
_RLE: Final = "1.2.840.10008.1.2.5"
_DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
_SMALLEST_JPEG_2000: Final = 32
"""The library always makes 6 resolutions."""


def native_bytes(samples: Samples, description: ImageDescription) -> bytes:
    """Little endian, colour by pixel, single bits packed from the least significant one (PS3.5 8.1.1)."""
    if description.bits_allocated == 1:
        return np.packbits(samples.reshape(-1).astype(bool), bitorder="little").tobytes()
    return samples.astype(samples.dtype.newbyteorder("<"), copy=False).tobytes()


def encode_frame(frame: DecodedFrame, description: ImageDescription, target_uid: str) -> bytes:
    """One frame in a native or compressed syntax. Raises NotAcceptable when the syntax cannot hold these samples."""
    samples = frame.samples
    if target_uid in NATIVE:
        return native_bytes(samples, description)
    if target_uid == _DEFLATED_FRAMES:
        deflate = zlib.compressobj(6, wbits=-zlib.MAX_WBITS)
        return deflate.compress(native_bytes(samples, description)) + deflate.flush()
    _check(samples, description, target_uid)
    try:
        return _compress(frame, description, target_uid)
    except (ValueError, RuntimeError, TypeError) as exc:
        raise CannotUnderstand(f"A frame cannot be compressed: {type(exc).__name__}") from exc


def photometric_interpretation(frame: DecodedFrame, target_uid: str) -> str:
    """Photometric Interpretation of the encoded frame: the lossless JPEG 2000 colour transform has its own name."""
    if target_uid == _JPEG_2000 and frame.photometric_interpretation == "RGB":
        return "YBR_RCT"
    return frame.photometric_interpretation


def planar_configuration(target_uid: str) -> int:
    """RLE keeps each sample's bytes in segments of their own, all others are by pixel (PS3.5 8.2.2)."""
    return 1 if target_uid == _RLE else 0


def _check(samples: Samples, description: ImageDescription, target_uid: str) -> None:
    if description.floating or description.bits_allocated == 1:
        raise NotAcceptable("Only integer samples of 8 bits and more are compressed")
    if target_uid == _RLE:
        if description.samples_per_pixel * description.sample_bytes > 15:
            raise NotAcceptable("RLE holds at most 15 bytes a pixel")
        return
    if target_uid == _JPEG_2000 and min(description.rows, description.columns) < _SMALLEST_JPEG_2000:
        raise NotAcceptable(f"The encoder needs at least {_SMALLEST_JPEG_2000} rows and columns")
    if description.bits_allocated > 16:
        raise NotAcceptable("Samples of more than 16 bits are not compressed")
    spare = 8 * description.sample_bytes - description.bits_stored
    if spare and not np.array_equal((samples << spare) >> spare, samples):
        raise NotAcceptable("Bits above Bits Stored are in use and would be lost")


def _compress(frame: DecodedFrame, description: ImageDescription, target_uid: str) -> bytes:
    samples = frame.samples
    shape = {
        "rows": description.rows,
        "columns": description.columns,
        "samples_per_pixel": description.samples_per_pixel,
    }
    if target_uid == _RLE:
        from rle.utils import encode_pixel_data

        native = native_bytes(samples, description)
        return bytes(encode_pixel_data(native, byteorder="<", bits_allocated=description.bits_allocated, **shape))
    if target_uid == _JPEG_LS:
        from jpeg_ls import encode_buffer

        mask = (1 << description.bits_stored) - 1
        unsigned = samples.view(f"u{samples.dtype.itemsize}") & np.array(mask, f"u{samples.dtype.itemsize}")
        interleave = 2 if description.samples_per_pixel > 1 else 0
        native = native_bytes(unsigned, description)
        return bytes(encode_buffer(native, bits_stored=description.bits_stored, interleave_mode=interleave, **shape))
    if target_uid == _JPEG_2000:
        from openjpeg.utils import encode_array

        is_rgb = frame.photometric_interpretation == "RGB"
        colour = 1 if is_rgb else 0
        return bytes(
            encode_array(
                samples, bits_stored=description.bits_stored, photometric_interpretation=colour, use_mct=is_rgb
            )
        )
    raise NotAcceptable(f"There is no encoder for {target_uid}")
