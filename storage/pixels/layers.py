"""Overlays over a picture: all of an image's own, or those that a presentation state activates (PS3.3 C.11.7)."""

from collections.abc import Iterator

from PIL import Image

from index.records import DicomJson
from storage.pixels import graphics, overlays
from storage.pixels.decode import DecodedFrame
from storage.pixels.description import ImageDescription, StoredFrame, integer, text
from storage.pixels.graphics import Colour, Layer
from storage.pixels.overlays import Mask

_WHITE: Colour = 255


def paint(
    image: Image.Image,
    frame: StoredFrame,
    description: ImageDescription,
    decoded: DecodedFrame,
    state: StoredFrame | None,
) -> Image.Image:
    """The picture, still in the size of the image, with its overlays."""
    for mask, colour in _planes(frame, description, decoded, state):
        if isinstance(colour, tuple):
            image = image.convert("RGB")
        elif image.mode == "RGB":
            colour = (colour, colour, colour)
        image.paste(colour, mask=Image.fromarray(mask))
    return image


def _planes(
    frame: StoredFrame, description: ImageDescription, decoded: DecodedFrame, state: StoredFrame | None
) -> Iterator[tuple[Mask, Colour]]:
    for group, colour in _groups(frame, state):
        mask = None
        if state is not None:
            mask = overlays.mask_of(state, group, description, number=frame.number)
        if mask is None:
            mask = overlays.mask_of(frame, group, description, number=frame.number)
        if mask is None:
            mask = overlays.embedded_mask(decoded.samples, frame.dataset, group, description)
        if mask is not None:
            yield mask, colour


def _groups(frame: StoredFrame, state: StoredFrame | None) -> list[tuple[int, Colour]]:
    """The groups to draw, in the order of their layers."""
    if state is None:
        return [(group, _WHITE) for group in overlays.groups_of(frame.dataset)]
    known = graphics.layers_of(state.dataset)
    active = []
    for group in overlays.GROUPS:
        name = text(state.dataset, f"{group:04X}1001")
        if name:
            active.append((group, known.get(name, Layer(0, _WHITE))))
    return [(group, layer.colour) for group, layer in sorted(active, key=lambda pair: pair[1].order)]


def shutter_bitmap(
    shutter: DicomJson, state: StoredFrame | None, frame: StoredFrame, description: ImageDescription
) -> Mask | None:
    """The overlay that covers (PS3.3 C.7.6.15); None when the shutter has no such shape."""
    group = integer(shutter, "00181623", 0)
    if not group:
        return None
    return overlays.mask_of(state or frame, group, description, number=frame.number)
