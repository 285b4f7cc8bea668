"""Synthetic instances for the index: what ingest would hand to the catalogue, without any object behind it."""

import hashlib
import itertools
import random
from dataclasses import replace
from typing import Any

import orjson
import zstandard
from pydicom.datadict import dictionary_VR, tag_for_keyword

from index.layout import NativePixels, ObjectLayout
from index.records import InstanceKey, InstanceRecord, Origin

CT = "1.2.840.10008.5.1.4.1.1.2"
MR = "1.2.840.10008.5.1.4.1.1.4"
SR = "1.2.840.10008.5.1.4.1.1.88.33"
EXPLICIT = "1.2.840.10008.1.2.1"
JPEG_LS = "1.2.840.10008.1.2.4.80"
ORIGIN = Origin("import", "PEER", "tester")

_serial = itertools.count(1)


def new_uid() -> str:
    """A UID that no other test uses."""
    return f"1.2.826.0.1.3680043.9.9999.{next(_serial)}"


def to_json(values: dict[str, Any]) -> dict[str, Any]:
    """DICOM JSON of keyword -> value; names as `alphabetic=ideographic=phonetic`, None is an empty element."""
    document = {}
    for keyword, value in values.items():
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        vr = dictionary_VR(tag)
        element: dict[str, Any] = {"vr": vr}
        if value is not None:
            several = value if isinstance(value, list) else [value]
            element["Value"] = [_name(one) for one in several] if vr == "PN" else several
        document[f"{tag:08X}"] = element
    return dict(sorted(document.items()))


def _name(text: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {group: value for group, value in groups if value}


def a_record(content: str = "", *, transfer_syntax_uid: str = EXPLICIT, **values: Any) -> InstanceRecord:
    """One CT instance with new UIDs unless `values` (by keyword) say otherwise; `content` stands for its bytes."""
    values = {
        "SOPClassUID": CT,
        "SOPInstanceUID": new_uid(),
        "StudyInstanceUID": new_uid(),
        "SeriesInstanceUID": new_uid(),
        "PatientID": "P1",
        "PatientName": "Doe^Jane",
        "Modality": "CT",
        "InstanceNumber": 1,
        "SeriesNumber": 1,
        "StudyDate": "20240229",
        "StudyTime": "101500",
        "Rows": 512,
        "Columns": 512,
        "BitsAllocated": 16,
    } | values
    dataset = to_json(values)
    body = orjson.dumps(dataset)
    return InstanceRecord(
        key=InstanceKey(values["StudyInstanceUID"], values["SeriesInstanceUID"], values["SOPInstanceUID"]),
        sop_class_uid=values["SOPClassUID"],
        transfer_syntax_uid=transfer_syntax_uid,
        dataset=dataset,
        metadata=zstandard.compress(body, 1),
        layout=ObjectLayout(354, NativePixels(4000, 524288, 4194304, 1)),
        blob_key=f"test/{next(_serial):09d}",
        size_bytes=528288,
        sha256=hashlib.sha256(body + content.encode()).digest(),
    )


def another(record: InstanceRecord, content: str) -> InstanceRecord:
    """The same instance with other bytes, in an object of its own."""
    digest = hashlib.sha256(record.sha256 + content.encode()).digest()
    return replace(record, sha256=digest, blob_key=f"test/{next(_serial):09d}")


def again(record: InstanceRecord) -> InstanceRecord:
    """The same instance with the same bytes, received once more: only its object is new."""
    return replace(record, blob_key=f"test/{next(_serial):09d}")


_FAMILY = ["Müller", "MULLER", "Smith", "O'Neil", "Van der Berg", "Yamada", "Łukasz", "Strauß", "[x]*", "100%_!"]
_GIVEN = ["Anna", "Jörg", "anna maria", "Tarō", "", "J?hn"]
_JAPANESE = ["山田^太郎", "やまだ^たろう", "がっこう^はな"]
_DATES = ["19991231", "20240229", "20240301", "2024.03.02", "20250101", None, "garbage"]
_TIMES = ["000000", "101500.123456", "1015", "23", "235959.9", None, "99"]
_CODES = ["A1", "a1", "A12", "B 7", "[A1]", "A%1", "A_1", "", None, "A\\1".replace("\\", "/"), "é1"]


def random_name(rng: random.Random) -> str | None:
    """Names with accents, particles, several component groups, and characters that SQL patterns trip over."""
    if rng.random() < 0.1:
        return None
    name = f"{rng.choice(_FAMILY)}^{rng.choice(_GIVEN)}".rstrip("^") + rng.choice(["", "", "^", "^^Dr"])
    return f"{name}={'='.join(rng.sample(_JAPANESE, rng.randint(1, 2)))}" if rng.random() < 0.3 else name


def random_values(seed: int, studies: int) -> list[dict[str, Any]]:
    """Values by keyword of the instances of so many studies, deterministic but for the UIDs."""
    rng = random.Random(seed)
    made = []
    for _ in range(studies):
        study = {
            "StudyInstanceUID": new_uid(),
            "StudyDate": rng.choice(_DATES),
            "StudyTime": rng.choice(_TIMES),
            "AccessionNumber": rng.choice(_CODES),
            "StudyID": rng.choice(_CODES),
            "StudyDescription": rng.choice(["Head", "HEAD CT", "head, neck", "Knie*", None]),
            "ReferringPhysicianName": random_name(rng),
            "PatientName": random_name(rng),
            "PatientID": rng.choice(["P1", "P2", "p2", "P*", "", None, "P-00017"]),
            "IssuerOfPatientID": rng.choice([None, "A", "B"]),
            "PatientBirthDate": rng.choice(_DATES),
            "PatientSex": rng.choice(["M", "F", "O", None]),
        }
        for number in range(rng.randint(1, 3)):
            modality = rng.choice(["CT", "MR", "SR", "C", None])
            series = {
                "SeriesInstanceUID": new_uid(),
                "Modality": modality,
                "SeriesNumber": rng.choice([number, 7, None]),
                "SeriesDescription": rng.choice(["axial", "Axial 5mm", None]),
                "BodyPartExamined": rng.choice(["HEAD", "KNEE", None]),
                "PerformedProcedureStepStartDate": rng.choice(_DATES),
                "PerformedProcedureStepStartTime": rng.choice(_TIMES),
            }
            for position in range(rng.randint(1, 3)):
                instance = {
                    "SOPInstanceUID": new_uid(),
                    "SOPClassUID": rng.choice([CT, MR, SR]),
                    "InstanceNumber": rng.choice([position, 3, None]),
                    "NumberOfFrames": rng.choice([None, 1, 12]),
                    "Rows": rng.choice([256, 512]),
                    "Columns": rng.choice([256, 512]),
                    "BitsAllocated": rng.choice([8, 16]),
                }
                made.append({**study, **series, **instance})
    return made
