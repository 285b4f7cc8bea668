"""Images, videos and documents as instances: valid by dciodvfy, pixels as numpy knows them, like those of DCMTK."""

import io
import struct
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pydicom
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from pydicom.uid import UID

from config.settings import Limits
from index.errors import CannotUnderstand, DataSetMismatch, PacsError, TooLarge
from index.records import InstanceKey
from storage import composing
from storage.assembling import key_of
from storage.spool import Held, Spool
from storage.wrapping.material import element
from storage.wrapping.wrap import PIXEL_TYPES, File, Workshop, Wrapped, wrap
from tests.json_oracle import quiet_pydicom
from tests.samples import SHIPPED

VIDEOS = Path(__file__).parents[1] / "data" / "video"
SPOOLS: list[Spool] = []


def new_spool() -> Spool:
    SPOOLS.append(Spool(threshold_bytes=1 << 24))
    return SPOOLS[-1]


@pytest.fixture(autouse=True)
def _no_spool_is_left() -> Iterator[None]:
    yield
    while SPOOLS:
        SPOOLS.pop().close()


WORKSHOP = Workshop(Limits(), new_spool)
RANDOM = np.random.default_rng(1)
COLOUR = RANDOM.integers(0, 256, (48, 64, 3), dtype="uint8")
GREY = COLOUR[..., 0].copy()
DEEP = RANDOM.integers(0, 4096, (48, 64), dtype="uint16")
DEEP_COLOUR = RANDOM.integers(0, 65536, (20, 30, 3), dtype="uint16")
SC, VL, DOCUMENT = "1.2.840.10008.5.1.4.1.1.7", "1.2.840.10008.5.1.4.1.1.77.1", "1.2.840.10008.5.1.4.1.1.104"
TX = "1.2.840.10008.1.2"
CDA = (
    b'<?xml version="1.0"?>\n<ClinicalDocument xmlns="urn:hl7-org:v3"><id root="1.2" extension="x"/></ClinicalDocument>'
)
STL = bytes(80) + (1).to_bytes(4, "little") + bytes(50)


def pillow(kind: str, *arrays: np.ndarray[Any, Any], **options: Any) -> bytes:
    images = [Image.fromarray(array) for array in arrays]
    stream = io.BytesIO()
    more = {"save_all": True, "append_images": images[1:]} if len(images) > 1 else {}
    images[0].save(stream, kind, **more, **options)
    return stream.getvalue()


def made(media_type: str, data: bytes, syntax: str = "", workshop: Workshop = WORKSHOP, **said: Any) -> Wrapped:
    """An instance; the metadata are keywords of CS, or whole elements by tag."""
    attributes = {key.removeprefix("t"): value for key, value in said.items() if key.startswith("t")}
    if "modality" in said:
        attributes["00080060"] = element("CS", said["modality"])
    return wrap(File(media_type, Held(data), syntax), attributes, workshop)


def file_of(wrapped: Wrapped) -> bytes:
    dataset = wrapped.dataset | {wrapped.tag: {**wrapped.dataset[wrapped.tag], "BulkDataURI": "x"}}
    composition = composing.Composition(
        composing.in_unicode(dataset), wrapped.transfer_syntax_uid, lambda *_: wrapped.content
    )
    key = key_of(dataset)
    assert isinstance(key, InstanceKey)
    return b"".join(composing.part10(composition, key, dataset["00080016"]["Value"][0]))


def read(wrapped: Wrapped) -> pydicom.Dataset:
    with quiet_pydicom():
        return pydicom.dcmread(io.BytesIO(file_of(wrapped)))


