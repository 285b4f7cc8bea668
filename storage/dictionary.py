"""The data dictionary (PS3.6) in the form the scan needs: tag to VR and to JSON name, one dict look-up each.

The contents are pydicom's, so an implicit VR file gets the same VRs here as there.
"""

import functools
from typing import Final

from pydicom.datadict import DicomDictionary, dictionary_VR, private_dictionary_VR

UNKNOWN: Final = "UN"
_MOST_NAMES: Final = 50_000


class _Names(dict[int, str]):
    """Tag -> 8 upper-case hex digits. Private tags that were seen are kept as well, up to a bound."""

    def __missing__(self, tag: int) -> str:
        name = f"{tag:08X}"
        if len(self) < _MOST_NAMES:
            self[tag] = name
        return name


NAMES: Final = _Names({tag: f"{tag:08X}" for tag in DicomDictionary})
VRS: Final[dict[int, str]] = {
    tag: entry[0] for tag, entry in DicomDictionary.items() if entry[0] != "NONE" and tag >> 16 > 2
}
"""Tag -> VR. The command group and the meta group do not belong into a data set."""


@functools.lru_cache(maxsize=4096)
def repeating_vr(tag: int) -> str | None:
    """VR of a tag of a repeating group such as (60xx,3000), or None when the dictionary does not know it."""
    try:
        return str(dictionary_VR(tag))
    except KeyError:
        return None


@functools.lru_cache(maxsize=4096)
def private_vr(tag: int, creator: str) -> str:
    """VR of a private element of this Private Creator, UN when unknown."""
    try:
        vr = str(private_dictionary_VR(tag, creator))
    except KeyError:
        return UNKNOWN
    return "OB" if vr == "OB_OW" else vr


def public_vr(tag: int) -> str | None:
    """VR of a standard element, or None when the dictionary does not know it."""
    return VRS.get(tag) or repeating_vr(tag)
