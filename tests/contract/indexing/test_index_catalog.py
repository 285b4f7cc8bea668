"""Taking in: duplicates, counters, disagreements, tenants, many threads and processes."""

import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

import orjson
import psycopg
import pytest
import zstandard
from sqlalchemy.engine import make_url

from index.access import Scope
from index.catalog import Catalog
from index.database import Database
from index.errors import NotFound
from index.query import Exact, Query
from index.reasons import Code
from index.records import InstanceKey, Level, StoreStatus
from index.search import Search
from tests.indexes import Index
from tests.records import JPEG_LS, ORIGIN, SR, a_record, again, another, new_uid


def _study(index: Index, uid: str) -> dict[str, object]:
    (answer,) = index.find(Query(Level.STUDY, (Exact("StudyInstanceUID", uid),)))
    return {tag: element.get("Value") for tag, element in answer.items()}


def _differing(index: Index) -> set[tuple[str, str, str]]:
    found = index.catalog.disagreements(index.scope)
    return {(one.level.value, one.keyword, one.offered) for one in found}


def test_an_instance_is_found_as_it_was_added(index: Index) -> None:
    record = a_record()
    assert index.add(record).status is StoreStatus.STORED
    found = index.current(record)
    assert (found.key, found.blob_key, found.layout) == (record.key, record.blob_key, record.layout)
    assert (found.sop_class_uid, found.transfer_syntax_uid) == (record.sop_class_uid, record.transfer_syntax_uid)
    assert (found.size_bytes, found.sha256, found.version) == (record.size_bytes, record.sha256, 1)


def test_large_layouts_come_back(index: Index) -> None:
    from index.layout import EncapsulatedPixels, ObjectLayout

    lengths = tuple(1000 + number * 7919 % 977 for number in range(4000))
    offsets = tuple(1000 + sum(lengths[:number]) for number in range(4000))
    layout = ObjectLayout(354, EncapsulatedPixels(offsets, lengths, tuple(range(4000))))
    record = replace(a_record(), layout=layout)
    index.add(record)
    for _ in range(2):
        pixels = index.current(record).layout.pixels
        assert isinstance(pixels, EncapsulatedPixels)
        assert tuple(pixels.fragment_offsets) == offsets


def test_members_and_metadata_are_in_series_and_instance_order(index: Index) -> None:
    study, first, second = new_uid(), new_uid(), new_uid()
    wanted = []
    for series, number, position in [(second, 2, 1), (first, 1, 10), (first, 1, 9), (second, 2, None), (first, 1, 100)]:
        record = a_record(
            StudyInstanceUID=study, SeriesInstanceUID=series, SeriesNumber=number, InstanceNumber=position
        )
        index.add(record)
        wanted.append((number, position if position is not None else 10**9, record))
    wanted.sort(key=lambda row: row[:2])
    keys = [record.key for _, _, record in wanted]
    assert [one.key for one in index.catalog.members(index.scope, study)] == keys
    assert [one.key for one in index.catalog.members(index.scope, study, first)] == keys[:3]
    documents = index.catalog.metadata(index.scope, study)
    assert [orjson.loads(zstandard.decompress(one)) for one in documents] == [record.dataset for _, _, record in wanted]
    assert index.catalog.metadata(index.scope, *_uids(keys[0])) == documents[:1]


def _uids(key: InstanceKey) -> tuple[str, str, str]:
    return key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid


def test_what_is_not_there_is_not_found(index: Index) -> None:
    record = a_record()
    index.add(record)
    other = a_record()
    index.add(other)
    wrong = [
        InstanceKey(other.key.study_instance_uid, record.key.series_instance_uid, record.key.sop_instance_uid),
        InstanceKey(record.key.study_instance_uid, other.key.series_instance_uid, record.key.sop_instance_uid),
        InstanceKey(record.key.study_instance_uid, record.key.series_instance_uid, "1.2.3"),
    ]
    for key in wrong:
        with pytest.raises(NotFound):
            index.catalog.locate(index.scope, key)
    for method in (index.catalog.members, index.catalog.metadata):
        with pytest.raises(NotFound):
            method(index.scope, "1.2.3")


