"""Matching by brute force over files: the rules of PS3.4 C.2.2.2 on what pydicom reads, with nothing of the index."""

import unicodedata
from collections import ChainMap
from collections.abc import Callable, Iterable, Iterator, MutableMapping
from dataclasses import dataclass, field
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from pydicom import dcmread
from pydicom.dataset import Dataset

UNIQUE = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}
NAMES = ("PatientName", "ReferringPhysicianName")
DATES = ("StudyDate", "PatientBirthDate", "SeriesDate", "PerformedProcedureStepStartDate")
TIMES = ("StudyTime", "SeriesTime", "PerformedProcedureStepStartTime")
INTEGERS = ("SeriesNumber", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "BitsAllocated")
UIDS = ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID", "SOPClassesInStudy")
OF_STUDY = (
    *("PatientName", "PatientID", "IssuerOfPatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"),
    *("AccessionNumber", "ReferringPhysicianName", "StudyDescription", "StudyInstanceUID", "StudyID"),
)
OF_SERIES = (
    *("SeriesDate", "SeriesTime", "Modality", "InstitutionName", "StationName", "SeriesDescription"),
    *("BodyPartExamined", "ProtocolName", "SeriesInstanceUID", "SeriesNumber"),
    *("PerformedProcedureStepStartDate", "PerformedProcedureStepStartTime"),
)
OF_INSTANCE = ("SOPClassUID", "SOPInstanceUID", "InstanceNumber", "NumberOfFrames", "Rows", "Columns", "BitsAllocated")
LISTS = ("ModalitiesInStudy", "SOPClassesInStudy")

Values = MutableMapping[str, list[str]]
"""Keyword -> the values that an entity and those above it have."""


@dataclass
class Entities:
    """Studies, series and instances by their unique keys; the first instance says what its study and series are."""

    by_level: dict[str, dict[str, Values]] = field(default_factory=lambda: {level: {} for level in UNIQUE})

    def add(self, ds: Dataset) -> None:
        """Take in one instance."""
        studies, all_series, instances = (self.by_level[level] for level in UNIQUE)
        lists: dict[str, list[str]] = {keyword: [] for keyword in LISTS}
        study = studies.setdefault(str(ds.StudyInstanceUID), {**_values(ds, OF_STUDY), **lists})
        for keyword, values in (("ModalitiesInStudy", _texts(ds, "Modality")), ("SOPClassesInStudy", [ds.SOPClassUID])):
            study[keyword] = sorted({*study[keyword], *map(str, values)})
        key = f"{ds.StudyInstanceUID} {ds.SeriesInstanceUID}"
        series = all_series.setdefault(key, ChainMap(_values(ds, OF_SERIES), study))
        instances.setdefault(str(ds.SOPInstanceUID), ChainMap(_values(ds, OF_INSTANCE), series))

    def matches(self, level: str, keys: dict[str, str], *, combined: bool = False) -> list[str]:
        """The unique keys of the entities that meet all keys, sorted. `combined`: date and time are one moment."""
        moments, rest = _moments(keys) if combined else ([], keys)
        return sorted(
            values[UNIQUE[level]][0]
            for values in self.by_level[level].values()
            if all(meets(keyword, text, values.get(keyword, [])) for keyword, text in rest.items())
            and all(_is_between(values, pair, low, high) for pair, low, high in moments)
        )


def _moments(keys: dict[str, str]) -> tuple[list[tuple[tuple[str, str], str, str]], dict[str, str]]:
    """Pairs of ranges of the same form (C.2.2.2.5.4), each with its first and last moment; and the other keys."""
    found, rest = [], dict(keys)
    for pair in zip(("StudyDate", *DATES[2:]), TIMES, strict=True):
        (first, dash, last), (start, also, end) = (keys.get(one, "").partition("-") for one in pair)
        if dash and also and bool(first) == bool(start) and bool(last) == bool(end):
            low, high = _day(first), _day(last)
            begin, until = _clock(start), _clock(end)
            found.append(
                (pair, low[0] + begin[0] if low and begin else "", high[1] + until[1] if high and until else "z")
            )
            rest = {keyword: text for keyword, text in rest.items() if keyword not in pair}
    return found, rest


def _is_between(values: Values, pair: tuple[str, str], low: str, high: str) -> bool:
    date, time = (values.get(one) or [""] for one in pair)
    day, clock = _day(date[0]), _clock(time[0])
    return day is not None and low <= day[0] + (clock[0] if clock else "0" * 12) <= high


def read(paths: Iterable[Path]) -> Entities:
    """All instances of the files, in their order."""
    entities = Entities()
    for path in paths:
        entities.add(dcmread(path, stop_before_pixels=True, force=True))
    return entities


def _values(ds: Dataset, keywords: Iterable[str]) -> dict[str, list[str]]:
    return {keyword: _texts(ds, keyword)[:1] for keyword in keywords}


