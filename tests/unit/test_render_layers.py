"""What lies over and around pixels: overlays, shutters, regions, captions, colour profiles, animations."""

import base64
import io
import subprocess
from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageCms, ImageSequence
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from index.errors import CannotUnderstand, InvalidQuery, PacsError
from index.records import Region, RenderOptions
from storage.pixels import animation, lab, overlays, profiles, waveforms
from storage.pixels.description import ImageDescription, StoredFrame
from storage.pixels.render import animate, render_frame
from tests.pixel_objects import LIMIT_BYTES, image, load, quiet, read, scanned, written
from tests.presentation_states import PNG, item, shown
from tests.samples import sample

BIG = "1.2.840.10008.1.2.2"


def seen(ds: Dataset, options: RenderOptions = PNG, *, number: int = 1) -> np.ndarray:
    return shown(scanned(written(ds)), None, options, number=number)


def flat(value: int = 100, size: tuple[int, int] = (16, 24)) -> Dataset:
    return image(np.full((1, *size), value, "u1"), WindowCenter=128, WindowWidth=256)


def overlay(ds: Dataset, bits: np.ndarray, *, group: int = 0x6000, **more: object) -> Dataset:
    values = {0x10: ("US", bits.shape[-2]), 0x11: ("US", bits.shape[-1]), 0x40: ("CS", "G"), 0x50: ("SS", [1, 1]),
              0x100: ("US", 1), 0x102: ("US", 0)}  # fmt: skip
    for element, (vr, value) in values.items():
        ds.add_new(group << 16 | element, vr, value)
    data = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    ds.add_new(group << 16 | 0x3000, "OW", data + b"\0" * (len(data) % 2))
    for keyword, value in more.items():
        ds.add_new(
            group << 16 | int(keyword[1:], 16), "IS" if keyword == "x15" else "SS" if keyword == "x50" else "US", value
        )
    return ds


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(8).integers(0, 2, shape).astype("u1")


# Overlays


@given(
    size=st.tuples(st.integers(1, 30), st.integers(1, 30)), origin=st.tuples(st.integers(-20, 40), st.integers(-20, 40))
)
@settings(deadline=None, max_examples=40)
def test_an_overlay_stands_where_its_origin_says(size: tuple[int, int], origin: tuple[int, int]) -> None:
    bits = noise(*size)
    found = seen(overlay(flat(), bits, x50=list(origin)))
    expected = np.full((16, 24), 100)
    for row, column in np.argwhere(bits):
        y, x = row + origin[0] - 1, column + origin[1] - 1
        if 0 <= y < 16 and 0 <= x < 24:
            expected[y, x] = 255
    assert np.array_equal(found, expected)


def test_several_overlays_over_colour() -> None:
    colours = np.random.default_rng(9).integers(0, 200, (1, 8, 9, 3)).astype("u1")
    first, second = noise(8, 9), noise(9, 8).T
    ds = overlay(overlay(image(colours), first), second, group=0x601E)
    assert np.array_equal(seen(ds), np.where((first | second)[..., np.newaxis] == 1, 255, colours[0]))


def test_overlays_of_frames() -> None:
    planes = noise(2, 5, 7)
    pixels = np.zeros((4, 5, 7), "u1")
    ds = overlay(image(pixels, WindowCenter=128, WindowWidth=256), planes, x15=2, x51=2)
    for number in range(1, 5):
        plane = planes[number - 2] if number in (2, 3) else np.zeros((5, 7))
        assert np.array_equal(seen(ds, number=number), plane * 255), number
    for_all = overlay(image(pixels, WindowCenter=128, WindowWidth=256), planes[0])
    assert all(np.array_equal(seen(for_all, number=number), planes[0] * 255) for number in range(1, 5))


