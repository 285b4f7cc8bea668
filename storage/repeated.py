"""Elements that data sets have in common, decoded once.

The instances of a series say the same in nine elements of ten, and the header's scan is what ingest spends most of its
own time on. So a short element is looked up by its encoded bytes, header and value, and an element found is shared
by all data sets that have it: nobody may ever change one. What is kept is bounded, and forgotten all at once.
"""

from typing import Final

from storage.charsets import Charset
from storage.dictionary import UNKNOWN
from storage.scopes import Json

LONGEST_BYTES: Final = 72
"""Header and value. Longer elements are rare, and seldom the same."""
_MOST: Final = 2048
_MOST_VALUES: Final = 8
"""Longer lists count towards the limits of a data set, so they must be met each time."""

Repeated = dict[bytes, Json]
"""Encoded element -> the element in the DICOM JSON model."""

_LITTLE: Final[dict[str, Repeated]] = {}
_BIG: Final[dict[str, Repeated]] = {}


def repeated_in(charset: Charset, *, little: bool) -> Repeated:
    """The elements met before, in explicit VR of this byte order and with text in this character set."""
    return (_LITTLE if little else _BIG).setdefault(charset.codec, {})


def keep(repeated: Repeated, encoded: bytes, element: Json | None) -> None:
    """Keep an element of plain values, if it was one after all, for the data sets to come."""
    if element is None or element["vr"] == UNKNOWN or len(element.get("Value", ())) > _MOST_VALUES:
        return
    if len(repeated) >= _MOST:
        repeated.clear()
    repeated[encoded] = element
