"""Grey pictures against a plain numpy rendering of the formulas of PS3.3 C.11."""

import io
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence

from index.records import RenderOptions
from storage.pixels.render import render_frame
from tests.pixel_objects import LIMIT_BYTES, StoredObject, image, image_files, load, read, scanned, written
from tests.samples import sample_id

PNG = RenderOptions(media_type="image/png")
Window = tuple[float, float, str]


def picture(stored: StoredObject, options: RenderOptions = PNG, number: int = 1) -> np.ndarray:
    return np.asarray(Image.open(io.BytesIO(render_frame(stored.frame(number), options, limit_bytes=LIMIT_BYTES))))


def windowed(value: float, window: Window) -> float:
    """PS3.3 C.11.2.1.2.1 and C.11.2.1.3, word by word, for an output range of 0 to 1."""
    centre, width, function = window
    if function == "SIGMOID":
        return 1 / (1 + math.exp(max(-700.0, min(700.0, -4 * (value - centre) / width))))
    if function == "LINEAR_EXACT":
        if value <= centre - width / 2:
            return 0.0
        return 1.0 if value > centre + width / 2 else (value - centre) / width + 0.5
    if value <= centre - 0.5 - (width - 1) / 2:
        return 0.0
    if value > centre - 0.5 + (width - 1) / 2:
        return 1.0
    return (value - (centre - 0.5)) / (width - 1) + 0.5


def expected(values: np.ndarray, window: Window, *, inverse: bool = False) -> np.ndarray:
    grey = np.vectorize(lambda value: windowed(float(value), window))(values)
    return np.rint((1 - grey if inverse else grey) * 255).astype(int)


