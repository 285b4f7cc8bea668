"""Thumbnails (PS3.18 10.4.1.1.4): a small picture of a study, series, instance or frame; of what has no pixels, too."""

from collections.abc import Sequence

from dicomweb.edge import Call
from dicomweb.frames import frame_numbers, instance_key, locate
from dicomweb.rendered import number_of_frames, picture_reply
from dicomweb.rendered_types import PICTURES
from dicomweb.rendering import render_options
from dicomweb.replies import Reply
from index.errors import NotAcceptable, NotFound
from index.records import RenderOptions, StoredInstance


def representative(instances: Sequence[StoredInstance]) -> StoredInstance:
    """The instance that shows best what there is: the middle image of the first series that has images."""
    images = [instance for instance in instances if number_of_frames(instance)]
    if not images:
        return instances[0]
    first = images[0].key.series_instance_uid
    images = [image for image in images if image.key.series_instance_uid == first]
    return images[len(images) // 2]


def _middle_frame(instance: StoredInstance) -> int:
    return (number_of_frames(instance) + 1) // 2 or 1


def _options(call: Call) -> RenderOptions:
    return render_options(dict(call.query()), call.choices(PICTURES)[0].media_type, thumbnail=True)


def _group(call: Call, uids: tuple[str, ...]) -> Reply:
    options = _options(call)
    chosen = representative(call.archive.instances(call.principal, *uids))
    return picture_reply(call, chosen, _middle_frame(chosen), options, growing=True)


def _instance(call: Call, number: int | None) -> Reply:
    options = _options(call)
    instance = locate(call, instance_key(call))
    frames = number_of_frames(instance)
    # What has no pixels has a neutral picture: viewers ask for key objects and reports too.
    if number is not None and number > max(1, frames):
        raise NotFound("The instance has no such frame")
    return picture_reply(call, instance, number or _middle_frame(instance), options)


async def study_thumbnail(call: Call) -> Reply:
    """A small picture of a study: the middle image of its first series with images."""
    return await call.run(_group, call, (call.uid("study"),))


async def series_thumbnail(call: Call) -> Reply:
    """A small picture of a series: its middle image."""
    return await call.run(_group, call, (call.uid("study"), call.uid("series")))


async def instance_thumbnail(call: Call) -> Reply:
    """A small picture of an instance: its middle frame."""
    return await call.run(_instance, call, None)


async def frame_thumbnail(call: Call) -> Reply:
    """A small picture of one frame."""
    numbers = frame_numbers(call.scope["path_params"]["frames"])
    if len(numbers) != 1:
        raise NotAcceptable("Several frames have no common thumbnail: ask for one at a time")
    return await call.run(_instance, call, numbers[0])
