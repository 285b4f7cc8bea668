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
_HTJ2K: Final = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))
"""One encoder serves all three: its streams have the progression and the markers that .202 asks for."""
_JPEG_XL: Final = "1.2.840.10008.1.2.4.110"
_RLE: Final = "1.2.840.10008.1.2.5"
_DEFLATED_FRAMES: Final = "1.2.840.10008.1.2.8.1"
_SMALLEST_JPEG_2000: Final = 32
"""The library always makes 6 resolutions."""
_SMALLEST_RESOLUTION: Final = 64
"""HTJ2K with RPCL: the lowest resolution has at most so many pixels a side (PS3.5 A.4.4)."""
_SIZ: Final = b"\xff\x51"
_SSIZ_OFFSET: Final = 40
"""Where the first Ssiz stands behind the SIZ marker (ITU-T T.800 A.5.1)."""


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
    if target_uid == _JPEG_XL and frame.photometric_interpretation.startswith("YBR"):
        raise NotAcceptable("JPEG XL holds colour as RGB")
    try:
        return _compress(frame, description, target_uid)
    except (ValueError, RuntimeError, TypeError) as exc:
        raise CannotUnderstand(f"A frame cannot be compressed: {type(exc).__name__}") from exc


def photometric_interpretation(frame: DecodedFrame, target_uid: str) -> str:
    """Photometric Interpretation of the encoded frame: the lossless JPEG 2000 colour transform has its own name."""
    if target_uid in _HTJ2K | {_JPEG_2000} and frame.photometric_interpretation == "RGB":
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
    if target_uid == _JPEG_XL and (description.signed or description.samples_per_pixel == 2):
        raise NotAcceptable("JPEG XL holds unsigned samples, grey or colour")
    if target_uid in _HTJ2K and description.samples_per_pixel not in (1, 3):
        raise NotAcceptable("HTJ2K is made of one or three samples a pixel")
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
    if target_uid in _HTJ2K:
        return _htj2k(frame, description)
    if target_uid == _JPEG_XL:
        import imagecodecs

        bits = description.bits_stored
        return bytes(imagecodecs.jpegxl_encode(samples, lossless=True, effort=3, bitspersample=bits, numthreads=1))
    raise NotAcceptable(f"There is no encoder for {target_uid}")


def _htj2k(frame: DecodedFrame, description: ImageDescription) -> bytes:
    """High-throughput JPEG 2000, reversible, RPCL, with tile-part lengths (PS3.5 A.4.4).

    The library knows 8 and 16 bits a sample. Fewer are encoded as signed numbers, which have no level shift that
    would depend on the precision; for unsigned ones it is taken off here, and Ssiz then says what they are.
    """
    import imagecodecs

    samples, bits = frame.samples, description.bits_stored
    exact = bits == 8 * description.sample_bytes
    if not exact:
        signed = np.dtype(f"i{description.sample_bytes}")
        samples = (samples.astype(np.int32) - (0 if description.signed else 1 << bits - 1)).astype(signed)
    side = max(description.rows, description.columns)
    halvings = max(5, (-(-side // _SMALLEST_RESOLUTION) - 1).bit_length())
    is_rgb = frame.photometric_interpretation == "RGB"
    stream = bytearray(imagecodecs.htj2k_encode(samples, reversible=True, rgb=is_rgb, resolutions=halvings, tlm=True))
    if not exact:
        first = stream.index(_SIZ) + _SSIZ_OFFSET
        for number in range(description.samples_per_pixel):
            stream[first + 3 * number] = bits - 1 | (0x80 if description.signed else 0)
    return bytes(stream)
