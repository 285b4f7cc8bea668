"""Text of answers in the character set that the peer asked with (PS3.5 6.1.2.5), where it can hold it."""

import functools
import re
from collections.abc import Iterator, Sequence
from typing import Final

from dimse.elements import Encode
from storage.charsets import NAME_DELIMITERS, REPERTOIRES, Repertoire, repertoire

UTF_8: Final = "ISO_IR 192"

_DELIMITERS: Final = re.compile("([" + re.escape("".join(map(chr, sorted(NAME_DELIMITERS)))) + "])")

_ASCII: Final = Repertoire("ASCII", "ascii")
_KATAKANA: Final = REPERTOIRES[13]
_FREE: Final = frozenset({"utf-8", "gb18030", "gbk"})
"""Codecs of sets that know no code extensions and hold every character they need themselves."""

_BACK: Final = b"\x1b(B"
_BACK_TO_ROMAJI: Final = b"\x1b(J"
_WIDTH: Final = {"euc_kr": 2, "gb2312": 2, "iso2022_jp": 2, "iso2022_jp_1": 2}
"""Bytes of a character where it is not one. Python's codecs also write longer forms, which not every reader knows."""


def encoder(terms: Sequence[str]) -> Encode:
    """The encoder of Specific Character Set (0008,0005) with these values.

    It raises UnicodeEncodeError for what the sets lack, and for everything but ASCII when their names are unknown.
    """
    named = [repertoire(term) for term in terms] or [None]
    first = named[0] or _ASCII
    if first.codec in _FREE:
        return lambda text: text.encode(first.codec)
    initial = _ASCII if first is REPERTOIRES[6] else first
    extensions = tuple(one for one in named if one is not None and one.escape and one is not REPERTOIRES[6])
    # Where the only value names a set without code extensions, escape sequences are not allowed.
    alone = len(named) == 1 and not (initial.wide or initial.codec in _WIDTH)
    return functools.partial(_encode, initial, () if alone else extensions)


def _encode(initial: Repertoire, extensions: Sequence[Repertoire], text: str) -> bytes:
    if text.isascii():
        return text.encode("ascii")
    # Each stretch between delimiters starts in the initial character set again (PS3.5 6.1.2.5.3).
    stretches = _DELIMITERS.split(text)
    return b"".join([piece for stretch in stretches for piece in _stretch(stretch, initial, extensions)])


def _stretch(text: str, initial: Repertoire, extensions: Sequence[Repertoire]) -> Iterator[bytes]:
    """The characters of a stretch, with an escape sequence wherever the set changes; ends with ASCII in G0."""
    upper, lower = initial, _ASCII
    back = _BACK_TO_ROMAJI if initial is _KATAKANA else _BACK
    if initial.wide:
        upper = _ASCII
    for character in text:
        if character.isascii():
            if lower.wide:
                yield back
                lower = _ASCII
            yield character.encode("ascii")
            continue
        for one in dict.fromkeys((upper, lower, initial, *extensions)):
            encoded = _character(character, one)
            if encoded:
                break
        else:
            raise UnicodeEncodeError("dicom", text, 0, len(text), "no set named can hold it")
        if one not in (upper, lower):
            yield b"\x1b" + one.escape
            upper, lower = (upper, one) if one.wide else (one, lower)
        yield encoded
    if lower.wide:
        yield back


@functools.lru_cache(maxsize=4096)
def _character(character: str, one: Repertoire) -> bytes:
    """One character that is not ASCII; empty when the set lacks it."""
    if one is _KATAKANA:
        # The codec would also write kanji, as bytes that this set has not.
        return character.encode(one.codec) if "\uff61" <= character <= "\uff9f" else b""
    try:
        encoded = character.encode(one.codec)
    except UnicodeEncodeError:
        return b""
    if one.wide:
        opening = b"\x1b" + one.escape
        encoded = encoded[len(opening) : -len(_BACK)] if encoded.startswith(opening) else b""
    return encoded if len(encoded) == _WIDTH.get(one.codec, 1) else b""
