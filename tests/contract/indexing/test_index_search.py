"""Every matching kind at every level against a brute-force reading of the same values, on both databases."""

import itertools
import random
import re
import unicodedata
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pytest

from index.attributes import ATTRIBUTES, BY_KEYWORD, Attribute, Matching, levels_down_to
from index.database import Database
from index.errors import InvalidQuery, OutOfResources
from index.query import AnyOf, Exact, Filter, Order, PersonName, Query, Range, Wildcard, parse_filter
from index.records import Level
from index.search import Search
from tests.indexes import Index
from tests.records import ORIGIN, a_record, new_uid, random_values, to_json

Values = dict[str, Any]

_UID = {
    Level.STUDY: "StudyInstanceUID",
    Level.SERIES: "SeriesInstanceUID",
    Level.IMAGE: "SOPInstanceUID",
}


class Oracle:
    """The same instances as plain dictionaries, and the standard's matching rules in plain Python."""

    def __init__(self, instances: list[Values]) -> None:
        self.instances = [dict(values) for values in instances]
        patients: dict[object, Values] = {}
        for values in self.instances:
            identity = (values["PatientID"], values["IssuerOfPatientID"])
            anchor = values["StudyInstanceUID"] if not values["PatientID"] else identity
            # The first instance says who the patient is.
            patient = patients.setdefault(anchor, {"number": len(patients), "heard": {}, **values})
            for keyword in ("PatientName", "ReferringPhysicianName"):
                patient["heard"].setdefault(keyword, set()).add(values[keyword] or "")
            values["patient"] = patient
            study = [one for one in self.instances if one["StudyInstanceUID"] == values["StudyInstanceUID"]]
            values["ModalitiesInStudy"] = sorted({one["Modality"] for one in study if one["Modality"]})
            values["SOPClassesInStudy"] = sorted({one["SOPClassUID"] for one in study})
            values["AvailableTransferSyntaxUID"] = "1.2.840.10008.1.2.1"

    def uids(self, query: Query) -> set[object]:
        """Unique keys of the matches."""
        found = set()
        for values in self.instances:
            seen = values["patient"] if query.level is Level.PATIENT else values
            heard = seen.get("heard", {}) if query.level is Level.PATIENT else {}
            if all(_fits(one, seen.get(one.keyword), query.fuzzy, heard.get(one.keyword)) for one in query.filters):
                found.add(values["patient"]["number"] if query.level is Level.PATIENT else values[_UID[query.level]])
        return found


def _fits(one: Filter, value: Any, fuzzy: bool, heard: set[str] | None = None) -> bool:
    row = BY_KEYWORD[one.keyword]
    values = value if isinstance(value, list) else [] if value in (None, "") else [str(value)]
    if isinstance(one, AnyOf):
        return any(_fits(Exact(one.keyword, wanted), value, fuzzy) for wanted in one.values)
    if isinstance(one, PersonName):
        return bool(values) and _name_fits(values[0], one.pattern, fuzzy, heard or {values[0]})
    if isinstance(one, Wildcard):
        return any(_regex(one.pattern).fullmatch(text) for text in values)
    if isinstance(one, Range):
        return bool(values) and _in_range(row, values[0], one.start, one.end)
    if row.matching in (Matching.DATE, Matching.TIME):
        return bool(values) and _in_range(row, values[0], one.value, one.value)
    if row.matching is Matching.INTEGER:
        return bool(values) and int(values[0]) == int(one.value)
    return one.value in values


def _regex(pattern: str) -> re.Pattern[str]:
    return re.compile("".join({"*": ".*", "?": "."}.get(char, re.escape(char)) for char in pattern), re.DOTALL)


def _in_range(row: Attribute, text: str, start: str | None, end: str | None) -> bool:
    read: Callable[[str], tuple[Any, Any] | None] = _date if row.matching is Matching.DATE else _time
    found = read(text)
    if found is None:
        return False
    low = read(start) if start else None
    high = read(end) if end else None
    return (low is None or found[0] >= low[0]) and (high is None or found[0] <= high[1])


