"""WADO-RS: studies, series and instances (PS3.18 10.4).

Nothing is parsed here. Objects leave as they are stored whenever the client takes them so, with a Content-Length that
is known before the first byte is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final

from dicomweb import bulkdata, zips
from dicomweb.accept import OBJECT, OBJECTS, ZIP, Choice
from dicomweb.caching import entity_tag, growing_headers, instance_headers, not_modified
from dicomweb.edge import Call
from dicomweb.messages import Part, multipart_reply
from dicomweb.ranges import partial_reply
from dicomweb.replies import Headers, Reply, StreamReply
from index.errors import NotAcceptable, NotFound
from index.records import StoredInstance, Wanted
from storage.transfer import NEVER_ON_THE_WEB, plan

_DICOM: Final = "application/dicom"
_ANYTHING: Final = Wanted(never=NEVER_ON_THE_WEB)


@dataclass(frozen=True, slots=True)
class Parcel:
    """One instance and how it leaves."""

    instance: StoredInstance
    wanted: Wanted
    transfer_syntax_uid: str
    length_bytes: int | None
    """None when it has to be converted: the length is known only afterwards."""

    @property
    def content_type(self) -> str:
        """The media type with its transfer syntax."""
        return f"{_DICOM}; transfer-syntax={self.transfer_syntax_uid}"


def _pack(instance: StoredInstance, choice: Choice) -> Parcel:
    """Decide how an instance leaves. Raises NotAcceptable."""
    wanted = choice.wanted()
    is_image = instance.layout.pixels is not None
    try:
        way = plan(instance.transfer_syntax_uid, wanted, is_image=is_image)
    except NotAcceptable:
        if not choice.fallback:
            raise
        wanted = _ANYTHING
        way = plan(instance.transfer_syntax_uid, wanted, is_image=is_image)
    length = instance.size_bytes if way.how == "as_stored" else None
    return Parcel(instance, wanted, way.target, length)


def _pack_all(
    call: Call, instances: Sequence[StoredInstance], choices: Sequence[Choice]
) -> tuple[Choice, list[Parcel]]:
    """The instances in the first representation that all of them have. Raises NotAcceptable."""
    refusal = NotAcceptable()
    for choice in choices:
        try:
            found = call.archive.in_form(call.principal, instances, choice.wanted())
            return choice, [_pack(instance, choice) for instance in found]
        except NotAcceptable as error:
            refusal = error
    raise refusal


def _open(call: Call, parcel: Parcel) -> Iterator[bytes]:
    return call.archive.open_file(call.principal, parcel.instance, parcel.wanted).blocks


def _parts(call: Call, parcels: Sequence[Parcel]) -> Iterator[Part]:
    for parcel in parcels:
        yield Part(parcel.content_type, partial(_open, call, parcel), parcel.length_bytes)


def open_objects(call: Call, uids: tuple[str, ...], choices: Sequence[Choice]) -> Reply | StreamReply:
    """The answer with all objects below a study, series or instance. Raises NotFound, NotAcceptable. Blocks.

    Asked for as pixels or octets, an object is its bulk data (table 10.4.4-1, note 2).
    """
    whole = [choice for choice in choices if choice.media_type in (_DICOM, ZIP.media_type)]
    values = [choice for choice in choices if choice not in whole]
    if not whole or choices[0] in values:
        try:
            return bulkdata.values_reply(call, uids, values)
        except (NotAcceptable, NotFound):
            if not whole:
                raise
    return _objects_reply(call, uids, whole)


def _objects_reply(call: Call, uids: tuple[str, ...], choices: Sequence[Choice]) -> Reply | StreamReply:
    choice, parcels = _pack_all(call, call.archive.instances(call.principal, *uids), choices)
    form = (choice.media_type, choice.packaging, [parcel.transfer_syntax_uid for parcel in parcels])
    tag = entity_tag((parcel.instance for parcel in parcels), *form)
    caching = instance_headers(call, tag, parcels[0].instance) if len(uids) == 3 else growing_headers(tag)
    if unchanged := not_modified(call, tag, caching):
        return unchanged
    if choice.media_type == ZIP.media_type:
        return _zip(call, parcels, uids, caching)
    if choice.packaging == "single":
        opened = call.archive.open_file(call.principal, parcels[0].instance, parcels[0].wanted)
        return partial_reply(call, opened.length_bytes, opened.read, parcels[0].content_type, caching)
    return multipart_reply(call, _DICOM, partial(_parts, call, parcels), caching)


def _zip(call: Call, parcels: Sequence[Parcel], uids: tuple[str, ...], caching: Headers) -> Reply | StreamReply:
    members = [
        zips.Member(parcel.instance, parcel.transfer_syntax_uid, partial(_open, call, parcel), parcel.length_bytes)
        for parcel in parcels
    ]
    return zips.zip_reply(call, members, f"{uids[-1]}.zip", caching)


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
