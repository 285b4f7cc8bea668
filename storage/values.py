"""Value fields to values of the DICOM JSON model (PS3.18 F.2), one function per family of VRs.

The results are those of pydicom's `to_json_dict` for every valid value. Where that would fail or would
not be JSON, the rule here is: an empty value among others is null; a number string that is no number
(or no finite one, or beyond 64 bits) stays a string, which F.2.3 allows for IS and DS; NaN and infinite
binary numbers become "NaN", "Infinity" and "-Infinity", because RFC 8259 has no such numbers.
"""

import math
import struct
from collections.abc import Callable
from typing import Any, Final

from storage.charsets import LINE_DELIMITERS, NAME_DELIMITERS, TEXT_DELIMITERS, Charset

Buffer = Any
"""bytes, bytearray, memoryview or mmap; mypy has no type that covers slicing of all of them."""

Decoder = Callable[[Buffer, int, int, Charset], list[Any]]
"""(buffer, start, stop, character set) -> values; an empty list means that the attribute is empty."""


class WrongLength(ValueError):
    """The value field is no whole number of values."""


_GROUPS: Final = ("Alphabetic", "Ideographic", "Phonetic")
_LARGEST_INTEGER: Final = 2**63 - 1
_LONGEST_INTEGER: Final = 18
"""Decimal digits that surely fit in 64 bits."""


def _text(data: Buffer, start: int, stop: int, charset: Charset, delimiters: frozenset[int] = TEXT_DELIMITERS) -> str:
    text = str(data[start:stop], "latin-1")
    # Every supported character set has ASCII in its lower half, so plain ASCII needs no decoder.
    if "\x1b" not in text and (charset.is_latin or text.isascii()):
        return text
    return charset.decode(bytes(data[start:stop]), delimiters)


