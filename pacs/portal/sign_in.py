"""Signing in over HTTP: the page at /login, and the session as JSON at /api/session."""

import asyncio
from collections.abc import Mapping
from importlib.resources import files
from typing import Any, Final
from urllib.parse import parse_qsl

import orjson
from starlette.requests import Request
from starlette.responses import JSONResponse, RedirectResponse, Response
from starlette.routing import Route

from config.settings import Settings
from index.errors import PacsError
from pacs.auth import guard, passwords
from pacs.auth.origins import is_our_page, local_path
from pacs.auth.reception import Reception
from pacs.auth.sessions import Refused
from pacs.auth.sign_in import MustWait
from pacs.portal.served import Endpoint, serve

_MOST_BYTES: Final = 8192
_POLICY: Final = (
    "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; form-action 'self'; "
    "frame-ancestors 'self'; base-uri 'none'"
)
_FRESH: Final = {"Cache-Control": "no-store"}


class Door:
    """Who comes in by a name and a password, and how he goes out again."""

    def __init__(self, settings: Settings, reception: Reception) -> None:
        self._settings = settings
        self._sign_in = reception.sign_in
        self._visitors = reception.visitors
        self._cookie = reception.cookie
        self._turns = asyncio.Semaphore(passwords.AT_ONCE)

    def routes(self) -> list[Route]:
        """The page and the session."""
        methods = {"GET": self._tell, "POST": self._begin, "DELETE": self._end}
        return [
            Route("/login", self._page(), methods=["GET"]),
            Route("/api/session", _endpoint(methods), methods=list(methods)),
        ]

    def _page(self) -> Endpoint:
        page = serve(_static("login.html"), "login.html", policy=_POLICY)

        async def endpoint(request: Request) -> Response:
            """Whoever is signed in already goes on; a page that has lost its session asks for the form itself."""
            wanted = request.query_params
            if "embedded" not in wanted and await self._visitors.session(self._cookie.token(request.headers.raw)):
                return RedirectResponse(local_path(wanted.get("next", "/")), 302, headers=_FRESH)
            return await page(request)

        return endpoint

    async def _tell(self, request: Request) -> Response:
        """Who is signed in. Asking counts as being there, unless the page says that it asks by itself."""
        found = self._visitors.identify(request.scope)
        principal = await found if asyncio.iscoroutine(found) else found
        user = getattr(principal, "name", None)
        idle = self._settings.access.idle_seconds
        return JSONResponse({"sign_in": "required", "user": user, "idle_seconds": idle}, headers=_FRESH)

    async def _begin(self, request: Request) -> Response:
        body, is_form = await _fields(request)
        name, password = body.get("name"), body.get("password")
        if not isinstance(name, str) or not isinstance(password, str):
            raise Refused(400, "A name and a password are needed.")
        before = self._cookie.token(request.headers.raw)
        address = request.client.host if request.client else ""
        async with self._turns:
            user, token = await asyncio.to_thread(self._sign_in.begin, name, password, address=address, before=before)
        if before:
            self._visitors.forget(before)
        headers = {"Set-Cookie": self._cookie.kept(token), **_FRESH}
        if is_form:
            return RedirectResponse(local_path(str(body.get("next", "/"))), 303, headers=headers)
        return JSONResponse({"user": user}, headers=headers)

    async def _end(self, request: Request) -> Response:
        token = self._cookie.token(request.headers.raw)
        if token:
            if not is_our_page(request.headers.raw, self._settings.web.public_url):
                raise Refused(403, "Signing out can only be requested by our own pages.")
            session = await self._visitors.session(token)
            address = request.client.host if request.client else ""
            await asyncio.to_thread(self._sign_in.end, token, session, address=address)
            self._visitors.forget(token)
        # What the browser has kept of pictures and lists goes with the session.
        headers = {"Set-Cookie": self._cookie.dropped(), "Clear-Site-Data": '"cache"', **_FRESH}
        return Response(status_code=204, headers=headers)


def routes(settings: Settings, reception: Reception | None) -> list[Route]:
    """The sign-in, its files, and the guard that pages load before all else."""
    found = Door(settings, reception).routes() if reception else _open_door(settings)
    bodies = {
        "page.css": _static("page.css"),
        "page.js": _static("page.js"),
        "guard.js": guard.script(settings),
    }
    return [*found, *(Route(f"/sign-in/{name}", serve(body, name), methods=["GET"]) for name, body in bodies.items())]


def _open_door(settings: Settings) -> list[Route]:
    """Where nobody has to sign in."""

    async def entrance(_request: Request) -> Response:
        return RedirectResponse("/", 302, headers=_FRESH)

    async def session(_request: Request) -> Response:
        return JSONResponse({"sign_in": "none", "user": settings.access.local_principal}, headers=_FRESH)

    return [Route("/login", entrance, methods=["GET"]), Route("/api/session", session, methods=["GET"])]


def _static(name: str) -> bytes:
    return files("pacs.portal").joinpath("static", "sign_in", name).read_bytes()


async def _fields(request: Request) -> tuple[dict[str, Any], bool]:
    """The body as JSON or as a form, and whether it is a form."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    body = b""
    async for block in request.stream():
        body += block
        if len(body) > _MOST_BYTES:
            raise Refused(413, f"Larger than {_MOST_BYTES} bytes")
    try:
        if kind == "application/x-www-form-urlencoded":
            return dict(parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=10)), True
        if kind == "application/json":
            found = orjson.loads(body)
            if isinstance(found, dict):
                return found, False
            raise Refused(400, "The body is no JSON object.")
    except ValueError:
        raise Refused(400, "The body cannot be read.") from None
    raise Refused(415, "The body must be application/json or application/x-www-form-urlencoded.")


def _endpoint(methods: Mapping[str, Endpoint]) -> Endpoint:
    async def endpoint(request: Request) -> Response:
        try:
            method = "GET" if request.method == "HEAD" else request.method
            return await methods[method](request)
        except PacsError as error:
            status = error.status if isinstance(error, Refused) else error.http_status
            headers = {"Retry-After": str(error.seconds)} if isinstance(error, MustWait) else {}
            body = {"error": {"status": status, "message": error.detail}}
            return JSONResponse(body, status_code=status, headers=headers | _FRESH)

    return endpoint
