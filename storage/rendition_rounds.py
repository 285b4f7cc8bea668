"""Making the renditions of a series, one instance after the other: the worker's job, and the command's loop.

Whoever is stopped, or dies, is gone on from by the next: what was made is known, what was not is looked for again.
"""

import logging
import time
from collections.abc import Callable, Generator, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final

import orjson

from config.settings import RenditionRule, Renditions
from index.access import Scope
from index.catalog import Catalog
from index.database import Database, Transaction
from index.errors import CannotUnderstand, Lost, NotAcceptable, NotFound
from index.jobs import Handler, Job, Jobs
from index.records import DicomJson
from index.renditions.requests import MAKE, is_wanted
from index.renditions.rows import Candidate, Rendition
from storage import metadata
from storage.rendition_making import SYNTAXES, Workshop, make, why_not

_log = logging.getLogger(__name__)

_BEAT_SECONDS: Final = 1.0
_DAMAGE: Final = (CannotUnderstand, NotAcceptable, Lost)
"""What will not be otherwise the next time."""


@dataclass(slots=True)
class Round:
    """What one round has done."""

    made: int = 0
    skipped: dict[str, int] = field(default_factory=dict)
    """By the reason why there can be no rendition."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """Who makes renditions: from which settings, for whom, and with what."""

    catalog: Catalog
    workshop: Workshop
    settings: Renditions

    def handlers(self, database: Database) -> dict[str, Handler]:
        """What the worker can do."""
        jobs = Jobs(database)
        return {MAKE: lambda job: self._do(jobs, job)}

    def _do(self, jobs: Jobs, job: Job) -> Iterator[None]:
        """The job of one series: its key is the id of the series' row."""
        beaten = time.monotonic()
        for _ in self.make_series(int(job.key), self.settings.rules, Round(), lambda tx: jobs.beat(tx, job)):
            if time.monotonic() - beaten > _BEAT_SECONDS:
                jobs.still_alive(job)
                beaten = time.monotonic()
            yield

    def make_series(
        self,
        series_id: int,
        rules: Sequence[RenditionRule],
        done: Round,
        also: Callable[[Transaction], None] | None = None,
    ) -> Iterator[None]:
        """All that a series lacks; yields after each frame. `also` runs in each transaction that records one."""
        after = 0
        while page := self.catalog.renditions.candidates(series_id, after):
            for candidate in page:
                if is_wanted(rules, candidate.subject):
                    yield from self._make(candidate, done, also)
            after = page[-1].id

    def _make(
        self, candidate: Candidate, done: Round, also: Callable[[Transaction], None] | None
    ) -> Generator[None, None, None]:
        made: Rendition | str
        try:
            made = yield from self._attempt(candidate)
        except NotFound:
            return  # The instance has gone meanwhile.
        except _DAMAGE as error:
            made = error.detail
        if isinstance(made, str):
            done.skipped[made] = done.skipped.get(made, 0) + 1
            _log.info("No rendition", extra={**_uids(candidate), "Why": made})
        else:
            done.made += 1
        self._record(candidate, made, also)

    def _attempt(self, candidate: Candidate) -> Generator[None, None, Rendition | str]:
        instance, tenant = candidate.instance, candidate.subject.tenant
        dataset = self._dataset(candidate)
        if reason := why_not(instance, dataset):
            return reason
        return (yield from make(self.workshop, tenant, instance, dataset, SYNTAXES[self.settings.syntax]))

    def _record(self, candidate: Candidate, made: Rendition | str, also: Callable[[Transaction], None] | None) -> None:
        """One transaction. When it fails the row may be there all the same (the answer to a COMMIT can get lost), so
        the object is left to the sweep, which asks the index once more. What nobody wants to know of goes at once."""
        known = self.catalog.renditions.record(candidate, made, also)
        if not known and not isinstance(made, str):
            self.workshop.blobs.delete([made.blob_key])

    def _dataset(self, candidate: Candidate) -> DicomJson:
        key, scope = candidate.instance.key, Scope(candidate.subject.tenant)
        (body,) = self.catalog.metadata(scope, key.study_instance_uid, key.series_instance_uid, key.sop_instance_uid)
        dataset: DicomJson = orjson.loads(metadata.decompress(body))
        return dataset


def _uids(candidate: Candidate) -> dict[str, str]:
    key = candidate.instance.key
    return {"SeriesInstanceUID": key.series_instance_uid, "SOPInstanceUID": key.sop_instance_uid}
