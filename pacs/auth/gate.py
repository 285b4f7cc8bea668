"""The route gate: the outermost ASGI layer. Nothing behind it is reached without a Principal.

Public paths are a literal set; everything else, known or not, needs one. Without logins the browser is
the hole: a page from anywhere can make it talk to 127.0.0.1. So requests for a foreign host name are
turned away (DNS rebinding), and so are changes that a browser marks as coming from another site.
"""

import ipaddress
from collections.abc import Callable, Iterable

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from index.access import Principal

PUBLIC_PATHS = frozenset({"/healthz"})

Identify = Callable[[Scope], Principal | None]

_SAFE_METHODS = frozenset({"GET", "HEAD", "OPTIONS"})


class Gate:
    """Sets `request.state.principal` or answers 400, 401, 403 or 421 itself."""

    def __init__(self, app: ASGIApp, *, identify: Identify, host_names: Iterable[str] | None) -> None:
        """`host_names` None means that any Host is served: beyond loopback its names are not ours to know."""
        self._app = app
        self._identify = identify
        self._host_names = None if host_names is None else frozenset(host_names)
        self._served: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] not in PUBLIC_PATHS:
            principal = self._identify(scope)
            if principal is None:
                refusal = (401, "Log in first.")
            else:
                scope.setdefault("state", {})["principal"] = principal
        if refusal is None:
            await self._app(scope, receive, send)
        else:
            await _answer(send, *refusal)

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host = site = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
            elif name == b"sec-fetch-site":
                site = value
        if site in (b"cross-site", b"same-site") and scope["method"] not in _SAFE_METHODS:
            return 403, "Changes cannot be requested from another site."
        if self._host_names is None or host in self._served:
            return None
        if not host:
            return 400, "The Host header is missing."
        if not self._is_ours(host.decode("latin-1")):
            return 421, "This server does not answer for that host name."
        if len(self._served) < 64:
            self._served.add(host)
        return None

    def _is_ours(self, host: str) -> bool:
        name = host.rpartition(":")[0] if ":" in host and not host.endswith("]") else host
        name = name.strip("[]").lower().rstrip(".")
        if self._host_names is not None and name in self._host_names:
            return True
        try:
            return ipaddress.ip_address(name).is_loopback
        except ValueError:
            return name == "localhost" or name.endswith(".localhost")


async def _answer(send: Send, status: int, message: str) -> None:
    body = orjson.dumps({"error": {"status": status, "message": message}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
