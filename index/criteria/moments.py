"""Moments and clocks -> SQL conditions: dates and times together, and as clocks elsewhere show them.

Where a row's own offset from UTC is known, what counts is its moment in UTC; where it is not, the date and the time
as they are written (see `index.moments`). Studies are found by `sort_key`, which is the written moment: a condition on
it, wide enough for every clock of the world, lets its index serve the exact one.
"""

from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, case, func, or_

from index.criteria.criterion import Criterion
from index.errors import InvalidQuery
from index.moments import (
    FIRST_TIME,
    LAST_TIME,
    PAIR_OF,
    WIDEST_MINUTES,
    Pair,
    clock_in_utc,
    date_column,
    shifted,
    time_column,
)
from index.query import Clock, Moment
from index.records import Level
from index.tables import series, studies

_EARLIEST = "00010101" + FIRST_TIME
_LATEST = "99991231" + LAST_TIME


def moment_criterion(one: Moment, name: str) -> Criterion:
    """A range of moments. A date without a time is its first moment; no date is in no range."""
    pair = PAIR_OF[one.keyword]
    start, end = one.start or _EARLIEST, one.end or _LATEST
    if start > end:
        raise InvalidQuery(f"{one.keyword}: the range ends before it begins")
    params: dict[str, Any] = {f"{name}_low": start, f"{name}_high": end}
    if one.offset_minutes is not None:
        params[f"{name}_utc_low"] = shifted(start, -one.offset_minutes) if one.start else _EARLIEST
        params[f"{name}_utc_high"] = shifted(end, -one.offset_minutes) if one.end else _LATEST
    if pair.level is Level.STUDY:
        leeway = WIDEST_MINUTES if one.offset_minutes is not None else 0
        params[f"{name}_first"] = _sort_key(shifted(start, -leeway) if one.start else _EARLIEST)
        params[f"{name}_last"] = _sort_key(shifted(end, leeway) if one.end else _LATEST)

    def clause() -> ColumnElement[bool]:
        return _moment_clause(pair, name, zoned=one.offset_minutes is not None)

    return Criterion(("moment", one.keyword, name, one.offset_minutes is not None), params, clause)


def _moment_clause(pair: Pair, name: str, *, zoned: bool) -> ColumnElement[bool]:
    table = _table(pair)
    date, time = table.c[date_column(pair)], table.c[time_column(pair)]
    written = date.concat(case((time == "", FIRST_TIME), else_=time))
    inside = and_(date != "", _between(written, name, date.type))
    if zoned:
        utc = table.c[pair.utc_column]
        inside = or_(and_(utc != "", _between(utc, f"{name}_utc", utc.type)), and_(utc == "", inside))
    if table is not studies:
        return inside
    near = studies.c.sort_key.between(
        bindparam(f"{name}_first", type_=studies.c.sort_key.type),
        bindparam(f"{name}_last", type_=studies.c.sort_key.type),
    )
    return and_(near, inside)


def clock_criterion(one: Clock, name: str) -> Criterion:
    """A range within the day of a clock elsewhere; in UTC it may go past midnight."""
    pair = PAIR_OF[one.keyword]
    start, end = one.start or FIRST_TIME, one.end or LAST_TIME
    if start > end:
        raise InvalidQuery(f"{one.keyword}: the range ends before it begins")
    low, high = clock_in_utc(start, one.offset_minutes), clock_in_utc(end, one.offset_minutes)
    params = {f"{name}_low": start, f"{name}_high": end, f"{name}_utc_low": low, f"{name}_utc_high": high}
    past_midnight = low > high

    def clause() -> ColumnElement[bool]:
        table = _table(pair)
        time, utc = table.c[time_column(pair)], table.c[pair.utc_column]
        clock = func.substr(utc, 9)
        lower = clock >= bindparam(f"{name}_utc_low", type_=utc.type)
        upper = clock <= bindparam(f"{name}_utc_high", type_=utc.type)
        inside = or_(lower, upper) if past_midnight else and_(lower, upper)
        return or_(and_(utc != "", inside), and_(utc == "", time != "", _between(time, name, time.type)))

    return Criterion(("clock", one.keyword, name, past_midnight), params, clause)


def _table(pair: Pair) -> Any:
    return studies if pair.level is Level.STUDY else series


def _between(column: ColumnElement[Any], name: str, kind: Any) -> ColumnElement[bool]:
    # Not BETWEEN, which PostgreSQL cannot parse with the collations that the bound values carry.
    return and_(column >= bindparam(f"{name}_low", type_=kind), column <= bindparam(f"{name}_high", type_=kind))


def _sort_key(moment: str) -> int:
    """The moment as in `studies.sort_key`, to the millisecond."""
    return int(moment[:14] + moment[15:18])
