"""The pages: the built files of `web/portal`, and the little JSON that only they need."""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files
from importlib.resources.abc import Traversable

import orjson
from pydicom.datadict import DicomDictionary
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.settings import Settings

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)
_NOT_BUILT = "The pages are not built. Build them with `make web`, then restart the server."

Endpoint = Callable[[Request], Awaitable[Response]]


def routes(settings: Settings, *, viewer: bool) -> list[Route]:
    """Everything the pages are made of. Files are few and small: read once, kept in memory."""
    made = [
        Route("/server.json", _describe(settings, viewer=viewer), methods=["GET"]),
        Route("/api/keywords", _keywords, methods=["GET"]),
    ]
    made += [Route(f"/ui/{path}", _serve(file.read_bytes(), path), methods=["GET"]) for path, file in _built()]
    index = files(__name__).joinpath("dist", "index.html")
    start = _serve(index.read_bytes(), "index.html") if index.is_file() else _missing
    icon = _serve(files(__name__).joinpath("static", "icon.svg").read_bytes(), "icon.svg")
    return [*made, Route("/", start, methods=["GET"]), Route("/icon.svg", icon, methods=["GET"])]


def _built() -> list[tuple[str, Traversable]]:
    """The files that the pages load, with their paths below /ui/."""
    assets = files(__name__).joinpath("dist", "assets")
    return [(f"assets/{file.name}", file) for file in assets.iterdir()] if assets.is_dir() else []


async def _missing(_request: Request) -> Response:
    raise HTTPException(503, _NOT_BUILT)


def _describe(settings: Settings, *, viewer: bool) -> Endpoint:
    """What a person needs to connect a modality, and what there is."""
    server = {"ae_title": settings.dimse.ae_titles[0], "dimse_port": settings.dimse.port, "viewer": viewer}

    async def endpoint(_request: Request) -> Response:
        return JSONResponse(server)

    return endpoint


@lru_cache(1)
def _dictionary() -> bytes:
    return orjson.dumps({f"{tag:08X}": row[4] for tag, row in DicomDictionary.items()})


async def _keywords(_request: Request) -> Response:
    """Tag -> keyword, for people who look at attributes."""
    body = await asyncio.to_thread(_dictionary)
    return Response(body, media_type="application/json", headers={"Cache-Control": "max-age=86400"})


def _serve(body: bytes, path: str) -> Endpoint:
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    kept = "private, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
    headers = {"ETag": tag, "Cache-Control": kept, "Content-Security-Policy": _POLICY}
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    return endpoint
