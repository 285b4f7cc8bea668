"""Look-up tables stored in data sets: modality, VOI and palette."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from index.errors import CannotUnderstand
from index.records import DicomJson
from storage import syntaxes
from storage.pixels.description import StoredFrame, numbers, values

Entries = npt.NDArray[np.uint16]


@dataclass(frozen=True, eq=False, slots=True)
class LookUpTable:
    """Values from `first` on, one an entry (PS3.3 C.11.1.1)."""

    entries: Entries
    first: int
    largest: int
    """The output value that means white."""

    def apply(self, stored: npt.NDArray[Any]) -> Entries:
        """The entry of each value; those outside the table take its first or last one."""
        places = np.clip(np.rint(stored) - self.first, 0, self.entries.size - 1).astype(np.int64)
        found: Entries = self.entries.take(places)
        return found


def look_up_table(frame: StoredFrame, sequence: list[DicomJson], *, signed: bool) -> LookUpTable | None:
    """The table of the first item of a Modality or VOI LUT Sequence; None when there is none."""
    if not sequence:
        return None
    return read_table(frame, sequence[0], "00283002", "00283006", signed=signed)


def read_table(
    frame: StoredFrame, item: DicomJson, descriptor_tag: str, data_tag: str, *, signed: bool = False
) -> LookUpTable | None:
    """A table from its descriptor (entries, first value, bits) and its data. None when either is missing."""
    descriptor = [int(number) for number in numbers(item, descriptor_tag)]
    if len(descriptor) != 3 or data_tag not in item:
        return None
    count, first, bits = descriptor[0] & 0xFFFF or 65536, descriptor[1], descriptor[2]
    if signed and first > 32767:
        first -= 65536
    entries = _entries(frame, item, data_tag, count)
    if not entries.size or not 0 < bits <= 16:
        raise CannotUnderstand("A look-up table is empty or has an impossible descriptor")
    return LookUpTable(entries, first, max((1 << bits) - 1, int(entries.max())))


def _entries(frame: StoredFrame, item: DicomJson, tag: str, count: int) -> Entries:
    """LUT Data is numbers (US) or binary (OW); 8-bit entries may be packed two a word."""
    found = values(item, tag)
    if found:
        return np.array([int(value) & 0xFFFF for value in found], np.uint16)[:count]
    data = frame.binary(item[tag])
    if len(data) in (count, count + 1) and count > 2:
        return np.frombuffer(in_word_order(frame, data), np.uint8).astype(np.uint16)[:count]
    return words(frame, data)[:count]


def words(frame: StoredFrame, data: bytes) -> Entries:
    """16-bit words in the byte order of the stored data set."""
    syntax = syntaxes.lookup(frame.transfer_syntax_uid)
    order = ">" if syntax is not None and not syntax.little_endian else "<"
    return np.frombuffer(data, f"{order}u2", len(data) // 2).astype(np.uint16)


def in_word_order(frame: StoredFrame, data: bytes) -> bytes:
    """Bytes that are stored as words (OW), in the order that they have in little endian."""
    return words(frame, data + b"\0" * (len(data) % 2)).astype("<u2").tobytes()
