"""Names of attributes anywhere in a data set: keywords or tags, the sequences around them first, joined by dots.

`RequestAttributesSequence.ScheduledProcedureStepID` is `00400275.00400009`. Private attributes are named by their tag
and Private Creator, `0019100A[GEMS_ACQU_01]`. Which block of elements a creator has differs from data set to data set
(PS3.5 7.8.1), so the block, the `10` of `100A`, says nothing: it is written as 10 whatever was given.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final

from pydicom.datadict import dictionary_VR, keyword_for_tag, private_dictionary_VR, tag_for_keyword

from index.errors import InvalidQuery
from index.records import DicomJson, Element

MOST_STEPS: Final = 8

_STEP: Final = re.compile(r"(?P<name>[A-Za-z0-9]+|\([0-9A-Fa-f]{4},[0-9A-Fa-f]{4}\))(?:\[(?P<creator>[^\[\]\\]+)\])?")
_TAG: Final = re.compile(r"[0-9A-F]{8}")
_BLOCKS: Final = tuple(f"{block:02X}" for block in range(0x10, 0x100))
_ODD: Final = "13579BDF"


@dataclass(frozen=True, slots=True)
class Step:
    """One sequence on the way, or the attribute itself; `creator` is empty for public ones and where nobody gave it."""

    tag: str
    creator: str = ""

    @property
    def is_private(self) -> bool:
        """Odd group."""
        return self.tag[3] in _ODD

    def __str__(self) -> str:
        """Tag and creator: `0019100A[GEMS_ACQU_01]`."""
        return f"{self.tag}[{self.creator}]" if self.creator else self.tag

    @property
    def name(self) -> str:
        """The keyword, or the tag when there is none."""
        return keyword_for_tag(int(self.tag, 16)) or str(self)

    def elements(self, dataset: DicomJson) -> Iterator[Element]:
        """The elements of this name; of a private one several when its creator has several blocks."""
        if not self.creator:
            element = dataset.get(self.tag)
            if element is not None:
                yield element
            return
        group, number = self.tag[:4], self.tag[6:]
        for block in _BLOCKS:
            reserved = dataset.get(f"{group}00{block}")
            element = dataset.get(f"{group}{block}{number}") if reserved is not None else None
            if element is not None and _first(reserved) == self.creator:
                yield element


Path = tuple[Step, ...]


def parse(text: str) -> Path:
    """The path that a name means. Raises InvalidQuery when there is no such attribute."""
    steps = []
    rest = text.strip()
    while match := _STEP.match(rest):
        steps.append(_step(match["name"], (match["creator"] or "").strip()))
        rest = rest[match.end() :]
        if not rest.startswith("."):
            break
        rest = rest[1:]
    if rest or not steps or text.strip().endswith(".") or len(steps) > MOST_STEPS:
        raise InvalidQuery(f"{text[:64]} names no attribute")
    return tuple(steps)


def _step(name: str, creator: str) -> Step:
    tag = name.strip("()").replace(",", "").upper()
    if not _TAG.fullmatch(tag):
        known = tag_for_keyword(name)
        if known is None:
            raise InvalidQuery(f"There is no attribute {name[:64]}")
        tag = f"{known:08X}"
    step = Step(tag, creator)
    if not step.is_private:
        if creator:
            raise InvalidQuery(f"{name[:64]} is no private attribute: it has no Private Creator")
        return step
    if tag[4:6] == "00":
        raise InvalidQuery(f"{name[:64]} is a Private Creator, it names attributes and is none itself")
    return Step(f"{tag[:4]}10{tag[6:]}", creator)


def text_of(path: Path) -> str:
    """The path in tags, as it is kept: `00400275.00400009`."""
    return ".".join(map(str, path))


def name_of(path: Path) -> str:
    """The path in keywords, for people."""
    return ".".join(step.name for step in path)


def vr_of(path: Path) -> str:
    """VR of the attribute by the dictionaries; empty when they do not know it."""
    step = path[-1]
    try:
        tag = int(step.tag, 16)
        vr = str(private_dictionary_VR(tag, step.creator) if step.creator else dictionary_VR(tag))
    except KeyError:
        return ""
    # Whether it is US or SS, it is a number.
    return vr[:2] if vr in ("US or SS",) else vr


def without_creator(path: Path) -> Path:
    """The path as one who does not name creators would give it."""
    return tuple(Step(step.tag) for step in path)


def _first(element: Any) -> str:
    values = element.get("Value") or ("",)
    return str(values[0] or "").strip()
