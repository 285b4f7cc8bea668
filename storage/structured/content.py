"""The content tree of a structured report, read from its DICOM JSON metadata (PS3.3 C.17.3).

Lenient: reports of all times and makers are to be shown, so an item that lacks what it must have is shown with what
it has. Nothing is left out silently: a value type that is not known here says so.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from index.records import DicomJson
from storage.metadata import BULK_DATA_ROOT
from storage.structured.words import date, date_time, items, name, text, texts, time

_SR_CLASSES: Final = "1.2.840.10008.5.1.4.1.1.88."
_RELATIONSHIPS: Final = {
    "CONTAINS": "",
    "HAS OBS CONTEXT": "observation context",
    "HAS ACQ CONTEXT": "acquisition context",
    "HAS CONCEPT MOD": "modifier",
    "HAS PROPERTIES": "property",
    "INFERRED FROM": "inferred from",
    "SELECTED FROM": "selected from",
}
_MOST_SHOWN_POINTS: Final = 16
_UID: Final = re.compile(r"[0-9.]{1,64}", re.ASCII)
"""What may become part of an address on a page."""


@dataclass(frozen=True, slots=True)
class Code:
    """A coded entry (PS3.3 8.8)."""

    meaning: str
    value: str = ""
    scheme: str = ""

    @property
    def identifier(self) -> str:
        """Code and scheme, for those who need to know exactly."""
        return f"{self.value}, {self.scheme}" if self.value else ""


@dataclass(frozen=True, slots=True)
class Reference:
    """An instance that an item refers to; empty UIDs where the evidence does not name study and series."""

    sop_class_uid: str
    sop_instance_uid: str
    study_instance_uid: str = ""
    series_instance_uid: str = ""
    frames: tuple[int, ...] = ()

    @property
    def path(self) -> str:
        """The instance's resource on this server; empty when it is not known where it belongs."""
        uids = (self.study_instance_uid, self.series_instance_uid, self.sop_instance_uid)
        if not all(_UID.fullmatch(uid) for uid in uids):
            return ""
        series = f"{BULK_DATA_ROOT}/studies/{self.study_instance_uid}/series/{self.series_instance_uid}"
        return f"{series}/instances/{self.sop_instance_uid}"


@dataclass(frozen=True, slots=True)
class Node:
    """One content item with those below it."""

    position: str
    """`1.2.3`, by which other items refer to it (PS3.3 C.17.3.2.5)."""
    relationship: str
    kind: str
    """The Value Type (0040,A040)."""
    concept: Code | None
    value: str
    code: Code | None
    """The value of a CODE item, the units of a NUM item."""
    reference: Reference | None
    children: tuple["Node", ...]

    @property
    def title(self) -> str:
        """What the item is about; the kind of value where no concept is named."""
        return self.concept.meaning if self.concept else self.kind.capitalize()

    @property
    def role(self) -> str:
        """The relationship to the item above in words; empty for plain content."""
        return _RELATIONSHIPS.get(self.relationship, self.relationship.lower())


@dataclass(frozen=True, slots=True)
class Report:
    """A structured report."""

    title: str
    fields: tuple[tuple[str, str], ...]
    """What stands above the content: whom it is about, who wrote it, what it is worth."""
    root: Node


def is_report(sop_class_uid: str) -> bool:
    """True for the SOP classes with a content tree, key object selections included."""
    return sop_class_uid.startswith(_SR_CLASSES)


def read(dataset: DicomJson) -> Report:
    """The report that a data set holds."""
    places = _evidence(dataset)
    root = _node(dataset, "1", places)
    return Report(root.concept.meaning if root.concept else "Structured report", tuple(_fields(dataset)), root)


def code_of(item: DicomJson, tag: str) -> Code | None:
    """The first coded entry of a sequence; long and URN codes too."""
    found = next(iter(items(item, tag)), None)
    if found is None:
        return None
    value = text(found, "00080100") or text(found, "00080119") or text(found, "00080120")
    return Code(text(found, "00080104") or value, value, text(found, "00080102"))


_Places = Mapping[str, tuple[str, str]]
"""SOP Instance UID -> study and series."""


def _evidence(dataset: DicomJson) -> _Places:
    """Where the instances of the evidence sequences are (PS3.3 C.17.2.3)."""
    found = {}
    for tag in ("0040A375", "0040A385"):
        for study in items(dataset, tag):
            for series in items(study, "00081115"):
                for instance in items(series, "00081199"):
                    uids = text(study, "0020000D"), text(series, "0020000E")
                    found[text(instance, "00081155")] = uids
    return found


