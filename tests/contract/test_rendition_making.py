"""Renditions on both stores: pixels are equal, originals untouched, and a rendition lives as long as its original."""

import hashlib
import io
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import numpy.typing as npt
import orjson
import pydicom
import pytest
from imagecodecs import htj2k_encode
from pydicom.uid import (
    MPEG4HP41,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEGLSLossless,
    generate_uid,
)

from config import settings
from index.access import Scope
from index.errors import CannotUnderstand, Conflict, NotFound
from index.records import InstanceKey, Origin, StoredInstance, StoreOutcome, Wanted
from storage import deletion, purging, renditions, tasks
from storage.rendition_making import Workshop, make, why_not
from storage.rendition_rounds import Round, Rounds
from tests import archives
from tests.archives import House, MakeHouse, a_dataset, as_file, principal
from tests.samples import sample

SCOPE = Scope("default")
EVERYTHING = (settings.RenditionRule(),)
ADMINISTRATOR = Origin("command", "", "tester")
HOUR_SECONDS = 3600


@pytest.fixture
def local(tmp_path: Path) -> Iterator[House]:
    """An archive for what does not depend on the store."""
    house = archives.embedded(tmp_path)
    yield house
    house.close()


def rounds(house: House, **changes: str) -> Rounds:
    workshop = Workshop(house.blobs, house.limits, house.rules, None)
    return Rounds(house.catalog, workshop, settings.Renditions(**changes))


def make_all(house: House, *rules: settings.RenditionRule, **changes: str) -> Round:
    """What the worker and the command do."""
    done = Round()
    maker = rounds(house, **changes)
    for series in house.catalog.renditions.series(SCOPE):
        for _ in maker.make_series(series, rules or EVERYTHING, done):
            pass
    return done


def rendition_keys(house: House) -> list[str]:
    return list(filter(renditions.is_rendition, house.keys()))


