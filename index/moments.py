"""Moments: pairs of a date and a time, their offset from UTC, and ranges of them (PS3.4 C.2.2.2.1.3, C.2.2.2.5.4).

A moment is a text `yyyymmddhhmmss.ffffff`, so that moments compare as texts do. Where a data set says how far its
clock is from UTC (Timezone Offset From UTC (0008,0201), PS3.3 C.12.1), the index also keeps the moment in UTC; where
it does not, or where the time is missing, nobody knows the moment, and the date and time are compared as written.
"""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from types import MappingProxyType
from typing import Any, Final

from index.attributes import BY_KEYWORD, snake_case, tag_of
from index.query import Clock, Exact, Filter, Moment, Range
from index.records import Answer, Element, Level
from index.words.matching import date_text, time_bounds, time_text

FIRST_TIME: Final = "000000.000000"
LAST_TIME: Final = "235959.999999"

_OFFSET: Final = re.compile(r"([+-])(\d{2})(\d{2})")
_EARLIEST_MINUTES: Final = -12 * 60
_LATEST_MINUTES: Final = 14 * 60
_DAY_MICROSECONDS: Final = 24 * 3600 * 10**6
_DAY_MINUTES: Final = 24 * 60

WIDEST_MINUTES: Final = _LATEST_MINUTES - _EARLIEST_MINUTES
"""How far apart two clocks can be that show the same moment."""


@dataclass(frozen=True, slots=True)
class Pair:
    """A date and a time of the index that belong together."""

    date: str
    time: str
    level: Level
    utc_column: str


PAIRS: Final = (
    Pair("StudyDate", "StudyTime", Level.STUDY, "study_utc"),
    Pair("SeriesDate", "SeriesTime", Level.SERIES, "series_utc"),
    Pair(
        "PerformedProcedureStepStartDate",
        "PerformedProcedureStepStartTime",
        Level.SERIES,
        "performed_procedure_step_start_utc",
    ),
)
PAIR_OF: Final[Mapping[str, Pair]] = MappingProxyType(
    {keyword: pair for pair in PAIRS for keyword in (pair.date, pair.time)}
)

_TIMEZONE: Final = tag_of("TimezoneOffsetFromUTC")
_ANSWERED: Final = tuple(
    (tag_of(f"{what}Date"), tag_of(f"{what}Time"))
    for what in (
        *("Study", "Series", "Acquisition", "Content", "InstanceCreation"),
        *("PerformedProcedureStepStart", "PerformedProcedureStepEnd"),
    )
)
"""Dates and times of answers that belong together."""


def offset_minutes(text: str) -> int | None:
    """`+0130` as minutes; None when it is no offset between -1200 and +1400 (PS3.3 C.12.1.1.8)."""
    match = _OFFSET.fullmatch(text.strip(" \0"))
    if match is None or int(match[3]) > 59:
        return None
    minutes = (int(match[2]) * 60 + int(match[3])) * (-1 if match[1] == "-" else 1)
    return minutes if _EARLIEST_MINUTES <= minutes <= _LATEST_MINUTES else None


def shifted(moment: str, minutes: int) -> str:
    """The moment so many minutes later; the end of the calendar is where it stays."""
    year, month, day, hour, minute, second = (int(moment[at : at + 2]) for at in (2, 4, 6, 8, 10, 12))
    # A leap second has the number 60, which datetime does not know (PS3.5 6.2, TM).
    later = timedelta(minutes=minutes, seconds=second)
    try:
        at = datetime(int(moment[:2]) * 100 + year, month, day, hour, minute, 0, int(moment[15:]), UTC) + later
    except OverflowError:
        return moment
    return f"{at.year:04d}{at:%m%d%H%M%S.%f}"


def in_utc(date: str, time: str, offset: int | None) -> str:
    """The moment of a normalised date and time in UTC; empty when it is not known."""
    return shifted(date + time, -offset) if date and time and offset is not None else ""


def utc_columns(level: Level, columns: Mapping[str, Any], timezone: str) -> dict[str, str]:
    """The UTC columns of a row, from its columns of dates and times."""
    offset = offset_minutes(timezone)
    return {
        pair.utc_column: in_utc(columns[snake_case(pair.date)], columns[snake_case(pair.time)], offset)
        for pair in PAIRS
        if pair.level is level
    }


