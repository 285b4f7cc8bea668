"""Rendered images and thumbnails (PS3.18 10.4.1.1.3, 10.4.1.1.4, 8.3.5).

A document is its own rendering: the PDF of an encapsulated document leaves as it was put in. So does a video, of
which a player fetches ranges; who asks for a picture of it gets a neutral one.
"""

from base64 import b64decode
from collections.abc import Mapping, Sequence
from typing import Final

import orjson

from dicomweb.accept import DOCUMENT, IMAGE, VIDEO, Choice
from dicomweb.caching import entity_tag, growing_headers, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.frames import frame_numbers, instance_key, locate
from dicomweb.ranges import partial_reply
from dicomweb.replies import Reply, StreamReply
from index.errors import NotAcceptable, NotFound
from index.records import RenderOptions, StoredInstance
from storage.outgoing import OpenObject, in_memory
from storage.transfer import media_type
from storage.video import is_video

_FUNCTIONS: Final = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
_ENCAPSULATED_PDF: Final = "1.2.840.10008.5.1.4.1.1.104.1"
_ENCAPSULATED_DOCUMENT: Final = "00420011"
_PDF: Final = "application/pdf"
_MOST_PIXELS: Final = 16384
_THUMBNAIL_PIXELS: Final = 256
_UNSUPPORTED: Final = ("annotation", "iccprofile")


def _numbers(name: str, text: str) -> list[float]:
    try:
        numbers = [float(item) for item in text.split(",")]
    except ValueError as exc:
        raise BadRequest(f"{name} needs numbers separated by commas") from exc
    if any(abs(number) > 1e9 or number != number for number in numbers):
        raise BadRequest(f"A number of {name} is out of range")
    return numbers


def parse_viewport(text: str) -> tuple[int, int]:
    """`viewport=width,height`: the largest size of the picture (PS3.18 8.3.5.1.3)."""
    numbers = _numbers("viewport", text)
    if len(numbers) == 6:
        raise BadRequest("viewport with a region of the source image is not supported: give width,height")
    if len(numbers) != 2 or not all(1 <= number <= _MOST_PIXELS for number in numbers):
        raise BadRequest(f"viewport is width,height, each from 1 to {_MOST_PIXELS}")
    return int(numbers[0]), int(numbers[1])


def parse_window(text: str) -> tuple[float, float, str]:
    """`window=centre,width,function` (PS3.18 8.3.5.1.4); a missing function is linear."""
    parts = text.split(",")
    function = _FUNCTIONS.get(parts[2].strip().lower() if len(parts) == 3 else "linear")
    if len(parts) not in (2, 3) or function is None:
        raise BadRequest("window is centre,width,function; functions are linear, linear-exact, sigmoid")
    centre, width = _numbers("window", ",".join(parts[:2]))
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise BadRequest("The width of a window is positive, and at least 1 for linear")
    return centre, width, function


