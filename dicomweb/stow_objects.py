"""STOW-RS of DICOM files: parts go to the archive while the next ones arrive.

The body is never held. A small part is collected and handed over whole, several at a time, so that their fsyncs and
commits overlap; a large one is written on as it comes. The sender gets its answer when everything that the answer
calls stored would survive a power cut.
"""

import asyncio
from dataclasses import dataclass, field
from functools import partial
from typing import Final, cast

from dicomweb.edge import Call
from dicomweb.multipart import Event, PartBegin, PartData
from dicomweb.store_outcomes import misunderstood, settled
from index.errors import PacsError
from index.records import Origin, StoreOutcome
from storage.incoming import Incoming, Intake

_SMALL_BYTES: Final = 2 * 1024**2
"""Parts up to this size are collected in memory."""

_BLOCK_BYTES: Final = 1024**2
"""Larger ones are written in blocks of this size, a hop to a thread each."""

_IN_FLIGHT: Final = 4

_MEDIA_TYPES: Final = frozenset({"application/dicom", ""})


@dataclass(slots=True)
class ObjectDelivery:
    """One request while it arrives."""

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
            self.outcomes.append(misunderstood(f"A part is {media_type[:32]}, not application/dicom"))

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
        return [await settled(item) for item in self.outcomes]

    async def abandon(self) -> list[StoreOutcome]:
        """The body ended before its end: drop the part that was arriving, wait for the others."""
        self.blocks = []
        if self.intake is not None:
            await self.call.web.writers.run(self.intake.abort)
            self.intake = None
        return await self.settle()


def _write_all(intake: Intake, blocks: list[bytes | memoryview]) -> None:
    for block in blocks:
        intake.write(block)
