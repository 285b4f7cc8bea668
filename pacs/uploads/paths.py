"""The uploads as OpenAPI: tus 1.0.0 by its headers, and the JSON that says what became of each file."""

from collections.abc import Mapping
from typing import Any, Final

from dicomweb.openapi import answer, query, refusals
from index.records import StoreStatus
from pacs.uploads import form, tus
from pacs.uploads.taking import IGNORED

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_STATUSES: Final = [*(status.value for status in StoreStatus), IGNORED]

SCHEMAS: Final[Mapping[str, Any]] = {
    "Upload": {
        "description": "How far an upload is.",
        "type": "object",
        "required": ["id", "state", "offset", "length", "metadata"],
        "additionalProperties": False,
        "properties": {
            "id": _TEXT,
            "state": {
                "description": "`waiting`: the server takes it in later, see `reason`.",
                "enum": ["arriving", "taking in", "waiting", "done"],
            },
            "offset": {**_COUNT, "description": "Bytes that are durable."},
            "length": _COUNT,
            "metadata": {"type": "object", "additionalProperties": _TEXT},
            "reason": _TEXT,
            "result": {"$ref": "#/components/schemas/UploadResult"},
        },
    },
    "UploadResult": {
        "type": "object",
        "required": ["counts", "studies"],
        "additionalProperties": False,
        "properties": {
            "counts": {
                "type": "object",
                "additionalProperties": False,
                "properties": dict.fromkeys(_STATUSES, _COUNT),
            },
            "studies": {"description": "Study Instance UIDs.", "type": "array", "items": _TEXT},
            "instances": {
                "description": "Not in lists of uploads.",
                "type": "array",
                "items": {"$ref": "#/components/schemas/UploadedFile"},
            },
        },
    },
    "UploadedFile": {
        "description": "One file, or one entry of a zip file.",
        "type": "object",
        "required": ["name", "status"],
        "additionalProperties": False,
        "properties": {
            "name": _TEXT,
            "status": {"enum": _STATUSES},
            "reason": _TEXT,
            "study": _TEXT,
            "instance": _TEXT,
        },
    },
    "Uploads": {
        "description": "The uploads of whoever asks, and what a page must know before it begins one.",
        "type": "object",
        "required": ["uploads", "formats", "fields", "limits"],
        "additionalProperties": False,
        "properties": {
            "uploads": {"type": "array", "items": {"$ref": "#/components/schemas/Upload"}},
            "formats": {
                "description": "Ending of a name -> media type: what is wrapped into DICOM objects.",
                "type": "object",
                "additionalProperties": _TEXT,
            },
            "fields": {"type": "array", "items": {"enum": list(form.FIELDS)}},
            "limits": {
                "type": "object",
                "required": ["object_bytes"],
                "additionalProperties": False,
                "properties": {"object_bytes": _COUNT},
            },
        },
    },
}


def _header(name: str, meaning: str, *, required: bool = False) -> dict[str, Any]:
    return {"name": name, "in": "header", "required": required, "description": meaning, "schema": _TEXT}


_RESUMABLE: Final = _header("Tus-Resumable", tus.VERSION, required=True)
_OFFSET: Final = _header("Upload-Offset", "Bytes that are there", required=True)
_BODY: Final[dict[str, Any]] = {"content": {tus.OFFSET_TYPE: {}}}


def _operation(name: str, summary: str, responses: Mapping[str, Any], *parameters: Mapping[str, Any]) -> dict[str, Any]:
    made: dict[str, Any] = {"operationId": name, "summary": summary, "responses": dict(responses)}
    return made | ({"parameters": list(parameters)} if parameters else {})


_TELL: Final = "What the server can do of tus"
_NOTHING: Final = {"204": answer("No Content")}
_MISMATCH: Final = {str(tus.CHECKSUM_MISMATCH): answer("Checksum Mismatch", "Error")}

PATHS: Final[Mapping[str, Any]] = {
    "/api/uploads": {
        "options": _operation("uploadCapabilities", _TELL, _NOTHING),
        "get": _operation("uploads", "Uploads that are under way or done", {"200": answer("OK", "Uploads")}),
        "post": _operation(
            "beginUpload",
            "Begin an upload, with its first bytes if one likes",
            {"201": answer("Begun; Location is its address", "Upload"), **refusals(400, 403, 408, 412, 413, 507)},
            _RESUMABLE,
            _header("Upload-Length", "Bytes of the file", required=True),
            _header("Upload-Metadata", f"filename, and of a file that is no DICOM file {', '.join(form.FIELDS)}"),
        )
        | {"requestBody": _BODY},
    },
    "/api/uploads/{name}": {
        "parameters": [{"name": "name", "in": "path", "required": True, "schema": _TEXT}],
        "options": _operation("uploadCapabilitiesOfOne", _TELL, _NOTHING),
        "head": _operation("uploadOffset", "Where to go on", {"200": answer("OK"), **refusals(404, 412)}, _RESUMABLE),
        "get": _operation(
            "upload",
            "What became of it",
            {"200": answer("OK", "Upload"), **refusals(404)},
            query("wait", "Seconds that the answer may take until that is known", {"type": "integer", "maximum": 30}),
        ),
        "patch": _operation(
            "continueUpload",
            "The next bytes",
            {**_NOTHING, **refusals(400, 404, 408, 409, 412, 413, 415, 423, 507), **_MISMATCH},
            *(_RESUMABLE, _OFFSET, _header("Upload-Checksum", "Algorithm and digest of the body")),
        )
        | {"requestBody": {**_BODY, "required": True}},
        "delete": _operation("discardUpload", "Discard it", {**_NOTHING, **refusals(404, 412, 423)}, _RESUMABLE),
        "post": _operation(
            "overriddenUpload",
            "Another method, named by X-HTTP-Method-Override, for networks that let no other through",
            {**_NOTHING, "200": answer("OK"), **refusals(400, 404, 405, 408, 409, 412, 413, 415, 423)},
            _RESUMABLE,
            _header("X-HTTP-Method-Override", "PATCH, HEAD or DELETE", required=True),
        ),
    },
}
