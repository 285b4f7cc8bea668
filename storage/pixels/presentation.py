"""What a softcopy presentation state asks for (PS3.3 A.33, C.10, C.11.6 to C.11.11; PS3.4 N.2).

A state replaces what the image says about itself: without a modality transformation in the state there is none,
and a MONOCHROME1 image is only inverse when the state says so. Without a VOI transformation all that the modality
transformation can give is seen, from black to white.
"""

from dataclasses import replace
from typing import Final

from index.errors import InvalidQuery, NotAcceptable
from index.records import DicomJson
from storage.pixels import grey
from storage.pixels.description import ImageDescription, StoredFrame, integer, items, numbers, text
from storage.pixels.geometry import View
from storage.pixels.grey import Chain, Window
from storage.pixels.lut import look_up_table, read_table
from storage.pixels.presentation_classes import RENDERED, references

_REFERENCED_IMAGES: Final = "00081140"
_MASKS: Final = "00286100"


def check(state: StoredFrame, image: StoredFrame) -> None:
    """Raise NotAcceptable for a state that is not applied here, InvalidQuery when it is for other images."""
    dataset = state.dataset
    if text(dataset, "00080016") not in RENDERED:
        raise NotAcceptable("Presentation states of this SOP class are not rendered")
    if items(dataset, _MASKS):
        raise NotAcceptable("Presentation states with mask subtraction are not rendered")
    uid = text(image.dataset, "00080018")
    if not any(
        reference.sop_instance_uid == uid and (not reference.frames or image.number in reference.frames)
        for reference in references(dataset)
    ):
        raise InvalidQuery("The presentation state does not refer to this image")


def applying(state: StoredFrame, image: StoredFrame, tag: str) -> list[DicomJson]:
    """The items of a sequence that are for this image, or for all."""
    return [item for item in items(state.dataset, tag) if _is_for(item, image)]


def _is_for(item: DicomJson, image: StoredFrame) -> bool:
    if _REFERENCED_IMAGES not in item:
        return True
    uid = text(image.dataset, "00080018")
    for reference in items(item, _REFERENCED_IMAGES):
        frames = numbers(reference, "00081160")
        if text(reference, "00081155") == uid and (not frames or image.number in frames):
            return True
    return False


def chain_of(state: StoredFrame, image: StoredFrame, description: ImageDescription, window: Window | None) -> Chain:
    """The grey transformations of the state. An asked window replaces its VOI transformation."""
    grey.check_window(window)
    own = grey.chain_of(image, description, window)
    dataset, signed = state.dataset, description.signed
    slope, intercept = grey.rescale_of(dataset)
    if grey.is_enhanced(image) and "00281053" not in dataset:
        slope, intercept = own.slope, own.intercept
    voi = None
    if window is None:
        chosen: DicomJson = next(iter(applying(state, image, "00283110")), {})
        voi = look_up_table(state, items(chosen, "00283010"), signed=signed)
        window = None if voi else grey.window_of(chosen)
    modality = look_up_table(state, items(dataset, "00283000"), signed=signed)
    if window is None and voi is None and description.bits_allocated <= 16:
        window = grey.whole_range(replace(own, slope=slope, intercept=intercept, modality=modality))
    presentation = next(iter(items(dataset, "20500010")), None)
    return replace(
        own,
        slope=slope,
        intercept=intercept,
        modality=modality,
        window=window,
        voi=voi,
        inverse=text(dataset, "20500020") == "INVERSE",
        presentation=read_table(state, presentation, "00283002", "00283006") if presentation else None,
    )


def view_of(state: StoredFrame, image: StoredFrame, description: ImageDescription) -> View:
    """Displayed area and spatial transformation. Without an area for this image the whole is shown."""
    rotation = integer(state.dataset, "00700042", 0) % 360
    view = View(
        (0, 0, description.columns, description.rows),
        rotation=rotation if rotation in (90, 180, 270) else 0,
        mirrored=text(state.dataset, "00700041") == "Y",
    )
    area: DicomJson = next(iter(applying(state, image, "0070005A")), {})
    corners = [numbers(area, "00700052"), numbers(area, "00700053")]
    if any(len(corner) != 2 for corner in corners):
        return view
    # The upper left corner is that of the displayed area, so it may be any corner of the image (PS3.3 C.10.4).
    columns, rows = zip(*corners, strict=True)
    box = (int(min(columns)) - 1, int(min(rows)) - 1, int(max(columns)), int(max(rows)))
    magnification = numbers(area, "00700103") if text(area, "00700100") == "MAGNIFY" else []
    usable = [value for value in magnification if 0.01 <= value <= 100]
    return replace(view, area=box, ratio=_ratio(area), magnification=usable[0] if usable else None)


def _ratio(area: DicomJson) -> float:
    """Height of a pixel to its width, from Presentation Pixel Spacing or Presentation Pixel Aspect Ratio."""
    for tag in ("00700101", "00700102"):
        found = numbers(area, tag)
        if len(found) == 2 and min(found) > 0 and 0.05 < found[0] / found[1] < 20:
            return found[0] / found[1]
    return 1.0
