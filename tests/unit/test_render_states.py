"""Presentation states applied to images, against DCMTK and plain numpy."""

from pathlib import Path

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from index.errors import CannotUnderstand, InvalidQuery, NotAcceptable, PacsError
from index.records import Region, RenderOptions
from storage.pixels.description import StoredFrame
from storage.pixels.render import render_frame
from tests.pixel_objects import image, load, quiet, scanned, written
from tests.presentation_states import (
    BLENDING,
    COLOUR,
    GREY,
    PNG,
    PSEUDO_COLOUR,
    by_dcmtk,
    item,
    reference,
    shown,
    state,
)
from tests.samples import sample

CT = "ct_head_phantom_54/I100.dcm"
HU = {"RescaleSlope": "1", "RescaleIntercept": "-1024", "RescaleType": "HU"}


def ramp() -> Dataset:
    """Each pixel differs from all others: 0 to 239 in 12 rows of 20."""
    return image(np.arange(240, dtype="u1").reshape(1, 12, 20))


def area(left: int, top: int, right: int, bottom: int, **attributes: object) -> list[Dataset]:
    given = {"PresentationSizeMode": "SCALE TO FIT", "PresentationPixelAspectRatio": [1, 1], **attributes}
    corners = {"DisplayedAreaTopLeftHandCorner": [left, top], "DisplayedAreaBottomRightHandCorner": [right, bottom]}
    return [item(**corners, **given)]


def seen(ds: Dataset, options: RenderOptions = PNG, *, sop_class_uid: str = GREY, **attributes: object) -> np.ndarray:
    return shown(scanned(written(ds)), state(ds, sop_class_uid=sop_class_uid, **attributes), options)


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        HU,
        HU | {"SoftcopyVOILUTSequence": [item(WindowCenter=40, WindowWidth=80)]},
        {"SoftcopyVOILUTSequence": [item(WindowCenter=1000, WindowWidth=900)], "PresentationLUTShape": "INVERSE"},
        {"ImageRotation": 90, "ImageHorizontalFlip": "N"},
        {"ImageRotation": 180, "ImageHorizontalFlip": "Y"},
        {"ImageRotation": 270, "ImageHorizontalFlip": "Y"},
    ],
)
@pytest.mark.parametrize("name", [CT, "dx/dx_image.dcm"])
def test_values_and_directions_as_dcmtk_has_them(name: str, attributes: dict[str, object], tmp_path: Path) -> None:
    with quiet():
        made = state(pydicom.dcmread(sample(name)), **attributes)
    ours, theirs = shown(load(sample(name)), made), by_dcmtk(sample(name), made, tmp_path)
    assert ours.shape == theirs.shape
    assert np.abs(ours.astype(int) - theirs).max() <= 1


def test_monochrome1_is_inverse_only_when_the_state_says_so(tmp_path: Path) -> None:
    ds = ramp()
    ds.PhotometricInterpretation = "MONOCHROME1"
    (tmp_path / "image.dcm").write_bytes(written(ds))
    for shape in ("IDENTITY", "INVERSE"):
        made = state(ds, PresentationLUTShape=shape)
        ours = shown(scanned(written(ds)), made)
        assert np.abs(ours.astype(int) - by_dcmtk(tmp_path / "image.dcm", made, tmp_path)).max() <= 1
        assert ours[0, 0] == (0 if shape == "IDENTITY" else 255)


def test_tables_of_all_three_kinds() -> None:
    """The state that ships scrambles modality, VOI and presentation LUT one after the other."""
    with quiet():
        made = pydicom.dcmread(sample("pr/prLUTs.dcm"))
        uid = made.ReferencedSeriesSequence[0].ReferencedImageSequence[0].ReferencedSOPInstanceUID
        tables = [made.ModalityLUTSequence, made.SoftcopyVOILUTSequence[0].VOILUTSequence, made.PresentationLUTSequence]
    ds = image(np.arange(256, dtype="u1").reshape(1, 16, 16), SOPInstanceUID=uid)
    expected = np.arange(256)
    for sequence in tables:
        data = sequence[0].LUTData
        expected = np.array(np.frombuffer(data, "<u2") if isinstance(data, bytes) else data)[expected]
    made.DisplayedAreaSelectionSequence[0].DisplayedAreaBottomRightHandCorner = [16, 16]
    assert np.array_equal(shown(scanned(written(ds)), made).reshape(-1), expected)


