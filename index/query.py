"""A question to the index, and the one parser of matching text (PS3.4 C.2.2.2)."""

from dataclasses import dataclass

from index.records import Level


@dataclass(frozen=True, slots=True)
class Exact:
    """Single value matching (C.2.2.2.1)."""

    keyword: str
    value: str


@dataclass(frozen=True, slots=True)
class Wildcard:
    """Wild card matching with `*` and `?` (C.2.2.2.4)."""

    keyword: str
    pattern: str


@dataclass(frozen=True, slots=True)
class Range:
    """Range matching of dates and times (C.2.2.2.5), both ends inclusive; None is open."""

    keyword: str
    start: str | None
    end: str | None


@dataclass(frozen=True, slots=True)
class AnyOf:
    """List of UID matching (C.2.2.2.2), and the web's comma-separated lists: any of the values."""

    keyword: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PersonName:
    """Person name matching, case and accent blind, any component group; `pattern` may hold wild cards."""

    keyword: str
    pattern: str


Filter = Exact | Wildcard | Range | AnyOf | PersonName


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    keyword: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. `limit` None means all; `returned` are tags (8 hex digits) beyond the default ones.

    Patient and study attributes may be filtered on at any level (relational queries).
    """

    level: Level
    filters: tuple[Filter, ...] = ()
    returned: frozenset[str] = frozenset()
    return_all: bool = False
    order: tuple[Order, ...] = ()
    limit: int | None = None
    offset: int = 0
    fuzzy: bool = False
