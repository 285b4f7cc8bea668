"""Values of the DICOM JSON model as people write them."""

from collections.abc import Mapping
from typing import Any

from index.records import DicomJson


def items(dataset: DicomJson, tag: str) -> list[DicomJson]:
    """The items of a sequence."""
    return [item for item in _values(dataset, tag) if isinstance(item, Mapping)]


def texts(dataset: DicomJson, tag: str) -> list[str]:
    """All values as text; whole numbers without a fraction."""
    return [_number(value) if isinstance(value, float) else str(value) for value in _values(dataset, tag)]


def text(dataset: DicomJson, tag: str) -> str:
    """The values as one text."""
    return "\\".join(texts(dataset, tag)).replace("\r\n", "\n").replace("\r", "\n").strip()


def name(dataset: DicomJson, tag: str) -> str:
    """Person names: `Family, Given Middle`, each component group that there is."""
    return "; ".join(_person(value) for value in items(dataset, tag))


def date(value: str) -> str:
    """DA as ISO 8601; what is no date stays as it is."""
    whole = len(value) == 8 and value.isdigit()
    return f"{value[:4]}-{value[4:6]}-{value[6:]}" if whole else value


def time(value: str) -> str:
    """TM with colons, to the second."""
    digits = value.partition(".")[0]
    if not digits.isdigit() or len(digits) not in (2, 4, 6):
        return value
    return ":".join(digits[start : start + 2] for start in range(0, len(digits), 2))


def date_time(value: str) -> str:
    """DT as date, time and offset."""
    offset = next((value[place:] for place in range(len(value)) if value[place] in "+-"), "")
    moment = value[: len(value) - len(offset)]
    return " ".join(filter(None, (date(moment[:8]), time(moment[8:]), offset)))


def _values(dataset: DicomJson, tag: str) -> list[Any]:
    found = dataset.get(tag, {}).get("Value")
    return [value for value in found if value is not None] if isinstance(found, list) else []


def _number(value: float) -> str:
    return str(int(value)) if value.is_integer() and abs(value) < 1e15 else str(value)


def _person(groups: Mapping[str, Any]) -> str:
    written = []
    for kind in ("Alphabetic", "Ideographic", "Phonetic"):
        family, *others = [part.strip() for part in str(groups.get(kind) or "").split("^")]
        prefix = others[2:3] if len(others) > 2 else []
        rest = " ".join(filter(None, (*prefix, *others[:2], *others[3:])))
        written.append(", ".join(filter(None, (family, rest))))
    return " = ".join(filter(None, written))
