"""STOW-RS: storing instances (PS3.18 10.5).

Instances come as DICOM files, or as metadata with their bulk data beside it. `dicomweb.stow_objects` and
`dicomweb.stow_metadata` take the parts; here is what both have in common: the request's form, its body, its answer.

When the sender goes away, whole instances that had arrived stay (each is complete and will be a duplicate when
it is sent again), and the one that was arriving leaves nothing behind.
"""

import asyncio
from collections.abc import AsyncIterator
from typing import Final

from dicomweb.accept import parse_parameters
from dicomweb.edge import Call
from dicomweb.errors import BadRequest, ClientGone, RequestTimeout, UnsupportedMediaType
from dicomweb.multipart import Parser, PartBegin, PartData, PartEnd, boundary_of
from dicomweb.replies import Reply
from dicomweb.store_answers import ANSWERS, reply
from dicomweb.stow_metadata import METADATA_TYPES, MetadataDelivery
from dicomweb.stow_objects import ObjectDelivery
from index.access import Permission
from index.errors import CannotUnderstand, NotPermitted, TooLarge
from index.records import Origin, StoreOutcome, StoreStatus
from storage.incoming import Incoming

_OBJECTS: Final = "application/dicom"
BODY_TYPES: Final = (_OBJECTS, *METADATA_TYPES)
"""Media types of a body with one part, and of the first part of multipart/related."""

_Delivery = ObjectDelivery | MetadataDelivery


async def store(call: Call) -> Reply:
    """Store what the body holds, below any study or below the one that the path names."""
    if Permission.STORE not in call.principal.permissions:
        # The door would refuse every instance; this refuses before the body is sent.
        raise NotPermitted(f"{call.principal.name} may not store")
    choice = call.choices(ANSWERS)[0]
    content_type = call.header(b"content-type")
    part_type = _part_type(content_type)
    if call.header(b"content-encoding").lower() not in ("", "identity"):
        raise UnsupportedMediaType("The body must not have a Content-Encoding")
    delivery = _delivery(call, part_type)
    try:
        if content_type.lower().lstrip().startswith("multipart/"):
            await _take_multipart(call, delivery, content_type)
        else:
            await _take_single(call, delivery, content_type)
        outcomes = await delivery.settle()
    except (CannotUnderstand, BadRequest) as error:
        outcomes = await delivery.abandon()
        if not any(outcome.stored for outcome in outcomes):
            raise
        # What is stored is stored: the sender must learn it although the rest of the body was of no use.
        outcomes.append(StoreOutcome(StoreStatus.REFUSED, None, reasons=(error.reason(),)))
    except BaseException:
        await delivery.abandon()
        raise
    return reply(outcomes, call.base_url(), choice)


def _part_type(content_type: str) -> str:
    """The media type of the parts. What is not supported is refused before anything is read."""
    head, _, rest = content_type.partition(";")
    kind = head.strip().lower()
    if kind == "multipart/related":
        kind = parse_parameters(";" + rest).get("type", _OBJECTS).lower()
    elif kind.startswith("multipart/"):
        kind = ""
    if kind not in BODY_TYPES:
        supported = ", ".join(BODY_TYPES)
        raise UnsupportedMediaType(f"Supported, as one part or as the type of multipart/related: {supported}")
    return kind


def _delivery(call: Call, part_type: str) -> _Delivery:
    study = call.uid("study") if "study" in call.scope["path_params"] else ""
    origin = Origin("stow", call.principal.address or _peer(call), call.principal.name)
    if part_type == _OBJECTS:
        return ObjectDelivery(call, origin, Incoming(study_instance_uid=study))
    return MetadataDelivery(call, origin, Incoming(study_instance_uid=study))


def _peer(call: Call) -> str:
    client = call.scope.get("client")
    return client[0] if client else ""


async def _body(call: Call) -> AsyncIterator[bytes]:
    """The chunks of the request body. Raises ClientGone, RequestTimeout, TooLarge."""
    limit = call.web.settings.limits.request_bytes
    declared = call.header(b"content-length")
    taken, more = 0, True
    if declared.isdigit() and int(declared) > limit:
        raise TooLarge(f"The body is longer than {limit} bytes (limits.request_bytes)")
    while more:
        try:
            async with asyncio.timeout(call.web.settings.web.silence_seconds):
                message = await call.receive()
        except TimeoutError as exc:
            raise RequestTimeout from exc
        if message["type"] == "http.disconnect":
            raise ClientGone
        chunk, more = message.get("body", b""), message.get("more_body", False)
        taken += len(chunk)
        if taken > limit:
            raise TooLarge(f"The body is longer than {limit} bytes (limits.request_bytes)")
        if chunk:
            yield chunk


async def _take_multipart(call: Call, delivery: _Delivery, content_type: str) -> None:
    limits = call.web.settings.limits
    parser = Parser(
        boundary_of(content_type), most_parts=limits.request_parts, most_header_bytes=limits.part_header_bytes
    )
    async for chunk in _body(call):
        for event in parser.feed(chunk):
            await delivery.take(event)
    parser.finish()


async def _take_single(call: Call, delivery: _Delivery, content_type: str) -> None:
    """A body that is one part."""
    empty = True
    await delivery.take(PartBegin({"content-type": content_type}))
    async for chunk in _body(call):
        empty = False
        await delivery.take(PartData(memoryview(chunk)))
    if empty:
        raise BadRequest("The body is empty")
    await delivery.take(PartEnd())
