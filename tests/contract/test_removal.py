"""The bin from behind: objects, records and rows of what was deleted or rejected, crashes, rebuilds and races."""

import threading
import time
from collections.abc import Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import generate_uid

from config import settings
from index.access import Permission, Principal, Scope
from index.catalog import Catalog
from index.database import Database, Transaction
from index.errors import Conflict, NotFound, NotPermitted
from index.query import Query
from index.records import Level, Origin, StoreOutcome, StoreStatus
from index.removed.rejection import rules_from
from storage import removal_records, tasks
from storage.blobs import BlobStore
from storage.deletion import sweep
from storage.incoming import Incoming
from storage.ingest import Desk, ObjectIntake
from storage.purging import purge
from tests.archives import House, MakeHouse, a_dataset, as_file, embedded
from tests.rejections import QUALITY, RETENTION, SAFETY, a_note

TWO_HOURS, MONTH = 7200.0, 31 * 24 * 3600.0
ORIGIN = Origin("web", "127.0.0.1", "tester")


def boss(tenant: str = "default", studies: Iterable[str] | None = None) -> Principal:
    """Somebody who may do everything."""
    scope = Scope(tenant, None if studies is None else frozenset(studies))
    return Principal("boss", "local", frozenset(Permission), scope)


def images(number: int, **values: Any) -> list[Dataset]:
    """Images of one new series."""
    shared = {"StudyInstanceUID": generate_uid(), "SeriesInstanceUID": generate_uid()} | values
    return [a_dataset(**shared) for _ in range(number)]


def store(house: House, *objects: Dataset) -> list[StoreOutcome]:
    return [house.store(as_file(ds)) for ds in objects]


def delete(house: House, ds: Dataset, depth: int = 1) -> int:
    uids = (str(ds.StudyInstanceUID), str(ds.SeriesInstanceUID), str(ds.SOPInstanceUID))
    study, series, instance = (uid if level < depth else None for level, uid in enumerate(uids))
    return house.archive.delete(boss(), str(study), series, instance, origin=ORIGIN)


def visible(house: House) -> list[str]:
    """SOP Instance UIDs that a search shows; every counter agrees with them."""
    who = boss()
    found = [one["00080018"]["Value"][0] for one in house.archive.search(who, Query(Level.IMAGE))]
    assert house.archive.count(who, Query(Level.IMAGE)) == len(found)
    patients = list(house.archive.search(who, Query(Level.PATIENT)))
    assert sum(one["00201204"]["Value"][0] for one in patients) == len(found)
    return sorted(found)


def uids_of(objects: Iterable[Dataset]) -> list[str]:
    return sorted(str(ds.SOPInstanceUID) for ds in objects)


def number_of(house: House) -> int:
    """Number of the newest removal."""
    return next(iter(house.archive.removals(boss()))).number


def objects_of(house: House) -> list[str]:
    return [blob.key for blob in house.blobs.walk() if not removal_records.is_record(blob.key)]


def test_objects_stay_until_the_window_ends(house: House) -> None:
    going, staying = images(3), images(1)
    store(house, *going, *staying)
    before = objects_of(house)
    assert delete(house, going[0]) == 3
    assert len(house.keys()) == len(before) + 1, "one record"
    assert sweep(house.catalog, house.blobs, now=time.time() + TWO_HOURS).removed == 0
    assert purge(house.catalog, house.blobs).objects == 0
    assert objects_of(house) == before
    assert purge(house.catalog, house.blobs, now=time.time() + MONTH).objects == 3
    assert len(house.keys()) == 1, "no record either"
    assert visible(house) == uids_of(staying)
    assert list(house.archive.removals(boss())) == []
    actions = [change.action for change in house.catalog.changes(boss().scope, 0, 100)]
    assert actions == ["stored"] * 4 + ["deleted"] * 3 + ["purged"] * 3


class Dying:
    """A store whose process is killed at one of its removals, before or after the objects are gone."""

    def __init__(self, blobs: BlobStore, survives: int, *, after: bool) -> None:
        self.blobs, self.left, self.after = blobs, survives, after

    def delete(self, keys: Iterable[str]) -> None:
        self.left -= 1
        if self.left < 0:
            if self.after:
                self.blobs.delete(keys)
            raise KeyboardInterrupt
        self.blobs.delete(keys)