def test_overlays_in_unused_bits() -> None:
    values, bits = np.random.default_rng(10).integers(0, 4096, (1, 9, 8)).astype("u2"), noise(9, 8)
    ds = image(values | (bits.astype("u2") << 13), BitsStored=12, HighBit=11, WindowCenter=2048, WindowWidth=4096)
    plain = seen(ds)
    assert not (plain == 255).all()
    for element, vr, value in ((0x10, "US", 9), (0x11, "US", 8), (0x40, "CS", "G"), (0x50, "SS", [1, 1]),
                               (0x100, "US", 16), (0x102, "US", 13)):  # fmt: skip
        ds.add_new(0x60000000 | element, vr, value)
    assert np.array_equal(seen(ds), np.where(bits == 1, 255, plain))
    ds.add_new(0x60000102, "US", 3)
    assert np.array_equal(seen(ds), plain), "a bit of the pixels themselves is no overlay"


def test_overlays_of_big_endian_objects() -> None:
    bits = noise(16, 24)
    little = scanned(written(overlay(flat(), bits)))
    element = little.scanned.dataset["60003000"]
    swapped = np.frombuffer(little.frame(1).binary(element), "<u2").byteswap().tobytes()
    dataset = {**little.scanned.dataset, "60003000": {"vr": "OW", "BulkDataURI": "/bulkdata/60003000"}}
    frame = StoredFrame(b"", dataset, BIG, bulk=lambda _path: swapped)
    description = ImageDescription.from_json(dataset)
    assert np.array_equal(overlays.mask_of(frame, 0x6000, description, number=1), bits * 255)


def test_overlays_of_a_sample_as_pydicom_reads_them() -> None:
    """The sample's overlays have bits over its whole frame; those of the state that goes with it are apart."""
    stored = load(sample("pr/prOverlay.dcm"))
    with quiet():
        ds = read(stored.data)
        expected = ds.overlay_array(0x6008)
    description = ImageDescription.from_json(image(np.zeros((1, 512, 512), "u1")).to_json_dict())
    bulk = stored.scanned.layout.bulk
    frame = StoredFrame(
        b"", stored.scanned.dataset, stored.transfer_syntax_uid, bulk=lambda path: stored._bytes(*bulk[path])
    )
    assert expected.any()
    assert np.array_equal(overlays.mask_of(frame, 0x6008, description, number=1), expected * 255)


@given(
    st.dictionaries(
        st.sampled_from(["60000010", "60000011", "60000015", "60000050", "60000051", "60000100", "60000102"]),
        st.lists(st.integers(-(2**31), 2**31), max_size=2),
    ),
    st.binary(max_size=64),
)
@settings(deadline=None)
def test_damaged_overlays_are_left_out(changes: dict[str, list[int]], data: bytes) -> None:
    stored = scanned(written(overlay(flat(), noise(16, 24))))
    dataset = dict(stored.scanned.dataset)
    dataset |= {tag: {"vr": "US", "Value": value} for tag, value in changes.items()}
    dataset["60003000"] = {"vr": "OW", "InlineBinary": base64.b64encode(data).decode()}
    frame = StoredFrame(stored.frame(1).data, dataset, stored.transfer_syntax_uid)
    try:
        assert render_frame(frame, PNG, limit_bytes=LIMIT_BYTES)
    except PacsError:
        return


# Shutters


def shutter(**attributes: object) -> Dataset:
    ds = flat(200, (40, 60))
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def test_shutters_cover_what_is_outside() -> None:
    rows, columns = np.mgrid[1:41, 1:61]
    rectangle = shutter(ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=10, ShutterRightVerticalEdge=30,
                        ShutterUpperHorizontalEdge=5, ShutterLowerHorizontalEdge=20,
                        ShutterPresentationValue=0x5000)  # fmt: skip
    inside = (columns >= 10) & (columns <= 30) & (rows >= 5) & (rows <= 20)
    assert np.array_equal(seen(rectangle), np.where(inside, 200, 0x50))
    circle = shutter(ShutterShape="CIRCULAR", CenterOfCircularShutter=[20, 30], RadiusOfCircularShutter=12)
    distance = np.hypot(rows - 20, columns - 30)
    found = seen(circle)
    assert (found[distance < 11] == 200).all() and (found[distance > 13] == 0).all()
    triangle = shutter(ShutterShape="POLYGONAL", VerticesOfThePolygonalShutter=[1, 1, 1, 60, 40, 1])
    found = seen(triangle)
    edge = (rows - 1) / 39 + (columns - 1) / 59
    assert (found[edge < 0.95] == 200).all() and (found[edge > 1.05] == 0).all()


