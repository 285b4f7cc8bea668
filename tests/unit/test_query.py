"""The parser of matching text, and the normalised forms that columns and questions must share."""

import re
from datetime import datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from index.attributes import ATTRIBUTES, BY_KEYWORD, snake_case
from index.errors import InvalidQuery
from index.moments import clock_in_utc, offset_minutes, shifted
from index.query import LITERAL, AllOf, AnyOf, Empty, Exact, PersonName, Range, Rules, Wildcard, parse_filter
from index.words.matching import (
    date_text,
    fold,
    fold_group,
    glob,
    like,
    name_column,
    name_patterns,
    sort_key,
    time_bounds,
)
from index.words.sounds import sound


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
        ("PatientName", "^^^^"),
        ("PatientName", "="),
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
        ("ヤマダ", "やまだ"),
        ("ΔΙΟΝΥΣΊΟΥΣ", "διονυσιους"),
        ("Иван", "ИВАН"),
        ("מֹשֶׁה", "משה"),
        ("שָׁלוֹם", "שלומ"),
        ("مُحَمَّد", "محمد"),
        ("أحمد", "احمد"),
        ("فاطمة", "فاطمه"),
        ("علی", "علي"),
        ("محـمد", "محمد"),
        ("Işıl", "ISIL"),
        ("Đặng", "dang"),
        ("می\u200cخواهم", "میخواهم"),
    ],
)
def test_names_that_are_the_same_to_people(one: str, other: str) -> None:
    assert fold(one) == fold(other)


@pytest.mark.parametrize(
    ("one", "other"), [("ก่อน", "กอน"), ("김", "킴"), ("ぱん", "ばん"), ("王", "玉"), ("نور", "نار")]
)
def test_names_that_are_not_the_same(one: str, other: str) -> None:
    assert fold(one) != fold(other)


@pytest.mark.parametrize(
    "words",
    [
        "meyer maier mayr meier",
        "schmidt schmitt shmit",
        "stephen steven stefan",
        "swain swayne",
        "mohammed muhamad mohamed",
        "christian kristian",
        "philipp filip",
        "catherine katharina",
        "jusuf yusuf youssef",
        "jackson jaxon jakson",
    ],
)
def test_words_that_sound_alike(words: str) -> None:
    assert len({sound(word) for word in words.split()} - {""}) == 1


@pytest.mark.parametrize("words", ["smith jones", "miller mueller-x", "anna hanna", "peter dieter karl"])
def test_words_that_do_not(words: str) -> None:
    keys = [sound(word) for word in words.split()]
    assert len(set(keys)) > 1


@given(st.text())
def test_only_latin_words_have_a_sound_and_it_is_short(word: str) -> None:
    key = sound(word)
    assert not key or (re.fullmatch("[a-z]{2,}", word) and re.fullmatch("[a-z]{2,}", key) and len(key) <= len(word) * 2)


MULTIPLE, QUOTED = Rules(multiple_values=True), Rules(empty_values=True)


@pytest.mark.parametrize(
    ("keyword", "text", "rules", "expected"),
    [
        ("PatientName", '""', QUOTED, Empty("PatientName")),
        ("PatientName", '""', LITERAL, PersonName("PatientName", '""')),
        ("StudyDate", ' "" ', QUOTED, Empty("StudyDate")),
        ("SeriesNumber", '""', QUOTED, Empty("SeriesNumber")),
        ("ModalitiesInStudy", "CT\\PT", MULTIPLE, AllOf("ModalitiesInStudy", ("CT", "PT"))),
        ("ModalitiesInStudy", "CT,PT", LITERAL, AnyOf("ModalitiesInStudy", ("CT", "PT"))),
        ("StudyInstanceUID", "1.2\\1.3", MULTIPLE, AnyOf("StudyInstanceUID", ("1.2", "1.3"))),
        ("PatientID", "1\\2", MULTIPLE, AnyOf("PatientID", ("1", "2"))),
    ],
)
def test_rules_that_were_agreed_on(keyword: str, text: str, rules: Rules, expected: object) -> None:
    assert parse_filter(keyword, text, rules) == expected


@pytest.mark.parametrize(
    ("text", "minutes"),
    [("+0000", 0), ("-0330", -210), ("+1400", 840), ("-1200", -720), ("+1401", None), ("-1201", None), ("0100", None)],
)
def test_offsets(text: str, minutes: int | None) -> None:
    assert offset_minutes(text) == minutes


@given(st.datetimes(datetime(1900, 1, 2), datetime(2100, 1, 1)), st.integers(-720, 840))
def test_moments_of_other_clocks(at: datetime, minutes: int) -> None:
    shown = f"{at:%Y%m%d%H%M%S.%f}"
    there = at + timedelta(minutes=minutes)
    assert shifted(shown, minutes) == f"{there:%Y%m%d%H%M%S.%f}"
    assert clock_in_utc(shown[8:], -minutes) == f"{there:%H%M%S.%f}"


def test_the_calendar_has_ends_and_minutes_can_have_a_second_more() -> None:
    assert shifted("00010101000000.000000", -1) == "00010101000000.000000"
    assert shifted("99991231235959.999999", 1) == "99991231235959.999999"
    assert shifted("20161231235960.500000", 60) == "20170101010000.500000"


def test_every_attribute_says_how_it_is_matched() -> None:
    for row in ATTRIBUTES:
        assert bool(row.kinds) == row.searchable
    assert "Multiple Value Matching" in BY_KEYWORD["ModalitiesInStudy"].kinds
    assert "Wild Card Matching" not in BY_KEYWORD["SOPClassesInStudy"].kinds
    assert "Combined Datetime Matching" in BY_KEYWORD["StudyTime"].kinds
    assert "Combined Datetime Matching" not in BY_KEYWORD["PatientBirthDate"].kinds


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
