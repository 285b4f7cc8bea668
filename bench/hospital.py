"""A synthetic hospital group: patients and studies of fifteen years, the same for the same number on every machine.

What matters for an index is its distributions: few modalities with many studies and some with hardly any, patients with
one study and patients with forty, recent years fuller than old ones, descriptions that repeat and some that do not.
Series are shorter than real ones (ten instances a study on average), because queries see rows, not pixels.
"""

import hashlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

import orjson
import zstandard
from pydicom.datadict import dictionary_VR, tag_for_keyword

from bench.people import person_name
from index.layout import NativePixels, ObjectLayout
from index.records import InstanceKey, InstanceRecord

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
LAST_DAY = date(2026, 10, 31)
DAYS = 15 * 365
STUDIES_A_PATIENT = 2.5

_STORAGE = "1.2.840.10008.5.1.4.1.1."
_FIRST_COMPRESSION = zstandard.ZstdCompressor(level=3)


@dataclass(frozen=True, slots=True)
class Kind:
    """A modality: its share of the studies, series a study and instances a series (each from 1 to this)."""

    modality: str
    share: float
    series: int
    instances: int
    sop_class: str
    size: tuple[int, int]
    descriptions: tuple[str, ...]


KINDS = (
    Kind("DX", 26, 2, 2, "1.1", (2022, 2022), ("Thorax p.a.", "Thorax seitlich", "Hand links", "Knie rechts", "HWS")),
    Kind("CR", 12, 2, 2, "1", (1760, 2140), ("Chest PA", "Foot left", "Pelvis AP", "Thorax liegend")),
    Kind("CT", 22, 5, 16, "2", (512, 512), ("CT Thorax mit KM", "CT Abdomen", "CT Schädel nativ", "CT Thorax/Abdomen")),
    Kind("US", 17, 1, 12, "6.1", (600, 800), ("US Abdomen", "Schilddrüse", "Echo TTE", "US Beinvenen")),
    Kind("MR", 13, 8, 9, "4", (256, 256), ("MRT Schädel", "MRT LWS", "MRT Knie rechts", "MRI Brain w/wo contrast")),
    Kind("MG", 5, 1, 8, "1.2", (2800, 3518), ("Mammographie beidseits", "Screening Mammography")),
    Kind("XA", 2, 4, 6, "12.1", (1024, 1024), ("Koronarangiographie", "PTA Becken-Bein")),
    Kind("NM", 1.5, 2, 3, "20", (128, 128), ("Skelettszintigraphie", "Schilddrüsenszintigraphie")),
    Kind("PT", 1, 3, 20, "128", (168, 168), ("PET/CT Ganzkörper FDG", "PET Brain")),
    Kind("ECG", 0.4, 1, 1, "9.1.1", (0, 0), ("12-Kanal-EKG",)),
    Kind("RTSTRUCT", 0.06, 1, 1, "481.3", (0, 0), ("Bestrahlungsplanung",)),
    Kind("OPT", 0.03, 1, 6, "77.1.5.4", (496, 768), ("OCT Macula OD", "OCT Macula OS")),
    Kind("SM", 0.01, 1, 4, "77.1.6", (1024, 1024), ("HE Schnitt",)),
)
REPORT = Kind("SR", 0, 1, 1, "88.33", (0, 0), ("Befund",))
_TITLE = {
    "ConceptNameCodeSequence": {
        "CodeValue": "18748-4",
        "CodingSchemeDesignator": "LN",
        "CodeMeaning": "Diagnostic imaging report",
    }
}
_VERIFICATION = ("VERIFIED", "UNVERIFIED")
_SHARES = [kind.share for kind in KINDS]
_PROTOCOLS = (
    "nativ",
    "KM arteriell",
    "KM venös",
    "t1_se_sag",
    "t2_tse_tra",
    "Topogramm",
    "dünn 1.0",
    "Lunge",
    "Knochen",
)
_REGIONS = ("CHEST", "ABDOMEN", "HEAD", "KNEE", "SPINE", "HAND", "PELVIS", "NECK", "")
_INDICATIONS = ("Sturz", "Pneumonie?", "Kontrolle", "präoperativ", "Tumorsuche", "V.a. Lungenembolie", "Verlauf")