def _date(text: str) -> tuple[Any, Any] | None:
    for form in ("%Y%m%d", "%Y.%m.%d"):
        try:
            day = datetime.strptime(text, form).date()
        except ValueError:
            continue
        return day, day
    return None


def _time(text: str) -> tuple[Any, Any] | None:
    """First and last microsecond of the day that the value stands for."""
    match = re.fullmatch(r"(\d\d)(\d\d)?(\d\d)?(?:\.(\d+))?", text)
    if match is None or int(match[1]) > 23:
        return None
    unit = 3600 if match[2] is None else 60 if match[3] is None else 1
    seconds = int(match[1]) * 3600 + int(match[2] or 0) * 60 + int(match[3] or 0)
    micro = int((match[4] or "").ljust(6, "0")[:6])
    span = unit * 10**6 if match[4] is None else 10 ** (6 - len(match[4]))
    return seconds * 10**6 + micro, seconds * 10**6 + micro + span - 1


def _fold(text: str) -> str:
    text = text.lower().replace("ß", "ss").replace("ł", "l")
    letters = []
    for char in unicodedata.normalize("NFC", text):
        base = unicodedata.normalize("NFD", char)
        letters.append(base[0] if base[0] < "\u0250" else char)
    return "".join(letters)


def _name_fits(name: str, pattern: str, fuzzy: bool, heard: set[str]) -> bool:
    groups = [_fold(group).rstrip("^") for group in name.split("=")]
    if fuzzy:
        whole = f"={'='.join(groups)}="
        wanted = [word for word in re.split(r"[\^ =,-]+", _fold(pattern)) if word.strip("*")]
        starts = {True: "", False: "[=^ ,-]"}
        sounds = {_sound(word) for one in heard for word in re.split(r"[\^ =,-]+", _fold(one))} - {None}
        return all(
            _sound(one) in sounds
            or re.search(starts[one.startswith("*")] + _regex(one.strip("*")).pattern, whole) is not None
            for one in wanted
        )
    for group in filter(None, pattern.split("=")):
        regex = _regex(_fold(group))
        if not any(regex.fullmatch(one + "^" * empty) for one in groups for empty in range(5) if one):
            return False
    return True


_LIKE = [("sch", "s"), ("sh", "s"), ("tz", "s"), ("ts", "s"), ("cz", "s"), ("ph", "f"), ("pf", "f"), ("th", "t")]
_LIKE += [("dt", "t"), ("ck", "k"), ("ch", "k"), ("qu", "k"), ("q", "k"), ("x", "ks")]
_LIKE += [("ce", "se"), ("ci", "si"), ("cy", "sy"), ("c", "k"), ("z", "s"), ("w", "f"), ("v", "f"), ("d", "t")]


def _sound(word: str) -> str | None:
    """What the documentation says of sounds: likenesses one after the other, no vowels behind the first letter."""
    if not re.fullmatch("[a-z]{2,}", word):
        return None
    for letters, like in _LIKE:
        word = word.replace(letters, like)
    if re.match("y[aeiou]", word):
        word = "j" + word[1:]
    first, rest = word[0], [char for char in word[1:] if char not in "aeiouyh"]
    kept = ["a" if first in "aeiouy" else first, *rest]
    key = "".join(char for char, before in zip(kept, [None, *kept], strict=False) if char != before)
    return key if len(key) > 1 else None


@pytest.fixture(scope="module")
def instances() -> list[Values]:
    return random_values(20240229, 45)


