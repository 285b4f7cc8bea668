"""One filter -> one SQL condition: the matching kinds of PS3.4 C.2.2.2.

A criterion keeps its shape (what the SQL looks like) apart from its values, so that equal shapes share one
compiled statement.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, func, or_

from index.attributes import OF_STUDY, Attribute, Matching
from index.criteria.criterion import Clause, Criterion, Place
from index.criteria.moments import clock_criterion, moment_criterion
from index.criteria.names import has_term, name_criterion
from index.database import Database
from index.entries import TERM_KINDS, integer, list_member
from index.errors import InvalidQuery
from index.query import AllOf, AnyOf, Clock, Empty, Exact, Filter, Moment, PersonName, Range, Wildcard
from index.records import Level
from index.rendition_columns import has_rendition
from index.tables import NO_NUMBER, instances, patients, renditions, series, studies, study_terms
from index.words.matching import (
    HIGHEST,
    date_text,
    plain,
    prefix_of,
    time_bounds,
)
from index.words.substrings import texts_in

_LONGEST_LIST = 5000
_TERMS_OF = {
    "Modality": "ModalitiesInStudy",
    "BodyPartExamined": "BodyPartExamined",
    "InterpretationStatusID": "InterpretationStatusID",
}
"""Attributes with one value that studies have terms of."""
_DAY = 10**9
"""One day in units of `studies.sort_key`."""
_OfColumn = Exact | Wildcard | Range | AnyOf | PersonName | AllOf | Empty
"""Filters that one column answers."""


def criterion(database: Database, row: Attribute, one: Filter, place: Place) -> Criterion:
    """The condition for one filter. Raises InvalidQuery for a value or kind that the attribute cannot have."""
    if isinstance(one, Moment | Clock):
        return moment_criterion(one, place[0]) if isinstance(one, Moment) else clock_criterion(one, place[0])
    made = _of_column(database, row, _column(row, place[1].level), one, place)
    if row.keyword != "AvailableTransferSyntaxUID" or isinstance(one, Empty):
        return made
    other = _of_column(database, row, renditions.c.transfer_syntax_uid, one, place)
    return replace(made, clause=lambda: or_(made.clause(), has_rendition(other.clause())))


def _of_column(database: Database, row: Attribute, column: Any, one: _OfColumn, place: Place) -> Criterion:
    if isinstance(one, Empty):
        return _empty(database, row, column, place[0])
    if isinstance(one, PersonName) or (row.matching is Matching.NAME and isinstance(one, Exact | Wildcard)):
        pattern = one.value if isinstance(one, Exact) else one.pattern
        return name_criterion(row, column, pattern, place)
    if row.matching is Matching.LIST or (place[1].level is Level.STUDY and row.keyword in OF_STUDY):
        return _list(database, row, column, one, place[0])
    if isinstance(one, Range):
        return _range(row, column, one, place[0])
    if isinstance(one, Wildcard):
        return _wildcard(database, row, column, one.pattern, place[0])
    if isinstance(one, AnyOf) and len(one.values) != 1:
        return _any_of(database, row, column, one.values, place[0])
    if isinstance(one, AllOf):
        raise InvalidQuery(f"{row.keyword} has one value; several cannot all match")
    value = one.value if isinstance(one, Exact) else one.values[0]
    return _exact(database, row, column, value, place[0])


def _empty(database: Database, row: Attribute, column: Any, name: str) -> Criterion:
    """Empty value matching (C.2.2.2.7). A date, a time or a number that cannot be read counts as empty."""
    if row.keyword == "InterpretationStatusID":
        # Studies without a report have a term, too.
        return _exact(database, row, column, "", name)
    if row.matching is not Matching.INTEGER:
        return Criterion(("empty", row.keyword, name), {}, lambda: column == "")
    return Criterion(
        ("empty", row.keyword, name), {}, lambda: column.is_(None) if column.nullable else column == NO_NUMBER
    )


def _column(row: Attribute, level: Level) -> Any:
    if level is Level.STUDY and row.keyword in OF_STUDY:
        return studies.c[OF_STUDY[row.keyword]]
    if row.level is Level.PATIENT:
        return (patients if level is Level.PATIENT else studies).c[row.column]
    return {Level.STUDY: studies, Level.SERIES: series, Level.IMAGE: instances}[row.level].c[row.column]


def _unreadable(row: Attribute, value: str) -> InvalidQuery:
    kind = {"DA": "a date", "TM": "a time", "IS": "a number"}.get(row.vr, f"a value of VR {row.vr}")
    shown = value[:32] if row.level is not Level.PATIENT else "the value"
    return InvalidQuery(f"{row.keyword}: {shown!r} is not {kind}")


def _value(row: Attribute, value: str) -> str | int:
    if row.matching is Matching.INTEGER:
        number = integer(value)
        if number is None:
            raise _unreadable(row, value)
        return number
    if row.matching is Matching.DATE:
        text = date_text(value)
        if not text and value.strip():
            raise _unreadable(row, value)
        return text
    return plain(value)


def _exact(database: Database, row: Attribute, column: Any, value: str, name: str) -> Criterion:
    if row.matching is Matching.TIME and value.strip():
        return _range(row, column, Range(row.keyword, value, value), name)
    if row.keyword == "StudyDate" and value.strip():
        return _range(row, column, Range(row.keyword, value, value), name)
    found = _value(row, value)
    params: dict[str, Any] = {name: found}
    terms = _value_terms(database, row, [found], (name, params))
    texts = texts_in(column.table.name, column.name, [found]) if isinstance(found, str) else None

    def clause() -> ColumnElement[bool]:
        equal: ColumnElement[bool] = column == bindparam(name, type_=column.type)
        return equal

    shape = ("=", row.keyword, name, terms is not None)
    suffice = row.level is Level.STUDY
    return Criterion(shape, params, clause, terms, terms_suffice=suffice, one_term=True, texts=texts)


def _value_terms(
    database: Database, row: Attribute, values: Sequence[str | int], place: tuple[str, dict[str, Any]]
) -> Clause | None:
    """A series' modality and body part are among those of its study; only empty ones are not."""
    kind = TERM_KINDS.get(_TERMS_OF.get(row.keyword, ""))
    if kind is None or ("" in values and row.level is Level.SERIES):
        return None
    return _listed_terms(database, kind, values, place)