def test_tenants_and_scopes_see_their_own(index: Index) -> None:
    record, hidden = a_record(), a_record()
    index.add(record)
    index.add(hidden)
    stranger = Scope(f"other-{uuid4().hex}")
    guest = Scope(index.scope.tenant, frozenset({record.key.study_instance_uid}))
    for scope, key in ((stranger, record.key), (guest, hidden.key), (Scope(guest.tenant, frozenset()), record.key)):
        with pytest.raises(NotFound):
            index.catalog.locate(scope, key)
        with pytest.raises(NotFound):
            index.catalog.metadata(scope, key.study_instance_uid)
    assert index.catalog.locate(guest, record.key).key == record.key
    for level in Level:
        assert len(list(index.search.find(guest, Query(level)))) == 1, level
        assert index.search.count(guest, Query(level)) == 1, level
        assert list(index.search.find(stranger, Query(level))) == []
        assert list(index.search.find(Scope(guest.tenant, frozenset()), Query(level))) == []
    assert [one.key for one in index.catalog.matching(guest, Query(Level.PATIENT))] == [record.key]
    # The same UID may live in another tenant, with other bytes.
    same = replace(another(record, "x"))
    assert index.catalog.add(stranger.tenant, same, ORIGIN, duplicates="refuse").status is StoreStatus.STORED
    assert index.current(record).sha256 == record.sha256
    assert index.catalog.locate(stranger, record.key).sha256 == same.sha256


def test_the_same_bytes_again_change_nothing(index: Index) -> None:
    record = a_record()
    index.add(record)
    second = again(record)
    for policy in ("refuse", "keep-both", "replace"):
        added = index.add(second, policy)  # type: ignore[arg-type]
        assert (added.status, added.obsolete_blob_key) == (StoreStatus.DUPLICATE, second.blob_key)
    assert index.current(record).blob_key == record.blob_key
    assert _study(index, record.key.study_instance_uid)["00201208"] == [1]
    assert len(index.catalog.changes(index.scope, 0, 10)) == 1


def test_adding_what_was_committed_already_keeps_its_object(index: Index) -> None:
    """The answer of a commit may be lost with the connection; the second try must not call the object obsolete."""
    record = a_record()
    index.add(record)
    assert index.add(record) == index.add(record)
    assert index.add(record).status is StoreStatus.STORED
    assert index.add(record).obsolete_blob_key is None


@pytest.mark.parametrize("change", ["bytes", "transfer syntax"])
def test_refuse_keeps_the_first(index: Index, change: str) -> None:
    record = a_record()
    index.add(record)
    other = another(record, "x") if change == "bytes" else replace(again(record), transfer_syntax_uid=JPEG_LS)
    added = index.add(other)
    assert added.status is StoreStatus.REFUSED
    assert [reason.code for reason in added.reasons] == [Code.DUPLICATE_INSTANCE]
    assert added.obsolete_blob_key == other.blob_key
    assert index.current(record).blob_key == record.blob_key
    assert index.catalog.set_aside(index.scope, record.key.sop_instance_uid) == []


def test_keep_both_sets_the_second_aside_once(index: Index) -> None:
    record = a_record()
    index.add(record)
    other = another(record, "x")
    assert index.add(other, "keep-both").status is StoreStatus.SET_ASIDE
    twice = again(other)
    added = index.add(twice, "keep-both")
    assert (added.status, added.obsolete_blob_key) == (StoreStatus.DUPLICATE, twice.blob_key)
    assert index.current(record).blob_key == record.blob_key
    (aside,) = index.catalog.set_aside(index.scope, record.key.sop_instance_uid)
    assert (aside.blob_key, aside.version) == (other.blob_key, 2)
    assert index.catalog.unknown_blobs([record.blob_key, other.blob_key, twice.blob_key]) == {twice.blob_key}
    assert _study(index, record.key.study_instance_uid)["00201208"] == [1]


