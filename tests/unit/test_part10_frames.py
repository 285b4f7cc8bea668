"""Layouts of pixels: every kind of table and fragmentation, and claims that the bytes do not hold."""

import io
from pathlib import Path
from typing import Any

import numpy
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.encaps import encapsulate, encapsulate_extended, generate_frames, itemize_fragment
from pydicom.uid import generate_uid

from config.settings import Limits
from index.errors import NotFound
from index.layout import EncapsulatedPixels, NativePixels, pack, unpack
from storage import part10, syntaxes
from storage.frames import byte_ranges, cut_bits
from storage.inflate import inflate
from tests.json_oracle import quiet_pydicom
from tests.samples import instance_files, sample_id

LIMITS = Limits()


def scan(data: bytes) -> part10.Scanned:
    meta = part10.MetaReader().feed(data)
    assert meta is not None
    return part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=LIMITS,
        bulk_threshold_bytes=1024,
    )


def frames_of(data: bytes, scanned: part10.Scanned) -> list[bytes]:
    layout = scanned.layout.pixels
    assert layout is not None
    where = inflate(data, scanned.layout.dataset_offset_bytes, LIMITS) if scanned.layout.deflated else data
    frames = []
    for number in range(1, layout.number_of_frames + 1):
        frame = b"".join(where[start : start + size] for start, size in byte_ranges(layout, number))
        frames.append(cut_bits(layout, number, frame) if isinstance(layout, NativePixels) else frame)
    return frames


