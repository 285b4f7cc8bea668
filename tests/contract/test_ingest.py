"""The one way in and the one way out: every sample file, every kind of refusal, on both stores."""

import hashlib
import resource
import threading
from collections.abc import Iterator
from dataclasses import replace

import pytest
from pydicom.uid import ExplicitVRBigEndian, generate_uid

from config import settings
from index.access import Permission
from index.errors import CannotUnderstand, NotFound, NotPermitted, PacsError
from index.query import Query
from index.reasons import Code
from index.records import InstanceKey, Level, Origin, StoreStatus
from storage.archive import Incoming
from tests.archives import (
    ANYTHING,
    CT,
    House,
    MakeHouse,
    a_dataset,
    as_file,
    encode,
    pieces,
    principal,
    split,
)
from tests.samples import instance_files

ALL_STUDIES = Query(Level.STUDY)


def test_every_sample_file_comes_back_with_the_identical_data_set(house: House) -> None:
    # Some samples are the same instance in another transfer syntax: a tenant for each.
    for number, path in enumerate(instance_files()):
        original, tenant = path.read_bytes(), f"tenant {number}"
        outcome = house.store(original, tenant=tenant)
        assert outcome.stored, (path, outcome.reasons)
        stored = house.file(outcome, tenant)
        assert split(stored) == split(original), path
        assert stored[:132] == bytes(128) + b"DICM"


def test_a_bare_data_set_and_a_file_are_the_same_instance(house: House) -> None:
    for uid in ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", ExplicitVRBigEndian):
        ds = a_dataset()
        data = encode(ds, uid)
        first = house.store(
            data, via="dimse", transfer_syntax_uid=uid, sop_class_uid=CT, sop_instance_uid=ds.SOPInstanceUID
        )
        assert first.status is StoreStatus.STORED
        again = house.store(as_file(ds, uid))
        assert again.status is StoreStatus.DUPLICATE
        assert split(house.file(first)) == (uid, data)
    assert len(house.keys()) == 3


def test_how_the_bytes_are_cut_into_pieces_does_not_matter(house: House) -> None:
    ds = a_dataset(PixelData=bytes(500_000))
    file = as_file(ds)
    assert house.store(file).status is StoreStatus.STORED
    for size in (1013, 131_000, 131_072, 262_144, len(file)):
        assert house.store(pieces(file, size)).status is StoreStatus.DUPLICATE, size
    assert house.store(pieces(as_file(a_dataset()), 1)).stored