def test_shutters_together_and_in_colour() -> None:
    both = shutter(ShutterShape=["RECTANGULAR", "CIRCULAR"], ShutterLeftVerticalEdge=1, ShutterRightVerticalEdge=30,
                   ShutterUpperHorizontalEdge=1, ShutterLowerHorizontalEdge=40, CenterOfCircularShutter=[20, 30],
                   RadiusOfCircularShutter=12)  # fmt: skip
    found = seen(both)
    assert found[20, 25] == 200 and found[20, 35] == 0 and found[20, 5] == 0
    both.ShutterPresentationColorCIELabValue = [65535, 32896, 32896]
    found = seen(both)
    assert found.shape == (40, 60, 3) and found[20, 5].min() > 250 and found[20, 25].tolist() == [200] * 3


def test_shutters_of_frames() -> None:
    covered = item(ShutterShape="RECTANGULAR", ShutterLeftVerticalEdge=1, ShutterRightVerticalEdge=2,
                   ShutterUpperHorizontalEdge=1, ShutterLowerHorizontalEdge=2)  # fmt: skip
    ds = image(np.full((2, 5, 5), 200, "u1"), WindowCenter=128, WindowWidth=256)
    ds.PerFrameFunctionalGroupsSequence = Sequence([item(), item(FrameDisplayShutterSequence=[covered])])
    assert (seen(ds, number=1) == 200).all() and np.count_nonzero(seen(ds, number=2)) == 4


# Regions


@given(
    left=st.integers(0, 23), top=st.integers(0, 15), width=st.integers(1, 24), height=st.integers(1, 16),
    mirrored=st.booleans(), upside_down=st.booleans(),
)  # fmt: skip
@settings(deadline=None, max_examples=40)
def test_regions(left: int, top: int, width: int, height: int, mirrored: bool, upside_down: bool) -> None:
    pixels = np.random.default_rng(11).integers(0, 256, (1, 16, 24)).astype("u1")
    ds = image(pixels, WindowCenter=128, WindowWidth=256)
    region = Region(left, top, min(width, 24 - left), min(height, 16 - top), mirrored, upside_down)
    found = seen(ds, RenderOptions(media_type="image/png", region=region))
    expected = pixels[0, top : top + height, left : left + width]
    expected = expected[:: -1 if upside_down else 1, :: -1 if mirrored else 1]
    assert np.array_equal(found, expected)


def test_regions_are_scaled_to_the_viewport() -> None:
    pixels = np.kron(np.random.default_rng(12).integers(0, 256, (1, 4, 4)), np.ones((1, 16, 16))).astype("u1")
    ds = image(pixels, WindowCenter=128, WindowWidth=256)
    found = seen(ds, RenderOptions(media_type="image/png", viewport=(8, 8), region=Region(16, 32, 16, 16)))
    assert (found == pixels[0, 40, 20]).all() and found.shape == (8, 8)
    to_the_end = RenderOptions(media_type="image/png", region=Region(48, 60))
    assert seen(ds, to_the_end).shape == (4, 16)
    half = RenderOptions(media_type="image/png", region=Region(0.5, 0.0, 0.5, 1.0, relative=True))
    assert np.array_equal(seen(ds, half), pixels[0, :, 32:])
    oblong = image(pixels, PixelAspectRatio=[2, 1])
    assert seen(oblong, RenderOptions(media_type="image/png", region=Region(0, 0, 10, 20))).shape == (20, 10)


@pytest.mark.parametrize(
    "region", [Region(24, 0), Region(0, 16), Region(0, 0, 30), Region(20, 10, 4, 10), Region(0, 0, 1e-9, 0.0)]
)
def test_regions_outside(region: Region) -> None:
    with pytest.raises(InvalidQuery):
        seen(flat(), RenderOptions(region=region))


# Captions


