"""Samples of colour images -> 8-bit RGB."""

import numpy as np
import numpy.typing as npt
from PIL import Image

from index.errors import CannotUnderstand
from storage.pixels.decode import DecodedFrame, Samples
from storage.pixels.description import ImageDescription, StoredFrame, numbers, text
from storage.pixels.lut import Entries, LookUpTable, read_table, words

Bytes = npt.NDArray[np.uint8]


def to_rgb(decoded: DecodedFrame, description: ImageDescription) -> Bytes:
    """(rows, columns, 3) samples -> RGB. Raises CannotUnderstand for colour spaces nobody uses any more."""
    samples = _to_bytes(decoded.samples, description)
    space = decoded.photometric_interpretation
    if samples.shape[-1] != 3:
        raise CannotUnderstand(f"{samples.shape[-1]} samples a pixel cannot be rendered")
    if space == "RGB":
        return samples
    if space == "YBR_PARTIAL":
        samples = _full_range(samples)
    elif space != "YBR_FULL":
        raise CannotUnderstand("The Photometric Interpretation cannot be rendered")
    # PS3.3 C.7.6.3.1.2 and JFIF, which Pillow follows, define the same YCbCr.
    return np.asarray(Image.frombytes("YCbCr", samples.shape[1::-1], samples.tobytes()).convert("RGB"))


def apply_palette(samples: Samples, frame: StoredFrame, description: ImageDescription) -> Bytes:
    """(rows, columns) indices -> RGB by the palette (PS3.3 C.7.6.3.1.5). Raises CannotUnderstand."""
    tables = [_palette(frame, number, signed=description.signed) for number in (1, 2, 3)]
    size = max(table.entries.size for table in tables)
    rgb = np.stack([_as_bytes(table, size) for table in tables], axis=-1)
    indices = samples.astype(np.int32) - tables[0].first
    return rgb.take(indices, axis=0, mode="clip")


_SUPPLEMENTED = frozenset({"COLOR", "MIXED"})
"""Values of Pixel Presentation (0008,9205) of images whose highest values are colours (PS3.3 C.7.6.19)."""


def has_palette(frame: StoredFrame) -> bool:
    """The data set has a palette, in words or in segments."""
    return "00281201" in frame.dataset or "00281221" in frame.dataset


def pseudo_coloured(grey: Bytes, state: StoredFrame) -> Bytes:
    """Grey of a pseudo-colour presentation state -> RGB: black takes the first entry, white the last (PS3.4 N.2.3)."""
    tables = [_palette(state, number, signed=False) for number in (1, 2, 3)]
    size = max(table.entries.size for table in tables)
    rgb = np.stack([_as_bytes(table, size) for table in tables], axis=-1)
    places = np.rint(np.arange(256) * ((size - 1) / 255.0)).astype(np.int64)
    coloured: Bytes = rgb[places].take(grey, axis=0)
    return coloured


def is_supplemented(frame: StoredFrame) -> bool:
    """A grey image whose highest values stand for colours."""
    return has_palette(frame) and text(frame.dataset, "00089205") in _SUPPLEMENTED


def supplemented(grey: Bytes, samples: Samples, frame: StoredFrame, description: ImageDescription) -> Bytes:
    """Grey where stored values are below the palette's first, colour from there on (PS3.3 C.7.6.19)."""
    first = _palette(frame, 1, signed=description.signed).first
    shown = np.repeat(grey[..., np.newaxis], 3, axis=-1)
    coloured = samples >= first
    shown[coloured] = apply_palette(samples, frame, description)[coloured]
    return shown


def _to_bytes(samples: Samples, description: ImageDescription) -> Bytes:
    spare = description.bits_stored - 8
    if samples.dtype.itemsize > 1 and spare > 0:
        samples = samples >> spare
    return np.ascontiguousarray(samples.astype(np.uint8, copy=False))


def _full_range(samples: Bytes) -> Bytes:
    """Y of 16 to 235 and C of 16 to 240 stretched to 0 to 255 (PS3.3 C.7.6.3.1.2, retired)."""
    gain = np.array((255.0 / 219.0, 255.0 / 224.0, 255.0 / 224.0))
    full = (samples - np.array((16.0, 128.0, 128.0))) * gain + np.array((0.0, 128.0, 128.0))
    rounded: Bytes = np.clip(np.rint(full), 0, 255).astype(np.uint8)
    return rounded


def _palette(frame: StoredFrame, number: int, *, signed: bool) -> LookUpTable:
    descriptor = f"0028110{number}"
    table = read_table(frame, frame.dataset, descriptor, f"0028120{number}", signed=signed)
    if table is None and f"0028122{number}" in frame.dataset and len(numbers(frame.dataset, descriptor)) == 3:
        count, first, bits = (int(value) for value in numbers(frame.dataset, descriptor))
        entries = _expand(words(frame, frame.binary(frame.dataset[f"0028122{number}"])), count or 65536)
        table = LookUpTable(entries, first, (1 << bits) - 1)
    if table is None:
        raise CannotUnderstand("A PALETTE COLOR image has no palette")
    return table


def _as_bytes(table: LookUpTable, size: int) -> Bytes:
    shift = 8 if table.largest > 255 else 0
    entries = (table.entries >> shift).astype(np.uint8)
    return np.pad(entries, (0, size - entries.size), mode="edge")


def _expand(segments: Entries, count: int) -> Entries:
    """Segmented palette data (PS3.3 C.7.9.2): discrete, linear and indirect segments -> entries."""
    found: list[int] = []
    _expand_into(found, [int(word) for word in segments], 0, None)
    if not found:
        raise CannotUnderstand("A segmented palette is empty")
    return np.array(found[:count], np.uint16)


def _expand_into(found: list[int], data: list[int], place: int, most: int | None) -> None:
    """Read segments from `place` on, at most so many; an indirect one names segments read before."""
    done = 0
    while place + 2 <= len(data) and (most is None or done < most) and len(found) <= 65536:
        kind, length = data[place : place + 2]
        if kind == 0:
            found += data[place + 2 : place + 2 + length]
            place += 2 + length
        elif kind == 1 and place + 3 <= len(data) and found:
            line = np.linspace(found[-1], data[place + 2], length + 1)[1:]
            found += [int(value) for value in np.rint(line)]
            place += 3
        elif kind == 2 and place + 4 <= len(data) and most is None:
            _expand_into(found, data, data[place + 2] // 2 | data[place + 3] << 15, length)
            place += 4
        else:
            raise CannotUnderstand("A segmented palette is damaged")
        done += 1
