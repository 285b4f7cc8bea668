"""What a workload is, and what it gets to work with."""

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from bench import datasets, dimse
from bench.datasets import FileSet, Kind, Study
from bench.servers import Server

Figures = Mapping[str, float]
"""Measured values by metric, one of `METRICS`. Empty when a server does not offer the thing at all."""

METRICS = {
    "/s": True,
    "MB/s": True,
    "CPU ms": False,
    "p50 ms": False,
    "p95 ms": False,
    "ms": False,
    "MiB": False,
    "% of a core": False,
    "s": False,
    "share ms": False,
    "series ms": False,
    "metadata ms": False,
    "frame ms": False,
    "server ms": False,
    "metadata KiB": False,
    "KiB": False,
    "requests": False,
}
"""Metric -> whether more is better."""

SERIES_INSTANCES = 500


@dataclass(slots=True)
class Round:
    """One round of the bench: fresh data sets, the same for every server."""

    number: int
    folder: Path
    scale: float = 1.0
    studies: int = 0
    """How many synthetic studies the index holds; 0 in the rounds on a small index."""
    _stored: set[tuple[str, str]] = field(default_factory=set)

    def count(self, full: int) -> int:
        """A number of instances or requests, scaled down in a quick run but never below eight."""
        return max(8, int(full * self.scale))

    def study(self, purpose: str, modality: str) -> Study:
        """The study that a workload of this round uses."""
        return datasets.study(f"round {self.number} {purpose}", 1, modality)

    def series_files(self, purpose: str, kind: Kind, full: int, clients: int) -> FileSet:
        """Files of one series, written when first asked for."""
        into = self.folder / purpose
        of = self.study(purpose, "MR" if kind == "mr" else "CT")
        if into.exists():
            folders = tuple(sorted(into.iterdir()))
            paths = [path for folder in folders for path in folder.iterdir()]
            return FileSet(folders, of, len(paths), sum(path.stat().st_size for path in paths))
        return datasets.write_series(into, kind, of, self.count(full), clients=clients)

    def read_files(self) -> FileSet:
        """The CT series that is read back."""
        return self.series_files("C-STORE CT p=4", "ct", SERIES_INSTANCES, 4)

    def mark_stored(self, server: Server, purpose: str) -> None:
        """Remember that the server has the series."""
        self._stored.add((server.name, purpose))

    def readable(self, server: Server) -> FileSet:
        """The CT series to read back, stored on the server if that has not happened yet."""
        files = self.read_files()
        if (server.name, "C-STORE CT p=4") not in self._stored:
            dimse.store(server.dimse_port, server.ae_title, files.folders)
            self.mark_stored(server, "C-STORE CT p=4")
        return files

    def discard(self) -> None:
        """Delete the round's files."""
        shutil.rmtree(self.folder, ignore_errors=True)


@dataclass(frozen=True, slots=True)
class Workload:
    """Something that can be measured on a server."""

    name: str
    run: Callable[[Server, Round], Figures]


@dataclass(frozen=True, slots=True)
class Sample:
    """One measurement."""

    workload: str
    metric: str
    server: str
    round: int
    value: float