def test_captions_stand_in_the_corners() -> None:
    ds = image(np.zeros((1, 400, 400), "u1"), PatientName="Doe^Jane", PatientBirthDate="19700102", StudyDate="20240229",
               Modality="CT", WindowCenter=40, WindowWidth=400)  # fmt: skip

    def inked(*captions: str) -> list[bool]:
        found = seen(ds, RenderOptions(media_type="image/png", captions=captions)) > 200  # type: ignore[arg-type]
        return [bool(part.any()) for part in (found[:80, :200], found[:80, 200:], found[320:, :200], found[320:, 200:])]

    assert inked() == [False] * 4
    assert inked("patient") == [True, True, False, False]
    assert inked("technique") == [False, False, True, False]
    assert inked("patient", "technique") == [True, True, True, False]
    colour = image(np.zeros((1, 100, 100, 3), "u1"), PatientName="Müller^山田=山田^太郎")
    assert seen(colour, RenderOptions(media_type="image/png", captions=("patient",))).max() > 200


# Colour profiles


@pytest.mark.parametrize("name", ["srgb", "adobergb", "rommrgb", "displayp3"])
def test_our_profiles_are_profiles(name: str) -> None:
    profile = ImageCms.ImageCmsProfile(io.BytesIO(profiles.made(name)))  # type: ignore[arg-type]
    assert profile.profile.xcolor_space.strip() == "RGB" and profile.profile.version == 4.3
    assert ImageCms.getProfileDescription(profile).strip() == profiles._TITLES[name]
    theirs = ImageCms.createProfile("sRGB")
    grey = Image.new("RGB", (1, 1), (119, 119, 119))
    turned = ImageCms.profileToProfile(grey, ImageCms.ImageCmsProfile(theirs), profile)
    assert turned is not None
    red, green, blue = turned.getpixel((0, 0))  # type: ignore[misc]
    assert max(red, green, blue) - min(red, green, blue) <= 1, "grey stays grey"
    if name == "srgb":
        assert abs(red - 119) <= 1


def opened(ds: Dataset, **options: object) -> Image.Image:
    frame = scanned(written(ds)).frame(1)
    given_options = RenderOptions(**{"media_type": "image/png", **options})  # type: ignore[arg-type]
    return Image.open(io.BytesIO(render_frame(frame, given_options, limit_bytes=LIMIT_BYTES)))


def test_pictures_in_other_colour_spaces() -> None:
    colours = np.array([[[[255, 0, 0], [0, 255, 0], [10, 20, 200], [128, 128, 128]]]], "u1")
    ds = image(colours)
    assert "icc_profile" not in opened(ds).info
    assert opened(ds, icc_profile="yes").info["icc_profile"] == profiles.made("srgb")
    for media_type in ("image/png", "image/jpeg"):
        picture = opened(ds, icc_profile="adobergb", media_type=media_type, quality=100)
        assert picture.info["icc_profile"] == profiles.made("adobergb")
    turned = np.asarray(opened(ds, icc_profile="adobergb"))[0].astype(int)
    # IEC 61966-2-1 to linear light, to Adobe RGB (1998) by its matrix between equal whites, and its exponent.
    linear = np.where(colours[0, 0] <= 10, colours[0, 0] / 255 / 12.92, ((colours[0, 0] / 255 + 0.055) / 1.055) ** 2.4)
    matrix = np.array([[0.71512, 0.28488, 0.0], [0.0, 1.0, 0.0], [0.0, 0.04117, 0.95883]])
    assert np.abs(turned - 255 * (linear @ matrix.T) ** (256 / 563)).max() <= 2
    grey = opened(flat(), icc_profile="srgb")
    assert grey.mode == "RGB" and np.asarray(grey)[0, 0].tolist() == [100, 100, 100]
    assert opened(flat()).mode == "L" and "icc_profile" not in opened(flat(), icc_profile="yes").info


def test_the_profile_of_the_image() -> None:
    colours = np.array([[[[200, 100, 50]]]], "u1")
    own = profiles.made("rommrgb")
    ds = image(colours, ICCProfile=own)
    assert opened(ds).info["icc_profile"] == own and opened(ds, icc_profile="yes").info["icc_profile"] == own
    assert "icc_profile" not in opened(ds, icc_profile="no").info
    turned = np.asarray(opened(ds, icc_profile="srgb"))
    assert not np.array_equal(turned, colours[0])
    of_path = image(colours, OpticalPathSequence=Sequence([item(ICCProfile=own)]))
    assert opened(of_path).info["icc_profile"] == own


