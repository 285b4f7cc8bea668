"""News for open pages: server-sent events that say that the archive has changed, not what.

A page asks again for what it shows, under its own rights. Every page of a process shares one look at the index in
half a second, so that many open pages cost what one does; nothing is asked when no page is open.
"""

import asyncio
import time
from collections.abc import AsyncIterator

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from index.access import Principal
from storage.archive import Archive

_LOOK_SECONDS = 0.5
_SIGN_OF_LIFE_SECONDS = 15.0
_LONGEST_SECONDS = 300.0
"""How long a stream of somebody who has signed in lasts; the browser opens it again, if the session is still one."""
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class News:
    """The newest change of each tenant, looked up at most every half second."""

    def __init__(self, archive: Archive) -> None:
        self._archive = archive
        self._known: dict[str, tuple[float, int]] = {}
        self._ended = False

    def routes(self) -> list[Route]:
        """The stream of events."""
        return [Route("/api/changes", self._stream, methods=["GET"])]

    def end(self) -> None:
        """Let every stream end soon: the server stops."""
        self._ended = True

    async def _stream(self, request: Request) -> Response:
        principal: Principal = request.state.principal
        return StreamingResponse(self._events(principal), media_type="text/event-stream", headers=_HEADERS)

    async def _events(self, principal: Principal) -> AsyncIterator[str]:
        seen = await self._newest(principal)
        spoken = began = time.monotonic()
        yield f"retry: 2000\nevent: ready\ndata: {seen}\n\n"
        while not self._ended and (principal.kind != "user" or time.monotonic() - began < _LONGEST_SECONDS):
            await asyncio.sleep(_LOOK_SECONDS)
            newest = await self._newest(principal)
            if newest != seen:
                seen, spoken = newest, time.monotonic()
                yield f"event: changed\ndata: {seen}\n\n"
            elif time.monotonic() - spoken > _SIGN_OF_LIFE_SECONDS:
                spoken = time.monotonic()
                yield ": still here\n\n"

    async def _newest(self, principal: Principal) -> int:
        looked, number = self._known.get(principal.tenant, (0.0, 0))
        if time.monotonic() - looked < _LOOK_SECONDS:
            return number
        self._known[principal.tenant] = (time.monotonic(), number)
        number = await asyncio.to_thread(self._archive.newest_change, principal)
        self._known[principal.tenant] = (time.monotonic(), number)
        return number
