"""Synthetic studies, the same on every machine: one real CT header and picture with other names, UIDs and places.

A template is encoded once per kind with placeholders of fixed length where identities stand; an instance is
a copy of the template with those bytes replaced. That makes a 500-slice CT series in a quarter of a second.
"""

import hashlib
import io
import itertools
import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Literal

import pydicom
from pydicom.dataset import Dataset
from pydicom.uid import CTImageStorage, ExplicitVRLittleEndian, MRImageStorage

Kind = Literal["ct", "mr", "tiny", "jpegls"]

CT_SLICE = Path(__file__).parent / "data" / "ct.dcm"
MODALITIES = ("CT", "MR", "CR", "US", "DX", "PT")
_FIRST_YEAR, _YEARS = 2012, 14

_PLACEHOLDERS = {
    "StudyInstanceUID": "2.25.1" + "1" * 38,
    "SeriesInstanceUID": "2.25.1" + "2" * 38,
    "SOPInstanceUID": "2.25.1" + "3" * 38,
    "PatientName": "SURNAME^GIVEN".ljust(24, "_"),
    "PatientID": "PATIENTID___",
    "AccessionNumber": "ACCESSION___",
    "StudyDate": "18000101",
    "Modality": "ZZ",
    "SeriesNumber": "888888",
    "InstanceNumber": "999999",
    "SliceLocation": "-876543.21",
    "AcquisitionTime": "235959.111",
    "ContentTime": "235959.222",
    "ImagePositionPatient": "-123.50\\-123.50\\-876543.25",
}
_SLICE_MM = 1.25


def uid(*words: object) -> str:
    """A UID under 2.25 made of the words: always 44 characters, always the same for the same words."""
    digest = hashlib.blake2b(repr(words).encode(), digest_size=16).digest()
    return f"2.25.1{int.from_bytes(digest) % 10**38:038d}"


@dataclass(frozen=True, slots=True)
class Study:
    """One synthetic study, with one series of it."""

    study_instance_uid: str
    series_instance_uid: str
    patient_name: str
    patient_id: str
    accession_number: str
    study_date: str
    modality: str
    series_number: int = 1

    def another_series(self, number: int, modality: str) -> "Study":
        """The same study with a further series of it."""
        series = uid(self.study_instance_uid, number)
        return replace(self, series_instance_uid=series, modality=modality, series_number=number)

    def instance_uid(self, number: int) -> str:
        """SOP Instance UID of the instance with this number."""
        return uid(self.series_instance_uid, number)


def study(seed: str, number: int, modality: str = "") -> Study:
    """Study `number` of a seed. Names, dates and modalities spread evenly, so queries hit a known share."""
    chance = hashlib.blake2b(f"{seed}/{number}".encode(), digest_size=8).digest()
    letter = chr(ord("A") + chance[0] % 26)
    month, day = divmod(int.from_bytes(chance[1:4]) % (12 * 28), 28)
    return Study(
        study_instance_uid=uid(seed, number, "study"),
        series_instance_uid=uid(seed, number, "series"),
        patient_name=f"{letter}{chance.hex()[:9].upper()}^GIVEN",
        patient_id=f"P{number:07d}{chance.hex()[:4]}",
        accession_number=f"A{number:07d}{chance.hex()[:4]}",
        study_date=f"{_FIRST_YEAR + chance[4] % _YEARS:04d}{month + 1:02d}{day + 1:02d}",
        modality=modality or MODALITIES[chance[5] % len(MODALITIES)],
    )


@dataclass(frozen=True, slots=True)
class _Template:
    """Encoded bytes and where each identity stands in them."""

    encoded: bytes
    places: tuple[tuple[int, str], ...]


@cache
def _template(kind: Kind) -> _Template:
    """The Part 10 file of a kind, with placeholders."""
    ds = pydicom.dcmread(CT_SLICE)
    if kind != "jpegls":
        _make_native(ds, kind)
    for keyword, text in _PLACEHOLDERS.items():
        setattr(ds, keyword, text)
    ds.ImageOrientationPatient = [1, 0, 0, 0, 1, 0]
    ds.SOPClassUID = MRImageStorage if kind == "mr" else CTImageStorage
    ds.file_meta.MediaStorageSOPClassUID = ds.SOPClassUID
    ds.file_meta.MediaStorageSOPInstanceUID = ds.SOPInstanceUID
    buffer = io.BytesIO()
    ds.save_as(buffer)
    encoded = buffer.getvalue()
    places = [(at, keyword) for keyword, text in _PLACEHOLDERS.items() for at in _occurrences(encoded, text.encode())]
    return _Template(encoded, tuple(places))


