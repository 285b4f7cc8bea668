"""The resources that only the pages and people's scripts use, as OpenAPI: what each takes, and what it answers.

A test asks a running server and holds its answers against the schemas, and finds every route that is missing here. The
pages are compiled against types that are made from them (`web/portal`).
"""

from collections.abc import Mapping
from typing import Any, Final

from dicomweb.openapi import answer, query, refusals

_TEXT: Final = {"type": "string"}
_COUNT: Final = {"type": "integer", "minimum": 0}
_TRUTH: Final = {"type": "boolean"}
_UID: Final = {"type": "string", "pattern": "^[0-9.]*$", "maxLength": 64}
_MOMENT: Final = {"type": "integer", "description": "Milliseconds since 1970 UTC; 0 is never."}


def _object(properties: Mapping[str, Any], *optional: str, meaning: str = "") -> dict[str, Any]:
    """An object that has all these properties but the optional ones, and no others."""
    made: dict[str, Any] = {"type": "object", "additionalProperties": False, "properties": dict(properties)}
    made["required"] = [name for name in properties if name not in optional]
    return made | ({"description": meaning} if meaning else {})


def _list(schema: str) -> dict[str, Any]:
    return {"type": "array", "items": {"$ref": f"#/components/schemas/{schema}"}}


_KEYS: Final = {"StudyInstanceUID": _UID, "SeriesInstanceUID": _UID, "SOPInstanceUID": _UID}
_REMOVAL: Final = {
    "number": _COUNT,
    "reason": {"type": "string", "description": "`deleted`, or the code of a rejection note, such as 113001^DCM."},
    **_KEYS,
    "note": {**_UID, "description": "SOP Instance UID of the rejection note."},
    "removed_at_ms": _MOMENT,
    "purge_at_ms": _MOMENT,
    "revoked_at_ms": _MOMENT,
    "via": _TEXT,
    "peer": _TEXT,
    "principal": _TEXT,
    "instances": _COUNT,
    "PatientName": _TEXT,
    "PatientID": _TEXT,
    "StudyDate": _TEXT,
    "StudyDescription": _TEXT,
}
_SAID: Final = ("PatientName", "PatientID", "StudyDate", "StudyDescription")
_COMPARED: Final = {
    "StudyInstanceUID": _UID,
    "StudyDate": _TEXT,
    "StudyTime": _TEXT,
    "StudyDescription": _TEXT,
    "ModalitiesInStudy": {"type": "array", "items": _TEXT},
    "NumberOfStudyRelatedSeries": _COUNT,
    "NumberOfStudyRelatedInstances": _COUNT,
    "regions": {"type": "array", "items": _TEXT, "description": "Regions of the body, as people name them."},
    "laterality": {"type": "string", "description": "L, R, B, or empty."},
    "has_report": _TRUTH,
}

SCHEMAS: Final[Mapping[str, Any]] = {
    "Health": _object({"status": {"const": "ok"}}),
    "Server": _object(
        {"ae_title": _TEXT, "dimse_port": {"type": "integer"}, "viewer": _TRUTH},
        meaning="What a person needs to connect a modality, and whether there is a viewer.",
    ),
    "Keywords": {
        "description": "Tag in 8 hex digits -> keyword of the data dictionary.",
        "type": "object",
        "additionalProperties": _TEXT,
    },
    "Removal": _object(_REMOVAL, *_SAID, meaning="What was deleted at once, or rejected by one note."),
    "RemovalContent": _object({**_REMOVAL, "objects": _list("RemovedObject")}, *_SAID),
    "RemovedObject": _object(
        {
            "role": {"enum": ["instance", "note", "aside"]},
            **_KEYS,
            "SOPClassUID": _UID,
            "version": _COUNT,
            "size_bytes": _COUNT,
        }
    ),
    "Restored": _object({"restored": _COUNT, "set_aside": _COUNT, "still_rejected": _COUNT}),
    "Prior": _object(
        {
            **_COMPARED,
            "days": {"type": ["integer", "null"], "description": "Before the study; null when a date is unknown."},
            "score": {"type": "number"},
            "points": {"type": "object", "additionalProperties": {"type": "number"}},
            "viewer": {"type": "string", "description": "Address of the viewer with both studies side by side."},
        }
    ),
    "Priors": _object({**_COMPARED, "hidden": _COUNT, "priors": _list("Prior")}, meaning="A study and its priors."),
    "Session": _object(
        {
            "sign_in": {"enum": ["none", "required"]},
            "user": {"type": ["string", "null"]},
            "idle_seconds": {"type": "number", "description": "A session ends after so long without a sign of life."},
        },
        "idle_seconds",
    ),
    "Credentials": {
        "type": "object",
        "required": ["name", "password"],
        "properties": {"name": _TEXT, "password": _TEXT, "next": _TEXT},
    },
    "User": _object({"user": _TEXT}),
}


