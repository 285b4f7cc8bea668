"""A question to the index, and the one parser of matching text (PS3.4 C.2.2.2)."""

import re
from dataclasses import dataclass

from index.attributes import BY_KEYWORD, Attribute, Matching
from index.errors import InvalidQuery
from index.records import Level
from index.words.matching import date_text, has_wildcard, time_bounds


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


@dataclass(frozen=True, slots=True)
class AllOf:
    """Multiple value matching (C.2.2.2.8): each of the values is one of the attribute's."""

    keyword: str
    values: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Empty:
    """Empty value matching (C.2.2.2.7): the attribute has no value."""

    keyword: str


@dataclass(frozen=True, slots=True)
class Moment:
    """Combined date-time range matching (C.2.2.2.5.4), both ends inclusive; None is open.

    Ends are `yyyymmddhhmmss.ffffff`, by a clock with this offset from UTC; without an offset by whatever clock the
    data set was written with.
    """

    keyword: str
    """Of the date; `index.moments` knows the time that belongs to it."""
    start: str | None
    end: str | None
    offset_minutes: int | None = None


@dataclass(frozen=True, slots=True)
class Clock:
    """Range matching of a time by a clock with another offset from UTC than the data set's (C.2.2.2.5.2).

    Ends are `hhmmss.ffffff`, both inclusive; None is open.
    """

    keyword: str
    start: str | None
    end: str | None
    offset_minutes: int


Filter = Exact | Wildcard | Range | AnyOf | PersonName | AllOf | Empty | Moment | Clock


@dataclass(frozen=True, slots=True)
class Rules:
    """Kinds of matching that hold only where a peer has asked for them."""

    empty_values: bool = False
    multiple_values: bool = False


LITERAL = Rules()
"""What holds when nothing was asked for."""

EMPTY_VALUE = '""'
"""The matching text for an attribute without a value (C.2.2.2.7)."""


@dataclass(frozen=True, slots=True)
class Declared:
    """A key on an attribute that was declared searchable; only `index.declared.Declarations` makes them.

    Keys of one query that share a sequence must be met by one and the same item of it (sequence matching, C.2.2.2.6).
    """

    number: int
    """Of the declaration."""
    level: Level
    """Whose rows have the values: the query's level or one above."""
    path: tuple[str, ...]
    """The sequences, from the outermost on, and the attribute (`index.attribute_paths`)."""
    vr: str
    filter: Filter


@dataclass(frozen=True, slots=True)
class Order:
    """One sort key."""

    keyword: str
    descending: bool = False


@dataclass(frozen=True, slots=True)
class Query:
    """What to find. `limit` None means all; `returned` are tags (8 hex digits) beyond the default ones.

    `paths` name attributes inside sequences, tag by tag: items are returned with these alone. Their sequences are in
    `returned` as well. `private` are tags and Private Creators: the attribute is looked for in whatever block its
    creator has, and returned in the block that was asked for (PS3.5 7.8.1).

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
    declared: tuple[Declared, ...] = ()
    paths: frozenset[tuple[str, ...]] = frozenset()
    private: frozenset[tuple[str, str]] = frozenset()


def parse_filter(keyword: str, text: str, rules: Rules = LITERAL) -> Filter | None:
    """The filter that a matching key asks for (PS3.4 C.2.2.2); None is universal matching.

    Raises InvalidQuery for an attribute that cannot be searched and for a value that cannot be read.
    """
    row = BY_KEYWORD.get(keyword)
    if row is None or not row.searchable:
        raise InvalidQuery(f"{keyword[:64]} cannot be searched")
    return parse_value(row, text, rules)


def parse_value(row: Attribute, text: str, rules: Rules = LITERAL) -> Filter | None:
    """The same for an attribute that need not be in the table (`index.declared`).

    Several values are separated by `\\`, for UIDs and code strings also by `,` as QIDO-RS clients write them.
    """
    if "\0" in text.rstrip("\0"):
        raise InvalidQuery(f"{row.keyword}: the value holds a NUL character")
    value = text.strip(" \0")
    if not value.strip("*"):
        return None
    if rules.empty_values and value == EMPTY_VALUE:
        return Empty(row.keyword)
    if row.matching is Matching.NAME:
        if not value.strip("^= "):
            # Delimiters alone are an empty name; to match every name instead would widen the query.
            raise InvalidQuery(f"{row.keyword}: the value holds no name")
        return PersonName(row.keyword, value)
    if row.matching in (Matching.DATE, Matching.TIME):
        return _parse_moment(row, value)
    return _parse_values(row, value, rules)


def _parse_values(row: Attribute, value: str, rules: Rules) -> Filter:
    separators = r"[\\,]" if row.vr in ("UI", "CS", "IS", "US") else r"\\"
    values = tuple(part for piece in re.split(separators, value) if (part := piece.strip()))
    if not values:
        raise InvalidQuery(f"{row.keyword}: the value is empty")
    if not any(has_wildcard(part) for part in values):
        if len(values) == 1:
            return Exact(row.keyword, values[0])
        every = rules.multiple_values and row.multiple
        return AllOf(row.keyword, values) if every else AnyOf(row.keyword, values)
    if len(values) > 1:
        raise InvalidQuery(f"{row.keyword}: a list of values cannot hold wild cards")
    if row.matching not in (Matching.TEXT, Matching.LIST) or row.vr == "UI":
        raise InvalidQuery(f"{row.keyword} cannot be matched by wild cards")
    return Wildcard(row.keyword, values[0])


def _parse_moment(row: Attribute, value: str) -> Filter:
    """A date or time, or a range of them: `a-b`, `a-` and `-b`."""
    start, dash, end = (part.strip() for part in value.partition("-"))
    ends = [part for part in (start, end) if part]
    if not ends or not all(_is_moment(row, part) for part in ends):
        shown = "the value" if row.level is Level.PATIENT else repr(value[:32])
        raise InvalidQuery(
            f"{row.keyword}: {shown} is no {'date' if row.matching is Matching.DATE else 'time'} or range"
        )
    if not dash:
        return Exact(row.keyword, start)
    return Range(row.keyword, start or None, end or None)


def _is_moment(row: Attribute, text: str) -> bool:
    return bool(date_text(text)) if row.matching is Matching.DATE else time_bounds(text) is not None