@given(st.binary(max_size=300), st.integers(0, 1 << 31))
@settings(deadline=None, max_examples=40)
def test_damaged_profiles(data: bytes, size: int) -> None:
    own = bytearray(profiles.made("adobergb"))
    own[128 : 128 + len(data)] = data
    own[:4] = size.to_bytes(4, "big")
    ds = image(np.zeros((1, 2, 2, 3), "u1"), ICCProfile=bytes(own) + b"\0" * (len(own) % 2))
    for name in ("srgb", None):
        try:
            assert opened(ds, icc_profile=name)
        except CannotUnderstand:
            continue


def test_cielab() -> None:
    assert lab.to_rgb([65535, 32896, 32896]) == (255, 255, 255)
    assert lab.to_rgb([0, 32896, 32896]) == (0, 0, 0)
    red, green, blue = lab.to_rgb([34919, 53485, 50171])
    assert red > 250 and green < 10 and blue < 10


# Files


@pytest.mark.parametrize(("media_type", "kind"), [("image/gif", "GIF"), ("image/jp2", "JPEG2000")])
def test_other_formats(media_type: str, kind: str) -> None:
    stored = load(sample("ct_head_phantom_54/I110.dcm"))
    reference = shown(stored, None)
    options = RenderOptions(media_type=media_type)  # type: ignore[arg-type]
    picture = Image.open(io.BytesIO(render_frame(stored.frame(1), options, limit_bytes=LIMIT_BYTES)))
    assert picture.format == kind
    assert np.abs(np.asarray(picture.convert("L")).astype(int) - reference).mean() < 1


def test_animations() -> None:
    pixels = np.stack([np.full((10, 12), 40 * number, "u1") for number in range(6)])
    ds = image(pixels, FrameTime="250", WindowCenter=128, WindowWidth=256)
    stored = scanned(written(ds))
    frames = (stored.frame(number) for number in (2, 4, 6))
    moving = Image.open(io.BytesIO(animate(frames, (2, 4, 6), PNG, limit_bytes=LIMIT_BYTES)))
    assert (moving.format, moving.n_frames, moving.info["loop"]) == ("GIF", 3, 0)
    seen_frames = [
        (frame.info["duration"], frame.convert("L").getpixel((0, 0))) for frame in ImageSequence.Iterator(moving)
    ]
    assert seen_frames == [(250, 40), (250, 120), (250, 200)]


@pytest.mark.parametrize(
    ("attributes", "expected"),
    [
        ({}, [100, 100, 100]),
        ({"FrameTime": "33.3"}, [30, 30, 30]),
        ({"FrameTime": "1"}, [20, 20, 20]),
        ({"CineRate": "5"}, [200, 200, 200]),
        ({"RecommendedDisplayFrameRate": "4", "CineRate": "5"}, [250, 250, 250]),
        ({"FrameTimeVector": ["0", "100", "300"]}, [100, 300, 300]),
        ({"FrameTime": "-3"}, [100, 100, 100]),
    ],
)
def test_the_time_of_frames(attributes: dict[str, object], expected: list[int]) -> None:
    ds = image(np.zeros((3, 2, 2), "u1"), **attributes)
    assert animation.durations(scanned(written(ds)).scanned.dataset, (1, 2, 3)) == expected


def test_supplemental_palettes() -> None:
    """Values from 200 on are colours, those below stay grey (PS3.3 C.7.6.19)."""
    ds = image(
        np.arange(256, dtype="u1").reshape(1, 16, 16), WindowCenter=100, WindowWidth=200, PixelPresentation="COLOR"
    )
    tables = np.random.default_rng(13).integers(0, 256, (3, 56))
    for number, table in enumerate(tables, start=1):
        ds.add_new(0x00281100 | number, "US", [56, 200, 16])
        ds.add_new(0x00281200 | number, "OW", (table * 256).astype("<u2").tobytes())
    found = seen(ds)
    assert np.array_equal(found.reshape(256, 3)[200:], tables.T)
    assert (found.reshape(256, 3)[:200] == found.reshape(256, 3)[:200, :1]).all()
    ds.PixelPresentation = "MONOCHROME"
    assert seen(ds).ndim == 2


