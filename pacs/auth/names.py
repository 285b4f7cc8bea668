"""Names that people sign in by."""

import re
import unicodedata

from index.errors import InvalidQuery

_NAME = re.compile(r"[\w.@+-]{1,64}")


class BadName(InvalidQuery):
    """That cannot be the name of an account."""


def folded(typed: str) -> str:
    """The same name however it was typed: phones begin with a capital, and keyboards differ."""
    return unicodedata.normalize("NFKC", typed).strip().casefold()


def can_be(name: str) -> bool:
    """Whether an account can have this folded name; databases need not be asked for others."""
    return _NAME.fullmatch(name) is not None


def checked(typed: str) -> str:
    """The name of a new account. Raises BadName."""
    name = folded(typed)
    if not can_be(name):
        raise BadName("A name has 1 to 64 letters, digits and marks out of . @ + - _")
    return name