IMAGES: dict[str, tuple[str, bytes, str, str, np.ndarray[Any, Any] | None]] = {
    "jpeg": ("image/jpeg", pillow("JPEG", COLOUR), f"{TX}.4.50", SC, None),
    "jpeg grey": ("image/jpeg", pillow("JPEG", GREY), f"{TX}.4.50", SC, None),
    "jpeg progressive": ("image/jpeg", pillow("JPEG", COLOUR, progressive=True), f"{TX}.4.55", SC, None),
    "jpeg lossless": ("image/jpeg", imagecodecs.ljpeg_encode(DEEP, bitspersample=12), f"{TX}.4.57", SC, DEEP),
    "jpeg-ls": ("image/jls", imagecodecs.jpegls_encode(DEEP), f"{TX}.4.80", SC, DEEP),
    "jpeg-ls near": ("image/jls", imagecodecs.jpegls_encode(GREY, level=3), f"{TX}.4.81", SC, None),
    "jpeg 2000": ("image/jp2", pillow("JPEG2000", COLOUR), f"{TX}.4.90", SC, COLOUR),
    "jpeg 2000 lossy": ("image/jp2", pillow("JPEG2000", COLOUR, irreversible=True), f"{TX}.4.91", SC, None),
    "htj2k": ("image/jphc", imagecodecs.htj2k_encode(DEEP), f"{TX}.4.201", SC, DEEP),
    "png": ("image/png", pillow("PNG", COLOUR), f"{TX}.1", SC, COLOUR),
    "png grey": ("image/png", pillow("PNG", GREY), f"{TX}.1", SC, GREY),
    "png 16 bits": ("image/png", imagecodecs.png_encode(DEEP), f"{TX}.1", SC, DEEP),
    "png 48 bits": ("image/png", imagecodecs.png_encode(DEEP_COLOUR), f"{TX}.1", SC, DEEP_COLOUR),
    "bmp": ("image/bmp", pillow("BMP", COLOUR), f"{TX}.1", SC, COLOUR),
    "tiff": ("image/tiff", pillow("TIFF", COLOUR), f"{TX}.1", SC, COLOUR),
    "tiff pages": ("image/tiff", pillow("TIFF", COLOUR, 255 - COLOUR), f"{TX}.1", f"{SC}.4", None),
    "tiff grey pages": ("image/tiff", pillow("TIFF", GREY, 255 - GREY), f"{TX}.1", f"{SC}.2", None),
    "tiff deep pages": ("image/tiff", pillow("TIFF", DEEP, DEEP + 1), f"{TX}.1", f"{SC}.3", np.stack([DEEP, DEEP + 1])),
    "gif": ("image/gif", pillow("GIF", GREY), f"{TX}.1", SC, None),
    "gif animation": ("image/gif", pillow("GIF", COLOUR, 255 - COLOUR, duration=80), f"{TX}.1", f"{SC}.4", None),
}
"""Name -> media type, file, transfer syntax, SOP class, pixels that must come out when nothing may be lost."""


def complaints(data: bytes, folder: Path) -> list[str]:
    """What dciodvfy calls errors."""
    (folder / "made.dcm").write_bytes(data)
    run = subprocess.run(["dciodvfy", "-new", folder / "made.dcm"], capture_output=True, text=True)
    return [line for line in (run.stdout + run.stderr).splitlines() if line.startswith("Error")]


def named_as(data: bytes, wrapped: Wrapped, uid: str) -> bytes:
    """The file with another transfer syntax in its meta group: dciodvfy does not know the newest ones."""
    old, new = wrapped.transfer_syntax_uid.encode(), uid.encode()
    return data.replace(old.ljust(len(old) + len(old) % 2, b"\0"), new.ljust(len(old) + len(old) % 2, b"\0"), 1)


@pytest.mark.parametrize("name", IMAGES)
def test_images_are_valid_and_lose_nothing(name: str, tmp_path: Path) -> None:
    media_type, data, syntax, sop_class, pixels = IMAGES[name]
    wrapped = made(media_type, data)
    ds = read(wrapped)
    assert (ds.file_meta.TransferSyntaxUID, ds.SOPClassUID) == (syntax, sop_class)
    assert ds.file_meta.MediaStorageSOPInstanceUID == ds.SOPInstanceUID
    whole = file_of(wrapped)
    assert complaints(named_as(whole, wrapped, f"{TX}.4.90") if "201" in syntax else whole, tmp_path) == []
    if pixels is not None:
        assert np.array_equal(ds.pixel_array, pixels)
    elif name == "jpeg-ls near":
        assert np.abs(ds.pixel_array.astype(int) - GREY).max() <= 3
    elif name != "jpeg progressive":
        with Image.open(io.BytesIO(data)) as image:
            shown = np.asarray(image.convert("RGB" if ds.SamplesPerPixel == 3 else "L"))
        first = ds.pixel_array[0] if getattr(ds, "NumberOfFrames", 1) > 1 else ds.pixel_array
        assert np.abs(first.astype(int) - shown).max() <= 3


