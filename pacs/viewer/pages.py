"""The viewer's pages: OHIF's files at the root of our origin, its single page for everything below /viewer/.

The root, because the addresses of its chunks are fixed in the published files. Without an installed viewer the
server works all the same, and /viewer/ says how to install it.
"""

import asyncio
import re
from base64 import b64encode
from hashlib import sha256
from importlib.resources import files
from pathlib import Path
from typing import Final, cast

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from config.settings import Settings
from dicomweb.codings import SMALL, coding_of
from pacs.viewer.configuration import EXTENSIONS, script
from pacs.viewer.files import INDEX, Encoding, StoredFile, read_file, read_table

_FOR_EVER: Final = "private, max-age=31536000, immutable"
_NOT_INSTALLED: Final = (
    "The viewer is not installed. Install it with `make web` or `pacs viewer install`, then restart the server."
)
_INLINE_SCRIPT: Final = re.compile(rb"<script>(.*?)</script>", re.S)


def is_installed(settings: Settings) -> bool:
    """Whether there is a viewer to lead to."""
    return INDEX in read_table(Path(settings.web.viewer_folder))


def assets(settings: Settings) -> list[str]:
    """Addresses of the published files, its page aside."""
    return [f"/{path}" for path in read_table(Path(settings.web.viewer_folder)) if path != INDEX]


def routes(settings: Settings) -> list[Route]:
    """All routes of the viewer, to be tried after every other one."""
    folder = Path(settings.web.viewer_folder)
    table = read_table(folder)
    config = script(settings)
    extensions = {address: files(__package__).joinpath(name).read_bytes() for address, name in EXTENSIONS.items()}
    index = read_file(folder, table[INDEX], "identity") if INDEX in table else b""
    policy = _content_security_policy(index)

    async def page(request: Request) -> Response:
        """OHIF's page for each of its own addresses; what looks like a file is one, and missing."""
        if "." in request.path_params["rest"].rpartition("/")[2]:
            raise HTTPException(404)
        if not index:
            raise HTTPException(503, _NOT_INSTALLED)
        return _answer(request, index, "text/html; charset=utf-8", {"Content-Security-Policy": policy})

    async def configuration(request: Request) -> Response:
        return _answer(request, config, "text/javascript; charset=utf-8", {})

    async def extension(request: Request) -> Response:
        found = extensions.get(request.scope["path"])
        if found is None:
            raise HTTPException(404)
        return _answer(request, found, "text/javascript; charset=utf-8", {})

    async def file(request: Request) -> Response:
        found = table.get(request.path_params["path"])
        if found is None:
            raise HTTPException(404)
        return await _file(request, folder, found)

    async def entrance(request: Request) -> Response:
        return RedirectResponse("/viewer/" + (f"?{request.url.query}" if request.url.query else ""), 307)

    return [
        Route("/viewer", entrance, methods=["GET"]),
        Route("/viewer/{rest:path}", page, methods=["GET"]),
        Route("/app-config.js", configuration, methods=["GET"]),
        Route("/viewer-{name}", extension, methods=["GET"]),
        Route("/{path:path}", file, methods=["GET"]),
    ]


def _answer(request: Request, body: bytes, media_type: str, headers: dict[str, str]) -> Response:
    """A small text that may change with every start."""
    tag = f'"{sha256(body).hexdigest()[:24]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache", **headers}
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    return Response(body, media_type=media_type, headers=headers)


async def _file(request: Request, folder: Path, file: StoredFile) -> Response:
    tag = f'"{file.digest}"'
    headers = {"ETag": tag, "Cache-Control": _FOR_EVER if file.hashed else "no-cache"}
    encoding: Encoding = _encoding(request) if file.compressed else "identity"
    if file.compressed:
        headers["Vary"] = "Accept-Encoding"
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=304, headers=headers)
    if encoding != "identity":
        headers["Content-Encoding"] = encoding
    body = await asyncio.to_thread(read_file, folder, file, encoding)
    return Response(body, media_type=file.media_type, headers=headers)


def _encoding(request: Request) -> Encoding:
    """The best form that the client takes; these are the forms that the installer has made."""
    return cast("Encoding", coding_of(request.headers.get("accept-encoding", ""), SMALL) or "identity")


def _content_security_policy(index: bytes) -> str:
    """What OHIF needs and no more (measured); `unsafe-eval` is for segmentations, whose reader compiles functions."""
    digests = (b64encode(sha256(found).digest()).decode() for found in _INLINE_SCRIPT.findall(index))
    hashes = " ".join(f"'sha256-{digest}'" for digest in digests)
    return (
        "default-src 'self'; "
        f"script-src 'self' 'wasm-unsafe-eval' 'unsafe-eval' {hashes}; "
        "style-src 'self' 'unsafe-inline'; img-src 'self' blob: data:; font-src 'self' data:; "
        "connect-src 'self' blob: data:; media-src 'self' blob:; worker-src 'self' blob:; "
        "object-src 'self' blob:; frame-src 'self' blob:; frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
    )
