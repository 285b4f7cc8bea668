"""Which part of the body a study shows, read from codes, Body Part Examined (0018,0015) and words of descriptions.

Theory. A *part* is what people compare (knee, liver); each belongs to one *region* (lower extremity, abdomen), and a
part with its region's name is the whole region. All names of parts stand in one table (`body_parts`), so that
defined terms of the standard, descriptions and the words of several languages are looked up alike. Names that are
written as one word (`ChestAbdPelvis`, `Kniegelenk`) are taken apart into names.
"""

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Final, NamedTuple

from index.priors.body_parts import CODES, FILLERS, NEIGHBOURS, PARTS, REGION_OF, SIDES, Region
from index.words.matching import fold

_LONGEST_PHRASE: Final = 5
_SHORTEST_COMPOUND: Final = 6
_LONGEST_TEXT: Final = 200


class Reading(NamedTuple):
    """What a text says."""

    parts: frozenset[str]
    sides: frozenset[str]
    """Of L, R and B."""


_NOTHING: Final = Reading(frozenset(), frozenset())


@lru_cache(maxsize=4096)
def read(text: str) -> Reading:
    """The parts and sides that a description or a Body Part Examined names."""
    words = re.findall(r"[^\W_]+", fold(text[:_LONGEST_TEXT]))
    if not words:
        return _NOTHING
    parts: set[str] = set()
    sides: set[str] = set()
    position = 0
    while position < len(words):
        for length in range(min(_LONGEST_PHRASE, len(words) - position), 0, -1):
            phrase = "".join(words[position : position + length])
            # "CT spine" is not CTSPINE, which is the cervical and thoracic one.
            found = PARTS.get(phrase) if length == 1 or words[position] not in FILLERS else None
            if found is not None:
                parts.update(found)
                position += length
                break
        else:
            word = words[position]
            if word in SIDES:
                sides.add(SIDES[word])
            else:
                parts.update(_compound(word))
            position += 1
    return Reading(frozenset(parts), frozenset(sides))


def of_code(value: str, meaning: str) -> frozenset[str]:
    """The parts that a procedure code names, by the table of codes or by the words of its meaning."""
    known = CODES.get(value)
    return frozenset(known) if known is not None else read(meaning).parts


@lru_cache(maxsize=4096)
def _compound(word: str) -> tuple[str, ...]:
    """The parts of names that are written as one word; nothing unless all of the word is names."""
    if len(word) < _SHORTEST_COMPOUND:
        return ()
    # For each place in the word that names lead to: the parts on the way, longer names first.
    reached: dict[int, tuple[str, ...]] = {0: ()}
    for start in range(len(word)):
        if start not in reached:
            continue
        for end in range(len(word), start + 1, -1):
            piece = word[start:end]
            found = () if piece in FILLERS else PARTS.get(piece) if len(piece) > 2 else None
            if found is not None:
                reached.setdefault(end, reached[start] + found)
    return reached.get(len(word), ())


def side(values: Iterable[str]) -> str:
    """One of L, R and B for all the sides that a study has, empty when none is known."""
    known = frozenset(values) & {"L", "R", "B"}
    return next(iter(known)) if len(known) == 1 else "B" if known else ""


def regions(parts: Iterable[str]) -> frozenset[Region]:
    """The regions that the parts belong to."""
    return frozenset(REGION_OF[part] for part in parts)


def are_neighbours(one: Region, other: Region) -> bool:
    """True for regions of which images of the one often show some of the other."""
    return frozenset((one, other)) in NEIGHBOURS or (one is not other and Region.WHOLE_BODY in (one, other))