@dataclass(frozen=True, slots=True)
class Study:
    """A study; `common` is what its instances say of patient and study, as keyword -> value."""

    number: int
    common: dict[str, Any]
    series: tuple["Series", ...]
    elements: dict[str, Any]
    """`common` as DICOM JSON."""


@dataclass(frozen=True, slots=True)
class Series:
    """A series; `common` is what its instances say beyond their study."""

    common: dict[str, Any]
    kind: Kind
    instances: int


def patient(number: int) -> dict[str, Any]:
    """Patient `number`: every study of theirs says the same."""
    rng = random.Random(f"patient {number}")
    sex = rng.choice(("F", "M")) if rng.random() < 0.98 else "O"
    born = LAST_DAY - timedelta(days=int(365.25 * min(99, max(0, rng.gauss(55, 22)))))
    made: dict[str, Any] = {
        "PatientName": person_name(rng, sex),
        "PatientID": f"{rng.choice('PKSX')}{number:08d}",
        "PatientBirthDate": f"{born:%Y%m%d}",
        "PatientSex": sex,
    }
    if rng.random() < 0.3:
        made["IssuerOfPatientID"] = rng.choice(("NORD", "SUED"))
    return made


def study(number: int, of: int) -> Study:
    """Study `number` of a hospital that has `of` of them."""
    rng = random.Random(f"study {number}")
    patients = max(1, int(of / STUDIES_A_PATIENT))
    # The power gives some patients dozens of studies and many only one.
    owner = patient(int(patients * rng.random() ** 1.3))
    day = LAST_DAY - timedelta(days=int(DAYS * rng.random() ** 1.4))
    kind = rng.choices(KINDS, _SHARES)[0]
    procedure = rng.randrange(len(kind.descriptions))
    described = kind.descriptions[procedure]
    if rng.random() < 0.15:
        described += f", {rng.choice(_INDICATIONS)}"
    if rng.random() < 0.001:
        described += f" Studie {rng.choice(('Xylophon', 'Quitte', 'Zephyr'))}-{rng.randrange(400)}"
    clock = f"{min(23, max(0, int(rng.gauss(12, 4)))):02d}{rng.randrange(60):02d}{rng.randrange(60):02d}"
    root = f"1.2.276.0.7230010.3.{rng.randrange(1, 90)}.{day:%Y%m%d}{clock}.{number}"
    common = owner | {
        "SpecificCharacterSet": "ISO_IR 192",
        "StudyInstanceUID": root,
        "StudyDate": f"{day:%Y%m%d}",
        "StudyTime": clock,
        "AccessionNumber": f"{rng.choice(('RAD', 'RAD', 'KAR', 'EXT'))}{day:%y}{number:08d}"
        if rng.random() < 0.97
        else "",
        "StudyID": f"{number % 900_000:06d}",
        "StudyDescription": described,
        "ReferringPhysicianName": person_name(random.Random(f"doctor {int(900 * rng.random() ** 2)}"), "M"),
        "InstitutionName": f"Klinik {rng.choice(('Nord', 'Süd', 'Mitte', 'am See'))}",
        "ProcedureCodeSequence": {
            "CodeValue": f"{kind.modality}{procedure}",
            "CodingSchemeDesignator": "99HOUSE",
        },
        "PatientAge": f"{min(999, max(0, day.year - int(owner['PatientBirthDate'][:4]))):03d}Y",
    }
    return Study(number, common, tuple(_series(rng, common, kind)), dict(_elements(common)))