def _get(name: str, summary: str, answers: Mapping[str, Any], *parameters: Mapping[str, Any]) -> dict[str, Any]:
    """A GET that answers 200, and whatever else `answers` has."""
    made: dict[str, Any] = {"operationId": name, "summary": summary, "responses": dict(answers)}
    return made | ({"parameters": list(parameters)} if parameters else {})


def _page(name: str, summary: str, media_type: str, *parameters: str, also: tuple[int, ...] = ()) -> dict[str, Any]:
    kept = {"200": answer("OK", _TEXT, media_type), "304": answer("Not Modified"), **refusals(*also)}
    return {"get": _get(name, summary, kept, *(_in_path(each, "Path of the file", _TEXT) for each in parameters))}


def _in_path(name: str, meaning: str, schema: Mapping[str, Any]) -> dict[str, Any]:
    return {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}


_NUMBER: Final = _in_path("number", "Number of the removal", _COUNT)

PATHS: Final[Mapping[str, Any]] = {
    "/healthz": {"get": _get("healthy", "Whether the server answers", {"200": answer("OK", "Health")})},
    "/server.json": {"get": _get("server", "How to connect", {"200": answer("OK", "Server")})},
    "/api/openapi.json": {
        "get": _get("openapi", "This document", {"200": answer("OK", {"type": "object"})}),
    },
    "/api/keywords": {"get": _get("keywords", "The data dictionary", {"200": answer("OK", "Keywords")})},
    "/api/changes": {
        "get": _get(
            "changes",
            "Server-sent events: `ready` at the beginning, `changed` when anything in the archive has changed; the "
            "data of both is the number of the newest change",
            {"200": answer("Events until the connection ends", _TEXT, "text/event-stream")},
        )
    },
    "/api/priors": {
        "get": _get(
            "priors",
            "Earlier studies of the patient, those first that matter most",
            {"200": answer("OK", "Priors"), **refusals(400, 404)},
            query("study", "Study Instance UID", _UID, required=True),
            query("all", "Those too that matter little", _TRUTH),
            query("limit", "How many at most", {"type": "integer", "minimum": 1, "maximum": 500}),
        )
    },
    "/api/removed": {
        "get": _get(
            "removals",
            "What was deleted or rejected, newest first",
            {"200": answer("OK", _list("Removal")), **refusals(403)},
            query("StudyInstanceUID", "Of this study alone", _UID),
        )
    },
    "/api/removed/{number}": {
        "parameters": [_NUMBER],
        "get": _get("removal", "What a removal holds", {"200": answer("OK", "RemovalContent"), **refusals(403, 404)}),
        "delete": _get(
            "purge", "Remove it for good", {"202": answer("It will be", "Removal"), **refusals(403, 404, 409)}
        ),
    },
    "/api/removed/{number}/restore": {
        "parameters": [_NUMBER],
        "post": _get(
            "restore",
            "Undo a removal, wholly or for some instances",
            {"200": answer("Done", "Restored"), **refusals(403, 404, 409)},
            query("SOPInstanceUID", "These alone", {"type": "array", "items": _UID}),
        ),
    },
    "/api/session": {
        "get": _get("session", "Who is signed in", {"200": answer("OK", "Session")}),
        "post": {
            "operationId": "signIn",
            "summary": "Sign in; the session is a cookie. Only where `access.sign_in` is `required`",
            "requestBody": {
                "required": True,
                "content": {
                    media_type: {"schema": {"$ref": "#/components/schemas/Credentials"}}
                    for media_type in ("application/json", "application/x-www-form-urlencoded")
                },
            },
            "responses": {
                "200": answer("Signed in", "User"),
                "303": answer("Signed in by a form; on to `next`"),
                **refusals(400, 401, 403, 405, 413, 415, 429),
            },
        },
        "delete": _get("signOut", "Sign out", {"204": answer("Signed out"), **refusals(403, 405)}),
    },
    "/login": {
        "get": _get(
            "login",
            "The page to sign in",
            {
                "200": answer("OK", _TEXT, "text/html"),
                "302": answer("Signed in already"),
                "304": answer("Not Modified"),
            },
        )
    },
    "/": _page("start", "The study list", "text/html", also=(503,)),
    "/icon.svg": _page("icon", "Our icon", "image/svg+xml"),
    "/app-config.js": _page("viewerConfiguration", "What the viewer is told", "text/javascript"),
    "/viewer": {"get": _get("viewerEntrance", "On to the viewer", {"307": answer("To /viewer/")})},
    "/viewer-{name}": _page("viewerExtension", "What we add to the viewer", "text/javascript", "name", also=(404,)),
    "/viewer/{rest}": _page("viewer", "The viewer's one page", "text/html", "rest", also=(404, 503)),
    "/ui/{path}": _page("pageFile", "Files of the study list", "text/javascript", "path"),
    "/sign-in/{name}": _page("signInFile", "Files of the sign-in", "text/javascript", "name"),
    "/{path}": _page("viewerFile", "Files of the viewer", "text/javascript", "path", also=(404,)),
}
"""All but DICOMweb and the uploads."""
