"""WADO-RS: studies, series, instances and their metadata (PS3.18 10.4).

Nothing is parsed here. Metadata was made at ingest and is joined; objects leave as they are stored whenever the
client takes them so, with a Content-Length that is known before the first byte is read.
"""

from collections.abc import Generator, Sequence
from dataclasses import dataclass

from dicomweb.accept import JSON, OBJECT, OBJECTS, Choice
from dicomweb.caching import entity_tag, growing_headers, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.multipart import PART_TAIL, closing, message_type, new_boundary, part_head
from dicomweb.replies import Reply, StreamReply, open_reply
from index.errors import NotAcceptable
from index.records import StoredInstance, Wanted
from storage.transfer import NEVER_ON_THE_WEB, plan

_ANYTHING = Wanted(never=NEVER_ON_THE_WEB)


@dataclass(frozen=True, slots=True)
class _Parcel:
    """One instance and how it leaves."""

    instance: StoredInstance
    wanted: Wanted
    transfer_syntax_uid: str
    length_bytes: int | None
    """None when it has to be converted: the length is known only afterwards."""


def wanted_of(choice: Choice) -> Wanted:
    """What the archive has to make for this choice."""
    if choice.as_stored_ok:
        return _ANYTHING
    return Wanted(choice.transfer_syntax_uids, as_stored_ok=False, never=NEVER_ON_THE_WEB)


def _pack(instance: StoredInstance, choice: Choice) -> _Parcel:
    """Decide how an instance leaves. Raises NotAcceptable."""
    wanted = wanted_of(choice)
    is_image = instance.layout.pixels is not None
    try:
        way = plan(instance.transfer_syntax_uid, wanted, is_image=is_image)
    except NotAcceptable:
        if not choice.fallback:
            raise
        wanted = _ANYTHING
        way = plan(instance.transfer_syntax_uid, wanted, is_image=is_image)
    length = instance.size_bytes if way.how == "as_stored" else None
    return _Parcel(instance, wanted, way.target, length)


def _pack_all(call: Call, uids: tuple[str, ...], choices: Sequence[Choice]) -> tuple[Choice, list[_Parcel]]:
    """The instances in the first representation that all of them have. Raises NotFound, NotAcceptable."""
    instances = call.archive.instances(call.principal, *uids)
    refusal = NotAcceptable()
    for choice in choices:
        try:
            return choice, [_pack(instance, choice) for instance in instances]
        except NotAcceptable as error:
            refusal = error
    raise refusal


def _file(call: Call, parcel: _Parcel) -> Generator[bytes, None, None]:
    yield from call.archive.open_file(call.principal, parcel.instance, parcel.wanted).blocks


def _message(call: Call, parcels: Sequence[_Parcel], boundary: str) -> Generator[bytes, None, None]:
    for parcel in parcels:
        yield part_head(boundary, _part_type(parcel))
        yield from call.archive.open_file(call.principal, parcel.instance, parcel.wanted).blocks
        yield PART_TAIL
    yield closing(boundary)


def _part_type(parcel: _Parcel) -> str:
    return f"application/dicom; transfer-syntax={parcel.transfer_syntax_uid}"


def _message_bytes(parcels: Sequence[_Parcel], boundary: str) -> int | None:
    """Length of the whole message, None when a part has to be converted first."""
    total = len(closing(boundary))
    for parcel in parcels:
        if parcel.length_bytes is None:
            return None
        total += len(part_head(boundary, _part_type(parcel))) + parcel.length_bytes + len(PART_TAIL)
    return total


def open_objects(call: Call, uids: tuple[str, ...], choices: Sequence[Choice]) -> Reply | StreamReply:
    """The answer with all objects below a study, series or instance. Blocks."""
    choice, parcels = _pack_all(call, uids, choices)
    tag = entity_tag(
        (parcel.instance for parcel in parcels), choice.packaging, [p.transfer_syntax_uid for p in parcels]
    )
    caching = instance_headers(call, tag) if len(uids) == 3 else growing_headers(tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if choice.packaging == "single":
        (parcel,) = parcels
        headers = ((b"content-type", _part_type(parcel).encode()), *caching)
        return open_reply(200, headers, _file(call, parcel), call.web.readers, parcel.length_bytes)
    boundary = new_boundary()
    headers = ((b"content-type", message_type(boundary, "application/dicom").encode()), *caching)
    blocks = _message(call, parcels, boundary)
    return open_reply(200, headers, blocks, call.web.readers, _message_bytes(parcels, boundary))


async def retrieve_study(call: Call) -> Reply | StreamReply:
    """All instances of a study."""
    return await call.run(open_objects, call, (call.uid("study"),), call.choices(OBJECTS))


async def retrieve_series(call: Call) -> Reply | StreamReply:
    """All instances of a series."""
    return await call.run(open_objects, call, (call.uid("study"), call.uid("series")), call.choices(OBJECTS))


async def retrieve_instance(call: Call) -> Reply | StreamReply:
    """One instance, in one part or as it is."""
    return await call.run(
        open_objects, call, (call.uid("study"), call.uid("series"), call.uid("instance")), call.choices(OBJECT)
    )


def _metadata(call: Call, uids: tuple[str, ...], media_type: str) -> Reply | StreamReply:
    opened = call.archive.open_metadata(call.principal, *uids)
    headers = ((b"content-type", media_type.encode()), *growing_headers())
    return open_reply(200, headers, opened.blocks, call.web.readers, opened.length_bytes)


async def _retrieve_metadata(call: Call, *names: str) -> Reply | StreamReply:
    choice = call.choices(JSON)[0]
    return await call.run(_metadata, call, tuple(call.uid(name) for name in names), choice.media_type)


async def retrieve_study_metadata(call: Call) -> Reply | StreamReply:
    """The data sets of a study without bulk data."""
    return await _retrieve_metadata(call, "study")


async def retrieve_series_metadata(call: Call) -> Reply | StreamReply:
    """The data sets of a series without bulk data."""
    return await _retrieve_metadata(call, "study", "series")


async def retrieve_instance_metadata(call: Call) -> Reply | StreamReply:
    """The data set of an instance without bulk data."""
    return await _retrieve_metadata(call, "study", "series", "instance")
