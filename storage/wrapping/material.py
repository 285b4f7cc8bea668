"""What is known of a file that becomes part of an instance, whatever its format."""

from dataclasses import dataclass, field
from typing import Any, Final

from index.errors import CannotUnderstand
from index.records import Element
from storage.composing import Content

ROWS: Final = "00280010"
COLUMNS: Final = "00280011"
SAMPLES: Final = "00280002"
PHOTOMETRIC: Final = "00280004"
PLANAR: Final = "00280006"
FRAMES: Final = "00280008"
BITS_ALLOCATED: Final = "00280100"
BITS_STORED: Final = "00280101"
HIGH_BIT: Final = "00280102"
SIGNED: Final = "00280103"


@dataclass(frozen=True, slots=True)
class Material:
    """A file that was looked at."""

    transfer_syntax_uid: str
    content: Content
    attributes: dict[str, Element] = field(default_factory=dict)
    """What the file itself says, in the DICOM JSON model."""
    frames: int = 1
    is_moving: bool = False
    """The frames follow each other in time; otherwise they are pages."""
    lossy_method: str = ""
    """Lossy Image Compression Method (0028,2114); empty when nothing was lost."""
    native_bytes: int = 0
    """Size of the pixels without compression, for the compression ratio."""


def element(vr: str, *values: Any) -> Element:
    """An element of the DICOM JSON model."""
    return {"vr": vr, "Value": list(values)} if values else {"vr": vr}


def first(dataset: Any, tag: str) -> Any:
    """First value of an element, None when it is missing or empty."""
    values = dataset.get(tag, {}).get("Value")
    return values[0] if values else None


def whole(dataset: Any, tag: str) -> int | None:
    """First value of an element as a whole number, None when it has none. Raises CannotUnderstand."""
    value = first(dataset, tag)
    if value is None:
        return None
    try:
        return int(value)
    except (TypeError, ValueError) as exc:
        raise CannotUnderstand(f"{tag} is no whole number", attributes=(tag,)) from exc


@dataclass(frozen=True, slots=True)
class Samples:
    """How the samples of an image are kept (PS3.3 C.7.6.3)."""

    rows: int
    columns: int
    samples_per_pixel: int
    photometric: str
    bits_stored: int
    is_signed: bool = False

    @property
    def bits_allocated(self) -> int:
        """8, 16 or 32."""
        return 8 if self.bits_stored <= 8 else 16 if self.bits_stored <= 16 else 32

    @property
    def frame_bytes(self) -> int:
        """Size of one frame without compression."""
        return self.rows * self.columns * self.samples_per_pixel * self.bits_allocated // 8

    def attributes(self) -> dict[str, Element]:
        """The Image Pixel Description Macro."""
        if not 0 < self.rows <= 0xFFFF or not 0 < self.columns <= 0xFFFF:
            raise CannotUnderstand("The image has no size that DICOM can hold", attributes=(ROWS, COLUMNS))
        found = {
            SAMPLES: element("US", self.samples_per_pixel),
            PHOTOMETRIC: element("CS", self.photometric),
            ROWS: element("US", self.rows),
            COLUMNS: element("US", self.columns),
            BITS_ALLOCATED: element("US", self.bits_allocated),
            BITS_STORED: element("US", self.bits_stored),
            HIGH_BIT: element("US", self.bits_stored - 1),
            SIGNED: element("US", int(self.is_signed)),
        }
        if self.samples_per_pixel > 1:
            found[PLANAR] = element("US", 0)
        return found
