"""A frame as a picture, as a person would see it: JPEG, PNG, GIF or JPEG 2000.

numpy, Pillow and the codecs are imported with the first picture: a server that only stores and sends
frames starts faster and stays smaller without them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from index.records import DicomJson, RenderOptions
from storage import syntaxes
from storage.pixels import icon
from storage.pixels.description import ImageDescription, StoredFrame, numbers

if TYPE_CHECKING:
    from PIL import Image

    from storage.pixels.decode import DecodedFrame
    from storage.pixels.grey import Bytes, Window


def render_frame(
    frame: StoredFrame, options: RenderOptions, *, limit_bytes: int, state: StoredFrame | None = None
) -> bytes:
    """One frame as a file with the image's own transformations, or those of a presentation state.

    PS3.18 8.3.5, PS3.4 N.2. A frame of a video, which is no picture on its own, becomes an icon. Raises
    CannotUnderstand when the frame cannot be decoded, NotAcceptable when there is no decoder for the stored syntax,
    InvalidQuery for an impossible window or region, TooLarge when the decoded frame exceeds `limit_bytes`
    (Limits.decoded_bytes).
    """
    syntax = syntaxes.lookup(frame.transfer_syntax_uid)
    if syntax is not None and syntax.video:
        return icon.draw("VIDEO", options)
    from storage.pixels import picture, profiles

    image = draw_frame(frame, options, limit_bytes=limit_bytes, state=state)
    profile = None
    if options.icc_profile is not None or image.mode == "RGB":
        own = profiles.profile_of(frame) if state is None else _profile_of_state(state, frame)
        image, profile = profiles.convert(image, own, options.icc_profile)
    return picture.save(image, options, profile)


def animate(
    frames: Iterator[StoredFrame],
    numbers: Sequence[int],
    options: RenderOptions,
    *,
    limit_bytes: int,
    state: StoredFrame | None = None,
) -> bytes:
    """Frames as an animated GIF. Raises what `render_frame` raises."""
    from storage.pixels import animation

    first = next(frames)
    times = animation.durations(first.dataset, numbers)
    drawn = (draw_frame(frame, options, limit_bytes=limit_bytes, state=state) for frame in chain([first], frames))
    return animation.encode(drawn, times)


def draw_frame(
    frame: StoredFrame, options: RenderOptions, *, limit_bytes: int, state: StoredFrame | None = None
) -> Image.Image:
    """The same before it becomes a file: an image of 8-bit grey or RGB."""
    from storage.pixels import captions, decode, overlays, picture, presentation, shutters

    if state is not None:
        presentation.check(state, frame)
    description = ImageDescription.from_json(frame.dataset)
    decoded = decode.decode_frame(frame, description, limit_bytes=limit_bytes)
    shutter = None if state else shutters.shutter_of(frame)
    if state is None and shutter is None and options.region is None and not overlays.groups_of(frame.dataset):
        stride = picture.stride_for((description.columns, description.rows), options)
        decoded = decode.thin_out(decoded, stride)
        samples, window = _shown(frame, description, decoded, options.window)
        image = picture.fitted(samples, options, shape=_true_shape(frame.dataset, description))
    else:
        image, window = _composed(frame, description, decoded, options, state)
    return captions.write(image, frame, options.captions, window) if options.captions else image


def _shown(
    frame: StoredFrame,
    description: ImageDescription,
    decoded: DecodedFrame,
    window: Window | None,
    state: StoredFrame | None = None,
) -> tuple[Bytes, Window | None]:
    """8-bit samples, and the window through which they are seen."""
    from storage.pixels import colour, grey, presentation

    if description.samples_per_pixel > 1:
        return colour.to_rgb(decoded, description), None
    if description.photometric_interpretation == "PALETTE COLOR":
        return colour.apply_palette(decoded.samples, frame, description), None
    if state is None:
        chain = grey.chain_of(frame, description, window)
    else:
        chain = presentation.chain_of(state, frame, description, window)
    samples = grey.render(decoded.samples, chain)
    if state is not None and colour.has_palette(state):
        return colour.pseudo_coloured(samples, state), chain.window
    if state is None and colour.is_supplemented(frame):
        samples = colour.supplemented(samples, decoded.samples, frame, description)
    return samples, chain.window


def _composed(
    frame: StoredFrame,
    description: ImageDescription,
    decoded: DecodedFrame,
    options: RenderOptions,
    state: StoredFrame | None,
) -> tuple[Image.Image, Window | None]:
    """The picture with all that lies over the pixels: shutter, overlays, annotations. Works at full resolution."""
    from PIL import Image

    from storage.pixels import geometry, graphics, layers, presentation, shutters

    samples, window = _shown(frame, description, decoded, options.window, state)
    image = Image.fromarray(samples)
    shutter = shutters.shutter_of(state or frame)
    if shutter is not None:
        image = shutters.cover(image, shutter, bitmap=layers.shutter_bitmap(shutter, state, frame, description))
    image = layers.paint(image, frame, description, decoded, state)
    if state is None:
        width, height = _true_shape(frame.dataset, description)
        whole = (0, 0, description.columns, description.rows)
        view = geometry.View(whole, ratio=height / width * description.columns / description.rows)
    else:
        view = presentation.view_of(state, frame, description)
    placement = geometry.Placement(view, options)
    image = placement.draw(image)
    return (image if state is None else graphics.draw(image, state, frame, placement)), window


def _profile_of_state(state: StoredFrame, frame: StoredFrame) -> bytes | None:
    """A state for colour has a profile of its own, in which its colours are meant (PS3.3 C.11.15)."""
    from storage.pixels import profiles

    return profiles.profile_of(state) or profiles.profile_of(frame)


def _true_shape(dataset: DicomJson, description: ImageDescription) -> tuple[float, float]:
    """Width and height in square pixels: Pixel Aspect Ratio is height to width (PS3.3 C.7.6.3.1.7)."""
    ratio = numbers(dataset, "00280034")
    if len(ratio) == 2 and ratio[0] > 0 and ratio[1] > 0 and 0.05 < ratio[0] / ratio[1] < 20:
        return float(description.columns), description.rows * ratio[0] / ratio[1]
    return float(description.columns), float(description.rows)