@pytest.mark.parametrize(("survives", "after"), [(0, False), (1, True), (2, False)])
def test_a_purge_that_is_killed_goes_on(house: House, survives: int, after: bool) -> None:
    going, staying = images(3), images(1)
    store(house, *going, *staying)
    delete(house, going[0], 3)
    delete(house, going[1])
    later = time.time() + MONTH
    with pytest.raises(KeyboardInterrupt):
        purge(house.catalog, Dying(house.blobs, survives, after=after), now=later)  # type: ignore[arg-type]
    assert visible(house) == uids_of(staying)
    for entry in list(house.archive.removals(boss())):
        if survives == 0 and entry.instances == 1:
            with pytest.raises(Conflict):
                house.archive.undo(boss(), entry.number, ORIGIN)
    purge(house.catalog, house.blobs, now=later)
    assert len(house.keys()) == 1
    assert list(house.archive.removals(boss())) == []


def test_versions_go_and_come_with_their_instance(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="replace"))
    (ds,) = images(1)
    store(house, ds)
    ds.PixelData = bytes(512)
    assert store(house, ds)[0].status is StoreStatus.REPLACED
    delete(house, ds)
    assert house.archive.set_aside(boss()) == []
    assert house.archive.undo(boss(), number_of(house), ORIGIN).instances == 1
    (aside,) = house.archive.set_aside(boss(), str(ds.SOPInstanceUID))
    assert aside.version == 1
    house.archive.restore(boss(), aside, ORIGIN)
    delete(house, ds)
    assert purge(house.catalog, house.blobs, now=time.time() + MONTH).objects == 2
    assert house.keys() == []


def test_what_came_again_after_its_deletion(house: House) -> None:
    same, other = images(1), images(1)
    store(house, *same, *other)
    delete(house, same[0])
    delete(house, other[0])
    assert store(house, *same)[0].status is StoreStatus.STORED
    other[0].PixelData = bytes(512)
    assert store(house, *other)[0].status is StoreStatus.STORED
    second, first = list(house.archive.removals(boss()))
    undone = house.archive.undo(boss(), first.number, ORIGIN)
    assert (undone.instances, undone.set_aside) == (0, 0), "it is there already"
    undone = house.archive.undo(boss(), second.number, ORIGIN)
    assert (undone.instances, undone.set_aside) == (0, 1), "the newer one stays current"
    assert visible(house) == uids_of([*same, *other])
    assert len(objects_of(house)) == 3
    assert len(house.keys()) == 3


