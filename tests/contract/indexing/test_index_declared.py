"""Values of declared attributes on both databases: in step with what is stored, whatever comes and goes."""

import random
import threading
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import func, select, update

from config import settings
from index.access import Scope
from index.attribute_paths import parse
from index.catalog import Catalog
from index.database import Database
from index.declared import DEFAULTS, FILLING, READY
from index.declared_values import VALUES
from index.errors import Conflict, InvalidQuery, NotFound
from index.filling import Filling
from index.jobs import ClaimLost, Handlers, Jobs
from index.query import Query
from index.records import InstanceRecord, Level, StoreStatus
from index.register import Register
from index.tables import jobs as jobs_table
from index.tables import tenants
from tests.indexes import Index
from tests.records import ORIGIN, a_record, another, new_uid, to_json

STEP = "RequestAttributesSequence.ScheduledProcedureStepID"
LABEL = "ContentLabel"
UID_OF = {Level.PATIENT: "00100020", Level.STUDY: "0020000D", Level.SERIES: "0020000E", Level.IMAGE: "00080018"}


def do_jobs(database: Database) -> int:
    """What the worker does, until there is nothing left; returns the number of steps."""
    jobs, handlers = _labour(database)
    steps = 0
    while job := jobs.claim(handlers):
        steps += len(list(handlers[job.kind](job)))
        jobs.finish(job)
    return steps


@cache
def _labour(database: Database) -> tuple[Jobs, Handlers]:
    return Jobs(database), Filling(database).handlers()


def search(index: Index, level: Level, *keys: tuple[str, str], fuzzy: bool = False) -> list[str]:
    """UIDs (or Patient IDs) of the matches."""
    declared = Register(index.database).read().keys(level, [(parse(name), text) for name, text in keys])
    answers = index.find(Query(level, declared=declared, fuzzy=fuzzy))
    return sorted(answer[UID_OF[level]]["Value"][0] for answer in answers)


def steps_of(record: InstanceRecord) -> set[str]:
    """Scheduled Procedure Step IDs that a record has."""
    return {
        item["00400009"]["Value"][0]
        for item in record.dataset.get("00400275", {}).get("Value", [])
        if "00400009" in item
    }


def with_steps(*steps: str, **values: Any) -> InstanceRecord:
    """A record that answers to these steps."""
    sequence = [to_json({"ScheduledProcedureStepID": step}) for step in steps]
    return a_record(**values, **({"RequestAttributesSequence": sequence} if steps else {}))


def values_left(index: Index) -> int:
    """Rows of values of this tenant."""
    counts = [
        select(func.count())
        .select_from(table.join(tenants, tenants.c.id == table.c.tenant_id))
        .where(tenants.c.name == index.scope.tenant)
        for table in VALUES.values()
    ]
    return sum(index.database.rows(index.database.prepare(count), {})[0][0] for count in counts)


@pytest.fixture
def declared(index: Index) -> Iterator[Register]:
    """The register; what a test declares is given up again, because other tests share the index."""
    register = Register(index.database)
    before = {(row.path, row.level) for row in register.read().rows}
    yield register
    for row in register.read().rows:
        if (row.path, row.level) not in before:
            register.give_up(row.path, row.level)
    do_jobs(index.database)


@pytest.fixture
def elsewhere(database_settings: settings.Database) -> Iterator[Database]:
    """The same index in another process, as far as it can tell."""
    database = Database(database_settings)
    yield database
    database.close()


def test_a_new_index_has_the_defaults(index: Index) -> None:
    rows = Register(index.database).read().rows
    found = {(row.level, row.name) for row in rows if row.state == READY}
    assert found >= {(level, name) for level, names in DEFAULTS.items() for name in names}


