"""An HTTP connection with bounds that uvicorn lacks: on the size of a request's head and on the time it may take.

Without them a peer that sends headers for ever fills the memory, and one that sends a byte a second holds a
connection for ever; neither needs to log in for it. Bodies are bounded where they are read.
"""

import asyncio
import logging
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

logger = logging.getLogger(__name__)

HEAD_BYTES = 65536
"""Request line and headers. OHIF's longest queries stay below 10 KiB."""

HEAD_SECONDS = 20.0

_TOO_LARGE = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\ncontent-length: 0\r\n\r\n"


class HttpConnection(HttpToolsProtocol):
    """Counts and times each request's head; a connection that sends nothing at all is one with a slow head."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._head_bytes = 0
        self._in_head = False
        self._deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """A new connection owes us a request."""
        super().connection_made(transport)
        self._await_head()

    def connection_lost(self, exc: Exception | None) -> None:
        """Nobody is waited for any more."""
        self._end_head()
        super().connection_lost(exc)

    def on_message_begin(self) -> None:
        """The first byte of a request, also of a later one on the same connection."""
        if not self._in_head:
            self._await_head()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._end_head()
        super().on_headers_complete()

    def data_received(self, data: bytes) -> None:
        """Feed the parser; one read is at most 256 KiB, so counting after it is early enough."""
        super().data_received(data)
        if self._in_head:
            self._head_bytes += len(data)
            if self._head_bytes > HEAD_BYTES and not self.transport.is_closing():
                self._refuse("the head of a request is too large", _TOO_LARGE)

    def _await_head(self) -> None:
        self._in_head = True
        self._head_bytes = 0
        self._deadline = self.loop.call_later(HEAD_SECONDS, self._refuse, "the head of a request takes too long", b"")

    def _end_head(self) -> None:
        self._in_head = False
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None

    def _refuse(self, why: str, answer: bytes) -> None:
        if self._head_bytes:
            logger.warning(why, extra={"address": self.client[0] if self.client else ""})
        if answer:
            self.transport.write(answer)
        self.transport.close()
