"""From the cookie of a request to a Principal: what the gate asks when people have to sign in.

A session is looked up by one prepared point select and known in memory for some seconds; who signs out at another
process is gone here after them. What people do is written down twice a minute at most. Requests that a page makes by
itself, while nobody touches it, say so in a header and keep no session alive.
"""

import asyncio
import logging
import time
from collections.abc import Coroutine, Iterable
from dataclasses import dataclass
from typing import Any, Final

from starlette.types import Scope as Request

from config.settings import Settings
from index.access import Permission, Principal, Scope
from index.errors import PacsError
from index.people.sessions import Session, Sessions
from pacs.auth.cookies import Cookie, digest_of
from pacs.auth.origins import SAFE_METHODS, is_our_page

logger = logging.getLogger(__name__)

IDLE_HEADER: Final = b"x-idle"
"""Sent by pages with requests that nobody has caused."""

_KNOWN_SECONDS: Final = 3.0
_MOST_KNOWN: Final = 10_000
_LONGEST_STEP_MS: Final = 30_000
_PASSIVE_PATHS: Final = frozenset({"/api/changes"})
"""Streams that pages open again by themselves; they carry no headers of ours."""


class Refused(PacsError):
    """The request cannot be taken for anybody's."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


@dataclass(slots=True)
class _Known:
    session: Session
    principal: Principal
    looked_up: float
    seen_at_ms: int


class Visitors:
    """Who is behind which cookie."""

    def __init__(self, sessions: Sessions, settings: Settings, cookie: Cookie) -> None:
        self._sessions = sessions
        self._cookie = cookie
        self._public_url = settings.web.public_url
        self._idle_ms = int(settings.access.idle_seconds * 1000)
        self._step_ms = min(_LONGEST_STEP_MS, self._idle_ms // 20)
        self._known: dict[bytes, _Known] = {}
        self._writing: set[asyncio.Future[None]] = set()

    def identify(self, request: Request) -> Principal | Coroutine[Any, Any, Principal | None] | None:
        """Whose request it is; a coroutine when the index must be asked. Raises Refused."""
        headers: Iterable[tuple[bytes, bytes]] = request["headers"]
        if any(name == b"authorization" for name, _ in headers):
            # Never the cookie in its place: who sends one means to be somebody in particular.
            raise Refused(401, "The Authorization header is not known here. Sign in on the page.")
        token = self._cookie.token(headers)
        if not token:
            return None
        if request["method"] not in SAFE_METHODS and not is_our_page(headers, self._public_url):
            raise Refused(403, "Changes can only be requested by our own pages: Sec-Fetch-Site or Origin must say so.")
        digest = digest_of(token)
        known = self._known.get(digest)
        if known and time.monotonic() - known.looked_up < _KNOWN_SECONDS and self._is_on(known):
            return self._principal(known, digest, request)
        return self._look_up(digest, request)

    async def session(self, token: str) -> Session | None:
        """The session of an identifier, if it is still one."""
        known = await self._find(digest_of(token)) if token else None
        return known.session if known else None

    def forget(self, token: str) -> None:
        """The session has just ended here."""
        self._known.pop(digest_of(token), None)

    async def _look_up(self, digest: bytes, request: Request) -> Principal | None:
        known = await self._find(digest)
        return self._principal(known, digest, request) if known else None

    async def _find(self, digest: bytes) -> _Known | None:
        session = await asyncio.to_thread(self._sessions.find, digest)
        before = self._known.pop(digest, None)
        if session is None:
            return None
        seen = max(session.seen_at_ms, before.seen_at_ms if before else 0)
        known = _Known(session, _principal(session), time.monotonic(), seen)
        if not self._is_on(known):
            return None
        if len(self._known) >= _MOST_KNOWN:
            self._known.clear()
        self._known[digest] = known
        return known

    def _is_on(self, known: _Known) -> bool:
        now = _now_ms()
        return now < known.session.ends_at_ms and now - known.seen_at_ms < self._idle_ms

    def _principal(self, known: _Known, digest: bytes, request: Request) -> Principal:
        if request["path"] not in _PASSIVE_PATHS and not any(name == IDLE_HEADER for name, _ in request["headers"]):
            self._seen(known, digest)
        address = request["client"][0] if request.get("client") else ""
        if known.principal.address != address:
            known.principal = _principal(known.session, address)
        return known.principal

    def _seen(self, known: _Known, digest: bytes) -> None:
        """Somebody is there. Nobody waits until that is written down."""
        now = _now_ms()
        if now - known.seen_at_ms < self._step_ms:
            return
        known.seen_at_ms = now
        writing = asyncio.ensure_future(asyncio.to_thread(self._write, digest, now))
        self._writing.add(writing)
        writing.add_done_callback(self._writing.discard)

    def _write(self, digest: bytes, now: int) -> None:
        try:
            self._sessions.seen(digest, now)
        except PacsError as error:
            logger.warning("a session's last use was not written down", extra={"Reason": error.detail})


def _principal(session: Session, address: str = "") -> Principal:
    """All permissions within the tenant of the account: there are no roles yet."""
    return Principal(session.user, "user", frozenset(Permission), Scope(session.tenant), address)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