def _listed_terms(
    database: Database, kind: int, values: Sequence[str | int], place: tuple[str, dict[str, Any]]
) -> Clause:
    """One of the terms of this kind; one value alone is compared, so that its studies come in order."""
    name, params = f"{place[0]}_terms", place[1]
    alone = len(values) == 1
    params[name] = values[0] if alone else database.list_value(values)
    term = study_terms.c.term
    return lambda: and_(
        study_terms.c.kind == kind,
        term == bindparam(name, type_=term.type) if alone else database.one_of(term, name),
    )


def _any_of(database: Database, row: Attribute, column: Any, values: tuple[str, ...], name: str) -> Criterion:
    if not values or len(values) > _LONGEST_LIST:
        raise InvalidQuery(f"{row.keyword}: a list has 1 to {_LONGEST_LIST} values")
    if row.matching is Matching.TIME:
        raise InvalidQuery(f"{row.keyword} cannot be matched by a list of values")
    found = [_value(row, value) for value in values]
    params = {name: database.list_value(found)}
    terms = _value_terms(database, row, found, (name, params))
    shape = ("in", row.keyword, name, terms is not None)
    suffice = row.level is Level.STUDY
    return Criterion(shape, params, lambda: database.one_of(column, name), terms, terms_suffice=suffice)