@pytest.fixture
def filled(index: Index, instances: list[Values], request: pytest.FixtureRequest) -> tuple[Index, Oracle]:
    """The instances in the index; filled once for each database, under one tenant."""
    store = _FILLED.setdefault(index.settings.url, index.scope)
    if store is index.scope:
        # Two tenants that hold the same, so that a forgotten tenant condition shows as doubled answers.
        for tenant in (f"{index.scope.tenant}-other", index.scope.tenant):
            for start in range(0, len(instances), 50):
                records = [a_record(**values) for values in instances[start : start + 50]]
                index.catalog.add_many(tenant, records, ORIGIN, duplicates="refuse")
    index.scope = store
    return index, Oracle(instances)


_FILLED: dict[str, Any] = {}


def _found(index: Index, query: Query) -> set[object]:
    answers = index.find(query)
    if query.level is Level.PATIENT:
        return {index_of(answer) for answer in answers}
    tag = BY_KEYWORD[_UID[query.level]].tag
    uids = [answer[tag]["Value"][0] for answer in answers]
    assert len(uids) == len(set(uids)), "a row was answered twice"
    return set(uids)


def index_of(answer: Any) -> object:
    """What tells patients apart in an answer; those without an ID are told apart by their studies' counters only."""
    return tuple(
        str(answer.get(tag, {}).get("Value")) for tag in ("00100010", "00100020", "00100021", "00100030", "00100040")
    )


def _check(index: Index, oracle: Oracle, query: Query) -> int:
    expected = oracle.uids(query)
    number = index.search.count(index.scope, query)
    assert number == len(expected), query
    answers = index.find(query)
    assert len(answers) == len(expected), query
    if query.level is not Level.PATIENT:
        assert _found(index, query) == expected, query
    return number


_PATTERNS = {
    Matching.TEXT: ["A*", "*1", "A?1", "*[A1]*", "A%*", "*_*", "a*", "?", "[A1]", "P*", "*é*", "C*", "HEAD*", "*x*"],
    Matching.NAME: [
        "müller*",
        "MULLER^anna",
        "*anna*",
        "*^Jorg",
        "smith",
        "Smith^*",
        "smith^",
        "van der berg*",
        "m?ller^*",
        "*ü*r^a*",
        "山田*",
        "*太郎",
        "かっこう*",
        "がっこう*",
        "やまだ^たろう",
        "muller*=山田*",
        "[x]*",
        "100%*",
        "*%*",
        "*_*",
        "strauss*",
        "STRAUß*",
        "lukasz*",
        "*^^Dr",
        "x",
    ],
    Matching.DATE: ["20240229", "20240229-20240302", "-20240301", "20240301-", "19000101-19991231", "2024.02.29"],
    Matching.TIME: ["1015", "10", "101500", "1000-1100", "-12", "2359-", "101500.12", "000000"],
    Matching.INTEGER: ["3", "007", "12", "512", "0"],
}


def _filters(row: Attribute, oracle: Oracle) -> list[Filter]:
    """A pool of filters for an attribute: values that occur, and those that look for trouble."""
    values = sorted({str(one[row.keyword]) for one in oracle.instances if one.get(row.keyword) not in (None, "")})
    if row.matching is Matching.LIST:
        return [
            Exact(row.keyword, "CT"),
            AnyOf(row.keyword, ("MR", "SR")),
            Exact(row.keyword, "C"),
            Exact(row.keyword, "1.2.840.10008.5.1.4.1.1.2"),
        ]
    if row.matching is Matching.UID:
        return [Exact(row.keyword, values[0]), AnyOf(row.keyword, tuple(values[:5])), Exact(row.keyword, "1.2.3")]
    texts = list(_PATTERNS.get(row.matching, []))
    if row.matching is Matching.TEXT:
        plain = [value for value in values if not set(value) & set("*?\\")]
        texts += [value for value in plain if row.vr != "CS" or "," not in value][:8]
    made = [one for text in texts if (one := parse_filter(row.keyword, text)) is not None]
    if row.matching in (Matching.TEXT, Matching.INTEGER) and len(values) > 1:
        made.append(AnyOf(row.keyword, tuple(values[:3])))
    return made


