"""Pictures of stored instances: a frame, several frames as an animation, an image as a presentation state shows it."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Final

from index.access import Scope
from index.errors import CannotUnderstand, NotAcceptable, NotFound, TooLarge
from index.records import DicomJson, InstanceKey, RenderOptions, StoredInstance
from storage.pixels import icon, render
from storage.pixels.description import ImageDescription, StoredFrame, text
from storage.retrieve import Shelf, dataset_of
from storage.video import is_video

_MOST_ANIMATED: Final = 2000
"""Frames of an animation: above it a browser is not the right viewer."""


_WAVEFORMS: Final = "54000100"

Draw = Callable[[int], bytes]
"""A frame of one instance, by its number from 1, as a picture."""


def open_pictures(shelf: Shelf, scope: Scope, where: InstanceKey | StoredInstance, options: RenderOptions) -> Draw:
    """What draws the frames of an instance; its metadata are read once, however many are drawn.

    Waveforms are drawn; what else has no pixels gets a neutral picture with its modality. Raises NotFound, as
    drawing does.
    """
    instance = where if isinstance(where, StoredInstance) else shelf.catalog.locate(scope, where)
    dataset = dataset_of(shelf, scope, instance.key)
    if instance.layout.pixels is None and _WAVEFORMS in dataset:
        source = StoredFrame(b"", dataset, instance.transfer_syntax_uid, bulk=shelf.reader(instance).bulk)
        return partial(_draw_waveforms, source, options, shelf.limits.decoded_bytes)
    if instance.layout.pixels is None or is_video(instance):
        label = "VIDEO" if instance.layout.pixels else text(dataset, "00080060")
        return partial(_draw_icon, label, options)
    state = _state(shelf, scope, options)
    reader = shelf.reader(instance)

    def draw(number: int) -> bytes:
        with _no_fault_of_the_client():
            stored = reader.stored_frame(number, dataset)
            return render.render_frame(stored, options, limit_bytes=shelf.limits.decoded_bytes, state=state)

    return draw


def _draw_icon(label: str, options: RenderOptions, number: int) -> bytes:
    if number != 1:
        raise NotFound(f"There is no frame {number}")
    return icon.draw(label, options)


def _draw_waveforms(source: StoredFrame, options: RenderOptions, limit_bytes: int, number: int) -> bytes:
    from storage.pixels import waveforms

    if number != 1:
        raise NotFound(f"There is no frame {number}")
    try:
        return waveforms.draw(source, options, limit_bytes=limit_bytes)
    except CannotUnderstand:
        # Sound, for instance, is nothing to look at.
        return icon.draw(text(source.dataset, "00080060"), options)


def animation(
    shelf: Shelf, scope: Scope, instance: StoredInstance, numbers: Sequence[int], options: RenderOptions
) -> bytes:
    """Frames one after the other as an animated GIF, in the time that the object names. Raises NotFound, TooLarge."""
    dataset = dataset_of(shelf, scope, instance.key)
    _check_size(dataset, numbers, options, shelf.limits.decoded_bytes)
    reader = shelf.reader(instance)
    stored = (reader.stored_frame(number, dataset) for number in numbers)
    state = _state(shelf, scope, options)
    with _no_fault_of_the_client():
        return render.animate(stored, numbers, options, limit_bytes=shelf.limits.decoded_bytes, state=state)


@contextmanager
def _no_fault_of_the_client() -> Iterator[None]:
    """What is stored but cannot be decoded has no rendered form; the question was right (406)."""
    try:
        yield
    except CannotUnderstand as error:
        raise NotAcceptable(f"There is no picture of it: {error.detail}") from error


def _state(shelf: Shelf, scope: Scope, options: RenderOptions) -> StoredFrame | None:
    """The presentation state that is to be applied. Raises NotFound."""
    if options.presentation is None:
        return None
    instance = shelf.catalog.locate(scope, options.presentation)
    dataset = dataset_of(shelf, scope, instance.key)
    return StoredFrame(b"", dataset, instance.transfer_syntax_uid, bulk=shelf.reader(instance).bulk)


def _check_size(dataset: DicomJson, numbers: Sequence[int], options: RenderOptions, limit_bytes: int) -> None:
    """All pictures of an animation are in memory at once, as large as they leave."""
    image = ImageDescription.from_json(dataset)
    width, height = options.viewport or (image.columns, image.rows)
    if len(numbers) > _MOST_ANIMATED or 3 * width * height * len(numbers) > limit_bytes:
        raise TooLarge(f"An animation of {len(numbers)} frames is too large: give a viewport, or fewer frames")