def clock_in_utc(time: str, offset: int) -> str:
    """A time of day `hhmmss.ffffff` of a clock with this offset, in UTC; it may be on another day."""
    seconds = int(time[:2]) * 3600 + int(time[2:4]) * 60 + int(time[4:6]) - offset * 60
    micros = (seconds * 10**6 + int(time[7:])) % _DAY_MICROSECONDS
    rest, fraction = divmod(micros, 10**6)
    return f"{rest // 3600:02d}{rest // 60 % 60:02d}{rest % 60:02d}.{fraction:06d}"


def with_moments(filters: tuple[Filter, ...], *, combined: bool, offset: int | None) -> tuple[Filter, ...]:
    """The filters with dates and times put together (`combined`) and meant as shown by a clock with this offset.

    A pair is one range of moments when both are ranges of the same form: both ends, or the same one (C.2.2.2.5.4).
    """
    given = {one.keyword: one for one in filters if isinstance(one, Exact | Range) and one.keyword in PAIR_OF}
    made: list[Filter] = []
    for one in filters:
        pair = PAIR_OF.get(one.keyword)
        if pair is None or given.get(one.keyword) is not one:
            made.append(one)
            continue
        date, time = given.get(pair.date), given.get(pair.time)
        if combined and isinstance(date, Range) and isinstance(time, Range) and _form(date) == _form(time):
            if one is date:
                made.append(_joined(pair, date, time, offset))
        elif offset is None:
            made.append(one)
        else:
            made.append(_in_zone(pair, one, offset))
    return tuple(made)


def _form(one: Range) -> tuple[bool, bool]:
    return one.start is None, one.end is None


def _joined(pair: Pair, date: Range, time: Range, offset: int | None) -> Moment:
    start = date_text(date.start) + _bounds(time.start)[0] if date.start and time.start else None
    end = date_text(date.end) + _bounds(time.end)[1] if date.end and time.end else None
    return Moment(pair.date, start, end, offset)


def _in_zone(pair: Pair, one: Exact | Range, offset: int) -> Filter:
    first, last = (one.value, one.value) if isinstance(one, Exact) else (one.start, one.end)
    if one.keyword == pair.time:
        return Clock(one.keyword, _bounds(first)[0] if first else None, _bounds(last)[1] if last else None, offset)
    start = date_text(first) + FIRST_TIME if first else None
    return Moment(one.keyword, start, date_text(last) + LAST_TIME if last else None, offset)


def _bounds(text: str) -> tuple[str, str]:
    return time_bounds(text) or (FIRST_TIME, LAST_TIME)


def converted(answer: Answer, timezone: str) -> Answer:
    """The answer as a clock with this offset would have written it; unchanged when it does not tell its own offset.

    Dates without a time stay: which day it was elsewhere is not known.
    """
    offset, own = offset_minutes(timezone), offset_minutes(_text(answer, _TIMEZONE))
    if offset is None or own is None or offset == own:
        return answer
    changed: dict[str, Element] = {}
    for date_tag, time_tag in _ANSWERED:
        date, time = date_text(_text(answer, date_tag)), time_text(_text(answer, time_tag))
        if date and time:
            moment = shifted(date + time, offset - own)
            changed[date_tag] = {"vr": "DA", "Value": [moment[:8]]}
            changed[time_tag] = {"vr": "TM", "Value": [_trimmed(moment[8:], _text(answer, time_tag))]}
    return {**answer, **changed, _TIMEZONE: {"vr": "SH", "Value": [timezone]}} if changed else answer


def _text(answer: Answer, tag: str) -> str:
    values = answer.get(tag, {}).get("Value") or ("",)
    return str(values[0] or "")


def _trimmed(time: str, like: str) -> str:
    """A time with the precision of another; one of hours alone gets minutes, because offsets have them."""
    digits = like.strip(" \0").replace(":", "")
    return time[: max(len(digits), 4)]


def date_column(pair: Pair) -> str:
    """Column of the pair's date."""
    return BY_KEYWORD[pair.date].column


def time_column(pair: Pair) -> str:
    """Column of the pair's time."""
    return BY_KEYWORD[pair.time].column
