"""Where HTTP ends: a request becomes a `Call`, whatever goes wrong becomes an answer in one shape.

Starlette does the routing; its Request and Response classes are not used, because they cost more than
the look-up of a frame. The archive blocks, so handlers call it through `Call.run`: one hop to a thread each.
"""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import ParamSpec, TypeVar
from urllib.parse import parse_qsl

from starlette.types import Receive, Scope, Send

from config.settings import Settings
from dicomweb.accept import Choice, Offer, accept_of, choose, require_utf8
from dicomweb.errors import BadRequest, ClientGone, MethodNotAllowed, Unauthenticated, error_reply, reply_to
from dicomweb.packed_replies import PackedReplies
from dicomweb.replies import Reply, StreamReply
from dicomweb.threads import Threads
from index.access import Principal
from index.errors import NotFound, PacsError
from storage.archive import Archive

P = ParamSpec("P")
R = TypeVar("R")

logger = logging.getLogger(__name__)

_LONGEST_UID = 64


@dataclass(frozen=True, slots=True)
class Web:
    """What every request needs."""

    archive: Archive
    settings: Settings
    readers: Threads
    writers: Threads
    """Apart from the readers, so that no query waits behind stores that wait for the disk."""
    packed_replies: PackedReplies


@dataclass(frozen=True, slots=True)
class Call:
    """One request."""

    web: Web
    scope: Scope
    receive: Receive
    principal: Principal

    @property
    def archive(self) -> Archive:
        """The archive's door."""
        return self.web.archive

    def header(self, name: bytes) -> str:
        """The request header `name` (lower case); several lines are joined with commas (RFC 9110 5.3)."""
        found = [value for key, value in self.scope["headers"] if key == name]
        return b", ".join(found).decode("latin-1")

    def query(self) -> list[tuple[str, str]]:
        """The query parameters in order, percent-decoded as UTF-8."""
        raw: bytes = self.scope["query_string"]
        if not raw:
            return []
        try:
            return parse_qsl(raw.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=200)
        except (UnicodeDecodeError, ValueError) as exc:
            raise BadRequest("The query string cannot be decoded as percent-encoded UTF-8") from exc

    def parameter(self, name: str) -> str | None:
        """One query parameter, or None; the first counts."""
        return next((value for key, value in self.query() if key == name), None)

    def uid(self, name: str) -> str:
        """A UID of the path. What cannot be a UID is not found."""
        value: str = self.scope["path_params"][name]
        if len(value) > _LONGEST_UID or not value.isprintable():
            raise NotFound
        return value

    def choices(self, offers: tuple[Offer, ...]) -> tuple[Choice, ...]:
        """The representations to choose from, best first (PS3.18 8.3.3). Raises NotAcceptable."""
        parameter = self.parameter("accept") if b"accept=" in self.scope["query_string"] else None
        return choose(accept_of(self.header(b"accept"), parameter), offers)

    def require_utf8(self) -> None:
        """Refuse a client that does not take UTF-8, in which all texts leave (PS3.18 8.8). Raises NotAcceptable."""
        parameter = self.parameter("charset") if b"charset=" in self.scope["query_string"] else None
        require_utf8(self.header(b"accept-charset"), parameter)

    def base_url(self) -> str:
        """The absolute address of the service as the client knows it, for Retrieve URL (0008,1190)."""
        if self.web.settings.web.public_url:
            return self.web.settings.web.public_url + str(self.scope.get("root_path", ""))
        host = self.header(b"host") or "localhost"
        return f"{self.scope['scheme']}://{host}{self.scope.get('root_path', '')}"

    def run(self, function: Callable[P, R], /, *args: P.args, **kwargs: P.kwargs) -> Awaitable[R]:
        """Call something that blocks, in a thread."""
        return self.web.readers.run(function, *args, **kwargs)


Handler = Callable[[Call], Awaitable[Reply | StreamReply]]


class Endpoint:
    """An ASGI application for one resource: a handler per method."""

    def __init__(self, web: Web, handlers: Mapping[str, Handler]) -> None:
        self.web = web
        self.handlers = dict(handlers)
        if "GET" in self.handlers:
            self.handlers["HEAD"] = self.handlers["GET"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        try:
            reply = await self._answer(scope, receive)
        except PacsError as error:
            if error.http_status >= 500:
                logger.warning("request failed", extra={"status": error.http_status, "reason": error.detail})
            reply = reply_to(error)
        except ClientGone:
            return
        except Exception:
            logger.exception("unexpected error in a request", extra={"path": scope["path"]})
            reply = error_reply(500, "Internal error; the server's log says more")
        try:
            await reply.send(scope, receive, send)
        except PacsError as error:
            # The status has gone out already. The server closes the connection, and the client sees that bytes lack.
            logger.warning("an answer breaks off", extra={"reason": error.detail})

    async def _answer(self, scope: Scope, receive: Receive) -> Reply | StreamReply:
        principal = scope.get("state", {}).get("principal")
        if principal is None:
            raise Unauthenticated
        handler = self.handlers.get(scope["method"])
        if handler is None:
            allowed = sorted({*self.handlers, "OPTIONS"})
            if scope["method"] == "OPTIONS":
                return Reply(204, ((b"allow", ", ".join(allowed).encode()),))
            raise MethodNotAllowed(allowed)
        return await handler(Call(self.web, scope, receive, principal))