def test_values_follow_what_comes_is_replaced_and_goes(index: Index) -> None:
    rng = random.Random(5)
    studies = {new_uid(): [new_uid() for _ in range(3)] for _ in range(4)}
    held: dict[str, InstanceRecord] = {}
    vocabulary = ["S1", "S2", "S3", "S4"]
    for turn in range(40):
        study = rng.choice(list(studies))
        series = rng.choice(studies[study])
        if held and rng.random() < 0.35:
            gone = held.pop(rng.choice(list(held)))
            key = gone.key
            where = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
            index.catalog.removals.delete(index.scope, where, ORIGIN, 30.0)
        elif held and rng.random() < 0.3:
            old = held[rng.choice(list(held))].key
            uids = {"StudyInstanceUID": old.study_instance_uid, "SeriesInstanceUID": old.series_instance_uid}
            new = with_steps(
                *rng.sample(vocabulary, rng.randint(0, 2)),
                SOPInstanceUID=old.sop_instance_uid,
                **uids,
                PatientAge=f"{turn:03}Y",
            )
            assert index.add(new, "replace").status is StoreStatus.REPLACED
            held[old.sop_instance_uid] = new
        else:
            new = with_steps(
                *rng.sample(vocabulary, rng.randint(0, 2)), StudyInstanceUID=study, SeriesInstanceUID=series
            )
            index.add(new)
            held[new.key.sop_instance_uid] = new
        do_jobs(index.database)
        for step in vocabulary:
            wanted = sorted({one.key.series_instance_uid for one in held.values() if step in steps_of(one)})
            assert search(index, Level.SERIES, (STEP, step)) == wanted
    for study in studies:
        if any(one.key.study_instance_uid == study for one in held.values()):
            index.catalog.removals.delete(index.scope, (study, None, None), ORIGIN, 30.0)
    assert values_left(index) == 0


def test_a_value_of_one_of_many_instances_goes_with_it(index: Index) -> None:
    """More instances than a removal looks at itself: a job looks at the others, and finds what has come since."""
    study, series = new_uid(), new_uid()
    here = {"StudyInstanceUID": study, "SeriesInstanceUID": series}
    records = [with_steps(f"S{number}", **here) for number in range(120)]
    index.catalog.add_many(index.scope.tenant, records, ORIGIN, duplicates="refuse")
    for number in (30, 60):
        key = records[number].key
        index.catalog.removals.delete(index.scope, (study, series, key.sop_instance_uid), ORIGIN, 30.0)
    jobs, filling = Jobs(index.database), Filling(index.database)
    job = jobs.claim(filling.handlers())
    assert job is not None
    running = filling.handlers()[job.kind](job)
    next(running)
    index.add(with_steps("S60", **here))
    assert len(list(running)) == 1
    jobs.finish(job)
    assert do_jobs(index.database) == 0
    assert [search(index, Level.SERIES, (STEP, f"S{number}")) for number in (29, 30, 60)] == [[series], [], [series]]


def test_restored_versions_and_deletions_are_found_again(index: Index) -> None:
    old = with_steps("OLD")
    uids = {"StudyInstanceUID": old.key.study_instance_uid, "SeriesInstanceUID": old.key.series_instance_uid}
    new = with_steps("NEW", SOPInstanceUID=old.key.sop_instance_uid, **uids)
    index.add(old)
    index.add(new, "replace")
    series = [old.key.series_instance_uid]
    assert (search(index, Level.SERIES, (STEP, "OLD")), search(index, Level.SERIES, (STEP, "NEW"))) == ([], series)
    index.catalog.restore(index.scope, index.catalog.set_aside(index.scope)[0], ORIGIN)
    assert (search(index, Level.SERIES, (STEP, "OLD")), search(index, Level.SERIES, (STEP, "NEW"))) == (series, [])
    number, _ = index.catalog.removals.delete(index.scope, (old.key.study_instance_uid, None, None), ORIGIN, 30.0)
    assert search(index, Level.SERIES, (STEP, "OLD")) == []
    index.catalog.removals.restore(index.scope, number, ORIGIN)
    assert search(index, Level.SERIES, (STEP, "OLD")) == series


