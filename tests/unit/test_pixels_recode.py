"""Whole objects in other transfer syntaxes: same values, same pixels, attributes that describe them."""

import io
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset
from pydicom.encaps import encapsulate
from pydicom.pixels import pixel_array
from pydicom.sequence import Sequence
from pydicom.uid import UID, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian

from index.errors import CannotUnderstand, NotAcceptable, PacsError, TooLarge
from index.records import Wanted
from storage import transfer
from storage.pixels.decode import decode_frame
from storage.pixels.description import ImageDescription
from storage.pixels.recode import recode_dataset
from storage.pixels.rewrite import Encoding, rewrite
from tests.pixel_objects import LIMITS, StoredObject, image, load, quiet, read, scanned, with_meta, written
from tests.samples import sample, sample_id, shipped_files

IMPLICIT, EXPLICIT, DEFLATED, BIG = (
    "1.2.840.10008.1.2",
    "1.2.840.10008.1.2.1",
    "1.2.840.10008.1.2.1.99",
    "1.2.840.10008.1.2.2",
)
JPEG_LS, JPEG_2000, RLE = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90", "1.2.840.10008.1.2.5"
HTJ2K_RPCL = "1.2.840.10008.1.2.4.202"
# pydicom has no decoder for 12-bit lossy JPEG and its progressive processes.
NOT_FOR_PYDICOM = frozenset(f"1.2.840.10008.1.2.4.{n}" for n in (51, 53, 55))
OBJECTS = [path for path in shipped_files() if not path.name.startswith("chrSQEncoding")]
AMBIGUOUS = frozenset({"US", "SS", "OB", "OW", "OB or OW"})
"""In implicit VR some elements may be numbers or words; pydicom and the sender may have chosen differently."""
DESCRIBING = frozenset({0x00280004, 0x00280006, 0x7FE00010, 0x7FE00001, 0x7FE00002, 0x7FE00003})


def recoded(stored: StoredObject, target: str) -> bytes:
    """The object as a Part 10 file in the target syntax."""
    dataset = recode_dataset(
        stored.data,
        layout=stored.scanned.layout,
        dataset=stored.scanned.dataset,
        stored_uid=stored.transfer_syntax_uid,
        target_uid=target,
        limits=LIMITS,
    )
    return with_meta(dataset, stored, target)


@dataclass(frozen=True)
class Meant:
    """Differences that a target syntax brings with it."""

    swapped: bool
    """pydicom leaves binary values in the byte order of the file."""
    implicit: bool
    """The dictionary decides on VRs, whatever the original said."""


def differences(ours: Dataset, original: Dataset, meant: Meant, path: str = "") -> list[str]:
    """Elements that are not equal, but for the differences that are meant."""
    found = []
    ours_tags, tags = set(ours.keys()), {tag for tag in set(original.keys()) if tag.element and tag.group != 0xFFFE}
    if other := (tags ^ ours_tags) - DESCRIBING:
        found.append(f"{path} has other elements: {other}")
    for tag in sorted((tags & ours_tags) - DESCRIBING):
        left, right = ours[tag], original[tag]
        where = f"{path}{tag}"
        vrs = {str(left.VR), str(right.VR)}
        if vrs == {"SQ"}:
            if len(left.value) != len(right.value):
                found.append(f"{where} has another number of items")
            for number, pair in enumerate(zip(left.value, right.value, strict=False)):
                found += differences(*pair, meant, f"{where}[{number}]")
        elif len(vrs) == 1:
            if str(left.value) != str(right.value) and not (meant.swapped and is_binary(right)):
                found.append(f"{where} was {right.repval} and is {left.repval}")
        elif not (meant.implicit or "UN" in vrs or tag.is_private) and vrs - AMBIGUOUS:
            found.append(f"{where} was {right.VR} and is {left.VR}")
    return found


def is_binary(element: Any) -> bool:
    """Of these pydicom does not turn the bytes round; private ones may stand in UN, which has no byte order."""
    return str(element.VR) in ("OB", "OD", "OF", "OL", "OV", "OW", "UN") or element.tag.is_private