def test_the_window_of_this_image_is_taken() -> None:
    ds, other = ramp(), ramp()
    other.SOPInstanceUID = "1.2.9"
    windows = [
        item(WindowCenter=1, WindowWidth=2, ReferencedImageSequence=[reference(other)]),
        item(WindowCenter=128, WindowWidth=100, VOILUTFunction="LINEAR_EXACT", ReferencedImageSequence=[reference(ds)]),
    ]
    made = state(ds, other, SoftcopyVOILUTSequence=windows)
    found = shown(scanned(written(ds)), made)
    expected = np.clip((np.arange(240) - 128) / 100 + 0.5, 0, 1) * 255
    assert np.abs(found.reshape(-1) - expected).max() <= 0.5
    asked = shown(scanned(written(ds)), made, RenderOptions(media_type="image/png", window=(10, 20, "LINEAR_EXACT")))
    assert np.abs(asked.reshape(-1) - np.clip(np.arange(240) / 20, 0, 1) * 255).max() <= 0.5


@pytest.mark.parametrize("turn", range(4))
@pytest.mark.parametrize("flip", [False, True])
def test_areas_rotation_and_flip(turn: int, flip: bool) -> None:
    ds = ramp()
    pixels = ds.pixel_array
    cut = pixels[2:9, 4:16]
    expected = np.rot90(cut, -turn)
    if flip:
        expected = expected[:, ::-1]
    corners = {"columns": [5, 16], "rows": [3, 9]}
    # The upper left corner is that of the picture, whatever corner of the image it is.
    if turn in (1, 2):
        corners["rows"].reverse()
    if turn in (2, 3):
        corners["columns"].reverse()
    (left, right), (top, bottom) = corners["columns"], corners["rows"]
    found = seen(
        ds,
        DisplayedAreaSelectionSequence=area(left, top, right, bottom),
        ImageRotation=90 * turn,
        ImageHorizontalFlip="Y" if flip else "N",
    )
    assert np.array_equal(found, expected)


def test_an_area_may_exceed_the_image() -> None:
    ds = ramp()
    found = seen(ds, DisplayedAreaSelectionSequence=area(-3, -1, 22, 14))
    expected = np.zeros((16, 26), "u1")
    expected[2:14, 4:24] = ds.pixel_array
    assert np.array_equal(found, expected)
    for far in (area(-(2**30), 1, 2**30, 5), area(-30000, -30000, 30000, 30000)):
        with pytest.raises(CannotUnderstand):
            seen(ds, DisplayedAreaSelectionSequence=far)
    blown_up = area(1, 1, 2000, 2000, PresentationSizeMode="MAGNIFY", PresentationPixelMagnificationRatio=100.0)
    with pytest.raises(CannotUnderstand):
        seen(ds, DisplayedAreaSelectionSequence=blown_up)


def test_magnified_and_oblong_pixels() -> None:
    large = area(1, 1, 20, 12, PresentationSizeMode="MAGNIFY", PresentationPixelMagnificationRatio=3.0)
    assert seen(ramp(), DisplayedAreaSelectionSequence=large).shape == (36, 60)
    options = RenderOptions(media_type="image/png", viewport=(30, 30))
    assert seen(ramp(), options, DisplayedAreaSelectionSequence=large).shape == (30, 30)
    oblong = area(1, 1, 20, 12, PresentationPixelAspectRatio=[2, 1])
    assert seen(ramp(), DisplayedAreaSelectionSequence=oblong).shape == (24, 20)
    turned = {"ImageRotation": 90, "ImageHorizontalFlip": "N"}
    assert seen(ramp(), DisplayedAreaSelectionSequence=oblong, **turned).shape == (20, 24)


