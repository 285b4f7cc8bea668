"""Presentation states by SOP class, and the images that one is made for: read without numpy."""

from dataclasses import dataclass
from typing import Final

from index.records import DicomJson
from storage.pixels.description import items, numbers, text

_FAMILY: Final = "1.2.840.10008.5.1.4.1.1.11."
GREY: Final = _FAMILY + "1"
COLOUR: Final = _FAMILY + "2"
PSEUDO_COLOUR: Final = _FAMILY + "3"
XA: Final = _FAMILY + "5"
RENDERED: Final = frozenset({GREY, COLOUR, PSEUDO_COLOUR, XA})
"""States that are applied. Blending and volumetric ones need several images at once."""


@dataclass(frozen=True, slots=True)
class Reference:
    """An image that a state is made for; no frame numbers: all frames."""

    series_instance_uid: str
    sop_instance_uid: str
    frames: tuple[int, ...]


def is_state(sop_class_uid: str) -> bool:
    """True for softcopy presentation states, those that are not applied included."""
    return sop_class_uid.startswith(_FAMILY)


def references(state: DicomJson) -> list[Reference]:
    """The images of a state, in its order."""
    return [
        Reference(
            text(series, "0020000E"),
            text(image, "00081155"),
            tuple(int(number) for number in numbers(image, "00081160")),
        )
        for series in items(state, "00081115")
        for image in items(series, "00081140")
    ]
