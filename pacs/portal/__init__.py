"""The pages. For now one: the studies there are, their pictures, and how to connect."""

from collections.abc import Awaitable, Callable
from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.settings import Settings

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}

_POLICY = (
    "default-src 'self'; img-src 'self' data: blob:; object-src 'none'; frame-ancestors 'self'; base-uri 'none'; "
    "form-action 'self'"
)

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(settings: Settings, *, viewer: bool) -> list[Route]:
    """One route a file; `viewer`: the pages may lead to it. Files are few and small: read once, kept in memory."""
    made = [Route("/server.json", _describe(settings, viewer=viewer), methods=["GET"])]
    for file in sorted(files(__name__).joinpath("static").iterdir(), key=lambda item: item.name):
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            made.append(Route(path, _serve(file.read_bytes(), kind), methods=["GET"]))
    return made


def _describe(settings: Settings, *, viewer: bool) -> Endpoint:
    """What a person needs to connect a modality, and what there is."""
    server = {"ae_title": settings.dimse.ae_titles[0], "dimse_port": settings.dimse.port, "viewer": viewer}

    async def endpoint(_request: Request) -> Response:
        return JSONResponse(server)

    return endpoint


def _serve(body: bytes, kind: str) -> Endpoint:
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", "Content-Security-Policy": _POLICY}

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    return endpoint
