"""STOW-RS: storing instances (PS3.18 10.5).

The body is never held: parts go to the archive while the next ones arrive. A small part is collected and handed
over whole, several at a time, so that their fsyncs and commits overlap; a large one is written on as it comes. The
sender gets its answer when everything that the answer calls stored would survive a power cut.

When the sender goes away, whole instances that had arrived stay (each is complete and will be a duplicate when
it is sent again), and the one that was arriving leaves nothing behind.
"""

import asyncio
import logging
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from dicomweb.accept import JSON, parse_parameters
from dicomweb.dicomjson import store_response
from dicomweb.edge import Call
from dicomweb.errors import BadRequest, ClientGone, RequestTimeout, UnsupportedMediaType
from dicomweb.multipart import Event, Parser, PartBegin, PartData, boundary_of
from dicomweb.replies import Reply
from index.access import Permission
from index.errors import CannotUnderstand, NotPermitted, PacsError, TooLarge
from index.reasons import Code, Reason
from index.records import Origin, StoreOutcome, StoreStatus
from storage.incoming import Incoming, Intake

logger = logging.getLogger(__name__)

_SMALL_BYTES: Final = 2 * 1024**2
"""Parts up to this size are collected in memory."""

_BLOCK_BYTES: Final = 1024**2
"""Larger ones are written in blocks of this size, a hop to a thread each."""

_IN_FLIGHT: Final = 4

_MEDIA_TYPES: Final = frozenset({"application/dicom", ""})


@dataclass(slots=True)
class _Delivery:
    """One STOW-RS request while it arrives."""

    call: Call
    origin: Origin
    incoming: Incoming
    outcomes: list[StoreOutcome | asyncio.Future[StoreOutcome]] = field(default_factory=list)
    blocks: list[bytes | memoryview] = field(default_factory=list)
    collected_bytes: int = 0
    intake: Intake | None = None
    refused: bool = False
    """The rest of the current part is read and thrown away."""

    async def take(self, event: Event) -> None:
        """Act on what the parser found."""
        if isinstance(event, PartData):
            await self.take_data(event.data)
        elif isinstance(event, PartBegin):
            self.begin(event.media_type)
        else:
            await self.end()

    def begin(self, media_type: str) -> None:
        """A part begins."""
        self.refused = media_type not in _MEDIA_TYPES
        if self.refused:
            self.outcomes.append(_refusal(f"A part is {media_type[:32]}, not application/dicom"))

    async def take_data(self, data: bytes | memoryview) -> None:
        """Some bytes of the current part."""
        if self.refused:
            return
        self.blocks.append(data)
        self.collected_bytes += len(data)
        if self.intake is None and self.collected_bytes <= _SMALL_BYTES:
            return
        if self.intake is None:
            self.intake = self.call.archive.intake(self.call.principal, self.incoming, self.origin)
        if self.collected_bytes >= _BLOCK_BYTES:
            await self._write()

    async def _write(self) -> None:
        assert self.intake is not None
        blocks, self.blocks, self.collected_bytes = self.blocks, [], 0
        try:
            await self.call.web.writers.run(_write_all, self.intake, blocks)
        except PacsError:
            await self._finish_large()
            self.refused = True

    async def _finish_large(self) -> None:
        intake, self.intake = self.intake, None
        assert intake is not None
        self.outcomes.append(await self.call.web.writers.run(intake.finish))

    async def end(self) -> None:
        """The current part is complete."""
        if self.intake is not None:
            await self._write()
            if self.intake is not None:
                await self._finish_large()
        elif not self.refused:
            await self._hand_over()
        self.refused = False

    async def _hand_over(self) -> None:
        """Store a small part in the background, once there is room."""
        blocks, self.blocks, self.collected_bytes = self.blocks, [], 0
        pending = [item for item in self.outcomes if isinstance(item, asyncio.Future) and not item.done()]
        if len(pending) >= _IN_FLIGHT:
            await asyncio.wait(pending, return_when=asyncio.FIRST_COMPLETED)
        source = cast("list[bytes]", blocks)  # Views serve as well: an intake takes any buffer.
        ingest = partial(self.call.archive.ingest, self.call.principal, incoming=self.incoming)
        self.outcomes.append(self.call.web.writers.run(ingest, source, self.origin))

    async def settle(self) -> list[StoreOutcome]:
        """All outcomes, in the order of the parts."""
        return [await _outcome(item) for item in self.outcomes]

    async def abandon(self) -> None:
        """The body ended before its end: drop the part that was arriving, wait for the others."""
        self.blocks = []
        if self.intake is not None:
            await self.call.web.writers.run(self.intake.abort)
            self.intake = None
        await self.settle()


