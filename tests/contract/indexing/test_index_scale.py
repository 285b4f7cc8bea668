"""What keeps queries short when there are many rows: trigram indexes, plans that use indexes, limits that hold."""

import fnmatch
import random
import re
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from sqlalchemy import create_engine, text

from config import settings
from index.access import Scope
from index.catalog import Catalog
from index.database import Database, Prepared
from index.errors import TooBroad
from index.query import AnyOf, Empty, Exact, Order, PersonName, Query, Range, Wildcard
from index.records import Level
from index.search import Search
from pacs.migrations import upgrade
from tests.indexes import Index
from tests.records import ORIGIN, a_record, new_uid
from tests.servers import postgresql_url

DESCRIPTION, NAME, STUDY_UID = "00081030", "00100010", "0020000D"
_WORDS = ("Thorax", "thorax p.a.", "Schädel nativ", "100%_!", "[Knie]*", 'an "aus"', "山田太郎", "it's", "CT", "a-b")


@pytest.fixture
def described(index: Index) -> tuple[Index, dict[str, str]]:
    """Studies with random descriptions, by UID."""
    rng = random.Random(11)
    texts = {new_uid(): " ".join(rng.choices(_WORDS, k=rng.randint(0, 4))) for _ in range(150)}
    records = [
        a_record(StudyInstanceUID=uid, StudyDescription=text or None, PatientName=f"{text[:12]}^{uid[-2:]}")
        for uid, text in texts.items()
    ]
    index.catalog.add_many(index.scope.tenant, records, ORIGIN, duplicates="refuse")
    return index, texts


def _found(index: Index, *filters: Any, **more: Any) -> set[str]:
    return {answer[STUDY_UID]["Value"][0] for answer in index.find(Query(Level.STUDY, filters, **more))}


def test_texts_inside_of_texts_are_those_of_a_comparison_one_by_one(described: tuple[Index, dict[str, str]]) -> None:
    index, texts = described
    rng = random.Random(5)
    for _ in range(80):
        words = [rng.choice(_WORDS) for _ in range(rng.randint(1, 2))]
        pieces = [word[rng.randint(0, 2) : rng.randint(3, len(word)) if len(word) > 3 else None] for word in words]
        pattern = f"*{'*'.join(piece.replace('*', '?') for piece in pieces)}*"
        # Everything but * and ? is literal in DICOM (PS3.4 C.2.2.2.4).
        shell = re.sub(r"\[", "[[]", pattern)
        expected = {uid for uid, text in texts.items() if fnmatch.fnmatchcase(text.casefold(), shell.casefold())}
        expected_exact = {uid for uid, text in texts.items() if fnmatch.fnmatchcase(text, shell)}
        found = _found(index, Wildcard("StudyDescription", pattern))
        assert expected_exact <= found <= expected, pattern


def test_the_text_index_follows_removals(described: tuple[Index, dict[str, str]]) -> None:
    index, texts = described
    gone = next(uid for uid, text in texts.items() if "Thorax" in text)
    assert gone in _found(index, Wildcard("StudyDescription", "*Thorax*"))
    index.catalog.removals.delete(index.scope, (gone, None, None), ORIGIN, 30.0)
    assert gone not in _found(index, Wildcard("StudyDescription", "*Thorax*"))
    if index.settings.url.startswith("sqlite"):
        engine = create_engine(index.settings.url)
        with engine.begin() as connection:
            # Raises when the full-text table and the rows say different things.
            connection.execute(text("INSERT INTO studies_texts(studies_texts) VALUES ('integrity-check')"))
            connection.execute(text("INSERT INTO patients_texts(patients_texts) VALUES ('integrity-check')"))
        engine.dispose()


class _Recorder(Database):
    """A database that remembers what it was asked."""

    asked: list[tuple[str, dict[str, Any]]]

    def rows(self, statement: Prepared, params: Any) -> list[Any]:
        self.asked.append((statement.sql, {**statement.values, **params}))
        return super().rows(statement, params)


@pytest.fixture
def recorder(database_settings: settings.Database) -> Iterator[_Recorder]:
    """Connections to the index that must use an index wherever there is one, however few rows there are."""
    url = database_settings.url
    if not url.startswith("sqlite"):
        url += "?options=-c%20enable_seqscan%3Doff%20-c%20enable_sort%3Doff"
    made = _Recorder(replace(database_settings, url=url))
    made.asked = []
    yield made
    made.close()