@pytest.mark.parametrize("path", sorted((SHIPPED / "ct_syntaxes").glob("JP*.dcm")), ids=lambda path: path.stem)
def test_frames_of_others_are_named_as_their_files_name_them(path: Path) -> None:
    with quiet_pydicom():
        theirs = pydicom.dcmread(path)
    _, *fragments = pydicom.encaps.generate_fragments(theirs.PixelData)
    media_type = "image/jp2" if "JPEG2000" in path.stem else "image/jls" if "JPEGLS" in path.stem else "image/jpeg"
    theirs_uid = theirs.file_meta.TransferSyntaxUID
    wrapped = made(media_type, b"".join(fragments), theirs_uid)
    assert (wrapped.transfer_syntax_uid, read(wrapped).Rows) == (theirs_uid, theirs.Rows)
    # Of these two the stream also conforms to another syntax, and does not say which one is meant.
    if path.stem not in ("JPEG2000", "JPEGProcess6_8"):
        assert made(media_type, b"".join(fragments)).transfer_syntax_uid == theirs_uid
    with pytest.raises(CannotUnderstand):
        made(media_type, b"".join(fragments), "1.2.840.10008.1.2.4.203")


@pytest.mark.parametrize(
    ("modality", "sop_class"), [("XC", f"{VL}.4"), ("ES", f"{VL}.1"), ("GM", f"{VL}.2"), ("CT", SC)]
)
def test_modality_decides_about_the_class_of_photographs(modality: str, sop_class: str, tmp_path: Path) -> None:
    wrapped = made("image/jpeg", IMAGES["jpeg"][1], modality=modality)
    assert read(wrapped).SOPClassUID == sop_class
    assert complaints(file_of(wrapped), tmp_path) == []


def test_animations_and_pages_say_what_their_frames_are() -> None:
    pages, moving = (
        read(made("image/tiff", IMAGES["tiff pages"][1])),
        read(made("image/gif", IMAGES["gif animation"][1])),
    )
    assert (pages.NumberOfFrames, list(pages.PageNumberVector)) == (2, [1, 2])
    assert (moving.NumberOfFrames, moving.FrameTime, moving.FrameIncrementPointer) == (2, 80, 0x00181063)
    uneven = read(made("image/gif", pillow("GIF", COLOUR, 255 - COLOUR, duration=[80, 120])))
    assert (uneven.FrameIncrementPointer, list(uneven.FrameTimeVector)) == (0x00181065, [0, 80])


def test_what_was_lost_is_told() -> None:
    lossy = read(made("image/jpeg", IMAGES["jpeg"][1]))
    assert (lossy.LossyImageCompression, lossy.LossyImageCompressionMethod) == ("01", "ISO_10918_1")
    assert lossy.LossyImageCompressionRatio == pytest.approx(48 * 64 * 3 / len(IMAGES["jpeg"][1]), abs=0.001)
    assert read(made("image/png", IMAGES["png"][1])).LossyImageCompression == "00"
    inside = read(made("image/tiff", pillow("TIFF", COLOUR, compression="jpeg")))
    assert (inside.LossyImageCompression, inside.file_meta.TransferSyntaxUID) == ("01", f"{TX}.1")


@pytest.mark.parametrize("mode", ["RGBA", "P", "1", "LA"])
def test_palettes_and_transparency_become_plain_pixels(mode: str) -> None:
    image = Image.fromarray(COLOUR).convert(mode)
    stream = io.BytesIO()
    image.save(stream, "PNG")
    ds = read(made("image/png", stream.getvalue()))
    wanted = np.asarray(image.convert("L" if mode in ("1", "LA") else "RGB"))
    assert np.array_equal(ds.pixel_array, wanted)


def plain_tiff(pixels: np.ndarray[Any, Any], photometric: int) -> bytes:
    """One strip of 16-bit samples (TIFF 6.0): Pillow cannot write colour of this depth."""
    rows, columns, samples = pixels.shape
    data, ends = pixels.astype("<u2").tobytes(), 8 + 2 + 12 * 9 + 4
    entries = [(256, 3, 1, columns), (257, 3, 1, rows), (258, 3, samples, ends if samples > 1 else 16), (259, 3, 1, 1)]
    entries += [(262, 3, 1, photometric), (273, 4, 1, ends + 2 * samples), (277, 3, 1, samples), (278, 3, 1, rows)]
    entries += [(279, 4, 1, len(data))]
    head = b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(struct.pack("<HHII", *one) for one in entries)
    return head + bytes(4) + struct.pack("<H", 16) * samples + data


