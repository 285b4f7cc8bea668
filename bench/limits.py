"""What this machine can do at all, measured in the same run: no server can be faster than these."""

import os
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import client, dimse, processes, servers
from bench.datasets import FileSet

_BLOCK = bytes(1 << 20)
_FRAME_BYTES = 512 * 1024
_SECONDS = 0.5


def measure(folder: Path, files_one: FileSet, files_four: FileSet, sink_port: int) -> dict[str, float]:
    """All limits. The folder must be on the disk that the servers use."""
    folder.mkdir(parents=True, exist_ok=True)
    found = {
        "sequential write + fdatasync, MB/s": _sequential_write(folder),
        "fdatasync of 4 KiB appends, /s": _appends(folder),
        "new files of 526 KB, each fsynced, /s": _new_files(folder),
        "loopback TCP, one connection, MB/s": _loopback(),
    }
    for name, files in (("p=1", files_one), ("p=4", files_four)):
        seconds = dimse.store(sink_port, servers.SINK_AE_TITLE, files.folders)
        found[f"C-STORE CT into storescp --ignore, {name}, /s"] = files.count / seconds
    with _uvicorn() as port:
        found["empty request, uvicorn, 1 connection, /s"] = _http_rate(port, 2000, 1)
        found["empty request, uvicorn, 8 connections, /s"] = _http_rate(port, 4000, 8)
    with _sendfile(folder) as port:
        found["512 KiB by sendfile, 1 connection, /s"] = _http_rate(port, 1000, 1)
        found["512 KiB by sendfile, 8 connections, /s"] = _http_rate(port, 1000, 8)
    return found


def _repeat(work: Callable[[int], None]) -> float:
    """How often a second the work can be done."""
    started, count = time.perf_counter(), 0
    while time.perf_counter() - started < _SECONDS:
        work(count)
        count += 1
    return count / (time.perf_counter() - started)


def _sequential_write(folder: Path) -> float:
    path, blocks = folder / "sequential", 256
    started = time.perf_counter()
    with path.open("wb", buffering=0) as file:
        for _ in range(blocks):
            file.write(_BLOCK)
        os.fdatasync(file.fileno())
    seconds = time.perf_counter() - started
    path.unlink()
    return blocks * len(_BLOCK) / seconds / 1e6


def _appends(folder: Path) -> float:
    path = folder / "appends"
    with path.open("wb", buffering=0) as file:

        def append(_: int) -> None:
            file.write(_BLOCK[:4096])
            os.fdatasync(file.fileno())

        rate = _repeat(append)
    path.unlink()
    return rate


def _new_files(folder: Path) -> float:
    into = folder / "new"
    into.mkdir()

    def create(number: int) -> None:
        with (into / str(number)).open("wb", buffering=0) as file:
            file.write(_BLOCK[:526_000])
            os.fsync(file.fileno())

    rate = _repeat(create)
    for path in into.iterdir():
        path.unlink()
    into.rmdir()
    return rate


def _loopback() -> float:
    total = 512
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def send() -> None:
            with socket.create_connection(listener.getsockname()) as sender:
                for _ in range(total):
                    sender.sendall(_BLOCK)

        thread = threading.Thread(target=send)
        started = time.perf_counter()
        thread.start()
        connection, _ = listener.accept()
        buffer = bytearray(1 << 20)
        with connection:
            while connection.recv_into(buffer):
                pass
        thread.join()
    return total * len(_BLOCK) / (time.perf_counter() - started) / 1e6


def _http_rate(port: int, requests: int, connections: int) -> float:
    return client.run(client.Job(port, ["/"] * requests, connections=connections)).rate


_EMPTY_APP = """
import sys, uvicorn
async def app(scope, receive, send):
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"0")]})
        await send({"type": "http.response.body", "body": b""})
uvicorn.run(app, host="127.0.0.1", port=int(sys.argv[1]), log_level="error", access_log=False, lifespan="off")
"""


@contextmanager
def _uvicorn() -> Iterator[int]:
    """A raw ASGI application that answers nothing, on uvicorn."""
    port = processes.free_port()
    process = subprocess.Popen([sys.executable, "-c", _EMPTY_APP, str(port)])
    try:
        processes.wait_until(lambda: servers.listens(port), process, 20)
        yield port
    finally:
        process.terminate()
        process.wait()


@contextmanager
def _sendfile(folder: Path) -> Iterator[int]:
    """The least an HTTP server can do: read the request, send a fixed header and `sendfile` a cached frame."""
    path = folder / "frame"
    path.write_bytes(bytes(_FRAME_BYTES))
    process = subprocess.Popen(
        [sys.executable, "-m", "bench.sendfile", str(path)], cwd=servers.REPOSITORY, stdout=subprocess.PIPE
    )
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.terminate()
        process.wait()
        process.stdout.close()
        path.unlink()
