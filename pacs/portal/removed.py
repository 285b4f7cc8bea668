"""What was deleted or rejected, as JSON for the pages of an administrator."""

from collections.abc import Callable
from itertools import islice
from typing import Any, TypeVar

from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse
from starlette.routing import Route

from index.errors import PacsError
from index.records import Origin
from storage.archive import Archive, BinEntry, BinRow

R = TypeVar("R")

_MOST = 1000
"""Of a list; the command line shows all."""


def routes(archive: Archive) -> list[Route]:
    """List, look into, restore and purge."""

    async def listed(request: Request) -> JSONResponse:
        study = request.query_params.get("StudyInstanceUID")
        found = await _done(lambda: list(islice(archive.removals(request.state.principal, study), _MOST)))
        return JSONResponse([_entry(one) for one in found])

    async def shown(request: Request) -> JSONResponse:
        number, principal = request.path_params["number"], request.state.principal
        entry = await _done(lambda: archive.removal(principal, number))
        rows = await _done(lambda: list(archive.removed(principal, number)))
        return JSONResponse(_entry(entry) | {"objects": [_row(one) for one in rows]})

    async def restored(request: Request) -> JSONResponse:
        number, principal = request.path_params["number"], request.state.principal
        uids = frozenset(request.query_params.getlist("SOPInstanceUID")) or None
        origin = Origin("web", principal.address, principal.name)
        done = await _done(lambda: archive.undo(principal, number, origin, uids))
        told = {"restored": done.instances, "set_aside": done.set_aside, "still_rejected": done.still_rejected}
        return JSONResponse(told)

    async def purged(request: Request) -> JSONResponse:
        entry = await _done(lambda: archive.purge(request.state.principal, request.path_params["number"]))
        return JSONResponse(_entry(entry), status_code=202)

    return [
        Route("/api/removed", listed, methods=["GET"]),
        Route("/api/removed/{number:int}", shown, methods=["GET"]),
        Route("/api/removed/{number:int}", purged, methods=["DELETE"]),
        Route("/api/removed/{number:int}/restore", restored, methods=["POST"]),
    ]


async def _done(action: Callable[[], R]) -> R:
    try:
        return await run_in_threadpool(action)
    except PacsError as error:
        raise HTTPException(error.http_status, error.detail) from error


def _entry(one: BinEntry) -> dict[str, Any]:
    return {
        "number": one.number,
        "reason": one.reason,
        "StudyInstanceUID": one.key.study_instance_uid,
        "SeriesInstanceUID": one.key.series_instance_uid,
        "SOPInstanceUID": one.key.sop_instance_uid,
        "note": one.note_uid,
        "removed_at_ms": one.removed_at_ms,
        "purge_at_ms": one.purge_at_ms,
        "revoked_at_ms": one.undone_at_ms,
        "via": one.origin.via,
        "peer": one.origin.peer,
        "principal": one.origin.principal,
        "instances": one.instances,
        **one.said,
    }


def _row(one: BinRow) -> dict[str, Any]:
    return {
        "role": one.role.name.lower(),
        "StudyInstanceUID": one.key.study_instance_uid,
        "SeriesInstanceUID": one.key.series_instance_uid,
        "SOPInstanceUID": one.key.sop_instance_uid,
        "SOPClassUID": one.sop_class_uid,
        "version": one.version,
        "size_bytes": one.size_bytes,
    }
