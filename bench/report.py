"""Samples to medians, ratios and a Markdown table."""

import platform
import statistics
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench.goals import ABSOLUTE, GOALS, Goal
from bench.workload import METRICS, Sample

PEER = "Orthanc"
_BEGIN, _END = "<!-- result: make bench writes below -->", "<!-- end of the result -->"


@dataclass(frozen=True, slots=True)
class Row:
    """One workload and metric: the median of the rounds for each server."""

    workload: str
    metric: str
    medians: Mapping[str, float]
    spreads: Mapping[str, tuple[float, float]]

    def ratio(self, server: str) -> float | None:
        """How many times better than the peer; None without a peer."""
        ours, theirs = self.medians.get(server), self.medians.get(PEER)
        if not ours or not theirs:
            return None
        return ours / theirs if METRICS[self.metric] else theirs / ours


def rows(samples: Iterable[Sample]) -> list[Row]:
    """Samples grouped by workload and metric, in the order they were taken."""
    grouped: dict[tuple[str, str], dict[str, list[float]]] = {}
    for sample in samples:
        values = grouped.setdefault((sample.workload, sample.metric), {})
        values.setdefault(sample.server, []).append(sample.value)
    return [
        Row(
            workload,
            metric,
            {server: statistics.median(values) for server, values in servers.items()},
            {server: (min(values), max(values)) for server, values in servers.items()},
        )
        for (workload, metric), servers in grouped.items()
    ]


def machine() -> str:
    """One sentence on what this ran on."""
    cpu = next(
        (line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")), ""
    )
    cores = sum(line.startswith("processor") for line in _lines("/proc/cpuinfo"))
    memory_kib = next(int(line.split()[1]) for line in _lines("/proc/meminfo") if line.startswith("MemTotal"))
    python = platform.python_version()
    return (
        f"{cores} cores ({cpu}, {platform.machine()}), {memory_kib / 2**20:.0f} GiB, Linux {platform.release()}, "
        f"Python {python}, {_orthanc_version()}, {_first_line(['/usr/bin/storescu', '--version'])}"
    )


def markdown(samples: Sequence[Sample], limits: Mapping[str, float], *, heading: str) -> str:
    """The whole result as Markdown."""
    table = rows(samples)
    others = list(dict.fromkeys(s for row in table for s in row.medians if s != PEER))
    now = datetime.now(UTC).strftime("%Y-%m-%d %H:%M UTC")
    lines = [f"{heading}, {now}, on {machine()}.", ""]
    lines += ["| workload | metric | Orthanc | " + " | ".join(f"{s} | ratio" for s in others) + " | floor | goal | |"]
    lines += ["| --- | --- | ---: | " + "---: | ---: | " * len(others) + "---: | ---: | --- |"]
    for row in table:
        cells = [row.workload, row.metric, _figure(row, PEER)]
        for server in others:
            ratio = row.ratio(server)
            cells += [_figure(row, server), f"{ratio:.1f}x" if ratio else ""]
        lines.append("| " + " | ".join([*cells, *_judged(row, others, limits)]) + " |")
    if limits:
        lines += ["", "| limit of the machine | |", "| --- | ---: |"]
        lines += [f"| {name} | {value:,.0f} |" for name, value in limits.items()]
    return "\n".join(lines) + "\n"


def replace_result(document: Path, text: str) -> None:
    """Put the tables between the markers of a document."""
    before, _, rest = document.read_text(encoding="utf-8").partition(_BEGIN)
    after = rest.partition(_END)[2]
    document.write_text(f"{before}{_BEGIN}\n\n{text}\n{_END}{after}", encoding="utf-8")


def _figure(row: Row, server: str) -> str:
    if server not in row.medians:
        return ""
    low, high = row.spreads[server]
    middle = _number(row.medians[server])
    return middle if low == high else f"{middle} ({_number(low)}-{_number(high)})"


def _number(value: float) -> str:
    return f"{value:,.0f}" if value >= 100 else f"{value:.1f}" if value >= 10 else f"{value:.2f}"


def _judged(row: Row, servers: Sequence[str], limits: Mapping[str, float]) -> tuple[str, str, str]:
    """Floor, goal, and where the first of our servers stands."""
    if not servers or servers[0] not in row.medians:
        return "", "", ""
    ours, remarks, floor, goal = row.medians[servers[0]], [], "", ""
    wanted = GOALS.get((row.workload, row.metric))
    ratio = row.ratio(servers[0])
    if wanted:
        floor, goal = f"{wanted.floor:g}x", f"{wanted.goal:g}x"
        if ratio:
            remarks.append(_verdict(ratio >= wanted.goal, ratio >= wanted.floor))
        remarks += _against_limit(row, ours, wanted, limits)
    if bound := ABSOLUTE.get((row.workload, row.metric)):
        remarks.append(f"{_verdict(ours <= bound[1], ours <= bound[0])} (wanted <= {bound[1]:g} {row.metric})")
    return floor, goal, "; ".join(remarks)


def _verdict(reaches_goal: bool, reaches_floor: bool) -> str:
    return "goal" if reaches_goal else "floor" if reaches_floor else "**below floor**"


def _against_limit(row: Row, ours: float, wanted: Goal, limits: Mapping[str, float]) -> list[str]:
    if wanted.limit not in limits:
        return []
    rate = ours if METRICS[row.metric] else 1000 / ours
    return [f"{rate / limits[wanted.limit]:.0%} of the limit (wanted {wanted.share:.0%})"]


def _lines(path: str) -> list[str]:
    return Path(path).read_text(encoding="utf-8").splitlines()


def _orthanc_version() -> str:
    words = _first_line(["Orthanc", "--version"]).split()
    return " ".join(words[:2])


def _first_line(command: list[str]) -> str:
    try:
        output = subprocess.run(command, capture_output=True, check=False).stdout.decode(errors="replace")
    except OSError:
        return f"no {command[0]}"
    return next((line.strip("$ ") for line in output.splitlines() if line.strip()), "")
