"""The storage SOP classes of PS3.4 B.5 and GG.3, retired ones included: old objects are still objects."""

from typing import Final

from pydicom._uid_dict import UID_dictionary

_NO_OBJECTS: Final = ("Storage Commitment", "Media Storage Directory")
"""Classes that have Storage in their name and are not stored: a service, and the DICOMDIR."""


def _table() -> dict[str, str]:
    return {
        uid: name
        for uid, (name, kind, *_) in UID_dictionary.items()
        if kind == "SOP Class" and "Storage" in name and not name.startswith(_NO_OBJECTS)
    }


KNOWN: Final = _table()
"""SOP Class UID -> name."""