def _make_native(ds: Dataset, kind: Kind) -> None:
    """Replace the compressed picture: whole for CT, every second pixel for MR, 16 x 16 for tiny."""
    pixels = ds.pixel_array
    if kind == "mr":
        pixels = pixels[::2, ::2]
    elif kind == "tiny":
        pixels = pixels[256:272, 256:272]
        for element in [e for e in ds if e.tag.is_private]:
            del ds[element.tag]
    ds.Rows, ds.Columns = pixels.shape
    ds.PixelData = pixels.astype("<u2").tobytes()
    ds["PixelData"].VR = "OW"
    ds["PixelData"].is_undefined_length = False
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian


def _occurrences(encoded: bytes, text: bytes) -> Iterator[int]:
    """Every place of the text. The two-letter modality is looked for with its element header alone."""
    needle = text if len(text) > 2 else b"CS\x02\x00" + text
    shift = len(needle) - len(text)
    at = encoded.find(needle)
    while at >= 0:
        yield at + shift
        at = encoded.find(needle, at + 1)


def encode(kind: Kind, of: Study, number: int) -> bytes:
    """The Part 10 file of one instance."""
    template = _template(kind)
    place = f"{number * _SLICE_MM:<10.2f}"
    values = {
        "StudyInstanceUID": of.study_instance_uid,
        "SeriesInstanceUID": of.series_instance_uid,
        "SOPInstanceUID": of.instance_uid(number),
        "PatientName": of.patient_name.ljust(24),
        "PatientID": of.patient_id,
        "AccessionNumber": of.accession_number,
        "StudyDate": of.study_date,
        "Modality": of.modality,
        "SeriesNumber": f"{of.series_number:<6d}",
        "InstanceNumber": f"{number:<6d}",
        "SliceLocation": place,
        "AcquisitionTime": _clock(of.series_number * 60 + number * 0.25),
        "ContentTime": _clock(of.series_number * 60 + number * 0.25 + 10),
        "ImagePositionPatient": f"-123.50\\-123.50\\{place}",
    }
    encoded = bytearray(template.encoded)
    for at, keyword in template.places:
        value = values[keyword].encode()
        encoded[at : at + len(value)] = value
    return bytes(encoded)


def _clock(seconds: float) -> str:
    """Seconds after nine o'clock as TM, always 10 characters."""
    minutes, rest = divmod(seconds, 60)
    return f"{9 + int(minutes) // 60:02d}{int(minutes) % 60:02d}{rest:06.3f}"


@dataclass(frozen=True, slots=True)
class FileSet:
    """Files ready to be sent: one folder per client."""

    folders: tuple[Path, ...]
    study: Study
    count: int
    size_bytes: int

    @property
    def files(self) -> list[list[Path]]:
        """The files of each folder."""
        return [sorted(folder.iterdir()) for folder in self.folders]

    def remove(self) -> None:
        """Delete the files."""
        for folder in self.folders:
            shutil.rmtree(folder)


def write_series(into: Path, kind: Kind, of: Study, count: int, *, clients: int = 1) -> FileSet:
    """One series of `count` instances, dealt to the clients in turn."""
    return _write(into, kind, [(of, number) for number in range(1, count + 1)], clients)


def write_studies(into: Path, kind: Kind, studies: Sequence[Study], *, clients: int = 1) -> FileSet:
    """One instance of each study, dealt to the clients in turn."""
    return _write(into, kind, [(one, 1) for one in studies], clients)


def _write(into: Path, kind: Kind, instances: Sequence[tuple[Study, int]], clients: int) -> FileSet:
    folders = tuple(into / f"client{client}" for client in range(clients))
    for folder in folders:
        folder.mkdir(parents=True)
    size_bytes = 0
    for index, ((of, number), folder) in enumerate(zip(instances, itertools.cycle(folders), strict=False)):
        size_bytes += (folder / f"{index:06d}.dcm").write_bytes(encode(kind, of, number))
    return FileSet(folders, instances[0][0], len(instances), size_bytes)
