"""The OpenAPI 3.1 document of the service, made from the table of operations.

Its parts are for others too: the document of the whole server has the same paths (`pacs.openapi`), and what the pages'
own resources answer is written with `answer`, `query` and `refusals`.
"""

import re
from collections.abc import Iterable, Mapping
from http import HTTPStatus
from importlib.metadata import version
from typing import Any, Final

from dicomweb.operations import SEARCH, Description, Operation, Resources, attributes, operations
from index.records import Level

_UID: Final = {"type": "string", "pattern": "^[0-9.]+$", "maxLength": 64}
_PATH_PARAMETERS: Final[Mapping[str, tuple[str, Mapping[str, Any]]]] = {
    "study": ("Study Instance UID", _UID),
    "series": ("Series Instance UID", _UID),
    "instance": ("SOP Instance UID", _UID),
    "frames": ("Frame numbers from 1, separated by commas", {"type": "string", "pattern": "^[0-9]+(,[0-9]+)*$"}),
    "code": ("Code of a rejection note, such as 113001^DCM", {"type": "string"}),
    "path": ("Path of a bulk data value, as BulkDataURI has it", {"type": "string"}),
}
_LICENCE: Final = {"name": "Apache-2.0", "identifier": "Apache-2.0"}
SCHEMAS: Final[Mapping[str, Any]] = {
    "DicomJson": {
        "description": "A data set in the DICOM JSON model (PS3.18 F): tag in 8 hex digits -> attribute.",
        "type": "object",
        "additionalProperties": {"$ref": "#/components/schemas/Attribute"},
    },
    "Attribute": {
        "type": "object",
        "required": ["vr"],
        "properties": {
            "vr": {"type": "string", "pattern": "^[A-Z]{2}$"},
            "Value": {"type": "array"},
            "InlineBinary": {"type": "string", "contentEncoding": "base64"},
            "BulkDataURI": {"type": "string"},
        },
    },
    "Error": {
        "type": "object",
        "required": ["error"],
        "properties": {
            "error": {
                "type": "object",
                "required": ["status", "message"],
                "properties": {"status": {"type": "integer"}, "message": {"type": "string"}},
            }
        },
    },
}


def document(resources: Resources, address: str) -> dict[str, Any]:
    """The whole document; `address` is the absolute URL of the service."""
    return framed("DICOMweb", address, paths(resources), SCHEMAS)


def framed(title: str, address: str, paths: Mapping[str, Any], schemas: Mapping[str, Any]) -> dict[str, Any]:
    """A document of these paths."""
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": version("open-pacs"), "license": _LICENCE},
        "servers": [{"url": address}],
        "paths": paths,
        "components": {"schemas": schemas, "parameters": _search_parameters()},
    }


def paths(resources: Resources, prefix: str = "") -> dict[str, dict[str, Any]]:
    """The path items of the service."""
    found: dict[str, dict[str, Any]] = {}
    for operation in operations(resources):
        found.setdefault(prefix + operation.template, {})[operation.method.lower()] = _operation(operation)
    return found


def answer(meaning: str, schema: str | Mapping[str, Any] = "", media_type: str = "application/json") -> dict[str, Any]:
    """One answer; `schema` is the name of one in the document, or the schema itself, or nothing for no body."""
    if not schema:
        return {"description": meaning}
    found = {"$ref": f"#/components/schemas/{schema}"} if isinstance(schema, str) else schema
    return {"description": meaning, "content": {media_type: {"schema": found}}}


def query(name: str, meaning: str, schema: Mapping[str, Any], *, required: bool = False) -> dict[str, Any]:
    """A query parameter."""
    return {"name": name, "in": "query", "required": required, "description": meaning, "schema": schema}


def refusals(*statuses: int) -> dict[str, Any]:
    """Refusals, which all have one shape."""
    return {str(status): answer(HTTPStatus(status).phrase, "Error") for status in statuses}


def _operation(operation: Operation) -> dict[str, Any]:
    row = operation.description
    described: dict[str, Any] = {
        "operationId": operation.name,
        "summary": row.summary,
        "description": f"PS3.18 {row.section}",
        "parameters": [*_path_parameters(operation.path), *_query_parameters(row)],
        "responses": {str(status): _response(status, row) for status in row.statuses},
    }
    if row.bodies:
        described["requestBody"] = {"required": True, "content": {name: {} for name in row.bodies}}
    return described


def _path_parameters(path: str) -> Iterable[dict[str, Any]]:
    for name in re.findall(r"\{(\w+)", path):
        meaning, schema = _PATH_PARAMETERS[name]
        yield {"name": name, "in": "path", "required": True, "description": meaning, "schema": schema}


def _query_parameters(row: Description) -> list[dict[str, Any]]:
    """Those of searches are told once, because searches share most of them."""
    if row.level:
        return [{"$ref": f"#/components/parameters/{one.name}"} for one in row.query_parameters]
    return [query(one.name, one.meaning, one.schema) for one in row.query_parameters]


def _search_parameters() -> dict[str, dict[str, Any]]:
    shared = {one.name: one for one in (*SEARCH, *attributes(Level.IMAGE), *attributes(Level.STUDY))}
    return {name: query(name, one.meaning, one.schema) for name, one in shared.items()}


def _response(status: int, row: Description) -> dict[str, Any]:
    described: dict[str, Any] = {"description": HTTPStatus(status).phrase}
    if status >= 400:
        described["content"] = {"application/json": {"schema": {"$ref": "#/components/schemas/Error"}}}
    elif status != HTTPStatus.NO_CONTENT and row.answers:
        described["content"] = {name: _content(name, row) for name in row.media_types}
    return described


def _content(name: str, row: Description) -> dict[str, Any]:
    if name not in ("application/dicom+json", "application/json"):
        return {}
    item = {"$ref": "#/components/schemas/DicomJson"}
    return {"schema": item if row.bodies else {"type": "array", "items": item}}