def test_replace_keeps_the_old_one_restorable(index: Index) -> None:
    record = a_record(Rows=512)
    index.add(record)
    other = a_record(**_moved(record, Rows=256))
    added = index.add(other, "replace")
    assert (added.status, added.obsolete_blob_key) == (StoreStatus.REPLACED, None)
    assert (index.current(other).blob_key, index.current(other).version) == (other.blob_key, 2)
    (aside,) = index.catalog.set_aside(index.scope, record.key.sop_instance_uid)
    assert aside.blob_key == record.blob_key
    index.catalog.restore(index.scope, aside, ORIGIN)
    assert (index.current(record).blob_key, index.current(record).version) == (record.blob_key, 3)
    assert index.current(record).layout == record.layout
    (body,) = index.catalog.metadata(index.scope, *_uids(record.key))
    assert orjson.loads(zstandard.decompress(body)) == record.dataset
    assert [one.blob_key for one in index.catalog.set_aside(index.scope, record.key.sop_instance_uid)] == [
        other.blob_key
    ]
    actions = [(one.action, one.version) for one in index.catalog.changes(index.scope, 0, 10)]
    assert actions == [("stored", 1), ("replaced", 2), ("restored", 3)]
    with pytest.raises(NotFound):
        index.catalog.restore(index.scope, aside, ORIGIN)


def test_replacing_by_what_was_set_aside_takes_it_from_there(index: Index) -> None:
    first = a_record()
    index.add(first)
    second = another(first, "x")
    index.add(second, "replace")
    third = again(first)
    added = index.add(third, "replace")
    assert (added.status, added.obsolete_blob_key) == (StoreStatus.REPLACED, first.blob_key)
    assert index.current(first).blob_key == third.blob_key
    known = [first.blob_key, second.blob_key, third.blob_key]
    assert index.catalog.unknown_blobs(known) == {first.blob_key}


def _moved(record: object, **values: object) -> dict[str, object]:
    key = record.key  # type: ignore[attr-defined]
    same = {"StudyInstanceUID": key.study_instance_uid, "SeriesInstanceUID": key.series_instance_uid}
    return {**same, "SOPInstanceUID": key.sop_instance_uid, **values}


def test_an_instance_replaced_into_another_study_leaves_no_empty_rows(index: Index) -> None:
    lonely = a_record(PatientID="P7", Modality="MR", PatientName="Lonely")
    index.add(lonely)
    other = a_record(PatientID="P8", Modality="CT")
    index.add(other)
    target = _moved(other, SOPInstanceUID=lonely.key.sop_instance_uid, PatientID="P8", Modality="CT")
    moved = a_record(**target)
    assert index.add(moved, "replace").status is StoreStatus.REPLACED
    assert index.find(Query(Level.STUDY, (Exact("StudyInstanceUID", lonely.key.study_instance_uid),))) == []
    assert index.find(Query(Level.PATIENT, (Exact("PatientID", "P7"),))) == []
    assert index.find(Query(Level.STUDY, (Exact("ModalitiesInStudy", "MR"),))) == []
    assert index.find(Query(Level.STUDY, (Exact("PatientName", "Lonely"),))) == []
    assert _study(index, other.key.study_instance_uid)["00201208"] == [2]
    (aside,) = index.catalog.set_aside(index.scope, lonely.key.sop_instance_uid)
    index.catalog.restore(index.scope, aside, ORIGIN)
    assert _study(index, other.key.study_instance_uid)["00201208"] == [1]
    restored = _study(index, lonely.key.study_instance_uid)
    assert (restored["00201206"], restored["00201208"], restored["00080061"]) == ([1], [1], ["MR"])


def test_a_series_that_goes_takes_its_modality_along(index: Index) -> None:
    ct = a_record(Modality="CT")
    sr = a_record(StudyInstanceUID=ct.key.study_instance_uid, Modality="SR", SOPClassUID=SR)
    index.add(ct)
    index.add(sr)
    assert _study(index, ct.key.study_instance_uid)["00080061"] == ["CT", "SR"]
    assert index.catalog.removals.delete(index.scope, _uids(sr.key), ORIGIN, 30.0)[1] == 1
    study = _study(index, ct.key.study_instance_uid)
    assert (study["00080061"], study["00080062"]) == (["CT"], [ct.sop_class_uid])
    assert index.find(Query(Level.STUDY, (Exact("ModalitiesInStudy", "SR"),), limit=5)) == []
    assert index.catalog.unknown_blobs([ct.blob_key, sr.blob_key]) == set(), "it can be restored"
    assert index.catalog.removals.delete(index.scope, (ct.key.study_instance_uid, None, None), ORIGIN, 30.0)[1] == 1
    assert [index.search.count(index.scope, Query(level)) for level in Level] == [0, 0, 0, 0]


