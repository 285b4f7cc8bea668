"""Every refusal in one shape: `{"error": {"status", "message"}}`, the same as that of the pages and the gate.

The message is a sentence for people. It never holds patient data: messages of PacsError are written for the
peer, and anything unexpected is only logged.
"""

import orjson

from dicomweb.replies import Headers, Reply
from index.errors import PacsError


class BadRequest(PacsError):
    """The request cannot be understood."""

    http_status = 400


class Unauthenticated(PacsError):
    """Nobody is logged in."""

    http_status = 401


class MethodNotAllowed(PacsError):
    """The resource has no such method."""

    http_status = 405

    def __init__(self, allowed: list[str]) -> None:
        super().__init__("Allowed: " + ", ".join(allowed))
        self.allowed = allowed


class RangeNotSatisfiable(PacsError):
    """The range lies outside the resource."""

    http_status = 416

    def __init__(self, detail: str, length_bytes: int) -> None:
        super().__init__(detail)
        self.length_bytes = length_bytes


class RequestTimeout(PacsError):
    """The rest of the request did not come in time."""

    http_status = 408


class ClientGone(Exception):
    """The client closed the connection before its request was complete: nobody waits for an answer."""


class UnsupportedMediaType(PacsError):
    """The body has a media type that cannot be stored."""

    http_status = 415


def error_reply(status: int, message: str, headers: Headers = ()) -> Reply:
    """The answer for a refusal."""
    body = orjson.dumps({"error": {"status": status, "message": message}})
    return Reply(status, ((b"content-type", b"application/json"), (b"cache-control", b"no-store"), *headers), (body,))


def reply_to(error: PacsError) -> Reply:
    """The answer for an error of the tree."""
    headers: Headers = ()
    if isinstance(error, MethodNotAllowed):
        headers = ((b"allow", ", ".join(error.allowed).encode()),)
    if isinstance(error, RangeNotSatisfiable):
        headers = ((b"content-range", f"bytes */{error.length_bytes}".encode()),)
    return error_reply(error.http_status, error.detail, headers)
