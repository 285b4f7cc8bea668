"""WADO-RS: bulk data and pixel data (PS3.18 10.4.1.1.5, 10.4.1.1.6, 10.4.3.3.5, 10.4.3.3.6).

Pixel Data that leaves uncompressed is one part; compressed, each frame is a part of its own with the media type of
its codec. Every part says by Content-Location which BulkDataURI it is.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from dicomweb.accept import BULK, BULKDATA, PIXEL_DATA, PIXEL_ELEMENT, Choice, Offer
from dicomweb.caching import entity_tag, growing_headers, instance_headers, not_modified
from dicomweb.documents import policy
from dicomweb.edge import Call
from dicomweb.frames import (
    described,
    frame_numbers,
    frame_parts,
    frames_reply,
    instance_key,
    locate,
    open_frames,
    packaging_of,
)
from dicomweb.messages import Part, multipart_reply
from dicomweb.ranges import partial_reply
from dicomweb.rendered_types import DOCUMENTS
from dicomweb.replies import Reply, StreamReply
from index.errors import NotAcceptable, NotFound
from index.layout import NativePixels
from index.records import StoredInstance
from storage.metadata import bulk_data_prefix
from storage.outgoing import OpenFrames, OpenObject
from storage.syntaxes import EXPLICIT_LITTLE
from storage.transfer import OCTET_STREAM

_PIXELS: Final = frozenset({"7FE00008", "7FE00009", "7FE00010"})
_DOCUMENT: Final = "00420011"


def _pixel_path(instance: StoredInstance) -> str | None:
    """The path of the top-level pixels, when they can be told apart as frames."""
    if instance.layout.pixels is None:
        return None
    return next((path for path in instance.layout.bulk if path in _PIXELS), None)


def _location(call: Call, instance: StoredInstance, path: str) -> str:
    """The BulkDataURI, as the metadata has it."""
    return call.web.settings.web.public_url + bulk_data_prefix(instance.key) + path


# Parts


def _parts(
    call: Call, instances: Sequence[StoredInstance], choices: Sequence[Choice], *, pixels: bool
) -> Iterator[Part]:
    """The bulk data of instances that can leave in one of these forms; with `pixels` the top-level pixels alone."""
    octets = any(choice.media_type == OCTET_STREAM for choice in choices)
    for instance in instances:
        of_pixels = _pixel_path(instance)
        for path, (_, length) in instance.layout.bulk.items():
            if path == of_pixels:
                yield from _pixel_parts(call, instance, choices, _location(call, instance, path))
            elif octets and not pixels:
                yield Part(OCTET_STREAM, partial(_open, call, instance, path), length, _location(call, instance, path))


def _open(call: Call, instance: StoredInstance, path: str) -> Iterator[bytes]:
    return call.archive.bulkdata(call.principal, instance, path).blocks


def _pixel_parts(call: Call, instance: StoredInstance, choices: Sequence[Choice], location: str) -> Iterator[Part]:
    try:
        frames = open_frames(call, instance, choices)
    except NotAcceptable:
        return
    _, part_type = packaging_of(choices, frames.transfer_syntax_uid)
    content_type = described(part_type, frames.transfer_syntax_uid)
    if frames.transfer_syntax_uid == EXPLICIT_LITTLE:
        pixels = instance.layout.pixels
        length = pixels.length_bytes if isinstance(pixels, NativePixels) and frames.as_stored else None
        yield Part(content_type, partial(_open_pixels, call, instance), length, location)
    elif frames.number_of_frames == 1:
        yield from frame_parts(frames, [1], content_type, location)
    else:
        yield from frame_parts(frames, range(1, frames.number_of_frames + 1), content_type, location + "/frames/{}")


def _open_pixels(call: Call, instance: StoredInstance) -> Iterator[bytes]:
    return call.archive.open_pixel_data(call.principal, instance).blocks


# Resources with many values


def values_reply(
    call: Call, uids: tuple[str, ...], choices: Sequence[Choice], *, pixels: bool = False
) -> Reply | StreamReply:
    """All bulk data below a study, series or instance, or only the pixels. Raises NotFound, NotAcceptable. Blocks."""
    instances = call.archive.instances(call.principal, *uids)
    if pixels and len(uids) == 3 and choices[0].packaging == "single":
        return _pixels_reply(call, instances[0], choices)
    tag = entity_tag(instances, "pixels" if pixels else "bulk data", choices)
    caching = instance_headers(call, tag, instances[0]) if len(uids) == 3 else growing_headers(tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    parts = partial(_parts, call, instances, choices, pixels=pixels)
    first = next(iter(parts()), None)
    if first is None:
        if any(instance.layout.bulk and (_pixel_path(instance) or not pixels) for instance in instances):
            raise NotAcceptable("No bulk data can be had in a wanted media type (transfer-syntax=* takes any)")
        raise NotFound("There is no pixel data" if pixels else "There is no bulk data")
    return multipart_reply(call, first.content_type.partition(";")[0], parts, caching)


async def _retrieve(call: Call, offers: tuple[Offer, ...], *names: str, pixels: bool) -> Reply | StreamReply:
    uids = tuple(call.uid(name) for name in names)
    return await call.run(values_reply, call, uids, call.choices(offers), pixels=pixels)


async def retrieve_study_bulkdata(call: Call) -> Reply | StreamReply:
    """All bulk data of a study."""
    return await _retrieve(call, BULKDATA, "study", pixels=False)


async def retrieve_series_bulkdata(call: Call) -> Reply | StreamReply:
    """All bulk data of a series."""
    return await _retrieve(call, BULKDATA, "study", "series", pixels=False)


async def retrieve_instance_bulkdata(call: Call) -> Reply | StreamReply:
    """All bulk data of an instance."""
    return await _retrieve(call, BULKDATA, "study", "series", "instance", pixels=False)


async def retrieve_study_pixel_data(call: Call) -> Reply | StreamReply:
    """The pixels of all instances of a study."""
    return await _retrieve(call, BULKDATA, "study", pixels=True)


async def retrieve_series_pixel_data(call: Call) -> Reply | StreamReply:
    """The pixels of all instances of a series."""
    return await _retrieve(call, BULKDATA, "study", "series", pixels=True)


async def retrieve_instance_pixel_data(call: Call) -> Reply | StreamReply:
    """The pixels of an instance."""
    return await _retrieve(call, PIXEL_DATA, "study", "series", "instance", pixels=True)


# One value


def _pixels_reply(call: Call, instance: StoredInstance, choices: Sequence[Choice]) -> Reply | StreamReply:
    """The pixels of one instance, in one part where the client wants that and they are one item."""
    frames = open_frames(call, instance, choices)
    packaging, part_type = packaging_of(choices, frames.transfer_syntax_uid)
    tag = entity_tag((frames.instance,), "pixels", packaging, frames.transfer_syntax_uid)
    caching = instance_headers(call, tag, frames.instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if packaging == "multipart":
        location = _location(call, instance, _pixel_path(instance) or "")
        return multipart_reply(call, part_type, partial(_pixel_parts, call, instance, choices, location), caching)
    opened, content_type = _as_one(call, frames, part_type)
    return partial_reply(call, opened.length_bytes, opened.read, content_type, caching)


def _as_one(call: Call, frames: OpenFrames, part_type: str) -> tuple[OpenObject, str]:
    """All pixels as one item: one frame or video as it is, several frames uncompressed."""
    if frames.number_of_frames == 1 and frames.transfer_syntax_uid != EXPLICIT_LITTLE:
        return frames.open(1), described(part_type, frames.transfer_syntax_uid)
    if part_type != OCTET_STREAM:
        raise NotAcceptable("Several frames need multipart/related")
    return call.archive.open_pixel_data(call.principal, frames.instance), described(OCTET_STREAM, EXPLICIT_LITTLE)


def _value_reply(call: Call, instance: StoredInstance, path: str, choice: Choice) -> Reply | StreamReply:
    opened = call.archive.bulkdata(call.principal, instance, path)
    tag = entity_tag((instance,), "bulkdata", path, choice)
    caching = instance_headers(call, tag, instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if choice.packaging == "single":
        headers = (*caching, *policy(choice.media_type))
        return partial_reply(call, opened.length_bytes, opened.read, choice.media_type, headers)
    whole = partial(opened.read, 0, opened.length_bytes)
    part = Part(choice.media_type, whole, opened.length_bytes, _location(call, instance, path))
    return multipart_reply(call, choice.media_type, lambda: (part,), caching)


VALUE: Final = (*BULK, *PIXEL_ELEMENT, *(offer for offers in DOCUMENTS.values() for offer in offers))
"""What there is of single values, all kinds taken together."""


def _bulkdata(call: Call, path: str) -> Reply | StreamReply:
    instance = locate(call, instance_key(call))
    if path == _pixel_path(instance):
        return _pixels_reply(call, instance, call.choices(PIXEL_ELEMENT))
    if path not in instance.layout.bulk:
        raise NotFound("There is no such bulk data")
    offers = (*DOCUMENTS.get(instance.sop_class_uid, ()), *BULK) if path == _DOCUMENT else BULK
    return _value_reply(call, instance, path, call.choices(offers)[0])


async def retrieve_bulkdata(call: Call) -> Reply | StreamReply:
    """One value that the metadata refers to by BulkDataURI, or frames of it."""
    path: str = call.scope["path_params"]["path"]
    pixels, _, frames = path.partition("/frames/")
    if frames and pixels in _PIXELS:
        return await call.run(frames_reply, call, instance_key(call), frame_numbers(frames), call.choices(PIXEL_DATA))
    return await call.run(_bulkdata, call, path)