def test_a_region_is_cut_from_what_the_state_shows() -> None:
    ds = ramp()
    region = Region(2, 1, 5, 4)
    options = RenderOptions(media_type="image/png", region=region)
    found = seen(ds, options, ImageRotation=90, ImageHorizontalFlip="N")
    assert np.array_equal(found, np.rot90(ds.pixel_array, -1)[1:5, 2:7])


def layers(*rows: tuple[str, int, dict[str, object]]) -> list[Dataset]:
    return [item(GraphicLayer=name, GraphicLayerOrder=order, **colour) for name, order, colour in rows]


def graphic(kind: str, data: list[float], *, filled: str = "N", units: str = "PIXEL") -> Dataset:
    return item(
        GraphicAnnotationUnits=units,
        GraphicDimensions=2,
        NumberOfGraphicPoints=len(data) // 2,
        GraphicData=data,
        GraphicType=kind,
        GraphicFilled=filled,
    )


def black(side: int = 100) -> Dataset:
    return image(np.zeros((1, side, side), "u1"))


def test_graphics_are_where_they_belong() -> None:
    ds = black()
    square = graphic("POLYLINE", [20, 30, 60, 30, 60, 40, 20, 40, 20, 30], filled="Y")
    note = item(GraphicLayer="A", GraphicObjectSequence=[square])
    grey = layers(("A", 1, {"GraphicLayerRecommendedDisplayGrayscaleValue": 0x8000}))
    found = seen(ds, GraphicAnnotationSequence=[note], GraphicLayerSequence=grey)
    assert found.shape == (100, 100) and set(np.unique(found)) == {0, 128}
    rows, columns = np.nonzero(found)
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (30, 40, 20, 60)
    turned = {"ImageRotation": 90, "ImageHorizontalFlip": "N"}
    found = seen(ds, GraphicAnnotationSequence=[note], GraphicLayerSequence=grey, **turned)
    rows, columns = np.nonzero(found)
    assert abs(rows.min() - 20) <= 1 and abs(rows.max() - 60) <= 1
    assert abs(columns.min() - 59) <= 1 and abs(columns.max() - 70) <= 1


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("POINT", [50, 50]),
        ("CIRCLE", [50, 50, 50, 70]),
        ("ELLIPSE", [20, 50, 80, 50, 50, 40, 50, 60]),
        ("INTERPOLATED", [20, 50, 50, 20, 80, 50, 20, 50]),
        ("POLYLINE", [0, 0, 100, 100]),
    ],
)
def test_every_kind_of_graphic_is_drawn(kind: str, data: list[float]) -> None:
    for units, scale in (("PIXEL", 1.0), ("DISPLAY", 0.01)):
        note = item(
            GraphicLayer="A", GraphicObjectSequence=[graphic(kind, [value * scale for value in data], units=units)]
        )
        found = seen(black(), GraphicAnnotationSequence=[note])
        rows, columns = np.nonzero(found)
        x, y = np.array(data[::2]), np.array(data[1::2])
        assert len(rows) > 3
        assert x.min() - 21 <= columns.min() and columns.max() <= x.max() + 21
        assert y.min() - 21 <= rows.min() and rows.max() <= y.max() + 21


def test_text_in_its_box_and_at_its_anchor() -> None:
    boxed = item(
        UnformattedTextValue="LESION\r\n12 mm",
        BoundingBoxAnnotationUnits="PIXEL",
        BoundingBoxTopLeftHandCorner=[100, 20],
        BoundingBoxBottomRightHandCorner=[180, 60],
        BoundingBoxTextHorizontalJustification="LEFT",
    )
    anchored = item(
        UnformattedTextValue="here",
        AnchorPointAnnotationUnits="DISPLAY",
        AnchorPoint=[0.1, 0.8],
        AnchorPointVisibility="N",
    )
    found = seen(black(200), GraphicAnnotationSequence=[item(GraphicLayer="A", TextObjectSequence=[boxed, anchored])])
    assert found[20:60, 100:180].max() == 255 and found[155:185, 18:60].max() == 255
    assert not found[:15].any() and not found[70:150].any() and not found[195:].any()


