"""Names, terms and keys of declared attributes: what is written and what is asked for agree, whatever it is."""

import itertools
import re
import string
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index import attribute_paths as paths
from index.attribute_paths import Step, name_of, parse, text_of
from index.declared import DEFAULTS, READY, Declaration, Declarations, searchable_vr
from index.errors import InvalidQuery
from index.query import AnyOf, Empty, Exact, Moment, PersonName, Range, Rules, Wildcard
from index.records import Level
from index.terms import MATCHING, moment_bounds, number_text, term_of, terms_of

DOCUMENT = Path(__file__).parents[2] / "docs" / "how-to" / "make-attributes-searchable.md"

steps = st.one_of(
    st.sampled_from(["00400275", "00400009", "0040A043", "00100010"]).map(Step),
    st.tuples(st.sampled_from(["0019", "0029", "7FE1"]), st.integers(0, 255), st.text(string.ascii_letters + " .-/_1"))
    .filter(lambda one: one[2] == one[2].strip())
    .map(lambda one: Step(f"{one[0]}10{one[1]:02X}", one[2])),
)


@given(st.lists(steps, min_size=1, max_size=8).map(tuple))
def test_paths_survive_being_written(path: paths.Path) -> None:
    assert parse(text_of(path)) == path
    assert parse(name_of(path)) == path


@given(st.text())
def test_any_name_is_read_or_refused(text: str) -> None:
    try:
        path = parse(text)
    except InvalidQuery:
        return
    assert parse(text_of(path)) == path


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("RequestAttributesSequence.ScheduledProcedureStepID", "00400275.00400009"),
        ("(0040,0275).00400009", "00400275.00400009"),
        ("0040a043.CodeValue", "0040A043.00080100"),
        ("0019420a[GEMS_ACQU_01]", "0019100A[GEMS_ACQU_01]"),
        ("0029110B[A.B].00080100", "0029100B[A.B].00080100"),
    ],
)
def test_names(name: str, expected: str) -> None:
    assert text_of(parse(name)) == expected


@pytest.mark.parametrize(
    "name",
    [
        *(
            "",
            ".",
            "PatientID.",
            ".PatientID",
            "a..b",
            "PatientID[X]",
            "00190010",
            "0019000A[X]",
            "Patient ID",
            "0010001",
        ),
        *("0019100A[", "0019100A[]", "0019100A[X]Y", "0019100A[X\\Y]", ".".join(["00400275"] * 9)),
    ],
)
def test_what_names_nothing(name: str) -> None:
    with pytest.raises(InvalidQuery):
        parse(name)


@given(st.decimals(-(10**12), 10**12, allow_nan=False), st.sampled_from(["", "0", "00", " "]))
def test_a_number_has_one_spelling(number: object, padding: str) -> None:
    text = str(number)
    assert number_text(text, "DS") == number_text(padding + text if padding.strip() == "" else text, "DS")
    assert float(number_text(text, "DS")) == pytest.approx(float(text))


@given(st.integers(-(10**18), 10**18), st.integers(0, 5))
def test_whole_numbers_keep_all_their_digits(number: int, zeros: int) -> None:
    assert number_text(f"{number}.{'0' * zeros}" if zeros else str(number), "DS") == str(number)
    assert Fraction(number_text(f"{number}E-3", "DS")) == pytest.approx(Fraction(number, 1000))


def test_floats_of_32_bits_are_found_by_what_was_meant() -> None:
    assert list(terms_of("FL", {"vr": "FL", "Value": [0.10000000149011612, 1e38, 3]})) == [
        (term_of("FL", "0.1"), ""),
        (term_of("FL", "1E38"), ""),
        (term_of("FL", "3.0"), ""),
    ]


@pytest.mark.parametrize("text", ["", "x", "nan", "inf", "1e999", "1,5", "٣٣ x"])
def test_what_is_no_number_has_no_term(text: str) -> None:
    assert number_text(text, "DS") == ""


@given(st.datetimes(datetime(1900, 1, 1), datetime(2999, 12, 30)), st.integers(-12 * 60, 14 * 60), st.integers(2, 7))
def test_moments_are_what_datetime_says(moment: datetime, minutes: int, parts: int) -> None:
    digits = f"{moment:%Y%m%d%H%M%S}"[: 2 * parts]
    sign, (hours, rest) = "-" if minutes < 0 else "+", divmod(abs(minutes), 60)
    bounds = moment_bounds(f"{digits}{sign}{hours:02}{rest:02}")
    assert bounds is not None
    padded = digits + "00010101000000"[len(digits) :]
    first = datetime.strptime(padded, "%Y%m%d%H%M%S") - timedelta(minutes=minutes)
    assert bounds[0] == f"{first.year:04}{first:%m%d%H%M%S.%f}"
    assert bounds[0] <= bounds[1]
    ends = {2: 366 * 86400, 3: 31 * 86400, 4: 86400, 5: 3600, 6: 60, 7: 1}
    last = datetime.strptime(bounds[1], "%Y%m%d%H%M%S.%f")
    assert timedelta(0) < last - first + timedelta(microseconds=1) <= timedelta(seconds=ends[parts])


