"""The HTTP load generator: keep-alive connections driven by one `selectors` loop, the same for every server.

It runs in a process of its own (`python -m bench.client`, a `Job` as JSON on standard input, a `Result` on standard
output) so that neither its interpreter lock nor its memory belongs to what is measured. Bodies are counted, not kept.
"""

import json
import selectors
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path

from bench.servers import REPOSITORY

_RECEIVE_BYTES = 1 << 18
_HEAD_BYTES = 8192
_BOUNDARY = "b0undary"


@dataclass(frozen=True, slots=True)
class Job:
    """Requests to make. Each entry of `paths` is requested once, by whichever connection is free.

    With `uploads`, each entry is a list of files that become one STOW-RS request to the path of the same place.
    """

    port: int
    paths: Sequence[str]
    headers: Mapping[str, str] = field(default_factory=dict)
    connections: int = 1
    uploads: Sequence[Sequence[str]] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What came back."""

    wall_seconds: float
    latencies_ms: list[float]
    statuses: dict[str, int]
    body_bytes: int

    def percentile(self, share: float) -> float:
        """Latency in milliseconds that this share of the requests does not exceed."""
        ordered = sorted(self.latencies_ms)
        return ordered[min(len(ordered) - 1, int(share * len(ordered)))]

    @property
    def rate(self) -> float:
        """Requests a second."""
        return len(self.latencies_ms) / self.wall_seconds


def run(job: Job, allowed: Sequence[str] = ("200", "206")) -> Result:
    """Do the job in a fresh process. Raises RuntimeError unless every answer has one of the `allowed` statuses."""
    process = subprocess.run(
        [sys.executable, "-m", "bench.client"],
        input=json.dumps(asdict(job)).encode(),
        capture_output=True,
        cwd=REPOSITORY,
        check=False,
    )
    if process.returncode:
        raise RuntimeError(process.stderr.decode(errors="replace")[-2000:])
    result = Result(**json.loads(process.stdout))
    if set(result.statuses) - set(allowed):
        raise RuntimeError(f"{job.paths[0]}: answers {result.statuses}")
    return result


class _Connection:
    """One keep-alive connection: sends a request, reads past its answer, says how long it took."""

    def __init__(self, port: int, buffer: bytearray) -> None:
        self._port = port
        self.open()
        self._buffer = buffer
        self._outgoing = memoryview(b"")
        self._started = 0.0
        self.answer: _Answer | None = None

    def open(self) -> None:
        """Connect."""
        self.socket = socket.create_connection(("127.0.0.1", self._port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setblocking(False)

    def send(self, request: bytes) -> None:
        """Begin with the next request."""
        self._started = time.perf_counter()
        self._outgoing = memoryview(request)
        self.answer = _Answer()
        self.flush()

    def flush(self) -> bool:
        """Send what the socket takes; True when the whole request is out."""
        while self._outgoing:
            try:
                sent = self.socket.send(self._outgoing)
            except BlockingIOError:
                return False
            self._outgoing = self._outgoing[sent:]
        return True

    def receive(self) -> "float | None":
        """Take what has come. The latency in seconds when the answer is complete, else None."""
        assert self.answer is not None
        received = self.socket.recv_into(self._buffer)
        if not received and not self.answer.ends_with_connection:
            raise ConnectionError("the server closed the connection in an answer")
        if not received or self.answer.feed(memoryview(self._buffer)[:received]):
            return time.perf_counter() - self._started
        return None


class _Answer:
    """Finds the end of an HTTP/1.1 response (RFC 9112 6.3): Content-Length, chunks, or the end of the connection."""

    def __init__(self) -> None:
        self.status = ""
        self.body_bytes = 0
        self.ends_with_connection = False
        self._head = b""
        self._missing = -1
        self._chunked = False
        self._chunk_head = b""

    def feed(self, data: memoryview) -> bool:
        """True when the response is complete."""
        if self._missing < 0:
            seen = self._head + bytes(data[:_HEAD_BYTES])
            end = seen.find(b"\r\n\r\n")
            if end < 0:
                self._head = seen
                return False
            self._read_head(seen[:end])
            data = data[end + 4 - len(self._head) :]
        return self._feed_chunks(data) if self._chunked else self._feed_body(data)

    def _read_head(self, head: bytes) -> None:
        status_line, *lines = head.decode("latin-1").split("\r\n")
        self.status = status_line.split()[1]
        headers = {name.strip().lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        if headers.get("transfer-encoding", "").lower() == "chunked":
            self._chunked, self._missing = True, 0
        elif "content-length" in headers:
            self._missing = int(headers["content-length"])
        else:
            self.ends_with_connection, self._missing = True, sys.maxsize

    def _feed_body(self, data: memoryview) -> bool:
        self.body_bytes += len(data)
        self._missing -= len(data)
        return self._missing <= 0

    def _feed_chunks(self, data: memoryview) -> bool:
        """`_missing` counts what is left of a chunk and the line end after it; sizes are read from `_chunk_head`."""
        while data:
            if self._missing:
                taken = min(self._missing, len(data))
                self._missing -= taken
                self.body_bytes += taken
                data = data[taken:]
                continue
            line, found, _ = (self._chunk_head + bytes(data[:1024])).partition(b"\n")
            if not found:
                self._chunk_head = line
                return False
            data = data[len(line) + 1 - len(self._chunk_head) :]
            self._chunk_head = b""
            if line.strip() == b"":
                return True
            size = int(line.split(b";")[0], 16)
            # The last chunk is empty; the blank line after it ends the response.
            self._missing = size + 2 if size else 0
        return False


def _requests(job: Job) -> Iterator[bytes]:
    """The encoded requests of a job."""
    head = "".join(f"{name}: {value}\r\n" for name, value in job.headers.items())
    for index, path in enumerate(job.paths):
        body, method = (_multipart(job.uploads[index]), "POST") if job.uploads else (b"", "GET")
        extra = ""
        if body:
            kind = f'multipart/related; type="application/dicom"; boundary={_BOUNDARY}'
            extra = f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
        yield f"{method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\n{head}{extra}\r\n".encode() + body


def _multipart(files: Sequence[str]) -> bytes:
    """A STOW-RS body (PS3.18 8.6.1.2)."""
    parts = []
    for file in files:
        parts += [
            f"--{_BOUNDARY}\r\nContent-Type: application/dicom\r\n\r\n".encode(),
            Path(file).read_bytes(),
            b"\r\n",
        ]
    return b"".join([*parts, f"--{_BOUNDARY}--\r\n".encode()])


def _perform(job: Job) -> Result:
    """All requests of the job; they are encoded before the clock starts."""
    requests = list(_requests(job))[::-1]
    buffer = bytearray(_RECEIVE_BYTES)
    latencies_ms: list[float] = []
    statuses: Counter[str] = Counter()
    body_bytes = 0
    selector = selectors.DefaultSelector()
    connections = [_Connection(job.port, buffer) for _ in range(min(job.connections, len(requests)))]
    started = time.perf_counter()
    for connection in connections:
        connection.send(requests.pop())
        selector.register(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
    while selector.get_map():
        for key, events in selector.select():
            connection = key.data
            if events & selectors.EVENT_WRITE and connection.flush():
                selector.modify(connection.socket, selectors.EVENT_READ, connection)
            if not events & selectors.EVENT_READ or (seconds := connection.receive()) is None:
                continue
            latencies_ms.append(seconds * 1000)
            statuses[connection.answer.status] += 1
            body_bytes += connection.answer.body_bytes
            if not requests:
                selector.unregister(connection.socket)
                continue
            if connection.answer.ends_with_connection:
                selector.unregister(connection.socket)
                connection.open()
                selector.register(connection.socket, selectors.EVENT_READ, connection)
            connection.send(requests.pop())
            selector.modify(connection.socket, selectors.EVENT_READ | selectors.EVENT_WRITE, connection)
    wall_seconds = time.perf_counter() - started
    return Result(wall_seconds, latencies_ms, dict(statuses), body_bytes)


if __name__ == "__main__":
    json.dump(asdict(_perform(Job(**json.load(sys.stdin)))), sys.stdout)
