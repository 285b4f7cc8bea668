"""Uploads over HTTP: tus at /api/uploads, and what became of each upload as JSON at the same addresses.

Bytes are written as they come and are durable before they are acknowledged. When the last one is there the file is
taken in; whoever asks for the result afterwards, in whatever process, finds it or does it.
"""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from typing import Any, Final, TypeVar

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from config.settings import Settings
from dicomweb.threads import Threads
from index.access import Permission
from index.errors import NotFound, NotPermitted, OutOfResources, PacsError
from pacs.uploads import form, tus
from pacs.uploads.shelf import Busy, Growing, Owner, Upload, hold, open_shelf, remove
from pacs.uploads.taking import Reception, take_in
from storage.archive import Archive

_BLOCK_BYTES: Final = 1024**2
_SMALL_BYTES: Final = 8 * 1024**2
"""Files up to this size are answered with their result, if that is there soon enough."""
_SOON_SECONDS: Final = 10.0
_LONGEST_WAIT_SECONDS: Final = 30.0
_BETWEEN_LOOKS_SECONDS: Final = 0.25
_LOOKS: Final = 4

R = TypeVar("R")

Handler = Callable[[Request], Awaitable[Response]]


class Uploads:
    """The resources, and the files that are being taken in by this process."""

    def __init__(self, archive: Archive, settings: Settings) -> None:
        self._settings = settings
        self._shelf = open_shelf(settings)
        self._reception = Reception(archive, settings)
        self._writers = Threads(settings.web.threads, "upload")
        self._takers = Threads(4, "taking-in")
        self._taking: dict[str, asyncio.Future[dict[str, Any]]] = {}

    def routes(self) -> list[Route]:
        """All resources."""
        many = {"OPTIONS": self._tell, "POST": self._create, "GET": self._list}
        one = {
            "OPTIONS": self._tell,
            "HEAD": self._head,
            "PATCH": self._patch,
            "DELETE": self._delete,
            "GET": self._get,
        }
        return [
            Route("/api/uploads", _endpoint(many), methods=list(many)),
            Route("/api/uploads/{name}", _endpoint(one), methods=[*one, "POST"]),
        ]

    async def _tell(self, _request: Request) -> Response:
        return Response(status_code=204, headers=tus.capabilities(self._settings.limits.object_bytes))

    async def _create(self, request: Request) -> Response:
        """Extension creation; with a body also creation-with-upload."""
        owner = _owner(request)
        if Permission.STORE.value not in owner.permissions:
            raise NotPermitted(f"{owner.name} may not store")
        length = tus.number("Upload-Length", request.headers.get("upload-length"))
        limit = self._settings.limits.object_bytes
        if length > limit:
            raise tus.Refusal(413, f"Larger than limits.object_bytes ({limit})")
        metadata = tus.metadata(request.headers.get("upload-metadata"))
        form.read(metadata)
        has_body = request.headers.get("content-type") == tus.OFFSET_TYPE
        upload = await self._writers.run(self._shelf.create, owner, length, metadata)
        try:
            offset = await self._receive(request, upload, 0) if has_body or not length else 0
        except (ClientDisconnect, TimeoutError, tus.Refusal):
            # Its address was never told, so nobody could go on with it.
            await self._writers.run(_discard, upload)
            raise
        headers = {**self._headers(offset), "Location": f"/api/uploads/{upload.id}"}
        return JSONResponse(await self._described(upload), status_code=201, headers=headers)

    async def _patch(self, request: Request) -> Response:
        if request.headers.get("content-type") != tus.OFFSET_TYPE:
            raise tus.Refusal(415, f"Content-Type must be {tus.OFFSET_TYPE}")
        upload = await self._upload(request)
        said = tus.number("Upload-Offset", request.headers.get("upload-offset"))
        offset = await self._receive(request, upload, said)
        return Response(status_code=204, headers=self._headers(offset))

    async def _receive(self, request: Request, upload: Upload, offset: int) -> int:
        """Add the body to what is there; returns how many bytes are durable now."""
        checksum = tus.checksum(request.headers.get("upload-checksum"))
        growing = await self._patiently(Growing, upload)
        try:
            if growing.offset != offset:
                raise tus.Refusal(409, "Upload-Offset is not where this upload is", self._headers(None))
            declared = request.headers.get("content-length", "0")
            if declared.isdigit() and offset + int(declared) > upload.length_bytes:
                raise tus.Refusal(413, "The body goes beyond Upload-Length")
            await self._add(request, growing, upload.length_bytes, checksum)
            is_whole = growing.offset == upload.length_bytes
            if not is_whole or upload.length_bytes > _SMALL_BYTES:
                await self._writers.run(growing.sync)
        finally:
            await self._writers.run(growing.close)
        if is_whole:
            await self._finish(upload)
        return growing.offset

    async def _add(self, request: Request, growing: Growing, length: int, checksum: tus.Checksum | None) -> None:
        found = checksum.new_hash() if checksum else None
        try:
            async for block in self._blocks(request):
                if growing.offset + len(block) > length:
                    raise tus.Refusal(413, "The body goes beyond Upload-Length")
                if found is not None:
                    await self._writers.run(found.update, block)
                await self._writers.run(growing.write, [block])
            if found is not None and checksum is not None and found.digest() != checksum.digest:
                raise tus.Refusal(tus.CHECKSUM_MISMATCH, "The body is not what Upload-Checksum says")
        except (ClientDisconnect, TimeoutError):
            # What came is kept: the client goes on behind it. Unless it was to be checked as a whole.
            await self._writers.run(growing.take_back if found is not None else growing.sync)
            raise
        except tus.Refusal:
            await self._writers.run(growing.take_back)
            raise

    async def _blocks(self, request: Request) -> AsyncIterator[bytes]:
        """The body in blocks that are worth a hop to a thread. Raises ClientDisconnect, TimeoutError.

        What came before an error is passed on first.
        """
        waiting = bytearray()
        chunks = request.stream()
        error: Exception | None = None
        while error is None:
            try:
                async with asyncio.timeout(self._settings.web.silence_seconds):
                    waiting += await anext(chunks)
            except (StopAsyncIteration, ClientDisconnect, TimeoutError) as caught:
                error = caught
            if waiting and (error is not None or len(waiting) >= _BLOCK_BYTES):
                yield bytes(waiting)
                waiting.clear()
        if not isinstance(error, StopAsyncIteration):
            raise error

    async def _finish(self, upload: Upload) -> None:
        """All bytes are there. Of a small file wait for the result; else, or if that takes long, make it durable."""
        future = self._take(upload)
        if upload.length_bytes <= _SMALL_BYTES:
            await asyncio.wait([future], timeout=_SOON_SECONDS)
            if not future.done():
                await self._writers.run(upload.sync)

    def _take(self, upload: Upload) -> "asyncio.Future[dict[str, Any]]":
        """Begin to take a file in, or join those who wait for it."""
        future = self._taking.get(upload.id)
        if future is None:
            future = self._takers.run(take_in, self._reception, upload)
            self._taking[upload.id] = future
            future.add_done_callback(lambda done: (self._taking.pop(upload.id), done.exception()))
        return future

    async def _head(self, request: Request) -> Response:
        upload = await self._upload(request)
        offset = await self._writers.run(upload.offset)
        if offset < upload.length_bytes:
            # After a crash the size may be ahead of the disk.
            await self._writers.run(upload.sync)
        headers = {"Upload-Length": str(upload.length_bytes), "Cache-Control": "no-store"}
        if upload.metadata:
            headers["Upload-Metadata"] = tus.write_metadata(upload.metadata)
        return Response(headers={**self._headers(offset), **headers})

    async def _delete(self, request: Request) -> Response:
        await self._patiently(_discard, await self._upload(request))
        return Response(status_code=204)

    async def _patiently(self, function: Callable[[Upload], R], upload: Upload) -> R:
        """Call what may raise Busy: a client that broke off and comes again meets its own last request for a moment."""
        for _ in range(_LOOKS):
            with contextlib.suppress(Busy):
                return await self._writers.run(function, upload)
            await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)
        return await self._writers.run(function, upload)

    async def _get(self, request: Request) -> Response:
        """What became of an upload; `wait` is how many seconds the answer may take until that is known."""
        upload = await self._upload(request)
        wait = request.query_params.get("wait", "0")
        patience = min(float(wait), _LONGEST_WAIT_SECONDS) if wait.isdigit() else 0.0
        until = time.monotonic() + patience
        while True:
            described = await self._described(upload)
            left = until - time.monotonic()
            if described["state"] != "taking in" or left <= 0:
                return JSONResponse(described, headers={"Cache-Control": "no-store"})
            future = self._taking.get(upload.id)
            if future is not None:
                await asyncio.wait([future], timeout=left)
            else:
                await asyncio.sleep(_BETWEEN_LOOKS_SECONDS)

    async def _described(self, upload: Upload) -> dict[str, Any]:
        """State, offset, and the result once there is one; a whole file that nobody takes in is begun with."""
        described = await self._writers.run(_describe, upload)
        if described["state"] == "taking in":
            future = self._take(upload)
            await asyncio.wait([future], timeout=0)
            if future.done():
                described = await self._ended(upload, future)
        return described

    async def _ended(self, upload: Upload, future: "asyncio.Future[dict[str, Any]]") -> dict[str, Any]:
        try:
            future.result()
        except Busy:
            pass  # Another process does it.
        except OutOfResources as error:
            return {**await self._writers.run(_describe, upload), "state": "waiting", "reason": error.detail}
        return await self._writers.run(_describe, upload)

    async def _list(self, request: Request) -> Response:
        """The uploads of whoever asks, and what a page must know before it begins one."""
        owner = _owner(request)
        found = await self._writers.run(lambda: list(_described_each(self._shelf.of(owner))))
        limits = {"object_bytes": self._settings.limits.object_bytes}
        body = {"uploads": found, "formats": form.FORMATS, "fields": list(form.FIELDS), "limits": limits}
        return JSONResponse(body, headers={"Cache-Control": "no-store"})

    async def _upload(self, request: Request) -> Upload:
        return await self._writers.run(self._shelf.find, _owner(request), request.path_params["name"])

    def _headers(self, offset: int | None) -> dict[str, str]:
        headers = {"Upload-Expires": tus.date(time.time() + self._settings.uploads.keep_hours * 3600)}
        if offset is not None:
            headers["Upload-Offset"] = str(offset)
        return headers


