"""Specific Character Set (0008,0005) to text (PS3.3 C.12.1.1.2, PS3.5 6.1.2 and annexes H to K).

Nothing here raises: text that cannot be decoded keeps its readable part and gets replacement
characters, because an unreadable name must not keep an image out of the archive.
"""

import functools
import re
from collections.abc import Sequence
from typing import Final

_ESC: Final = b"\x1b"

_BY_NUMBER: Final = {
    6: "latin-1",
    13: "shift_jis",
    14: "shift_jis",
    58: "gb2312",
    87: "iso2022_jp",
    100: "latin-1",
    101: "iso8859_2",
    109: "iso8859_3",
    110: "iso8859_4",
    126: "iso8859_7",
    127: "iso8859_6",
    138: "iso8859_8",
    144: "iso8859_5",
    148: "iso8859_9",
    149: "euc_kr",
    159: "iso2022_jp_2",
    166: "tis_620",
    192: "utf-8",
    203: "iso8859_15",
}
"""Registration number in ISO_IR n and ISO 2022 IR n -> Python codec. 6 is read as Latin-1, which many devices mean."""

_BY_NAME: Final = {
    "": "latin-1",
    "GB18030": "gb18030",
    "GBK": "gbk",
    "ISO 2022 GBK": "gbk",
    "ISO 2022 58": "gb2312",
    # Not defined terms, but seen in the field.
    "UTF-8": "utf-8",
    "UTF8": "utf-8",
    "LATIN1": "latin-1",
    "ISO_8859-1": "latin-1",
    "ISO8859-1": "latin-1",
}

_NUMBERED: Final = re.compile(r"ISO.?(?:2022.?)?IR.?(\d+)")

_ESCAPES: Final = {
    b"-A": "latin-1",
    b"-B": "iso8859_2",
    b"-C": "iso8859_3",
    b"-D": "iso8859_4",
    b"-F": "iso8859_7",
    b"-G": "iso8859_6",
    b"-H": "iso8859_8",
    b"-L": "iso8859_5",
    b"-M": "iso8859_9",
    b"-T": "tis_620",
    b"-b": "iso8859_15",
    b")I": "shift_jis",
    b"(J": "shift_jis",
    b"$)A": "gb2312",
    b"$)C": "euc_kr",
}
"""What follows ESC (PS3.3 tables C.12-3 and C.12-4) -> codec for the bytes behind it."""

_STATEFUL: Final = {b"$B": "iso2022_jp", b"$@": "iso2022_jp", b"$(D": "iso2022_jp_2"}
"""Escapes that Python's codec must see itself, because they switch it to two bytes a character."""

TEXT_DELIMITERS: Final = frozenset(b"\t\n\x0c\r\\")
"""Characters that switch back to the initial character set (PS3.5 6.1.2.5.3)."""
NAME_DELIMITERS: Final = TEXT_DELIMITERS | frozenset(b"^=")


class Charset:
    """The character set of one data set or sequence item."""

    __slots__ = ("codec", "is_latin")

    def __init__(self, codec: str) -> None:
        """`codec` is the Python codec of the first value, which is in force before any escape sequence."""
        self.codec = codec
        self.is_latin = codec == "latin-1"

    def decode(self, data: bytes, delimiters: frozenset[int] = TEXT_DELIMITERS) -> str:
        """Text of an encoded value, escape sequences of ISO 2022 included."""
        if _ESC not in data:
            return data.decode(self.codec, "replace")
        first, *others = data.split(_ESC)
        return first.decode(self.codec, "replace") + "".join(self._escaped(part, delimiters) for part in others)

    def _escaped(self, part: bytes, delimiters: frozenset[int]) -> str:
        """Text of what stands between one ESC and the next; `part` starts behind the ESC."""
        size = 3 if part[:2] in (b"$(", b"$)") else 2
        escape = part[:size]
        if escape == b"(B":
            return part[size:].decode(self.codec, "replace")
        if escape in _STATEFUL:
            return (_ESC + part).decode(_STATEFUL[escape], "replace")
        codec = _ESCAPES.get(escape)
        if codec is None:
            return (_ESC + part).decode(self.codec, "replace")
        body = part[size:]
        end = next((index for index, byte in enumerate(body) if byte in delimiters), len(body))
        return body[:end].decode(codec, "replace") + body[end:].decode(self.codec, "replace")


DEFAULT: Final = Charset("latin-1")


@functools.lru_cache(maxsize=64)
def _charset(term: str) -> Charset:
    """Defined term, or one of its common misspellings -> character set; unknown terms mean the default."""
    name = term.strip(" \0").upper()
    numbered = _NUMBERED.fullmatch(name)
    codec = _BY_NUMBER.get(int(numbered[1][:6])) if numbered else _BY_NAME.get(name)
    return Charset(codec) if codec else DEFAULT


def charset_of(values: Sequence[object]) -> Charset:
    """The character set that Specific Character Set (0008,0005) with these values announces."""
    return _charset(str(values[0])) if values else DEFAULT