def test_the_instance_that_came_first_decides_again(house: House) -> None:
    several = images(6)
    for number, ds in enumerate(several):
        ds.StudyDescription, ds.SeriesDescription = f"study {number}", f"series {number}"
        ds.SeriesInstanceUID = several[number // 2].SeriesInstanceUID
        store(house, ds)
    levels = [Query(Level.STUDY), Query(Level.SERIES)]
    before = [list(house.archive.search(boss(), query)) for query in levels]
    disagreeing = sorted(map(repr, house.catalog.disagreements(boss().scope)))
    assert disagreeing
    delete(house, several[0])
    assert house.catalog.disagreements(boss().scope) == []
    house.archive.undo(boss(), number_of(house), ORIGIN)
    assert [list(house.archive.search(boss(), query)) for query in levels] == before
    assert sorted(map(repr, house.catalog.disagreements(boss().scope))) == disagreeing


def test_a_series_of_several_classes_shows_only_those_it_has(house: House) -> None:
    first, second = images(2)
    second.SOPClassUID = "1.2.840.10008.5.1.4.1.1.4"
    store(house, first, second)
    delete(house, first, 3)
    (study,) = house.archive.search(boss(), Query(Level.STUDY, returned=frozenset({"00080062"})))
    assert study["00080062"]["Value"] == ["1.2.840.10008.5.1.4.1.1.4"]


def test_every_tenant_and_scope_for_itself(house: House) -> None:
    (mine,), (other,) = images(1), images(1)
    house.store(as_file(mine), tenant="a")
    house.store(as_file(mine), tenant="b")
    house.store(as_file(other), tenant="a")
    study = str(mine.StudyInstanceUID)
    with pytest.raises(NotFound):
        house.archive.delete(boss("c"), study, None, None, origin=ORIGIN)
    with pytest.raises(NotFound):
        house.archive.delete(boss("a", [str(other.StudyInstanceUID)]), study, None, None, origin=ORIGIN)
    house.store(as_file(a_note(QUALITY, [mine])), tenant="a")
    assert len(house.archive.instances(boss("b"), study)) == 1
    with pytest.raises(NotFound):
        house.archive.instances(boss("a"), study)
    (entry,) = house.archive.removals(boss("a"))
    assert list(house.archive.removals(boss("b"))) == []
    for stranger in (boss("b"), boss("c"), boss("a", [str(other.StudyInstanceUID)])):
        for action in (house.archive.removal, house.archive.purge, house.archive.removed):
            with pytest.raises(NotFound):
                action(stranger, entry.number)
        with pytest.raises(NotFound):
            house.archive.undo(stranger, entry.number, ORIGIN)
    assert house.archive.undo(boss("a"), entry.number, ORIGIN).instances == 1


def test_permissions_and_audit(house: House) -> None:
    (ds,) = images(1)
    store(house, ds)
    study = str(ds.StudyInstanceUID)
    few = replace(boss(), permissions=frozenset({Permission.STORE, Permission.QUERY, Permission.VIEW}))
    with pytest.raises(NotPermitted):
        house.archive.delete(few, study, None, None, origin=ORIGIN)
    with pytest.raises(NotPermitted):
        house.archive.reject(few, "113001^DCM", (study, None, None), ORIGIN)
    house.archive.reject(boss(), "113001^DCM", (study, None, None), ORIGIN)
    clerk = replace(few, permissions=few.permissions | {Permission.DELETE})
    number = number_of(house)
    for action in (house.archive.removal, house.archive.purge, house.archive.removed, house.archive.removals):
        with pytest.raises(NotPermitted):
            action(clerk, number)  # type: ignore[arg-type]
    with pytest.raises(NotPermitted):
        house.archive.undo(clerk, number, ORIGIN)
    house.archive.undo(boss(), number, ORIGIN)
    house.archive.delete(boss(), study, None, None, origin=ORIGIN)
    told = [event.detail for event in house.events if event.study_instance_uid == study]
    assert [text for text in told if "rejected" in text or "restored" in text or "deleted" in text] == [
        "web 127.0.0.1 rejected",
        f"restored from {number}",
        f"deleted as {number + 1}",
    ]


def state(house: House) -> list[Any]:
    """What the archive shows, and what its bin holds."""
    shown = [
        (e.reason, e.key, e.note_uid, e.purge_at_ms, bool(e.undone_at_ms), e.instances, e.said)
        for e in house.archive.removals(boss())
    ]
    rows = [
        sorted(repr((row.role, row.key, row.blob_key)) for row in house.archive.removed(boss(), entry.number))
        for entry in house.archive.removals(boss())
    ]
    return [visible(house), sorted(map(repr, shown)), sorted(map(repr, rows))]


def rebuilt(house: House, folder: Path) -> House:
    """The same objects with an index made anew from them."""
    empty = embedded(folder)
    empty.blobs = house.blobs
    desk = Desk(empty.catalog, house.blobs, house.rules, house.limits)
    findings: list[tasks.Finding] = []
    tasks.rebuild(desk, report=findings.append)
    assert findings == []
    assert tasks.rebuild(desk) == 0
    return empty


def test_a_rebuilt_index_knows_deletions_and_rejections(house: House, tmp_path: Path) -> None:
    deleted, rejected, revoked, restored, partly = (images(2) for _ in range(5))
    note = a_note(SAFETY, [*rejected, a_dataset()])
    store(house, *deleted, *rejected, *revoked, *restored, *partly, note, a_note(QUALITY, revoked))
    store(house, a_note(RETENTION, partly))
    removal_records.write_all(house.catalog, house.blobs)
    by_note = {entry.note_uid: entry.number for entry in house.archive.removals(boss())}
    retention, quality, _ = by_note.values()
    house.archive.undo(boss(), quality, ORIGIN)
    house.archive.undo(boss(), retention, ORIGIN, frozenset(uids_of(partly[:1])))
    delete(house, restored[0])
    house.archive.undo(boss(), number_of(house), ORIGIN)
    delete(house, deleted[0])
    expected = state(house)
    assert expected[0] == uids_of([*revoked, *restored, partly[0]])
    again = rebuilt(house, tmp_path / "again")
    assert state(again) == expected
    assert store(house, rejected[0])[0].status is StoreStatus.REFUSED
    for entry in list(again.archive.removals(boss())):
        if not entry.undone_at_ms:
            again.catalog.removals.restore(boss().scope, entry.number, ORIGIN)
    assert visible(again) == uids_of([*deleted, *rejected, *revoked, *restored, *partly])
    again.close()


def test_a_rebuild_without_records_still_has_the_notes(house: House, tmp_path: Path) -> None:
    named, other = images(2), images(1)
    store(house, *named, a_note(QUALITY, named), *other)
    again = rebuilt(house, tmp_path / "again")
    assert visible(again) == visible(house) == uids_of(other)
    again.close()


def test_a_record_that_was_not_written_is_written_later(house: House, tmp_path: Path) -> None:
    (ds,) = images(1)
    store(house, ds)
    house.catalog.removals.delete(boss().scope, (str(ds.StudyInstanceUID), None, None), ORIGIN, 30.0)
    assert len(house.keys()) == 1
    assert removal_records.write_all(house.catalog, house.blobs) == 1
    assert removal_records.write_all(house.catalog, house.blobs) == 0
    again = rebuilt(house, tmp_path / "again")
    assert state(again) == state(house)
    again.close()


@pytest.mark.parametrize("data", [b" ", b"[]", b'{"objects": {"a": 0}, "references": []}'])
def test_a_damaged_record_is_reported_and_nothing_is_lost(house: House, tmp_path: Path, data: bytes) -> None:
    store(house, *images(2))
    writer = house.blobs.create(f"{removal_records.PREFIX}damaged.json")
    writer.write(data)
    writer.commit()
    empty = embedded(tmp_path / "empty")
    findings: list[tasks.Finding] = []
    desk = Desk(empty.catalog, house.blobs, house.rules, house.limits)
    assert tasks.rebuild(desk, report=findings.append) == 2
    assert [finding.problem for finding in findings] == ["unreadable"]
    empty.close()


def test_rejected_objects_are_purged_when_a_rule_says_so(make_house: MakeHouse) -> None:
    rule = settings.RejectionRule(code="113039^DCM", purge_days=1, again="refuse")
    rules = settings.Archive(rejections=(rule,))
    house = make_house(rules=rules)
    house.catalog = Catalog(house.index, rules_from(rules.rejections))
    house.archive._desk = house.desk = Desk(house.catalog, house.blobs, rules, house.limits)
    named = images(2)
    store(house, *named, a_note(RETENTION, named))
    assert purge(house.catalog, house.blobs, now=time.time() + MONTH).objects == 2
    assert len(objects_of(house)) == 1, "the note"
    (entry,) = house.archive.removals(boss())
    assert (entry.instances, entry.purge_at_ms, entry.undone_at_ms) == (0, 0, 0), "still in force"
    store(house, *named)
    assert visible(house) == [], "as if they had never been here: hidden when they come"


def test_the_number_of_statements_does_not_depend_on_that_of_instances(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    ran: list[str] = []
    for name in ("rows", "run", "changed", "run_many"):
        inner = getattr(Transaction, name)

        def counted(self: Transaction, statement: Any, params: Any, inner: Any = inner) -> Any:
            ran.append(statement.sql)
            return inner(self, statement, params)

        monkeypatch.setattr(Transaction, name, counted)
    numbers = []
    for size in (2, 20):
        several = images(size)
        store(house, *several)
        ran.clear()
        delete(house, several[0])
        house.archive.undo(boss(), number_of(house), ORIGIN)
        house.archive.reject(boss(), "113001^DCM", (str(several[0].StudyInstanceUID), None, None), ORIGIN)
        numbers.append(len(ran))
    assert numbers[0] == numbers[1]


def another_process(house: House) -> Catalog:
    """The same index through other connections."""
    return Catalog(Database(house.database))


def test_a_note_and_its_images_cannot_pass_each_other(house: House) -> None:
    """Whoever commits first: in the end everything is hidden."""
    named = images(8)
    others = [another_process(house) for _ in range(2)]
    desks = [Desk(catalog, house.blobs, house.rules, house.limits) for catalog in others]
    begin = threading.Barrier(3)

    def send(desk: Desk, objects: list[Dataset]) -> None:
        begin.wait()
        for ds in objects:
            intake = ObjectIntake(desk, "default", Incoming(), ORIGIN)
            intake.write(as_file(ds))
            assert intake.finish().stored

    work = [(desks[0], named[:4]), (desks[1], named[4:]), (house.desk, [a_note(QUALITY, named)])]
    threads = [threading.Thread(target=send, args=one) for one in work]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert visible(house) == []
    (entry,) = house.archive.removals(boss())
    assert entry.instances == 8
    for catalog in others:
        catalog._database.close()


def test_a_study_is_deleted_while_it_arrives_and_twice_at_once(house: House) -> None:
    arriving = images(12)
    store(house, arriving[0])
    catalog = another_process(house)
    done = threading.Event()
    went: list[int] = []

    def erase(catalog: Catalog) -> None:
        while not done.is_set():
            try:
                uids = (str(arriving[0].StudyInstanceUID), None, None)
                went.append(catalog.removals.delete(boss().scope, uids, ORIGIN, 30.0)[1])
            except NotFound:
                time.sleep(0.001)

    threads = [threading.Thread(target=erase, args=(one,)) for one in (catalog, house.catalog)]
    for thread in threads:
        thread.start()
    assert all(outcome.stored for outcome in store(house, *arriving[1:]))
    time.sleep(0.1)
    done.set()
    for thread in threads:
        thread.join()
    assert len(visible(house)) + sum(went) == 12
    for entry in list(house.archive.removals(boss())):
        house.archive.undo(boss(), entry.number, ORIGIN)
    assert visible(house) == uids_of(arriving)
    catalog._database.close()
