"""The parser of matching text, and the normalised forms that columns and questions must share."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.attributes import ATTRIBUTES, BY_KEYWORD, snake_case
from index.errors import InvalidQuery
from index.matching import date_text, fold, fold_group, glob, like, name_column, name_patterns, sort_key, time_bounds
from index.query import AnyOf, Exact, PersonName, Range, Wildcard, parse_filter


@pytest.mark.parametrize(
    ("keyword", "text", "expected"),
    [
        ("PatientID", "", None),
        ("PatientID", "  ", None),
        ("PatientID", "*", None),
        ("PatientID", "**", None),
        ("PatientID", "X1 ", Exact("PatientID", "X1")),
        ("PatientID", "X1\0", Exact("PatientID", "X1")),
        ("PatientID", "X?", Wildcard("PatientID", "X?")),
        ("PatientID", "A\\B", AnyOf("PatientID", ("A", "B"))),
        ("StudyDescription", "Head, neck", Exact("StudyDescription", "Head, neck")),
        ("PatientName", "Doe^J*", PersonName("PatientName", "Doe^J*")),
        ("PatientName", "Doe", PersonName("PatientName", "Doe")),
        ("StudyInstanceUID", "1.2\\1.3", AnyOf("StudyInstanceUID", ("1.2", "1.3"))),
        ("StudyInstanceUID", "1.2,1.3", AnyOf("StudyInstanceUID", ("1.2", "1.3"))),
        ("StudyInstanceUID", "1.2,", Exact("StudyInstanceUID", "1.2")),
        ("ModalitiesInStudy", "CT,MR", AnyOf("ModalitiesInStudy", ("CT", "MR"))),
        ("ModalitiesInStudy", "C*", Wildcard("ModalitiesInStudy", "C*")),
        ("StudyDate", "20240229", Exact("StudyDate", "20240229")),
        ("StudyDate", "20240101-20240229", Range("StudyDate", "20240101", "20240229")),
        ("StudyDate", "20240101 - 20240229", Range("StudyDate", "20240101", "20240229")),
        ("StudyDate", "20240101-", Range("StudyDate", "20240101", None)),
        ("StudyDate", "-20240101", Range("StudyDate", None, "20240101")),
        ("StudyDate", "*", None),
        ("StudyTime", "10-1130", Range("StudyTime", "10", "1130")),
        ("SeriesNumber", "7", Exact("SeriesNumber", "7")),
    ],
)
def test_matching_text_becomes_a_filter(keyword: str, text: str, expected: object) -> None:
    assert parse_filter(keyword, text) == expected


@pytest.mark.parametrize(
    ("keyword", "text"),
    [
        ("Nonsense", "x"),
        ("PixelData", "x"),
        ("NumberOfStudyRelatedSeries", "1"),
        ("StudyDate", "20240230"),
        ("StudyDate", "2024*"),
        ("StudyDate", "-"),
        ("StudyDate", "20240101-2024"),
        ("StudyDate", "20240101-20240102-20240103"),
        ("StudyTime", "25"),
        ("StudyTime", "10-9x"),
        ("StudyInstanceUID", "1.2*"),
        ("StudyInstanceUID", "1.2\\1.*"),
        ("SeriesNumber", "1*"),
        ("ModalitiesInStudy", "CT,M*"),
        ("StudyInstanceUID", ","),
        ("PatientID", "a\0b"),
    ],
)
def test_what_cannot_be_read_is_refused_by_name(keyword: str, text: str) -> None:
    with pytest.raises(InvalidQuery, match=keyword):
        parse_filter(keyword, text)


@pytest.mark.parametrize(("keyword", "text"), [("PatientBirthDate", "secret-ish"), ("PatientBirthDate", "1970")])
def test_refusals_do_not_repeat_what_is_said_about_patients(keyword: str, text: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        parse_filter(keyword, text)
    assert text not in str(caught.value)


@given(st.sampled_from([row.keyword for row in ATTRIBUTES]), st.text())
def test_any_text_is_a_filter_or_a_refusal(keyword: str, text: str) -> None:
    try:
        found = parse_filter(keyword, text)
    except InvalidQuery:
        return
    assert found is None or found.keyword == keyword


@given(st.text())
def test_folding_twice_changes_nothing_and_never_makes_a_delimiter(text: str) -> None:
    group = fold_group(text)
    assert "=" not in group
    assert "\0" not in group
    assert fold(fold(text)) == fold(text)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("MÜLLER", "muller"),
        ("Strauß", "STRAUSS"),
        ("Łukasz", "lukasz"),
        ("Ångström", "angstrom"),
        ("ＡＢＣ", "abc"),
        ("ﾀﾛｳ", "タロウ"),
    ],
)
def test_names_that_are_the_same_to_people(one: str, other: str) -> None:
    assert fold(one) == fold(other)


def test_kana_voicing_is_another_sound() -> None:
    assert fold("がっこう") != fold("かっこう")


def test_names_columns_hold_each_group_once() -> None:
    assert name_column(["Yamada^Tarou^^", "山田^太郎", "", "yamada^tarou"]) == "=yamada^tarou=山田^太郎="
    assert name_column(["", "^^"]) == ""


def test_trailing_empty_components_may_be_left_out() -> None:
    assert name_patterns("Smith^*") == [["smith^*", "smith"]]
    assert name_patterns("Smith^") == [["smith"]]
    assert name_patterns("*") == []
    assert name_patterns("Smith=*") == [["smith"]]


@given(
    st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=8),
    st.text(st.sampled_from("ab*?[]%_!^-"), max_size=8),
)
def test_patterns_mean_the_same_in_both_databases(text: str, pattern: str) -> None:
    """GLOB and LIKE as their manuals define them, against DICOM's `*` and `?`."""
    dicom = re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL)
    for subject in (text, pattern):
        wanted = bool(dicom.fullmatch(subject))
        assert bool(_like(like(pattern)).fullmatch(subject)) == wanted
        assert _sqlite_glob(glob(pattern), subject) == wanted


