"""tus 1.0.0, a protocol for uploads that can be resumed: its headers, taken apart and written, without any I/O.

https://tus.io/protocols/resumable-upload, with creation, creation-with-upload, termination, expiration and checksum.
"""

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import format_datetime
from typing import Any, Final

VERSION: Final = "1.0.0"
EXTENSIONS: Final = ("creation", "creation-with-upload", "termination", "expiration", "checksum")
CHECKSUMS: Final = ("md5", "sha1", "sha256", "sha512")
OFFSET_TYPE: Final = "application/offset+octet-stream"
CHECKSUM_MISMATCH: Final = 460

_NUMBER: Final = re.compile(r"[0-9]{1,18}")
_KEY: Final = re.compile(r"[!-+\--~]{1,64}")
"""ASCII without spaces and commas."""
_MOST_KEYS: Final = 50


class Refusal(Exception):
    """A request that the protocol does not allow, and the status that says so."""

    def __init__(self, status: int, message: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.headers = dict(headers or {})


@dataclass(frozen=True, slots=True)
class Checksum:
    """What Upload-Checksum says about the body of its request."""

    algorithm: str
    digest: bytes

    def new_hash(self) -> Any:
        """Of `hashlib`."""
        return hashlib.new(self.algorithm, usedforsecurity=False)


def check_version(said: str | None) -> None:
    """Raises Refusal when the client speaks another version, or none."""
    if said != VERSION:
        raise Refusal(412, f"Tus-Resumable must be {VERSION}", {"Tus-Version": VERSION})


def number(name: str, said: str | None) -> int:
    """A header with a number of bytes. Raises Refusal."""
    if said is None or not _NUMBER.fullmatch(said):
        raise Refusal(400, f"{name} must be a whole number that is not negative")
    return int(said)


def metadata(said: str | None) -> dict[str, str]:
    """Upload-Metadata: keys, and their values as text. Raises Refusal."""
    found: dict[str, str] = {}
    for pair in (said or "").split(",") if said and said.strip() else ():
        key, _, value = pair.strip().partition(" ")
        if not _KEY.fullmatch(key) or key in found or len(found) == _MOST_KEYS:
            raise Refusal(400, "Upload-Metadata must be pairs of a key, named once, and a value in Base64")
        try:
            found[key] = base64.b64decode(value, validate=True).decode()
        except (binascii.Error, ValueError) as exc:
            raise Refusal(400, f"Upload-Metadata: the value of {key} must be Base64 of UTF-8") from exc
    return found


def write_metadata(values: Mapping[str, str]) -> str:
    """Upload-Metadata as it is told again."""
    return ",".join(f"{key} {base64.b64encode(value.encode()).decode()}".rstrip() for key, value in values.items())


def checksum(said: str | None) -> Checksum | None:
    """Upload-Checksum. Raises Refusal."""
    if said is None:
        return None
    algorithm, _, value = said.strip().partition(" ")
    if algorithm not in CHECKSUMS:
        raise Refusal(400, f"Upload-Checksum must be by one of: {', '.join(CHECKSUMS)}")
    try:
        return Checksum(algorithm, base64.b64decode(value, validate=True))
    except (binascii.Error, ValueError) as exc:
        raise Refusal(400, "Upload-Checksum must have its value in Base64") from exc


def capabilities(most_bytes: int) -> dict[str, str]:
    """The headers that answer OPTIONS."""
    return {
        "Tus-Resumable": VERSION,
        "Tus-Version": VERSION,
        "Tus-Extension": ",".join(EXTENSIONS),
        "Tus-Max-Size": str(most_bytes),
        "Tus-Checksum-Algorithm": ",".join(CHECKSUMS),
    }


def date(seconds: float) -> str:
    """A time as HTTP writes it (RFC 9110 5.6.7), for Upload-Expires."""
    return format_datetime(datetime.fromtimestamp(seconds, UTC), usegmt=True)
