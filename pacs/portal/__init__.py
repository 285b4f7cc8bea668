"""The pages. For now one: the studies there are, and their pictures."""

from hashlib import sha256
from importlib.resources import files

from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

_TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}


def routes() -> list[Route]:
    """One route a file. The files are few and small, so they are read once and kept in memory."""
    made = []
    for file in sorted(files(__name__).joinpath("static").iterdir(), key=lambda item: item.name):
        kind = _TYPES.get(file.name[file.name.rfind(".") :])
        if kind:
            path = "/" if file.name == "index.html" else f"/{file.name}"
            made.append(Route(path, _serve(file.read_bytes(), kind), methods=["GET"]))
    return made


def _serve(body: bytes, kind: str):  # type: ignore[no-untyped-def]
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    headers = {"ETag": tag, "Cache-Control": "no-cache"}

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    return endpoint
