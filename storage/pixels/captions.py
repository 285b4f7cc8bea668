"""What a client asks to be written into the corners of a picture: whom it shows, how it was made (PS3.18 8.3.5.1.1)."""

from collections.abc import Iterable
from typing import Final

from PIL import Image, ImageDraw

from index.records import Caption, DicomJson
from storage.pixels import lettering
from storage.pixels.description import StoredFrame, numbers, text, values

_SMALLEST_SIDE: Final = 64
"""Below it nothing could be read."""
_INK: Final = 255
_EDGE: Final = 0
_PATIENT: Final = ("00100020", "00100030", "00100040")
_WHEN: Final = ("00080020", "00080050")
_TECHNIQUE: Final = (
    # Attribute, what stands before its value, its unit.
    ("00080060", "", ""),
    ("0008103E", "", ""),
    ("00200013", "Im: ", ""),
    ("00201041", "Loc: ", " mm"),
    ("00180050", "T: ", " mm"),
    ("00180060", "", " kVp"),
    ("00181151", "", " mA"),
    ("00181152", "", " mAs"),
    ("00180080", "TR: ", " ms"),
    ("00180081", "TE: ", " ms"),
    ("00180082", "TI: ", " ms"),
    ("00181314", "FA: ", ""),
    ("00180010", "", ""),
)


def write(
    image: Image.Image, frame: StoredFrame, wanted: Iterable[Caption], window: tuple[float, float, str] | None
) -> Image.Image:
    """The picture with the wanted captions: the patient in the upper corners, the technique in the lower left one."""
    if min(image.size) < _SMALLEST_SIDE:
        return image
    size = max(8, min(image.size) // 36)
    pen = ImageDraw.Draw(image)
    margin = size // 2
    if "patient" in wanted:
        left = [_name(frame.dataset), *_lines(frame.dataset, _PATIENT)]
        _corner(pen, (margin, margin), left, size, anchor="la")
        _corner(pen, (image.width - margin, margin), _lines(frame.dataset, _WHEN), size, anchor="ra")
    if "technique" in wanted:
        lines = [f"{before}{found}{unit}" for tag, before, unit in _TECHNIQUE if (found := _value(frame.dataset, tag))]
        if len(numbers(frame.dataset, "00280008")) == 1 and numbers(frame.dataset, "00280008")[0] > 1:
            lines.append(f"Frame: {frame.number}")
        if window is not None:
            lines.append(f"C: {window[0]:g} W: {window[1]:g}")
        _corner(pen, (margin, image.height - margin), lines, size, anchor="ld")
    return image


def _corner(pen: ImageDraw.ImageDraw, place: tuple[int, int], lines: Iterable[str], size: int, *, anchor: str) -> None:
    """Lines with a dark edge, so that they can be read on white, too."""
    shown = "\n".join(line[:64] for line in lines if line)
    if shown:
        align = "right" if anchor[0] == "r" else "left"
        font, edge = lettering.font(size), max(1, size // 10)
        pen.multiline_text(
            place, shown, _ink(pen, _INK), font, anchor, align=align, stroke_width=edge, stroke_fill=_ink(pen, _EDGE)
        )


def _ink(pen: ImageDraw.ImageDraw, grey: int) -> int | tuple[int, int, int]:
    return grey if pen.mode == "L" else (grey, grey, grey)


def _name(dataset: DicomJson) -> str:
    """The patient's name, each component group that there is, as people write it."""
    groups = next((value for value in values(dataset, "00100010") if isinstance(value, dict)), {})
    written = [str(groups.get(kind, "")) for kind in ("Alphabetic", "Ideographic", "Phonetic")]
    return " = ".join(", ".join(filter(None, group.split("^")[:3])) for group in written if group)


def _lines(dataset: DicomJson, tags: Iterable[str]) -> list[str]:
    return [_value(dataset, tag) for tag in tags]


def _value(dataset: DicomJson, tag: str) -> str:
    vr = dataset.get(tag, {}).get("vr")
    if vr in ("DS", "FD", "FL"):
        return next((f"{number:g}" for number in numbers(dataset, tag)), "")
    found = text(dataset, tag)
    is_date = vr == "DA" and len(found) == 8 and found.isdigit()
    return f"{found[:4]}-{found[4:6]}-{found[6:]}" if is_date else "".join(filter(str.isprintable, found))
