"""Small files that are read once and served from memory, each with a tag by which browsers need not fetch it again.

A form that a browser asks for, such as Brotli, is made when the first one does, and kept.
"""

import asyncio
import mimetypes
from collections.abc import Awaitable, Callable
from hashlib import sha256

from starlette.requests import Request
from starlette.responses import Response

from dicomweb.codings import FEWEST_BYTES, SMALL, coding_of, packed_small

_POLICY = (
    "default-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data: blob:; object-src 'none'; "
    "frame-ancestors 'self'; base-uri 'none'; form-action 'self'"
)

Endpoint = Callable[[Request], Awaitable[Response]]


def serve(body: bytes, path: str, *, policy: str = _POLICY) -> Endpoint:
    """An endpoint that answers with the file; what stands below `assets/` has its digest in its name."""
    digest = sha256(body).hexdigest()[:16]
    kept = "private, max-age=31536000, immutable" if path.startswith("assets/") else "no-cache"
    headers = {"Cache-Control": kept, "Content-Security-Policy": policy, "Vary": "Accept-Encoding"}
    kind = mimetypes.guess_type(path)[0] or "application/octet-stream"
    offered = SMALL if len(body) >= FEWEST_BYTES and _is_text(kind) else ()
    forms = {"": body}

    async def endpoint(request: Request) -> Response:
        coding = coding_of(request.headers.get("accept-encoding", ""), offered)
        own = headers | {"ETag": f'"{digest}{coding}"'} | ({"Content-Encoding": coding} if coding else {})
        if request.headers.get("if-none-match") == own["ETag"]:
            own.pop("Content-Encoding", None)
            return Response(status_code=304, headers=own)
        if coding not in forms:
            forms[coding] = await asyncio.to_thread(packed_small, body, coding)
        return Response(forms[coding], media_type=kind, headers=own)

    return endpoint


def _is_text(kind: str) -> bool:
    return kind.startswith("text/") or kind.endswith(("javascript", "json", "xml"))
