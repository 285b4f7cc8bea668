"""Specific Character Set (0008,0005) to text (PS3.3 C.12.1.1.2, PS3.5 6.1.2 and annexes H to K).

ISO 2022 keeps two sets at hand: G0 for bytes below 80H and G1 for those above. An escape sequence puts another
set into one of the two, and a delimiter puts back what value 1 of Specific Character Set named. Python's codecs
know each set together with ASCII, so a stretch of bytes needs one codec, unless G0 has two bytes a character.

Nothing here raises: text that cannot be decoded keeps its readable part and gets replacement
characters, because an unreadable name must not keep an image out of the archive.
"""

import functools
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

_ESC: Final = b"\x1b"


@dataclass(frozen=True, slots=True)
class Repertoire:
    """A coded character set that Specific Character Set can name."""

    meaning: str
    codec: str
    """Python's codec, which has ASCII in its lower half too."""
    escape: bytes = b""
    """What follows ESC to designate it; empty for the sets that know no code extensions."""
    wide: bool = False
    """Two bytes a character in G0: it takes the place of ASCII."""


REPERTOIRES: Final = {
    6: Repertoire("Default repertoire", "latin-1", b"(B"),
    100: Repertoire("Latin alphabet No. 1", "latin-1", b"-A"),
    101: Repertoire("Latin alphabet No. 2", "iso8859_2", b"-B"),
    109: Repertoire("Latin alphabet No. 3", "iso8859_3", b"-C"),
    110: Repertoire("Latin alphabet No. 4", "iso8859_4", b"-D"),
    144: Repertoire("Cyrillic", "iso8859_5", b"-L"),
    127: Repertoire("Arabic", "iso8859_6", b"-G"),
    126: Repertoire("Greek", "iso8859_7", b"-F"),
    138: Repertoire("Hebrew", "iso8859_8", b"-H"),
    148: Repertoire("Latin alphabet No. 5", "iso8859_9", b"-M"),
    203: Repertoire("Latin alphabet No. 9", "iso8859_15", b"-b"),
    13: Repertoire("Japanese katakana and romaji", "shift_jis", b")I"),
    166: Repertoire("Thai", "tis_620", b"-T"),
    87: Repertoire("Japanese kanji (JIS X 0208)", "iso2022_jp", b"$B", wide=True),
    159: Repertoire("Japanese supplementary kanji (JIS X 0212)", "iso2022_jp_1", b"$(D", wide=True),
    149: Repertoire("Korean (KS X 1001)", "euc_kr", b"$)C"),
    58: Repertoire("Simplified Chinese (GB 2312)", "gb2312", b"$)A"),
    192: Repertoire("Unicode in UTF-8", "utf-8"),
}
"""Registration number in `ISO_IR n` and `ISO 2022 IR n` -> set. 6 is read as Latin-1, which many devices mean."""

GB18030: Final = Repertoire("Chinese (GB 18030)", "gb18030")
GBK: Final = Repertoire("Chinese (GBK)", "gbk")

_ALONE: Final = (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166, 192)
_EXTENDED: Final = (6, 100, 101, 109, 110, 144, 127, 126, 138, 148, 203, 13, 166, 87, 159, 149, 58)

DEFINED_TERMS: Final = {
    **{f"ISO_IR {number}": REPERTOIRES[number] for number in _ALONE},
    **{f"ISO 2022 IR {number}": REPERTOIRES[number] for number in _EXTENDED},
    "GB18030": GB18030,
    "GBK": GBK,
}
"""PS3.3 tables C.12-2 to C.12-5."""

_BY_NAME: Final = {
    "": REPERTOIRES[6],
    "GB18030": GB18030,
    "GBK": GBK,
    # Not defined terms, but seen in the field.
    "ISO 2022 GBK": GBK,
    "ISO 2022 58": REPERTOIRES[58],
    "UTF-8": REPERTOIRES[192],
    "UTF8": REPERTOIRES[192],
    "LATIN1": REPERTOIRES[100],
    "ISO_8859-1": REPERTOIRES[100],
    "ISO8859-1": REPERTOIRES[100],
}

_NUMBERED: Final = re.compile(r"ISO.?(?:2022.?)?IR.?(\d+)")

_ESCAPE: Final = re.compile(rb"\x1b([\x20-\x2f]+[\x30-\x7e])")
_ROMAJI: Final = b"(J"
_NARROW: Final = frozenset({b"(B", _ROMAJI})
"""ASCII, or ISO 646 with yen and overline in two places, into G0. We read both as ASCII, as everybody does."""
_WIDE: Final = {
    **{one.escape: one.codec for one in REPERTOIRES.values() if one.wide},
    # Not in the standard, but in the field: the edition of 1978, and the long form of the same escape sequence.
    b"$@": "iso2022_jp",
    b"$(B": "iso2022_jp",
}
_UPPER: Final = {
    one.escape: one.codec for number, one in REPERTOIRES.items() if one.escape and not one.wide and number != 6
}