def _write_all(intake: Intake, blocks: list[bytes | memoryview]) -> None:
    for block in blocks:
        intake.write(block)


async def _outcome(item: StoreOutcome | asyncio.Future[StoreOutcome]) -> StoreOutcome:
    if isinstance(item, StoreOutcome):
        return item
    try:
        return await item
    except PacsError as error:
        return StoreOutcome(StoreStatus.REFUSED, None, reasons=(error.reason(),))
    except Exception:
        # One instance that cannot be stored must not hide the outcome of the others from the sender.
        logger.exception("unexpected error while an instance was stored")
        return StoreOutcome(StoreStatus.REFUSED, None, reasons=(Reason(Code.PROCESSING_FAILURE),))


def _refusal(detail: str) -> StoreOutcome:
    return StoreOutcome(StoreStatus.REFUSED, None, reasons=(Reason(Code.CANNOT_UNDERSTAND, detail),))


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


async def _take_multipart(delivery: _Delivery, content_type: str) -> None:
    limits = delivery.call.web.settings.limits
    parser = Parser(
        boundary_of(content_type), most_parts=limits.request_parts, most_header_bytes=limits.part_header_bytes
    )
    async for chunk in _body(delivery.call):
        for event in parser.feed(chunk):
            await delivery.take(event)
    parser.finish()


async def _take_single(delivery: _Delivery) -> None:
    empty = True
    async for chunk in _body(delivery.call):
        empty = False
        await delivery.take_data(chunk)
    if empty:
        raise BadRequest("The body is empty")
    await delivery.end()


def _check_parts_type(content_type: str) -> None:
    """Parts other than application/dicom are refused before anything is read, when the header says so."""
    head, _, rest = content_type.partition(";")
    kind = head.strip().lower()
    if kind == "application/dicom":
        return
    if kind != "multipart/related":
        raise UnsupportedMediaType('Supported: application/dicom, multipart/related; type="application/dicom"')
    part_type = parse_parameters(";" + rest).get("type", "application/dicom").lower()
    if part_type != "application/dicom":
        raise UnsupportedMediaType('Supported: multipart/related; type="application/dicom"')


def _status(outcomes: list[StoreOutcome]) -> int:
    """PS3.18 table 10.5.3-1: 200 all stored, 202 some stored or with warnings, 409 none."""
    if not any(outcome.stored for outcome in outcomes):
        codes = {reason.code for outcome in outcomes for reason in outcome.reasons}
        return 507 if codes == {Code.OUT_OF_RESOURCES} else 409
    return 200 if all(outcome.stored and not outcome.reasons for outcome in outcomes) else 202


async def store(call: Call) -> Reply:
    """Store what the body holds, below any study or below the one that the path names."""
    if Permission.STORE not in call.principal.permissions:
        # The door would refuse every instance; this refuses before the body is sent.
        raise NotPermitted(f"{call.principal.name} may not store")
    call.choices(JSON)
    content_type = call.header(b"content-type")
    _check_parts_type(content_type)
    study = call.uid("study") if "study" in call.scope["path_params"] else ""
    origin = Origin("stow", call.principal.address or _peer(call), call.principal.name)
    delivery = _Delivery(call, origin, Incoming(study_instance_uid=study))
    try:
        if content_type.lower().lstrip().startswith("multipart/"):
            await _take_multipart(delivery, content_type)
        else:
            await _take_single(delivery)
    except (CannotUnderstand, BadRequest) as error:
        await delivery.abandon()
        if not any(outcome.stored for outcome in await delivery.settle()):
            raise
        # What is stored is stored: the sender must learn it although the rest of the body was of no use.
        delivery.outcomes.append(StoreOutcome(StoreStatus.REFUSED, None, reasons=(error.reason(),)))
    except BaseException:
        await delivery.abandon()
        raise
    outcomes = await delivery.settle()
    headers = ((b"content-type", b"application/dicom+json"), (b"cache-control", b"no-store"))
    return Reply(_status(outcomes), headers, (store_response(outcomes, call.base_url()),))


def _peer(call: Call) -> str:
    client = call.scope.get("client")
    return client[0] if client else ""
