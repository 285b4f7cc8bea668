"""Which images get a rendition (`renditions.rules`), and the job that makes those of a series, asked for at ingest."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from config.settings import RenditionRule, Renditions
from index.database import Database, Transaction
from index.entries import Newcomer
from index.jobs import Jobs

MAKE: Final = "rendition"
"""The kind of the job that makes those of one series; its key is the id of the series' row."""


@dataclass(frozen=True, slots=True)
class Subject:
    """What rules look at."""

    tenant: str
    modality: str
    sop_class_uid: str
    transfer_syntax_uid: str
    size_bytes: int
    number_of_frames: int


def is_wanted(rules: Sequence[RenditionRule], subject: Subject) -> bool:
    """Whether an instance meets one of the rules. Without rules none does."""
    return any(_meets(rule, subject) for rule in rules)


def _meets(rule: RenditionRule, subject: Subject) -> bool:
    return (
        rule.tenant in ("", subject.tenant)
        and (not rule.modalities or subject.modality in rule.modalities)
        and (not rule.sop_classes or subject.sop_class_uid in rule.sop_classes)
        and (not rule.transfer_syntaxes or subject.transfer_syntax_uid in rule.transfer_syntaxes)
        and subject.size_bytes >= rule.minimum_bytes
        and subject.number_of_frames >= rule.minimum_frames
    )


class RenditionRequests:
    """The part of the transaction of arrivals that asks for renditions."""

    def __init__(self, database: Database, settings: Renditions) -> None:
        """Compiles; touches no connection."""
        self._settings = settings
        self._jobs = Jobs(database)

    def ask(self, tx: Transaction, admitted: Iterable[tuple[Newcomer, int]]) -> None:
        """One job for each series (by the id of its row), put off until nothing more comes. Without rules nothing."""
        if not self._settings.rules:
            return
        wanted = {series_fk for one, series_fk in admitted if is_wanted(self._settings.rules, _subject(one))}
        # In the order of ids, as all rows that others may want as well (see `index.admission`).
        for series_fk in sorted(wanted):
            self._jobs.ask(tx, MAKE, str(series_fk), delay_seconds=self._settings.after_seconds)


def _subject(one: Newcomer) -> Subject:
    record, columns = one.entry.record, one.entry.instance
    return Subject(
        one.entry.tenant,
        one.entry.series.columns["modality"],
        record.sop_class_uid,
        record.transfer_syntax_uid,
        record.size_bytes,
        columns["number_of_frames"] or 1,
    )
