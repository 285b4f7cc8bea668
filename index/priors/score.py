"""How much an earlier study tells about the one that is read: 0 to 100, from what the index knows of both. Pure.

45 for the region of the body, 20 for the modality, 20 for how long ago it was, 10 for the side and 5 for a report. What
is not known earns nothing, but the side: most studies have none.
"""

import math
from dataclasses import dataclass
from datetime import date
from itertools import product
from typing import Final, NamedTuple

from index.priors.body_regions import are_neighbours, regions

HIDDEN_BELOW: Final = 15.0
"""Priors with a lower score are shown when somebody asks for all."""

_REGION: Final = 45.0
_MODALITY: Final = 20.0
_RECENCY: Final = 20.0
_SIDE: Final = 10.0
_REPORT: Final = 5.0
_RECENCY_DAYS: Final = 730.0

_ANOTHER_MODALITY: Final = 0.1
_NO_IMAGES: Final = frozenset(
    "ANN ASMT AU DOC FID KO PLAN PR REG RTDOSE RTPLAN RTRECORD RTSTRUCT RWV SEG SMR SR TEXTUREMAP".split()  # noqa: SIM905
)
"""Modalities of what is made from images, which tell nothing about how these were made."""
_PET_CT: Final = "PET-CT"
_LIKENESS: Final = {
    frozenset(pair): likeness
    for pair, likeness in (
        (("CR", "DX"), 0.9),
        (("CR", "RG"), 0.9),
        (("DX", "RG"), 0.9),
        (("PT", _PET_CT), 1.0),
        (("CT", _PET_CT), 0.8),
        (("CT", "MR"), 0.5),
        (("CR", "CT"), 0.4),
        (("DX", "CT"), 0.4),
        (("RG", "CT"), 0.4),
        (("US", "CT"), 0.3),
        (("US", "MR"), 0.3),
    )
}


@dataclass(frozen=True, slots=True)
class Examination:
    """What is compared of a study."""

    date: str
    """Study Date as yyyymmdd, empty when unknown."""
    time: str
    """Study Time as hhmmss.ffffff, empty when unknown."""
    modalities: frozenset[str]
    parts: frozenset[str]
    """Of the body, as `index.priors.body_regions` names them."""
    side: str
    """L, R or B, empty when there is none."""
    has_report: bool


class Score(NamedTuple):
    """The points that a prior earns, by what it earns them for."""

    region: float
    modality: float
    recency: float
    laterality: float
    report: float

    @property
    def total(self) -> float:
        """The score, in tenths: of two that differ by less the newer one comes first."""
        return round(math.fsum(self), 1)


def score(current: Examination, prior: Examination) -> Score:
    """How much `prior` tells about `current`."""
    days = days_between(prior, current)
    return Score(
        region=_REGION * region_likeness(current.parts, prior.parts),
        modality=_MODALITY * modality_likeness(current.modalities, prior.modalities),
        recency=0.0 if days is None else _RECENCY * math.exp(-abs(days) / _RECENCY_DAYS),
        laterality=_SIDE * side_likeness(current.side, prior.side),
        report=_REPORT * prior.has_report,
    )


def is_before(prior: Examination, current: Examination) -> bool:
    """True when `prior` is older, or may be: without a date, or of the same day without a time, nobody can tell."""
    if not prior.date or not current.date:
        return True
    if prior.date == current.date and prior.time and current.time:
        return prior.time < current.time
    return prior.date <= current.date


def days_between(prior: Examination, current: Examination) -> int | None:
    """Days from the one study to the other, None when a date is unknown."""
    if not prior.date or not current.date:
        return None
    return (_day(current.date) - _day(prior.date)).days


def region_likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """1 for the same parts, 0.8 for parts of the same region, 0.4 for neighbouring regions."""
    if not one or not other:
        return 0.0
    if one == other:
        return 1.0
    here, there = regions(one), regions(other)
    if here & there:
        return 0.8
    return 0.4 if any(are_neighbours(a, b) for a, b in product(here, there)) else 0.0


def modality_likeness(one: frozenset[str], other: frozenset[str]) -> float:
    """Of the modalities that two studies have, the two that are most alike."""
    pairs = product(_kinds(one), _kinds(other))
    return max((_pair(a, b) for a, b in pairs), default=_ANOTHER_MODALITY)


def _pair(one: str, other: str) -> float:
    return 1.0 if one == other else _LIKENESS.get(frozenset((one, other)), _ANOTHER_MODALITY)


def _kinds(modalities: frozenset[str]) -> frozenset[str]:
    """The CT of a PET-CT is no CT of its own: it was made for the PET."""
    imaging = modalities - _NO_IMAGES
    return imaging - {"PT", "CT"} | {_PET_CT} if imaging >= {"PT", "CT"} else imaging


def side_likeness(one: str, other: str) -> float:
    """1 for the same side or none, 0.7 when one study is of both sides, 0 for opposite ones."""
    if not one or not other or one == other:
        return 1.0
    return 0.7 if "B" in (one, other) else 0.0


def _day(text: str) -> date:
    return date(int(text[:4]), int(text[4:6]), int(text[6:]))
