"""`pacs import`: many sources into the archive, several at a time, interruptible at any moment.

A journal names what was stored, written after the archive said that it is durable. The next run of the
same import skips those without reading them; a finished import removes its journal. Losing the journal
costs time only: the archive recognises what it has.
"""

import hashlib
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol, TextIO

from config.settings import Settings
from index.access import Principal
from index.errors import PacsError
from index.reasons import Code
from index.records import Origin, StoreStatus
from pacs.auth.local import local_principal
from pacs.migrations import upgrade
from pacs.services import build
from pacs.sources import Finding, Refusal, Source, Unreadable, find
from storage.archive import Archive

THREADS = 8
"""Enough that syncs and commits of some overlap with reading and hashing of others."""


@dataclass(slots=True)
class Report:
    """What became of everything that was found."""

    stored: int = 0
    duplicates: int = 0
    resumed: int = 0
    """Done by an earlier, interrupted run."""
    ignored: list[Refusal] = field(default_factory=list)
    """Files lying about that are not DICOM, such as the viewer on a CD."""
    refused: list[Refusal] = field(default_factory=list)

    def summary(self) -> str:
        """One line for a person."""
        parts = [
            (self.stored, "stored"),
            (self.duplicates, "already there"),
            (self.resumed, "done by the earlier run"),
            (len(self.ignored), "not DICOM"),
            (len(self.refused), "refused"),
        ]
        return ", ".join(f"{count} {what}" for count, what in parts if count) or "Nothing to import."

    def lines(self) -> Iterator[str]:
        """Refused and ignored files: what happened, name and reason, tab separated."""
        for what, items in (("refused", self.refused), ("ignored", self.ignored)):
            for item in items:
                yield "\t".join((what, item.name.replace("\t", " ").replace("\n", " "), item.reason))


class Journal:
    """Identities of sources that are in the archive, one digest a line."""

    def __init__(self, folder: Path, paths: Iterable[Path]) -> None:
        """The journal of this import: the same paths find the same journal."""
        name = hashlib.sha256("\n".join(str(path.resolve()) for path in paths).encode()).hexdigest()[:16]
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._path = folder / f"{name}.journal"
        self._done = set(self._path.read_text().split()) if self._path.exists() else set()
        self._file: TextIO = self._path.open("a")

    def __contains__(self, source: Source) -> bool:
        return _digest(source) in self._done

    def add(self, source: Source) -> None:
        """Note that the source is stored."""
        self._file.write(_digest(source) + "\n")
        self._file.flush()

    def close(self, *, finished: bool) -> None:
        """Keep the journal of an interrupted import, remove that of a finished one."""
        self._file.close()
        if finished:
            self._path.unlink(missing_ok=True)


def _digest(source: Source) -> str:
    return hashlib.sha256(source.identity.encode("utf-8", "surrogateescape")).hexdigest()[:32]


class Advancing(Protocol):
    """A progress bar."""

    def update(self, n_steps: int) -> object:
        """Advance it."""


Progress = Callable[[int], AbstractContextManager[Advancing]]
"""Makes a progress bar for a number of steps."""


def import_paths(settings: Settings, paths: list[Path], progress: Progress) -> Report:
    """Import what is below the paths into the archive of the settings, bringing its schema up to date first."""
    upgrade(settings.database.url)
    services = build(settings)
    try:
        findings = list(find(paths, settings.limits))
        journal = Journal(Path(settings.log.audit_file).parent / "imports", paths)
        with progress(len(findings)) as bar:
            return run(services.archive, local_principal(settings), findings, journal, lambda: bar.update(1))
    finally:
        services.close()


def run(
    archive: Archive, principal: Principal, findings: Iterable[Finding], journal: Journal, on_done: Callable[[], object]
) -> Report:
    """Import everything; `on_done` is called once for each finding."""
    report = Report()
    finished = False
    try:
        with ThreadPoolExecutor(THREADS, thread_name_prefix="import") as pool:
            for source, result in _ingest_all(archive, principal, _fresh(findings, journal, report, on_done), pool):
                _count(source, result, journal, report)
                on_done()
        finished = True
    finally:
        journal.close(finished=finished)
    return report


def _fresh(
    findings: Iterable[Finding], journal: Journal, report: Report, on_done: Callable[[], object]
) -> Iterator[Source]:
    for finding in findings:
        if isinstance(finding, Refusal):
            report.refused.append(finding)
            on_done()
        elif finding in journal:
            report.resumed += 1
            on_done()
        else:
            yield finding


Result = StoreStatus | Refusal


def _ingest_all(
    archive: Archive, principal: Principal, sources: Iterator[Source], pool: ThreadPoolExecutor
) -> Iterator[tuple[Source, Result]]:
    """Keep all threads busy without taking more sources than they can work on."""
    running: dict[Future[Result], Source] = {}
    for source in sources:
        running[pool.submit(_ingest, archive, principal, source)] = source
        if len(running) >= 2 * THREADS:
            yield from _collect(running)
    while running:
        yield from _collect(running)


def _collect(running: dict[Future[Result], Source]) -> list[tuple[Source, Result]]:
    done, _ = wait(running, return_when=FIRST_COMPLETED)
    return [(running.pop(future), future.result()) for future in done]


def _ingest(archive: Archive, principal: Principal, source: Source) -> Result:
    origin = Origin(via="import", peer="", principal=principal.name)
    head = b""

    def blocks() -> Iterator[bytes]:
        nonlocal head
        for block in source.blocks():
            head = head or block[:132]
            yield block

    try:
        outcome = archive.ingest(principal, blocks(), origin)
    except (Unreadable, PacsError) as error:
        return Refusal(source.name, str(error))
    if outcome.stored:
        return outcome.status
    if source.found and head[128:132] != b"DICM" and all(r.code is Code.CANNOT_UNDERSTAND for r in outcome.reasons):
        return Refusal(source.name, "")
    return Refusal(source.name, "; ".join(reason.detail or reason.code.meaning for reason in outcome.reasons))


def _count(source: Source, result: Result, journal: Journal, report: Report) -> None:
    if isinstance(result, Refusal):
        if result.reason:
            report.refused.append(result)
        else:
            report.ignored.append(Refusal(result.name, "is not a DICOM file"))
        return
    if result is StoreStatus.DUPLICATE:
        report.duplicates += 1
    else:
        report.stored += 1
    journal.add(source)
