"""What a prior is worth: the rule in numbers, and what must hold of it whatever is compared."""

import math
from datetime import date, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.priors.body_parts import PARTS, REGION_OF, SIDES, Region
from index.priors.body_regions import are_neighbours, of_code, read, regions, side
from index.priors.score import (
    Examination,
    days_between,
    is_before,
    modality_likeness,
    region_likeness,
    score,
    side_likeness,
)


def exam(
    day: str = "20240615", modalities: str = "CT", parts: str = "Chest", side: str = "", *, report: bool = False
) -> Examination:
    named = frozenset(part for part in parts.split("+") if part)
    return Examination(day, "120000.000000", frozenset(modalities.split("+")), named, side, report)


TEXTS = {
    # Defined terms of Body Part Examined (PS3.16 annex L).
    "CHEST": "Chest",
    "CSPINE": "Cervical spine",
    "LSSPINE": "Lumbar spine",
    "TLSPINE": "Lumbar spine+Thoracic spine",
    "CTSPINE": "Cervical spine+Thoracic spine",
    "ABDOMENPELVIS": "Abdomen+Pelvis",
    "CHESTABDPELVIS": "Abdomen+Chest+Pelvis",
    "NECKCHESTABDPELVIS": "Abdomen+Chest+Neck+Pelvis",
    "HEADNECK": "Head+Neck",
    "TIBIAFIBULA": "Lower leg",
    "WHOLEBODY": "Whole body",
    "EXTREMITY": "",
    "PHANTOM": "",
    # What people write instead.
    "Abd/Pel": "Abdomen+Pelvis",
    "CT ABD_PELV w IV": "Abdomen+Pelvis",
    "CT CAP": "Abdomen+Chest+Pelvis",
    "C-Spine AP/LAT": "Cervical spine",
    "XR L spine": "Lumbar spine",
    "CT spine": "Cervical spine+Lumbar spine+Thoracic spine",
    "CT T-Spine": "Thoracic spine",
    "thoracic spine": "Thoracic spine",
    "Brain^Routine": "Head",
    "PET/CT skull base to mid-thigh": "Whole body",
    "CT angio aorta": "Abdominal aorta",
    "LWS in 2 Ebenen": "Lumbar spine",
    "MRT Schädel nativ": "Head",
    "Kniegelenk rechts": "Knee",
    "Beckenübersicht": "Pelvis",
    "Fuß links": "Foot",
    "Oberes Sprunggelenk": "Ankle",
    "Rachis lombaire": "Lumbar spine",
    "Scanner thoraco abdomino pelvien": "Abdomen+Chest+Pelvis",
    "Épaule gauche": "Shoulder",
    "Rodilla derecha": "Knee",
    "Tórax PA": "Chest",
    "T2 FLAIR": "",
    "handsome": "",
    "": "",
}


@pytest.mark.parametrize(("text", "expected"), TEXTS.items(), ids=str)
def test_parts_are_read_from_words(text: str, expected: str) -> None:
    assert sorted(read(text).parts) == (expected.split("+") if expected else [])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("MR knee LT", "L"),
        ("L knee", "L"),
        ("Knie re.", "R"),
        ("XR HAND R", "R"),
        ("MAMMO BILAT", "B"),
        ("knee left and right", "B"),
        ("genou droit", "R"),
        ("XR L spine", ""),
        ("CT head R/O bleed", ""),
        ("RT Plan", ""),
        ("Mittelgesicht", ""),
    ],
)
def test_sides_are_read_from_words(text: str, expected: str) -> None:
    assert side(read(text).sides) == expected


def test_codes_go_before_their_meaning() -> None:
    assert of_code("36813-4", "knee") == {"Abdomen", "Pelvis"}
    assert of_code("X1", "CT knee left") == {"Knee"}
    assert of_code("X1", "") == frozenset()


def test_every_name_is_written_as_it_is_looked_up() -> None:
    for name, parts in PARTS.items():
        assert read(name).parts == frozenset(parts), name
        assert all(part in REGION_OF for part in parts)
    assert set(REGION_OF.values()) == set(Region)
    assert all(region.value in REGION_OF for region in Region), "each region is a part of its own"
    assert not set(SIDES) & set(PARTS)


