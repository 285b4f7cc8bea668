"""Frame bytes -> numpy samples, whatever the transfer syntax.

Arrays are (rows, columns) or (rows, columns, samples), C-contiguous, in native byte order, with the
integer type of Bits Allocated and Pixel Representation; single bits become bytes of 0 and 1.
Bits above Bits Stored are left as they are stored: some old objects keep overlays there.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from index.errors import CannotUnderstand, NotAcceptable, TooLarge
from storage import syntaxes
from storage.pixels import codecs, isolation
from storage.pixels.description import ImageDescription, StoredFrame
from storage.transfer import DECODABLE

Samples = npt.NDArray[Any]


@dataclass(frozen=True, slots=True)
class DecodedFrame:
    """One frame's samples, and the Photometric Interpretation that they are in now."""

    samples: Samples
    photometric_interpretation: str


def decode_frame(frame: StoredFrame, description: ImageDescription, *, limit_bytes: int) -> DecodedFrame:
    """Decode one frame. Raises CannotUnderstand (damaged), NotAcceptable (no decoder), TooLarge.

    JPEG 2000 colour and lossy JPEG colour come out as RGB, other lossless colour in its own space;
    sub-sampled native chrominance is repeated to full resolution.
    """
    if description.decoded_bytes > limit_bytes:
        raise TooLarge(f"A decoded frame has {description.decoded_bytes} bytes; the limit is {limit_bytes}")
    syntax = syntaxes.lookup(frame.transfer_syntax_uid)
    if syntax is not None and not syntax.encapsulated:
        return _native(frame.data, description, little_endian=syntax.little_endian)
    if syntax is None or syntax.uid not in DECODABLE:
        name = syntax.name if syntax else frame.transfer_syntax_uid
        raise NotAcceptable(f"There is no decoder for {name}"[:120])
    if syntax.uid in codecs.UNCOMPRESSED:
        native_bytes = (description.native_bits + 7) // 8
        return _native(codecs.inflate(frame.data, syntax.uid, native_bytes), description, little_endian=True)
    found = codecs.inspect(frame.data, description, syntax.uid)
    decode = isolation.decode if codecs.is_fragile(found, syntax.uid) else codecs.decode
    decoded, photometric = decode(frame.data, description, syntax.uid)
    return DecodedFrame(_fit(decoded, description), _at_full_resolution(photometric))


def thin_out(frame: DecodedFrame, stride: int) -> DecodedFrame:
    """Every `stride`-th sample of every `stride`-th row."""
    if stride == 1:
        return frame
    thinned = frame.samples[stride // 2 :: stride, stride // 2 :: stride]
    return DecodedFrame(np.ascontiguousarray(thinned), frame.photometric_interpretation)


def sample_type(description: ImageDescription) -> np.dtype[Any]:
    """The numpy type of a decoded sample, in native byte order."""
    kind = "f" if description.floating else "i" if description.signed else "u"
    return np.dtype(f"{kind}{description.sample_bytes}")


def _native(data: bytes, description: ImageDescription, *, little_endian: bool) -> DecodedFrame:
    needed = (description.native_bits + 7) // 8
    if len(data) < needed:
        raise CannotUnderstand(f"A frame has {len(data)} bytes, not {needed}")
    photometric = description.photometric_interpretation
    if description.bits_allocated == 1:
        return DecodedFrame(_single_bits(data[:needed], description), photometric)
    if not little_endian and description.bits_allocated == 8 and description.words:
        data = _swap_pairs(data, needed)
    stored = sample_type(description).newbyteorder("<" if little_endian else ">")
    flat = np.frombuffer(data, stored, needed // description.sample_bytes).astype(sample_type(description), copy=False)
    if description.subsampled:
        return DecodedFrame(_repeat_chrominance(flat, description), _at_full_resolution(photometric))
    return DecodedFrame(_shape(flat, description, planar=description.planar_configuration == 1), photometric)


def _at_full_resolution(photometric: str) -> str:
    """The name of a colour space when every pixel has its own chrominance."""
    return photometric.removesuffix("_422").removesuffix("_420")


def _swap_pairs(data: bytes, needed: int) -> bytes:
    if needed % 2:
        raise NotAcceptable("Big endian words cannot be cut into frames with an odd number of bytes")
    return np.frombuffer(data, "u2", needed // 2).byteswap().tobytes()


def _single_bits(data: bytes, description: ImageDescription) -> Samples:
    """PS3.5 8.1.1: the first pixel is the least significant bit."""
    bits = np.unpackbits(np.frombuffer(data, "u1"), bitorder="little", count=description.native_bits)
    return _shape(bits, description, planar=False)


def _repeat_chrominance(flat: Samples, description: ImageDescription) -> Samples:
    """Y1 Y2 Cb Cr of two neighbours -> Y Cb Cr of each (PS3.3 C.7.6.3.1.2)."""
    if description.columns % 2 or description.samples_per_pixel != 3:
        raise CannotUnderstand("Sub-sampled chrominance needs three samples and an even number of columns")
    pairs = flat.reshape(description.rows, description.columns // 2, 4)
    full = np.empty((description.rows, description.columns, 3), flat.dtype)
    full[:, 0::2, 0] = pairs[:, :, 0]
    full[:, 1::2, 0] = pairs[:, :, 1]
    full[:, 0::2, 1:] = pairs[:, :, 2:]
    full[:, 1::2, 1:] = pairs[:, :, 2:]
    return full


def _shape(flat: Samples, description: ImageDescription, *, planar: bool) -> Samples:
    rows, columns, samples = description.rows, description.columns, description.samples_per_pixel
    if samples == 1:
        return flat.reshape(rows, columns)
    if planar:
        return np.ascontiguousarray(flat.reshape(samples, rows, columns).transpose(1, 2, 0))
    return flat.reshape(rows, columns, samples)


def _fit(decoded: Samples, description: ImageDescription) -> Samples:
    """The codec's array in the type of the data set; a codec chooses the smallest type that holds its precision."""
    wanted: tuple[int, ...] = (description.rows, description.columns)
    if description.samples_per_pixel > 1:
        wanted = (*wanted, description.samples_per_pixel)
    if decoded.shape != wanted:
        raise CannotUnderstand(f"A decoded frame has the shape {decoded.shape}, not {wanted}")
    return np.ascontiguousarray(decoded.astype(sample_type(description), copy=False))
