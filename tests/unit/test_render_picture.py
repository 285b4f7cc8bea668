"""Colour, size and file format of pictures, and the icons of what has no pixels."""

import io
from dataclasses import replace

import numpy as np
import pytest
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.pixels import apply_color_lut

from index.errors import CannotUnderstand
from index.records import RenderOptions
from storage.pixels import icon
from storage.pixels.render import render_frame
from tests.pixel_objects import LIMIT_BYTES, StoredObject, image, load, read, scanned, written
from tests.samples import sample

PNG = RenderOptions(media_type="image/png")


def opened(stored: StoredObject, options: RenderOptions = PNG) -> Image.Image:
    return Image.open(io.BytesIO(render_frame(stored.frame(1), options, limit_bytes=LIMIT_BYTES)))


def picture(ds: Dataset, options: RenderOptions = PNG) -> np.ndarray:
    return np.asarray(opened(scanned(written(ds)), options))


@pytest.fixture(scope="module")
def colours() -> np.ndarray:
    return np.random.default_rng(5).integers(0, 256, (1, 12, 10, 3)).astype("u1")


def test_rgb_is_left_alone(colours: np.ndarray) -> None:
    assert np.array_equal(picture(image(colours)), colours[0])
    by_plane = image(colours, PlanarConfiguration=1, PixelData=colours.transpose(0, 3, 1, 2).tobytes())
    assert np.array_equal(picture(by_plane), colours[0])
    deep = image(colours.astype("u2") * 16 + 7, BitsStored=12, HighBit=11)
    assert np.array_equal(picture(deep), colours[0])


def test_ybr_full(colours: np.ndarray) -> None:
    y, cb, cr = (colours[0, ..., n].astype(float) for n in range(3))
    rgb = np.stack(
        [y + 1.402 * (cr - 128), y - 0.344136 * (cb - 128) - 0.714136 * (cr - 128), y + 1.772 * (cb - 128)], -1
    )
    found = picture(image(colours, PhotometricInterpretation="YBR_FULL"))
    assert np.abs(found.astype(float) - np.clip(rgb, 0, 255)).max() <= 1.5


def test_ybr_partial_is_stretched() -> None:
    pixels = np.array([[[[16, 128, 128], [235, 128, 128]]]], "u1")
    packed = bytes([16, 235, 128, 128])
    ds = image(pixels, PhotometricInterpretation="YBR_PARTIAL_422", PixelData=packed)
    assert picture(ds).tolist() == [[[0, 0, 0], [255, 255, 255]]]


def palette(ds: Dataset, tables: np.ndarray, *, first: int = 0, bits: int = 16) -> Dataset:
    ds.PhotometricInterpretation = "PALETTE COLOR"
    for name, table in zip(("Red", "Green", "Blue"), tables, strict=True):
        descriptor = [table.size % 65536, first, bits]
        ds.add_new({"Red": 0x00281101, "Green": 0x00281102, "Blue": 0x00281103}[name], "US", descriptor)
        data = table.astype("<u2" if bits == 16 else "u1").tobytes()
        setattr(ds, f"{name}PaletteColorLookupTableData", data)
    return ds


@pytest.mark.parametrize("count", [40, 256, 4096])
def test_palettes(count: int) -> None:
    tables = np.random.default_rng(count).integers(0, 65536, (3, count))
    pixels = np.random.default_rng(1).integers(0, count + 30, (1, 8, 9)).astype("u2" if count > 256 else "u1")
    found = picture(palette(image(pixels), tables, first=10))
    places = np.clip(pixels[0].astype(int) - 10, 0, count - 1)
    assert np.array_equal(found, (tables[:, places] >> 8).transpose(1, 2, 0))


def test_a_palette_of_bytes() -> None:
    tables = np.arange(768).reshape(3, 256) % 256
    pixels = np.arange(256).reshape(1, 16, 16).astype("u1")
    assert np.array_equal(picture(palette(image(pixels), tables, bits=8))[..., 0], pixels[0])


def test_segmented_palettes() -> None:
    ds = image(np.arange(8, dtype="u1").reshape(1, 2, 4), PhotometricInterpretation="PALETTE COLOR")
    # Two entries one by one, a line of three to 5 * 256, and the first segment again.
    words = [0, 2, 0, 256, 1, 4, 5 * 256, 2, 1, 0, 0]
    data = np.array(words, "<u2").tobytes()
    for number in (1, 2, 3):
        ds.add_new(0x00281100 + number, "US", [8, 0, 16])
        ds.add_new(0x00281220 + number, "OW", data)
    assert picture(ds)[..., 0].reshape(-1).tolist() == [0, 1, 2, 3, 4, 5, 0, 1]


