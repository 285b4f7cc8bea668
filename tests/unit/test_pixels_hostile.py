"""Frames that lie: refused by what they claim, before a codec is asked, and never with anything but our errors."""

import struct
import tracemalloc
import zlib

import numpy as np
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from index.errors import CannotUnderstand, InvalidQuery, NotAcceptable, PacsError, TooLarge
from index.records import RenderOptions
from storage.pixels import codestream
from storage.pixels.decode import DecodedFrame, decode_frame
from storage.pixels.description import ImageDescription, StoredFrame
from storage.pixels.encode import encode_frame
from storage.pixels.recode import recode_frame
from storage.pixels.render import render_frame
from tests.pixel_objects import LIMIT_BYTES, image, load, scanned, written
from tests.samples import sample

JPEG, JPEG_LS, JPEG_2000, RLE = (
    "1.2.840.10008.1.2.4.50",
    "1.2.840.10008.1.2.4.80",
    "1.2.840.10008.1.2.4.90",
    "1.2.840.10008.1.2.5",
)
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
EXPLICIT = "1.2.840.10008.1.2.1"


def jpeg_header(rows: int, columns: int, *, samples: int = 1, marker: int = 0xC0) -> bytes:
    """The start of a JPEG that claims this size."""
    components = b"".join(bytes([number + 1, 0x11, 0]) for number in range(samples))
    frame = struct.pack(">BHHB", 8, rows, columns, samples) + components
    return (
        b"\xff\xd8\xff" + bytes([marker]) + struct.pack(">H", 2 + len(frame)) + frame + b"\xff\xda\0\x08\1\1\0\0\x3f\0"
    )


def jpeg_2000_header(rows: int, columns: int) -> bytes:
    sizes = struct.pack(">HIIIIIIIIH", 0, columns, rows, 0, 0, columns, rows, 0, 0, 1) + bytes([7, 1, 1])
    return b"\xff\x4f\xff\x51" + struct.pack(">H", 2 + len(sizes)) + sizes


def small() -> tuple[dict[str, object], ImageDescription]:
    dataset = scanned(written(image(np.zeros((1, 64, 64), "u1")))).scanned.dataset
    return dataset, ImageDescription.from_json(dataset)


def decode(data: bytes, uid: str, limit_bytes: int = LIMIT_BYTES) -> DecodedFrame:
    dataset, description = small()
    return decode_frame(StoredFrame(data, dataset, uid), description, limit_bytes=limit_bytes)


@pytest.mark.parametrize(
    ("data", "uid"),
    [
        (jpeg_header(65500, 65500), JPEG),
        (jpeg_header(65500, 65500, marker=0xF7), JPEG_LS),
        (jpeg_header(64, 64, samples=3), JPEG),
        (jpeg_header(65500, 65500, marker=0xC3), "1.2.840.10008.1.2.4.70"),
        (jpeg_2000_header(1 << 31, 1 << 31), JPEG_2000),
        (struct.pack("<16I", 2, 64, 64, *[0] * 13), RLE),
        (struct.pack("<16I", 1, 1 << 31, *[0] * 14), RLE),
        (b"", JPEG),
        (b"", JPEG_2000),
        (b"", RLE),
        (b"", EXPLICIT),
        (b"\0" * 4095, EXPLICIT),
        (b"\xff\xd8\xff\xd9", JPEG),
    ],
)
def test_claims_that_contradict_the_data_set_are_refused_cheaply(data: bytes, uid: str) -> None:
    decode_nothing = zlib.compress(bytes(4096), wbits=-15)
    decode(decode_nothing, DEFLATED_FRAMES)
    tracemalloc.start()
    try:
        with pytest.raises(CannotUnderstand):
            decode(data, uid)
        assert tracemalloc.get_traced_memory()[1] < 4 * 1024**2
    finally:
        tracemalloc.stop()


def test_a_deflated_frame_is_never_inflated_beyond_its_image() -> None:
    bomb = zlib.compress(bytes(64 * 1024**2), wbits=-15)
    tracemalloc.start()
    try:
        assert decode(bomb, DEFLATED_FRAMES).samples.shape == (64, 64)
        assert tracemalloc.get_traced_memory()[1] < 1024**2
    finally:
        tracemalloc.stop()