def test_coloured_layers_make_a_coloured_picture() -> None:
    lab_of_red = [34919, 53485, 50171]
    notes = [
        item(GraphicLayer=name, GraphicObjectSequence=[graphic("POLYLINE", data, filled="Y")])
        for name, data in (
            ("R", [10, 10, 40, 10, 40, 40, 10, 40, 10, 10]),
            ("W", [30, 30, 60, 30, 60, 60, 30, 60, 30, 30]),
        )
    ]
    order = layers(
        ("R", 2, {"GraphicLayerRecommendedDisplayCIELabValue": lab_of_red}),
        ("W", 1, {"GraphicLayerRecommendedDisplayGrayscaleValue": 65535}),
    )
    found = seen(black(), GraphicAnnotationSequence=notes, GraphicLayerSequence=order)
    assert found.shape == (100, 100, 3)
    red = found[35, 35].astype(int)
    assert red[0] > 240 and red[1] < 20 and red[2] < 20, "the higher layer is on top"
    assert found[50, 50].tolist() == [255, 255, 255] and found[5, 5].tolist() == [0, 0, 0]


def test_overlays_are_shown_when_the_state_activates_them() -> None:
    ds = black(16)
    bits = np.zeros((16, 16), "u1")
    bits[3:5, 2:9] = 1
    for group, mask in ((0x6000, bits), (0x6002, bits.T)):
        add_overlay(ds, group, mask)
    stored = scanned(written(ds))
    assert np.array_equal(shown(stored, None), (bits | bits.T) * 255)
    made = state(ds, GraphicLayerSequence=layers(("A", 1, {"GraphicLayerRecommendedDisplayGrayscaleValue": 0x4000})))
    made.add_new(0x60021001, "CS", "A")
    assert np.array_equal(shown(stored, made), bits.T * 64)
    add_overlay(made, 0x6002, bits)
    assert np.array_equal(shown(stored, made), bits * 64), "an overlay of the state replaces that of the image"


def add_overlay(ds: Dataset, group: int, bits: np.ndarray, *, origin: tuple[int, int] = (1, 1)) -> None:
    tag = group << 16
    ds.add_new(tag | 0x0010, "US", bits.shape[0])
    ds.add_new(tag | 0x0011, "US", bits.shape[1])
    ds.add_new(tag | 0x0040, "CS", "G")
    ds.add_new(tag | 0x0050, "SS", list(origin))
    ds.add_new(tag | 0x0100, "US", 1)
    ds.add_new(tag | 0x0102, "US", 0)
    data = np.packbits(bits.reshape(-1), bitorder="little").tobytes()
    ds.add_new(tag | 0x3000, "OW", data + b"\0" * (len(data) % 2))


def test_the_shutter_of_the_state_replaces_that_of_the_image() -> None:
    ds = image(np.full((1, 20, 20), 200, "u1"), WindowCenter=128, WindowWidth=256)
    ds.ShutterShape, ds.ShutterPresentationValue = "RECTANGULAR", 0
    ds.ShutterLeftVerticalEdge, ds.ShutterRightVerticalEdge = 1, 2
    ds.ShutterUpperHorizontalEdge, ds.ShutterLowerHorizontalEdge = 1, 2
    assert np.count_nonzero(shown(scanned(written(ds)), None)) == 4
    found = seen(
        ds,
        ShutterShape="BITMAP",
        ShutterOverlayGroup=0x6000,
        ShutterPresentationValue=0x3000,
    )
    assert (found == 200).all(), "no bitmap, nothing to cover"
    made = state(ds, ShutterShape="BITMAP", ShutterOverlayGroup=0x6000, ShutterPresentationValue=0x3000)
    cover = np.zeros((20, 20), "u1")
    cover[:, 10:] = 1
    add_overlay(made, 0x6000, cover)
    found = shown(scanned(written(ds)), made)
    assert (found[:, :10] == 200).all() and (found[:, 10:] == 48).all()


