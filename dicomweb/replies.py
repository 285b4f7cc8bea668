"""Answers on their way to the client: a body that is ready, or blocks that are read while they are sent.

Blocks come from a blocking iterator in a thread. A hop to a thread costs about 40 microseconds, so a hop fetches
at least a mebibyte, and the next hop runs while the socket takes the last one. Memory stays at two batches, however
large the resource is. The first batch is read before the status is sent, so that an object that cannot be read or
converted is an error the client sees, and a small resource needs no second hop.
"""

import asyncio
from collections.abc import Generator, Sequence
from dataclasses import dataclass
from typing import Final

from starlette.types import Receive, Scope, Send

from dicomweb.threads import Threads

Headers = Sequence[tuple[bytes, bytes]]

_BATCH_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Reply:
    """A status, headers and a body in pieces, because joining half a megabyte costs as much as reading it."""

    status: int
    headers: Headers
    pieces: Sequence[bytes] = ()

    async def send(self, _scope: Scope, _receive: Receive, send: Send) -> None:
        """Send it; the server leaves the body out for HEAD."""
        length = (b"content-length", b"%d" % sum(map(len, self.pieces)))
        headers = [*self.headers] if self.status in (204, 304) else [*self.headers, length]
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        for piece in self.pieces[:-1]:
            await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": self.pieces[-1] if self.pieces else b""})


@dataclass(frozen=True, slots=True)
class StreamReply:
    """A status, headers and a body that is read while it is sent."""

    status: int
    headers: Headers
    first: list[bytes]
    blocks: Generator[bytes, None, None]
    threads: Threads
    length_bytes: int | None
    """None when it cannot be known before the last byte; the body is chunked then."""

    async def send(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send it, and stop reading as soon as the client has gone."""
        headers = list(self.headers)
        if self.length_bytes is not None:
            headers.append((b"content-length", b"%d" % self.length_bytes))
        await send({"type": "http.response.start", "status": self.status, "headers": headers})
        if scope["method"] == "HEAD":
            await self.threads.run(self.blocks.close)
            await send({"type": "http.response.body", "body": b""})
            return
        gone = asyncio.create_task(_disconnected(receive))
        try:
            await self._send_blocks(send, gone)
        finally:
            gone.cancel()

    async def _send_blocks(self, send: Send, gone: asyncio.Task[None]) -> None:
        batch, last = self.first, False
        while not last and not gone.done():
            following = self.threads.run(_next_batch, self.blocks)
            try:
                await _send_all(send, batch)
            finally:
                # A generator cannot be closed while a thread is inside it.
                batch, last = await following
        if last:
            await _send_all(send, batch)
            await send({"type": "http.response.body", "body": b""})
        else:
            await self.threads.run(self.blocks.close)


async def _send_all(send: Send, blocks: list[bytes]) -> None:
    for block in blocks:
        await send({"type": "http.response.body", "body": block, "more_body": True})


def open_reply(
    status: int, headers: Headers, blocks: Generator[bytes, None, None], threads: Threads, length_bytes: int | None
) -> Reply | StreamReply:
    """The answer whose body these blocks are. Reads the first of them, so it blocks: call it in a thread."""
    first, last = _next_batch(blocks)
    if last:
        return Reply(status, headers, first)
    return StreamReply(status, headers, first, blocks, threads, length_bytes)


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