def expected_frames(ds: Dataset) -> list[bytes]:
    """The frames by pydicom's own splitting, or for native ones by numpy from the definition in PS3.5 8.1.1."""
    count = int(ds.get("NumberOfFrames", 1) or 1)
    keyword = next(name for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData") if name in ds)
    if ds.file_meta.TransferSyntaxUID.is_encapsulated:
        table = ds.get("ExtendedOffsetTable"), ds.get("ExtendedOffsetTableLengths")
        extended = table if all(table) else None
        return list(generate_frames(ds.PixelData, number_of_frames=count, extended_offsets=extended))
    allocated = {"PixelData": ds.get("BitsAllocated"), "FloatPixelData": 32, "DoubleFloatPixelData": 64}[keyword]
    samples = 2 if ds.PhotometricInterpretation == "YBR_FULL_422" else ds.get("SamplesPerPixel", 1)
    size = ds.Rows * ds.Columns * samples * allocated
    bits = numpy.unpackbits(numpy.frombuffer(ds[keyword].value, "u1"), bitorder="little")[: count * size]
    return [numpy.packbits(frame, bitorder="little").tobytes() for frame in bits.reshape(count, size)]


def has_pixels(path: Path) -> bool:
    with quiet_pydicom():
        ds = pydicom.dcmread(path, defer_size=1024)
    return any(name in ds for name in ("PixelData", "FloatPixelData", "DoubleFloatPixelData"))


@pytest.mark.parametrize("path", instance_files(), ids=sample_id)
def test_frames_of_real_files(path: Path) -> None:
    data = path.read_bytes()
    scanned = scan(data)
    if not has_pixels(path):
        assert scanned.layout.pixels is None
        return
    with quiet_pydicom():
        expected = expected_frames(pydicom.dcmread(path))
    assert frames_of(data, scanned) == expected
    assert unpack(pack(scanned.layout)) == scanned.layout


def image(pixels: bytes, uid: str = syntaxes.JPEG_BASELINE, **attributes: Any) -> bytes:
    """A small file with these pixels; `attributes` replace the defaults, None removes one."""
    ds = Dataset()
    ds.SOPClassUID, ds.SOPInstanceUID = "1.2.840.10008.5.1.4.1.1.7", generate_uid()
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    defaults = {"Rows": 4, "Columns": 4, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7, "SamplesPerPixel": 1}
    defaults |= {"PixelRepresentation": 0, "PhotometricInterpretation": "MONOCHROME2"}
    for keyword, value in (defaults | attributes).items():
        if value is not None:
            setattr(ds, keyword, value)
    ds.PixelData = pixels
    ds["PixelData"].VR = "OB"
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = uid
    ds["PixelData"].is_undefined_length = ds.file_meta.TransferSyntaxUID.is_encapsulated
    output = io.BytesIO()
    with quiet_pydicom():
        ds.save_as(output, enforce_file_format=True)
    return output.getvalue()


FRAMES = [b"\xff\xd8\xff" + bytes([number]) * (20 + 2 * number) + b"\0\xff\xd9" for number in range(1, 6)]


@pytest.mark.parametrize("fragments", [1, 2, 3])
def test_basic_offset_table(fragments: int) -> None:
    data = image(encapsulate(FRAMES, fragments_per_frame=fragments), NumberOfFrames=5)
    scanned = scan(data)
    assert frames_of(data, scanned) == FRAMES
    assert not scanned.warnings


def test_extended_offset_table() -> None:
    pixels, offsets, lengths = encapsulate_extended(FRAMES)
    data = image(pixels, NumberOfFrames=5, ExtendedOffsetTable=offsets, ExtendedOffsetTableLengths=lengths)
    assert frames_of(data, scan(data)) == FRAMES


def test_no_table_one_fragment_a_frame() -> None:
    data = image(encapsulate(FRAMES, has_bot=False), NumberOfFrames=5)
    assert frames_of(data, scan(data)) == FRAMES


def test_no_table_one_frame_in_many_fragments() -> None:
    data = image(encapsulate(FRAMES[:1], fragments_per_frame=4, has_bot=False))
    scanned = scan(data)
    assert frames_of(data, scanned) == FRAMES[:1]


def test_no_table_frames_are_told_apart_by_their_start() -> None:
    data = image(encapsulate(FRAMES, fragments_per_frame=3, has_bot=False), NumberOfFrames=5)
    assert frames_of(data, scan(data)) == FRAMES


def test_marks_count_more_than_number_of_frames() -> None:
    data = image(encapsulate(FRAMES, has_bot=False), NumberOfFrames=3)
    scanned = scan(data)
    assert frames_of(data, scanned) == FRAMES
    assert scanned.warnings


def test_good_table_of_another_number_of_frames() -> None:
    frames = [bytes([number]) * 30 for number in range(1, 4)]
    data = image(encapsulate(frames, fragments_per_frame=2), NumberOfFrames=5)
    scanned = scan(data)
    assert frames_of(data, scanned) == frames
    assert scanned.warnings


def test_many_frames_in_a_packed_layout() -> None:
    data = image(encapsulate(FRAMES * 40, fragments_per_frame=2), NumberOfFrames=200)
    layout = scan(data).layout
    assert frames_of(data, scan(data)) == FRAMES * 40
    assert unpack(pack(layout)) == layout


def test_no_table_and_no_marks() -> None:
    frames = [bytes([number]) * 30 for number in range(1, 4)]
    data = image(encapsulate(frames, fragments_per_frame=2, has_bot=False), NumberOfFrames=3)
    scanned = scan(data)
    assert scanned.layout.pixels is None
    assert "7FE00010" in scanned.layout.bulk
    assert scanned.warnings


def test_table_that_points_nowhere_falls_back_to_counting() -> None:
    pixels = bytearray(encapsulate(FRAMES))
    assert len(pixels) > 28
    pixels[12:16] = (7777).to_bytes(4, "little")
    data = image(bytes(pixels), NumberOfFrames=5)
    assert frames_of(data, scan(data)) == FRAMES


def test_table_of_one_entry_for_many_frames_falls_back_to_counting() -> None:
    items = b"\xfe\xff\x00\xe0\x04\x00\x00\x00\0\0\0\0" + b"".join(itemize_fragment(frame) for frame in FRAMES)
    data = image(items, NumberOfFrames=5)
    assert frames_of(data, scan(data)) == FRAMES


def test_table_of_odd_length() -> None:
    items = b"\xfe\xff\x00\xe0\x06\x00\x00\x00" + bytes(6) + itemize_fragment(FRAMES[0])
    data = image(items)
    assert frames_of(data, scan(data)) == FRAMES[:1]


def test_number_of_frames_that_does_not_agree() -> None:
    data = image(encapsulate(FRAMES, has_bot=False), NumberOfFrames=9)
    scanned = scan(data)
    assert frames_of(data, scanned) == FRAMES
    assert [warning.detail for warning in scanned.warnings] == ["Number of Frames does not agree with Pixel Data"]


def test_video_is_one_stream() -> None:
    data = image(encapsulate(FRAMES, has_bot=False), "1.2.840.10008.1.2.4.102", NumberOfFrames=250)
    layout = scan(data).layout.pixels
    assert isinstance(layout, EncapsulatedPixels)
    assert layout.number_of_frames == 1
    assert len(byte_ranges(layout, 1)) == 5


def test_encapsulated_without_fragments() -> None:
    scanned = scan(image(b"\xfe\xff\x00\xe0\0\0\0\0"))
    assert scanned.layout.pixels is None
    assert scanned.warnings


def test_missing_sequence_delimiter_is_tolerated() -> None:
    data = image(encapsulate(FRAMES[:1]))
    assert data.endswith(b"\xfe\xff\xdd\xe0\0\0\0\0")
    scanned = scan(data[:-8])
    assert len(frames_of(data, scanned)) == 1
    assert scanned.warnings


def test_native_pixels_in_an_encapsulated_syntax_have_no_frames() -> None:
    data = image(bytes(16), syntaxes.EXPLICIT_LITTLE)
    meta = part10.MetaReader().feed(data)
    assert meta is not None
    scanned = part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=syntaxes.RLE_LOSSLESS,
        limits=LIMITS,
        bulk_threshold_bytes=1024,
    )
    assert scanned.layout.pixels is None
    assert scanned.warnings