@pytest.mark.parametrize("target", [IMPLICIT, EXPLICIT, DEFLATED, BIG, JPEG_LS, RLE, JPEG_2000, HTJ2K_RPCL])
@pytest.mark.parametrize("path", OBJECTS, ids=sample_id)
def test_values_and_pixels_survive(path: Path, target: str) -> None:
    stored = load(path)
    is_image = stored.number_of_frames > 0
    try:
        transfer.plan(stored.transfer_syntax_uid, Wanted((target,), as_stored_ok=False), is_image=is_image)
        data = recoded(stored, target)
    except NotAcceptable:
        assert target not in transfer.NATIVE
        return
    ours, original = read(data), read(stored.data)
    meant = Meant(swapped=(target == BIG) != (stored.transfer_syntax_uid == BIG), implicit=target == IMPLICIT)
    with quiet():
        assert differences(ours, original, meant) == []
        if is_image:
            assert np.array_equal(pixel_array(ours), expected_pixels(stored, original))
            assert scanned(data).number_of_frames == stored.number_of_frames


def expected_pixels(stored: StoredObject, original: Dataset) -> np.ndarray:
    """By pydicom, or where it has no decoder by ours, which is compared with DCMTK elsewhere."""
    if stored.transfer_syntax_uid not in NOT_FOR_PYDICOM:
        return pixel_array(original)
    description = ImageDescription.from_json(stored.scanned.dataset)
    numbers = range(1, stored.number_of_frames + 1)
    frames = [decode_frame(stored.frame(number), description, limit_bytes=1 << 30).samples for number in numbers]
    return np.stack(frames) if len(frames) > 1 else frames[0]


@pytest.mark.parametrize(("target", "flag"), [(IMPLICIT, "+ti"), (EXPLICIT, "+te"), (BIG, "+tb")])
@pytest.mark.parametrize(
    "name",
    [
        "ct_syntaxes/BigEndianExplicit.dcm",
        "pr/prLUTs.dcm",
        "ecg/anonymous_ecg.dcm",
        "us/examples_palette.dcm",
        "rt/rtdose.dcm",
    ],
)
def test_rewriting_does_what_dcmtk_does(name: str, target: str, flag: str, tmp_path: Path) -> None:
    subprocess.run(["dcmconv", flag, str(sample(name)), str(tmp_path / "theirs.dcm")], check=True, capture_output=True)
    stored = load(sample(name))
    if stored.transfer_syntax_uid == target:
        return
    data = recoded(stored, target)
    (tmp_path / "ours.dcm").write_bytes(data)
    dump = subprocess.run(["dcmdump", str(tmp_path / "ours.dcm")], check=True, capture_output=True)
    assert b"W: " not in dump.stderr and b"E: " not in dump.stderr
    theirs, ours = read((tmp_path / "theirs.dcm").read_bytes()), read(data)
    with quiet():
        assert differences(ours, theirs, Meant(swapped=False, implicit=False)) == []
        if "PixelData" in ours and ours.BitsAllocated == 16:
            assert ours.PixelData == theirs.PixelData


def test_attributes_describe_the_new_pixels() -> None:
    colour = load(sample("us_cine/examples_ybr_color.dcm"))
    plain = read(recoded(colour, EXPLICIT))
    assert (plain.PhotometricInterpretation, plain.PlanarConfiguration) == ("RGB", 0)
    assert plain["PixelData"].VR == "OB"
    assert len(plain.PixelData) == plain.Rows * plain.Columns * 3 * int(plain.NumberOfFrames)
    rgb = load(sample("us/examples_rgb_color.dcm"))
    assert read(recoded(rgb, JPEG_2000)).PhotometricInterpretation == "YBR_RCT"
    assert read(recoded(rgb, JPEG_LS)).PhotometricInterpretation == "RGB"
    assert read(recoded(rgb, RLE)).PlanarConfiguration == 1


def test_another_name_for_the_same_bytes() -> None:
    stored = load(sample("ct_syntaxes/JPEG2000LosslessOnly.dcm"))
    data = recoded(stored, "1.2.840.10008.1.2.4.91")
    assert data.endswith(stored.data[stored.scanned.layout.dataset_offset_bytes :])


