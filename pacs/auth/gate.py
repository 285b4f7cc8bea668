"""The route gate: the outermost ASGI layer. Nothing behind it is reached without a Principal.

Public paths are a literal set; everything else, known or not, needs one. Without logins the browser is
the hole: a page from anywhere can make it talk to 127.0.0.1. So requests for a foreign host name are
turned away (DNS rebinding), and so are changes that a browser marks as coming from another site.
"""

import ipaddress
from collections.abc import Awaitable, Callable, Collection, Iterable
from urllib.parse import quote

import orjson
from starlette.types import ASGIApp, Receive, Scope, Send

from index.access import Principal
from index.errors import PacsError
from pacs.auth.origins import SAFE_METHODS, is_foreign_page
from pacs.auth.sessions import Refused

PUBLIC_PATHS = frozenset(
    {"/healthz", "/icon.svg", "/login", "/api/session", "/sign-in/page.css", "/sign-in/page.js", "/sign-in/guard.js"}
)
"""What is needed to sign in, and what a load balancer asks. None of it says anything of the archive."""

Identify = Callable[[Scope], Principal | Awaitable[Principal | None] | None]
"""Whose request it is. May raise `Refused`."""


class Gate:
    """Sets `request.state.principal` or answers 302, 400, 401, 403 or 421 itself."""

    def __init__(
        self,
        app: ASGIApp,
        *,
        identify: Identify,
        host_names: Iterable[str] | None,
        public: Collection[str] = PUBLIC_PATHS,
        public_url: str = "",
        leads_to_sign_in: bool = False,
    ) -> None:
        """`host_names` None means that any Host is served: beyond loopback its names are not ours to know."""
        self._app = app
        self._identify = identify
        self._host_names = None if host_names is None else frozenset(host_names)
        self._public = frozenset(public)
        self._public_url = public_url
        self._leads_to_sign_in = leads_to_sign_in
        self._served: set[bytes] = set()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return
        refusal = self._refusal(scope)
        if refusal is None and scope["path"] not in self._public:
            refusal = await self._admit(scope)
        if refusal is None:
            await self._app(scope, receive, send)
        elif refusal[0] == 401 and self._leads_to_sign_in and _is_page(scope):
            await _lead(send, scope)
        else:
            await _answer(send, *refusal)

    async def _admit(self, scope: Scope) -> tuple[int, str] | None:
        """Find out whose request it is, or why it is nobody's."""
        try:
            principal = self._identify(scope)
            if not (principal is None or isinstance(principal, Principal)):
                principal = await principal
        except PacsError as error:
            return error.status if isinstance(error, Refused) else error.http_status, error.detail
        if principal is None:
            return 401, "Log in first."
        scope.setdefault("state", {})["principal"] = principal
        return None

    def _refusal(self, scope: Scope) -> tuple[int, str] | None:
        host = b""
        for name, value in scope["headers"]:
            if name == b"host":
                host = value
        if scope["method"] not in SAFE_METHODS and is_foreign_page(scope["headers"], self._public_url):
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


def _is_page(scope: Scope) -> bool:
    """What people see in the address bar; everything else is asked for by programs and scripts."""
    path = scope["path"]
    return scope["method"] in ("GET", "HEAD") and (path in ("/", "/viewer") or path.startswith("/viewer/"))


async def _lead(send: Send, scope: Scope) -> None:
    """To the sign-in, and back afterwards."""
    query = scope["query_string"].decode("latin-1")
    wanted = quote(scope["path"]) + (f"?{query}" if query else "")
    headers = [(b"location", f"/login?next={quote(wanted, safe='/')}".encode()), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 302, "headers": [*headers, (b"content-length", b"0")]})
    await send({"type": "http.response.body", "body": b""})


async def _answer(send: Send, status: int, message: str) -> None:
    body = orjson.dumps({"error": {"status": status, "message": message}})
    headers = [(b"content-type", b"application/json"), (b"content-length", str(len(body)).encode())]
    if status == 401:
        headers.append((b"www-authenticate", b"Bearer"))
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