def _like(pattern: str) -> re.Pattern[str]:
    pieces = re.findall(r"!.|.", pattern, re.DOTALL)
    return re.compile("".join({"%": ".*", "_": "."}.get(one, re.escape(one[-1])) for one in pieces), re.DOTALL)


def _sqlite_glob(pattern: str, text: str) -> bool:
    import sqlite3
    from contextlib import closing

    with closing(sqlite3.connect(":memory:")) as connection:
        return bool(connection.execute("SELECT ? GLOB ?", (text, pattern)).fetchone()[0])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20240229", "20240229"),
        ("2024.02.29", "20240229"),
        ("20230229", ""),
        ("00000101", ""),
        ("2024-02-29", ""),
        ("", ""),
        ("20240229 ", "20240229"),
    ],
)
def test_dates(text: str, expected: str) -> None:
    assert date_text(text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("10", ("100000.000000", "105959.999999")),
        ("1015", ("101500.000000", "101559.999999")),
        ("101530", ("101530.000000", "101530.999999")),
        ("101530.5", ("101530.500000", "101530.599999")),
        ("10:15:30", ("101530.000000", "101530.999999")),
        ("235960", ("235960.000000", "235960.999999")),
        ("24", None),
        ("1060", None),
        ("1", None),
        ("", None),
        ("101530.", None),
    ],
)
def test_times(text: str, expected: object) -> None:
    assert time_bounds(text) == expected


def test_studies_without_a_date_sort_last() -> None:
    assert sort_key("20240229", "101530.123456") == 20240229101530123
    assert sort_key("20240229", "") == 20240229000000000
    assert sort_key("", "101530.123456") == 0


@pytest.mark.parametrize(
    ("keyword", "name"),
    [
        ("SOPInstanceUID", "sop_instance_uid"),
        ("KVP", "kvp"),
        ("StudyID", "study_id"),
        ("SOPClassesInStudy", "sop_classes_in_study"),
        ("TimezoneOffsetFromUTC", "timezone_offset_from_utc"),
        ("OtherPatientIDs", "other_patient_ids"),
        ("PatientName", "patient_name"),
    ],
)
def test_snake_case(keyword: str, name: str) -> None:
    assert snake_case(keyword) == name


def test_the_table_names_each_attribute_and_column_once() -> None:
    assert len(BY_KEYWORD) == len(ATTRIBUTES) == len({row.tag for row in ATTRIBUTES})
    assert len({row.column for row in ATTRIBUTES}) == len(ATTRIBUTES)
