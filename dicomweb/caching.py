"""What a client may keep and what it need not fetch again (RFC 9110 8.8, 13; RFC 9111).

The bytes behind a SOP Instance UID do not change, so what is derived from one instance may be kept for an hour
without asking. With `archive.duplicates = "replace"` another object can take the UID over; clients then have to
ask each time, and the entity tag, made of the object's digest, tells them whether it did. Studies and series grow
and are always asked for. Everything is private: no shared cache may hold images.
"""

from collections.abc import Iterable
from email.utils import formatdate
from functools import lru_cache
from hashlib import blake2b
from typing import Final

from dicomweb.edge import Call
from dicomweb.replies import Headers, Reply
from index.records import StoredInstance

_KEEP: Final = b"private, max-age=3600, immutable"
_ASK: Final = b"private, no-cache"
# A representation depends on Accept, and a browser's cache must not outlive the login it was filled under.
_VARY: Final = (b"vary", b"Accept, Authorization, Cookie")
_VARY_CODED: Final = (b"vary", b"Accept, Accept-Encoding, Authorization, Cookie")
"""Of what may be compressed on its way (`dicomweb.codings`)."""


def entity_tag(instances: Iterable[StoredInstance], *variant: object) -> str:
    """The tag of what is made of these instances in this way."""
    return tag_of(b"".join([b"%b%d" % (instance.sha256, instance.version) for instance in instances]), *variant)


def tag_of(state: bytes, *variant: object) -> str:
    """The tag of what is made in this way of things in this state."""
    return f'"{blake2b(state + repr(variant).encode(), digest_size=16).hexdigest()}"'


def instance_headers(call: Call, tag: str, instance: StoredInstance | None = None) -> Headers:
    """Caching headers of what is derived from one instance, which was stored at a known time."""
    replaceable = call.web.settings.archive.duplicates == "replace"
    headers = ((b"etag", tag.encode()), (b"cache-control", _ASK if replaceable else _KEEP), _VARY)
    return (*headers, (b"last-modified", _http_date(instance.stored_at_ms // 1000))) if instance else headers


@lru_cache(maxsize=256)
def _http_date(at_seconds: int) -> bytes:
    return formatdate(at_seconds, usegmt=True).encode()


def growing_headers(tag: str | None = None) -> Headers:
    """Caching headers of what grows: studies, series and answers to queries."""
    headers = ((b"cache-control", _ASK), _VARY_CODED)
    return ((b"etag", tag.encode()), *headers) if tag else headers


def not_modified(call: Call, tag: str, headers: Headers) -> Reply | None:
    """The 304 answer when the client already has what the tag stands for."""
    asked = call.header(b"if-none-match")
    if not asked:
        since = call.header(b"if-modified-since").encode("latin-1", "replace")
        # The very date that we gave: only then nothing depends on clocks (RFC 9110 13.1.3).
        return Reply(304, headers) if since and since == dict(headers).get(b"last-modified") else None
    known = {item.strip().removeprefix("W/") for item in asked.split(",")}
    return Reply(304, headers) if tag in known or "*" in known else None