def test_pseudo_colour() -> None:
    ds = ramp()
    tables = np.random.default_rng(6).integers(0, 256, (3, 256))
    made = state(ds, sop_class_uid=PSEUDO_COLOUR)
    for number, table in enumerate(tables, start=1):
        made.add_new(0x00281100 | number, "US", [256, 0, 16])
        made.add_new(0x00281200 | number, "OW", (table * 257).astype("<u2").tobytes())
    found = shown(scanned(written(ds)), made)
    assert np.array_equal(found, tables[:, ds.pixel_array].transpose(1, 2, 0))


def test_states_for_colour() -> None:
    colours = np.random.default_rng(7).integers(0, 256, (1, 10, 12, 3)).astype("u1")
    ds = image(colours)
    found = seen(ds, sop_class_uid=COLOUR, ImageRotation=180, ImageHorizontalFlip="N")
    assert np.array_equal(found, colours[0, ::-1, ::-1])


def test_states_that_do_not_apply() -> None:
    ds, other = ramp(), ramp()
    other.SOPInstanceUID = "1.2.9"
    stored = scanned(written(ds))
    with pytest.raises(InvalidQuery):
        shown(stored, state(other))
    with pytest.raises(NotAcceptable):
        shown(stored, state(ds, sop_class_uid=BLENDING))
    with pytest.raises(NotAcceptable):
        shown(stored, state(ds, MaskSubtractionSequence=[item(MaskOperation="AVG_SUB")]))


numbers = st.sampled_from([0, 1, -1, 2, 7, 90, 255, 65535, 2**31 - 1, -(2**31), 1.5, 1e30, -1e30])
vectors = st.lists(numbers, max_size=6)


@given(
    corners=st.tuples(vectors, vectors),
    data=vectors,
    kind=st.sampled_from(["POINT", "CIRCLE", "ELLIPSE", "INTERPOLATED", "POLYLINE", "NEW"]),
    shutter=vectors,
    shape=st.sampled_from(["RECTANGULAR", "CIRCULAR", "POLYGONAL", "BITMAP", "NEW"]),
    ratio=vectors,
    words=st.text(max_size=20),
)
@settings(deadline=None, max_examples=80)
def test_whatever_a_state_says_there_is_a_picture_or_an_error(
    corners: tuple[list[float], list[float]],
    data: list[float],
    kind: str,
    shutter: list[float],
    shape: str,
    ratio: list[float],
    words: str,
) -> None:
    ds = ramp()
    stored = scanned(written(ds))
    made = scanned(written(state(ds))).scanned.dataset

    def element(*values: object) -> dict[str, object]:
        return {"vr": "FL", "Value": list(values)}

    hostile = {
        **made,
        "0070005A": element({"00700052": element(*corners[0]), "00700053": element(*corners[1]),
                             "00700101": element(*ratio), "00700103": element(*ratio),
                             "00700100": element("MAGNIFY" if len(ratio) % 2 else "TRUE SIZE")}),
        "00700001": element({"00700009": element({"00700022": element(*data), "00700023": element(kind),
                                                  "00700005": element("PIXEL"), "00700024": element("Y")}),
                             "00700008": element({"00700006": element(words), "00700003": element("DISPLAY"),
                                                  "00700010": element(*data[:2]), "00700011": element(*data[2:4]),
                                                  "00700014": element(*data[4:])})}),
        "00181600": element(shape), "00181602": element(*shutter), "00181604": element(*shutter[1:]),
        "00181606": element(*shutter), "00181608": element(*shutter[2:]), "00181610": element(*shutter[:2]),
        "00181612": element(*shutter), "00181620": element(*shutter), "00181623": element(*shutter),
        "00181622": element(*shutter), "00181624": element(*shutter[:3]),
    }  # fmt: skip

    held = StoredFrame(b"", hostile, "1.2.840.10008.1.2.1")
    options = RenderOptions(viewport=(64, 64))
    try:
        assert render_frame(stored.frame(1), options, limit_bytes=1 << 24, state=held)
    except PacsError:
        return
