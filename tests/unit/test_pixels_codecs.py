"""HTJ2K and JPEG XL: what we encode comes back exactly, by our decoders and by others, and damage stays an error."""

import imagecodecs
import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.uid import UID

from index.errors import CannotUnderstand, NotAcceptable, PacsError
from storage.pixels import codestream
from storage.pixels.decode import DecodedFrame, decode_frame
from storage.pixels.description import ImageDescription, StoredFrame
from storage.pixels.encode import encode_frame, photometric_interpretation
from tests.pixel_objects import LIMIT_BYTES, image, scanned, written

HTJ2K = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (201, 202, 203))
JPEG_XL = tuple(f"1.2.840.10008.1.2.4.{n}" for n in (110, 111, 112))


def dataset_of(pixels: np.ndarray, **attributes: object) -> dict[str, dict[str, object]]:
    return dict(scanned(written(image(pixels[np.newaxis], **attributes))).scanned.dataset)


def coded(pixels: np.ndarray, uid: str, photometric: str, **attributes: object) -> StoredFrame:
    dataset = dataset_of(pixels, **attributes)
    frame = DecodedFrame(pixels, photometric)
    data = encode_frame(frame, ImageDescription.from_json(dataset), uid)
    name = photometric_interpretation(frame, uid)
    return StoredFrame(data, dataset | {"00280004": {"vr": "CS", "Value": [name]}}, uid)


def decoded(frame: StoredFrame) -> DecodedFrame:
    return decode_frame(frame, ImageDescription.from_json(frame.dataset), limit_bytes=LIMIT_BYTES)


@given(
    bits=st.integers(1, 16),
    signed=st.booleans(),
    size=st.tuples(st.integers(1, 90), st.integers(1, 90)),
    uid=st.sampled_from(HTJ2K),
    seed=st.integers(0, 1000),
)
@settings(deadline=None, max_examples=60)
def test_htj2k_keeps_every_value(bits: int, signed: bool, size: tuple[int, int], uid: str, seed: int) -> None:
    low, high = (-(1 << bits - 1), 1 << bits - 1) if signed else (0, 1 << bits)
    kind = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    pixels = np.random.default_rng(seed).integers(low, high, size).astype(kind)
    frame = coded(pixels, uid, "MONOCHROME2", BitsStored=bits, HighBit=bits - 1)
    found = codestream.read_jpeg_2000(frame.data)
    assert (found.rows, found.columns, found.bits, found.signed) == (*size, bits, signed)
    assert np.array_equal(decoded(frame).samples, pixels)
    # OpenJPH, which wrote it, and OpenJPEG, by which we decode, do not know each other.
    assert np.array_equal(imagecodecs.htj2k_decode(frame.data).astype(np.int32), pixels)


@pytest.mark.parametrize("uid", HTJ2K)
def test_htj2k_colour(uid: str) -> None:
    pixels = np.random.default_rng(1).integers(0, 256, (33, 70, 3)).astype("u1")
    frame = coded(pixels, uid, "RGB")
    assert frame.dataset["00280004"]["Value"] == ["YBR_RCT"]
    found = decoded(frame)
    assert found.photometric_interpretation == "RGB" and np.array_equal(found.samples, pixels)
    as_it_is = decoded(coded(pixels, uid, "YBR_FULL", PhotometricInterpretation="YBR_FULL"))
    assert as_it_is.photometric_interpretation == "YBR_FULL" and np.array_equal(as_it_is.samples, pixels)


def test_rpcl_streams_have_what_the_syntax_asks_for() -> None:
    frame = coded(np.zeros((300, 5000), "u1"), HTJ2K[1], "MONOCHROME2")
    cod = frame.data.index(b"\xff\x52")
    progression, halvings = frame.data[cod + 5], frame.data[cod + 9]
    assert progression == 2 and 5000 / 2**halvings <= 64
    assert b"\xff\x55" in frame.data[:400]