def test_a_study_goes_as_a_whole(index: Index) -> None:
    """Readers see all of it or nothing, and a thousand instances take no more statements than one."""
    study = new_uid()
    several = [new_uid() for _ in range(4)]
    records = [a_record(StudyInstanceUID=study, SeriesInstanceUID=several[number % 4]) for number in range(1000)]
    index.catalog.add_many(index.scope.tenant, records, ORIGIN, duplicates="refuse")
    seen: set[int] = set()
    gone = threading.Event()

    def look() -> None:
        while not gone.is_set():
            seen.add(index.search.count(index.scope, Query(Level.IMAGE, (Exact("StudyInstanceUID", study),))))

    reader = threading.Thread(target=look)
    reader.start()
    assert index.catalog.removals.delete(index.scope, (study, None, None), ORIGIN, 30.0)[1] == 1000
    gone.set()
    reader.join()
    assert seen <= {0, 1000}
    assert [index.search.count(index.scope, Query(level)) for level in Level] == [0, 0, 0, 0]


def test_counters_follow_every_instance(index: Index) -> None:
    study, other = new_uid(), new_uid()
    first, second = new_uid(), new_uid()
    rows = [(study, first), (study, first), (study, second), (other, new_uid())]
    for study_uid, series_uid in rows:
        index.add(a_record(StudyInstanceUID=study_uid, SeriesInstanceUID=series_uid, PatientID="P5"))
    assert _study(index, study)["00201206"] == [2]
    assert _study(index, study)["00201208"] == [3]
    (patient,) = index.find(Query(Level.PATIENT))
    assert [patient[tag]["Value"] for tag in ("00201200", "00201202", "00201204")] == [[2], [3], [4]]
    found = index.find(Query(Level.SERIES, (Exact("StudyInstanceUID", study),)))
    assert Counter(answer["00201209"]["Value"][0] for answer in found) == {2: 1, 1: 1}
    asked = index.find(Query(Level.STUDY, (Exact("StudyInstanceUID", other),), returned=frozenset({"00201200"})))
    assert asked[0]["00201200"] == {"vr": "IS", "Value": [2]}


def test_patients_without_an_id_are_never_merged(index: Index) -> None:
    for number, patient_id in enumerate(["", None, "", "X", "X"]):
        index.add(a_record(PatientID=patient_id, PatientName="Doe^John", IssuerOfPatientID="A" if number < 4 else "B"))
    assert index.search.count(index.scope, Query(Level.PATIENT)) == 5


def test_the_first_instance_wins_and_differences_are_kept_once(index: Index) -> None:
    record = a_record(PatientName="Doe^Jane", StudyDescription="Head", SeriesDescription="axial")
    index.add(record)
    for _ in range(3):
        values = _moved(
            record, SOPInstanceUID=new_uid(), PatientName="Roe^Jane", StudyDescription=None, SeriesDescription="cor"
        )
        assert index.add(a_record(**values)).status is StoreStatus.STORED
    assert _study(index, record.key.study_instance_uid)["00100010"] == [{"Alphabetic": "Doe^Jane"}]
    assert _differing(index) == {
        ("STUDY", "PatientName", '[{"Alphabetic":"Roe^Jane"}]'),
        ("SERIES", "SeriesDescription", '["cor"]'),
    }


def test_one_patient_id_with_two_names_is_noticed_and_each_study_keeps_its_own(index: Index) -> None:
    index.add(a_record(PatientID="P1", PatientName="Doe^Jane"))
    second = a_record(PatientID="P1", PatientName="Roe^Jane")
    index.add(second)
    assert index.search.count(index.scope, Query(Level.PATIENT)) == 1
    assert _study(index, second.key.study_instance_uid)["00100010"] == [{"Alphabetic": "Roe^Jane"}]
    assert _differing(index) == {("PATIENT", "PatientName", '[{"Alphabetic":"Roe^Jane"}]')}


