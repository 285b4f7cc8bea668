"""Normalised text and patterns: what is written to a search column and what is asked of it must agree.

Person names are compared case and accent blind, component group by component group. A names column holds all
groups as `=group=group=`; no group can contain `=`, so `%=x%` is "a group begins with x" and `%=x=%` is "a
group is x".
"""

import re
import unicodedata
from datetime import date
from functools import lru_cache

MAXIMUM_CHARACTERS = 200
"""Search columns are cut here, and so are the values asked for: index entries of PostgreSQL hold 2,700 bytes."""

HIGHEST = "\U0010ffff"
"""Sorts behind every character: the upper bound of a prefix."""

_WILD = re.compile(r"([*?])")
_ANYTHING = "[^=]*"
_LETTERS = {
    **str.maketrans("øłđðı=", "olddi "),
    **str.maketrans({"æ": "ae", "œ": "oe", "þ": "th"}),
    # Letters that are written in two ways: alef maksura, teh marbuta, alef wasla, and the Persian kaf and yeh.
    **str.maketrans("\u0649\u0629\u0671\u06a9\u06cc", "\u064a\u0647\u0627\u0643\u064a"),
    # Hebrew final forms.
    **str.maketrans("\u05da\u05dd\u05df\u05e3\u05e5", "\u05db\u05de\u05e0\u05e4\u05e6"),
    # Katakana, which stand 96 code points behind hiragana.
    **{code: code - 0x60 for code in (*range(0x30A1, 0x30F7), 0x30FD, 0x30FE)},
}
_MARKS = re.compile(
    "["
    "\u0300-\u036f"  # Combining diacritical marks.
    "\u0591-\u05bd\u05bf\u05c1\u05c2\u05c4\u05c5\u05c7"  # Hebrew points and accents.
    "\u0610-\u061a\u0640\u064b-\u065f\u0670\u06d6-\u06dc\u06df-\u06e8\u06ea-\u06ed"  # Arabic vowels, tatweel, hamza.
    "\u00ad\u200b-\u200f\u202a-\u202e\u2060-\u2064\u2066-\u2069\ufeff"  # Joiners and directions, invisible.
    "]"
)
_BETWEEN_WORDS = re.compile(r"[\s^=,-]+")
_DATE = re.compile(r"(\d{4})[.]?(\d{2})[.]?(\d{2})")
_TIME = re.compile(r"(\d{2})(?::?(\d{2})(?::?(\d{2})(?:\.(\d{1,6}))?)?)?")


def fold(text: str) -> str:
    """Lower case without accents, in every script.

    What goes are accents of Latin, Greek and Cyrillic letters, vowel points of Hebrew and Arabic, and signs that
    nobody sees. Kana are written as hiragana. Voicing marks of kana and the vowels and tones of Thai and Indic scripts
    stay: they make another sound, not another spelling.
    """
    if "\0" in text:
        # PostgreSQL cannot hold NUL.
        text = text.replace("\0", "")
    if text.isascii():
        return text.lower().replace("=", " ")
    bare = _MARKS.sub("", unicodedata.normalize("NFKD", text))
    return unicodedata.normalize("NFKC", bare).casefold().translate(_LETTERS)


def fold_group(group: str) -> str:
    """One component group: components without padding, trailing empty ones dropped (PS3.5 6.2.1.2)."""
    return "^".join(" ".join(part.split()) for part in fold(group).split("^")).rstrip("^ ")[:MAXIMUM_CHARACTERS]


def name_terms(groups: list[str]) -> list[str]:
    """Folded component groups that hold anything, each once."""
    return list(dict.fromkeys(folded for group in groups if (folded := fold_group(group))))


def name_column(groups: list[str]) -> str:
    """The text of a names column: `=group=group=`, empty when there is no name."""
    terms = name_terms(groups)
    return f"={'='.join(terms)}=" if terms else ""


def plain(text: str) -> str:
    """Text as searched: without padding, and NUL, which PostgreSQL cannot hold."""
    return text.replace("\0", "").strip(" ")[:MAXIMUM_CHARACTERS].rstrip(" ")


def date_text(text: str) -> str:
    """DA as yyyymmdd; the ACR-NEMA form with dots is understood; empty when it is no date."""
    match = _DATE.fullmatch(text.strip(" \0"))
    if not match:
        return ""
    year, month, day = (int(part) for part in match.groups())
    try:
        return date(year, month, day).strftime("%Y%m%d").rjust(8, "0")
    except ValueError:
        return ""