def test_objects_above_the_limit_are_refused() -> None:
    stored = load(sample("ct_syntaxes/JPEGLSLossless.dcm"))
    for limit in (100_000, 400_000):
        with pytest.raises(TooLarge):
            recode_dataset(
                stored.data,
                layout=stored.scanned.layout,
                dataset=stored.scanned.dataset,
                stored_uid=stored.transfer_syntax_uid,
                target_uid=EXPLICIT,
                limits=replace(LIMITS, decoded_bytes=limit),
            )


def test_encapsulated_single_bits_are_packed_without_gaps() -> None:
    pixels = (np.arange(3 * 5 * 3).reshape(3, 5, 3) % 3 == 0).astype("u1")
    ds = image(pixels, BitsAllocated=1, BitsStored=1, HighBit=0)
    frames = [np.packbits(frame.reshape(-1), bitorder="little").tobytes() for frame in pixels]
    ds.file_meta.TransferSyntaxUID = "1.2.840.10008.1.2.1.98"
    ds.PixelData = encapsulate(frames)
    ds["PixelData"].is_undefined_length = True
    plain = read(recoded(scanned(written(ds)), EXPLICIT))
    assert np.array_equal(plain.pixel_array, pixels)


# ---- rewrite alone, against pydicom's writer

short_text = st.text("ABCabc 123", max_size=8).map(str.strip)
u16, s16, u32, s32 = (
    st.integers(low, high) for low, high in ((0, 65535), (-32768, 32767), (0, 2**32 - 1), (-(2**31), 2**31 - 1))
)
doubles = st.floats(allow_nan=False, allow_infinity=False)
VALUES: dict[str, st.SearchStrategy[Any]] = {
    "PatientName": short_text,
    "StudyDescription": short_text,
    "StudyInstanceUID": st.just("1.2.3"),
    "Rows": u16,
    "SelectorFDValue": st.lists(doubles, max_size=3),
    "SelectorATValue": u32,
    "SelectorSLValue": s32,
    "SelectorSSValue": s16,
    "SelectorULValue": st.lists(u32, max_size=3),
    "SelectorFLValue": st.lists(st.floats(width=32, allow_nan=False, allow_infinity=False), max_size=3),
    "SelectorUVValue": st.integers(0, 2**64 - 1),
    "TextValue": st.text("ABC", max_size=2000),
    "PixelPaddingValue": u16.filter(lambda value: value < 32768),
    "ExtendedOffsetTable": st.just(b""),
    "SelectorOBValue": st.binary(max_size=6).map(lambda value: value + b"\0" * (len(value) % 2)),
}
ENCODINGS = {
    ImplicitVRLittleEndian: Encoding(explicit=False, little=True),
    ExplicitVRLittleEndian: Encoding(explicit=True, little=True),
    ExplicitVRBigEndian: Encoding(explicit=True, little=False),
}


@st.composite
def datasets(draw: st.DrawFn, depth: int = 0) -> Dataset:
    ds = Dataset()
    for keyword in draw(st.lists(st.sampled_from(sorted(VALUES)), unique=True, max_size=8)):
        setattr(ds, keyword, draw(VALUES[keyword]))
    if not depth:
        ds.PixelRepresentation = draw(st.integers(0, 1))
    if depth < 3 and draw(st.booleans()):
        ds.ReferencedStudySequence = Sequence(draw(st.lists(datasets(depth + 1), max_size=2)))
        ds["ReferencedStudySequence"].is_undefined_length = draw(st.booleans())
        for item in ds.ReferencedStudySequence:
            item.is_undefined_length_sequence_item = draw(st.booleans())
    return ds


def encoded(ds: Dataset, uid: UID) -> bytes:
    buffer = io.BytesIO()
    with quiet():
        pydicom.dcmwrite(buffer, ds, implicit_vr=uid.is_implicit_VR, little_endian=uid.is_little_endian)
    return buffer.getvalue()