def test_a_study_of_another_patient_stays_where_it_began(index: Index) -> None:
    record = a_record(PatientID="P1")
    index.add(record)
    index.add(a_record(StudyInstanceUID=record.key.study_instance_uid, PatientID="P2"))
    assert [answer["00100020"]["Value"] for answer in index.find(Query(Level.PATIENT))] == [["P1"]]
    assert ("STUDY", "PatientID", '["P2"]') in _differing(index)


def test_one_series_uid_in_two_studies_is_two_series(index: Index) -> None:
    series = new_uid()
    records = [a_record(SeriesInstanceUID=series) for _ in range(2)]
    for record in records:
        index.add(record)
    for record in records:
        assert [one.key for one in index.catalog.members(index.scope, record.key.study_instance_uid, series)] == [
            record.key
        ]


def test_changes_are_numbered_upwards_and_read_in_pages(index: Index) -> None:
    records = [a_record() for _ in range(5)]
    for record in records:
        index.add(record)
    first = index.catalog.changes(index.scope, 0, 3)
    rest = index.catalog.changes(index.scope, first[-1].number, 10)
    assert [one.key for one in (*first, *rest)] == [record.key for record in records]
    assert [one.number for one in (*first, *rest)] == sorted(one.number for one in (*first, *rest))
    assert index.catalog.changes(Scope("nobody"), 0, 10) == []