def test_the_stored_row_describes_the_object(house: House) -> None:
    ds = a_dataset()
    data = encode(ds)
    house.store(as_file(ds))
    (stored,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
    assert stored.key == InstanceKey(ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SOPInstanceUID)
    assert stored.sha256 == hashlib.sha256(data).digest()
    assert house.keys() == [stored.blob_key]
    whole = house.blobs.read(stored.blob_key, 0, stored.size_bytes)
    assert whole[stored.layout.dataset_offset_bytes :] == data


def refused(house: House, data: bytes, code: Code, **incoming: str) -> str:
    """The object is refused for this reason, and that changes nothing."""
    before = house.keys()
    outcome = house.store(data, **incoming)
    assert outcome.status is StoreStatus.REFUSED
    assert [reason.code for reason in outcome.reasons] == [code], outcome.reasons
    assert house.keys() == before
    assert outcome.reasons[0].detail
    return outcome.reasons[0].detail


def test_bad_objects_are_refused_and_leave_nothing(house: House) -> None:
    good = as_file(a_dataset())
    refused(house, b"", Code.CANNOT_UNDERSTAND)
    refused(house, good[:200], Code.CANNOT_UNDERSTAND)
    refused(house, good[:-100], Code.CANNOT_UNDERSTAND)
    refused(house, b"\x89PNG" + bytes(5000), Code.CANNOT_UNDERSTAND)
    for keyword in ("StudyInstanceUID", "SeriesInstanceUID", "SOPInstanceUID", "SOPClassUID"):
        ds = a_dataset()
        delattr(ds, keyword)
        refused(house, as_file(ds), Code.DATA_SET_MISMATCH)
    evil = as_file(a_dataset(SOPInstanceUID="1.2.3.4")).replace(b"1.2.3.4\0", b"../../x\0")
    refused(house, evil, Code.DATA_SET_MISMATCH)
    assert house.archive.count(house.principal, ALL_STUDIES) == 0


def test_a_large_bad_object_leaves_nothing_either(house: House) -> None:
    good = as_file(a_dataset(PixelData=bytes(1_000_000)))
    refused(house, good[:-100], Code.CANNOT_UNDERSTAND)


def test_the_data_set_must_be_what_the_request_says(house: House) -> None:
    ds = a_dataset()
    data = encode(ds)
    said = {
        "transfer_syntax_uid": "1.2.840.10008.1.2.1",
        "sop_class_uid": CT,
        "sop_instance_uid": str(ds.SOPInstanceUID),
    }
    refused(house, data, Code.DATA_SET_MISMATCH, **{**said, "sop_instance_uid": generate_uid()})
    refused(house, data, Code.DATA_SET_MISMATCH, **{**said, "sop_class_uid": "1.2.840.10008.5.1.4.1.1.4"})
    refused(house, as_file(ds), Code.STUDY_MISMATCH, study_instance_uid=generate_uid())
    assert house.store(as_file(ds), study_instance_uid=ds.StudyInstanceUID).stored


def test_a_file_whose_meta_group_names_another_instance_gets_a_right_one(house: House) -> None:
    for size in (512, 400_000):
        ds = a_dataset(PixelData=bytes(size))
        file = as_file(ds, MediaStorageSOPInstanceUID="1.2.3", MediaStorageSOPClassUID="1.2.840.10008.5.1.4.1.1.4")
        outcome = house.store(file)
        assert outcome.status is StoreStatus.STORED
        assert [reason.code for reason in outcome.reasons] == [Code.MISMATCH_WARNING]
        stored = house.file(outcome)
        assert split(stored) == split(file)
        assert str(ds.SOPInstanceUID).encode() in stored[: stored.index(b"Doe^Jane") - 200]
        assert house.frames(outcome.key, [1]) == [ds.PixelData[:512]]
    assert len(house.keys()) == 2


def test_unknown_classes_and_syntaxes_by_setting(make_house: MakeHouse) -> None:
    strict = make_house()
    private = as_file(a_dataset(SOPClassUID="1.3.12.2.1107.5.9.1"))
    strange = as_file(a_dataset()).replace(b"1.2.840.10008.1.2.1\0", b"1.2.840.113619.5.27\0")
    refused(strict, private, Code.SOP_CLASS_NOT_SUPPORTED)
    refused(strict, strange, Code.TRANSFER_SYNTAX_NOT_SUPPORTED)
    lenient = make_house(rules=settings.Archive(accept_unknown_sop_classes=True, accept_unknown_transfer_syntaxes=True))
    assert split(lenient.file(lenient.store(private))) == split(private)
    assert split(lenient.file(lenient.store(strange))) == split(strange)


def test_an_object_beyond_the_limit_is_refused_while_it_arrives(make_house: MakeHouse) -> None:
    house = make_house(limits=settings.Limits(object_bytes=200_000))
    intake = house.archive.intake(house.principal, Incoming(), Origin("import", "", "tester"))
    taken = 0
    with pytest.raises(PacsError, match="object_bytes"):
        for block in pieces(as_file(a_dataset(PixelData=bytes(10_000_000)))):
            intake.write(block)
            taken += len(block)
    assert taken <= 200_000
    assert intake.finish().status is StoreStatus.REFUSED
    assert house.keys() == []


def test_a_sender_that_goes_away_leaves_nothing(house: House) -> None:
    for kept in (100, 2_000, 600_000):
        intake = house.archive.intake(house.principal, Incoming(), Origin("import", "", "tester"))
        for block in pieces(as_file(a_dataset(PixelData=bytes(1_000_000)))[:kept]):
            intake.write(block)
        intake.abort()
    assert house.keys() == []


def test_the_same_uid_with_other_bytes_is_refused_by_default(house: House) -> None:
    ds = a_dataset()
    first = house.store(as_file(ds))
    before = house.file(first)
    ds.PixelData = bytes(512)
    refused(house, as_file(ds), Code.DUPLICATE_INSTANCE)
    assert house.file(first) == before
    assert house.store(before).status is StoreStatus.DUPLICATE


def test_keep_both_sets_the_second_aside(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="keep-both"))
    ds = a_dataset()
    first = house.store(as_file(ds))
    before = house.file(first)
    ds.PixelData = bytes(512)
    assert house.store(as_file(ds)).status is StoreStatus.SET_ASIDE
    assert house.file(first) == before
    assert len(house.keys()) == 2
    assert house.store(as_file(ds)).status is StoreStatus.DUPLICATE
    assert len(house.keys()) == 2


