"""What is known of an image without looking at its pixels, read from its DICOM JSON metadata."""

import base64
import binascii
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from index.errors import CannotUnderstand
from index.records import DicomJson, Element


@dataclass(frozen=True, slots=True)
class ImageDescription:
    """The Image Pixel attributes (PS3.3 C.7.6.3) that decide how frame bytes become samples."""

    rows: int
    columns: int
    samples_per_pixel: int
    bits_allocated: int
    bits_stored: int
    signed: bool
    photometric_interpretation: str
    planar_configuration: int
    number_of_frames: int
    floating: bool = False
    """Float or Double Float Pixel Data (PS3.3 C.7.6.24 and .25)."""
    words: bool = True
    """Pixel Data has VR OW: in big endian even single bytes stand in swapped pairs (PS3.5 7.3)."""

    @classmethod
    def from_json(cls, dataset: DicomJson) -> "ImageDescription":
        """Read the attributes of a data set. Raises CannotUnderstand when they describe no image."""
        floating = "7FE00008" in dataset or "7FE00009" in dataset
        allocated = 64 if "7FE00009" in dataset else 32 if "7FE00008" in dataset else integer(dataset, "00280100", 0)
        stored = allocated if floating else integer(dataset, "00280101", allocated)
        description = cls(
            rows=integer(dataset, "00280010", 0),
            columns=integer(dataset, "00280011", 0),
            samples_per_pixel=integer(dataset, "00280002", 1),
            bits_allocated=allocated,
            bits_stored=stored,
            signed=integer(dataset, "00280103", 0) == 1 and not floating,
            photometric_interpretation=text(dataset, "00280004") or "MONOCHROME2",
            planar_configuration=integer(dataset, "00280006", 0),
            number_of_frames=max(1, integer(dataset, "00280008", 1)),
            floating=floating,
            words=dataset.get("7FE00010", {}).get("vr") != "OB",
        )
        description.check()
        return description

    def check(self) -> None:
        """Raise CannotUnderstand unless the sizes are those of an image that the standard allows."""
        if not (0 < self.rows <= 65535 and 0 < self.columns <= 65535):
            raise CannotUnderstand(f"Rows x Columns is {self.rows} x {self.columns}")
        if self.bits_allocated not in (1, 8, 16, 32, 64) or not 0 < self.bits_stored <= self.bits_allocated:
            raise CannotUnderstand(f"Bits Stored {self.bits_stored} of Bits Allocated {self.bits_allocated}")
        if not 0 < self.samples_per_pixel <= 4:
            raise CannotUnderstand(f"Samples per Pixel is {self.samples_per_pixel}")

    @property
    def subsampled(self) -> bool:
        """Native frames hold two chrominance samples for two pixels (PS3.3 C.7.6.3.1.2)."""
        return self.photometric_interpretation in ("YBR_FULL_422", "YBR_PARTIAL_422")

    @property
    def native_bits(self) -> int:
        """Bits of one native frame."""
        samples = 2 if self.subsampled else self.samples_per_pixel
        return self.rows * self.columns * samples * self.bits_allocated

    @property
    def sample_bytes(self) -> int:
        """Bytes of one decoded sample; single bits are decoded to whole bytes."""
        return max(8, self.bits_allocated) // 8

    @property
    def decoded_bytes(self) -> int:
        """Bytes of one decoded frame with all its samples."""
        return self.rows * self.columns * self.samples_per_pixel * self.sample_bytes


@dataclass(frozen=True, slots=True)
class StoredFrame:
    """One frame as it lies in the store, with all that is needed to understand it.

    `data` are the frame's own bytes: the concatenated fragments of a compressed frame, or the bytes of
    a native one (single-bit frames already cut so that they start in bit 0 of the first byte).
    `bulk` returns a value of the object that the metadata only refers to, by its path in the layout
    (`00281201`); large look-up tables stand there.
    """

    data: bytes
    dataset: DicomJson
    transfer_syntax_uid: str
    number: int = 1
    bulk: Callable[[str], bytes] | None = None

    def binary(self, element: Element) -> bytes:
        """The bytes of a binary element in the byte order of the stored data set; empty when it has no value."""
        if "InlineBinary" in element:
            try:
                return base64.b64decode(element["InlineBinary"], validate=True)
            except (binascii.Error, ValueError) as exc:
                raise CannotUnderstand("InlineBinary is not base64") from exc
        if "BulkDataURI" in element and self.bulk is not None:
            return self.bulk(str(element["BulkDataURI"]).partition("/bulkdata/")[2])
        return b""


def values(dataset: DicomJson, tag: str) -> list[Any]:
    """The values of an attribute; empty when it is absent, empty or binary."""
    element = dataset.get(tag)
    found = element.get("Value") if element else None
    return found if isinstance(found, list) else []


def numbers(dataset: DicomJson, tag: str) -> list[float]:
    """The values of an attribute as finite numbers; those that are none are left out."""
    return list(_numbers(values(dataset, tag)))


def _numbers(found: list[Any]) -> Iterator[float]:
    for value in found:
        try:
            number = float(value)
        except (TypeError, ValueError, OverflowError):
            continue
        if math.isfinite(number):
            yield number


def integer(dataset: DicomJson, tag: str, default: int) -> int:
    """The first value of an attribute as an integer."""
    found = numbers(dataset, tag)
    return int(found[0]) if found and abs(found[0]) < 2**53 else default


def text(dataset: DicomJson, tag: str) -> str:
    """The first value of an attribute as text without padding."""
    found = values(dataset, tag)
    return str(found[0]).strip() if found and found[0] is not None else ""


def items(dataset: DicomJson, tag: str) -> list[DicomJson]:
    """The items of a sequence."""
    return [item for item in values(dataset, tag) if isinstance(item, dict)]