def test_who_does_not_know_of_a_declaration_finds_out_in_time(
    index: Index, declared: Register, elsewhere: Database
) -> None:
    """Two processes take in; one of them declares. No instance of the other lacks the attribute."""
    other = Catalog(elsewhere)
    other.add(index.scope.tenant, a_record(), ORIGIN, duplicates="refuse")
    declared.declare(parse("AcquisitionNumber"), Level.IMAGE)
    record = a_record(AcquisitionNumber=7)
    other.add(index.scope.tenant, record, ORIGIN, duplicates="refuse")
    assert search(index, Level.IMAGE, ("AcquisitionNumber", "07")) == [record.key.sop_instance_uid]
    declared.give_up(parse("AcquisitionNumber"), Level.IMAGE)
    other.add(index.scope.tenant, a_record(AcquisitionNumber=8), ORIGIN, duplicates="refuse")
    do_jobs(index.database)
    with pytest.raises(InvalidQuery, match="not declared searchable"):
        search(index, Level.IMAGE, ("AcquisitionNumber", "8"))
    assert values_left(index) == 0


def test_filling_beside_ingest_and_removal_is_exact(index: Index, declared: Register, elsewhere: Database) -> None:
    path = "RequestAttributesSequence.RequestedProcedureDescription"
    rng = random.Random(11)
    texts = ["one", "two", "Three"]

    def record(series: str) -> InstanceRecord:
        item = to_json({"RequestedProcedureDescription": rng.choice(texts)})
        return a_record(SeriesInstanceUID=series, StudyInstanceUID=study, RequestAttributesSequence=[item])

    study = new_uid()
    series = [new_uid() for _ in range(8)]
    old = [record(rng.choice(series)) for _ in range(250)]
    new = [record(rng.choice(series)) for _ in range(60)]
    index.catalog.add_many(index.scope.tenant, old, ORIGIN, duplicates="refuse")
    gone = old[::7]

    def come_and_go() -> None:
        other = Catalog(elsewhere)
        for number, one in enumerate(new):
            other.add(index.scope.tenant, one, ORIGIN, duplicates="refuse")
            if number < len(gone):
                key = gone[number].key
                where = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
                other.removals.delete(index.scope, where, ORIGIN, 30.0)

    thread = threading.Thread(target=come_and_go)
    thread.start()
    assert declared.declare(parse(path), Level.SERIES).state == FILLING
    do_jobs(index.database)
    thread.join()
    do_jobs(index.database)
    assert declared.read().levels(parse(path))[Level.SERIES].state == READY
    left = [one for one in [*old, *new] if one not in gone]
    for text in texts:
        wanted = {
            one.key.series_instance_uid
            for one in left
            if one.dataset["00400275"]["Value"][0]["00321060"]["Value"] == [text]
        }
        assert search(index, Level.SERIES, (path, text)) == sorted(wanted)


def test_several_attributes_are_filled_in_one_pass(index: Index, declared: Register) -> None:
    record = a_record(ContentLabel="X", KVP="120", SliceThickness=1.5)
    index.catalog.add_many(index.scope.tenant, [record, *(a_record() for _ in range(220))], ORIGIN, duplicates="refuse")
    declared.declare(parse("KVP"), Level.SERIES)
    declared.declare(parse("SliceThickness"), Level.STUDY)
    jobs, filling = Jobs(index.database), Filling(index.database)
    job = jobs.claim(filling.handlers())
    running = filling.fill(job)
    next(running)
    # What comes to be declared in the middle begins at the beginning and catches up.
    declared.declare(parse("PatientPosition"), Level.SERIES)
    list(running)
    jobs.finish(job)
    do_jobs(index.database)
    assert all(row.state == READY for row in declared.read().rows)
    assert search(index, Level.SERIES, ("KVP", "120.0")) == [record.key.series_instance_uid]
    assert search(index, Level.STUDY, ("SliceThickness", "1.50")) == [record.key.study_instance_uid]


def test_levels_and_tenants_keep_apart(index: Index, declared: Register) -> None:
    declared.declare(parse("SeriesDescription"), Level.STUDY)
    record = a_record(SeriesDescription="axial", ContentLabel="L1", OtherPatientIDs=["A", "B"])
    index.add(record)
    neighbour = replace(index, scope=Scope(f"tenant-{uuid4().hex}"))
    neighbour.add(a_record(SeriesDescription="axial", ContentLabel="L1", OtherPatientIDs=["A"]))
    assert search(index, Level.STUDY, ("SeriesDescription", "ax*")) == [record.key.study_instance_uid]
    assert search(index, Level.PATIENT, ("OtherPatientIDs", "B")) == ["P1"]
    assert search(index, Level.STUDY, ("OtherPatientIDs", "A")) == [record.key.study_instance_uid]
    assert search(index, Level.IMAGE, ("ContentLabel", "L1"), ("OtherPatientIDs", "A")) == [record.key.sop_instance_uid]
    restricted = replace(index, scope=Scope(index.scope.tenant, frozenset({new_uid()})))
    assert search(restricted, Level.STUDY, ("SeriesDescription", "ax*")) == []
    with pytest.raises(InvalidQuery, match="at level IMAGE"):
        search(index, Level.STUDY, (LABEL, "L1"))