def test_images_above_the_limit_are_refused_by_their_attributes() -> None:
    ds = image(np.zeros((1, 64, 64), "u1"), Rows=65535, Columns=65535)
    dataset = scanned(written(image(np.zeros((1, 64, 64), "u1")))).scanned.dataset | {
        "00280010": {"vr": "US", "Value": [ds.Rows]},
        "00280011": {"vr": "US", "Value": [ds.Columns]},
    }
    frame = StoredFrame(jpeg_header(65535, 65535), dataset, JPEG)
    with pytest.raises(TooLarge):
        render_frame(frame, RenderOptions(), limit_bytes=LIMIT_BYTES)
    with pytest.raises(TooLarge):
        recode_frame(frame, EXPLICIT, limit_bytes=LIMIT_BYTES)


@pytest.mark.parametrize("change", [{"00280010": []}, {"00280100": [12]}, {"00280101": [99]}, {"00280002": [-1]}])
def test_impossible_attributes(change: dict[str, list[int]]) -> None:
    dataset, _ = small()
    broken = dataset | {tag: {"vr": "US", "Value": value} for tag, value in change.items()}
    with pytest.raises(CannotUnderstand):
        render_frame(StoredFrame(bytes(4096), broken, EXPLICIT), RenderOptions(), limit_bytes=LIMIT_BYTES)


@pytest.mark.parametrize(
    "name",
    ["JPEGProcess1", "JPEGProcess2_4", "JPEGProcess14SV1", "JPEGLSLossless", "JPEG2000LosslessOnly", "RLELossless"],
)
@given(data=st.data())
@settings(deadline=None, max_examples=6, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_damaged_frames_raise_nothing_but_our_errors(name: str, data: st.DataObject) -> None:
    stored = load(sample(f"ct_syntaxes/{name}.dcm"))
    frame = stored.frame(1)
    content = bytearray(frame.data)
    del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    description = ImageDescription.from_json(frame.dataset)
    damaged = StoredFrame(bytes(content), frame.dataset, frame.transfer_syntax_uid)
    try:
        samples = decode_frame(damaged, description, limit_bytes=LIMIT_BYTES).samples
    except PacsError:
        return
    assert samples.shape == (description.rows, description.columns)


@given(st.binary(max_size=200))
@example(jpeg_header(1, 1)[:9])
@example(jpeg_2000_header(1, 1)[:44])
@settings(deadline=None)
def test_headers_of_garbage(data: bytes) -> None:
    for read, start in ((codestream.read_jpeg, b"\xff\xd8"), (codestream.read_jpeg_2000, b"\xff\x4f\xff\x51")):
        for candidate in (data, start + data):
            try:
                read(candidate)
            except CannotUnderstand:
                continue
    try:
        codestream.check_rle(data, 1)
    except CannotUnderstand:
        pass


def test_headers_of_streams_by_an_encoder() -> None:
    dataset = scanned(written(image(np.zeros((1, 40, 50), "u2"), BitsStored=12, HighBit=11))).scanned.dataset
    description = ImageDescription.from_json(dataset)
    frame = DecodedFrame(np.arange(2000, dtype="u2").reshape(40, 50), "MONOCHROME2")
    for uid, read in ((JPEG_LS, codestream.read_jpeg), (JPEG_2000, codestream.read_jpeg_2000)):
        found = read(encode_frame(frame, description, uid))
        assert (found.rows, found.columns, found.samples_per_pixel, found.bits) == (40, 50, 1, 12)
    jp2 = b"\0\0\0\x0cjP  \r\n\x87\n" + jpeg_2000_header(7, 9)
    assert (codestream.read_jpeg_2000(jp2).rows, codestream.read_jpeg_2000(jp2).columns) == (7, 9)


def test_syntaxes_without_a_decoder_say_so() -> None:
    for uid in ("1.2.840.10008.1.2.4.92", "1.2.3.4"):
        with pytest.raises(NotAcceptable):
            decode(b"\0", uid)


@pytest.mark.parametrize(
    "window", [(0.0, 0.0, "LINEAR"), (0.0, -1.0, "LINEAR"), (0.0, float("nan"), "LINEAR"), (0, 1, "X")]
)
def test_impossible_windows(window: tuple[float, float, str]) -> None:
    dataset, _ = small()
    with pytest.raises(InvalidQuery):
        render_frame(StoredFrame(bytes(4096), dataset, EXPLICIT), RenderOptions(window=window), limit_bytes=LIMIT_BYTES)
