"""Attributes that were declared searchable besides those with columns: nested ones, private ones, any.

A declaration says at which level an attribute is searched: a series is found by a value that any of its instances
has. The list is small, is read as a whole, and does not change while it is held.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from index import attribute_paths as paths
from index.attribute_paths import Path
from index.attributes import Attribute, levels_down_to
from index.errors import InvalidQuery
from index.query import LITERAL, Declared, Filter, Moment, Rules, parse_value
from index.records import Level
from index.terms import MATCHING, moment_bounds

FILLING: Final = "filling"
READY: Final = "ready"
REMOVED: Final = "removed"

DEFAULTS: Final[Mapping[Level, tuple[str, ...]]] = {
    Level.PATIENT: ("OtherPatientIDs", "OtherPatientIDsSequence.PatientID", "OtherPatientNames"),
    Level.STUDY: (
        "ProcedureCodeSequence.CodeValue",
        "ProcedureCodeSequence.CodingSchemeDesignator",
        "RequestingService",
        "NameOfPhysiciansReadingStudy",
    ),
    Level.SERIES: (
        "RequestAttributesSequence.ScheduledProcedureStepID",
        "RequestAttributesSequence.RequestedProcedureID",
        "AnatomicRegionSequence.CodeValue",
        "AnatomicRegionSequence.CodingSchemeDesignator",
        "PerformingPhysicianName",
        "OperatorsName",
    ),
    Level.IMAGE: (
        "ConceptNameCodeSequence.CodeValue",
        "ConceptNameCodeSequence.CodingSchemeDesignator",
        "CompletionFlag",
        "VerificationFlag",
        "ContentLabel",
    ),
}
"""What is declared from the start: the keys inside sequences of PS3.18 10.6.1.2 and PS3.4 C.6, and those of the IHE
profiles for finding prior studies, reports and presentation states."""


@dataclass(frozen=True, slots=True)
class Declaration:
    """One declared attribute."""

    number: int
    path: Path
    level: Level
    vr: str
    state: str
    filled_id: int
    last_id: int
    """Filling: instances with ids up to `filled_id` are done, of those up to `last_id`."""

    @property
    def name(self) -> str:
        """For people."""
        return paths.name_of(self.path)

    @property
    def percent(self) -> int:
        """How much of what was there before the declaration is searchable."""
        return 100 if self.state == READY or not self.last_id else 100 * self.filled_id // self.last_id

    @property
    def attribute(self) -> Attribute:
        """The same as a row of the table of attributes, for those who read matching text."""
        return Attribute(self.name, self.level, MATCHING[self.vr], False, "term", self.path[-1].tag, self.vr)


@dataclass(frozen=True, slots=True)
class Declarations:
    """All declared attributes at one moment."""

    generation: int
    rows: tuple[Declaration, ...]

    def levels(self, path: Path) -> dict[Level, Declaration]:
        """The declarations of an attribute. A private one may be asked for without its creator, if only one is known.

        Raises InvalidQuery when several are.
        """
        found = [row for row in self.rows if row.path == path]
        if not found and any(step.is_private and not step.creator for step in path):
            found = [row for row in self.rows if paths.without_creator(row.path) == path]
            if len({row.path for row in found}) > 1:
                raise InvalidQuery(f"{paths.name_of(path)} is declared of several Private Creators: say which")
        return {row.level: row for row in found}

    def knows(self, path: Path, level: Level) -> bool:
        """True when a query of this level can match the attribute."""
        return not self.levels(path).keys().isdisjoint(levels_down_to(level))

    def keys(self, level: Level, asked: Iterable[tuple[Path, str]], rules: Rules = LITERAL) -> tuple[Declared, ...]:
        """The keys that a query of this level asks for by attribute and matching text; universal matching is none.

        Raises InvalidQuery for what is not declared, and for a value that cannot be read.
        """
        wanted = [(path, text, self._usable(path, level)) for path, text in asked]
        made: list[Declared] = []
        for path, text, usable in wanted:
            row = usable[self._shared_level(path, [other for other, *_ in wanted], tuple(usable))]
            one = _parse(row, text, rules)
            if one is not None:
                made.append(Declared(row.number, row.level, tuple(map(str, row.path)), row.vr, one))
        return tuple(made)

    def unfinished(self, keys: Sequence[Declared]) -> list[Declaration]:
        """Those of a query's attributes that are not filled yet, so that matches may be missing."""
        numbers = {key.number for key in keys}
        return [row for row in self.rows if row.number in numbers and row.state == FILLING]

    def _shared_level(self, path: Path, others: Sequence[Path], usable: Sequence[Level]) -> Level:
        """The lowest level at which all keys of a sequence are declared: only there an item can be the same."""
        of_sequence = [other for other in others if len(path) > 1 and other[0] == path[0]]
        for candidate in reversed(usable):
            if all(candidate in self.levels(other) for other in of_sequence):
                return candidate
        raise InvalidQuery(f"The keys of {path[0].name} are not declared searchable at one and the same level")

    def _usable(self, path: Path, level: Level) -> dict[Level, Declaration]:
        """The declarations of an attribute that a query of this level may use, lowest level last."""
        found = self.levels(path)
        if not found:
            raise InvalidQuery(
                f"{paths.name_of(path)[:200]} cannot be matched: it is not declared searchable. An administrator can "
                f"do so with `pacs attributes add`, also while the server runs"
            )
        usable = {candidate: found[candidate] for candidate in levels_down_to(level) if candidate in found}
        if not usable:
            where = " and ".join(one.value for one in found)
            raise InvalidQuery(
                f"{paths.name_of(path)} is declared searchable at level {where} and cannot be matched at level "
                f"{level.value}. An administrator can declare it for this level too, with `pacs attributes add`"
            )
        return usable


def searchable_vr(path: Path, vr: str) -> str:
    """The VR to declare an attribute with; `vr` is what the administrator says, or empty. Raises InvalidQuery."""
    known = paths.vr_of(path)
    name = paths.name_of(path)
    if any(step.tag < "0008" or step.tag.endswith("0000") for step in path):
        raise InvalidQuery(f"{name} is not kept: data sets have no group lengths, commands or meta information")
    if any(step.is_private and not step.creator for step in path):
        raise InvalidQuery(f"{name} is private: name its Private Creator, as in 0019100A[GEMS_ACQU_01]")
    if known and vr and known != vr:
        raise InvalidQuery(f"{name} has the VR {known}")
    if not known and not vr:
        raise InvalidQuery(f"The VR of {name} is not known: say which it is")
    chosen = known or vr
    if chosen == "SQ":
        raise InvalidQuery(f"{name} is a sequence: declare the attributes inside it, as in {name}.CodeValue")
    if chosen not in MATCHING:
        raise InvalidQuery(f"{name} cannot be searched: attributes of VR {chosen} have no values that can be asked for")
    return chosen


def _parse(row: Declaration, text: str, rules: Rules) -> Filter | None:
    text = text.strip(" \0")
    if row.vr != "DT" or not text.strip("*"):
        return parse_value(row.attribute, text, rules)
    single = moment_bounds(text)
    if single:
        return Moment(row.name, *single)
    # A hyphen may stand before an offset from UTC as well as between the ends of a range.
    for start, end in ((text[:at], text[at + 1 :]) for at, char in enumerate(text) if char == "-"):
        first, last = moment_bounds(start), moment_bounds(end)
        if (first or not start) and (last or not end) and (first or last):
            return Moment(row.name, first[0] if first else None, last[1] if last else None)
    shown = "the value" if row.level is Level.PATIENT else repr(text[:40])
    raise InvalidQuery(f"{row.name}: {shown} is no moment or range")