def test_many_matches_are_walked_and_few_are_looked_up(index: Index) -> None:
    """Both ways find the same; which one is taken depends on how many there are."""
    study = new_uid()
    steps = [("MANY", "FEW" if number % 500 == 0 else "X") for number in range(1100)]
    records = [with_steps(*one, StudyInstanceUID=study) for one in steps]
    index.catalog.add_many(index.scope.tenant, records, ORIGIN, duplicates="refuse")
    few = sorted(records[number].key.series_instance_uid for number in (0, 500, 1000))
    assert search(index, Level.SERIES, (STEP, "FEW")) == few
    assert len(search(index, Level.SERIES, (STEP, "MANY"))) == 1100
    assert len(search(index, Level.SERIES, (STEP, "M*"))) == 1100
    limited = Register(index.database).read().keys(Level.SERIES, [(parse(STEP), "MANY")])
    assert len(index.find(Query(Level.SERIES, declared=limited, limit=5))) == 5
    assert index.search.count(index.scope, Query(Level.SERIES, declared=limited)) == 1100


@pytest.mark.parametrize(
    ("words", "found"), [("anna smith", True), ("smi", True), ("mith", False), ("*mith", True), ("smith bob", False)]
)
def test_fuzzy_names(index: Index, words: str, found: bool) -> None:
    record = a_record(OperatorsName=["Smith^Anna", "Jones^Bob"])
    index.add(record)
    wanted = [record.key.series_instance_uid] if found else []
    assert search(index, Level.SERIES, ("OperatorsName", words), fuzzy=True) == wanted


@pytest.mark.parametrize(
    ("name", "level", "vr", "message"),
    [
        ("RequestAttributesSequence", Level.SERIES, "", "declare the attributes inside it"),
        ("PixelData", Level.IMAGE, "", "cannot be searched"),
        ("TransferSyntaxUID", Level.IMAGE, "", "is not kept"),
        ("00080000", Level.IMAGE, "", "is not kept"),
        ("0019100A", Level.SERIES, "LO", "name its Private Creator"),
        ("0019100A[NOBODY KNOWS]", Level.SERIES, "", "say which"),
        ("0019100A[NOBODY KNOWS]", Level.SERIES, "OB", "cannot be searched"),
        ("PatientComments", Level.PATIENT, "SH", "has the VR LT"),
        ("PatientID", Level.STUDY, "", "searchable at level PATIENT"),
        ("Modality", Level.IMAGE, "", "searchable at level SERIES"),
    ],
)
def test_what_cannot_be_declared_is_refused(index: Index, name: str, level: Level, vr: str, message: str) -> None:
    before = Register(index.database).read()
    with pytest.raises(InvalidQuery, match=message):
        Register(index.database).declare(parse(name), level, vr)
    assert Register(index.database).read() == before


def test_declaring_twice_and_giving_up_what_nobody_declared(index: Index, declared: Register) -> None:
    with pytest.raises(Conflict, match="already"):
        declared.declare(parse(STEP), Level.SERIES)
    with pytest.raises(NotFound):
        declared.give_up(parse("PatientComments"), Level.PATIENT)


def test_keys_of_one_sequence_need_one_level(index: Index, declared: Register) -> None:
    """An item can only be the same one where both of its attributes are kept."""
    declared.declare(parse("RequestAttributesSequence.ReasonForTheRequestedProcedure"), Level.STUDY)
    keys = [(STEP, "S1"), ("RequestAttributesSequence.ReasonForTheRequestedProcedure", "why")]
    with pytest.raises(InvalidQuery, match="one and the same level"):
        search(index, Level.SERIES, *keys)
    declared.declare(parse("RequestAttributesSequence.ReasonForTheRequestedProcedure"), Level.SERIES)
    assert search(index, Level.SERIES, *keys) == []