def _wildcard(database: Database, row: Attribute, column: Any, pattern: str, name: str) -> Criterion:
    if row.matching is not Matching.TEXT:
        raise InvalidQuery(f"{row.keyword} cannot be matched by wild cards")
    pattern = plain(pattern)
    prefix = prefix_of(pattern)
    if prefix is not None:
        low, high = f"{name}_low", f"{name}_high"
        return Criterion(
            ("prefix", row.keyword, name),
            {low: prefix, high: prefix + HIGHEST},
            lambda: and_(column >= bindparam(low, type_=column.type), column < bindparam(high, type_=column.type)),
            texts=texts_in(column.table.name, column.name, [pattern]),
        )
    return Criterion(
        ("wild", row.keyword, name),
        {name: database.pattern_text(pattern)},
        lambda: database.matches(column, bindparam(name, type_=column.type)),
        texts=texts_in(column.table.name, column.name, [pattern]),
    )


def _range(row: Attribute, column: Any, one: Range, name: str) -> Criterion:
    low: Any
    high: Any
    if row.matching is Matching.DATE:
        low, high = (None if end is None else _value(row, end) for end in (one.start, one.end))
    elif row.matching is Matching.TIME:
        low, high = _moment(row, one.start, 0), _moment(row, one.end, 1)
    else:
        raise InvalidQuery(f"{row.keyword} cannot be matched by a range")
    if low and high and low > high:
        raise InvalidQuery(f"{row.keyword}: the range ends before it begins")
    if row.keyword == "StudyDate":
        column = studies.c.sort_key
        low, high = low and int(low) * _DAY, high and int(high) * _DAY + _DAY - 1
    # An empty date or time lies in no range, so there is always a lower end.
    empty: Any = 1 if row.keyword == "StudyDate" else "0"
    params = {f"{name}_low": low or empty}
    if high:
        params[f"{name}_high"] = high

    def clause() -> ColumnElement[bool]:
        lower = column >= bindparam(f"{name}_low", type_=column.type)
        return and_(lower, column <= bindparam(f"{name}_high", type_=column.type)) if high else lower

    return Criterion(("range", row.keyword, name, bool(high)), params, clause)


def _moment(row: Attribute, text: str | None, end: int) -> str | None:
    if text is None:
        return None
    bounds = time_bounds(text)
    if bounds is None:
        raise _unreadable(row, text)
    return bounds[end]


def _list(database: Database, row: Attribute, column: Any, one: Filter, name: str) -> Criterion:
    """Modalities and SOP classes in study: one of the study's values is one of those asked for."""
    kind = TERM_KINDS.get(row.keyword)
    if isinstance(one, Wildcard) and kind is not None:

        def some_term() -> ColumnElement[bool]:
            bound = bindparam(name, type_=study_terms.c.term.type)
            return and_(study_terms.c.kind == kind, database.matches(study_terms.c.term, bound))

        pattern = {name: database.pattern_text(plain(one.pattern))}
        return Criterion(("list wild", row.keyword, name), pattern, lambda: has_term(some_term()))
    if not isinstance(one, Exact | AnyOf | AllOf):
        raise InvalidQuery(f"{row.keyword} can only be matched by values")
    values = [plain(value) for value in ((one.value,) if isinstance(one, Exact) else one.values)]
    if not 1 <= len(values) <= 64:
        raise InvalidQuery(f"{row.keyword}: a list has 1 to 64 values")
    every, size = isinstance(one, AllOf), len(values)
    params: dict[str, Any] = {f"{name}_{number}": list_member(value) for number, value in enumerate(values)}
    terms = _listed_terms(database, kind, values, (name, params)) if kind else None

    def clause() -> ColumnElement[bool]:
        have = (func.replace(column, bindparam(f"{name}_{number}"), "") != column for number in range(size))
        return and_(*have) if every else or_(*have)

    shape = ("list", row.keyword, name, size, every)
    return Criterion(shape, params, clause, terms, terms_suffice=not every, one_term=size == 1)
