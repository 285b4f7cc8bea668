"""Rejection notes: what they are, whom they name, and what follows (IHE RAD TF, Imaging Object Change Management).

A rejection note is a Key Object Selection document whose title is one of the codes of the table. Pure: no database.

Theory. An instance is hidden as long as one note in force names it, in whatever order the note and the instance
arrived. When several notes name an instance, the strictest rule counts: nothing that was rejected because it endangers
a patient comes back because its retention period is over.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any, Final

from config.settings import Hiding, RejectionRule, SecondArrival
from index.entries import first_text
from index.records import DicomJson

KEY_OBJECT_SELECTION: Final = "1.2.840.10008.5.1.4.1.1.88.59"

_TITLE, _CODE, _SCHEME = "0040A043", "00080100", "00080102"
_EVIDENCE, _SERIES, _INSTANCES, _INSTANCE_UID = "0040A375", "00081115", "00081199", "00081155"
_CONTENT = "0040A730"


@dataclass(frozen=True, slots=True)
class Rule:
    """What a rejection note with this title does. `settings.RejectionRule` says what the choices mean."""

    code: str
    """Code value and coding scheme, `113001^DCM`."""
    meaning: str
    hide: Hiding = "everywhere"
    show_note: bool = False
    again: SecondArrival = "hide"
    purge_days: float = 0.0


RULES: Final[Mapping[str, Rule]] = {
    rule.code: rule
    for rule in (
        Rule("113001^DCM", "Rejected for Quality Reasons", again="hide"),
        Rule("113037^DCM", "Rejected for Patient Safety Reasons", again="refuse"),
        Rule("113038^DCM", "Incorrect Modality Worklist Entry", again="refuse"),
        Rule("113039^DCM", "Data Retention Policy Expired", again="accept"),
    )
}
"""The four titles of the profile with what holds unless the settings say otherwise."""

_STRICTNESS: Final[tuple[SecondArrival, ...]] = ("accept", "hide", "refuse")


def rules_from(chosen: Iterable[RejectionRule]) -> Mapping[str, Rule]:
    """The table with the rules of the settings in place of, or beside, its own."""
    rules = dict(RULES)
    for one in chosen:
        rules[one.code] = Rule(
            code=one.code,
            meaning=one.meaning or (RULES[one.code].meaning if one.code in RULES else "Rejected"),
            hide=one.hide,
            show_note=one.show_note,
            again=one.again,
            purge_days=one.purge_days,
        )
    return rules


def title(dataset: DicomJson) -> str:
    """The document title of a structured report as `code^scheme`."""
    item = next(_items(dataset, _TITLE), {})
    return f"{first_text(item.get(_CODE))}^{first_text(item.get(_SCHEME))}"


def references(dataset: DicomJson) -> list[str]:
    """SOP Instance UIDs that a Key Object Selection document names, each once, in its order.

    They stand in the Current Requested Procedure Evidence Sequence (PS3.3 C.17.6.2.1) and again in the content. A
    document that lacks the one is understood by the other.
    """
    evidence = (
        instance
        for study in _items(dataset, _EVIDENCE)
        for series in _items(study, _SERIES)
        for instance in _items(series, _INSTANCES)
    )
    content = (instance for item in _items(dataset, _CONTENT) for instance in _items(item, _INSTANCES))
    found = dict.fromkeys(first_text(one.get(_INSTANCE_UID)) for one in (*evidence, *content))
    return [uid for uid in found if uid]


def strictest(rules: Iterable[Rule]) -> Rule:
    """One rule for an instance that several notes name."""
    rules = list(rules)
    again = max((rule.again for rule in rules), key=_STRICTNESS.index)
    hide: Hiding = "everywhere" if any(rule.hide == "everywhere" for rule in rules) else "search"
    return replace(rules[0], again=again, hide=hide)


def _items(dataset: Mapping[str, Any], tag: str) -> Iterator[Mapping[str, Any]]:
    element = dataset.get(tag) or {}
    return (item for item in element.get("Value") or () if isinstance(item, Mapping))
