"""WADO-RS: frames and bulk data (PS3.18 10.4.1.1.5, 10.4.1.1.6).

A frame as stored is one read at a known place: one hop to a thread, one look-up, one `pread`.
"""

from collections.abc import Callable, Generator, Iterable, Sequence
from functools import partial

from dicomweb.accept import BULK, FRAMES, Choice
from dicomweb.caching import byte_range, cut, entity_tag, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.multipart import PART_TAIL, closing, message_type, new_boundary, part_head
from dicomweb.replies import Headers, Reply, StreamReply, open_reply
from dicomweb.wado import wanted_of
from index.errors import NotAcceptable, NotFound
from index.records import InstanceKey, StoredInstance, Wanted
from storage.outgoing import FrameData, OpenObject
from storage.transfer import NEVER_ON_THE_WEB, OCTET_STREAM, media_type

_MOST_FRAMES = 100_000


def instance_key(call: Call) -> InstanceKey:
    """The instance that the path names."""
    return InstanceKey(call.uid("study"), call.uid("series"), call.uid("instance"))


def locate(call: Call, key: InstanceKey) -> StoredInstance:
    """The instance itself. Raises NotFound. Blocks."""
    (instance,) = call.archive.instances(
        call.principal, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid
    )
    return instance


def frame_numbers(text: str) -> list[int]:
    """The frame numbers of a path, from 1, in the order asked."""
    items = text.split(",", _MOST_FRAMES)
    if not all(item.isascii() and item.isdigit() and len(item) < 10 and int(item) > 0 for item in items):
        raise BadRequest("Frame numbers are whole numbers from 1, separated by commas")
    return [int(item) for item in items]


def _wanted(choices: Sequence[Choice]) -> Wanted:
    """All acceptable syntaxes at once: the archive then takes the stored one, if it is among them."""
    if any(choice.as_stored_ok for choice in choices):
        return wanted_of(next(choice for choice in choices if choice.as_stored_ok))
    uids = dict.fromkeys(uid for choice in choices for uid in choice.transfer_syntax_uids)
    return Wanted(tuple(uids), as_stored_ok=False, never=NEVER_ON_THE_WEB)


def _read(call: Call, key: InstanceKey, numbers: Sequence[int], choices: Sequence[Choice]) -> list[FrameData]:
    try:
        return call.archive.frames(call.principal, key, numbers, _wanted(choices))
    except NotAcceptable:
        if not any(choice.fallback for choice in choices):
            raise
        return call.archive.frames(call.principal, key, numbers, Wanted(never=NEVER_ON_THE_WEB))


def _packaging(choices: Sequence[Choice], frame: FrameData) -> tuple[str, str]:
    """Packaging and media type for a frame: those of the choice that its syntax satisfies."""
    for choice in choices:
        if frame.transfer_syntax_uid in choice.transfer_syntax_uids:
            return choice.packaging, choice.media_type
    choice = next((choice for choice in choices if choice.as_stored_ok), choices[0])
    if choice.packaging == "single" and choice.media_type == OCTET_STREAM:
        return "single", OCTET_STREAM
    return choice.packaging, media_type(frame.transfer_syntax_uid)


def _retrieve(call: Call, key: InstanceKey, numbers: Sequence[int], choices: Sequence[Choice]) -> Reply | StreamReply:
    frame = _read(call, key, numbers[:1], choices)[0]
    pixels = frame.instance.layout.pixels
    if pixels is None or max(numbers) > pixels.number_of_frames:
        raise NotFound("The instance has no such frame")
    packaging, part_type = _packaging(choices, frame)
    tag = entity_tag((frame.instance,), numbers, packaging, frame.transfer_syntax_uid)
    caching = instance_headers(call, tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    described = f"{part_type};transfer-syntax={frame.transfer_syntax_uid}"
    if packaging == "single":
        if len(numbers) > 1:
            raise NotAcceptable("Several frames need multipart/related")
        return Reply(200, ((b"content-type", described.encode()), *caching), (frame.data,))
    boundary = new_boundary()
    headers = ((b"content-type", message_type(boundary, part_type).encode()), *caching)
    head = part_head(boundary, described)
    if len(numbers) == 1:
        return Reply(200, headers, (head, frame.data, PART_TAIL + closing(boundary)))
    blocks = _message(call, key, numbers, frame, head, boundary)
    return open_reply(200, headers, blocks, call.web.readers, None)


async def retrieve_frames(call: Call) -> Reply | StreamReply:
    """One or several frames."""
    numbers = frame_numbers(call.scope["path_params"]["frames"])
    return await call.run(_retrieve, call, instance_key(call), numbers, call.choices(FRAMES))


def _message(
    call: Call, key: InstanceKey, numbers: Sequence[int], first: FrameData, head: bytes, boundary: str
) -> Generator[bytes, None, None]:
    """Frame after frame, so that memory holds one, not a whole cine loop. All leave in the syntax of the first."""
    wanted = Wanted((first.transfer_syntax_uid,), as_stored_ok=False)
    yield from (head, first.data, PART_TAIL)
    for number in numbers[1:]:
        (frame,) = call.archive.frames(call.principal, key, [number], wanted)
        yield from (head, frame.data, PART_TAIL)
    yield closing(boundary)


def partial_reply(
    call: Call,
    length_bytes: int,
    read: Callable[[int, int], Iterable[bytes]],
    content_type: str,
    headers: Headers,
) -> Reply | StreamReply:
    """A single-part body, whole or the range that was asked for (RFC 9110 14). Blocks.

    `read` gives the bytes from a first to before a last one.
    """
    tag = dict(headers).get(b"etag", b"").decode()
    headers = ((b"content-type", content_type.encode()), (b"accept-ranges", b"bytes"), *headers)
    wanted = byte_range(call, length_bytes, tag)
    start, stop = wanted or (0, length_bytes)
    blocks = (block for block in read(start, stop))
    if wanted is None:
        return open_reply(200, headers, blocks, call.web.readers, length_bytes)
    shown = (b"content-range", f"bytes {start}-{stop - 1}/{length_bytes}".encode())
    return open_reply(206, (*headers, shown), blocks, call.web.readers, stop - start)


def _bulkdata(call: Call, key: InstanceKey, path: str, choice: Choice) -> Reply | StreamReply:
    opened = call.archive.bulkdata(call.principal, key, path)
    tag = entity_tag((opened.instance,), "bulkdata", path, choice.packaging)
    caching = instance_headers(call, tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if choice.packaging == "single":
        return partial_reply(call, opened.length_bytes, partial(cut, opened.blocks), OCTET_STREAM, caching)
    boundary = new_boundary()
    head, tail = part_head(boundary, OCTET_STREAM), PART_TAIL + closing(boundary)
    headers = ((b"content-type", message_type(boundary, OCTET_STREAM).encode()), *caching)
    length = len(head) + opened.length_bytes + len(tail)
    return open_reply(200, headers, _framed(opened, head, tail), call.web.readers, length)


async def retrieve_bulkdata(call: Call) -> Reply | StreamReply:
    """One value that the metadata refers to by BulkDataURI."""
    path = call.scope["path_params"]["path"]
    return await call.run(_bulkdata, call, instance_key(call), path, call.choices(BULK)[0])


def _framed(opened: OpenObject, head: bytes, tail: bytes) -> Generator[bytes, None, None]:
    yield head
    yield from opened.blocks
    yield tail