@pytest.mark.parametrize("container", [False, True])
@pytest.mark.parametrize("size", [(64, 64), (40, 50), (1, 7), (300, 400), (8, 520)])
def test_jpeg_xl_grey(size: tuple[int, int], container: bool) -> None:
    pixels = np.random.default_rng(2).integers(0, 4096, size).astype("u2")
    frame = coded(pixels, JPEG_XL[0], "MONOCHROME2", BitsStored=12, HighBit=11)
    data = imagecodecs.jpegxl_encode(pixels, lossless=True, usecontainer=container, bitspersample=12)
    for stream in (frame.data, data):
        found = codestream.read_jpeg_xl(stream, 1, 12)
        assert (found.rows, found.columns) == size
        assert np.array_equal(decoded(StoredFrame(stream, frame.dataset, JPEG_XL[0])).samples, pixels)


def test_jpeg_xl_of_a_jpeg() -> None:
    pixels = np.kron(np.random.default_rng(3).integers(0, 256, (6, 8, 3)), np.ones((8, 8, 1))).astype("u1")
    jpeg = imagecodecs.jpeg8_encode(pixels, 90)
    dataset = dataset_of(pixels, PhotometricInterpretation="YBR_FULL_422")
    found = decoded(StoredFrame(imagecodecs.jpegxl_encode_jpeg(jpeg), dataset, JPEG_XL[1]))
    assert found.photometric_interpretation == "RGB"
    assert np.abs(found.samples.astype(int) - imagecodecs.jpeg8_decode(jpeg)).max() <= 4


def test_what_a_syntax_cannot_hold_is_refused() -> None:
    for uid, pixels, photometric in (
        (JPEG_XL[0], np.zeros((40, 40), "i2"), "MONOCHROME2"),
        (JPEG_XL[0], np.zeros((40, 40, 3), "u1"), "YBR_FULL"),
        (HTJ2K[0], np.zeros((40, 40), "u4"), "MONOCHROME2"),
    ):
        with pytest.raises(NotAcceptable):
            coded(pixels, uid, photometric)


def test_pydicom_reads_our_htj2k() -> None:
    pixels = np.random.default_rng(4).integers(-2048, 2048, (61, 47)).astype("i2")
    frame = coded(pixels, HTJ2K[1], "MONOCHROME2", BitsStored=12, HighBit=11)
    ds = image(pixels[np.newaxis], BitsStored=12, HighBit=11)
    ds.PixelData = encapsulate([frame.data])
    ds["PixelData"].is_undefined_length = True
    ds.file_meta.TransferSyntaxUID = UID(HTJ2K[1])
    assert np.array_equal(pixel_array(ds), pixels)


@pytest.mark.parametrize("uid", [HTJ2K[0], JPEG_XL[0]])
@given(data=st.data())
@settings(deadline=None, max_examples=25, phases=[Phase.explicit, Phase.reuse, Phase.generate])
def test_damage_is_an_error(uid: str, data: st.DataObject) -> None:
    frame = coded(np.arange(4096, dtype="u2").reshape(64, 64), uid, "MONOCHROME2")
    content = bytearray(frame.data)
    del content[data.draw(st.integers(0, len(content))) :]
    for _ in range(data.draw(st.integers(0, 3))):
        if content:
            content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert decoded(StoredFrame(bytes(content), frame.dataset, uid)).samples.shape == (64, 64)
    except PacsError:
        return


def test_sizes_are_compared_before_decoding() -> None:
    huge = imagecodecs.jpegxl_encode(np.zeros((2000, 3000), "u1"), lossless=True)
    with pytest.raises(CannotUnderstand):
        decoded(StoredFrame(huge, dataset_of(np.zeros((20, 30), "u1")), JPEG_XL[0]))


@given(st.binary(max_size=80))
@settings(deadline=None)
def test_jpeg_xl_headers_of_garbage(data: bytes) -> None:
    for start in (b"", b"\xff\x0a", b"\0\0\0\x0cJXL \r\n\x87\n", b"\0\0\0\x0cJXL \r\n\x87\n\0\0\0\x01jxlc"):
        try:
            codestream.read_jpeg_xl(start + data, 1, 8)
        except CannotUnderstand:
            continue
