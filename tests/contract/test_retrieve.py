"""What leaves the archive, compared with pydicom reading the original file."""

from io import BytesIO

import orjson
import pydicom
import pytest
from pydicom.encaps import encapsulate, generate_frames
from pydicom.uid import ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from index.errors import NotAcceptable, NotFound, NotPermitted
from index.query import Exact, Query
from index.records import InstanceKey, Level, RenderOptions, StoreOutcome, Wanted
from tests.archives import ANYTHING, House, a_dataset, as_file, encode, principal, split
from tests.samples import shipped_files

DEFLATED = "1.2.840.10008.1.2.1.99"


def key_of(outcome: StoreOutcome) -> InstanceKey:
    assert outcome.key is not None, outcome.reasons
    return outcome.key


def expected_frames(ds: pydicom.Dataset) -> list[bytes]:
    """The frames as they stand in the file, by pydicom's own means."""
    count = int(ds.get("NumberOfFrames") or 1)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        return list(generate_frames(ds.PixelData, number_of_frames=count))
    size = ds.Rows * ds.Columns * ds.SamplesPerPixel * ds.BitsAllocated // 8
    return [ds.PixelData[number * size : (number + 1) * size] for number in range(count)]


def test_frames_of_the_samples_are_the_bytes_of_the_file(house: House) -> None:
    checked = 0
    for number, path in enumerate(shipped_files()):
        ds = pydicom.dcmread(path, force=True)
        if "PixelData" not in ds or "SOPInstanceUID" not in ds or ds.get("BitsAllocated", 8) == 1:
            continue
        if ds.file_meta.TransferSyntaxUID in (ExplicitVRBigEndian, "1.2.840.10008.1.2.1.98"):
            continue
        tenant = f"tenant {number}"
        key = key_of(house.store(path.read_bytes(), tenant=tenant))
        frames = expected_frames(ds)
        assert house.frames(key, range(1, len(frames) + 1), tenant) == frames, path
        checked += 1
    assert checked > 20


def test_frames_come_in_the_order_asked_and_only_if_they_exist(house: House) -> None:
    pixels = b"".join(bytes([number]) * 512 for number in range(5))
    key = key_of(house.store(as_file(a_dataset(NumberOfFrames=5, PixelData=pixels))))
    assert [frame[0] for frame in house.frames(key, [5, 1, 3])] == [4, 0, 2]
    for wrong in (0, 6, -1):
        with pytest.raises(NotFound):
            house.frames(key, [1, wrong])


def test_an_object_without_pixels_has_no_frames(house: House) -> None:
    ds = a_dataset()
    del ds.PixelData
    key = key_of(house.store(as_file(ds)))
    with pytest.raises(NotFound):
        house.archive.open_frames(house.principal, key, Wanted(("1.2.840.10008.1.2.4.80",), as_stored_ok=False))


