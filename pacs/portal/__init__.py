"""The pages: the built files of `web/portal`, and the little JSON that only they need."""

import asyncio
from functools import lru_cache
from importlib.resources import files
from importlib.resources.abc import Traversable

import orjson
from pydicom.datadict import DicomDictionary
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.settings import Settings
from pacs.portal.served import Endpoint, serve

_NOT_BUILT = "The pages are not built. Build them with `make web`, then restart the server."


def routes(settings: Settings, *, viewer: bool) -> list[Route]:
    """Everything the pages are made of. Files are few and small: read once, kept in memory."""
    made = [
        Route("/server.json", _describe(settings, viewer=viewer), methods=["GET"]),
        Route("/api/keywords", _keywords, methods=["GET"]),
    ]
    made += [Route(f"/ui/{path}", serve(file.read_bytes(), path), methods=["GET"]) for path, file in _built()]
    index = files(__name__).joinpath("dist", "index.html")
    start = serve(index.read_bytes(), "index.html") if index.is_file() else _missing
    icon = serve(files(__name__).joinpath("static", "icon.svg").read_bytes(), "icon.svg")
    return [*made, Route("/", start, methods=["GET"]), Route("/icon.svg", icon, methods=["GET"])]


def assets() -> list[str]:
    """Addresses of what the pages are built of: the published program, and nothing of the archive."""
    return [f"/ui/{path}" for path, _ in _built()]


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
