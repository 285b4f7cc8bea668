"""Rendered resources (PS3.18 10.4.1.1.3): images, states, waveforms, reports, documents and videos to be seen.

One thing leaves as a single part, several as multipart/related. What a resource has several of is the client's
choice: a multi-frame image is its first frame in `image/jpeg`, all its frames in motion in `image/gif`, and every
frame in a part of its own in `multipart/related; type="image/jpeg"`.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from typing import ParamSpec

from dicomweb import documents
from dicomweb.accept import Choice, Packaging
from dicomweb.caching import entity_tag, growing_headers, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.frames import frame_numbers, instance_key, locate
from dicomweb.messages import Part, multipart_reply
from dicomweb.ranges import partial_reply
from dicomweb.rendered_types import IMAGE, Category, category_of
from dicomweb.rendering import picture_type, render_options, warnings_of
from dicomweb.replies import Headers, Reply, StreamReply
from index.errors import CannotUnderstand, NotAcceptable, NotFound, PacsError, TooLarge
from index.records import InstanceKey, RenderOptions, StoredInstance
from storage.outgoing import OpenObject
from storage.pictures import Draw
from storage.pixels import icon
from storage.pixels.presentation_classes import RENDERED, references

P = ParamSpec("P")

logger = logging.getLogger(__name__)

_GIF = "image/gif"
_MOST_IMAGES_OF_A_STATE = 1000


@dataclass(frozen=True, slots=True)
class _View:
    """One thing to be looked at, made or read when it is sent."""

    instance: StoredInstance
    media_type: str
    open: Callable[[], Iterable[bytes]]
    place: str = "/rendered"
    """What follows the instance in its own address."""

    @property
    def location(self) -> str:
        """The address of this thing alone."""
        key = self.instance.key
        series = f"/studies/{key.study_instance_uid}/series/{key.series_instance_uid}"
        return f"{series}/instances/{key.sop_instance_uid}{self.place}"


# What there is to see


def number_of_frames(instance: StoredInstance) -> int:
    """How many frames an instance has; 0 when it is no image."""
    return instance.layout.pixels.number_of_frames if instance.layout.pixels else 0


def _views(
    call: Call, instance: StoredInstance, category: Category, choice: Choice, numbers: Sequence[int] | None
) -> list[_View]:
    """What an instance has to show in the chosen media type. `numbers`: the frames asked for. Blocks."""
    if category.kind == "presentation state":
        return _views_of_state(call, instance, choice)
    media_type = choice.media_type
    if category.kind == "report":
        return [_View(instance, media_type, partial(_made, documents.report, call, instance, media_type))]
    if category.kind == "document":
        return [_View(instance, media_type, partial(_read, documents.open_document, call, instance))]
    if media_type.startswith("video/"):
        return [_View(instance, media_type, partial(_read, call.archive.open_video, call.principal, instance))]
    options = render_options(dict(call.query()), media_type)
    return _views_of_image(call, instance, _frames_shown(instance, choice, numbers), options)


def _made(make: Callable[P, bytes], *args: P.args, **kwargs: P.kwargs) -> Iterator[bytes]:
    yield make(*args, **kwargs)


def _read(open_object: Callable[P, OpenObject], *args: P.args, **kwargs: P.kwargs) -> Iterator[bytes]:
    yield from open_object(*args, **kwargs).blocks


def _frames_shown(instance: StoredInstance, choice: Choice, numbers: Sequence[int] | None) -> Sequence[int]:
    """The frames asked for; by default all of those that a media type with room for several can hold."""
    frames = number_of_frames(instance)
    if numbers is not None:
        if max(numbers) > frames:
            raise NotFound("The instance has no such frame")
        return numbers
    has_room = choice.packaging == "multipart" or choice.media_type == _GIF
    return range(1, frames + 1) if has_room and frames else (1,)


def _views_of_image(
    call: Call, instance: StoredInstance, numbers: Sequence[int], options: RenderOptions
) -> list[_View]:
    if options.media_type == _GIF and len(numbers) > 1:
        return [_View(instance, _GIF, partial(_made, call.archive.animate, call.principal, instance, numbers, options))]
    opened: Callable[[], Draw] = partial(call.archive.open_pictures, call.principal, instance, options)
    if len(numbers) > 1:
        opened = cache(opened)  # Metadata of a thousand frames are not read a thousand times.
    return [
        _View(instance, options.media_type, partial(_drawn, opened, number), f"/frames/{number}/rendered")
        for number in numbers
    ]


def _drawn(opened: Callable[[], Draw], number: int) -> Iterator[bytes]:
    yield opened()(number)


def _views_of_state(call: Call, state: StoredInstance, choice: Choice) -> list[_View]:
    """The images of a presentation state as it shows them. Those that are not here are left out; none is NotFound."""
    if state.sop_class_uid not in RENDERED:
        raise NotAcceptable("Presentation states of this SOP class are not rendered")
    options = replace(render_options(dict(call.query()), choice.media_type), presentation=state.key)
    found = []
    for reference in references(documents.dataset_of(call, state))[:_MOST_IMAGES_OF_A_STATE]:
        key = InstanceKey(state.key.study_instance_uid, reference.series_instance_uid, reference.sop_instance_uid)
        try:
            image = locate(call, key)
        except NotFound:
            continue
        numbers = [number for number in reference.frames if 1 <= number <= number_of_frames(image)]
        shown = numbers or _frames_shown(image, choice, None)
        found += [
            replace(view, instance=state, place="/rendered") for view in _views_of_image(call, image, shown, options)
        ]
    if not found:
        raise NotFound("None of the images of the presentation state is here")
    return found


# Answers


def picture_reply(
    call: Call, instance: StoredInstance, number: int, options: RenderOptions, *, growing: bool = False
) -> Reply:
    """The answer with one frame as a picture. Blocks."""
    tag = entity_tag((instance,), number, options)
    caching = growing_headers(tag) if growing else instance_headers(call, tag, instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    picture = call.archive.render(call.principal, instance, number, options)
    kind = (b"content-type", options.media_type.encode())
    return Reply(200, (kind, *caching, *warnings_of(dict(call.query()))), (picture,))


def _parts(views: Sequence[_View], root: str) -> Iterator[Part]:
    for view in views:
        kind = documents.content_type(view.media_type)
        yield Part(kind, partial(_shown, view), None, root + view.location)


def _shown(view: _View) -> Iterator[bytes]:
    """One of several. One that cannot be made says so in its place: the others are worth having."""
    try:
        yield from view.open()
    except (CannotUnderstand, NotAcceptable, NotFound, TooLarge) as error:
        if not view.media_type.startswith("image/"):
            raise
        key = view.instance.key
        fields = {"SOPInstanceUID": key.sop_instance_uid, "Reason": error.detail}
        logger.warning("a part of an answer cannot be rendered", extra=fields)
        yield icon.draw("ERROR", RenderOptions(media_type=picture_type(view.media_type)))


def _reply(call: Call, views: Sequence[_View], packaging: Packaging, caching: Headers) -> Reply | StreamReply:
    headers = (*caching, *warnings_of(dict(call.query())))
    first = views[0]
    if len(views) == 1 and packaging == "single":
        kind = (b"content-type", documents.content_type(first.media_type).encode())
        return Reply(200, (kind, *headers, *documents.policy(first.media_type)), tuple(first.open()))
    return multipart_reply(call, first.media_type, partial(_parts, views, call.base_url()), headers)


def _instance_reply(call: Call, numbers: Sequence[int] | None) -> Reply | StreamReply:
    instance = locate(call, instance_key(call))
    category = category_of(instance)
    if not category.offers or (numbers and category.kind not in ("image", "video")):
        raise NotFound("The instance has no pixels; it has a thumbnail" if numbers is None else "There are no frames")
    # A frame of a video is a picture, not a video.
    choice = call.choices(category.offers if numbers is None else IMAGE)[0]
    if category.kind == "report":
        call.require_utf8()
    if choice.packaging == "single" and category.kind in ("document", "report"):
        return documents.document_reply(call, instance, choice.media_type)
    if choice.packaging == "single" and choice.media_type.startswith("video/"):
        return video_reply(call, instance, choice.media_type)
    return _looked_at(call, instance, category, choice, numbers)


def _looked_at(
    call: Call, instance: StoredInstance, category: Category, choice: Choice, numbers: Sequence[int] | None
) -> Reply | StreamReply:
    parameters = sorted(call.query())
    tag = entity_tag((instance,), "rendered", choice, numbers, parameters)
    # What a state shows depends on other instances, which may still arrive.
    is_fixed = category.kind != "presentation state"
    caching = instance_headers(call, tag, instance) if is_fixed else growing_headers()
    views = _views(call, instance, category, choice, numbers)
    if is_fixed and (unchanged := not_modified(call, tag, caching)):
        return unchanged
    return _reply(call, views, choice.packaging, caching)


def video_reply(call: Call, instance: StoredInstance, content_type: str) -> Reply | StreamReply:
    """A video as it is, for players that ask for one range after the other."""
    tag = entity_tag((instance,), "video")
    caching = instance_headers(call, tag, instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    opened = call.archive.open_video(call.principal, instance)
    return partial_reply(call, opened.length_bytes, opened.read, content_type, caching)


def _group_reply(call: Call, uids: tuple[str, ...]) -> Reply | StreamReply:
    """Everything of a study or series that can be looked at in an acceptable media type."""
    views: list[_View] = []
    packaging: Packaging = "multipart"
    refusal: PacsError = NotFound("There is nothing that can be rendered")
    for instance in call.archive.instances(call.principal, *uids):
        category = category_of(instance)
        if not category.offers:
            continue
        try:
            choice = call.choices(category.offers)[0]
            views += _views(call, instance, category, replace(choice, packaging="single"), None)
        except NotAcceptable as error:
            refusal = error
            continue
        except NotFound:
            continue
        packaging = choice.packaging
    if not views:
        raise refusal
    return _reply(call, views, packaging, growing_headers())


async def render_instance(call: Call) -> Reply | StreamReply:
    """An instance to be looked at: its first frame or all of them, the images of a state, a report, a document."""
    return await call.run(_instance_reply, call, None)


async def render_frames(call: Call) -> Reply | StreamReply:
    """Frames as pictures; several as parts, or as one animation."""
    return await call.run(_instance_reply, call, frame_numbers(call.scope["path_params"]["frames"]))


async def render_series(call: Call) -> Reply | StreamReply:
    """The instances of a series to be looked at."""
    return await call.run(_group_reply, call, (call.uid("study"), call.uid("series")))


async def render_study(call: Call) -> Reply | StreamReply:
    """The instances of a study to be looked at."""
    return await call.run(_group_reply, call, (call.uid("study"),))
