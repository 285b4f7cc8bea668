"""Objects with values in many places, and what should be found in them: brute force over the files with pydicom."""

import random
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

CREATOR = "ACME 1.0"
STEPS = ("SPS1", "SPS2", "SPS10", "sps1")
PROCEDURES = ("RP1", "RP2")
CODES = ("121", "122", "D-4")
MARKS = ("red", "green", "Blue 7", "blue")
NAMES = ("Müller^Eva", "Yamada^Tarou=山田^太郎=やまだ^たろう", "Smith^Anna", "Smithson^Bob")
MOMENTS = ("20240101101500", "20240102120000.5+0200", "202402", "20240315235959")
STORAGE = "1.2.840.10008.5.1.4.1.1.7"

Level = str
OWNER = {"STUDY": "StudyInstanceUID", "SERIES": "SeriesInstanceUID", "IMAGE": "SOPInstanceUID"}


def objects(seed: int, studies: int, prefix: str) -> list[Dataset]:
    """Secondary captures without pixels; the instances of a series differ in what they say."""
    rng = random.Random(seed)
    made = []
    for number in range(studies):
        study, patient = generate_uid(), f"{prefix}{number}"
        for series_number in range(1, rng.randint(2, 4)):
            series = generate_uid()
            where = (patient, study, series, series_number)
            made.extend(_object(rng, where) for _ in range(rng.randint(1, 3)))
    return made


def _object(rng: random.Random, where: tuple[str, str, str, int]) -> Dataset:
    ds = Dataset()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientID, ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.SeriesNumber = where
    ds.SOPInstanceUID, ds.SOPClassUID, ds.Modality = generate_uid(), STORAGE, "OT"
    ds.ProtocolName = rng.choice(["HEAD", "KNEE", ""])
    if rng.random() < 0.8:
        ds.OperatorsName = rng.sample(NAMES, rng.randint(1, 2))
    if rng.random() < 0.8:
        ds.RequestAttributesSequence = [_request(rng) for _ in range(rng.randint(0, 3))]
    ds.ExposureTime, ds.DistanceSourceToDetector = rng.choice([10, 200]), rng.choice(["1.50", "15E-1", "2", "2.0"])
    ds.AcquisitionDateTime = rng.choice(MOMENTS)
    ds.ContentDate, ds.ContentTime = rng.choice(["20240101", "20240229"]), rng.choice(["101500", "10", "235959.9"])
    ds.FrameOfReferenceUID = rng.choice(["1.2.3", "1.2.3.4"])
    if rng.random() < 0.3:
        ds.private_block(0x0019, "OTHER", create=True).add_new(0x0A, "LO", rng.choice(MARKS))
    if rng.random() < 0.8:
        ds.private_block(0x0019, CREATOR, create=True).add_new(0x0A, "LO", rng.sample(MARKS, rng.randint(1, 2)))
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = rng.choice([ExplicitVRLittleEndian, ImplicitVRLittleEndian])
    return ds


def _request(rng: random.Random) -> Dataset:
    item = Dataset()
    item.ScheduledProcedureStepID, item.RequestedProcedureID = rng.choice(STEPS), rng.choice(PROCEDURES)
    item.RequestedProcedureCodeSequence = []
    for _ in range(rng.randint(0, 2)):
        code = Dataset()
        code.CodeValue, code.CodingSchemeDesignator = rng.choice(CODES), rng.choice(["DCM", "99X"])
        item.RequestedProcedureCodeSequence.append(code)
    return item


def values(ds: Dataset, keyword: str) -> list[Any]:
    """The values of an element, none when it is missing or empty."""
    value = ds.get(keyword)
    if value is None or value == "":
        return []
    return list(value) if isinstance(value, (list, tuple)) or value.__class__.__name__ == "MultiValue" else [value]


def marks(ds: Dataset) -> list[str]:
    """The values of our own private attribute."""
    try:
        value = ds.private_block(0x0019, CREATOR)[0x0A].value
    except KeyError:
        return []
    return list(value) if value.__class__.__name__ == "MultiValue" else [value]


def owners(found: Sequence[Dataset], level: Level, matches: Callable[[Dataset], bool]) -> set[str]:
    """UIDs of the studies, series or instances of which some instance matches."""
    return {str(ds.get(OWNER[level])) for ds in found if matches(ds)}


def items(ds: Dataset) -> Iterator[Dataset]:
    """The requests of an instance."""
    yield from ds.get("RequestAttributesSequence") or ()
