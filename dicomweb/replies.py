"""Answers on their way to the client: one body, or blocks that are read while they are sent.

Blocks come from a blocking iterator in the thread pool. A hop to a thread costs about 60 microseconds, so a
hop fetches at least a mebibyte, and the next hop runs while the socket takes the last one. Memory stays at two
batches, however large the resource is.
"""

import asyncio
from collections.abc import Generator, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

Headers = Sequence[tuple[bytes, bytes]]

_BATCH_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, headers and a body that is ready."""

    status: int
    headers: Headers
    body: bytes = b""

    async def send(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; the server leaves the body out for HEAD."""
        length = (b"content-length", b"%d" % len(self.body))
        headers = [*self.headers] if self.status == 304 else [*self.headers, length]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        await send({"type": "http.response.body", "body": self.body})


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A status, headers and a body that is read while it is sent."""

    status: int
    headers: Headers
    blocks: Generator[bytes, None, None]
    executor: Executor
    length_bytes: int | None = None
    """None when it cannot be known before the last byte; the body is chunked then."""

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and stop reading as soon as the client has gone."""
        headers = list(self.headers)
        if self.length_bytes is not None:
            headers.append((b"content-length", b"%d" % self.length_bytes))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] == "HEAD":
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await self._send_blocks(send, gone)
        finally:
            gone.cancel()

    async def _send_blocks(self, send: Send, gone: asyncio.Task[None]) -> None:
        loop = asyncio.get_running_loop()
        batch, last = await loop.run_in_executor(self.executor, _next_batch, self.blocks)
        while not last and not gone.done():
            following = loop.run_in_executor(self.executor, _next_batch, self.blocks)
            try:
                for block in batch:
                    await send({"type": "http.response.body", "body": block, "more_body": True})
            finally:
                # A generator cannot be closed while a thread is inside it.
                batch, last = await following
        if last:
            for block in batch:
                await send({"type": "http.response.body", "body": block, "more_body": True})
            await send({"type": "http.response.body", "body": b""})
        else:
            await loop.run_in_executor(self.executor, self.blocks.close)


def _next_batch(blocks: Generator[bytes, None, None]) -> tuple[list[bytes], bool]:
    """The next blocks, together at least a mebibyte, and whether they are the last ones."""
    batch: list[bytes] = []
    size = 0
    for block in blocks:
        batch.append(block)
        size += len(block)
        if size >= _BATCH_BYTES:
            return batch, False
    return batch, True


async def _disconnected(receive: Receive) -> None:
    """Return when the client has gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