@given(st.text(max_size=300))
def test_any_text_can_be_read(text: str) -> None:
    found = read(text)
    assert found.parts <= set(REGION_OF) and found.sides <= {"L", "R", "B"}


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("Knee", "Knee", 1.0),
        ("Abdomen+Pelvis", "Pelvis+Abdomen", 1.0),
        ("Abdomen+Pelvis", "Abdomen", 0.8),
        ("Knee", "Ankle", 0.8),
        ("Liver", "Abdomen", 0.8),
        ("Abdomen", "Pelvis", 0.4),
        ("Chest", "Liver", 0.4),
        ("Head", "Neck", 0.4),
        ("Neck", "Chest", 0.4),
        ("Cervical spine", "Thoracic spine", 0.4),
        ("Cervical spine", "Lumbar spine", 0.0),
        ("Whole body", "Whole body", 1.0),
        ("Whole body", "Knee", 0.4),
        ("Head", "Chest", 0.0),
        ("Knee", "Hand", 0.0),
        ("", "Chest", 0.0),
        ("", "", 0.0),
    ],
)
def test_regions(one: str, other: str, expected: float) -> None:
    here, there = (frozenset(filter(None, text.split("+"))) for text in (one, other))
    assert region_likeness(here, there) == region_likeness(there, here) == expected


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("CT", "CT", 1.0),
        ("CR", "DX", 0.9),
        ("DX", "RG", 0.9),
        ("CT", "PT+CT", 0.8),
        ("PT+CT", "PT+CT", 1.0),
        ("PT", "PT+CT", 1.0),
        ("CT", "MR", 0.5),
        ("DX", "CT", 0.4),
        ("US", "MR", 0.3),
        ("US", "CT", 0.3),
        ("MR", "DX", 0.1),
        ("MG", "MR", 0.1),
        ("CT+SR+SEG", "CT+KO", 1.0),
        ("SR", "SR", 0.1),
        ("CT+US", "MR", 0.5),
    ],
)
def test_modalities(one: str, other: str, expected: float) -> None:
    here, there = frozenset(one.split("+")), frozenset(other.split("+"))
    assert modality_likeness(here, there) == modality_likeness(there, here) == expected


def test_the_points_of_one_prior() -> None:
    current = exam(side="L", parts="Knee", modalities="MR")
    earned = score(current, exam("20230616", "DX", "Ankle", "B", report=True))
    assert earned._asdict() == pytest.approx(
        {"region": 36, "modality": 2, "recency": 20 * math.exp(-365 / 730), "laterality": 7, "report": 5}
    )
    assert earned.total == 62.1


def test_dates() -> None:
    noon = exam("20240301")
    assert is_before(exam("20240229"), noon) and not is_before(exam("20240302"), noon)
    assert days_between(exam("20240229"), noon) == 1
    morning = Examination("20240301", "080000.000000", frozenset(), frozenset(), "", False)
    assert is_before(morning, noon) and not is_before(noon, morning) and not is_before(noon, noon)
    timeless = Examination("20240301", "", frozenset(), frozenset(), "", False)
    assert is_before(timeless, noon) and is_before(noon, timeless)
    dateless = exam("")
    assert is_before(dateless, noon) and is_before(noon, dateless)
    assert days_between(dateless, noon) is None and score(noon, dateless).recency == 0


exams = st.builds(
    Examination,
    date=st.one_of(st.just(""), st.dates().map(lambda day: day.strftime("%Y%m%d").rjust(8, "0"))),
    time=st.just(""),
    modalities=st.frozensets(st.sampled_from(["CT", "MR", "PT", "US", "CR", "DX", "RG", "MG", "SR", "KO", ""])),
    parts=st.frozensets(st.sampled_from(sorted(REGION_OF)), max_size=4),
    side=st.sampled_from(["", "L", "R", "B"]),
    has_report=st.booleans(),
)


@given(exams, exams)
def test_bounds_and_symmetry(one: Examination, other: Examination) -> None:
    earned = score(one, other)
    assert 0 <= earned.total <= 100
    assert all(0 <= points <= most for points, most in zip(earned, (45, 20, 20, 10, 5), strict=True))
    back = score(other, one)
    assert earned[:4] == back[:4]


@given(exams)
def test_nothing_is_more_like_a_study_than_the_same_again(one: Examination) -> None:
    same = score(one, one)
    assert same.laterality == 10
    assert same.recency == (20 if one.date else 0)
    assert same.region == (45 if one.parts else 0)


@given(exams, st.dates(date(1900, 1, 1), date(2100, 1, 1)), st.integers(0, 20_000), st.integers(0, 20_000))
def test_what_is_newer_never_earns_less(prior: Examination, day: date, one: int, more: int) -> None:
    def before(days: int) -> float:
        when = day - timedelta(days=days)
        return score(
            exam(day.strftime("%Y%m%d")), exam(when.strftime("%Y%m%d"), parts="+".join(prior.parts), side=prior.side)
        ).total

    assert before(one) >= before(one + more)


@given(st.sampled_from(sorted(Region, key=str)), st.sampled_from(sorted(Region, key=str)))
def test_neighbours_are_neighbours_of_each_other(one: Region, other: Region) -> None:
    assert are_neighbours(one, other) == are_neighbours(other, one)
    assert not are_neighbours(one, one)
    assert are_neighbours(one, Region.WHOLE_BODY) == (one is not Region.WHOLE_BODY)


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [("", "L", 1), ("L", "L", 1), ("B", "L", 0.7), ("R", "B", 0.7), ("B", "B", 1), ("L", "R", 0), ("", "", 1)],
)
def test_sides(one: str, other: str, expected: float) -> None:
    assert side_likeness(one, other) == side_likeness(other, one) == expected


def test_regions_of_parts() -> None:
    assert regions(["Knee", "Ankle", "Liver"]) == {Region.LOWER_EXTREMITY, Region.ABDOMEN}
