"""Texts inside of texts: what the trigram indexes are asked for.

Theory. A pattern such as `*linden*` has no beginning that an ordered index could look up. The trigram indexes know for
every three characters in a row which rows hold them. So a pattern's literal pieces are looked up there, and the few
rows that hold them all are compared with the pattern as any other row. A piece of one or two characters cannot be
looked up; a pattern of nothing else is compared with row after row.
"""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

TRIGRAM_COLUMNS: Final[Mapping[str, tuple[str, ...]]] = MappingProxyType(
    {
        "studies": (
            "patient_name",
            "patient_id",
            "accession_number",
            "study_id",
            "study_description",
            "referring_physician_name",
        ),
        "patients": ("patient_name", "patient_id"),
    }
)
"""Table -> columns that have a trigram index: a full-text table on SQLite, a GIN index of pg_trgm on PostgreSQL."""

_SIZE = 3
_WILD = re.compile(r"[*?]+")
_LOOKED_UP = re.compile(rf"\w{{{_SIZE},}}")


@dataclass(frozen=True, slots=True)
class Texts:
    """What the column of every row that meets a criterion holds; `pieces` are at least three characters long."""

    table: str
    column: str
    pieces: tuple[str, ...]


def texts_in(table: str, column: str, patterns: Iterable[str]) -> Texts | None:
    """The literal pieces of wild card patterns, None when no trigram index can look one of them up."""
    if column not in TRIGRAM_COLUMNS.get(table, ()):
        return None
    pieces = (piece for pattern in patterns for piece in _WILD.split(pattern))
    # pg_trgm sees letters and digits alone; where it has nothing to look up it would read all of its index.
    served = tuple(dict.fromkeys(piece for piece in pieces if _LOOKED_UP.search(piece)))
    return Texts(table, column, served) if served else None


def name_pieces(groups: Sequence[Sequence[str]]) -> list[str]:
    """Patterns that a whole names column `=group=group=` meets, of the alternatives of each group asked for.

    Of two alternatives, which are `smith^*` and `smith`, the last is what both begin with.
    """
    made = []
    for alternatives in groups:
        head = "" if alternatives[-1].startswith("*") else "="
        tail = "=" if len(alternatives) == 1 and not alternatives[0].endswith("*") else ""
        made.append(f"{head}{alternatives[-1]}{tail}")
    return made


def full_text_query(texts: Texts) -> str:
    """The pieces as a query of SQLite's FTS5: trigrams of one column, all of which must be there."""
    grams = dict.fromkeys(
        piece[start : start + _SIZE] for piece in texts.pieces for start in range(len(piece) - _SIZE + 1)
    )
    quoted = " AND ".join('"' + gram.replace('"', '""') + '"' for gram in grams)
    return f"{{{texts.column}}} : ({quoted})"