def test_one_value_beside_the_padding_is_seen() -> None:
    labels = np.zeros((1, 4, 4), "u1")
    labels[0, 1:3, 1:3] = 5
    assert np.array_equal(seen(image(labels, PixelPaddingValue=0)), np.where(labels[0] == 5, 255, 0))


def test_dcmtk_draws_the_same_overlays(tmp_path: Path) -> None:
    ds = overlay(flat(), noise(16, 24), x50=[2, 3])
    (tmp_path / "image.dcm").write_bytes(written(ds))
    command = ["/usr/bin/dcm2pnm", "-q", "+on", "+Wi", "1", str(tmp_path / "image.dcm"), str(tmp_path / "out.png")]
    subprocess.run(command, check=True, capture_output=True)
    theirs = np.asarray(Image.open(tmp_path / "out.png").convert("L"))
    assert np.abs(seen(ds).astype(int) - theirs).max() <= 1
    assert pydicom.dcmread(tmp_path / "image.dcm").overlay_array(0x6000).any()


# Waveforms


def waveform(samples: np.ndarray, kind: str, **attributes: object) -> dict[str, object]:
    channels = [item(ChannelLabel=f"C{number}") for number in range(samples.shape[1])]
    group = item(NumberOfWaveformChannels=samples.shape[1], NumberOfWaveformSamples=samples.shape[0],
                 SamplingFrequency=100, WaveformBitsAllocated=8 * samples.dtype.itemsize,
                 WaveformSampleInterpretation=kind, ChannelDefinitionSequence=channels)  # fmt: skip
    for keyword, value in attributes.items():
        setattr(group, keyword, value)
    ds = Dataset()
    ds.WaveformSequence = Sequence([group])
    dataset = ds.to_json_dict()
    data = base64.b64encode(samples.astype(samples.dtype.newbyteorder("<")).tobytes()).decode()
    dataset["54000100"]["Value"][0]["54001010"] = {"vr": "OW", "InlineBinary": data}
    return dataset


@pytest.mark.parametrize(("kind", "dtype"), [("SB", "i1"), ("UB", "u1"), ("SS", "i2"), ("US", "u2"), ("SL", "i4")])
def test_waveforms_of_every_type_fill_their_rows(kind: str, dtype: str) -> None:
    wave = np.sin(np.linspace(0, 20, 500)) * 50 + 60
    samples = np.stack([wave, wave[::-1]], axis=-1).astype(dtype)
    frame = StoredFrame(b"", waveform(samples, kind), "1.2.840.10008.1.2.1")
    drawn = Image.open(io.BytesIO(waveforms.draw(frame, PNG, limit_bytes=LIMIT_BYTES)))
    found = np.asarray(drawn).max(axis=-1) < 60
    assert drawn.size == (500, 200)
    for row in (found[:100], found[100:]):
        rows, columns = np.nonzero(row[:, 60:])
        assert rows.max() - rows.min() > 75 and len(np.unique(columns)) == 440


@given(
    st.dictionaries(
        st.sampled_from(["003A0005", "003A0010", "003A001A", "54001006", "54001010", "003A0200"]),
        st.lists(st.sampled_from([0, 1, -1, 2, 500, 2**31, 1e300, "SS", "MB", {}]), max_size=2),
    )
)
@settings(deadline=None, max_examples=40)
def test_damaged_waveforms(changes: dict[str, list[object]]) -> None:
    dataset = waveform(np.zeros((500, 2), "i2"), "SS")
    dataset["54000100"]["Value"][0] |= {tag: {"vr": "DS", "Value": value} for tag, value in changes.items()}  # type: ignore[index]
    try:
        assert waveforms.draw(StoredFrame(b"", dataset, "1.2.840.10008.1.2.1"), PNG, limit_bytes=1 << 24)
    except CannotUnderstand:
        return
