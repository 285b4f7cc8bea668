"""Decoded frames against pydicom, DCMTK and arrays whose values are known."""

import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from pydicom.encaps import encapsulate
from pydicom.pixels import get_decoder, pixel_array
from pydicom.uid import UID

from index.errors import NotAcceptable
from storage.pixels.decode import DecodedFrame, decode_frame
from storage.pixels.description import ImageDescription, StoredFrame
from storage.pixels.encode import encode_frame, native_bytes, photometric_interpretation
from storage.pixels.recode import recode_frame
from tests.pixel_objects import LIMIT_BYTES, StoredObject, image, image_files, load, quiet, read, scanned, written
from tests.samples import sample, sample_id

EXPLICIT, BIG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2"
# pydicom has no decoder for 12-bit lossy JPEG and its progressive processes; DCMTK judges those below.
NOT_FOR_PYDICOM = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (51, 53, 55))
MOST_FRAMES = 4


def decoded(stored: StoredObject, number: int = 1) -> DecodedFrame:
    description = ImageDescription.from_json(stored.scanned.dataset)
    return decode_frame(stored.frame(number), description, limit_bytes=LIMIT_BYTES)


def low_bits(samples: np.ndarray, bits: int) -> np.ndarray:
    """pydicom clears or extends what stands above Bits Stored; we keep it."""
    return samples.astype(np.int64) & ((1 << bits) - 1)


@pytest.mark.parametrize("path", image_files(), ids=sample_id)
def test_sample_frames_equal_pydicoms(path: Path) -> None:
    stored = load(path)
    if stored.transfer_syntax_uid in NOT_FOR_PYDICOM:
        assert decoded(stored).samples.any()
        return
    ds = read(stored.data)
    description = ImageDescription.from_json(stored.scanned.dataset)
    for number in range(1, min(stored.number_of_frames, MOST_FRAMES) + 1):
        ours = decoded(stored, number)
        as_stored = ours.photometric_interpretation == ds.PhotometricInterpretation
        with quiet():
            theirs = pixel_array(ds, index=number - 1, raw=as_stored or ds.PhotometricInterpretation.endswith("422"))
            if ours.photometric_interpretation == "RGB" and not as_stored:
                theirs = pixel_array(ds, index=number - 1)
        assert ours.samples.dtype.kind == theirs.dtype.kind
        if description.floating:
            assert np.array_equal(ours.samples, theirs)
        else:
            bits = description.bits_stored
            assert np.array_equal(low_bits(ours.samples, bits), low_bits(theirs, bits))


@pytest.mark.parametrize(
    ("name", "tool"),
    [
        ("ct_enhanced/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess1.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess2_4.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess6_8.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess10_12.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess14.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGProcess14SV1.dcm", "dcmdjpeg"),
        ("ct_syntaxes/JPEGLSLossless.dcm", "dcmdjpls"),
        ("ct_syntaxes/JPEGLSLossy.dcm", "dcmdjpls"),
        ("ct_syntaxes/RLELossless.dcm", "dcmdrle"),
        ("op/sample-op.dcm", "dcmdjpeg"),
    ],
)
def test_compressed_frames_equal_dcmtks(name: str, tool: str, tmp_path: Path) -> None:
    plain = tmp_path / "plain.dcm"
    subprocess.run([tool, str(sample(name)), str(plain)], check=True, capture_output=True)
    theirs = read(plain.read_bytes()).pixel_array
    stored = load(sample(name))
    for number in range(1, stored.number_of_frames + 1):
        expected = theirs if stored.number_of_frames == 1 else theirs[number - 1]
        assert np.array_equal(decoded(stored, number).samples, expected.reshape(expected.shape[-2:]))


def test_the_lossless_syntaxes_of_one_image_decode_to_the_same_values() -> None:
    names = ("RLELossless", "JPEGLSLossless", "JPEG2000LosslessOnly", "JPEGProcess14", "JPEGProcess14SV1")
    original = decoded(load(sample("ct_syntaxes/BigEndianExplicit.dcm"))).samples
    for name in (*names, "DeflatedExplicitVRLittleEndian"):
        assert np.array_equal(decoded(load(sample(f"ct_syntaxes/{name}.dcm"))).samples, original), name


def test_frames_leave_little_endian() -> None:
    original = decoded(load(sample("ct_syntaxes/BigEndianExplicit.dcm"))).samples
    for name in ("BigEndianExplicit", "JPEGLSLossless", "RLELossless"):
        stored = load(sample(f"ct_syntaxes/{name}.dcm"))
        frame = recode_frame(stored.frame(1), EXPLICIT, limit_bytes=LIMIT_BYTES)
        assert frame == original.astype("<i2").tobytes()