def _texts(ds: Dataset, keyword: str) -> list[str]:
    """The values of an element as text, without padding; empty ones are none."""
    if keyword not in ds:
        return []
    value = ds[keyword].value
    values = value if isinstance(value, (list, tuple)) or type(value).__name__ == "MultiValue" else [value]
    return [text for one in values if one is not None and (text := str(one).strip(" \0"))]


def meets(keyword: str, asked: str, values: list[str]) -> bool:
    """True when the values of an attribute meet a matching key."""
    if not asked.strip("*"):
        return True
    if keyword in NAMES:
        return bool(values) and name_meets(asked, values[0])
    if keyword in DATES or keyword in TIMES:
        return bool(values) and _moment_meets(asked, values[0], _day if keyword in DATES else _clock)
    wanted = asked.split("\\")
    if keyword in INTEGERS:
        return bool(values) and int(values[0]) in {int(one) for one in wanted}
    return any(like(one, value) for one in wanted for value in values)


def like(pattern: str, text: str) -> bool:
    """`*` is any characters, `?` is one; by the table of how far each prefix of the pattern reaches."""
    reached = [True] + [False] * len(text)
    for char in pattern:
        if char == "*":
            reached = [any(reached[: end + 1]) for end in range(len(text) + 1)]
        else:
            reached = [False] + [
                before and char in ("?", letter) for before, letter in zip(reached, text, strict=False)
            ]
    return reached[-1]


def name_meets(asked: str, name: str) -> bool:
    """Each component group asked for is one of the name's; trailing empty components do not count."""
    groups = [plain_name(group) for group in name.split("=") if plain_name(group)]
    for group in filter(None, asked.split("=")):
        pattern = plain_name(group)
        if pattern.strip("*^") and not any(
            like(pattern, whole) for own in groups for empty in range(5) if (whole := own + "^" * empty)
        ):
            return False
    return bool(groups)


def plain_name(group: str) -> str:
    """Letters without case and accents."""
    kept = (char for char in unicodedata.normalize("NFD", group) if unicodedata.combining(char) not in (220, 230, 202))
    bare = unicodedata.normalize("NFKC", "".join(kept)).lower()
    return "^".join(" ".join(part.split()) for part in bare.split("^")).rstrip("^ ")


def _moment_meets(asked: str, value: str, read_one: Callable[[str], tuple[str, str] | None]) -> bool:
    own = read_one(value)
    if own is None:
        return False
    if "-" not in asked:
        asked = f"{asked}-{asked}"
    low, high = (read_one(end) if end else None for end in asked.split("-"))
    return (low is None or own[0] >= low[0]) and (high is None or own[0] <= high[1])


def _day(text: str) -> tuple[str, str] | None:
    for form in ("%Y%m%d", "%Y.%m.%d"):
        try:
            day = datetime.strptime(text, form).date().isoformat()
        except ValueError:
            continue
        return day, day
    return None


def _clock(text: str) -> tuple[str, str] | None:
    """First and last moment that a time with its precision can be."""
    digits, _, fraction = text.replace(":", "").partition(".")
    if len(digits) not in (2, 4, 6) or not digits.isdigit() or int(digits[:2]) > 23:
        return None
    first = f"{digits:0<6}{fraction:0<6}"
    return first, f"{digits}{'5959'[len(digits) - 2 :]}{fraction:9<6}"


def queries(entities: Entities, level: str) -> Iterator[dict[str, str]]:
    """Keys of every kind that the entities of a level give rise to: values that occur, and what is near them."""
    keywords = [*OF_STUDY, *LISTS]
    keywords += OF_SERIES if level != "STUDY" else ()
    keywords += OF_INSTANCE if level == "IMAGE" else ()
    for keyword in keywords:
        found = {values[keyword][0] for values in entities.by_level[level].values() if values.get(keyword)}
        values = sorted(value for value in found if not set(value) & set('*?\\",') and value.strip("^= "))
        for text in _texts_near(keyword, values):
            yield {keyword: text}


def _texts_near(keyword: str, values: list[str]) -> Iterator[str]:
    chosen = values[:: max(1, len(values) // 8)]
    yield from (value for value in chosen if keyword not in DATES + TIMES)
    if keyword in UIDS:
        yield "\\".join(values[:5])
        yield "1.2.3"
    elif keyword in DATES + TIMES:
        good = [value for value in values if (_day if keyword in DATES else _clock)(value)]
        for low, high in pairwise(good):
            yield from (low, f"{low}-{high}", f"{low}-", f"-{high}")
    elif keyword not in INTEGERS:
        for value in chosen:
            yield from (f"{value[:2]}*", f"*{value[-3:]}", f"{value[:1]}?{value[2:]}", f"*{value[1:4]}*", value.lower())
        yield "zz*zz"