def _owner(request: Request) -> Owner:
    return Owner.of(request.state.principal)


def _discard(upload: Upload) -> None:
    with hold(upload):
        remove(upload)


def _describe(upload: Upload, *, rows: bool = True) -> dict[str, Any]:
    offset, result = upload.offset(), upload.result()
    state = "done" if result is not None else "arriving" if offset < upload.length_bytes else "taking in"
    said = {"id": upload.id, "state": state, "offset": offset, "length": upload.length_bytes}
    said["metadata"] = {key: value for key, value in upload.metadata.items() if key not in form.FIELDS}
    if result is not None:
        said["result"] = result if rows else {key: value for key, value in result.items() if key != "instances"}
    return said


def _described_each(uploads: Iterator[Upload]) -> Iterator[dict[str, Any]]:
    for upload in uploads:
        with contextlib.suppress(NotFound):  # Removed while the others were read.
            yield _describe(upload, rows=False)


def _endpoint(handlers: Mapping[str, Handler]) -> Handler:
    """One resource: the protocol's rules for every request, and its words for whatever goes wrong."""

    async def endpoint(request: Request) -> Response:
        method = request.headers.get("x-http-method-override", request.method).upper()
        handler = handlers.get(method)
        try:
            if handler is None:
                raise tus.Refusal(405, "Allowed: " + ", ".join(sorted(handlers)), {"Allow": ", ".join(handlers)})
            if method not in ("GET", "OPTIONS"):
                tus.check_version(request.headers.get("tus-resumable"))
            response = await handler(request)
        except tus.Refusal as error:
            raise HTTPException(error.status, str(error), {**error.headers, "Tus-Resumable": tus.VERSION}) from error
        except Busy as error:
            raise HTTPException(423, "Another request works on this upload", {"Tus-Resumable": tus.VERSION}) from error
        except PacsError as error:
            raise HTTPException(error.http_status, error.detail, {"Tus-Resumable": tus.VERSION}) from error
        except (ClientDisconnect, TimeoutError) as error:
            raise HTTPException(408, "The rest of the request did not come in time") from error
        response.headers["Tus-Resumable"] = tus.VERSION
        return response

    return endpoint