@given(datasets())
@settings(deadline=None, max_examples=150)
def test_every_pair_of_encodings_gives_what_pydicom_writes(ds: Dataset) -> None:
    forms = {uid: encoded(ds, uid) for uid in ENCODINGS}
    for source, encoding in ENCODINGS.items():
        for target, wanted in ENCODINGS.items():
            signed = ds.get("PixelRepresentation") == 1
            assert rewrite(memoryview(forms[source]), encoding, wanted, signed=signed) == forms[target]


@given(datasets(), st.data())
@settings(deadline=None, max_examples=150)
def test_damaged_data_sets_raise_nothing_but_our_errors(ds: Dataset, data: st.DataObject) -> None:
    source = data.draw(st.sampled_from(sorted(ENCODINGS)))
    content = bytearray(encoded(ds, source))
    del content[data.draw(st.integers(0, len(content))) :]
    if content:
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    for target in ENCODINGS.values():
        try:
            rewrite(memoryview(bytes(content)), ENCODINGS[source], target)
        except PacsError:
            continue


def test_values_too_long_for_their_explicit_vr_become_unknown() -> None:
    ds = Dataset()
    ds.DataPointRows = 1
    ds.ContourData = [1.5] * 20_000
    implicit = encoded(ds, ImplicitVRLittleEndian)
    explicit = rewrite(memoryview(implicit), Encoding(False, True), Encoding(True, True))
    assert explicit[explicit.index(b"\x06\x30\x50\x00") + 4 :].startswith(b"UN\0\0")
    assert rewrite(memoryview(explicit), Encoding(True, True), Encoding(False, True)) == implicit


def test_ambiguous_values_follow_pixel_representation_of_the_enclosing_data_set() -> None:
    ds = Dataset()
    ds.PixelRepresentation = 1
    item = Dataset()
    item.add_new(0x00283002, "SS", [10, -5, 16])
    ds.ModalityLUTSequence = Sequence([item])
    implicit = encoded(ds, ImplicitVRLittleEndian)
    assert rewrite(memoryview(implicit), Encoding(False, True), Encoding(True, True)) == encoded(
        ds, ExplicitVRLittleEndian
    )


def test_unknown_sequences_are_copied_byte_for_byte() -> None:
    inside = bytes.fromhex(
        "feff00e0ffffffff 10000000 04000000 41424344 feff0de000000000 feffdde000000000".replace(" ", "")
    )
    unknown = bytes.fromhex("11001010") + b"UN\0\0" + b"\xff\xff\xff\xff" + inside
    after = bytes.fromhex("280010005553020000 02".replace(" ", ""))
    big = rewrite(memoryview(unknown + after), Encoding(True, True), Encoding(True, False))
    assert big == bytes.fromhex("00111010") + b"UN\0\0" + b"\xff\xff\xff\xff" + inside + bytes.fromhex(
        "00280010555300020200"
    )
    assert rewrite(memoryview(big), Encoding(True, False), Encoding(True, True)) == unknown + after


def test_faults_that_ingest_takes_are_taken_here() -> None:
    rows = bytes.fromhex("28001000") + b"US" + bytes.fromhex("02000200")
    implicit_rows = bytes.fromhex("2800100002000000" + "0200")
    explicit, implicit = Encoding(True, True), Encoding(False, True)
    assert rewrite(memoryview(rows + bytes(6)), explicit, implicit) == implicit_rows
    assert rewrite(memoryview(rows + bytes(64)), explicit, implicit) == implicit_rows
    assert rewrite(memoryview(implicit_rows), explicit, explicit) == rows
    assert rewrite(memoryview(rows), implicit, implicit) == implicit_rows
    group_length = bytes.fromhex("28000000") + b"UL" + bytes.fromhex("04000a000000")
    assert rewrite(memoryview(group_length + rows), explicit, explicit) == rows
    stray_delimiter = bytes.fromhex("feff0de000000000")
    assert rewrite(memoryview(stray_delimiter + rows), explicit, implicit) == implicit_rows
    no_sequence = bytes.fromhex("400070a1 04000000".replace(" ", "")) + b"TEXT"
    assert b"UN" in rewrite(memoryview(no_sequence), implicit, explicit)
    with pytest.raises(CannotUnderstand):
        rewrite(memoryview(rows[:-1]), explicit, implicit)
