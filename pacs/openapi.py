"""The OpenAPI 3.1 document of everything the server answers: DICOMweb, the uploads, and what the pages ask.

`python -m pacs.openapi [--check] FILE` writes what the pages need of it: their build makes its types of that file,
which is committed, so that it needs no Python.
"""

import sys
from collections.abc import Sequence
from typing import Any, Final

import orjson
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from config.reference import keep_fresh
from config.settings import Settings
from dicomweb import openapi
from dicomweb.routes import RESOURCES
from pacs.portal import paths as pages
from pacs.uploads import paths as uploads

_LIST: Final = "/dicomweb/studies"


def document(address: str = "/") -> dict[str, Any]:
    """The whole document; `address` is where the server is reached."""
    paths = {**openapi.paths(RESOURCES, "/dicomweb"), **uploads.PATHS, **pages.PATHS}
    schemas = {**openapi.SCHEMAS, **uploads.SCHEMAS, **pages.SCHEMAS}
    return openapi.framed("Open PACS", address, paths, schemas)


def routes(settings: Settings) -> list[Route]:
    """The document's own address."""

    async def endpoint(_request: Request) -> Response:
        body = orjson.dumps(document(settings.web.public_url or "/"))
        return Response(body, media_type="application/json", headers={"Cache-Control": "private, no-cache"})

    return [Route("/api/openapi.json", endpoint, methods=["GET"])]


def main(arguments: Sequence[str]) -> int:
    """Write the part for the pages, or say that a written one is stale."""
    whole = document()
    # Of DICOMweb they need to know how studies are searched: all else answers data sets, pictures or files.
    needed = {path: item for path, item in whole["paths"].items() if not path.startswith("/dicomweb/") or path == _LIST}
    part = {**whole, "paths": needed}
    text = orjson.dumps(part, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE).decode()
    return keep_fresh(text, list(arguments))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