@pytest.mark.parametrize(
    "text",
    ["", "20240", "20240230", "2024010125", "20240101106060", "20240101.5", "20240101+2500", "20240101101010.", "x"],
)
def test_what_is_no_moment(text: str) -> None:
    assert moment_bounds(text) is None


def declaration(number: int, name: str, level: Level = Level.SERIES, vr: str = "") -> Declaration:
    path = parse(name)
    return Declaration(number, path, level, searchable_vr(path, vr), READY, 0, 0)


KNOWN = Declarations(
    1,
    (
        declaration(1, "ContentLabel"),
        declaration(2, "AcquisitionDateTime"),
        declaration(3, "OperatorsName"),
        declaration(4, "ContentDate"),
        declaration(5, "ContentTime"),
        declaration(6, "FrameOfReferenceUID"),
        declaration(7, "KVP"),
        declaration(8, "0019100A[ONE]", vr="LO"),
        declaration(9, "0019100A[TWO]", vr="LO"),
    ),
)


@pytest.mark.parametrize(
    ("name", "text", "expected"),
    [
        ("ContentLabel", "A", Exact("ContentLabel", "A")),
        ("ContentLabel", "A*", Wildcard("ContentLabel", "A*")),
        ("ContentLabel", r"A\B", AnyOf("ContentLabel", ("A", "B"))),
        ("ContentLabel", '""', Empty("ContentLabel")),
        ("OperatorsName", "x*", PersonName("OperatorsName", "x*")),
        ("ContentDate", "20240101-", Range("ContentDate", "20240101", None)),
        ("ContentTime", "10", Exact("ContentTime", "10")),
        ("FrameOfReferenceUID", "1.2,1.3", AnyOf("FrameOfReferenceUID", ("1.2", "1.3"))),
        ("KVP", "120", Exact("KVP", "120")),
        (
            "AcquisitionDateTime",
            "20240101-0500",
            Moment("AcquisitionDateTime", "20240101050000.000000", "20240102045959.999999"),
        ),
        (
            "AcquisitionDateTime",
            "2024-2025",
            Moment("AcquisitionDateTime", "20240101000000.000000", "20251231235959.999999"),
        ),
        ("AcquisitionDateTime", "-2025", Moment("AcquisitionDateTime", None, "20251231235959.999999")),
        (
            "AcquisitionDateTime",
            "20240101-0500-20240102-0500",
            Moment("AcquisitionDateTime", "20240101050000.000000", "20240103045959.999999"),
        ),
    ],
)
def test_matching_text_is_read_by_the_vr(name: str, text: str, expected: object) -> None:
    (key,) = KNOWN.keys(Level.SERIES, [(parse(name), text)], Rules(empty_values=True))
    assert key.filter == expected


@pytest.mark.parametrize("name", [row.name for row in KNOWN.rows])
@pytest.mark.parametrize("text", ["", " ", "*", "**"])
def test_universal_matching_is_no_key(name: str, text: str) -> None:
    assert KNOWN.keys(Level.SERIES, [(parse(name), text)]) == ()


@given(st.sampled_from(KNOWN.rows), st.text())
def test_any_text_is_read_or_refused(row: Declaration, text: str) -> None:
    try:
        keys = KNOWN.keys(Level.IMAGE, [(row.path, text)])
    except InvalidQuery:
        return
    assert len(keys) <= 1


def test_private_creators_that_are_not_named_must_be_the_only_one() -> None:
    with pytest.raises(InvalidQuery, match="say which"):
        KNOWN.keys(Level.SERIES, [(parse("0019100A"), "x")])
    (key,) = KNOWN.keys(Level.SERIES, [(parse("0019420A[TWO]"), "x")])
    assert key.number == 9


def test_defaults_can_be_declared_and_stand_in_the_document() -> None:
    text = DOCUMENT.read_text()
    for level, names in DEFAULTS.items():
        (row,) = re.findall(rf"^\| {level.value} \| (.*) \|$", text, re.M)
        assert re.findall(r"`([^`]+)`", row) == list(names)
        for name in names:
            assert name_of(parse(name)) == name
            assert searchable_vr(parse(name), "") in MATCHING


def test_every_vr_that_can_be_declared_stands_in_the_document() -> None:
    rows = re.findall(r"^\| ([A-Z]{2}(?: [A-Z]{2})*) \|", DOCUMENT.read_text(), re.M)
    assert sorted(itertools.chain.from_iterable(row.split() for row in rows)) == sorted(MATCHING)