def test_private_values_in_implicit_vr_are_read_by_the_declared_vr(index: Index, declared: Register) -> None:
    """Ingest did not know their VR and kept bytes."""
    declared.declare(parse("0019110B[ACME]"), Level.IMAGE, "US")
    declared.declare(parse("0019110C[ACME]"), Level.IMAGE, "LO")
    record = a_record()
    dataset = {
        **record.dataset,
        "00190042": {"vr": "LO", "Value": ["ACME"]},
        "0019420B": {"vr": "UN", "InlineBinary": "BwAIAA=="},
        "0019420C": {"vr": "UN", "InlineBinary": "b25lXHR3byA="},
    }
    index.add(replace(record, dataset=dict(sorted(dataset.items()))))
    uid = [record.key.sop_instance_uid]
    assert search(index, Level.IMAGE, ("0019110B", "8"), ("0019110C[ACME]", "two")) == uid
    assert search(index, Level.IMAGE, ("0019110B", "9")) == []


def test_a_job_that_is_asked_for_while_it_runs_runs_again(index: Index) -> None:
    jobs = Jobs(index.database)
    key = uuid4().hex

    def ask() -> None:
        with index.database.write() as tx:
            jobs.ask(tx, "test", key)

    ask()
    ask()
    first = jobs.claim({"test": iter})
    assert first is not None and first.key == key
    assert jobs.claim({"test": iter}) is None
    ask()
    jobs.finish(first)
    second = jobs.claim({"test": iter})
    assert second is not None and second.key == key
    assert jobs.put_off(second, "no luck") > 0
    assert jobs.claim({"test": iter}) is None
    assert [(one.error, one.running) for one in jobs.waiting() if one.key == key] == [("no luck", False)]
    with index.database.write() as tx, pytest.raises(ClaimLost):
        jobs.beat(tx, second)
    ask()
    third = jobs.claim({"test": iter})
    assert third is not None
    jobs.release(third)
    fourth = jobs.claim({"test": iter})
    assert fourth is not None
    jobs.finish(fourth)
    assert not [one for one in jobs.waiting() if one.key == key]


def test_several_workers_never_do_the_same_job(index: Index, elsewhere: Database) -> None:
    kind = uuid4().hex
    with index.database.write() as tx:
        for number in range(20):
            Jobs(index.database).ask(tx, kind, str(number))
    taken: list[str] = []

    def work(database: Database) -> None:
        jobs = Jobs(database)
        while job := jobs.claim({kind: iter}):
            taken.append(job.key)
            jobs.finish(job)

    threads = [threading.Thread(target=work, args=(database,)) for database in (index.database, elsewhere)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(taken, key=int) == [str(number) for number in range(20)]


def test_the_job_of_a_dead_worker_is_taken_over_and_its_steps_count_no_more(index: Index) -> None:
    jobs, kind = Jobs(index.database), uuid4().hex
    with index.database.write() as tx:
        jobs.ask(tx, kind, "")
    dead = jobs.claim({kind: iter})
    assert dead is not None and jobs.claim({kind: iter}) is None
    long_ago = index.database.prepare(update(jobs_table).where(jobs_table.c.kind == kind).values(beat_ms=1))
    with index.database.write() as tx:
        tx.run(long_ago, {})
    heir = jobs.claim({kind: iter})
    assert heir is not None and heir.attempts == 2
    with pytest.raises(ClaimLost), index.database.write() as tx:
        jobs.beat(tx, dead)
    jobs.finish(dead)
    with index.database.write() as tx:
        jobs.beat(tx, heir)
    jobs.finish(heir)
    assert jobs.claim({kind: iter}) is None


def test_an_instance_that_is_sent_twice_changes_nothing(index: Index) -> None:
    record = with_steps("S1")
    index.add(record)
    assert index.add(replace(record, blob_key="test/again")).status is StoreStatus.DUPLICATE
    assert index.add(another(record, "x"), "keep-both").status is StoreStatus.SET_ASIDE
    assert search(index, Level.SERIES, (STEP, "S1")) == [record.key.series_instance_uid]