_VENDORS: Final = {
    "euc_kr": "cp949",
    "gb2312": "gb18030",
    "gbk": "gb18030",
    "shift_jis": "cp932",
    "tis_620": "cp874",
}
"""Sets that contain another one, and that devices mean when they say that one. Tried when that one fails."""

LINE_DELIMITERS: Final = frozenset(b"\t\n\x0c\r")
"""Characters that switch back to the initial sets inside one long value (PS3.5 6.1.2.5.3)."""
TEXT_DELIMITERS: Final = LINE_DELIMITERS | frozenset(b"\\")
"""The same where a backslash separates values."""
NAME_DELIMITERS: Final = TEXT_DELIMITERS | frozenset(b"^=")

_PAIRS: Final = re.compile(rb"([\x21-\x7e]+)")


class Charset:
    """The character set of one data set or sequence item."""

    __slots__ = ("codec", "has_escapes", "is_latin")

    def __init__(self, codec: str) -> None:
        """`codec` is the Python codec of what is in force before any escape sequence."""
        self.codec = codec
        self.is_latin = codec == "latin-1"
        # UTF-8, GB 18030 and GBK know no code extensions (PS3.3 C.12.1.1.2).
        self.has_escapes = codec not in ("utf-8", GB18030.codec, GBK.codec)

    def decode(self, data: bytes, delimiters: frozenset[int] = TEXT_DELIMITERS) -> str:
        """Text of an encoded value, escape sequences of ISO 2022 included."""
        if _ESC not in data or not self.has_escapes:
            return _decoded(data, self.codec)
        first, *others = _ESCAPE.split(data)
        found = [_decoded(first, self.codec)]
        wide, upper = b"", self.codec
        for escape, body in zip(others[::2], others[1::2], strict=True):
            if escape in _NARROW:
                wide = b""
            elif escape in _WIDE:
                wide = escape
            elif escape in _UPPER:
                upper = _UPPER[escape]
            else:
                found.append((_ESC + escape).decode("ascii"))
            # Inside a set of two bytes a character, delimiters are halves of characters; controls never are.
            ends = LINE_DELIMITERS if wide else delimiters
            end = next((index for index, byte in enumerate(body) if byte in ends), len(body))
            found.append(_pairs(body[:end], wide, upper) if wide else _decoded(body[:end], upper))
            if end < len(body):
                wide, upper = b"", self.codec
                found.append(_decoded(body[end:], self.codec))
        return "".join(found)


DEFAULT: Final = Charset("latin-1")


def repertoire(term: str) -> Repertoire | None:
    """Defined term, or one of its common misspellings -> its set; None when there is no such set."""
    name = term.strip(" \0").upper()
    numbered = _NUMBERED.fullmatch(name)
    return REPERTOIRES.get(int(numbered[1][:6])) if numbered else _BY_NAME.get(name)


def charset_of(values: Sequence[object]) -> Charset:
    """The character set that Specific Character Set (0008,0005) with these values announces.

    Unknown terms mean the default. Where value 1 is the default repertoire, which has no characters above
    7FH, bytes above it belong to the next set named: some devices forget its escape sequence.
    """
    return _charset(tuple(str(value or "") for value in values))


@functools.lru_cache(maxsize=256)
def _charset(terms: tuple[str, ...]) -> Charset:
    named = [repertoire(term) or REPERTOIRES[6] for term in terms] or [REPERTOIRES[6]]
    if named[0] is REPERTOIRES[6]:
        codecs = [one.codec for one in named[1:] if not one.wide and one is not REPERTOIRES[6]]
        return Charset(codecs[0]) if codecs else DEFAULT
    return Charset(named[0].codec)


def _decoded(data: bytes, codec: str) -> str:
    try:
        return data.decode(codec)
    except UnicodeDecodeError:
        try:
            return data.decode(_VENDORS.get(codec, codec))
        except UnicodeDecodeError:
            return data.decode(codec, "replace")


def _pairs(data: bytes, escape: bytes, upper: str) -> str:
    """Text while G0 holds a set of two bytes a character."""
    parts = enumerate(_PAIRS.split(data))
    return "".join([_kanji(part, escape) if number % 2 else _decoded(part, upper) for number, part in parts])


def _kanji(pairs: bytes, escape: bytes) -> str:
    codec = _WIDE[escape]
    designated = _ESC + (b"$B" if codec == "iso2022_jp" else escape) + pairs
    try:
        return designated.decode(codec)
    except UnicodeDecodeError:
        return designated.decode(codec, "replace") if len(pairs) % 2 else _vendor_kanji(pairs, designated, codec)


def _vendor_kanji(pairs: bytes, designated: bytes, codec: str) -> str:
    """Rows that JIS X 0208 leaves free and that Windows fills: the same code points moved to its own encoding."""
    moved = bytearray()
    for first, second in zip(pairs[::2], pairs[1::2], strict=True):
        lead = (first - 0x21) // 2 + 0x81
        trail = second + (0x1F if second < 0x60 else 0x20) if first % 2 else second + 0x7E
        moved += bytes((lead + 0x40 if lead > 0x9F else lead, trail))
    try:
        return moved.decode("cp932")
    except UnicodeDecodeError:
        return designated.decode(codec, "replace")