@pytest.mark.parametrize("level", list(Level))
def test_every_matching_kind_of_every_attribute(filled: tuple[Index, Oracle], level: Level) -> None:
    index, oracle = filled
    matched = 0
    for row in ATTRIBUTES:
        if row.searchable and row.level in levels_down_to(level):
            for one in _filters(row, oracle):
                matched += _check(index, oracle, Query(level, (one,)))
    assert matched > 100 or level is Level.PATIENT


@pytest.mark.parametrize("fuzzy", [False, True])
@pytest.mark.parametrize("level", list(Level))
def test_filters_together(filled: tuple[Index, Oracle], level: Level, fuzzy: bool) -> None:
    index, oracle = filled
    rng = random.Random(level.value + str(fuzzy))
    pool = [
        one
        for row in ATTRIBUTES
        if row.searchable and row.level in levels_down_to(level)
        for one in _filters(row, oracle)
    ]
    for _ in range(60):
        _check(index, oracle, Query(level, tuple(rng.sample(pool, rng.randint(2, 3))), fuzzy=fuzzy))


@pytest.mark.parametrize("walk", [False, True], ids=["by an index", "by walking the list"])
def test_limited_lists_are_the_start_of_the_whole_list(
    filled: tuple[Index, Oracle], walk: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whichever way a limited list is made, by the index of a filter or by walking the list, it is the same list."""
    index, oracle = filled
    if walk:
        monkeypatch.setattr("index.plans._MOST", 0)
    for keyword in ("PatientName", "ReferringPhysicianName", "ModalitiesInStudy", "PatientID"):
        for one in _filters(BY_KEYWORD[keyword], oracle):
            whole = index.find(Query(Level.STUDY, (one,)))
            for limit, offset in ((1, 0), (3, 0), (100, 0), (2, 2), (0, 0)):
                part = index.find(Query(Level.STUDY, (one,), limit=limit, offset=offset))
                assert part == whole[offset : offset + limit], (one, limit, offset)
    whole = index.find(Query(Level.SERIES))
    pages = [index.find(Query(Level.SERIES, limit=7, offset=start)) for start in range(0, len(whole) + 7, 7)]
    assert list(itertools.chain.from_iterable(pages)) == whole
    assert index.find(Query(Level.SERIES, offset=5)) == whole[5:]


def test_studies_are_listed_newest_first(filled: tuple[Index, Oracle]) -> None:
    index, _ = filled
    moments = []
    for answer in index.find(Query(Level.STUDY)):
        date, time = (answer[tag].get("Value", [""])[0] for tag in ("00080020", "00080030"))
        day = _date(date)
        clock = _time(time)
        moments.append((day[0].isoformat(), clock[0] // 1000 if clock else 0) if day else ("", 0))
    assert moments == sorted(moments, reverse=True)


@pytest.mark.parametrize(
    "keyword", ["StudyDate", "PatientID", "StudyDescription", "AccessionNumber", "PatientBirthDate"]
)
@pytest.mark.parametrize("descending", [False, True])
def test_lists_are_sorted_by_what_is_asked(filled: tuple[Index, Oracle], keyword: str, descending: bool) -> None:
    index, _ = filled
    row = BY_KEYWORD[keyword]
    texts = []
    for answer in index.find(Query(Level.STUDY, order=(Order(keyword, descending),))):
        text = answer.get(row.tag, {}).get("Value", [""])[0]
        if row.matching is Matching.DATE:
            day = _date(text)
            text = day[0].isoformat() if day else ""
        texts.append(text)
    assert texts == sorted(texts, reverse=descending)


def test_series_and_instances_are_in_their_numbers_order(filled: tuple[Index, Oracle]) -> None:
    index, oracle = filled
    study = oracle.instances[0]["StudyInstanceUID"]
    for level, tag in ((Level.SERIES, "00200011"), (Level.IMAGE, "00200013")):
        filters: tuple[Filter, ...] = (Exact("StudyInstanceUID", study),)
        if level is Level.IMAGE:
            filters += (Exact("SeriesInstanceUID", oracle.instances[0]["SeriesInstanceUID"]),)
        numbers = [answer[tag].get("Value", [10**9])[0] for answer in index.find(Query(level, filters))]
        assert numbers == sorted(numbers)


@pytest.mark.parametrize("level", list(Level))
def test_retrieve_selects_what_search_finds(filled: tuple[Index, Oracle], level: Level) -> None:
    index, oracle = filled
    for one in (Exact("PatientID", "P1"), PersonName("PatientName", "m*"), Exact("PatientSex", "F")):
        query = Query(level, (one,))
        wanted = oracle.uids(query)
        expected = {
            values["SOPInstanceUID"]
            for values in oracle.instances
            if (values["patient"]["number"] if level is Level.PATIENT else values[_UID[level]]) in wanted
        }
        found = index.catalog.matching(index.scope, query)
        assert {stored.key.sop_instance_uid for stored in found} == expected
        assert len(found) == len(expected)


def test_answers_are_the_instances_own_values_in_ascending_order(filled: tuple[Index, Oracle]) -> None:
    index, oracle = filled
    everything = {one["SOPInstanceUID"]: one for one in oracle.instances}
    for answer in index.find(Query(Level.IMAGE, return_all=True)):
        assert list(answer) == sorted(answer)
        values = everything[answer["00080018"]["Value"][0]]
        own = to_json(
            {key: value for key, value in values.items() if key in BY_KEYWORD and not isinstance(value, list)}
        )
        for tag, element in own.items():
            if element.get("Value") not in (None, [""]):
                assert answer[tag] == element, tag
    for level in Level:
        for answer in index.find(Query(level, return_all=True)):
            assert list(answer) == sorted(answer)
            assert all(isinstance(element, dict) for element in answer.values())


def test_what_is_returned_follows_the_question(index: Index) -> None:
    record = a_record(
        StudyDescription="Head",
        Manufacturer="ACME",
        PatientComments="none",
        ImageType=["ORIGINAL", "PRIMARY"],
        SliceThickness=1.5,
    )
    index.add(record)
    study, series, instance = (
        ("StudyInstanceUID", record.key.study_instance_uid),
        ("SeriesInstanceUID", record.key.series_instance_uid),
        ("SOPInstanceUID", record.key.sop_instance_uid),
    )
    own = (Exact(*study), Exact(*series), Exact(*instance))
    (plain,) = index.find(Query(Level.IMAGE, own))
    assert not {"00080008", "00180050", "00100010", "00081030"} & set(plain)
    assert plain["00083002"] == {"vr": "UI", "Value": ["1.2.840.10008.1.2.1"]}
    (asked,) = index.find(Query(Level.IMAGE, own, returned=frozenset({"00080008", "00100010", "00080070"})))
    assert asked["00080008"]["Value"] == ["ORIGINAL", "PRIMARY"]
    assert asked["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    assert asked["00080070"]["Value"] == ["ACME"]
    assert "00180050" not in asked
    (in_series,) = index.find(Query(Level.SERIES, own[:2]))
    assert "00100010" not in in_series
    (relational,) = index.find(Query(Level.SERIES, own[1:2]))
    assert relational["00100010"]["Value"] == [{"Alphabetic": "Doe^Jane"}]
    (with_maker,) = index.find(Query(Level.SERIES, own[:2], returned=frozenset({"00080070", "00104000"})))
    assert (with_maker["00080070"]["Value"], with_maker["00104000"]["Value"]) == (["ACME"], ["none"])
    (with_comments,) = index.find(Query(Level.STUDY, own[:1], returned=frozenset({"00104000"})))
    assert with_comments["00104000"]["Value"] == ["none"]
    assert with_comments["00081030"]["Value"] == ["Head"]


@pytest.mark.parametrize(
    ("level", "one"),
    [
        (Level.STUDY, Exact("Nonsense", "1")),
        (Level.STUDY, Exact("PixelData", "1")),
        (Level.STUDY, Exact("NumberOfStudyRelatedInstances", "1")),
        (Level.STUDY, Exact("Modality", "CT")),
        (Level.PATIENT, Exact("StudyDate", "20240101")),
        (Level.STUDY, Exact("StudyDate", "yesterday")),
        (Level.STUDY, Range("StudyDate", "20240101", "20241301")),
        (Level.STUDY, Range("PatientID", "a", "b")),
        (Level.STUDY, Range("StudyTime", "99", None)),
        (Level.STUDY, Wildcard("StudyInstanceUID", "1.2*")),
        (Level.STUDY, Wildcard("StudyDate", "2024*")),
        (Level.STUDY, AnyOf("StudyInstanceUID", ())),
        (Level.STUDY, AnyOf("StudyInstanceUID", ("1",) * 5001)),
        (Level.STUDY, PersonName("PatientID", "x")),
        (Level.SERIES, Exact("SeriesNumber", "one")),
        (Level.SERIES, Exact("SeriesNumber", "99999999999999999999")),
    ],
)
def test_what_cannot_be_read_is_refused_and_never_widens(
    filled: tuple[Index, Oracle], level: Level, one: Filter
) -> None:
    index, _ = filled
    with pytest.raises(InvalidQuery, match=one.keyword):
        index.search.find(index.scope, Query(level, (one,)))
    with pytest.raises(InvalidQuery, match=one.keyword):
        index.search.count(index.scope, Query(level, (one,)))
    with pytest.raises(InvalidQuery, match=one.keyword):
        index.catalog.matching(index.scope, Query(level, (one,)))


@pytest.mark.parametrize(
    "value", ["a\0b", "'; DROP TABLE studies; --", "\\", "%", "_", "!", "[", "😀" * 300, "x" * 10_000]
)
def test_odd_values_match_nothing_and_break_nothing(filled: tuple[Index, Oracle], value: str) -> None:
    index, _ = filled
    for one in (
        Exact("PatientID", value),
        Wildcard("PatientID", f"*{value}*?"),
        Wildcard("AccessionNumber", f"{value}zz*"),
        PersonName("PatientName", f"{value}zz*"),
    ):
        assert index.find(Query(Level.STUDY, (one,))) == [], one


def test_unknown_sort_keys_and_too_many_filters_are_refused(filled: tuple[Index, Oracle]) -> None:
    index, _ = filled
    with pytest.raises(InvalidQuery, match="Nonsense"):
        index.search.find(index.scope, Query(Level.STUDY, order=(Order("Nonsense"),)))
    with pytest.raises(InvalidQuery, match="filters"):
        index.search.find(index.scope, Query(Level.STUDY, (Exact("PatientID", "P1"),) * 65))


def test_long_lists_of_uids(index: Index) -> None:
    record = a_record()
    index.add(record)
    uids = (*(new_uid() for _ in range(1500)), record.key.study_instance_uid)
    assert len(index.find(Query(Level.STUDY, (AnyOf("StudyInstanceUID", uids),)))) == 1


def test_a_query_that_takes_too_long_is_cancelled(filled: tuple[Index, Oracle]) -> None:
    index, _ = filled
    hasty = Database(replace(index.settings, statement_timeout_seconds=0.001))
    pattern = "*a*b*c*d*e*f*g*h*i*j*k*l*"
    values = tuple(Wildcard(keyword, pattern) for keyword in ("StudyDescription", "AccessionNumber", "StudyID"))
    try:
        for _ in range(50):
            list(Search(hasty).find(index.scope, Query(Level.IMAGE, values)))
    except OutOfResources as exc:
        assert "Too broad" in str(exc)
    finally:
        hasty.close()