def assert_close(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Half values may be rounded to either side."""
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs.astype(int)).max() <= 1


windows = st.tuples(st.floats(-3000, 3000), st.floats(1, 5000), st.sampled_from(["LINEAR", "LINEAR_EXACT", "SIGMOID"]))


@given(
    signed=st.booleans(),
    bits=st.sampled_from([(8, 8), (16, 12), (16, 16), (16, 10)]),
    slope=st.floats(0.1, 10),
    intercept=st.floats(-2000, 2000),
    window=windows,
    by_request=st.booleans(),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=80)
def test_rescale_and_window(
    signed: bool, bits: tuple[int, int], slope: float, intercept: float, window: Window, by_request: bool, seed: int
) -> None:
    allocated, stored_bits = bits
    low, high = (-(1 << stored_bits - 1), 1 << stored_bits - 1) if signed else (0, 1 << stored_bits)
    values = np.random.default_rng(seed).integers(low, high, (1, 9, 11))
    pixels = values.astype(f"{'i' if signed else 'u'}{allocated // 8}")
    # What stands above Bits Stored is not part of the value (PS3.5 8.1.1).
    pixels = (pixels.view(f"u{allocated // 8}") & ((1 << stored_bits) - 1)).view(pixels.dtype)
    ds = image(pixels, BitsStored=stored_bits, HighBit=stored_bits - 1)
    ds.RescaleSlope, ds.RescaleIntercept = f"{slope:.6f}", f"{intercept:.6f}"
    window = (round(window[0], 3), round(window[1], 3), window[2])
    if not by_request:
        ds.WindowCenter, ds.WindowWidth = f"{window[0]:.3f}", f"{window[1]:.3f}"
        ds.VOILUTFunction = window[2]
    options = RenderOptions(media_type="image/png", window=window if by_request else None)
    theirs = expected(values[0] * round(slope, 6) + round(intercept, 6), window)
    assert_close(picture(scanned(written(ds)), options), theirs)


def ramp(**attributes: object) -> Dataset:
    return image(np.arange(256, dtype="u2").reshape(1, 16, 16) * 16, BitsStored=12, HighBit=11, **attributes)


def test_without_a_window_the_frame_has_its_own_range() -> None:
    found = picture(scanned(written(image(np.array([[[100, 200], [300, 500]]], "u2")))))
    assert found.tolist() == [[0, 64], [128, 255]]
    assert picture(scanned(written(image(np.full((1, 2, 2), 7, "u2"))))).tolist() == [[0, 0], [0, 0]]


def test_the_window_is_per_frame_or_shared_in_enhanced_objects() -> None:
    def window(centre: float) -> Dataset:
        voi, groups = Dataset(), Dataset()
        voi.WindowCenter, voi.WindowWidth, voi.VOILUTFunction = centre, 200, "LINEAR_EXACT"
        groups.FrameVOILUTSequence = Sequence([voi])
        return groups

    def rescale(intercept: float) -> Dataset:
        transformation, groups = Dataset(), Dataset()
        transformation.RescaleSlope, transformation.RescaleIntercept, transformation.RescaleType = 1, intercept, "US"
        groups.PixelValueTransformationSequence = Sequence([transformation])
        return groups

    pixels = np.full((2, 2, 2), 100, "u2")
    ds = image(pixels)
    ds.SharedFunctionalGroupsSequence = Sequence([rescale(50)])
    ds.PerFrameFunctionalGroupsSequence = Sequence([window(150), window(200)])
    stored = scanned(written(ds))
    assert picture(stored, number=1)[0, 0] == 128
    assert picture(stored, number=2)[0, 0] == 64


def test_polarity() -> None:
    window = {"WindowCenter": 2048, "WindowWidth": 4096}
    plain = picture(scanned(written(ramp(**window)))).astype(int)
    for inverse in ({"PhotometricInterpretation": "MONOCHROME1"}, {"PresentationLUTShape": "INVERSE"}):
        assert_close(picture(scanned(written(ramp(**window, **inverse)))), 255 - plain)
    both = {"PhotometricInterpretation": "MONOCHROME1", "PresentationLUTShape": "INVERSE"}
    assert_close(picture(scanned(written(ramp(**window, **both)))), 255 - plain)


def test_padding_is_black_and_no_part_of_the_range() -> None:
    pixels = np.array([[[0, 0], [1000, 2000]]], "u2")
    assert picture(scanned(written(image(pixels, PixelPaddingValue=0)))).tolist() == [[0, 0], [0, 255]]
    inverse = image(pixels, PixelPaddingValue=0, PhotometricInterpretation="MONOCHROME1")
    assert picture(scanned(written(inverse))).tolist() == [[0, 0], [255, 0]]
    ranged = image(np.array([[[10, 12], [1000, 2000]]], "u2"), PixelPaddingValue=10, PixelPaddingRangeLimit=12)
    assert picture(scanned(written(ranged))).tolist() == [[0, 0], [0, 255]]


@pytest.mark.parametrize("inline", [True, False])
def test_look_up_tables(inline: bool) -> None:
    """A table of 16 entries stays in the metadata, one of 4096 becomes bulk data."""
    count, first = (16, 100) if inline else (4096, 100)
    table = (np.arange(count) ** 2 % 4096).astype("<u2")
    item = Dataset()
    item.add_new(0x00283002, "US", [count, first, 12])
    item.add_new(0x00283006, "OW", table.tobytes())
    pixels = np.array([[[0, 100, 105], [107, 115, 60000]]], "u2")
    places = np.clip(pixels[0].astype(int) - first, 0, count - 1)
    voi = image(pixels, VOILUTSequence=Sequence([item]), WindowCenter=1, WindowWidth=1)
    assert_close(picture(scanned(written(voi))), np.rint(table[places] / 4095 * 255))
    modality = image(pixels, ModalityLUTSequence=Sequence([item]))
    options = RenderOptions(media_type="image/png", window=(50.0, 200.0, "LINEAR"))
    assert_close(picture(scanned(written(modality)), options), expected(table[places], (50.0, 200.0, "LINEAR")))


def test_large_and_floating_values_are_rendered_directly() -> None:
    wide = np.array([[[0, 1 << 20], [1 << 30, 1 << 31]]], "u4")
    assert picture(scanned(written(image(wide)))).tolist() == [[0, 0], [128, 255]]
    ds = image(np.zeros((1, 2, 2), "u4"))
    del ds.PixelData, ds.BitsStored, ds.HighBit, ds.PixelRepresentation
    ds.FloatPixelData = np.array([[np.nan, -1.0], [0.0, 1.0]], "<f4").tobytes()
    assert picture(scanned(written(ds))).tolist() == [[0, 0], [128, 255]]


@pytest.mark.parametrize("attribute", ["00281052", "00281053", "00281050", "00281051", "00280120"])
@pytest.mark.parametrize("value", ["NaN", "Infinity", "-1e308", 1e308, 1e-308, 0, "", "x", None, [1], 10**400])
def test_absurd_numbers_still_give_a_picture(attribute: str, value: object) -> None:
    stored = scanned(written(ramp(WindowCenter=100, WindowWidth=50, RescaleSlope=2, RescaleIntercept=-1)))
    frame = stored.frame(1)
    broken = replace(frame, dataset=frame.dataset | {attribute: {"vr": "DS", "Value": [value]}})
    found = np.asarray(Image.open(io.BytesIO(render_frame(broken, PNG, limit_bytes=LIMIT_BYTES))))
    assert found.shape == (16, 16)


def test_segments_are_white() -> None:
    ds = image(np.ones((1, 4, 4), "u1"), BitsAllocated=1, BitsStored=1, HighBit=0)
    ds.add_new(0x7FE00010, "OB", b"\x0f\x00")
    assert picture(scanned(written(ds))).tolist() == [[255] * 4, [0] * 4, [0] * 4, [0] * 4]


@pytest.mark.parametrize("path", image_files(), ids=sample_id)
def test_sample_files_have_the_contrast_that_their_window_says(path: Path) -> None:
    stored = load(path)
    ds = read(stored.data)
    frame = stored.frame(1)
    found = np.asarray(Image.open(io.BytesIO(render_frame(frame, PNG, limit_bytes=LIMIT_BYTES))))
    ratio: Any = ds.get("PixelAspectRatio") or [1, 1]
    if ratio[0] == ratio[1]:
        assert found.shape[:2] == (ds.Rows, ds.Columns)
    window_is_simple = "VOILUTSequence" not in ds and "ModalityLUTSequence" not in ds
    native = stored.transfer_syntax_uid in ("1.2.840.10008.1.2.1", "1.2.840.10008.1.2")
    if not (window_is_simple and native and "WindowWidth" in ds and ds.SamplesPerPixel == 1 and ratio[0] == ratio[1]):
        return
    if ds.PhotometricInterpretation == "PALETTE COLOR" or "PixelPaddingValue" in ds or ds.BitsStored != ds.HighBit + 1:
        return
    first = ds.pixel_array if stored.number_of_frames == 1 else ds.pixel_array[0]
    centre, width = (
        value[0] if hasattr(value, "__getitem__") else value for value in (ds.WindowCenter, ds.WindowWidth)
    )
    values = first * float(ds.get("RescaleSlope", 1)) + float(ds.get("RescaleIntercept", 0))
    window = (float(centre), float(width), str(ds.get("VOILUTFunction", "LINEAR")))
    sampled = (slice(None, None, 7), slice(None, None, 5))
    theirs = expected(values[sampled], window, inverse=ds.PhotometricInterpretation == "MONOCHROME1")
    assert_close(found[sampled], theirs)