def time_bounds(text: str) -> tuple[str, str] | None:
    """First and last moment of a TM value, each hhmmss.ffffff: `10` is the whole hour. None when it is no time."""
    match = _TIME.fullmatch(text.strip(" \0"))
    if not match:
        return None
    hours, minutes, seconds, fraction = match.groups()
    # 60 is the leap second (PS3.5 6.2, TM).
    if int(hours) > 23 or int(minutes or 0) > 59 or int(seconds or 0) > 60:
        return None
    first = f"{hours}{minutes or '00'}{seconds or '00'}.{(fraction or '').ljust(6, '0')}"
    last = f"{hours}{minutes or '59'}{seconds or '59'}.{(fraction or '').ljust(6, '9')}"
    return first, last


def time_text(text: str) -> str:
    """TM as hhmmss.ffffff; empty when it is no time."""
    bounds = time_bounds(text)
    return bounds[0] if bounds else ""


def words_of(group: str) -> list[str]:
    """The words of a folded component group, as `fuzzymatching` sees them."""
    return [word for word in _BETWEEN_WORDS.split(group) if word]


def sort_key(study_date: str, study_time: str) -> int:
    """Normalised date and time as yyyymmddhhmmssfff; 0 without a date: such studies are listed last."""
    if not study_date:
        return 0
    clock = study_time or "000000.000000"
    return int(study_date + clock[:6] + clock[7:10])


def has_wildcard(pattern: str) -> bool:
    """True when the pattern holds `*` or `?`."""
    return "*" in pattern or "?" in pattern


def prefix_of(pattern: str) -> str | None:
    """The literal before a single trailing `*`, or None when the pattern is anything else."""
    body = pattern.rstrip("*")
    return body if body != pattern and not has_wildcard(body) else None


def like(pattern: str) -> str:
    """A LIKE pattern with `!` as its escape character."""
    escaped = re.sub(r"([!%_])", r"!\1", pattern)
    return escaped.replace("*", "%").replace("?", "_")


def glob(pattern: str) -> str:
    """A GLOB pattern of SQLite, which shares `*` and `?` with DICOM; only `[` is special besides."""
    return pattern.replace("[", "[[]")


def fold_pattern(pattern: str) -> str:
    """A person name pattern folded around its wild cards. Full-width `＊` and `？` are letters, not wild cards."""
    pieces = _WILD.split(pattern)
    folded = [piece if piece in ("*", "?") else _WILD.sub(" ", fold(piece)) for piece in pieces]
    components = "".join(folded).split("^")
    return "^".join(" ".join(part.split()) for part in components).rstrip("^ ")[:MAXIMUM_CHARACTERS]


def group_expression(pattern: str) -> str:
    """A regular expression for a names column: one group is the pattern. Understood by Python and PostgreSQL."""
    pieces = (
        _ANYTHING if piece == "*" else "[^=]" if piece == "?" else re.escape(piece) for piece in _WILD.split(pattern)
    )
    return f"={''.join(pieces)}="


def group_matches(expression: str, column: str) -> bool:
    """The same decided in Python, for SQLite, which has no regular expressions of its own."""
    return _bounded_expression(expression).search(column) is not None


@lru_cache(maxsize=256)
def _bounded_expression(expression: str) -> re.Pattern[str]:
    """Each literal is taken where it comes first and never looked for again: else many `*` could take years."""
    first, *rest = expression.split(_ANYTHING)
    middle = "".join(f"(?>[^=]*?{piece})" for piece in rest[:-1])
    return re.compile(first + middle + (_ANYTHING + rest[-1] if rest else ""))


def name_patterns(pattern: str) -> list[list[str]]:
    """The alternatives of each component group asked for; every group must find one of its alternatives.

    `smith^*` is also `smith`, because trailing empty components are not written (PS3.5 6.2.1.2).
    """
    wanted = []
    for group in pattern.split("="):
        folded = fold_pattern(group)
        if not folded or not folded.strip("*"):
            continue
        bare = re.sub(r"(\^\**)+$", "", folded)
        wanted.append([folded] if bare in (folded, "") else [folded, bare])
    return wanted


def name_words(pattern: str) -> list[str]:
    """The words of a fuzzy name query; each must begin (or, with a leading `*`, occur in) a word of the name."""
    return [word for word in _BETWEEN_WORDS.split(fold_pattern(pattern.replace("=", " "))) if word.strip("*")]
