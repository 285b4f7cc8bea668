"""How names sound: one short key for a word, the same for spellings that people mix up. For `fuzzymatching` alone.

Latin letters only; other scripts spell what they sound, or do not spell at all, and have no key. The key keeps the
consonants in classes of likeness and drops vowels behind the first letter, so that Meyer, Maier and Mayr are one, as
are Schmidt and Schmitt, Stephen and Steven, Swain and Swayne, Mohammed and Muhamad. It errs on the side of finding.
"""

import re
from functools import lru_cache
from typing import Final

SHORTEST: Final = 2
"""Characters of a key that tells anything: `l` alone would stand for Lee, Lao and Ali's Loy."""

_LETTERS: Final = re.compile(r"[a-z]{2,}")
_GROUPS: Final = (
    (re.compile(r"sch|sh|tz|ts|cz"), "s"),
    (re.compile(r"ph|pf"), "f"),
    (re.compile(r"th|dt"), "t"),
    (re.compile(r"ck|ch|qu|q"), "k"),
    (re.compile(r"x"), "ks"),
    (re.compile(r"c(?=[eiy])"), "s"),
    (re.compile(r"^y(?=[aeiou])"), "j"),
)
_CLASSES: Final = str.maketrans({"c": "k", "z": "s", "w": "f", "v": "f", "d": "t"})
_FIRST_VOWEL: Final = re.compile(r"^[aeiouy]")
_SILENT: Final = re.compile(r"(?<=.)[aeiouyh]+")
_DOUBLED: Final = re.compile(r"(.)\1+")


@lru_cache(maxsize=4096)
def sound(word: str) -> str:
    """The key of a folded word; empty when it has none."""
    if not _LETTERS.fullmatch(word):
        return ""
    key = word
    for pattern, letters in _GROUPS:
        key = pattern.sub(letters, key)
    key = _SILENT.sub("", _FIRST_VOWEL.sub("a", key.translate(_CLASSES)))
    key = _DOUBLED.sub(r"\1", key)
    return key if len(key) >= SHORTEST else ""
