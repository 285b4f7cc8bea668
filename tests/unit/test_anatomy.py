"""Sides and regions of images, whatever an image says."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from index.anatomy import anatomic_region, laterality

SHARED, FRAME, REGION, MEANING = "52009229", "00209071", "00082218", "00080104"


def sequence(*items: object) -> dict[str, object]:
    return {"vr": "SQ", "Value": list(items)}


def text(value: object) -> dict[str, object]:
    return {"vr": "CS", "Value": [value]}


@pytest.mark.parametrize(
    ("dataset", "side"),
    [
        ({"00200062": text("L")}, "L"),
        ({"00200060": text("R")}, "R"),
        ({"00200062": text("B"), "00200060": text("R")}, "B"),
        ({"00200060": text("U")}, ""),
        ({"00200060": {"vr": "CS"}}, ""),
        ({SHARED: sequence({FRAME: sequence({"00209072": text("L")})})}, "L"),
        ({SHARED: sequence({FRAME: sequence({})})}, ""),
        ({SHARED: sequence({})}, ""),
        ({}, ""),
    ],
)
def test_sides(dataset: dict[str, object], side: str) -> None:
    assert laterality(dataset) == side


def test_regions() -> None:
    region = sequence({MEANING: text(" Knee ")}, {MEANING: text("Hand")})
    assert anatomic_region({REGION: region}) == "Knee"
    assert anatomic_region({SHARED: sequence({FRAME: sequence({REGION: region})})}) == "Knee"
    assert anatomic_region({REGION: sequence()}) == anatomic_region({REGION: {"vr": "SQ"}}) == anatomic_region({}) == ""


anything = st.recursive(
    st.none() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=2).map(lambda values: sequence(*values))
        | st.dictionaries(
            st.sampled_from([SHARED, FRAME, REGION, MEANING, "00200060", "00200062", "00209072"]),
            st.lists(inner, max_size=2).map(lambda values: sequence(*values)),
        )
    ),
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from([SHARED, REGION, "00200060"]), st.lists(anything).map(lambda v: sequence(*v))))
def test_what_is_damaged_says_nothing(dataset: dict[str, object]) -> None:
    assert laterality(dataset) in ("", "L", "R", "B")
    assert isinstance(anatomic_region(dataset), str)
