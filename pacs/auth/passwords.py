"""Passwords: what they must be like, and how they are kept (Argon2id, RFC 9106).

Nothing is asked but length and that it is not one of those that everybody tries first: rules about kinds of characters
make people choose worse ones (NIST SP 800-63B 5.1.1.2).
"""

import re
import secrets
import unicodedata
from functools import cache
from itertools import pairwise
from typing import Final

from argon2 import PasswordHasher
from argon2.exceptions import InvalidHashError, VerificationError

from index.errors import InvalidQuery

FEWEST, MOST = 12, 128
"""Characters after normalisation."""

AT_ONCE: Final = 4
"""Each hash takes 64 MiB and some 50 ms of all cores: more at a time would only be a way to bring the server down."""

_HASHER: Final = PasswordHasher(time_cost=3, memory_cost=65536, parallelism=4)

_COMMON: Final = (
    "password", "passwort", "passw", "motdepasse", "contrasena", "qwertyuiop", "qwertzuiop", "azertyuiop", "qwerty",
    "asdfghjkl", "zxcvbnm", "letmein", "welcome", "iloveyou", "trustno", "administrator", "admin", "changeme", "secret",
    "default", "access", "login", "master", "superman", "batman", "princess", "sunshine", "monkey", "dragon",
    "football", "baseball", "shadow", "abcdefghijkl", "hospital", "radiology", "openpacs", "pacs", "dicom", "orthanc",
)  # fmt: skip
_LEET: Final = str.maketrans("013457@$!", "oleastasi")


class WeakPassword(InvalidQuery):
    """The password is too weak."""


def normal(password: str) -> str:
    """As it is hashed: the same characters typed on another keyboard or system are the same password."""
    return unicodedata.normalize("NFKC", password)


def check(password: str, name: str) -> None:
    """Raise WeakPassword with what is wrong with a new password."""
    text = normal(password)
    if not FEWEST <= len(text) <= MOST:
        raise WeakPassword(f"A password has {FEWEST} to {MOST} characters; four or five random words are a good one")
    if any(unicodedata.category(mark).startswith("C") for mark in text):
        raise WeakPassword("A password holds no control characters")
    plain = text.casefold()
    if len(name) > 2 and name.casefold() in plain:
        raise WeakPassword("A password does not hold the name")
    if len(set(plain)) < 5 or _is_run(plain) or _is_common(plain):
        raise WeakPassword("That is one of the passwords that are tried first; choose another one")


def _is_run(text: str) -> bool:
    """Characters that follow each other, `abcdefghijkl` or `123456789012`, up or down."""
    steps = {(ord(after) - ord(before)) % (10 if after.isdigit() else 65536) for before, after in pairwise(text)}
    return steps <= {0, 1} or steps <= {0, 9, 65535}


def _is_common(text: str) -> bool:
    """Nothing but words that everybody tries; digits and marks around, between or in place of letters do not help."""
    words = "|".join(sorted(_COMMON, key=len, reverse=True))
    bare = re.sub(r"^[\W\d_]+|[\W\d_]+$", "", text)
    letters = (re.sub(r"[\W\d_]+", "", variant) for variant in (bare, bare.translate(_LEET)))
    return any(re.fullmatch(f"(?:{words})+", one) for one in letters)


def hashed(password: str) -> str:
    """The text that is kept in place of the password: parameters, salt and hash."""
    return _HASHER.hash(normal(password))


@cache
def _nobody() -> str:
    """What the password of somebody unknown is compared with, so that the answer takes as long."""
    return hashed(secrets.token_urlsafe(32))


def is_right(password: str, kept: str | None) -> bool:
    """Whether it is the password that was kept; None, nobody's, costs as much and is never right."""
    nobody = _nobody()
    if len(password) > 8 * MOST:
        password, kept = "", None
    try:
        return _HASHER.verify(kept or nobody, normal(password)) and kept is not None
    except (VerificationError, InvalidHashError):
        return False


def is_dated(kept: str) -> bool:
    """Whether it was hashed by weaker parameters than we use now."""
    return _HASHER.check_needs_rehash(kept)
