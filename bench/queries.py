"""Workloads that search an index of thousands of studies. Keys rotate, so that no answer cache decides them."""

from collections.abc import Callable

from bench import client, datasets, dimse, processes
from bench.servers import Server
from bench.workload import Figures, Round, Workload

SEED = "index"
"""Seed of the synthetic studies that fill an index; `bench.fill` uses the same."""


def _qido(name: str, query: Callable[[int, int], str], full: int) -> Workload:
    """`query(i, studies)` is the query string of request `i`."""

    def run(server: Server, bench_round: Round) -> Figures:
        offset = bench_round.number * 1009
        queries = [query(offset + i, bench_round.studies) for i in range(bench_round.count(full))]
        paths = [f"{server.base_path}/studies?{text}" for text in queries]
        cpu_before = processes.cpu_seconds(server.pid)
        result = client.run(client.Job(server.web_port, paths, {"Accept": "application/dicom+json"}))
        if result.body_bytes < 100 * len(paths):
            raise RuntimeError(f"{name}: {server.name} answers nothing")
        cpu_ms = (processes.cpu_seconds(server.pid) - cpu_before) * 1000 / len(paths)
        return {"p50 ms": result.percentile(0.5), "p95 ms": result.percentile(0.95), "CPU ms": cpu_ms}

    return Workload(name, run)


def _known(i: int, studies: int) -> datasets.Study:
    """Some study of the index, another one for each `i`."""
    return datasets.study(SEED, (i * 7919) % studies)


def _month(i: int) -> str:
    """One of the months that the synthetic studies are spread over, as a date range."""
    year, month = divmod(i * 5 % (12 * 14), 12)
    return f"{2012 + year}{month + 1:02d}01-{2012 + year}{month + 1:02d}28"


def _cfind(name: str, keys: Callable[[int, int], list[str]], repeat: int) -> Workload:
    def run(server: Server, bench_round: Round) -> Figures:
        times = bench_round.count(repeat)
        cpu_before = processes.cpu_seconds(server.pid)
        seconds = dimse.find_studies(server, keys(bench_round.number, bench_round.studies), times)
        cpu_ms = (processes.cpu_seconds(server.pid) - cpu_before) * 1000 / times
        return {"ms": seconds * 1000 / times, "CPU ms": cpu_ms}

    return Workload(name, run)


QUERIES: tuple[Workload, ...] = (
    _qido("QIDO PatientID=", lambda i, n: f"PatientID={_known(i, n).patient_id}", 200),
    _qido("QIDO StudyInstanceUID=", lambda i, n: f"StudyInstanceUID={_known(i, n).study_instance_uid}", 200),
    _qido("QIDO PatientName=X*, 100", lambda i, _: f"PatientName={chr(65 + i % 26)}*&limit=100", 26),
    _qido("QIDO StudyDate month, 100", lambda i, _: f"StudyDate={_month(i)}&limit=100", 26),
    _qido(
        "QIDO ModalitiesInStudy, 100",
        lambda i, _: f"ModalitiesInStudy={datasets.MODALITIES[i % 6]}&limit=100&offset={i % 26}",
        26,
    ),
    _qido("QIDO all, 100", lambda i, _: f"limit=100&offset={i % 26}", 26),
    _cfind("C-FIND, 1 match", lambda i, n: [f"StudyInstanceUID={_known(i, n).study_instance_uid}"], 200),
    _cfind("C-FIND, month (60 matches at 10 k)", lambda i, _: [f"StudyDate={_month(i)}"], 60),
)