_DAY = Range("StudyDate", "20240201", "20240301")
_SERVED: dict[str, Query] = {
    "study by UID": Query(Level.STUDY, (Exact("StudyInstanceUID", "1.2"),)),
    "list of studies": Query(Level.STUDY, (AnyOf("StudyInstanceUID", ("1.2", "1.3")),), limit=9),
    "patient": Query(Level.STUDY, (Exact("PatientID", "P1"),), limit=9),
    "accession number": Query(Level.STUDY, (Exact("AccessionNumber", "A"),), limit=9),
    "instance by UID": Query(Level.IMAGE, (Exact("SOPInstanceUID", "1.2"),)),
    "newest": Query(Level.STUDY, limit=9),
    "page": Query(Level.STUDY, limit=9, offset=100),
    "range of dates": Query(Level.STUDY, (_DAY,), limit=9),
    "modality": Query(Level.STUDY, (Exact("ModalitiesInStudy", "CT"),), limit=9),
    "modality and dates": Query(Level.STUDY, (Exact("ModalitiesInStudy", "CT"), _DAY), limit=9),
    "body part": Query(Level.STUDY, (Exact("BodyPartExamined", "HEAD"),), limit=9),
    "unread": Query(Level.STUDY, (Empty("InterpretationStatusID"),), limit=9),
    "reported": Query(Level.STUDY, (Exact("InterpretationStatusID", "APPROVED"),), limit=9),
    "unread of a modality": Query(
        Level.STUDY, (Exact("ModalitiesInStudy", "CT"), Empty("InterpretationStatusID")), limit=9
    ),
    "series of a body part": Query(Level.SERIES, (Exact("BodyPartExamined", "HEAD"),), limit=9),
    "name": Query(Level.STUDY, (PersonName("PatientName", "thor*"),), limit=9),
    "inside a name": Query(Level.STUDY, (PersonName("PatientName", "*horax*"),), limit=9),
    "inside a description": Query(Level.STUDY, (Wildcard("StudyDescription", "*horax*"),), limit=9),
    "sorted by name": Query(Level.STUDY, order=(Order("PatientName"),), limit=9),
    "series of a modality": Query(Level.SERIES, (Exact("Modality", "CT"),), limit=9),
    "instances of a month": Query(Level.IMAGE, (_DAY,), limit=9),
    "patients": Query(Level.PATIENT, limit=9),
    "inside a patient's name": Query(Level.PATIENT, (PersonName("PatientName", "*horax*"),), limit=9),
    "patient by birth date": Query(Level.PATIENT, (Exact("PatientBirthDate", "19700101"),), limit=9),
}


@pytest.mark.parametrize("name", _SERVED)
def test_no_table_is_read_from_end_to_end(
    described: tuple[Index, dict[str, str]], recorder: _Recorder, name: str
) -> None:
    index, _ = described
    list(Search(recorder).find(index.scope, _SERVED[name]))
    asked, recorder.asked = list(recorder.asked), []
    assert asked
    for sql, values in asked:
        if recorder._url.get_backend_name() == "sqlite":
            plan = [row[3] for row in recorder.rows(Prepared(f"EXPLAIN QUERY PLAN {sql}", {}), values)]
        else:
            plan = [row[0] for row in recorder.rows(Prepared(f"EXPLAIN {sql}", {}), values)]
        whole = [
            line
            for line in plan
            if re.search(r"\bSCAN (studies|series|instances|patients|study_terms)$|Seq Scan", line)
        ]
        assert not whole, (sql, plan)


@pytest.mark.parametrize(
    "name",
    ["newest", "page", "range of dates", "sorted by name", "modality", "body part", "unread", "reported", "patients"],
)
def test_lists_come_in_the_order_of_an_index(
    described: tuple[Index, dict[str, str]], recorder: _Recorder, name: str
) -> None:
    """Sorting all rows for the first hundred is what makes lists slow."""
    index, _ = described
    list(Search(recorder).find(index.scope, _SERVED[name]))
    lists = [asked for asked in recorder.asked if "ORDER BY" in asked[0]]
    explain = "EXPLAIN QUERY PLAN" if recorder._url.get_backend_name() == "sqlite" else "EXPLAIN"
    for sql, values in lists:
        plan = " ".join(str(row) for row in recorder.rows(Prepared(f"{explain} {sql}", {}), values))
        assert not re.search(r"TEMP B-TREE|\bSort\b", plan), plan


def test_a_count_stops_where_it_is_told(described: tuple[Index, dict[str, str]]) -> None:
    index, texts = described
    assert index.search.count(index.scope, Query(Level.STUDY)) == len(texts)
    assert index.search.count(index.scope, Query(Level.STUDY), 7) == 7
    assert index.search.count(index.scope, Query(Level.STUDY, (Exact("PatientSex", "X"),)), 7) == 0


def test_a_query_that_no_index_serves_is_given_up_and_explained(described: tuple[Index, dict[str, str]]) -> None:
    index, _ = described
    hasty = Database(replace(index.settings, statement_timeout_seconds=0.001))
    # The server cancels after a millisecond whatever runs then; a file is looked at after so many steps.
    words = " ".join(f"*{chr(97 + n % 26)}{chr(98 + n % 25)}" for n in range(16))
    query = Query(Level.IMAGE, (Exact("Rows", "7"), PersonName("ReferringPhysicianName", words)), fuzzy=True)
    search = Search(hasty)
    refusal = None
    for _ in range(200):
        try:
            list(search.find(index.scope, query))
        except TooBroad as exc:
            refusal = exc
            break
    if refusal is not None:
        assert "Rows" in str(refusal) and "StudyInstanceUID" in str(refusal)
        assert (refusal.http_status, refusal.dimse_status) == (413, 0xA700)
    hasty.close()


def test_without_the_extension_the_answers_are_the_same(tmp_path: Any) -> None:
    """Who may not create pg_trgm has no trigram index, and every answer all the same."""
    url = postgresql_url()
    plain, name = url.replace("postgresql+psycopg", "postgresql"), url.rpartition("/")[2]
    with psycopg.connect(plain, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN")
        connection.execute(f"GRANT ALL ON SCHEMA public TO {name}")
    where = settings.Database(url=url.replace("postgres@", f"{name}@"))
    upgrade(where)
    database = Database(where)
    index = Index(where, database, Catalog(database), Search(database), Scope("t"))
    uid = new_uid()
    index.add(a_record(StudyInstanceUID=uid, StudyDescription="CT Thorax", PatientName="Lindenhofer^Eva"))
    assert _found(index, Wildcard("StudyDescription", "*hora*")) == {uid}
    assert _found(index, PersonName("PatientName", "*denho*"), limit=5) == {uid}
    assert _found(index, Wildcard("StudyDescription", "*knie*")) == set()
    database.close()
