"""User identity negotiation (PS3.7 D.3.3.7): who sits at the peer, when somebody here can tell whether it is true.

Without a verifier an identity is ignored, or the association is rejected, as the settings say. A positive response
is an assertion that the identity was verified, so it is sent for nothing else. Passcodes, tickets and tokens are
never logged, compared, shown or remembered.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

TYPES: Final[Mapping[int, str]] = MappingProxyType(
    {
        1: "user name",
        2: "user name and passcode",
        3: "Kerberos service ticket",
        4: "SAML assertion",
        5: "JSON Web Token",
    }
)
"""User-Identity-Type (PS3.7 table D.3-14)."""


@dataclass(frozen=True, slots=True)
class Identity:
    """A user identity as it was claimed."""

    kind: int
    """One of TYPES, or another number that no edition defines yet."""
    wants_response: bool
    primary: bytes = field(repr=False)
    """The name in UTF-8 (types 1 and 2), the ticket, the assertion or the token."""
    secondary: bytes = field(default=b"", repr=False)
    """The passcode of type 2."""


@dataclass(frozen=True, slots=True)
class Verified:
    """An identity that is true."""

    name: str
    """Who it is, for the log."""
    response: bytes = field(default=b"", repr=False)
    """Server-Response (PS3.7 table D.3-15): empty for names, else what the other side checks in turn."""


Verify = Callable[[Identity], Verified | None]
"""Whether an identity is true; None when it is not, or when its kind cannot be verified."""
