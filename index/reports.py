"""Which instances are reports, and how far each has come: what the status of a study is made of.

A study is *read* when there is a report about it. Interpretation Status ID (4008,0212) says so in the words that
PS3.3-2004 C.4.12 had for it: APPROVED is a report that somebody answers for, TRANSCRIBED is text that nobody has signed
yet; without a value there is no report. It was retired with the results management that no one used, and nothing has
taken its place at the level of studies.

What counts as a report:

- a structured report (PS3.3 A.35.1 to A.35.3, A.35.13, A.35.15) whose title is coded in LOINC, as CID 7000 wants it of
  diagnostic imaging reports, that is a Breast Imaging Report (111400, DCM), or that follows a template of imaging
  reports (TID 2000, 2005, 2006, 4200). It is APPROVED when it is COMPLETE, VERIFIED, and not PRELIMINARY. Measurements
  (TID 1500 and what devices send) have titles of DCM and are no reports, nor are key objects, dose and CAD documents,
  which have SOP classes of their own;
- an encapsulated PDF or CDA document (PS3.3 A.45) whose title is one of CID 7000. It is APPROVED unless it says that it
  is UNVERIFIED: a document that was printed is one that somebody has finished.
"""

from collections.abc import Mapping
from typing import Any, Final

from index.records import DicomJson

DRAFT: Final = "TRANSCRIBED"
FINAL: Final = "APPROVED"
STATUSES: Final = ("", DRAFT, FINAL)
"""From nothing to the best: a study has the best of its reports."""

_STRUCTURED: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.88.{number}" for number in (11, 22, 33, 34, 35))
_ENCAPSULATED: Final = frozenset(f"1.2.840.10008.5.1.4.1.1.104.{number}" for number in (1, 2))
_TEMPLATES: Final = frozenset(("2000", "2005", "2006", "4200"))
_BREAST_IMAGING_REPORT: Final = ("111400", "DCM")
_LOINC: Final = """
    11524-0 11525-3 11528-7 18745-0 18748-4 18750-0 18752-6 18754-2 18756-7 24534-0 24590-2 24601-7 24606-6 24616-5
    24627-2 24725-4 24733-8 24859-1 24884-9 24907-8 24990-4 25002-7 25010-0 25045-6 25056-3 25061-3 28614-6 30695-1
    38036-0 38269-7 39036-9 39445-2 39448-6 39453-6 41806-1 42148-7 43468-8 43771-5 44136-0 44174-1 46375-2 47048-4
    49118-3 49512-7"""
_TITLES: Final = frozenset(_LOINC.split())
"""The LOINC codes of CID 7000, Diagnostic Imaging Report Document Titles (PS3.16)."""

_TITLE: Final = "0040A043"
_COMPLETION: Final = "0040A491"
_VERIFICATION: Final = "0040A493"
_PRELIMINARY: Final = "0040A496"
_TEMPLATE: Final = "0040A504"


def report_status(sop_class_uid: str, dataset: DicomJson) -> str:
    """Interpretation Status ID of an instance; empty when it is no report."""
    if sop_class_uid in _STRUCTURED:
        return _of_structured(dataset)
    if sop_class_uid in _ENCAPSULATED:
        return _of_encapsulated(dataset)
    return ""


def _of_structured(dataset: DicomJson) -> str:
    title = _code(dataset)
    template = _text(_item(dataset, _TEMPLATE), "0040DB00")
    if title[1] != "LN" and title != _BREAST_IMAGING_REPORT and template not in _TEMPLATES:
        return ""
    done = _text(dataset, _COMPLETION) == "COMPLETE" and _text(dataset, _VERIFICATION) == "VERIFIED"
    return FINAL if done and _text(dataset, _PRELIMINARY) != "PRELIMINARY" else DRAFT


def _of_encapsulated(dataset: DicomJson) -> str:
    value, scheme = _code(dataset)
    if scheme != "LN" or value not in _TITLES:
        return ""
    return DRAFT if _text(dataset, _VERIFICATION) == "UNVERIFIED" else FINAL


def _code(dataset: DicomJson) -> tuple[str, str]:
    """Code Value and Coding Scheme Designator of the document's title."""
    title = _item(dataset, _TITLE)
    return _text(title, "00080100"), _text(title, "00080102")


def _item(dataset: Mapping[str, Any], tag: str) -> Mapping[str, Any]:
    items = dataset.get(tag, {}).get("Value")
    return items[0] if items and isinstance(items[0], dict) else {}


def _text(dataset: Mapping[str, Any], tag: str) -> str:
    values = dataset.get(tag, {}).get("Value")
    return str(values[0]).strip(" \0") if values else ""