def parse_quality(text: str) -> int:
    """`quality=1..100` of a JPEG (PS3.18 8.3.5.1.2)."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 100):
        raise BadRequest("quality is a whole number from 1 to 100")
    return int(text)


def render_options(parameters: Mapping[str, str], picture_type: str, *, thumbnail: bool = False) -> RenderOptions:
    """The options that the query parameters name. Raises BadRequest."""
    viewport = parameters.get("viewport")
    window = parameters.get("window")
    return RenderOptions(
        media_type="image/png" if picture_type == "image/png" else "image/jpeg",
        quality=parse_quality(parameters.get("quality", "75" if thumbnail else "90")),
        viewport=parse_viewport(viewport) if viewport else (_THUMBNAIL_PIXELS,) * 2 if thumbnail else None,
        window=parse_window(window) if window else None,
    )


def _warnings(parameters: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    ignored = ", ".join(name for name in _UNSUPPORTED if name in parameters)
    return ((b"warning", f'299 dicomweb "Not supported and ignored: {ignored}"'.encode()),) if ignored else ()


def _picture(call: Call, instance: StoredInstance, number: int, options: RenderOptions, tag: str) -> bytes | None:
    """The picture, None when the client has it already."""
    if not_modified(call, tag, ()):
        return None
    return call.archive.render(call.principal, instance.key, number, options)


async def picture_reply(
    call: Call, instance: StoredInstance, number: int, options: RenderOptions, *, growing: bool = False
) -> Reply:
    """The answer with one frame as a picture."""
    tag = entity_tag((instance,), number, options)
    caching = growing_headers(tag) if growing else instance_headers(call, tag)
    picture = await call.run(_picture, call, instance, number, options, tag)
    if picture is None:
        return Reply(304, caching)
    warnings = _warnings(dict(call.query()))
    return Reply(200, ((b"content-type", options.media_type.encode()), *caching, *warnings), (picture,))


async def _render(call: Call, number: int | None, *, thumbnail: bool) -> Reply | StreamReply:
    instance = await call.run(locate, call, instance_key(call))
    if instance.sop_class_uid == _ENCAPSULATED_PDF and not thumbnail:
        call.choices(DOCUMENT)
        return await call.run(_document, call, instance)
    if is_video(instance) and number is None and not thumbnail:
        choice = call.choices(VIDEO[media_type(instance.transfer_syntax_uid)])[0]
        if choice.media_type.startswith("video/"):
            return await call.run(_video, call, instance, choice.media_type)
    options = render_options(dict(call.query()), _image_choice(call).media_type, thumbnail=thumbnail)
    frames = number_of_frames(instance)
    if frames == 0 and not thumbnail:
        raise NotFound("The instance has no pixels; it has a thumbnail")
    # The thumbnail of what has no pixels is a neutral picture: viewers ask for key objects and reports too.
    if (number or 1) > frames and not (thumbnail and frames == 0):
        raise NotFound("The instance has no such frame")
    chosen = number or (_middle_frame(instance) if thumbnail else 1)
    return await picture_reply(call, instance, chosen, options)


def _image_choice(call: Call) -> Choice:
    return call.choices(IMAGE)[0]


def _document(call: Call, instance: StoredInstance) -> Reply | StreamReply:
    """The document in an instance, as it was put in."""
    tag = entity_tag((instance,), "document")
    caching = instance_headers(call, tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    opened = _open_document(call, instance)
    return partial_reply(call, opened.length_bytes, opened.read, _PDF, caching)


def _video(call: Call, instance: StoredInstance, content_type: str) -> Reply | StreamReply:
    """A video as it is, for players that ask for one range after the other."""
    tag = entity_tag((instance,), "video")
    caching = instance_headers(call, tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    opened = call.archive.open_video(call.principal, instance)
    return partial_reply(call, opened.length_bytes, opened.read, content_type, caching)


def _open_document(call: Call, instance: StoredInstance) -> OpenObject:
    key = instance.key
    if _ENCAPSULATED_DOCUMENT in instance.layout.bulk:
        return call.archive.bulkdata(call.principal, key, _ENCAPSULATED_DOCUMENT)
    # A document below the threshold for bulk data stands in the metadata.
    (metadata,) = call.archive.metadata(
        call.principal, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid
    )
    inline = orjson.loads(metadata).get(_ENCAPSULATED_DOCUMENT, {}).get("InlineBinary", "")
    return in_memory(instance, instance.transfer_syntax_uid, b64decode(inline))


def number_of_frames(instance: StoredInstance) -> int:
    """How many frames an instance has; 0 when it is no image."""
    return instance.layout.pixels.number_of_frames if instance.layout.pixels else 0


def _middle_frame(instance: StoredInstance) -> int:
    return (number_of_frames(instance) + 1) // 2 or 1


async def render_instance(call: Call) -> Reply | StreamReply:
    """An instance as a picture: its first frame, or the document in it."""
    return await _render(call, None, thumbnail=False)


async def render_frames(call: Call) -> Reply | StreamReply:
    """One frame as a picture."""
    return await _render(call, _one_frame(call), thumbnail=False)


async def instance_thumbnail(call: Call) -> Reply | StreamReply:
    """A small picture of an instance: its middle frame."""
    return await _render(call, None, thumbnail=True)


async def frame_thumbnail(call: Call) -> Reply | StreamReply:
    """A small picture of one frame."""
    return await _render(call, _one_frame(call), thumbnail=True)


def _one_frame(call: Call) -> int:
    numbers = frame_numbers(call.scope["path_params"]["frames"])
    if len(numbers) != 1:
        raise NotAcceptable("Several frames cannot be one picture: ask for one at a time")
    return numbers[0]


def representative(instances: Sequence[StoredInstance]) -> StoredInstance:
    """The instance that shows best what there is: the middle image of the first series that has images."""
    images = [instance for instance in instances if number_of_frames(instance)]
    if not images:
        return instances[0]
    first = images[0].key.series_instance_uid
    images = [image for image in images if image.key.series_instance_uid == first]
    return images[len(images) // 2]


async def _group_thumbnail(call: Call, uids: tuple[str, ...]) -> Reply:
    options = render_options(dict(call.query()), _image_choice(call).media_type, thumbnail=True)
    chosen = representative(await call.run(call.archive.instances, call.principal, *uids))
    return await picture_reply(call, chosen, _middle_frame(chosen), options, growing=True)


async def series_thumbnail(call: Call) -> Reply:
    """A small picture of a series: its middle image."""
    return await _group_thumbnail(call, (call.uid("study"), call.uid("series")))


async def study_thumbnail(call: Call) -> Reply:
    """A small picture of a study: the middle image of its first series with images."""
    return await _group_thumbnail(call, (call.uid("study"),))