@pytest.mark.parametrize("words", [[], [1, 4, 5], [7, 7, 7], [2, 1, 0, 0], [2, 1, 60000, 0], [0]])
def test_damaged_segmented_palettes(words: list[int]) -> None:
    ds = image(np.zeros((1, 2, 2), "u1"), PhotometricInterpretation="PALETTE COLOR")
    for number in (1, 2, 3):
        ds.add_new(0x00281100 + number, "US", [8, 0, 16])
        ds.add_new(0x00281220 + number, "OW", np.array(words, "<u2").tobytes())
    with pytest.raises(CannotUnderstand):
        picture(ds)


@pytest.mark.parametrize(
    "name", ["us/examples_rgb_color.dcm", "us/examples_palette.dcm", "us_cine/examples_ybr_color.dcm"]
)
def test_colour_samples_look_like_pydicoms(name: str) -> None:
    stored = load(sample(name))
    ds = read(stored.data)
    theirs = ds.pixel_array if stored.number_of_frames == 1 else ds.pixel_array[0]
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        theirs = apply_color_lut(theirs, ds) >> 8
    assert np.abs(np.asarray(opened(stored)).astype(int) - theirs).max() <= 1


@pytest.mark.parametrize(
    ("size", "viewport", "expected"),
    [
        ((512, 512), (128, 128), (128, 128)),
        ((200, 100), (64, 64), (64, 32)),
        ((100, 200), (64, 64), (32, 64)),
        ((10, 10), (64, 32), (32, 32)),
        ((3000, 2), (64, 64), (64, 1)),
        ((64, 64), (100_000, 100_000), (4096, 4096)),
        ((333, 777), None, (333, 777)),
    ],
)
def test_the_viewport_keeps_the_proportions(
    size: tuple[int, int], viewport: tuple[int, int] | None, expected: tuple[int, int]
) -> None:
    stored = scanned(written(image(np.zeros((1, size[1], size[0]), "u1"))))
    for media_type in ("image/jpeg", "image/png"):
        assert opened(stored, RenderOptions(media_type=media_type, viewport=viewport)).size == expected


def test_pixels_that_are_not_square() -> None:
    ds = image(np.zeros((1, 50, 100), "u1"), PixelAspectRatio=[2, 1])
    assert opened(scanned(written(ds))).size == (100, 100)
    assert opened(scanned(written(ds)), RenderOptions(viewport=(40, 60))).size == (40, 40)


def test_a_thumbnail_is_the_picture_made_small() -> None:
    across, down = np.meshgrid(np.linspace(0, 255, 640), np.linspace(0, 255, 512))
    stored = scanned(written(image(((across + down) / 2).astype("u1")[np.newaxis], WindowCenter=128, WindowWidth=256)))
    large = opened(stored)
    for side in (32, 100, 128, 256):
        small = opened(stored, RenderOptions(media_type="image/png", viewport=(side, side)))
        reference = large.resize(small.size, Image.Resampling.BOX)
        assert np.abs(np.asarray(small).astype(int) - np.asarray(reference)).max() <= 8


def test_quality_changes_the_size_of_a_jpeg() -> None:
    stored = load(sample("ct_head_phantom_54/I110.dcm"))
    sizes = [
        len(render_frame(stored.frame(1), RenderOptions(quality=quality), limit_bytes=LIMIT_BYTES))
        for quality in (10, 50, 90, 100)
    ]
    assert sizes == sorted(sizes) and sizes[0] < sizes[-1]
    assert opened(stored, RenderOptions()).format == "JPEG"


def test_icons() -> None:
    for media_type, name in (("image/jpeg", "JPEG"), ("image/png", "PNG")):
        for label in ("SR", "KO", "", "ECG", "RTSTRUCT", "Ü\0\n日本", "X" * 1000):
            drawn = Image.open(io.BytesIO(icon.draw(label, RenderOptions(media_type=media_type, viewport=(64, 96)))))
            assert (drawn.format, drawn.size) == (name, (64, 64))
            assert len(np.unique(np.asarray(drawn))) > 1
    assert icon.draw("SR", RenderOptions()) != icon.draw("KO", RenderOptions())


def test_video_becomes_an_icon() -> None:
    stored = load(sample("ct_head_phantom_54/I110.dcm")).frame(1)
    video = replace(stored, transfer_syntax_uid="1.2.840.10008.1.2.4.102", data=b"")
    drawn = Image.open(io.BytesIO(render_frame(video, RenderOptions(viewport=(100, 100)), limit_bytes=LIMIT_BYTES)))
    assert drawn.size == (100, 100)
