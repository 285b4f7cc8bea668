"""A frame as a picture: JPEG or PNG as a person would see it.

numpy, Pillow and the codecs are imported with the first picture: a server that only stores and sends
frames starts faster and stays smaller without them.
"""

from index.records import DicomJson, RenderOptions
from storage import syntaxes
from storage.pixels import icon
from storage.pixels.description import ImageDescription, StoredFrame, numbers


def render_frame(frame: StoredFrame, options: RenderOptions, *, limit_bytes: int) -> bytes:
    """One frame as JPEG or PNG with the image's own modality and VOI transformation (PS3.18 8.3.5, PS3.4 N.2).

    A frame of a video, which is no picture on its own, becomes an icon. Raises CannotUnderstand when the
    frame cannot be decoded, NotAcceptable when there is no decoder for the stored syntax, InvalidQuery for
    an impossible window, TooLarge when the decoded frame exceeds `limit_bytes` (Limits.decoded_bytes).
    """
    syntax = syntaxes.lookup(frame.transfer_syntax_uid)
    if syntax is not None and syntax.video:
        return icon.draw("VIDEO", options)
    from storage.pixels import colour, decode, grey, picture

    description = ImageDescription.from_json(frame.dataset)
    decoded = decode.decode_frame(frame, description, limit_bytes=limit_bytes)
    stride = picture.stride_for((description.columns, description.rows), options)
    decoded = decode.thin_out(decoded, stride)
    if description.samples_per_pixel > 1:
        samples = colour.to_rgb(decoded, description)
    elif description.photometric_interpretation == "PALETTE COLOR":
        samples = colour.apply_palette(decoded.samples, frame, description)
    else:
        samples = grey.render(decoded.samples, grey.chain_of(frame, description, options.window))
    return picture.encode(samples, options, shape=_true_shape(frame.dataset, description))


def _true_shape(dataset: DicomJson, description: ImageDescription) -> tuple[float, float]:
    """Width and height in square pixels: Pixel Aspect Ratio is height to width (PS3.3 C.7.6.3.1.7)."""
    ratio = numbers(dataset, "00280034")
    if len(ratio) == 2 and ratio[0] > 0 and ratio[1] > 0 and 0.05 < ratio[0] / ratio[1] < 20:
        return float(description.columns), description.rows * ratio[0] / ratio[1]
    return float(description.columns), float(description.rows)