def instance(house: House, key: InstanceKey | None) -> StoredInstance:
    assert key is not None
    uids = (key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
    return house.archive.instances(house.principal, *uids)[0]


def file_as(house: House, key: InstanceKey | None, syntax: str) -> bytes:
    """The instance as it leaves for somebody who takes this syntax alone."""
    opened = house.archive.open_file(house.principal, instance(house, key), Wanted((syntax,), as_stored_ok=False))
    data = b"".join(opened.blocks)
    assert (len(data), opened.transfer_syntax_uid) == (opened.length_bytes, syntax)
    return data


def random_image(dtype: str, bits: int, *, samples: int = 1, frames: int = 1) -> npt.NDArray[np.generic]:
    """Noise over the whole range of the bits, extremes included, in a size that nothing divides."""
    low, high = (-(1 << bits - 1), (1 << bits - 1) - 1) if dtype[0] == "i" else (0, (1 << bits) - 1)
    shape = (frames, 37, 53, samples)
    image = np.random.default_rng(bits + samples).integers(low, high, shape, endpoint=True).astype(dtype)
    image[0, 0, 0], image[0, 0, 1] = low, high
    return image


KINDS = {
    "8 bits": ("u1", 8, {}),
    "8 bits signed": ("i1", 8, {}),
    "12 bits": ("u2", 12, {}),
    "12 bits signed": ("i2", 12, {}),
    "16 bits": ("u2", 16, {}),
    "16 bits signed": ("i2", 16, {}),
    "10 bits, frames": ("u2", 10, {"frames": 3}),
    "colour": ("u1", 8, {"samples": 3}),
    "colour, frames": ("u1", 8, {"samples": 3, "frames": 4}),
}
SYNTAXES = (ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian)


def images() -> Iterator[tuple[str, npt.NDArray[np.generic], bytes]]:
    """Every kind in some uncompressed syntax: its name, samples and file."""
    for number, (name, (dtype, bits, shape)) in enumerate(KINDS.items()):
        pixels = random_image(dtype, bits, **shape)
        frames, rows, columns, samples = pixels.shape
        syntax = SYNTAXES[number % len(SYNTAXES)]
        order = ">" if syntax == ExplicitVRBigEndian and bits > 8 else "<"
        ds = a_dataset(
            Rows=rows, Columns=columns, SamplesPerPixel=samples, BitsStored=bits, HighBit=bits - 1,
            BitsAllocated=pixels.itemsize * 8, PixelRepresentation=int(dtype[0] == "i"),
            PixelData=pixels.astype(pixels.dtype.newbyteorder(order)).tobytes(),
        )  # fmt: skip
        if samples == 3:
            ds.PhotometricInterpretation, ds.PlanarConfiguration = "RGB", 0
        if frames > 1:
            ds.NumberOfFrames = frames
        if len(ds.PixelData) % 2:
            ds.PixelData += b"\0"
        ds["PixelData"].VR = "OB" if bits == 8 and syntax != ImplicitVRLittleEndian else "OW"
        yield name, pixels.squeeze(), as_file(ds, syntax)


def test_pixels_are_equal_and_originals_untouched(house: House) -> None:
    stored = {name: (pixels, file, house.store(file)) for name, pixels, file in images()}
    originals = {key: hashlib.sha256(house.blobs.view(key, size)).digest() for key, size, _ in house.blobs.walk()}
    done = make_all(house)
    assert (done.made, done.skipped) == (len(KINDS), {})
    for name, (pixels, file, outcome) in stored.items():
        for syntax in (HTJ2KLosslessRPCL, HTJ2KLossless):
            made = pydicom.dcmread(io.BytesIO(file_as(house, outcome.key, syntax)))
            original = pydicom.dcmread(io.BytesIO(file))
            assert made.file_meta.TransferSyntaxUID == syntax
            assert np.array_equal(made.pixel_array, pixels), name
            for element in original:
                if element.keyword not in ("PixelData", "PhotometricInterpretation"):
                    assert made[element.tag].value == element.value, (name, element.keyword)
    for key, digest in originals.items():
        assert hashlib.sha256(b"".join(house.blobs.stream(key, 0, _size(house, key)))).digest() == digest


def _size(house: House, key: str) -> int:
    return next(blob.size_bytes for blob in house.blobs.walk() if blob.key == key)


def unsuitable() -> dict[str, bytes]:
    """Files that can have no rendition, by the reason."""
    video = a_dataset(NumberOfFrames=2, PhotometricInterpretation="YBR_PARTIAL_420", SamplesPerPixel=3)
    video.PixelData = pydicom.encaps.encapsulate([sample("video/h264.mp4").read_bytes()])
    video["PixelData"].VR = "OB"
    wide = a_dataset(BitsAllocated=32, BitsStored=32, HighBit=31, Rows=8)
    return {
        "compressed with loss": sample("ct_syntaxes/JPEGLSLossy.dcm").read_bytes(),
        "colours as PALETTE COLOR": sample("us/examples_palette.dcm").read_bytes(),
        "samples of neither 8 nor 16 bits": as_file(wide),
        "no frames": sample("generated/encapsulated_pdf.dcm").read_bytes(),
        "video": as_file(video, MPEG4HP41),
        "HTJ2K already": as_file(_htj2k(), HTJ2KLossless),
    }


def _htj2k() -> pydicom.Dataset:
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.PixelData = pydicom.encaps.encapsulate([htj2k_encode(ds.pixel_array, reversible=True)])
    ds["PixelData"].VR = "OB"
    return ds


def test_what_has_no_rendition_says_why(local: House) -> None:
    files = unsuitable()
    assert all(local.store(file).stored for file in files.values())
    expected = dict.fromkeys(files, 1)
    assert make_all(local).skipped == expected
    assert rendition_keys(local) == []
    assert {count.problem: count.number for count in local.catalog.renditions.counts(SCOPE)} == expected
    assert make_all(local).skipped == {}, "they are looked at once"
    assert local.catalog.renditions.drop(SCOPE) == []
    assert make_all(local).skipped == expected


def test_bits_that_would_be_lost_and_damage_are_reasons(local: House) -> None:
    used = local.store(as_file(a_dataset(BitsStored=12, HighBit=11)))
    whole = sample("ct_syntaxes/RLELossless.dcm").read_bytes()
    damaged = pydicom.dcmread(io.BytesIO(whole))
    damaged.PixelData = damaged.PixelData[:-2000] + bytes(2000)
    broken = local.store(as_file(damaged, damaged.file_meta.TransferSyntaxUID))
    assert used.stored and broken.stored
    done = make_all(local)
    assert done.made == 0 and sum(done.skipped.values()) == 2
    assert "Bits above Bits Stored are in use and would be lost" in done.skipped
    assert rendition_keys(local) == []


def test_rules_say_which(local: House) -> None:
    small = local.store(as_file(a_dataset(Modality="MR")))
    large = local.store(sample("ct_head_phantom_54/I100.dcm").read_bytes())
    cine = local.store(sample("wsi/sm_image.dcm").read_bytes())
    rule = settings.RenditionRule
    assert make_all(local, rule(modalities=("PT",)), rule(sop_classes=("1.2.3",)), rule(tenant="other")).made == 0
    assert make_all(local, rule(minimum_frames=2)).made == 1
    assert make_all(local, rule(minimum_bytes=100_000, modalities=("CT",)), rule(modalities=("PT",))).made == 1
    assert make_all(local, rule(modalities=("MR",), transfer_syntaxes=(ExplicitVRLittleEndian,))).made == 1
    assert make_all(local).made == 0
    assert all(local.catalog.renditions.of(SCOPE, instance(local, one.key)) for one in (small, large, cine))


def test_frames_come_from_the_rendition_alone(local: House) -> None:
    outcome = local.store(sample("wsi/sm_image.dcm").read_bytes())
    make_all(local)
    made = pydicom.dcmread(io.BytesIO(file_as(local, outcome.key, HTJ2KLosslessRPCL)))
    fragments = list(pydicom.encaps.generate_frames(made.PixelData, number_of_frames=made.NumberOfFrames))
    original = instance(local, outcome.key)
    local.blobs.delete([original.blob_key])
    for syntax in (HTJ2KLosslessRPCL, HTJ2KLossless):
        opened = local.archive.open_frames(local.principal, original, Wanted((syntax,), as_stored_ok=False))
        assert opened.as_stored and opened.transfer_syntax_uid == syntax
        assert [b"".join(opened.open(n).blocks) for n in range(1, len(fragments) + 1)] == fragments


def test_preferred_they_go_to_who_takes_anything(local: House) -> None:
    with_one, without = local.store(as_file(a_dataset())), local.store(as_file(a_dataset(Modality="MR")))
    assert with_one.key is not None and without.key is not None
    make_all(local, settings.RenditionRule(modalities=("CT",)))

    def syntax(outcome: StoreOutcome, *named: str) -> str:
        wanted = Wanted(named, as_stored_ok=not named)
        return local.archive.open_frames(local.principal, instance(local, outcome.key), wanted).transfer_syntax_uid

    assert syntax(with_one) == ExplicitVRLittleEndian
    local.catalog.renditions.preferred = True
    assert syntax(with_one) == HTJ2KLosslessRPCL
    assert syntax(with_one, ExplicitVRLittleEndian) == syntax(without) == ExplicitVRLittleEndian
    assert syntax(with_one, JPEGLSLossless) == JPEGLSLossless


def test_other_tenants_have_their_own(local: House) -> None:
    file = as_file(a_dataset())
    mine, others = local.store(file), local.store(file, tenant="other")
    make_all(local)
    assert mine.stored and others.stored
    (theirs,) = local.archive.instances(principal("other"), others.key.study_instance_uid)
    assert local.catalog.renditions.of(Scope("other"), theirs) is None
    assert local.catalog.renditions.of(Scope("other"), instance(local, mine.key)) is None
    assert local.catalog.renditions.counts(Scope("other")) == []


def test_a_replaced_instance_takes_its_rendition_along(make_house: MakeHouse) -> None:
    house = make_house(rules=settings.Archive(duplicates="replace"))
    ds = a_dataset()
    outcome = house.store(as_file(ds))
    make_all(house)
    first = house.catalog.renditions.of(SCOPE, instance(house, outcome.key))
    ds.PixelData = ds.PixelData[::-1]
    assert house.store(as_file(ds)).stored
    assert house.catalog.renditions.of(SCOPE, instance(house, outcome.key)) is None
    fresh = pydicom.dcmread(io.BytesIO(file_as(house, outcome.key, HTJ2KLosslessRPCL)))
    assert fresh.pixel_array.tobytes() == ds.PixelData
    make_all(house)
    assert len(rendition_keys(house)) == 2
    (aside,) = house.catalog.set_aside(SCOPE)
    house.catalog.restore(SCOPE, aside, ADMINISTRATOR)
    assert house.catalog.renditions.of(SCOPE, instance(house, outcome.key)) == first


def test_deleted_restored_purged(house: House) -> None:
    outcome = house.store(as_file(a_dataset()))
    key = outcome.key
    assert key is not None
    make_all(house)
    house.catalog.removals.delete(SCOPE, (key.study_instance_uid, None, None), ADMINISTRATOR, 30.0)
    assert house.catalog.renditions.counts(SCOPE) == []
    with pytest.raises(NotFound):
        file_as(house, key, HTJ2KLosslessRPCL)
    (removal,) = house.catalog.removals.entries(SCOPE)
    house.catalog.removals.restore(SCOPE, removal.number, ADMINISTRATOR, None)
    assert house.catalog.renditions.of(SCOPE, instance(house, key)) is not None
    assert make_all(house).made == 0
    house.catalog.removals.delete(SCOPE, (key.study_instance_uid, None, None), ADMINISTRATOR, 0.0)
    purging.purge(house.catalog, house.blobs, now=_later(HOUR_SECONDS))
    assert house.keys() == []
    assert house.catalog.renditions.drop(SCOPE) is None


def _later(seconds: float) -> float:
    return time.time() + seconds


def test_an_instance_that_goes_while_its_rendition_is_made(house: House) -> None:
    outcome = house.store(sample("wsi/sm_image.dcm").read_bytes())
    assert outcome.key is not None
    (series,) = house.catalog.renditions.series(SCOPE)
    done = Round()
    work = rounds(house).make_series(series, EVERYTHING, done)
    next(work)
    house.catalog.removals.delete(SCOPE, (outcome.key.study_instance_uid, None, None), ADMINISTRATOR, 30.0)
    for _ in work:
        pass
    assert rendition_keys(house) == []
    assert house.catalog.renditions.drop(SCOPE) is None


def test_two_who_make_the_same_leave_one(house: House) -> None:
    house.store(as_file(a_dataset()))
    (series,) = house.catalog.renditions.series(SCOPE)
    both = [rounds(house).make_series(series, EVERYTHING, Round()) for _ in range(2)]
    for work in both:
        next(work)
    for work in both:
        for _ in work:
            pass
    assert len(rendition_keys(house)) == 1


def test_a_lost_object_is_no_harm(house: House) -> None:
    outcome = house.store(as_file(a_dataset()))
    make_all(house)
    expected = pydicom.dcmread(io.BytesIO(file_as(house, outcome.key, HTJ2KLosslessRPCL))).pixel_array
    (key,) = rendition_keys(house)
    one = instance(house, outcome.key)
    found = house.catalog.renditions.of(SCOPE, one)
    assert found is not None and tasks.verify(house.blobs, found.of(one)) is None
    house.blobs.delete([key])
    problem = tasks.verify(house.blobs, found.of(one))
    assert problem is not None and problem.problem == "missing"
    if "s3:" not in house.storage.url:
        again = pydicom.dcmread(io.BytesIO(file_as(house, outcome.key, HTJ2KLosslessRPCL))).pixel_array
        assert np.array_equal(again, expected)
    assert house.catalog.renditions.drop(SCOPE) == [key]
    assert make_all(house).made == 1


def test_a_rebuilt_index_takes_them_up_again(make_house: MakeHouse, tmp_path: Path) -> None:
    house = make_house()
    kept = [house.store(file) for _, _, file in list(images())[:3]]
    lost = house.store(as_file(a_dataset()))
    make_all(house)
    before = {one.key: house.catalog.renditions.of(SCOPE, instance(house, one.key)) for one in kept}
    house.blobs.delete([instance(house, lost.key).blob_key])
    empty = make_house()
    empty.blobs, empty.desk = house.blobs, type(empty.desk)(empty.catalog, house.blobs, house.rules, house.limits)
    assert tasks.rebuild(empty.desk) == 3
    for one in kept:
        found = empty.catalog.renditions.of(SCOPE, instance(empty, one.key))
        expected = before[one.key]
        assert found is not None and expected is not None
        assert (found.blob_key, found.sha256, found.layout) == (expected.blob_key, expected.sha256, expected.layout)
    assert len(rendition_keys(empty)) == 4
    swept = deletion.sweep(empty.catalog, empty.blobs, now=_later(2 * HOUR_SECONDS))
    assert swept.removed == 1 and len(rendition_keys(empty)) == 3


def test_a_lost_index_costs_no_rendition(local: House, tmp_path: Path) -> None:
    """The sweep must first be content with the originals."""
    local.store(as_file(a_dataset()))
    make_all(local)
    empty = archives.embedded(tmp_path / "empty")
    with pytest.raises(Conflict, match="rebuild it"):
        deletion.sweep(empty.catalog, local.blobs, now=_later(2 * HOUR_SECONDS))
    empty.close()
    assert len(rendition_keys(local)) == 1


def test_encoders_are_not_believed(local: House, tmp_path: Path) -> None:
    """What the description denies of the pixels is found before anything is written."""
    outcome = local.store(as_file(a_dataset(SeriesInstanceUID=generate_uid())))
    one = instance(local, outcome.key)
    body = local.archive.metadata(local.principal, one.key.study_instance_uid)[0]
    dataset = orjson.loads(body)
    assert why_not(one, dataset) == ""
    dataset["00280010"]["Value"] = [32]
    workshop = Workshop(local.blobs, local.limits, local.rules, str(tmp_path))
    with pytest.raises(CannotUnderstand, match="A frame has 512 bytes"):
        list(make(workshop, "default", one, dataset, HTJ2KLosslessRPCL))
    assert rendition_keys(local) == []
