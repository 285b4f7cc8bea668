"""`python -m bench`: measure this server against Orthanc, alternating, in one run."""

import argparse
import json
import os
import shutil
import tempfile
import traceback
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path

from bench import (
    datasets,
    dimse,
    fill,
    first_image,
    ingest,
    limits,
    postgresql,
    processes,
    queries,
    reads,
    report,
    servers,
    study_list,
)
from bench.servers import Server
from bench.workload import Figures, Round, Sample, Workload

GROWN = (*ingest.GROWN, *reads.GROWN)


def main() -> None:
    """Parse the command line and run."""
    options = _options()
    bench = Bench(options.only or "", options.rounds, 0.2 if options.quick else 1.0, options.servers.split(","))
    with _folders() as (disk, memory):
        bench.disk, bench.memory = disk, memory
        bench.run(studies=options.studies or (1_000 if options.quick else 10_000), large=options.large)
    text = report.markdown(bench.samples, bench.limits, heading=bench.heading())
    print(f"\n{text}")
    if options.markdown:
        report.replace_result(options.markdown, text)
    for failure in bench.failures:
        print(f"FAILED {failure}")
    if options.json:
        result = {"limits": bench.limits, "samples": [asdict(s) for s in bench.samples], "failures": bench.failures}
        options.json.write_text(json.dumps({"machine": report.machine(), **result}, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one round with a fifth of the work: is it alive?")
    parser.add_argument("--only", metavar="TEXT", help="only workloads with this text in their name")
    parser.add_argument("--rounds", type=int, metavar="N", help="rounds, alternating A B, B A (default 3, quick 1)")
    parser.add_argument(
        "--studies", type=int, metavar="N", help="studies in the grown index (default 10000, quick 1000)"
    )
    parser.add_argument(
        "--large",
        type=int,
        default=0,
        metavar="N",
        help="also query our index with N studies; a million: `python -m bench.scale`",
    )
    parser.add_argument("--servers", default="orthanc,pacs", help="of orthanc, pacs, pacs-normal, pacs-postgresql")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every sample here")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="put the tables into this document")
    options = parser.parse_args()
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


@contextmanager
def _folders() -> Iterator[tuple[Path, Path]]:
    """A folder on the disk for the servers, and one in memory for the files that clients send."""
    in_memory = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
    with tempfile.TemporaryDirectory(prefix="bench-") as disk:
        memory = tempfile.mkdtemp(prefix="bench-", dir=in_memory)
        try:
            yield Path(disk), Path(memory)
        finally:
            shutil.rmtree(memory, ignore_errors=True)


@dataclass(slots=True)
class Bench:
    """One run: its options, and what came out so far."""

    only: str
    rounds: int
    scale: float
    names: Sequence[str]
    disk: Path = Path()
    memory: Path = Path()
    samples: list[Sample] = field(default_factory=list)
    limits: dict[str, float] = field(default_factory=dict)
    failures: list[str] = field(default_factory=list)
    filled: dict[str, int] = field(default_factory=dict)
    """How many studies the index of a folder on PostgreSQL gets once it runs."""
    load: float = field(default_factory=lambda: os.getloadavg()[0])

    def run(self, *, studies: int, large: int) -> None:
        """Everything that `only` leaves."""
        sink_port = processes.free_port()
        with ExitStack() as stack:
            stack.enter_context(servers.sink(sink_port))
            if not self.only or self.only == "limits":
                self._measure_limits(sink_port)
            if self._chosen((*ingest.START, *ingest.STORE, *reads.READS, *ingest.AFTER)):
                self._small_index(sink_port)
            if self._chosen(ingest.NAGLE):
                self._default_tcp(sink_port)
            self._in_a_browser(sink_port)
            if self._chosen((*queries.QUERIES, *GROWN)):
                self._grown_index(sink_port, studies, self.names)
                ours = [name for name in self.names if name != "orthanc"]
                if large and ours:
                    self._grown_index(sink_port, large, ours, suffix=f" at {large:,}")

    def heading(self) -> str:
        """What the figures are, and how busy the machine was before."""
        work = "" if self.scale == 1.0 else f", {self.scale:.0%} of the work"
        return (
            f"Medians of {self.rounds} alternating rounds (lowest-highest){work}, load {self.load:.1f} before the start"
        )

    def _chosen(self, workloads: Sequence[Workload]) -> list[Workload]:
        return [workload for workload in workloads if self.only.lower() in workload.name.lower()]

    def _measure_limits(self, sink_port: int) -> None:
        bench_round = Round(-1, self.memory / "limits", self.scale)
        one, four = (bench_round.series_files(f"limit {c}", "ct", 300, c) for c in (1, 4))
        self.limits = limits.measure(self.disk / "limits", one, four, sink_port)
        bench_round.discard()

    def _small_index(self, sink_port: int) -> None:
        """Start-up, stores and reads on a fresh archive."""
        with ExitStack() as stack:
            running = [stack.enter_context(self._start(name, "small", sink_port)) for name in self.names]
            for number in range(self.rounds):
                bench_round = Round(number, self.memory / f"round{number}", self.scale)
                once = (*ingest.START,) if number == 0 else ()
                after = (*ingest.AFTER,) if number == self.rounds - 1 else ()
                self._measure((*once, *ingest.STORE, *reads.READS, *after), running, bench_round)
                bench_round.discard()

    def _default_tcp(self, sink_port: int) -> None:
        """Servers and senders as their makers ship them."""
        with ExitStack() as stack:
            running = [stack.enter_context(self._start(n, "tcp", sink_port, nodelay=False)) for n in self.names]
            for number in range(self.rounds):
                bench_round = Round(number, self.memory / f"tcp{number}", self.scale)
                self._measure(ingest.NAGLE, running, bench_round)
                bench_round.discard()

    def _in_a_browser(self, sink_port: int) -> None:
        """Our pages and our viewer. The peer has no such viewer at its own address."""
        wanted = self.only.lower().replace("-", " ")
        for name in [name for name in self.names if name != "orthanc"]:
            pages = partial(self._start, name, "pages", sink_port)
            viewer = partial(self._start, name, "viewer", sink_port, more=first_image.settings())
            if wanted in study_list.NAME:
                self._take(study_list.NAME, name, study_list.measure(pages, self.memory / name, self.rounds))
            if wanted in first_image.NAME:
                measured = first_image.measure(viewer, self.memory / name, self.scale, self.rounds)
                self._take(first_image.NAME, name, measured)

    def _take(self, workloads: str, name: str, measured: Iterator[tuple[str, int, Figures]]) -> None:
        """Keep figures that come one by one."""
        try:
            for workload, number, figures in measured:
                self._add(workload, name, number, figures)
        except (OSError, RuntimeError) as error:
            self._add_failure(workloads, name, error)

    def _grown_index(self, sink_port: int, studies: int, names: Sequence[str], suffix: str = "") -> None:
        """Queries on an index of many studies: ours filled by rows, the peer's by sending a tiny instance of each."""
        with ExitStack() as stack:
            for name in names:
                folder = self.disk / f"{name}-grown{suffix}"
                if name == "pacs-postgresql":
                    self.filled[folder.name] = studies
                elif name != "orthanc":
                    fill.fill(f"sqlite:///{folder / 'index.sqlite'}", studies, seed=queries.SEED)
            running = [stack.enter_context(self._start(n, f"grown{suffix}", sink_port)) for n in names]
            for server in running:
                if server.is_orthanc:
                    self._send_studies(server, studies)
                processes.settle(server.pid, timeout_seconds=60)
            for number in range(self.rounds):
                bench_round = Round(number, self.memory / f"grown{suffix}{number}", self.scale, studies)
                self._measure((*queries.QUERIES, *GROWN), running, bench_round, suffix)
                bench_round.discard()

    def _send_studies(self, server: Server, studies: int) -> None:
        made = [datasets.study(queries.SEED, number) for number in range(studies)]
        files = datasets.write_studies(self.memory / "grown", "tiny", made, clients=4)
        dimse.store(server.dimse_port, server.ae_title, files.folders)
        files.remove()

    def _start(
        self, name: str, purpose: str, sink_port: int, *, nodelay: bool = True, more: Mapping[str, str] | None = None
    ) -> AbstractContextManager[Server]:
        folder = self.disk / f"{name}-{purpose}"
        if name == "orthanc":
            return servers.orthanc(folder, sink_port=sink_port, nodelay=nodelay)
        if name == "pacs-postgresql":
            return self._on_postgresql(folder, sink_port, more or {})
        settings = {"PACS_DATABASE_SYNCHRONOUS": "NORMAL"} if name == "pacs-normal" else {}
        return servers.pacs(folder, name=name, sink_port=sink_port, settings=settings | dict(more or {}))

    @contextmanager
    def _on_postgresql(self, folder: Path, sink_port: int, more: Mapping[str, str]) -> Iterator[Server]:
        """The CPU and memory of PostgreSQL itself are not counted."""
        with (
            postgresql.cluster(folder.with_name(f"{folder.name}-database")) as url,
            servers.pacs(
                folder, name="pacs-postgresql", sink_port=sink_port, settings={"PACS_DATABASE_URL": url, **more}
            ) as server,
        ):
            fill.fill(url, self.filled.get(folder.name, 0), seed=queries.SEED)
            yield server

    def _measure(
        self, workloads: Sequence[Workload], running: Sequence[Server], bench_round: Round, suffix: str = ""
    ) -> None:
        """Each workload on each server, the order turned round by round."""
        order = list(running) if bench_round.number % 2 == 0 else list(running)[::-1]
        for workload in self._chosen(workloads):
            for server in order:
                for other in running:
                    processes.settle(other.pid)
                try:
                    figures = workload.run(server, bench_round)
                except (OSError, RuntimeError) as error:
                    self._add_failure(workload.name, server.name, error)
                    continue
                self._add(workload.name + suffix, server.name, bench_round.number, figures)

    def _add(self, workload: str, server: str, number: int, figures: Figures) -> None:
        """Keep the figures of one measurement, and show them."""
        self.samples += [Sample(workload, metric, server, number, value) for metric, value in figures.items()]
        shown = ", ".join(f"{value:.4g} {metric}" for metric, value in figures.items())
        print(f"{number} {workload:40} {server:8} {shown}", flush=True)

    def _add_failure(self, workload: str, server: str, error: Exception) -> None:
        """The others go on."""
        self.failures.append(f"{workload} on {server}: {error}")
        traceback.print_exception(error)


if __name__ == "__main__":
    main()