def _strings(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    """AS CS DA DT TM: default repertoire, trailing padding of the whole value field is not significant."""
    text = str(data[start:stop], "latin-1").rstrip(" \0")
    return text.split("\\") if text else []


def _titles(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    """AE: leading and trailing spaces of every value are not significant."""
    values = [part.strip(" \0\t\r\n") for part in str(data[start:stop], "latin-1").split("\\")]
    return values if len(values) > 1 or values[0] else []


def _uids(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    text = str(data[start:stop], "latin-1").rstrip(" \0")
    if "\\" in text:
        return [part.strip() for part in text.split("\\")]
    text = text.strip()
    return [text] if text else []


def _texts(data: Buffer, start: int, stop: int, charset: Charset) -> list[Any]:
    """LO SH UC: trailing padding of every value is not significant."""
    text = _text(data, start, stop, charset)
    if "\\" in text:
        return [part.rstrip(" \0") for part in text.split("\\")]
    text = text.rstrip(" \0")
    return [text] if text else []


def _long_text(data: Buffer, start: int, stop: int, charset: Charset) -> list[Any]:
    """LT ST UT: one value, a backslash is a character."""
    text = _text(data, start, stop, charset, LINE_DELIMITERS).rstrip(" \0")
    return [text] if text else []


def _uri(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    text = str(data[start:stop], "latin-1").rstrip().rstrip("\0")
    return [text] if text else []


def _name(text: str) -> dict[str, str] | None:
    """One person name; component groups that are empty at the end are left out (PS3.5 6.2.1.2)."""
    if "=" not in text:
        return {"Alphabetic": text} if text else None
    groups = text.rstrip("=").split("=")
    return dict(zip(_GROUPS, groups, strict=False)) if any(groups) else None


def _names(data: Buffer, start: int, stop: int, charset: Charset) -> list[Any]:
    text = str(data[start:stop], "latin-1")
    if "\x1b" in text or not (charset.is_latin or text.isascii()):
        text = charset.decode(bytes(data[start:stop]).rstrip(b"\0 "), NAME_DELIMITERS)
    text = text.rstrip("\0 ")
    if "\\" in text:
        return [_name(part) for part in text.split("\\")]
    name = _name(text)
    return [name] if name else []


def _decimals(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    """DS as numbers."""
    text = str(data[start:stop], "latin-1").strip(" \0\t\r\n")
    if not text:
        return []
    try:
        if "\\" not in text:
            number = float(text)
            # Only NaN and the infinities differ from themselves here.
            return [number] if number - number == 0.0 else [text]
        numbers = [float(part) for part in text.split("\\")]
    except ValueError:
        return [_decimal(part) for part in text.split("\\")]
    if math.isfinite(sum(numbers)):
        return numbers
    return [_decimal(part) for part in text.split("\\")]


def _decimal(text: str) -> float | str | None:
    text = text.strip(" \0\t\r\n")
    try:
        number = float(text)
    except ValueError:
        return text or None
    return number if math.isfinite(number) else text


def _integers(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
    """IS as numbers."""
    text = str(data[start:stop], "latin-1").strip(" \0\t\r\n")
    if not text:
        return []
    try:
        if "\\" not in text and len(text) <= _LONGEST_INTEGER:
            return [int(text)]
    except ValueError:
        pass
    return [_integer(part) for part in text.split("\\")]


def _integer(text: str) -> int | float | str | None:
    text = text.strip(" \0\t\r\n")
    try:
        number: int | float = int(text)
    except ValueError:
        decimal = _decimal(text)
        if not isinstance(decimal, float):
            return decimal
        # "3.0" is a frequent mistake; only a real fraction is worth keeping as one.
        number = int(decimal) if decimal.is_integer() else decimal
    return number if abs(number) <= _LARGEST_INTEGER else text


def _count(start: int, stop: int, size: int) -> int:
    count, rest = divmod(stop - start, size)
    if rest:
        raise WrongLength
    return count


def _binary_integers(order: str, letter: str) -> Decoder:
    """Decoder for one of SS US SL UL SV UV."""
    single = struct.Struct(order + letter)
    size, unpack_one = single.size, single.unpack_from

    def decode(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
        if stop - start == size:
            return [*unpack_one(data, start)]
        return [*struct.unpack_from(f"{order}{_count(start, stop, size)}{letter}", data, start)]

    return decode


def _binary_reals(order: str, letter: str) -> Decoder:
    """Decoder for one of FL FD."""
    size = struct.calcsize(order + letter)

    def decode(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
        numbers = struct.unpack_from(f"{order}{_count(start, stop, size)}{letter}", data, start)
        if math.isfinite(sum(numbers)):
            return [*numbers]
        return [number if math.isfinite(number) else _not_finite(number) for number in numbers]

    return decode


def _not_finite(number: float) -> str:
    if math.isnan(number):
        return "NaN"
    return "Infinity" if number > 0 else "-Infinity"


def _tags(order: str) -> Decoder:
    """Decoder for AT; an incomplete tag at the end is not a value."""

    def decode(data: Buffer, start: int, stop: int, _: Charset) -> list[Any]:
        count = (stop - start) // 4
        words = struct.unpack_from(f"{order}{2 * count}H", data, start)
        return [f"{words[i]:04X}{words[i + 1]:04X}" for i in range(0, 2 * count, 2)]

    return decode


def _decoders(order: str) -> dict[str, Decoder]:
    table: dict[str, Decoder] = dict.fromkeys(("AS", "CS", "DA", "DT", "TM"), _strings)
    table |= dict.fromkeys(("LO", "SH", "UC"), _texts) | dict.fromkeys(("LT", "ST", "UT"), _long_text)
    table |= {"AE": _titles, "UI": _uids, "PN": _names, "UR": _uri, "DS": _decimals, "IS": _integers}
    letters = {"SS": "h", "US": "H", "SL": "i", "UL": "I", "SV": "q", "UV": "Q"}
    table |= {vr: _binary_integers(order, letter) for vr, letter in letters.items()}
    return table | {"FL": _binary_reals(order, "f"), "FD": _binary_reals(order, "d"), "AT": _tags(order)}


LITTLE_ENDIAN: Final = _decoders("<")
"""VR -> decoder. SQ and the binary VRs are not here: their values are not lists of plain values."""
BIG_ENDIAN: Final = _decoders(">")

NUMBER_SIZES: Final = {"SS": 2, "US": 2, "SL": 4, "UL": 4, "SV": 8, "UV": 8, "FL": 4, "FD": 8, "AT": 4}
"""Bytes of one value, for VRs of fixed size."""

BINARY: Final = frozenset({"OB", "OW", "OF", "OD", "OL", "OV", "UN"})
LONG_FORM: Final = BINARY | {"SQ", "UT", "UC", "UR", "SV", "UV"}
"""VRs with a 32-bit length in explicit VR (PS3.5 table 7.1-1)."""