NATIVE_TYPES = ["u1", "i1", "u2", "i2", "u4", "i4"]


@st.composite
def native_images(draw: st.DrawFn) -> np.ndarray:
    colour = draw(st.booleans())
    shape = (draw(st.integers(1, 3)), draw(st.integers(1, 6)), draw(st.integers(1, 6)))
    return draw(arrays(draw(st.sampled_from(NATIVE_TYPES)), (*shape, 3) if colour else shape))


@given(native_images(), st.booleans(), st.booleans())
@settings(deadline=None, max_examples=60)
def test_native_integers(pixels: np.ndarray, big: bool, planar: bool) -> None:
    ds = image(pixels)
    laid_out = pixels
    if pixels.ndim == 4 and planar:
        ds.PlanarConfiguration = 1
        laid_out = pixels.transpose(0, 3, 1, 2)
    if big:
        ds.file_meta.TransferSyntaxUID = BIG
    data = laid_out.astype(pixels.dtype.newbyteorder(">" if big else "<")).tobytes()
    ds.PixelData = data + b"\0" * (len(data) % 2)
    stored = scanned(written(ds))
    for number, expected in enumerate(pixels, 1):
        found = decoded(stored, number)
        assert found.samples.dtype == pixels.dtype
        assert np.array_equal(found.samples, expected)


def test_big_endian_words_of_single_bytes() -> None:
    pixels = np.arange(48, dtype="u1").reshape(2, 4, 6)
    ds = image(pixels)
    ds.file_meta.TransferSyntaxUID = BIG
    ds.add_new(0x7FE00010, "OW", pixels.reshape(-1, 2)[:, ::-1].tobytes())
    stored = scanned(written(ds))
    assert np.array_equal(decoded(stored, 2).samples, pixels[1])


@given(arrays("u1", st.tuples(st.integers(1, 4), st.integers(1, 7), st.integers(1, 7)), elements=st.integers(0, 1)))
@settings(deadline=None, max_examples=60)
def test_single_bits_that_start_inside_a_byte(pixels: np.ndarray) -> None:
    packed = np.packbits(pixels.reshape(-1), bitorder="little").tobytes()
    ds = image(pixels, BitsAllocated=1, BitsStored=1, HighBit=0)
    ds.add_new(0x7FE00010, "OB", packed + b"\0" * (len(packed) % 2))
    stored = scanned(written(ds))
    for number, expected in enumerate(pixels, 1):
        assert np.array_equal(decoded(stored, number).samples, expected)


def test_subsampled_native_chrominance_is_repeated() -> None:
    full = np.zeros((1, 2, 4, 3), "u1")
    full[..., 0] = np.arange(8).reshape(2, 4)
    full[..., 1] = np.repeat([[10, 20], [30, 40]], 2, axis=1)
    full[..., 2] = np.repeat([[50, 60], [70, 80]], 2, axis=1)
    packed = bytes(
        value
        for row in full[0]
        for left in (0, 2)
        for value in (row[left, 0], row[left + 1, 0], row[left, 1], row[left, 2])
    )
    stored = scanned(written(image(full, PhotometricInterpretation="YBR_FULL_422", PixelData=packed)))
    found = decoded(stored)
    assert found.photometric_interpretation == "YBR_FULL"
    assert np.array_equal(found.samples, full[0])


@pytest.mark.parametrize("uid", ["1.2.840.10008.1.2.1.98", "1.2.840.10008.1.2.8.1"])
def test_wrapped_and_deflated_frames(uid: str) -> None:
    pixels = np.arange(2 * 5 * 7, dtype="u2").reshape(2, 5, 7)
    frames = [frame.astype("<u2").tobytes() for frame in pixels]
    if uid.endswith("8.1"):
        frames = [zlib.compress(frame, wbits=-15) for frame in frames]
    ds = image(pixels)
    description = ImageDescription.from_json(scanned(written(ds)).scanned.dataset)
    for frame, expected in zip(frames, pixels, strict=True):
        stored = StoredFrame(frame, scanned(written(ds)).scanned.dataset, uid)
        assert np.array_equal(decode_frame(stored, description, limit_bytes=LIMIT_BYTES).samples, expected)


