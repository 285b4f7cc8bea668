"""Frames and whole objects in another transfer syntax than the stored one."""

from config.settings import Limits
from index.layout import ObjectLayout
from index.records import DicomJson
from storage.pixels.description import StoredFrame


def recode_frame(frame: StoredFrame, target_uid: str, *, limit_bytes: int) -> bytes:
    """One frame in the target syntax, as `transfer.plan_frames` allows it.

    Native frames are little endian, colour by pixel. Decoded JPEG and JPEG 2000 colour is RGB.
    Raises CannotUnderstand when the stored bytes cannot be decoded, NotAcceptable when the target
    cannot hold these pixels, TooLarge when a decoded frame exceeds `limit_bytes` (Limits.decoded_bytes).
    """
    raise NotImplementedError


def recode_dataset(
    stored: bytes | memoryview,
    *,
    layout: ObjectLayout,
    dataset: DicomJson,
    stored_uid: str,
    target_uid: str,
    limits: Limits,
) -> bytes:
    """The data set alone (no preamble, no meta group) in the target syntax, for every plan but `as_stored`.

    `stored` is the whole stored object (bytes or an mmap), `layout` and `dataset` are what ingest kept
    of it. The caller puts `part10.build_meta(..., transfer_syntax_uid=target_uid)` before it for a file.
    Values are copied, never re-formatted: only their encoding changes, and with decoded pixels the
    attributes that describe them. Raises CannotUnderstand, NotAcceptable, TooLarge.
    """
    raise NotImplementedError
