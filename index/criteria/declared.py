"""Keys on declared attributes -> SQL conditions on their values.

Each value asked for is one row of values that must be there. Keys that share a sequence are one condition: their rows
have the same owner and begin with the same digests of items, as far as they share the way (`index.declared_values`).
So does a name of which several component groups, or words, are asked for: its rows have the very same digests.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, FromClause, Select, and_, bindparam, exists, func, or_, select

from index.criteria.criterion import Criterion
from index.database import Database
from index.declared_values import VALUES
from index.errors import InvalidQuery
from index.query import AllOf, AnyOf, Declared, Empty, Exact, Filter, Moment, PersonName, Query, Range, Wildcard
from index.records import Level
from index.tables import instances, patients, series, studies
from index.terms import DIGEST_CHARACTERS, term_of
from index.words.matching import HIGHEST, has_wildcard, like, name_patterns, name_words, plain, prefix_of, time_bounds

_LONGEST_LIST: Final = 5000
_MOST_ROWS: Final = 16
"""Rows that one condition may join; a query for more asks for no single thing."""


@dataclass(frozen=True, slots=True)
class _Term:
    """A condition on the term of one row. `name` is that of its bound values."""

    shape: tuple[object, ...]
    params: dict[str, Any]
    where: Any
    """From the column to the condition."""


@dataclass(frozen=True, slots=True)
class _Row:
    """One row of values that must be there."""

    key: Declared
    term: _Term
    joined_to: int | None
    """The earlier row that it shares items with, and how many."""
    shared: int


def declared_criteria(database: Database, query: Query) -> list[Criterion]:
    """The conditions of all keys on declared attributes. Raises InvalidQuery."""
    groups: dict[tuple[str, Level], list[Declared]] = {}
    for number, key in enumerate(query.declared):
        nested = len(key.path) > 1
        groups.setdefault((key.path[0] if nested else f"{key.path[0]} {number}", key.level), []).append(key)
    made = [_criterion(database, keys, query, f"d{number}") for number, keys in enumerate(groups.values())]
    return [one for one in made if one is not None]


def _criterion(database: Database, keys: Sequence[Declared], query: Query, name: str) -> Criterion | None:
    if any(isinstance(key.filter, Empty) for key in keys):
        return _empty(keys, query, name)
    rows: list[_Row] = []
    for key in keys:
        terms = _terms(database, key, query, f"{name}_{len(rows)}")
        for number, term in enumerate(terms):
            rows.append(_row(rows, key, term, same=number > 0))
    if len(rows) > _MOST_ROWS:
        raise InvalidQuery(f"More than {_MOST_ROWS} values of one sequence or name are asked for")
    if not rows:
        # A name without a letter, `^`, asks for nothing.
        return None
    level = keys[0].level
    column = owner_column(level, query.level)
    params: dict[str, Any] = {f"{name}_{number}_declaration": row.key.number for number, row in enumerate(rows)}
    for row in rows:
        params.update(row.term.params)
    shape = ("declared", level, *((row.term.shape, row.joined_to, row.shared) for row in rows), name)

    def owners() -> Select[Any]:
        return _owners(rows, level, name)

    def clause() -> ColumnElement[bool]:
        first = VALUES[level].alias(f"{name}_0")
        return exists(_owners(rows, level, name, first).where(first.c.owner_fk == column))

    return Criterion(shape, params, clause, owners=owners, owner_column=column)


def _row(rows: Sequence[_Row], key: Declared, term: _Term, *, same: bool) -> _Row:
    """Join to the earlier row that shares most sequences: equality with that one is equality with all."""
    if same:
        return _Row(key, term, len(rows) - 1, -1)
    shares = [(_shared(earlier.key.path, key.path), number) for number, earlier in enumerate(rows)]
    if not shares:
        return _Row(key, term, None, 0)
    shared, number = max(shares, key=lambda one: (one[0], -one[1]))
    return _Row(key, term, number, shared)


def _shared(one: Sequence[str], other: Sequence[str]) -> int:
    """Number of sequences that two attributes have in common."""
    count = 0
    for left, right in zip(one[:-1], other[:-1], strict=False):
        if left != right:
            break
        count += 1
    return count


def owner_column(level: Level, query_level: Level) -> Any:
    """Id of the row of `level` in a query of another level."""
    if level is Level.PATIENT:
        return patients.c.id if query_level is Level.PATIENT else studies.c.patient_fk
    return {Level.STUDY: studies, Level.SERIES: series, Level.IMAGE: instances}[level].c.id


def _owners(rows: Sequence[_Row], level: Level, name: str, first: FromClause | None = None) -> Select[Any]:
    """Ids of the owners that have all the rows."""
    table = VALUES[level]
    made = [first if first is not None else table.alias(f"{name}_0")]
    made += [table.alias(f"{name}_{number}") for number in range(1, len(rows))]
    conditions: list[ColumnElement[bool]] = []
    for number, (row, alias) in enumerate(zip(rows, made, strict=True)):
        conditions += [
            alias.c.declaration_fk == bindparam(f"{name}_{number}_declaration", type_=table.c.declaration_fk.type),
            alias.c.tenant_id == bindparam("tenant", type_=table.c.tenant_id.type),
            row.term.where(alias.c.term),
        ]
        if row.joined_to is not None:
            other = made[row.joined_to]
            conditions += [alias.c.owner_fk == other.c.owner_fk, _same_items(alias, other, row.shared)]
    return select(made[0].c.owner_fk).select_from(*made).where(*conditions)


def _same_items(one: FromClause, other: FromClause, shared: int) -> ColumnElement[bool]:
    if shared < 0:
        return one.c["items"] == other.c["items"]
    length = shared * DIGEST_CHARACTERS
    return func.substr(one.c["items"], 1, length) == func.substr(other.c["items"], 1, length)


def _empty(keys: Sequence[Declared], query: Query, name: str) -> Criterion:
    """Empty value matching (C.2.2.2.7): there is no row. Inside sequences nobody could tell of which item."""
    key = keys[0]
    if len(key.path) > 1 or len(keys) > 1:
        raise InvalidQuery("Attributes inside sequences cannot be matched by the empty value")
    table = VALUES[key.level]
    column = owner_column(key.level, query.level)

    def clause() -> ColumnElement[bool]:
        return ~exists().where(table.c.owner_fk == column, table.c.declaration_fk == bindparam(name))

    return Criterion(("declared empty", key.level, name), {name: key.number}, clause)


def _terms(database: Database, key: Declared, query: Query, name: str) -> list[_Term]:
    """The rows that a filter asks for; mostly one."""
    one, vr = key.filter, key.vr
    if isinstance(one, PersonName):
        return _name_terms(one.pattern, name, fuzzy=query.fuzzy)
    if isinstance(one, AllOf):
        return [_equal(_known(one, vr, value), f"{name}_{number}") for number, value in enumerate(one.values)]
    if isinstance(one, AnyOf):
        if len(one.values) > _LONGEST_LIST:
            raise InvalidQuery(f"{one.keyword}: a list has 1 to {_LONGEST_LIST} values")
        values = database.list_value([_known(one, vr, value) for value in one.values])
        return [_Term(("in", name), {name: values}, lambda column: database.one_of(column, name))]
    if isinstance(one, Wildcard):
        return [_wildcard(database, plain(one.pattern), name)]
    if isinstance(one, Exact) and vr != "TM":
        return [_equal(_known(one, vr, one.value), name)]
    return [_between(*_bounds(one, vr), name)]


def _known(one: Filter, vr: str, value: str) -> str:
    term = term_of(vr, value)
    if not term:
        raise InvalidQuery(f"{one.keyword}: a value is no {vr}")
    return term


def _equal(value: str, name: str) -> _Term:
    return _Term(("=", name), {name: value}, lambda column: column == bindparam(name, type_=column.type))


def _wildcard(database: Database, pattern: str, name: str) -> _Term:
    prefix = prefix_of(pattern)
    if prefix is not None:
        return _between(prefix, prefix + HIGHEST, name)
    return _Term(
        ("wild", name),
        {name: database.pattern_text(pattern)},
        lambda column: database.matches(column, bindparam(name, type_=column.type)),
    )


def _bounds(one: Filter, vr: str) -> tuple[str, str]:
    """First and last term of a date, time or moment; an open end is one that no term passes."""
    if isinstance(one, Exact):
        one = Range(one.keyword, one.value, one.value)
    if isinstance(one, Moment):
        return one.start or "", one.end or HIGHEST
    if not isinstance(one, Range):
        raise InvalidQuery(f"{one.keyword} cannot be matched in this way")
    if vr == "TM":
        low, high = (time_bounds(end) if end else None for end in (one.start, one.end))
        return low[0] if low else "", high[1] if high else HIGHEST
    return _known(one, vr, one.start) if one.start else "", _known(one, vr, one.end) if one.end else HIGHEST


def _between(low: str, high: str, name: str) -> _Term:
    first, last = f"{name}_low", f"{name}_high"
    return _Term(
        ("between", name),
        {first: low, last: high},
        lambda column: and_(
            column >= bindparam(first, type_=column.type), column <= bindparam(last, type_=column.type)
        ),
    )


def _name_terms(pattern: str, name: str, *, fuzzy: bool) -> list[_Term]:
    """One row for each component group asked for, or for each word of a fuzzy query."""
    if fuzzy:
        return [_likes(_word_patterns(word), f"{name}_{number}") for number, word in enumerate(name_words(pattern))]
    return [_any_group(group, f"{name}_{number}") for number, group in enumerate(name_patterns(pattern))]


def _any_group(alternatives: Sequence[str], name: str) -> _Term:
    if len(alternatives) == 1:
        prefix = prefix_of(alternatives[0])
        if prefix is not None:
            return _between(prefix, prefix + HIGHEST, name)
        if not has_wildcard(alternatives[0]):
            return _equal(alternatives[0], name)
    return _likes([like(one) for one in alternatives], name)


def _word_patterns(word: str) -> list[str]:
    """As in `index.criteria.kinds`: a word begins with it; with a leading `*` it occurs anywhere."""
    body = like(word.strip("*"))
    return [f"%{body}%"] if word.startswith("*") else [f"{body}%", *(f"%{before}{body}%" for before in "^ -")]


def _likes(patterns: Sequence[str], name: str) -> _Term:
    params = {f"{name}_{number}": pattern for number, pattern in enumerate(patterns)}

    def where(column: Any) -> ColumnElement[bool]:
        return or_(*(column.like(bindparam(one, type_=column.type), escape="!") for one in params))

    return _Term(("like", name, len(patterns)), params, where)