def _series(rng: random.Random, common: dict[str, Any], kind: Kind) -> Iterator[Series]:
    kinds = [kind] * rng.randint(1, kind.series)
    if kind.modality in ("CT", "MR", "PT", "NM") and rng.random() < 0.12:
        kinds.append(REPORT)
    if kind.modality == "PT":
        kinds.append(KINDS[2])
    for number, one in enumerate(kinds, 1):
        protocol = rng.choice(_PROTOCOLS)
        yield Series(
            {
                "SeriesInstanceUID": f"{common['StudyInstanceUID']}.{number}",
                "Modality": one.modality,
                "SeriesNumber": number,
                "SeriesDescription": f"{protocol} {number}",
                "SeriesDate": common["StudyDate"],
                "SeriesTime": common["StudyTime"],
                "BodyPartExamined": rng.choice(_REGIONS),
                "ProtocolName": protocol,
                "OperatorsName": f"MTR^{rng.choice('ABCDEFGHJKLM')}",
                "StationName": f"{one.modality}{rng.randrange(1, 9)}",
                "Manufacturer": rng.choice(("SIEMENS", "GE MEDICAL SYSTEMS", "Philips", "Canon")),
                "PerformedProcedureStepStartDate": common["StudyDate"],
                "PerformedProcedureStepStartTime": common["StudyTime"],
            },
            one,
            rng.randint(1, one.instances),
        )


def record(of: Study, series: Series, number: int) -> InstanceRecord:
    """What ingest would keep of instance `number` of a series; the objects themselves do not exist."""
    sop_class = _STORAGE + series.kind.sop_class
    rows, columns = series.kind.size
    uid = instance_uid(series, number)
    values = series.common | {"SOPClassUID": sop_class, "SOPInstanceUID": uid, "InstanceNumber": number}
    if rows:
        values |= {"Rows": rows, "Columns": columns, "BitsAllocated": 16}
    if series.kind is REPORT:
        values |= _TITLE | {"CompletionFlag": "COMPLETE", "VerificationFlag": _VERIFICATION[of.number % 4 == 0]}
    dataset = dict(sorted({**of.elements, **dict(_elements(values))}.items()))
    pixel_bytes = 2 * rows * columns
    pixels = NativePixels(4096, pixel_bytes, 8 * pixel_bytes, 1) if rows else None
    return InstanceRecord(
        key=InstanceKey(of.common["StudyInstanceUID"], series.common["SeriesInstanceUID"], uid),
        sop_class_uid=sop_class,
        transfer_syntax_uid=EXPLICIT_LITTLE_ENDIAN,
        dataset=dataset,
        metadata=_FIRST_COMPRESSION.compress(orjson.dumps(dataset)),
        layout=ObjectLayout(354, pixels),
        blob_key=blob_key(uid),
        size_bytes=4096 + pixel_bytes,
        sha256=content_digest(uid),
    )


def instance_uid(series: Series, number: int) -> str:
    """SOP Instance UID of an instance of a series."""
    return f"{series.common['SeriesInstanceUID']}.{number}"


def content_digest(uid: str) -> bytes:
    """Stands for the SHA-256 of an instance's bytes."""
    return hashlib.sha256(uid.encode()).digest()


def blob_key(uid: str) -> str:
    """A key in the form of `storage.keys`: of the same length, and as little in order as its random part."""
    digest = hashlib.md5(uid.encode(), usedforsecurity=False).hexdigest()
    return f"default/20261101/{int(digest[:2], 16) % 24:02d}/{digest[:27]}.dcm"


def _elements(values: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """DICOM JSON (PS3.18 F) of keyword -> value; names as `alphabetic=ideographic=phonetic`, items as mappings."""
    return (_element(keyword, value) for keyword, value in values.items())


_TAGS: dict[str, tuple[str, str]] = {}


def _element(keyword: str, value: Any) -> tuple[str, dict[str, Any]]:
    known = _TAGS.get(keyword)
    if known is None:
        tag = tag_for_keyword(keyword)
        assert tag is not None, keyword
        known = _TAGS[keyword] = (f"{tag:08X}", dictionary_VR(tag))
    tag_text, vr = known
    if value == "":
        return tag_text, {"vr": vr}
    if vr == "SQ":
        return tag_text, {"vr": vr, "Value": [dict(_elements(value))]}
    return tag_text, {"vr": vr, "Value": [_name(value) if vr == "PN" else value]}


def _name(text: str) -> dict[str, str]:
    groups = zip(("Alphabetic", "Ideographic", "Phonetic"), text.split("="), strict=False)
    return {group: value for group, value in groups if value}
