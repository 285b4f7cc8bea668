"""A frame as a picture: JPEG or PNG as a person would see it."""

from index.records import RenderOptions
from storage.pixels.description import StoredFrame


def render_frame(frame: StoredFrame, options: RenderOptions, *, limit_bytes: int) -> bytes:
    """One frame as JPEG or PNG with the image's own modality and VOI transformation (PS3.18 8.3.5, PS3.4 N.2).

    Raises CannotUnderstand when it cannot be decoded, NotAcceptable when there is no decoder for the
    stored syntax, TooLarge when the decoded frame exceeds `limit_bytes` (Limits.decoded_bytes).
    """
    raise NotImplementedError
