"""A frame in another encoding that is proved to hold the same samples: decoded again and compared, bit for bit."""

from dataclasses import dataclass

import numpy as np

from index.errors import NotAcceptable
from storage.pixels.decode import decode_frame
from storage.pixels.description import ImageDescription, StoredFrame
from storage.pixels.encode import encode_frame, photometric_interpretation


@dataclass(frozen=True, slots=True)
class EncodedFrame:
    """One frame, and the Photometric Interpretation that goes with it."""

    data: bytes
    photometric_interpretation: str


def encode_faithfully(
    frame: StoredFrame, description: ImageDescription, target_uid: str, *, limit_bytes: int
) -> EncodedFrame:
    """The frame in the target syntax. Raises CannotUnderstand, NotAcceptable, also when a sample came back different.

    An encoder is believed to be without loss only as long as nobody meets the image that it fails at.
    """
    decoded = decode_frame(frame, description, limit_bytes=limit_bytes)
    data = encode_frame(decoded, description, target_uid)
    photometric = photometric_interpretation(decoded, target_uid)
    again = decode_frame(
        StoredFrame(data, frame.dataset, target_uid, frame.number), description, limit_bytes=limit_bytes
    )
    same_colours = again.photometric_interpretation == decoded.photometric_interpretation
    if not same_colours or not np.array_equal(again.samples, decoded.samples):
        raise NotAcceptable("Decoded again, the samples differ from the original's")
    return EncodedFrame(data, photometric)
