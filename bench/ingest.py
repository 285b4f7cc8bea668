"""Workloads that store: C-STORE by DCMTK's storescu, STOW-RS by our own client."""

import time

from bench import client, dimse, processes
from bench.datasets import FileSet, Kind
from bench.servers import Server
from bench.workload import SERIES_INSTANCES, Figures, Round, Workload

_PARTS_A_REQUEST = 20


def _cstore(purpose: str, kind: Kind, full: int, clients: int, *, nodelay: bool = True) -> Workload:
    def run(server: Server, bench_round: Round) -> Figures:
        files = bench_round.series_files(purpose, kind, full, clients)
        propose = "jls-lossless" if kind == "jpegls" else ""
        with processes.measured(server.pid) as cost:
            dimse.store(server.dimse_port, server.ae_title, files.folders, propose=propose, nodelay=nodelay)
        bench_round.mark_stored(server, purpose)
        return _figures(cost, files.count)

    return Workload(purpose, run)


def _stow(purpose: str, kind: Kind, full: int, clients: int) -> Workload:
    def run(server: Server, bench_round: Round) -> Figures:
        files = bench_round.series_files(purpose, kind, full, 1)
        job = stow_job(server, files, clients)
        cpu_before = processes.cpu_seconds(server.pid)
        result = client.run(job)
        cost = processes.Cost(result.wall_seconds, processes.cpu_seconds(server.pid) - cpu_before)
        return _figures(cost, files.count)

    return Workload(purpose, run)


def stow_job(server: Server, files: FileSet, clients: int) -> client.Job:
    """STOW-RS requests of twenty parts each."""
    paths = [str(path) for folder in files.files for path in folder]
    uploads = [paths[at : at + _PARTS_A_REQUEST] for at in range(0, len(paths), _PARTS_A_REQUEST)]
    headers = {"Accept": "application/dicom+json"}
    return client.Job(server.web_port, [f"{server.base_path}/studies"] * len(uploads), headers, clients, uploads)


def _figures(cost: processes.Cost, count: int) -> Figures:
    return {"/s": count / cost.wall_seconds, "CPU ms": cost.cpu_seconds * 1000 / count}


def _memory_peak(server: Server, bench_round: Round) -> Figures:
    """Highest memory while CT is stored over four associations and four STOW connections in turn."""
    files = bench_round.series_files("memory", "ct", 300, 4)
    again = bench_round.series_files("memory by STOW", "ct", 200, 1)
    with processes.memory_watched(server.pid) as peak:
        dimse.store(server.dimse_port, server.ae_title, files.folders)
        client.run(stow_job(server, again, 4))
    return {"MiB": peak.peak_bytes / 2**20}


def idle_associations(server: Server, _: Round) -> Figures:
    """CPU of 100 associations that say nothing for five seconds."""
    seconds = 5.0
    with dimse.idle_associations(server, 100) as accepted:
        if accepted < 100:
            print(f"  {server.name} accepts {accepted} of 100 idle associations")
        time.sleep(1)
        cpu_before = processes.cpu_seconds(server.pid)
        time.sleep(seconds)
        used = processes.cpu_seconds(server.pid) - cpu_before
    return {"% of a core": used / seconds * 100}


def idle_memory(server: Server, _: Round) -> Figures:
    """Memory after start, before any work."""
    return {"MiB": processes.resident_bytes(server.pid) / 2**20}


def _start_to_ready(server: Server, _: Round) -> Figures:
    """From the start of the process until both ports answer, with an empty archive."""
    return {"s": server.ready_seconds}


START: tuple[Workload, ...] = (Workload("start to ready", _start_to_ready), Workload("memory, idle", idle_memory))

STORE: tuple[Workload, ...] = (
    _cstore("C-STORE CT p=1", "ct", 200, 1),
    _cstore("C-STORE CT p=4", "ct", SERIES_INSTANCES, 4),
    _cstore("C-STORE MR p=4", "mr", 400, 4),
    _cstore("C-STORE tiny p=4", "tiny", 600, 4),
    _cstore("C-STORE JPEG-LS p=4", "jpegls", 400, 4),
    _stow("STOW CT p=1", "ct", 200, 1),
    _stow("STOW CT p=4", "ct", 320, 4),
    _stow("STOW MR p=4", "mr", 400, 4),
)

AFTER: tuple[Workload, ...] = (
    Workload("memory, peak in ingest", _memory_peak),
    Workload("100 idle associations", idle_associations),
)

NAGLE: tuple[Workload, ...] = (_cstore("C-STORE CT p=1, sender's Nagle on", "ct", 50, 1, nodelay=False),)

GROWN: tuple[Workload, ...] = (_cstore("C-STORE MR p=4, grown index", "mr", 400, 4),)
