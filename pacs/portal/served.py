"""Small files that are read once and served from memory, each with a tag by which browsers need not fetch it again."""

import mimetypes
from collections.abc import Awaitable, Callable
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)

Endpoint = Callable[[Request], Awaitable[Response]]


def serve(body: bytes, path: str, *, policy: str = _POLICY) -> Endpoint:
    """An endpoint that answers with the file; what stands below `assets/` has its digest in its name."""
    tag = f'"{sha256(body).hexdigest()[:16]}"'
    kept = "private, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
    headers = {"ETag": tag, "Cache-Control": kept, "Content-Security-Policy": policy}
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"

    async def endpoint(request: Request) -> Response:
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304, headers=headers)
        return Response(body, media_type=kind, headers=headers)

    return endpoint