def test_many_threads_share_transactions_and_every_answer_is_right(index: Index) -> None:
    study, series = new_uid(), [new_uid() for _ in range(3)]
    records = [a_record(StudyInstanceUID=study, SeriesInstanceUID=series[number % 3]) for number in range(160)]
    statuses: list[StoreStatus] = []
    start = threading.Barrier(8)

    def send(mine: int) -> None:
        start.wait()
        for number in range(mine, len(records), 4):
            # Two threads send each record, with objects of their own.
            added = index.add(again(records[number]))
            statuses.append(added.status)

    threads = [threading.Thread(target=send, args=(number % 4,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(statuses) == {StoreStatus.STORED: 160, StoreStatus.DUPLICATE: 160}
    answer = _study(index, study)
    assert (answer["00201206"], answer["00201208"]) == ([3], [160])
    assert len(index.catalog.changes(index.scope, 0, 1000)) == 160


_PROCESS = """
import sys, json
from dataclasses import replace
from config import settings
from index.catalog import Catalog
from index.database import Database
from tests import records
url, tenant, study, mine = sys.argv[1:]
database = Database(settings.Database(url=url))
catalog = Catalog(database)
counts = {}
for number in range(60):
    record = records.a_record(StudyInstanceUID=study, SeriesInstanceUID=f"{study}.{number % 2}",
                              SOPInstanceUID=f"{study}.1.{number}", Modality="CT" if number % 2 else "MR")
    record = replace(record, blob_key=f"{study}/{mine}/{number}")
    added = catalog.add(tenant, record, records.ORIGIN, duplicates="refuse")
    counts[added.status.name] = counts.get(added.status.name, 0) + 1
database.close()
print(json.dumps(counts))
"""


def test_two_processes_may_send_the_same_instances_at_once(index: Index) -> None:
    study = new_uid() + ".77"
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-c", _PROCESS, index.settings.url, index.scope.tenant, study]
    processes = [
        subprocess.Popen([*arguments, str(number)], stdout=subprocess.PIPE, text=True, cwd=root) for number in range(2)
    ]
    counts: Counter[str] = Counter()
    for process in processes:
        output, _ = process.communicate(timeout=120)
        assert process.returncode == 0
        counts.update(orjson.loads(output))
    assert counts == {"STORED": 60, "DUPLICATE": 60}
    answer = _study(index, study)
    assert (answer["00201206"], answer["00201208"], answer["00080061"]) == ([2], [60], ["CT", "MR"])
    assert len(index.catalog.changes(index.scope, 0, 1000)) == 60


_PROCESS_OF_A_SCANNER = """
import sys
from dataclasses import replace
from config import settings
from index.catalog import Catalog
from index.database import Database
from tests import records
url, tenant, study, mine = sys.argv[1:]
database = Database(settings.Database(url=url))
catalog = Catalog(database)
for number in range(60):
    # Every other instance opens a series, with a modality that the study may not have yet.
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": f"{study}.{number // 2}", "PatientID": study[-60:]}
    record = records.a_record(**uids, SOPInstanceUID=f"{study}.{mine}.{number}", Modality=f"M{number // 4}")
    record = replace(record, blob_key=f"{study}/{mine}/{number}")
    added = catalog.add(tenant, record, records.ORIGIN, duplicates="refuse")
    assert added.status.name == "STORED", added
database.close()
"""


def test_processes_that_fill_one_study_never_wait_in_a_circle(index: Index) -> None:
    """A deadlock is resolved by the server, but only after a second in which the modality hangs."""
    study = new_uid() + ".78"
    root = Path(__file__).parents[3]
    arguments = [sys.executable, "-c", _PROCESS_OF_A_SCANNER, index.settings.url, index.scope.tenant, study]
    processes = [subprocess.Popen([*arguments, str(number)], cwd=root) for number in range(1, 4)]
    assert [process.wait(timeout=120) for process in processes] == [0, 0, 0]
    answer = _study(index, study)
    assert (answer["00201206"], answer["00201208"], len(answer["00080061"])) == ([30], [180], 15)
    url = make_url(index.settings.url)
    if url.get_backend_name() == "postgresql":
        # The server counts what a session did when the session ends, and these three have ended.
        with psycopg.connect(url.set(drivername="postgresql").render_as_string(False)) as connection:
            found = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
            assert found.fetchone() == (0,)


def test_one_bad_instance_does_not_spoil_the_others(index: Index) -> None:
    good = [a_record() for _ in range(20)]
    bad = replace(a_record(), sop_class_uid=None)  # type: ignore[arg-type]
    errors: list[Exception] = []

    def send(record: object) -> None:
        try:
            index.add(record)  # type: ignore[arg-type]
        except Exception as exc:
            errors.append(exc)

    threads = [threading.Thread(target=send, args=(record,)) for record in (*good[:10], bad, *good[10:])]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(errors) == 1
    for record in good:
        assert index.current(record).blob_key == record.blob_key


def test_add_many_is_one_transaction_that_sees_its_own_duplicates(index: Index) -> None:
    record = a_record()
    batch = [record, a_record(), again(record), another(record, "x")]
    added = index.catalog.add_many(index.scope.tenant, batch, ORIGIN, duplicates="refuse")
    assert [one.status.name for one in added] == ["STORED", "STORED", "DUPLICATE", "REFUSED"]


def test_hot_paths_need_few_statements(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    """No query in a loop: the number of statements does not depend on the number of instances."""
    study, series = new_uid(), new_uid()
    records = [a_record(StudyInstanceUID=study, SeriesInstanceUID=series) for _ in range(30)]
    index.catalog.add_many(index.scope.tenant, records, ORIGIN, duplicates="refuse")
    index.current(records[0])
    reads: list[str] = []
    original = Database.rows

    def counted(self: Database, statement: object, params: object) -> list[object]:
        reads.append(str(statement))
        return original(self, statement, params)  # type: ignore[arg-type]

    monkeypatch.setattr(Database, "rows", counted)
    costs = {}
    for name, call in {
        "locate": lambda: index.current(records[3]),
        "members": lambda: index.catalog.members(index.scope, study),
        "metadata": lambda: index.catalog.metadata(index.scope, study, series),
        "find": lambda: index.find(Query(Level.IMAGE, (Exact("StudyInstanceUID", study),))),
    }.items():
        reads.clear()
        call()
        costs[name] = len(reads)
    # A search reads ids and then one page of documents; a new Search object also looks up the tenant.
    assert costs["locate"] == costs["members"] == costs["metadata"] == 1
    assert costs["find"] <= 3


def test_two_catalogs_of_one_database_agree(index: Index) -> None:
    record = a_record()
    Catalog(index.database).add(index.scope.tenant, record, ORIGIN, duplicates="refuse")
    assert index.add(again(record)).status is StoreStatus.DUPLICATE
    assert len(list(Search(index.database).find(index.scope, Query(Level.IMAGE)))) == 1
