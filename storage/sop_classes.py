"""The storage SOP classes of PS3.4 B.5 and GG.3, retired ones included: old objects are still objects."""

from typing import Final

from pydicom._uid_dict import UID_dictionary

_NO_OBJECTS: Final = ("Storage Commitment", "Media Storage Directory")
"""Classes that have Storage in their name and are not stored: a service, and the DICOMDIR."""

_OF_NO_PATIENT: Final = frozenset(
    {
        "1.2.840.10008.5.1.4.1.1.200.1",
        "1.2.840.10008.5.1.4.1.1.200.3",
        "1.2.840.10008.5.1.4.1.1.200.7",
        "1.2.840.10008.5.1.4.1.1.201.1",
        "1.2.840.10008.5.1.4.38.1",
        "1.2.840.10008.5.1.4.39.1",
        "1.2.840.10008.5.1.4.43.1",
        "1.2.840.10008.5.1.4.44.1",
        "1.2.840.10008.5.1.4.45.1",
    }
)
"""Storage classes of PS3.4 GG.3 whose objects belong to no patient and no study: protocols, palettes, templates."""

_STANDARD_ARC: Final = "1.2.840.10008.5.1.4.1.1."
"""Where the standard puts its composite storage classes. One that no table here has is newer than the table."""

_NEWER: Final = {
    "1.2.840.10008.5.1.4.1.1.9.100.1": "Waveform Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.9.100.2": "Waveform Acquisition Presentation State Storage",
    "1.2.840.10008.5.1.4.1.1.66.7": "Label Map Segmentation Storage",
    "1.2.840.10008.5.1.4.1.1.66.8": "Height Map Segmentation Storage",
}
"""What the standard has added since pydicom's dictionary was made."""

_ASSIGNED: Final = frozenset(uid for uid in UID_dictionary if uid.startswith(_STANDARD_ARC))
"""As of now: pynetdicom adds to the dictionary when it is imported, and what we take must not depend on that."""

KNOWN: Final = _NEWER | {
    uid: name
    for uid, (name, kind, *_) in UID_dictionary.items()
    if kind == "SOP Class" and "Storage" in name and not name.startswith(_NO_OBJECTS) and uid not in _OF_NO_PATIENT
}
"""SOP Class UID -> name, for the classes whose objects belong to a study."""


def is_storage(uid: str) -> bool:
    """Whether the standard, as far as we or its numbering know, says that a study has objects of this class."""
    return uid in KNOWN or (uid.startswith(_STANDARD_ARC) and uid not in _ASSIGNED)
