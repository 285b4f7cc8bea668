"""The named queries of the scale measurement. Their keys rotate, so that no request is asked twice in a row.

Half of a query's requests repeat what other users ask every minute, half are new keys: no answer cache decides.
"""

from collections.abc import Callable
from dataclasses import dataclass

from bench import hospital

_COMMON = ("CT", "MR", "US", "DX", "CR")
_RARE = ("OPT", "RTSTRUCT", "SM", "ECG")
_PARTS = ("CHEST", "ABDOMEN", "HEAD", "KNEE", "SPINE", "HAND", "PELVIS", "NECK")
_STATUSES = ("APPROVED", "TRANSCRIBED")
_PREFIXES = ("Kowal", "Ober", "Brink", "Müll", "Smi", "Иван", "Yam", "Nguy", "Łuk", "Hartf", "Παπ", "Villam")
_INNER = ("*linsk*", "*orfman*", "*enzwe*", "*cemar*", "*山田*", "*ostas*", "*sokolow*", "*eichen*feld*", "*bagh*")
_RARE_TEXTS = ("*Xylophon-1*", "*Quitte-3*", "*Zephyr-22*", "*Xylophon-39*", "*Zephyr-1*7*")
_FUZZY = ("anna linden", "jose marin", "maria garcia", "hans berg", "piotr kowal", "иван соколов", "smith mary")


@dataclass(frozen=True, slots=True)
class Known:
    """The index that is asked: studies with numbers up to `distinct` are in it as they are, `studies` in all."""

    distinct: int
    studies: int


@dataclass(frozen=True, slots=True)
class Named:
    """`path(i, known)` is what request `i` asks below the root of the service."""

    name: str
    path: Callable[[int, Known], str]
    requests: int
    statuses: tuple[str, ...] = ("200",)


def _study(i: int, known: Known) -> hospital.Study:
    return hospital.study(i * 7919 % known.distinct, known.distinct)


def _of_study(keyword: str) -> Callable[[int, Known], str]:
    def path(i: int, known: Known) -> str:
        while not (value := _study(i, known).common[keyword]):
            i += 1
        return f"/studies?{keyword}={value}"

    return path


def _month(i: int) -> str:
    """Thirty days, because the 31st is not in every month."""
    year, month = divmod(i * 7 % (12 * 14), 12)
    return f"StudyDate={2012 + year}{month + 1:02d}01-{2012 + year}{month + 1:02d}28"


def _instance(i: int, known: Known) -> str:
    return f"/instances?SOPInstanceUID={hospital.instance_uid(_study(i, known).series[0], 1)}"


def _many_uids(i: int, known: Known) -> str:
    uids = ",".join(_study(200 * i + j, known).common["StudyInstanceUID"] for j in range(100))
    return f"/studies?StudyInstanceUID={uids}&limit=100"


QUERIES = (
    Named("study by UID", _of_study("StudyInstanceUID"), 200),
    Named("studies of a patient", _of_study("PatientID"), 200),
    Named("accession number", _of_study("AccessionNumber"), 200),
    Named("instance by UID, no study named", _instance, 200),
    Named("newest 100", lambda i, _: f"/studies?limit=100&offset={i % 26}", 100),
    Named("one month, 100", lambda i, _: f"/studies?{_month(i)}&limit=100", 100),
    Named(
        "common modality, 100",
        lambda i, _: f"/studies?ModalitiesInStudy={_COMMON[i % 5]}&limit=100&offset={i % 26}",
        100,
    ),
    Named(
        "rare modality in a year, 100",
        lambda i, _: (
            f"/studies?ModalitiesInStudy={_RARE[i % 4]}&StudyDate={2012 + i % 14}0101-{2012 + i % 14}1231&limit=100"
        ),
        100,
    ),
    Named("body part, 100", lambda i, _: f"/studies?BodyPartExamined={_PARTS[i % 8]}&limit=100&offset={i % 26}", 100),
    Named("no report yet, 100", lambda i, _: f"/studies?InterpretationStatusID=%22%22&limit=100&offset={i % 26}", 100),
    Named(
        "report by somebody, of a body part, 100",
        lambda i, _: f"/studies?InterpretationStatusID={_STATUSES[i % 2]}&BodyPartExamined={_PARTS[i % 8]}&limit=100",
        100,
    ),
    Named("name prefix, 100", lambda i, _: f"/studies?PatientName={_PREFIXES[i % 12]}*&limit=100&offset={i // 24}", 96),
    Named("inside a name, 100", lambda i, _: f"/studies?PatientName={_INNER[i % 9]}&limit=100&offset={i // 18}", 90),
    Named("inside a description, few", lambda i, _: f"/studies?StudyDescription={_RARE_TEXTS[i % 5]}&limit=100", 60),
    Named("fuzzy name, 100", lambda i, _: f"/studies?fuzzymatching=true&PatientName={_FUZZY[i % 7]}&limit=100", 70),
    Named("page at 50,000", lambda i, known: f"/studies?limit=100&offset={min(50_000, known.studies // 2) + i}", 60),
    Named("sorted by name, 100", lambda i, _: f"/studies?orderby=PatientName&limit=100&offset={i}", 60),
    Named("month sorted by name, 100", lambda i, _: f"/studies?{_month(i)}&orderby=PatientName&limit=100", 60),
    Named("month with total", lambda i, _: f"/studies?{_month(i)}&limit=25&count=true", 60),
    Named("all with total", lambda i, _: f"/studies?limit=25&count=true&offset={i}", 30),
    Named("100 UIDs", _many_uids, 30),
    Named("series of a modality, 100", lambda i, _: f"/series?Modality={(_COMMON + _RARE)[i % 9]}&limit=100", 90),
    Named("instances of a day", lambda i, _: f"/instances?StudyDate={2013 + i % 13}0612&limit=100", 60),
    Named(
        "two filters that exclude each other",
        lambda i, _: f"/studies?ModalitiesInStudy={_COMMON[i % 5]}&StudyDescription=Befund{i % 9}&limit=100",
        30,
    ),
    Named("nothing serves it", lambda i, _: f"/instances?Rows={7000 + i}&limit=100", 3, ("200", "413", "507")),
)
"""What is measured, in this order."""


def find_keys(i: int) -> list[str]:
    """Keys of a C-FIND at STUDY level: a week."""
    return [f"StudyDate={2012 + i % 14}0610-{2012 + i % 14}0616"]
