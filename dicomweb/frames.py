"""WADO-RS: frames (PS3.18 10.4.1.1.6).

A frame as stored is one read at a known place: one hop to a thread, one look-up, one `pread`.
"""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import groupby
from operator import attrgetter
from typing import Final

from dicomweb.accept import FRAMES, Choice
from dicomweb.caching import entity_tag, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.errors import BadRequest
from dicomweb.messages import Part, multipart_reply, one_part_reply
from dicomweb.ranges import partial_reply
from dicomweb.replies import Reply, StreamReply
from index.errors import NotAcceptable, NotFound
from index.records import InstanceKey, StoredInstance, Wanted
from storage.outgoing import OpenFrames
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


_ANY: Final = Wanted(never=NEVER_ON_THE_WEB, viewable=True)


def _wanted(choices: Sequence[Choice]) -> Wanted:
    """All acceptable syntaxes at once: the archive then takes the stored one, if it is among them."""
    if any(choice.as_stored_ok for choice in choices):
        return _ANY
    uids = dict.fromkeys(uid for choice in choices for uid in choice.transfer_syntax_uids)
    return Wanted(tuple(uids), as_stored_ok=False, never=NEVER_ON_THE_WEB)


def open_frames(call: Call, where: InstanceKey | StoredInstance, choices: Sequence[Choice]) -> OpenFrames:
    """The frames of an instance in the best form that the client takes. Raises NotFound, NotAcceptable.

    Among forms that it wants equally the stored one is the best.
    """
    refusal = NotAcceptable()
    for _, equals in groupby(choices, attrgetter("quality")):
        try:
            return call.archive.open_frames(call.principal, where, _wanted(list(equals)))
        except NotAcceptable as error:
            refusal = error
    if not any(choice.fallback for choice in choices):
        raise refusal
    return call.archive.open_frames(call.principal, where, _ANY)


def packaging_of(choices: Sequence[Choice], transfer_syntax_uid: str) -> tuple[str, str]:
    """Packaging and media type of frames in this syntax: those of the choice that it satisfies."""
    for choice in choices:
        if transfer_syntax_uid in choice.transfer_syntax_uids:
            return choice.packaging, choice.media_type
    choice = next((choice for choice in choices if choice.as_stored_ok), choices[0])
    if choice.packaging == "single" and choice.media_type == OCTET_STREAM and choice.as_stored_ok:
        return "single", OCTET_STREAM
    return choice.packaging, media_type(transfer_syntax_uid)


def described(part_type: str, transfer_syntax_uid: str) -> str:
    """The Content-Type of a frame."""
    return f"{part_type};transfer-syntax={transfer_syntax_uid}"


def frames_reply(
    call: Call, key: InstanceKey, numbers: Sequence[int], choices: Sequence[Choice]
) -> Reply | StreamReply:
    """The answer with these frames, which all leave in one syntax. Blocks."""
    frames = open_frames(call, key, choices)
    if max(numbers) > frames.number_of_frames:
        raise NotFound("The instance has no such frame")
    packaging, part_type = packaging_of(choices, frames.transfer_syntax_uid)
    tag = entity_tag((frames.instance,), numbers, packaging, frames.transfer_syntax_uid)
    caching = instance_headers(call, tag, frames.instance)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    content_type = described(part_type, frames.transfer_syntax_uid)
    if len(numbers) > 1:
        if packaging == "single":
            raise NotAcceptable("Several frames need multipart/related")
        return multipart_reply(call, part_type, partial(frame_parts, frames, numbers, content_type), caching)
    opened = frames.open(numbers[0])
    if packaging == "multipart":
        part = Part(content_type, partial(opened.read, 0, opened.length_bytes), opened.length_bytes)
        return one_part_reply(call, part_type, part, caching)
    return partial_reply(call, opened.length_bytes, opened.read, content_type, caching)


def frame_parts(frames: OpenFrames, numbers: Sequence[int], content_type: str, location: str = "") -> Iterator[Part]:
    """Frame after frame, so that memory holds one, not a whole cine loop. `location` has a place for the number."""
    for number in numbers:
        where = location.format(number)
        if frames.as_stored:
            opened = frames.open(number)
            yield Part(content_type, partial(opened.read, 0, opened.length_bytes), opened.length_bytes, where)
        else:
            yield Part(content_type, partial(_make, frames, number), None, where)


def _make(frames: OpenFrames, number: int) -> Iterator[bytes]:
    return frames.open(number).blocks


async def retrieve_frames(call: Call) -> Reply | StreamReply:
    """One or several frames."""
    numbers = frame_numbers(call.scope["path_params"]["frames"])
    return await call.run(frames_reply, call, instance_key(call), numbers, call.choices(FRAMES))