def test_replace_keeps_the_old_one_restorable(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="replace"))
    ds = a_dataset()
    house.store(as_file(ds))
    ds.PixelData = bytes(512)
    second = house.store(as_file(ds))
    assert second.status is StoreStatus.REPLACED
    assert split(house.file(second)) == split(as_file(ds))
    assert len(house.keys()) == 2


def test_eight_threads_at_once(house: House) -> None:
    study, series = generate_uid(), generate_uid()
    images = [
        a_dataset(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=number) for number in range(1, 81)
    ]
    files, uids = [as_file(ds) for ds in images], [ds.SOPInstanceUID for ds in images]
    outcomes: list[StoreStatus] = []

    def send(start: int) -> None:
        # Every file is sent by two threads: exactly one of them stores it.
        outcomes.extend(house.store(file).status for file in files[start * 20 : start * 20 + 20])

    threads = [threading.Thread(target=send, args=(number // 2,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert outcomes.count(StoreStatus.STORED) == 80
    assert outcomes.count(StoreStatus.DUPLICATE) == 80
    found = house.archive.instances(house.principal, study)
    assert [stored.key.sop_instance_uid for stored in found] == uids
    assert sorted(stored.blob_key for stored in found) == house.keys()


def test_another_tenant_sees_nothing(house: House) -> None:
    ds = a_dataset()
    outcome = house.store(as_file(ds))
    stranger = principal("elsewhere")
    for ask in (
        lambda: house.archive.instances(stranger, ds.StudyInstanceUID),
        lambda: house.archive.metadata(stranger, ds.StudyInstanceUID),
        lambda: house.archive.open_frames(stranger, outcome.key, ANYTHING),
        lambda: house.archive.bulkdata(stranger, outcome.key, "7FE00010"),
    ):
        with pytest.raises(NotFound):
            ask()


def test_access_is_audited_once_a_study_and_never_by_name(house: House) -> None:
    ds = a_dataset()
    outcome = house.store(as_file(ds))
    for _ in range(5):
        house.frames(outcome.key, [1])
        house.archive.metadata(house.principal, ds.StudyInstanceUID)
    names = [event.event for event in house.events]
    assert names == ["Import", "DICOM Instances Accessed"]
    assert {event.study_instance_uid for event in house.events} == {ds.StudyInstanceUID}
    assert "Doe" not in repr(house.events)
    refused(house, b"garbage" * 100, Code.CANNOT_UNDERSTAND)
    assert house.events[-1].outcome == "serious"


def test_a_full_disk_is_out_of_resources_and_leaves_nothing(house: House) -> None:
    large = as_file(a_dataset(PixelData=bytes(2_000_000)))
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, before[1]))
    try:
        refused(house, large, Code.OUT_OF_RESOURCES)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert house.store(large).status is StoreStatus.STORED


def test_an_error_of_the_source_is_not_taken_for_the_end_of_the_object(house: House) -> None:
    file = as_file(a_dataset())

    def broken() -> Iterator[bytes]:
        yield file
        raise CannotUnderstand("the zip file is damaged")

    with pytest.raises(CannotUnderstand, match="zip"):
        house.store(broken())
    assert house.keys() == []


def test_abort_after_finish_removes_nothing(house: House) -> None:
    file = as_file(a_dataset())
    intake = house.archive.intake(house.principal, Incoming(), Origin("import", "", "tester"))
    intake.write(file)
    outcome = intake.finish()
    intake.abort()
    assert split(house.file(outcome)) == split(file)


def test_a_restored_version_is_what_leaves(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="replace"))
    ds = a_dataset()
    old = as_file(ds)
    house.store(old)
    ds.PixelData = bytes(512)
    outcome = house.store(as_file(ds))
    administrator = replace(house.principal, permissions=frozenset(Permission))
    (aside,) = house.archive.set_aside(administrator, ds.SOPInstanceUID)
    house.archive.restore(administrator, aside, Origin("import", "", "tester"))
    assert split(house.file(outcome)) == split(old)
    (aside,) = house.archive.set_aside(administrator, ds.SOPInstanceUID)
    house.archive.restore(administrator, aside, Origin("import", "", "tester"))
    assert split(house.file(outcome)) == split(as_file(ds))
    with pytest.raises(NotPermitted):
        house.archive.set_aside(house.principal, ds.SOPInstanceUID)
