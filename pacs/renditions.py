"""`pacs renditions list`, `make` and `drop`: second encodings of stored images, looked at and managed by hand."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Protocol

from config.settings import RenditionRule, Settings
from index.access import Scope
from index.renditions.rows import Count
from pacs.auth.local import local_principal
from pacs.services import Services, build
from storage.deletion import drop_renditions
from storage.rendition_rounds import Round

_ALL = (RenditionRule(),)
_HEADING = f"{'number':>8}  {'bytes':>14}  {'of originals':>14}  study"


class Advancing(Protocol):
    """A progress bar."""

    def update(self, n_steps: int) -> None:
        """So many series more are done."""


def list_all(settings: Settings, study: str | None) -> Iterator[str]:
    """Lines for a person: for each study the renditions, and how many instances have none for which reason."""
    services = build(settings)
    try:
        counts = services.catalog.renditions.counts(_scope(settings), study)
        if not counts:
            yield "There are no renditions."
            return
        yield _HEADING
        yield from map(_line, counts)
    finally:
        services.close()


def make(
    settings: Settings, study: str | None, progress: Callable[[int], AbstractContextManager[Advancing]]
) -> Iterator[str]:
    """Make what is missing, by the rules, or without rules of every image. What was done, for a person."""
    services = build(settings)
    done = Round()
    try:
        series = services.catalog.renditions.series(_scope(settings), study)
        with progress(len(series)) as bar:
            for number in series:
                for _ in services.rounds.make_series(number, settings.renditions.rules or _ALL, done):
                    pass
                bar.update(1)
        yield f"{done.made} made"
        for reason, number in sorted(done.skipped.items()):
            yield f"{number} not made: {reason}"
    finally:
        services.close()


def drop(settings: Settings, study: str | None) -> str:
    """Remove those of a study or of all; what was done, for a person. Originals are not touched."""
    services = build(settings)
    try:
        return f"{_drop(services, study)} removed."
    finally:
        services.close()


def _drop(services: Services, study: str | None) -> int:
    known, scope = services.catalog.renditions, _scope(services.settings)
    return drop_renditions(services.blobs, lambda: known.drop(scope, study))


def _scope(settings: Settings) -> Scope:
    return local_principal(settings).scope


def _line(count: Count) -> str:
    if count.problem:
        return (
            f"{count.number:>8}  {'none':>14}  {count.original_bytes:>14}  {count.study_instance_uid}: {count.problem}"
        )
    return f"{count.number:>8}  {count.bytes:>14}  {count.original_bytes:>14}  {count.study_instance_uid}"