def test_deep_tiff_keeps_all_its_bits() -> None:
    colour = read(made("image/tiff", plain_tiff(DEEP_COLOUR, 2)))
    assert (colour.BitsStored, np.array_equal(colour.pixel_array, DEEP_COLOUR)) == (16, True)
    white_is_zero = read(made("image/tiff", plain_tiff(DEEP[..., None], 0)))
    assert white_is_zero.PhotometricInterpretation == "MONOCHROME1"
    assert np.array_equal(white_is_zero.pixel_array, DEEP)


def test_grey_animations_become_colour() -> None:
    ds = read(made("image/gif", pillow("GIF", GREY, 255 - GREY, duration=50)))
    assert (ds.SOPClassUID, ds.NumberOfFrames) == (f"{SC}.4", 2)
    assert np.array_equal(ds.pixel_array[1], np.stack([255 - GREY] * 3, axis=-1))


VIDEO_FILES = {
    "h264.mp4": ("video/mp4", f"{TX}.4.102", "XC", f"{VL}.4.1", 8),
    "h264_baseline.mp4": ("video/mp4", f"{TX}.4.102", "ES", f"{VL}.1.1", 8),
    "hevc.mp4": ("video/mp4", f"{TX}.4.107", "GM", f"{VL}.2.1", 8),
    "hevc10.mp4": ("video/mp4", f"{TX}.4.108", "", f"{VL}.4.1", 10),
    "mpeg2.mpg": ("video/mpeg2", f"{TX}.4.100", "", f"{VL}.4.1", 8),
    "mpeg2.ts": ("video/mpeg", f"{TX}.4.100", "", f"{VL}.4.1", 8),
}


@pytest.mark.parametrize("name", VIDEO_FILES)
def test_videos_keep_their_stream_and_tell_their_shape(name: str, tmp_path: Path) -> None:
    media_type, syntax, modality, sop_class, bits = VIDEO_FILES[name]
    data = (VIDEOS / name).read_bytes()
    wrapped = made(media_type, data, **({"modality": modality} if modality else {}))
    ds = read(wrapped)
    assert (ds.file_meta.TransferSyntaxUID, ds.SOPClassUID, ds.BitsStored) == (syntax, sop_class, bits)
    assert (ds.Rows, ds.Columns, ds.NumberOfFrames, ds.FrameTime, ds.CineRate) == (48, 64, 10, 40, 25)
    _, fragment = pydicom.encaps.generate_fragments(ds.PixelData)
    assert fragment == data + b"\0" * (len(data) % 2)
    known = named_as(file_of(wrapped), wrapped, f"{TX}.4.102")
    if bits == 8:  # dciodvfy expects 8 bits of every video.
        assert complaints(known, tmp_path) == []


def test_a_video_may_be_named_by_any_syntax_it_conforms_to() -> None:
    data = (VIDEOS / "h264.mp4").read_bytes()
    for syntax in (f"{TX}.4.103", f"{TX}.4.104", f"{TX}.4.102.1"):
        assert made("video/mp4", data, syntax).transfer_syntax_uid == syntax
    with pytest.raises(CannotUnderstand):
        made("video/mp4", data, f"{TX}.4.107")


DOCUMENTS = {
    "application/pdf": (b"%PDF-1.4\n%%EOF\n", f"{DOCUMENT}.1", "DOC"),
    "text/xml": (CDA, f"{DOCUMENT}.2", "DOC"),
    "model/stl": (STL, f"{DOCUMENT}.3", "M3D"),
    "model/obj": (b"v 0 0 0\nv 1 0 0\nv 0 1 0\nf 1 2 3\n", f"{DOCUMENT}.4", "M3D"),
    "model/mtl": (b"newmtl red\nKd 1 0 0\n", f"{DOCUMENT}.5", "M3D"),
}


@pytest.mark.parametrize("media_type", DOCUMENTS)
def test_documents_are_enclosed_byte_for_byte(media_type: str, tmp_path: Path) -> None:
    data, sop_class, modality = DOCUMENTS[media_type]
    wrapped = made(media_type, data)
    ds = read(wrapped)
    assert (ds.SOPClassUID, ds.Modality, ds.EncapsulatedDocumentLength) == (sop_class, modality, len(data))
    assert ds.EncapsulatedDocument[: len(data)] == data
    assert ds.MIMETypeOfEncapsulatedDocument.lower() == media_type
    if sop_class[-1] in "123":  # dciodvfy does not know the newer ones.
        assert complaints(file_of(wrapped), tmp_path) == []
    if media_type == "text/xml":
        assert ds.HL7InstanceIdentifier == "1.2^x"