def test_frames_and_bulk_data_of_a_deflated_object_are_inflated(house: House) -> None:
    ds = a_dataset(EncapsulatedDocument=bytes(range(256)) * 10)
    key = key_of(house.store(as_file(ds, DEFLATED)))
    assert house.frames(key, [1]) == [ds.PixelData]
    assert b"".join(house.archive.bulkdata(house.principal, key, "00420011").blocks) == ds.EncapsulatedDocument
    (stored,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
    opened = house.archive.open_dataset(house.principal, stored, ANYTHING)
    assert b"".join(opened.blocks) == split(as_file(ds, DEFLATED))[1]


def test_bulk_data_are_found_by_the_references_of_the_metadata(house: House) -> None:
    item = pydicom.Dataset()
    item.WaveformData = bytes(range(256)) * 20
    item.WaveformBitsAllocated = 16
    ds = a_dataset(EncapsulatedDocument=b"pdf" * 1000, WaveformSequence=[item, item])
    key = key_of(house.store(as_file(ds)))
    (text,) = house.archive.metadata(house.principal, ds.StudyInstanceUID)
    dataset = orjson.loads(text)
    wanted = {
        dataset["00420011"]["BulkDataURI"]: ds.EncapsulatedDocument,
        dataset["54000100"]["Value"][1]["54001010"]["BulkDataURI"]: item.WaveformData,
        dataset["7FE00010"]["BulkDataURI"]: ds.PixelData,
    }
    for uri, value in wanted.items():
        root, _, path = uri.partition("/bulkdata/")
        assert root.endswith(f"/instances/{ds.SOPInstanceUID}")
        opened = house.archive.bulkdata(house.principal, key, path)
        assert (b"".join(opened.blocks), opened.length_bytes) == (value, len(value))
    for wrong in ("00100010", "", "../x", "54000100/3/54001010"):
        with pytest.raises(NotFound):
            house.archive.bulkdata(house.principal, key, wrong)


def test_bulk_data_of_big_endian_objects_leave_little_endian(house: House) -> None:
    words = bytes(range(256)) * 20
    ds = a_dataset(PixelData=words[:512])
    ds.add_new("RedPaletteColorLookupTableData", "OW", words)
    ds.add_new("EncapsulatedDocument", "OB", words)
    key = key_of(house.store(as_file(ds, ExplicitVRBigEndian)))
    for path, value in (("00281201", swap(words)), ("00420011", words)):
        assert b"".join(house.archive.bulkdata(house.principal, key, path).blocks) == value


def swap(data: bytes) -> bytes:
    """pydicom writes OW as it is given: these are the big endian words in the file."""
    return b"".join(data[i + 1 : i + 2] + data[i : i + 1] for i in range(0, len(data), 2))


def test_an_object_leaves_as_stored_whenever_the_peer_takes_it(house: House) -> None:
    for uid in (ImplicitVRLittleEndian, ExplicitVRLittleEndian, ExplicitVRBigEndian, DEFLATED):
        ds = a_dataset()
        data = encode(ds, uid)
        house.store(as_file(ds, uid))
        (stored,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
        for wanted in (ANYTHING, Wanted((ExplicitVRLittleEndian, str(uid)), as_stored_ok=False)):
            opened = house.archive.open_dataset(house.principal, stored, wanted)
            assert (opened.transfer_syntax_uid, opened.length_bytes) == (uid, len(data))
            assert b"".join(opened.blocks) == data


def test_an_object_is_made_in_the_syntax_that_a_peer_takes(house: House) -> None:
    ds = a_dataset()
    house.store(as_file(ds, ExplicitVRLittleEndian))
    (stored,) = house.archive.instances(house.principal, ds.StudyInstanceUID)
    for uid in (ImplicitVRLittleEndian, ExplicitVRBigEndian):
        opened = house.archive.open_file(house.principal, stored, Wanted((uid,), as_stored_ok=False))
        data = b"".join(opened.blocks)
        assert len(data) == opened.length_bytes
        read = pydicom.dcmread(BytesIO(data))
        assert read.file_meta.TransferSyntaxUID == opened.transfer_syntax_uid == uid
        assert read.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
        assert (read.PatientName, read.Rows, read.StudyInstanceUID) == (ds.PatientName, 16, ds.StudyInstanceUID)
    with pytest.raises(NotAcceptable):
        house.archive.open_file(house.principal, stored, Wanted(("1.2.840.10008.1.2.4.50",), as_stored_ok=False))


def test_metadata_come_by_series_and_instance_number(house: House) -> None:
    study = a_dataset().StudyInstanceUID
    for series in ("1.2.3.2", "1.2.3.1"):
        for number in (10, 2, 1):
            ds = a_dataset(StudyInstanceUID=study, SeriesInstanceUID=series, InstanceNumber=number)
            ds.SeriesNumber = int(series[-1])
            assert house.store(as_file(ds)).stored
    found = [orjson.loads(text) for text in house.archive.metadata(house.principal, study)]
    order = [(one["00200011"]["Value"][0], one["00200013"]["Value"][0]) for one in found]
    assert order == [(1, 1), (1, 2), (1, 10), (2, 1), (2, 2), (2, 10)]
    assert len(house.archive.metadata(house.principal, study, "1.2.3.1")) == 3
    query = Query(Level.SERIES, (Exact("SeriesInstanceUID", "1.2.3.2"),))
    assert {one.key.series_instance_uid for one in house.archive.matching(house.principal, query)} == {"1.2.3.2"}


def test_pictures_of_images_and_of_what_is_none(house: House) -> None:
    image = key_of(house.store(as_file(a_dataset())))
    report = a_dataset(Modality="SR")
    del report.PixelData
    document = key_of(house.store(as_file(report)))
    options = RenderOptions(viewport=(64, 64))
    for key in (image, document):
        assert house.archive.render(house.principal, key, 1, options).startswith(b"\xff\xd8\xff")
        with pytest.raises(NotFound):
            house.archive.render(house.principal, key, 2, options)


def test_who_may_not_may_not(house: House) -> None:
    key = key_of(house.store(as_file(a_dataset())))
    nobody = principal()
    nobody = type(nobody)("nobody", "user", frozenset(), nobody.scope)
    for ask in (
        lambda: house.archive.open_frames(nobody, key, ANYTHING),
        lambda: house.archive.search(nobody, Query(Level.STUDY)),
        lambda: house.archive.instances(nobody, key.study_instance_uid),
    ):
        with pytest.raises(NotPermitted):
            ask()
    elsewhere = principal(study_instance_uids=frozenset({"1.2.3"}))
    with pytest.raises(NotFound):
        house.archive.open_frames(elsewhere, key, ANYTHING)


def test_compressed_frames_of_several_fragments_are_joined(house: House) -> None:
    frames = [bytes([number]) * 1000 for number in range(4)]
    ds = a_dataset(NumberOfFrames=4, PixelData=encapsulate(frames, fragments_per_frame=3, has_bot=True))
    ds["PixelData"].VR = "OB"
    ds["PixelData"].is_undefined_length = True
    key = key_of(house.store(as_file(ds, "1.2.840.10008.1.2.4.90")))
    assert [frame.rstrip(b"\0") for frame in house.frames(key, [2, 4])] == [frames[1], frames[3]]