@st.composite
def compressible_images(draw: st.DrawFn) -> tuple[np.ndarray, int]:
    size = draw(st.sampled_from([1, 2]))
    stored = draw(st.integers(8 * size - 7, 8 * size)) if size == 2 else draw(st.integers(2, 8))
    signed = draw(st.booleans())
    low, high = (-(1 << (stored - 1)), (1 << (stored - 1)) - 1) if signed else (0, (1 << stored) - 1)
    shape = (draw(st.integers(32, 40)), draw(st.integers(32, 40)))
    if draw(st.booleans()) and not signed:
        shape = (*shape, 3)
    seed = draw(st.integers(0, 2**32 - 1))
    values = np.random.default_rng(seed).integers(low, high + 1, shape)
    return values.astype(f"{'i' if signed else 'u'}{size}"), stored


ENCODED = ["1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"]


# Noise may take exactly as many bytes compressed as not, of which pydicom warns.
@pytest.mark.filterwarnings("ignore:The number of bytes of compressed pixel data matches:UserWarning")
@pytest.mark.parametrize("uid", ENCODED)
@given(case=compressible_images())
@settings(deadline=None, max_examples=25)
def test_what_we_compress_pydicom_and_we_decode_to_the_same_values(uid: str, case: tuple[np.ndarray, int]) -> None:
    pixels, bits = case
    stored = scanned(written(image(pixels[np.newaxis], BitsStored=bits, HighBit=bits - 1)))
    description = ImageDescription.from_json(stored.scanned.dataset)
    frame = DecodedFrame(pixels, description.photometric_interpretation)
    encoded = encode_frame(frame, description, uid)
    ours = decode_frame(StoredFrame(encoded, stored.scanned.dataset, uid), description, limit_bytes=LIMIT_BYTES)
    assert np.array_equal(ours.samples, pixels)
    theirs, _ = get_decoder(UID(uid)).as_array(
        encapsulate([encoded]),
        raw=True,
        rows=description.rows,
        columns=description.columns,
        samples_per_pixel=description.samples_per_pixel,
        photometric_interpretation=photometric_interpretation(frame, uid),
        bits_allocated=description.bits_allocated,
        bits_stored=bits,
        pixel_representation=int(description.signed),
        number_of_frames=1,
        planar_configuration=0,
        pixel_keyword="PixelData",
    )
    assert np.array_equal(theirs, pixels)


def test_compressed_chrominance_is_at_full_resolution_whatever_the_data_set_says() -> None:
    pixels = np.random.default_rng(3).integers(0, 256, (1, 40, 40, 3)).astype("u1")
    ds = image(pixels, PhotometricInterpretation="YBR_FULL")
    dataset = scanned(written(ds)).scanned.dataset
    description = ImageDescription.from_json(dataset)
    encoded = encode_frame(DecodedFrame(pixels[0], "YBR_FULL"), description, "1.2.840.10008.1.2.4.80")
    mislabelled = dataset | {"00280004": {"vr": "CS", "Value": ["YBR_FULL_422"]}}
    frame = StoredFrame(encoded, mislabelled, "1.2.840.10008.1.2.4.80")
    found = decode_frame(frame, ImageDescription.from_json(mislabelled), limit_bytes=LIMIT_BYTES)
    assert found.photometric_interpretation == "YBR_FULL"
    assert np.array_equal(found.samples, pixels[0])


def test_pixels_that_a_syntax_cannot_hold_are_refused() -> None:
    def refused(pixels: np.ndarray, uid: str, **attributes: object) -> None:
        stored = scanned(written(image(pixels[np.newaxis], **attributes)))
        description = ImageDescription.from_json(stored.scanned.dataset)
        with pytest.raises(NotAcceptable):
            encode_frame(DecodedFrame(pixels, "MONOCHROME2"), description, uid)

    refused(np.zeros((40, 40), "u4"), "1.2.840.10008.1.2.4.80")
    refused(np.full((40, 40), 4096, "u2"), "1.2.840.10008.1.2.4.80", BitsStored=12, HighBit=11)
    refused(np.zeros((16, 40), "u2"), "1.2.840.10008.1.2.4.90")
    refused(np.zeros((40, 40, 4), "u4"), "1.2.840.10008.1.2.5", PhotometricInterpretation="ARGB")


def test_native_bytes_pack_single_bits() -> None:
    pixels = np.array([[1, 0, 1], [1, 1, 0], [0, 0, 1]], "u1")
    dataset = scanned(written(image(pixels[np.newaxis], BitsAllocated=1, BitsStored=1, HighBit=0))).scanned.dataset
    assert native_bytes(pixels, ImageDescription.from_json(dataset)) == bytes([0b00011101, 0b1])