@pytest.mark.parametrize(
    ("tool", "suffix", "media_type", "data"),
    [
        (["/usr/bin/img2dcm"], "jpg", "image/jpeg", pillow("JPEG", COLOUR)),
        (["/usr/bin/img2dcm", "-i", "BMP"], "bmp", "image/bmp", pillow("BMP", COLOUR)),
        (["/usr/bin/pdf2dcm"], "pdf", "application/pdf", DOCUMENTS["application/pdf"][0]),
        (["/usr/bin/cda2dcm"], "xml", "text/xml", CDA),
        (["/usr/bin/stl2dcm"], "stl", "model/stl", STL),
    ],
)
def test_dcmtk_makes_much_the_same(tool: list[str], suffix: str, media_type: str, data: bytes, tmp_path: Path) -> None:
    """The same class, syntax, description of the content and content."""
    source, target = tmp_path / f"in.{suffix}", tmp_path / "out.dcm"
    source.write_bytes(data)
    run = subprocess.run([*tool, source, target], capture_output=True)
    assert run.returncode == 0, run.stderr
    theirs, ours = pydicom.dcmread(target), read(made(media_type, data))
    assert theirs.file_meta.TransferSyntaxUID == ours.file_meta.TransferSyntaxUID
    for keyword in ("SOPClassUID", "Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "PhotometricInterpretation"):
        assert theirs.get(keyword) == ours.get(keyword), keyword
    if suffix == "jpg":
        # DCMTK drops the JFIF segment from the stream.
        assert np.array_equal(ours.pixel_array, theirs.pixel_array)
    elif "EncapsulatedDocument" in theirs:
        assert ours.EncapsulatedDocument == theirs.EncapsulatedDocument
        assert ours.MIMETypeOfEncapsulatedDocument.lower() == theirs.MIMETypeOfEncapsulatedDocument.lower()


def test_what_the_sender_says_stands_and_what_is_made_up_is_told() -> None:
    said = {"t0020000D": element("UI", "1.2.3"), "t00100010": element("PN", {"Alphabetic": "Ä^B"})}
    wrapped = made("image/png", IMAGES["png"][1], **said)
    ds = read(wrapped)
    assert (ds.StudyInstanceUID, str(ds.PatientName), ds.SpecificCharacterSet) == ("1.2.3", "Ä^B", "ISO_IR 192")
    assert {"00080016", "00080018", "0020000E", "00100020"} <= set(wrapped.made)
    assert not {"0020000D", "00100010", "00280010"} & set(wrapped.made)
    complete = {f"t{tag}": value for tag, value in wrapped.dataset.items() if tag != wrapped.tag}
    assert made("image/png", IMAGES["png"][1], **complete).made == ()


def test_the_same_request_makes_the_same_instance_and_another_one_does_not() -> None:
    one, again = made("image/png", IMAGES["png"][1]), made("image/png", IMAGES["png"][1])
    other = made("image/png", IMAGES["png grey"][1])
    assert file_of(one) == file_of(again)
    uids = [wrapped.dataset["00080018"]["Value"][0] for wrapped in (one, other)]
    assert uids[0] != uids[1]
    assert all(UID(uid).is_valid for uid in uids)


@pytest.mark.parametrize(
    ("tag", "value"),
    [("00280010", 47), ("00280002", 1), ("00280100", 16), ("00280008", 2), ("00280004", "MONOCHROME2")],
)
def test_metadata_that_contradict_the_file_are_refused(tag: str, value: object) -> None:
    with pytest.raises(DataSetMismatch) as refusal:
        made("image/png", IMAGES["png"][1], **{f"t{tag}": element("US", value)})
    assert tag in refusal.value.attributes


def test_an_inverted_grey_image_may_be_named_so() -> None:
    wrapped = made("image/png", IMAGES["png grey"][1], t00280004=element("CS", "MONOCHROME1"))
    assert read(wrapped).PhotometricInterpretation == "MONOCHROME1"


def test_rle_needs_a_description() -> None:
    frame = pydicom.pixels.get_encoder("1.2.840.10008.1.2.5").encode(
        GREY, rows=48, columns=64, samples_per_pixel=1, bits_allocated=8, bits_stored=8, pixel_representation=0,
        photometric_interpretation="MONOCHROME2", number_of_frames=1,
    )  # fmt: skip
    with pytest.raises(CannotUnderstand) as refusal:
        made("image/dicom-rle", frame)
    assert "00280010" in refusal.value.attributes
    said = {tag: value for tag, value in made("image/png", IMAGES["png grey"][1]).dataset.items() if tag != "7FE00010"}
    wrapped = made("image/dicom-rle", frame, **{f"t{tag}": value for tag, value in said.items()})
    assert np.array_equal(read(wrapped).pixel_array, GREY)


CMYK = io.BytesIO()
Image.fromarray(COLOUR).convert("CMYK").save(CMYK, "TIFF")
FLOAT = io.BytesIO()
Image.fromarray(GREY.astype("float32")).save(FLOAT, "TIFF")


@pytest.mark.parametrize(
    ("media_type", "data"),
    [
        *((media_type, bad) for media_type in sorted(PIXEL_TYPES) for bad in (b"", b"no image", bytes(2000))),
        ("image/png", IMAGES["png"][1][:200]),
        ("image/png", IMAGES["jpeg"][1]),
        ("image/jpeg", IMAGES["png"][1]),
        ("image/jpeg", IMAGES["jpeg"][1][:20]),
        ("image/tiff", CMYK.getvalue()),
        ("image/tiff", FLOAT.getvalue()),
        ("video/mp4", (VIDEOS / "mpeg4.mp4").read_bytes()),
        ("video/mp4", (VIDEOS / "h264_high10.mp4").read_bytes()),
        ("video/mp4", (VIDEOS / "h264.mp4").read_bytes()[:-700]),
        ("video/mpeg2", (VIDEOS / "h264.mp4").read_bytes()),
        ("application/pdf", b"no PDF"),
        ("text/xml", b"<Other/>"),
        ("text/xml", b'<!DOCTYPE a [<!ENTITY x "y">]>' + CDA),
        ("model/stl", STL[:-1]),
        ("model/stl", b"solid ascii"),
        ("model/obj", b"nothing"),
        ("model/mtl", b"nothing"),
    ],
)
def test_files_that_are_something_else_are_refused(media_type: str, data: bytes) -> None:
    with pytest.raises(CannotUnderstand):
        made(media_type, data)


def test_images_larger_than_the_limit_are_refused_before_they_are_decoded() -> None:
    small = Workshop(Limits(decoded_bytes=1000), WORKSHOP.new_spool)
    bomb = pillow("PNG", np.zeros((5000, 5000), "uint8"))
    for media_type, data in (("image/png", bomb), ("image/png", IMAGES["png 48 bits"][1])):
        with pytest.raises(TooLarge):
            made(media_type, data, workshop=small)


def damaged(data: bytes) -> st.SearchStrategy[bytes]:
    def damage(changes: list[tuple[int, int]]) -> bytes:
        copy = bytearray(data)
        for place, value in changes:
            copy[place % len(copy)] = value
        return bytes(copy)

    return st.lists(st.tuples(st.integers(0, 400), st.integers(0, 255)), min_size=1, max_size=6).map(damage)


DAMAGED: dict[str, Callable[[], bytes]] = {
    "image/jpeg": lambda: IMAGES["jpeg"][1],
    "image/jp2": lambda: IMAGES["jpeg 2000"][1],
    "image/tiff": lambda: IMAGES["tiff deep pages"][1],
    "image/gif": lambda: IMAGES["gif animation"][1],
    "video/mp4": lambda: (VIDEOS / "hevc.mp4").read_bytes(),
    "video/mpeg2": lambda: (VIDEOS / "mpeg2.mpg").read_bytes(),
}


@pytest.mark.filterwarnings("ignore")  # Pillow warns about damage that it can live with.
@given(st.data(), st.sampled_from(sorted(DAMAGED)))
def test_damaged_files_end_in_an_instance_or_a_refusal(data: st.DataObject, media_type: str) -> None:
    try:
        assert file_of(
            made(
                media_type,
                data.draw(damaged(DAMAGED[media_type]())),
            )
        )
    except PacsError:
        pass
