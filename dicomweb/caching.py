"""What a client may keep and what it need not fetch again (RFC 9110 8.8, 13; RFC 9111).

The bytes behind a SOP Instance UID do not change, so what is derived from one instance may be kept for an hour
without asking. With `archive.duplicates = "replace"` another object can take the UID over; clients then have to
ask each time, and the entity tag, made of the object's digest, tells them whether it did. Studies and series grow
and are always asked for. Everything is private: no shared cache may hold images.
"""

from collections.abc import Iterable
from hashlib import blake2b
from typing import Final

from dicomweb.edge import Call
from dicomweb.replies import Headers, Reply
from index.records import StoredInstance

_KEEP: Final = b"private, max-age=3600, immutable"
_ASK: Final = b"private, no-cache"
# A representation depends on Accept, and a browser's cache must not outlive the login it was filled under.
_VARY: Final = (b"vary", b"Accept, Authorization, Cookie")


def entity_tag(instances: Iterable[StoredInstance], *variant: object) -> str:
    """The tag of what is made of these instances in this way."""
    digest = blake2b(digest_size=16)
    for instance in instances:
        digest.update(instance.sha256)
        digest.update(b"%d" % instance.version)
    digest.update(repr(variant).encode())
    return f'"{digest.hexdigest()}"'


def instance_headers(call: Call, tag: str) -> Headers:
    """Caching headers of what is derived from one instance."""
    replaceable = call.web.settings.archive.duplicates == "replace"
    return ((b"etag", tag.encode()), (b"cache-control", _ASK if replaceable else _KEEP), _VARY)


def growing_headers(tag: str | None = None) -> Headers:
    """Caching headers of what grows: studies, series and answers to queries."""
    headers = ((b"cache-control", _ASK), _VARY)
    return ((b"etag", tag.encode()), *headers) if tag else headers


def not_modified(call: Call, tag: str, headers: Headers) -> Reply | None:
    """The 304 answer when the client already has what the tag stands for."""
    asked = call.header(b"if-none-match")
    if not asked:
        return None
    known = {item.strip().removeprefix("W/") for item in asked.split(",")}
    return Reply(304, headers) if tag in known or "*" in known else None
