"""An object of more than 2 GiB goes in and out by both protocols, and no process needs more than 150 MB for it.

Beyond 2 GiB, because offsets that do not fit into 31 bits break what smaller objects never touch.
"""

import hashlib
import http.client
import io
import shutil
import socket
import struct
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pydicom
import pytest

from bench import datasets
from tests.conftest import Server, StartServer
from tests.flows import senders

FRAME_BYTES = 512 * 512 * 2
FRAMES = 4100
LIMIT_BYTES = 150_000_000
_PDV_BYTES = 120_000


def frame(number: int) -> bytes:
    """Each frame says which one it is, in every pixel pair."""
    return struct.pack("<I", number) * (FRAME_BYTES // 4)


class LargeObject:
    """A multi-frame image that exists only while it is sent."""

    def __init__(self, seed: str) -> None:
        self.study = datasets.study(seed, 1)
        ds = pydicom.dcmread(io.BytesIO(datasets.encode("tiny", self.study, 1)))
        self.instance = str(ds.SOPInstanceUID)
        ds.NumberOfFrames, ds.Rows, ds.Columns = FRAMES, 512, 512
        del ds.PixelData
        buffer = io.BytesIO()
        ds.save_as(buffer)
        self.head = buffer.getvalue() + struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, FRAMES * FRAME_BYTES)

    @property
    def path(self) -> str:
        """Where it is found."""
        study = self.study
        return f"/studies/{study.study_instance_uid}/series/{study.series_instance_uid}/instances/{self.instance}"

    def file(self) -> Iterator[bytes]:
        """The Part 10 file in blocks."""
        yield self.head
        for number in range(1, FRAMES + 1):
            yield frame(number)

    def dataset(self) -> Iterator[bytes]:
        """The bare data set in blocks."""
        blocks = self.file()
        yield senders.without_meta(next(blocks))
        yield from blocks


def digest(blocks: Iterator[bytes]) -> str:
    """SHA-256 of blocks."""
    sha256 = hashlib.sha256()
    for block in blocks:
        sha256.update(block)
    return sha256.hexdigest()


def store_by_dimse(server: Server, large: LargeObject) -> None:
    with socket.create_connection(("127.0.0.1", server.dimse_port), timeout=120) as connection:
        senders.associate(connection, server.ae_title)
        status = senders.store(connection, large.instance, large.dataset(), _PDV_BYTES)
    assert status == 0


def store_by_stow(server: Server, large: LargeObject) -> None:
    def body() -> Iterator[bytes]:
        yield b"--next\r\nContent-Type: application/dicom\r\n\r\n"
        yield from large.file()
        yield b"\r\n--next--\r\n"

    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=next'}
    with connected(server) as connection:
        connection.request("POST", "/dicomweb/studies", body(), headers, encode_chunked=True)
        response = connection.getresponse()
        assert response.status == 200, response.read()


def connected(server: Server) -> closing[http.client.HTTPConnection]:
    return closing(http.client.HTTPConnection("127.0.0.1", server.web_port, timeout=120))


@contextmanager
def get(server: Server, path: str, accept: str) -> Iterator[http.client.HTTPResponse]:
    with connected(server) as connection:
        connection.request("GET", f"/dicomweb{path}", headers={"Accept": accept})
        response = connection.getresponse()
        assert response.status == 200, response.read()
        yield response


def read_frame(server: Server, large: LargeObject, number: int) -> bytes:
    accept = 'multipart/related; type="application/octet-stream"'
    with get(server, f"{large.path}/frames/{number}", accept) as response:
        body = response.read()
    return body.partition(b"\r\n\r\n")[2][:FRAME_BYTES]


def read_dataset(server: Server, large: LargeObject, length: int) -> Iterator[bytes]:
    """The data set of the file that WADO-RS sends, in blocks; `length` is that of the data set."""
    with get(server, large.path, 'multipart/related; type="application/dicom"; transfer-syntax=*') as response:
        start = response.read(65536)
        start = senders.without_meta(start.partition(b"\r\n\r\n")[2])
        yield start
        left = length - len(start)
        while left:
            block = response.read(min(left, 1 << 20))
            assert block, "the answer ends too early"
            left -= len(block)
            yield block


def peak_bytes(server: Server) -> int:
    """Highest resident memory that any process of the server ever had."""
    lines = [line for pid in server.children() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return max(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.fixture
def server(start_server: StartServer) -> Iterator[Server]:
    """A server of one's own whose objects do not stay on the disk until the end of the run."""
    running = start_server()
    yield running
    running.stop()
    shutil.rmtree(running.folder / "data")


def check_frames(server: Server, large: LargeObject) -> None:
    for number in (1, 2, FRAMES):
        assert read_frame(server, large, number) == frame(number)


def check_memory(server: Server) -> None:
    peak = peak_bytes(server)
    assert peak < LIMIT_BYTES, f"{peak / 1e6:.0f} MB"


def test_an_object_beyond_2_gib_by_stow_needs_little_memory(server: Server) -> None:
    large = LargeObject("stow")
    store_by_stow(server, large)
    check_memory(server)
    check_frames(server, large)


def test_an_object_beyond_2_gib_by_dimse_needs_little_memory_in_and_out(server: Server) -> None:
    large = LargeObject("dimse")
    store_by_dimse(server, large)
    check_memory(server)
    check_frames(server, large)
    length = len(senders.without_meta(large.head)) + FRAMES * FRAME_BYTES
    assert digest(read_dataset(server, large, length)) == digest(large.dataset())
    check_memory(server)
