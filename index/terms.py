"""Values of declared attributes as they are written to the index and as they are asked for: both by the same rules.

A term is a text: dates, times and moments in a form that sorts, numbers in one spelling, names folded, one term for
each component group.
"""

import base64
import struct
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from hashlib import blake2b
from types import MappingProxyType
from typing import Any, Final

import orjson

from index.attributes import Matching
from index.moments import offset_minutes, shifted
from index.records import Element
from index.words.matching import date_text, name_terms, plain, time_text

MATCHING: Final[Mapping[str, Matching]] = MappingProxyType(
    {
        **dict.fromkeys(("AE", "AS", "AT", "CS", "LO", "LT", "SH", "ST", "UC", "UR", "UT"), Matching.TEXT),
        **dict.fromkeys(("DS", "FD", "FL", "IS", "SL", "SS", "SV", "UL", "US", "UV"), Matching.INTEGER),
        "PN": Matching.NAME,
        "DA": Matching.DATE,
        "TM": Matching.TIME,
        "DT": Matching.DATE,
        "UI": Matching.UID,
    }
)
"""How attributes of a VR are matched. The other VRs hold bytes or items, which nobody can ask for."""

_BINARY_NUMBERS: Final = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_FIRST_MOMENT: Final = "00010101000000.000000"
_LAST_MOMENT: Final = "99991231235959.999999"
_MOST_OF_FL: Final = 3e38
_DIGEST_BYTES: Final = 6

DIGEST_CHARACTERS: Final = 8
"""Length of what `digest` makes."""


def digest(value: Any) -> str:
    """What tells items with different contents apart; in one owner, 48 bits do."""
    return base64.b64encode(blake2b(orjson.dumps(value), digest_size=_DIGEST_BYTES).digest()).decode()


def terms_of(vr: str, element: Element) -> Iterator[tuple[str, str]]:
    """The terms of an element, each with what tells the values of a name apart. What cannot be read has none."""
    for value in element.get("Value") or _hidden_values(vr, element):
        if value is None or value == "":
            continue
        if vr == "PN":
            groups = [str(group) for group in value.values()] if isinstance(value, dict) else str(value).split("=")
            yield from ((term, digest(value)) for term in name_terms(groups))
        elif not isinstance(value, dict) and (term := term_of(vr, str(value))):
            yield term, ""


def term_of(vr: str, text: str) -> str:
    """The term of one value; empty when it is none."""
    kind = MATCHING[vr]
    if vr == "DT":
        bounds = moment_bounds(text)
        return bounds[0] if bounds else ""
    if kind is Matching.DATE:
        return date_text(text)
    if kind is Matching.TIME:
        return time_text(text)
    return number_text(text, vr) if kind is Matching.INTEGER else plain(text)


def number_text(text: str, vr: str) -> str:
    """A number in its one spelling, `1.50` and `15E-1` are `1.5`; empty when it is none."""
    try:
        number = Decimal(text.strip(" \0"))
    except InvalidOperation:
        return ""
    if not number.is_finite() or abs(number.adjusted()) > 400:
        return ""
    if number == number.to_integral_value():
        return str(int(number))
    # By way of float: 0.1 in 32 bits comes with all the digits that it then has.
    narrow = vr == "FL" and abs(number) < _MOST_OF_FL
    return repr(struct.unpack("<f", struct.pack("<f", number))[0] if narrow else float(number))


def moment_bounds(text: str) -> tuple[str, str] | None:
    """First and last moment of a DT value, `yyyymmddhhmmss.ffffff`; with an offset from UTC in UTC. None: no moment.

    `2024` is the whole year (PS3.5 6.2).
    """
    text = text.strip(" \0")
    body, offset = text, None
    if len(text) > 5 and text[-5] in "+-":
        body, offset = text[:-5], offset_minutes(text[-5:])
        if offset is None:
            return None
    digits, _, fraction = body.partition(".")
    if not (digits + fraction).isdecimal() or not body.isascii() or len(digits) not in (4, 6, 8, 10, 12, 14):
        return None
    if len(fraction) > 6 or ("." in body) != bool(fraction) or (fraction and len(digits) != 14):
        return None
    first = digits + _FIRST_MOMENT[len(digits) : 15] + fraction.ljust(6, "0")
    last = digits + _LAST_MOMENT[len(digits) : 15] + fraction.ljust(6, "9")
    last = _within_month(last) if len(digits) == 6 else last
    if not (_is_moment(first) and _is_moment(last)):
        return None
    return (first, last) if offset is None else (shifted(first, -offset), shifted(last, -offset))


def _within_month(last: str) -> str:
    """The last day of the month is the 31st or earlier."""
    for day in ("31", "30", "29", "28"):
        if _is_moment(last[:6] + day + last[8:]):
            return last[:6] + day + last[8:]
    return last


def _is_moment(text: str) -> bool:
    seconds = min(int(text[12:14]), 59) if text[12:14] <= "60" else 99
    try:
        datetime.strptime(f"{text[:12]}{seconds:02d}", "%Y%m%d%H%M%S").replace(tzinfo=UTC)
    except ValueError:
        return False
    return True


def _hidden_values(vr: str, element: Element) -> list[Any]:
    """The values of an element that was stored as bytes: a private one in implicit VR, which nobody knew then."""
    inline = element.get("InlineBinary")
    if inline is None or element.get("vr") != "UN":
        return []
    raw = base64.b64decode(inline)
    code = _BINARY_NUMBERS.get(vr)
    if code:
        count, rest = divmod(len(raw), struct.calcsize(code))
        return [] if rest else list(struct.unpack(f"<{count}{code}", raw))
    try:
        text = raw.decode("utf-8")
    except UnicodeDecodeError:
        return []
    # Which character set it is in is not known either; of names only the alphabetic group is sure to be read.
    return text.rstrip(" \0").split("\\") if vr not in ("LT", "ST", "UT", "UR") else [text.rstrip(" \0")]
