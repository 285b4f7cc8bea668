"""Sweeping, verifying and rebuilding: what a crash leaves, what time damages, and an index that was lost."""

import time
from dataclasses import replace
from pathlib import Path

import pytest

from config import settings
from index.errors import Conflict, NotFound
from index.query import Query
from index.records import Level, Origin, StoreStatus
from storage import deletion, tasks
from storage.archive import Incoming
from storage.deletion import Swept, sweep
from tests.archives import House, MakeHouse, a_dataset, as_file, embedded, pieces, principal, split
from tests.samples import shipped_files

TWO_HOURS = 7200.0


def orphan(house: House, data: bytes = b"left by a crash") -> str:
    """An object without a row."""
    key = house.blobs.new_key("default")
    writer = house.blobs.create(key)
    writer.write(data)
    writer.commit()
    return key


def test_the_sweep_removes_old_orphans_and_nothing_else(house: House) -> None:
    outcome = house.store(as_file(a_dataset()))
    (known,) = house.keys()
    key = orphan(house)
    assert sweep(house.catalog, house.blobs).removed == 0, "it may be about to be committed"
    swept = sweep(house.catalog, house.blobs, now=time.time() + TWO_HOURS)
    assert swept == Swept(2, 1, len(b"left by a crash"))
    assert house.keys() == [known]
    assert house.file(outcome)
    with pytest.raises(NotFound):
        house.blobs.read(key, 0, 1)


def test_set_aside_versions_are_not_swept(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="replace"))
    ds = a_dataset()
    house.store(as_file(ds))
    first = house.keys()
    ds.PixelData = bytes(512)
    house.store(as_file(ds))
    assert sweep(house.catalog, house.blobs, now=time.time() + TWO_HOURS).removed == 0
    (aside,) = house.catalog.set_aside(house.principal.scope, ds.SOPInstanceUID)
    assert [aside.blob_key] == first
    house.catalog.restore(house.principal.scope, aside, Origin("import", "", "tester"))
    (current,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
    assert [current.blob_key] == first


def test_a_lost_index_does_not_cost_the_objects(house: House, tmp_path: Path) -> None:
    for _ in range(3):
        house.store(as_file(a_dataset()))
    before = house.keys()
    lost = embedded(tmp_path / "empty")
    with pytest.raises(Conflict, match="3 of 3"):
        sweep(lost.catalog, house.blobs, now=time.time() + TWO_HOURS)
    assert house.keys() == before
    lost.close()


def test_an_outdated_index_does_not_cost_the_objects(house: House) -> None:
    house.store(as_file(a_dataset()))
    for number in range(deletion.FEW + 1):
        orphan(house, b"%d" % number)
    with pytest.raises(Conflict):
        sweep(house.catalog, house.blobs, now=time.time() + TWO_HOURS)
    assert len(house.keys()) == deletion.FEW + 2


def test_verify_finds_changed_and_missing_objects(house: House) -> None:
    images = [a_dataset() for _ in range(3)]
    for ds in images:
        house.store(as_file(ds))
    good, changed, missing = (house.archive.instances(house.principal, ds.StudyInstanceUID)[0] for ds in images)
    damaged = bytearray(house.blobs.read(changed.blob_key, 0, changed.size_bytes))
    damaged[-1] ^= 1
    house.blobs.delete([changed.blob_key, missing.blob_key])
    writer = house.blobs.create(changed.blob_key)
    writer.write(damaged)
    writer.commit()
    assert tasks.verify(house.blobs, good) is None
    found = [tasks.verify(house.blobs, instance) for instance in (changed, missing)]
    assert [finding.problem for finding in found if finding] == ["changed", "missing"]


def everything(house: House, tenant: str) -> list[object]:
    who = principal(tenant)
    studies = [one["0020000D"]["Value"][0] for one in house.archive.search(who, Query(Level.STUDY))]
    found = [instance for study in sorted(studies) for instance in house.archive.instances(who, study)]
    stored = [replace(instance, stored_at_ms=0) for instance in found]
    texts = [house.archive.metadata(who, *vars_of(instance)) for instance in stored]
    return [studies, stored, texts]


def vars_of(instance: object) -> tuple[str, str, str]:
    key = instance.key  # type: ignore[attr-defined]
    return key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid


def test_the_index_is_rebuilt_from_the_objects_alone(house: House, tmp_path: Path) -> None:
    tenants = ("default", "über/../uns")
    for number, path in enumerate(shipped_files()):
        house.store(path.read_bytes(), tenant=tenants[number % 2])
    empty = embedded(tmp_path / "empty")
    again = tasks.Desk(empty.catalog, house.blobs, house.rules, house.limits)
    findings: list[tasks.Finding] = []
    assert tasks.rebuild(again, report=findings.append) == len(house.keys()) > 50
    assert findings == []
    assert tasks.rebuild(again) == 0
    for tenant in tenants:
        assert [sorted(map(repr, part)) for part in everything(empty, tenant)] == [
            sorted(map(repr, part)) for part in everything(house, tenant)
        ]
    empty.close()


def test_a_rebuild_reports_what_it_cannot_read_and_goes_on(house: House, tmp_path: Path) -> None:
    bad = [orphan(house, data) for data in (b"no DICOM", as_file(a_dataset())[:400])]
    house.store(as_file(a_dataset()))
    empty = embedded(tmp_path / "empty")
    findings: list[tasks.Finding] = []
    assert tasks.rebuild(tasks.Desk(empty.catalog, house.blobs, house.rules, house.limits), report=findings.append) == 1
    assert sorted(finding.blob_key for finding in findings) == sorted(bad)
    empty.close()


def test_a_rebuild_beside_an_ingest_neither_loses_nor_doubles(house: House) -> None:
    """The object is durable, its row is not committed yet, and a rebuild finds it first."""
    ds = a_dataset()
    file = as_file(ds)
    intake = house.archive.intake(house.principal, Incoming(), Origin("import", "", "tester"))
    for block in pieces(file):
        intake.write(block)
    catalog = house.catalog
    add = catalog.add

    def add_after_rebuild(*arguments: object, **named: object) -> object:
        catalog.add = add  # type: ignore[method-assign]
        assert tasks.rebuild(house.desk) == 1
        return add(*arguments, **named)  # type: ignore[arg-type]

    catalog.add = add_after_rebuild  # type: ignore[method-assign,assignment]
    outcome = intake.finish()
    assert outcome.stored
    assert split(house.file(outcome)) == split(file)
    assert len(house.keys()) == 1
    assert house.store(file).status is StoreStatus.DUPLICATE