@pytest.mark.parametrize(
    ("attributes", "length", "frames"),
    [
        ({"Rows": 60000, "Columns": 60000}, 16, 0),
        ({"NumberOfFrames": 3}, 32, 2),
        ({"NumberOfFrames": 2_000_000_000}, 16, 1),
        ({"NumberOfFrames": 0}, 16, 1),
        ({"NumberOfFrames": None}, 16, 1),
        ({"Rows": None}, 16, 1),
        ({"Rows": 0}, 16, 1),
        ({"BitsAllocated": None}, 16, 1),
        ({"SamplesPerPixel": None}, 16, 1),
    ],
)
def test_claims_are_not_believed(attributes: dict[str, Any], length: int, frames: int) -> None:
    scanned = scan(image(bytes(length), syntaxes.EXPLICIT_LITTLE, **attributes))
    layout = scanned.layout.pixels
    assert (layout.number_of_frames if layout else 0) == frames


def test_pixels_of_an_icon_are_not_the_image() -> None:
    icon = Dataset()
    icon.Rows = icon.Columns = 64
    icon.BitsAllocated, icon.SamplesPerPixel = 8, 1
    icon.PixelData = bytes(4096)
    data = image(bytes(16), syntaxes.EXPLICIT_LITTLE, IconImageSequence=[icon])
    scanned = scan(data)
    assert frames_of(data, scanned) == [bytes(16)]
    assert set(scanned.layout.bulk) == {"00880200/1/7FE00010", "7FE00010"}


@pytest.mark.parametrize("number", [-1, 0, 3])
def test_frame_that_is_not_there(number: int) -> None:
    with pytest.raises(NotFound):
        byte_ranges(NativePixels(0, 32, 128, 2), number)


@given(st.integers(1, 300), st.integers(1, 9), st.binary(min_size=340, max_size=340))
def test_single_bit_frames(frame_bits: int, frames: int, content: bytes) -> None:
    layout = NativePixels(0, len(content), frame_bits, frames)
    bits = numpy.unpackbits(numpy.frombuffer(content, "u1"), bitorder="little")
    for number in range(1, frames + 1):
        ((start, size),) = byte_ranges(layout, number)
        ours = cut_bits(layout, number, content[start : start + size])
        theirs = bits[(number - 1) * frame_bits : number * frame_bits]
        assert ours == numpy.packbits(theirs, bitorder="little").tobytes()