def _node(item: DicomJson, position: str, places: _Places) -> Node:
    kind = text(item, "0040A040")
    target = [str(int(value)) for value in texts(item, "0040DB73") if value.isdigit()]
    if target and not kind:
        return Node(position, text(item, "0040A010"), "", None, f"see {'.'.join(target)}", None, None, ())
    children = tuple(
        _node(child, f"{position}.{place}", places) for place, child in enumerate(items(item, "0040A730"), start=1)
    )
    reader = _READERS.get(kind)
    value = reader(item) if reader else f"({kind or 'no value type'})"
    code = _units(item) if kind == "NUM" else code_of(item, "0040A168") if kind == "CODE" else None
    reference = _reference(item, places) if kind in ("IMAGE", "COMPOSITE", "WAVEFORM") else None
    concept = code_of(item, "0040A043")
    return Node(position, text(item, "0040A010"), kind, concept, value, code, reference, children)


def _reference(item: DicomJson, places: _Places) -> Reference | None:
    found = next(iter(items(item, "00081199")), None)
    if found is None:
        return None
    uid = text(found, "00081155")
    frames = tuple(int(value) for value in texts(found, "00081160") if value.isdigit())
    return Reference(text(found, "00081150"), uid, *places.get(uid, ("", "")), frames)


def _units(item: DicomJson) -> Code | None:
    measured = next(iter(items(item, "0040A300")), None)
    return code_of(measured, "004008EA") if measured else None


def _number(item: DicomJson) -> str:
    measured = next(iter(items(item, "0040A300")), None)
    if measured is None:
        qualifier = code_of(item, "0040A301")
        return qualifier.meaning if qualifier else "no value"
    return ", ".join(texts(measured, "0040A30A"))


def _coded(item: DicomJson) -> str:
    code = code_of(item, "0040A168")
    return code.meaning if code else ""


def _referenced(item: DicomJson) -> str:
    """What of the instance is meant; the instance itself is the node's reference."""
    found: DicomJson = next(iter(items(item, "00081199")), {})
    parts = []
    for tag, label in (("00081160", "frame"), ("0062000B", "segment"), ("0040A0B0", "channel")):
        numbers = texts(found, tag)
        if numbers:
            parts.append(f"{label} {', '.join(numbers)}")
    return "; ".join(parts)


def _coordinates(item: DicomJson, dimensions: int) -> str:
    values = texts(item, "00700022")
    shown = values[: dimensions * _MOST_SHOWN_POINTS]
    points = [" ".join(shown[start : start + dimensions]) for start in range(0, len(shown), dimensions)]
    more = "; …" if len(values) > len(shown) else ""
    return f"{text(item, '00700023').lower()}: {'; '.join(points)}{more}"


def _times(item: DicomJson) -> str:
    kind = text(item, "0040A130").lower()
    moments = [date_time(value) for value in texts(item, "0040A13A")]
    return f"{kind}: " + ", ".join(texts(item, "0040A132") or texts(item, "0040A138") or moments)


_READERS: Final[Mapping[str, Callable[[DicomJson], str]]] = {
    "CONTAINER": lambda _item: "",
    "TEXT": lambda item: text(item, "0040A160"),
    "CODE": _coded,
    "NUM": _number,
    "DATETIME": lambda item: date_time(text(item, "0040A120")),
    "DATE": lambda item: date(text(item, "0040A121")),
    "TIME": lambda item: time(text(item, "0040A122")),
    "UIDREF": lambda item: text(item, "0040A124"),
    "PNAME": lambda item: name(item, "0040A123"),
    "IMAGE": _referenced,
    "COMPOSITE": _referenced,
    "WAVEFORM": _referenced,
    "SCOORD": lambda item: _coordinates(item, 2),
    "SCOORD3D": lambda item: _coordinates(item, 3),
    "TCOORD": _times,
}
VALUE_TYPES: Final = tuple(_READERS)
"""The value types that are understood (PS3.3 table C.17.3-7)."""


def _fields(dataset: DicomJson) -> list[tuple[str, str]]:
    """The lines above the content, those without a value left out."""
    when = " ".join((date(text(dataset, "00080023")), time(text(dataset, "00080033")))).strip()
    flags = [text(dataset, tag).capitalize() for tag in ("0040A491", "0040A493", "0040A496")]
    lines: list[tuple[str, Any]] = [
        ("Patient", name(dataset, "00100010")),
        ("Patient ID", text(dataset, "00100020")),
        ("Born", date(text(dataset, "00100030"))),
        ("Sex", text(dataset, "00100040")),
        ("Study", text(dataset, "00081030")),
        ("Study date", date(text(dataset, "00080020"))),
        ("Accession number", text(dataset, "00080050")),
        ("Referring physician", name(dataset, "00080090")),
        ("Institution", text(dataset, "00080080")),
        ("Manufacturer", text(dataset, "00080070")),
        ("Content date", when),
        ("State", ", ".join(filter(None, flags))),
        ("State description", text(dataset, "0040A492")),
        *(("Verified by", _verifier(observer)) for observer in items(dataset, "0040A073")),
        *(("Author", name(author, "0040A123")) for author in items(dataset, "0040A078")),
    ]
    return [(label, str(value)) for label, value in lines if value]


def _verifier(observer: DicomJson) -> str:
    parts = (name(observer, "0040A075"), text(observer, "0040A027"), date_time(text(observer, "0040A030")))
    return ", ".join(filter(None, parts))
