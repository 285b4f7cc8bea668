"""Workloads that read the 500-slice CT series back, over DICOMweb and DIMSE."""

import itertools
from collections.abc import Callable

from bench import client, dimse, processes
from bench.datasets import Study
from bench.servers import Server
from bench.workload import SERIES_INSTANCES, Figures, Round, Workload

_JSON = {"Accept": "application/dicom+json"}
_FRAME = {"Accept": 'multipart/related; type="application/octet-stream"; transfer-syntax=1.2.840.10008.1.2.1'}
_FILES = {"Accept": 'multipart/related; type="application/dicom"; transfer-syntax=*'}
_JPEG = {"Accept": "image/jpeg"}
_FRAME_BYTES = 512 * 512 * 2


def _request(
    server: Server, paths: list[str], headers: dict[str, str], connections: int = 1
) -> tuple[client.Result, float]:
    """The answers and the server's CPU milliseconds a request."""
    before = processes.cpu_seconds(server.pid)
    result = client.run(client.Job(server.web_port, [server.base_path + path for path in paths], headers, connections))
    return result, (processes.cpu_seconds(server.pid) - before) * 1000 / len(paths)


def _series_metadata(server: Server, bench_round: Round) -> Figures:
    study = bench_round.readable(server).study
    result, cpu_ms = _request(server, [_series_path(study) + "/metadata"], _JSON)
    return {"ms": result.latencies_ms[0], "CPU ms": cpu_ms}


def _series_metadata_again(server: Server, bench_round: Round) -> Figures:
    study = bench_round.readable(server).study
    path = _series_path(study) + "/metadata"
    _request(server, [path], _JSON)
    result, cpu_ms = _request(server, [path] * bench_round.count(10), _JSON)
    return {"p50 ms": result.percentile(0.5), "CPU ms": cpu_ms}


def _each_instance(
    name: str, suffix: str, headers: dict[str, str], *, full: int, connections: int = 1, least_bytes: int = 100
) -> Workload:
    """GET something of one instance after the other, going round the series; each must have `least_bytes` of body."""

    def run(server: Server, bench_round: Round) -> Figures:
        files = bench_round.readable(server)
        numbers = itertools.islice(itertools.cycle(range(1, files.count + 1)), bench_round.count(full))
        paths = [_instance_path(files.study, number) + suffix for number in numbers]
        result, cpu_ms = _request(server, paths, headers, connections)
        if result.body_bytes < least_bytes * len(paths):
            raise RuntimeError(f"{name}: {server.name} sent {result.body_bytes} bytes for {len(paths)} requests")
        return {"/s": result.rate, "p50 ms": result.percentile(0.5), "CPU ms": cpu_ms}

    return Workload(name, run)


def _whole_study(server: Server, bench_round: Round) -> Figures:
    files = bench_round.readable(server)
    times = 4
    result, cpu_ms = _request(server, [f"/studies/{files.study.study_instance_uid}"] * times, _FILES)
    if result.body_bytes < times * files.size_bytes * 0.99:
        raise RuntimeError(f"{server.name} sent {result.body_bytes} of {files.size_bytes} bytes of a study")
    return {"MB/s": result.body_bytes / result.wall_seconds / 1e6, "CPU ms": cpu_ms}


def _thumbnail(server: Server, bench_round: Round) -> Figures:
    """Orthanc's plug-in of Debian 12 has no thumbnails."""
    return {} if server.is_orthanc else _THUMBNAIL.run(server, bench_round)


def _retrieved(name: str, retrieve: Callable[[Server, str], float]) -> Workload:
    def run(server: Server, bench_round: Round) -> Figures:
        files = bench_round.readable(server)
        before = processes.cpu_seconds(server.pid)
        seconds = retrieve(server, files.study.study_instance_uid)
        return {
            "/s": files.count / seconds,
            "CPU ms": (processes.cpu_seconds(server.pid) - before) * 1000 / files.count,
        }

    return Workload(name, run)


def _series_path(study: Study) -> str:
    return f"/studies/{study.study_instance_uid}/series/{study.series_instance_uid}"


def _instance_path(study: Study, number: int) -> str:
    return f"{_series_path(study)}/instances/{study.instance_uid(number)}"


_THUMBNAIL = _each_instance("thumbnail", "/thumbnail", _JPEG, full=200)

READS: tuple[Workload, ...] = (
    Workload("series metadata of 500, cold", _series_metadata),
    Workload("series metadata of 500, warm", _series_metadata_again),
    _each_instance("instance metadata", "/metadata", _JSON, full=500),
    _each_instance("frame, 1 connection", "/frames/1", _FRAME, full=SERIES_INSTANCES, least_bytes=_FRAME_BYTES),
    _each_instance(
        "frame, 8 connections", "/frames/1", _FRAME, full=2 * SERIES_INSTANCES, connections=8, least_bytes=_FRAME_BYTES
    ),
    Workload("whole study", _whole_study),
    _each_instance("rendered", "/frames/1/rendered", _JPEG, full=100, least_bytes=5000),
    Workload("thumbnail", _thumbnail),
    _retrieved("C-GET", dimse.get_study),
    _retrieved("C-MOVE", dimse.move_study),
)

GROWN: tuple[Workload, ...] = (
    _each_instance(
        "frame, 1 connection, grown index", "/frames/1", _FRAME, full=SERIES_INSTANCES, least_bytes=_FRAME_BYTES
    ),
)
