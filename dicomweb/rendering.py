"""The query parameters of rendered resources (PS3.18 8.3.5): how a picture is wanted. Bad values are 400."""

from collections.abc import Mapping
from typing import Final, get_args

from dicomweb.errors import BadRequest
from index.records import Caption, IccProfile, PictureType, Region, RenderOptions

PARAMETERS: Final = ("accept", "annotation", "charset", "iccprofile", "quality", "viewport", "window")
"""The names that count (table 8.3.5-1); others are passed over."""
FUNCTIONS: Final = {"linear": "LINEAR", "linear-exact": "LINEAR_EXACT", "sigmoid": "SIGMOID"}
"""VOI LUT functions of `window`."""
ANNOTATIONS: Final[tuple[Caption, ...]] = get_args(Caption)
ICC_PROFILES: Final[tuple[IccProfile, ...]] = get_args(IccProfile)

_PICTURE_TYPES: Final[tuple[PictureType, ...]] = get_args(PictureType)
_MOST_PIXELS: Final = 16384
_THUMBNAIL_PIXELS: Final = 256
_QUALITIES: Final = {False: "90", True: "75"}


def parse_viewport(text: str) -> tuple[tuple[int, int], Region | None]:
    """`viewport=width,height[,x,y,width,height]` (8.3.5.1.3): the largest size, and the region that is shown.

    Any of the last four may be empty: from the left, from the top, to the right, to the bottom. A negative width
    mirrors the region, a negative height turns it upside down.
    """
    parts = text.split(",")
    if len(parts) not in (2, 6):
        raise BadRequest("viewport is width,height or width,height,x,y,width,height")
    width, height = (_number("viewport", part) for part in parts[:2])
    if not (1 <= width <= _MOST_PIXELS and 1 <= height <= _MOST_PIXELS):
        raise BadRequest(f"viewport is width,height, each from 1 to {_MOST_PIXELS}")
    return (int(width), int(height)), _region(parts[2:]) if len(parts) == 6 else None


def _region(parts: list[str]) -> Region:
    left, top, across, down = (_number("viewport", part) if part.strip() else None for part in parts)
    if across == 0 or down == 0 or min(left or 0, top or 0) < 0:
        raise BadRequest("The region of a viewport starts at 0 or above and is not empty")
    return Region(
        left or 0.0,
        top or 0.0,
        None if across is None else abs(across),
        None if down is None else abs(down),
        mirrored=(across or 0) < 0,
        upside_down=(down or 0) < 0,
    )


def parse_window(text: str) -> tuple[float, float, str]:
    """`window=centre,width,function` (8.3.5.1.4); a missing function is linear."""
    parts = text.split(",")
    function = FUNCTIONS.get(parts[2].strip().lower() if len(parts) == 3 else "linear")
    if len(parts) not in (2, 3) or function is None:
        raise BadRequest(f"window is centre,width,function; functions are {', '.join(FUNCTIONS)}")
    centre, width = (_number("window", part) for part in parts[:2])
    if width <= 0 or (function == "LINEAR" and width < 1):
        raise BadRequest("The width of a window is positive, and at least 1 for linear")
    return centre, width, function


def parse_quality(text: str) -> int:
    """`quality=1..100` of a JPEG (8.3.5.1.2)."""
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:4]) <= 100):
        raise BadRequest("quality is a whole number from 1 to 100")
    return int(text)


def parse_annotation(text: str) -> tuple[tuple[Caption, ...], tuple[str, ...]]:
    """`annotation=patient,technique` (8.3.5.1.1): those that are known, and those that are not."""
    names = [name.strip() for name in text.split(",")]
    if not all(names):
        raise BadRequest(f"annotation is a list of {' and '.join(ANNOTATIONS)}")
    known = tuple(name for name in ANNOTATIONS if name in names)
    return known, tuple(name for name in names if name not in ANNOTATIONS)


def parse_icc_profile(text: str) -> IccProfile:
    """`iccprofile` (8.3.5.1.5)."""
    for name in ICC_PROFILES:
        if text == name:
            return name
    raise BadRequest(f"iccprofile is one of {', '.join(ICC_PROFILES)}")


def render_options(parameters: Mapping[str, str], media_type: str, *, thumbnail: bool = False) -> RenderOptions:
    """The options that the query parameters name. Raises BadRequest."""
    viewport: tuple[int, int] | None = (_THUMBNAIL_PIXELS,) * 2 if thumbnail else None
    region = None
    if "viewport" in parameters:
        viewport, region = parse_viewport(parameters["viewport"])
    icc_profile: IccProfile | None = "no" if thumbnail else None
    if "iccprofile" in parameters:
        icc_profile = parse_icc_profile(parameters["iccprofile"])
    return RenderOptions(
        media_type=picture_type(media_type),
        quality=parse_quality(parameters.get("quality", _QUALITIES[thumbnail])),
        viewport=viewport,
        window=parse_window(parameters["window"]) if "window" in parameters else None,
        region=region,
        captions=parse_annotation(parameters["annotation"])[0] if "annotation" in parameters else (),
        icc_profile=icc_profile,
    )


def picture_type(media_type: str) -> PictureType:
    """The media type of a picture; JPEG for what is none."""
    return next((name for name in _PICTURE_TYPES if name == media_type), "image/jpeg")


def warnings_of(parameters: Mapping[str, str]) -> tuple[tuple[bytes, bytes], ...]:
    """Warning 299 for annotations that there are none of, which are passed over (8.3.5.1.1)."""
    _, unknown = parse_annotation(parameters["annotation"]) if "annotation" in parameters else ((), ())
    if not unknown:
        return ()
    named = ", ".join("".join(filter(str.isalnum, name))[:32] for name in unknown[:8])
    text = f'299 dicomweb "The following annotation values are not supported: {named}"'
    return ((b"warning", text.encode("ascii", "replace")),)


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError as exc:
        raise BadRequest(f"{name} needs numbers separated by commas") from exc
    if not abs(number) <= 1e9:
        raise BadRequest(f"A number of {name} is out of range")
    return number
