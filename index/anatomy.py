"""What an image says of the body beside Body Part Examined: its side, and its region by code.

Images of digital X-ray name their region by a code (PS3.3 C.8.11.2), multi-frame images in a functional group
(PS3.3 C.7.6.16.2.8).
"""

from typing import Any, Final

from index.attributes import tag_of
from index.records import DicomJson
from index.words.matching import plain

_SIDES: Final = frozenset(("L", "R", "B"))
_OF_IMAGE: Final = tag_of("ImageLaterality")
_OF_SERIES: Final = tag_of("Laterality")
_OF_FRAME: Final = tag_of("FrameLaterality")
_REGION: Final = tag_of("AnatomicRegionSequence")
_MEANING: Final = tag_of("CodeMeaning")
_SHARED: Final = tag_of("SharedFunctionalGroupsSequence")
_FRAME_ANATOMY: Final = tag_of("FrameAnatomySequence")


def laterality(dataset: DicomJson) -> str:
    """L, R or B; empty for what has no side (U and nothing)."""
    named = _text(dataset, _OF_IMAGE) or _text(dataset, _OF_SERIES)
    if not named and _SHARED in dataset:
        named = _text(_frame_anatomy(dataset), _OF_FRAME)
    return named if named in _SIDES else ""


def anatomic_region(dataset: DicomJson) -> str:
    """The meaning of the code of the region, empty without one."""
    item = _item(dataset, _REGION) or _item(_frame_anatomy(dataset), _REGION)
    return plain(_text(item, _MEANING))


def _frame_anatomy(dataset: DicomJson) -> DicomJson:
    return _item(_item(dataset, _SHARED), _FRAME_ANATOMY)


def _item(dataset: DicomJson, tag: str) -> DicomJson:
    """The first item of a sequence, an empty one when there is none."""
    found = _first(dataset, tag)
    return found if isinstance(found, dict) else {}


def _text(dataset: DicomJson, tag: str) -> str:
    found = _first(dataset, tag)
    return found if isinstance(found, str) else ""


def _first(dataset: DicomJson, tag: str) -> Any:
    values = dataset.get(tag, {}).get("Value")
    return values[0] if values else None
