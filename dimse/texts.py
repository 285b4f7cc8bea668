"""Text of answers in the character set that the peer asked with (PS3.5 6.1.2.5), where it can hold it."""

import re
from collections.abc import Sequence
from typing import Final

from dimse.elements import Encode
from storage.charsets import charset_of

UTF_8: Final = "ISO_IR 192"

_DELIMITERS: Final = re.compile(r"([\\^=\r\n\f\t])")

_EXTENSIONS: Final = {
    "ISO 2022 IR 100": (b"\x1b-A", "latin-1"),
    "ISO 2022 IR 101": (b"\x1b-B", "iso8859_2"),
    "ISO 2022 IR 109": (b"\x1b-C", "iso8859_3"),
    "ISO 2022 IR 110": (b"\x1b-D", "iso8859_4"),
    "ISO 2022 IR 126": (b"\x1b-F", "iso8859_7"),
    "ISO 2022 IR 127": (b"\x1b-G", "iso8859_6"),
    "ISO 2022 IR 138": (b"\x1b-H", "iso8859_8"),
    "ISO 2022 IR 144": (b"\x1b-L", "iso8859_5"),
    "ISO 2022 IR 148": (b"\x1b-M", "iso8859_9"),
    "ISO 2022 IR 166": (b"\x1b-T", "tis_620"),
    "ISO 2022 IR 203": (b"\x1b-b", "iso8859_15"),
    "ISO 2022 IR 149": (b"\x1b$)C", "euc_kr"),
    "ISO 2022 IR 58": (b"\x1b$)A", "gb2312"),
    # Python's codecs write the escape sequences of these themselves, and return to ASCII at the end.
    "ISO 2022 IR 87": (b"", "iso2022_jp"),
    "ISO 2022 IR 159": (b"", "iso2022_jp_2"),
}
"""Code extensions (PS3.3 tables C.12-3 and C.12-4) -> escape sequence and Python codec."""


def encoder(terms: Sequence[str]) -> Encode:
    """The encoder of Specific Character Set (0008,0005) with these values."""
    first = terms[0].strip() if terms else ""
    extensions = [_EXTENSIONS[term.strip()] for term in terms[1:] if term.strip() in _EXTENSIONS]
    codec = "ascii" if first in ("", "ISO_IR 6", "ISO 2022 IR 6") else charset_of([first]).codec
    if not extensions:
        return lambda text: text.encode(codec)

    def encode(text: str) -> bytes:
        if text.isascii():
            return text.encode("ascii")
        # Each stretch between delimiters starts in the initial character set again (PS3.5 6.1.2.5.3).
        return b"".join(_stretch(part, codec, extensions) for part in _DELIMITERS.split(text))

    return encode


def _stretch(text: str, codec: str, extensions: Sequence[tuple[bytes, str]]) -> bytes:
    try:
        return text.encode(codec)
    except UnicodeEncodeError:
        for escape, extension in extensions:
            try:
                return escape + text.encode(extension)
            except UnicodeEncodeError:
                continue
        raise
