"""The cookie that a session is known by (RFC 6265), read and written without any I/O.

Where browsers reach us by https it is `__Host-sid`: with that prefix they take it from this very host alone, and only
over TLS. On plain http, which is for this machine alone, it is `sid`: `Secure` cookies over http://127.0.0.1 are kept
by some browsers and dropped by others. Only the name that is in force is ever read.
"""

import secrets
from collections.abc import Iterable
from hashlib import sha256
from typing import Final

_TOKEN_BYTES: Final = 32


def new_token() -> str:
    """A session's identifier: 256 random bits."""
    return secrets.token_urlsafe(_TOKEN_BYTES)


def digest_of(token: str) -> bytes:
    """What the server keeps of it."""
    return sha256(token.encode("utf-8", "surrogatepass")).digest()


class Cookie:
    """The cookie of a server that is reached by http or https."""

    def __init__(self, *, secure: bool) -> None:
        self.name = "__Host-sid" if secure else "sid"
        self._start = self.name.encode() + b"="
        self._attributes = "Path=/; HttpOnly; SameSite=Lax" + ("; Secure" if secure else "")

    def token(self, headers: Iterable[tuple[bytes, bytes]]) -> str:
        """The identifier that a request carries, else nothing."""
        for name, value in headers:
            if name == b"cookie" and self._start in value:
                for item in value.split(b";"):
                    item = item.strip()
                    if item.startswith(self._start):
                        return item[len(self._start) :].decode("latin-1")
        return ""

    def kept(self, token: str) -> str:
        """The Set-Cookie header of a new session. It ends with the browser, if not before by the server's clock."""
        return f"{self.name}={token}; {self._attributes}"

    def dropped(self) -> str:
        """The Set-Cookie header of a session that is over."""
        return f"{self.name}=; Max-Age=0; {self._attributes}"
