"""Codecs that crash take no server along, and no codec process outlives its server."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from index.errors import CannotUnderstand
from storage.pixels.decode import DecodedFrame, decode_frame
from storage.pixels.description import ImageDescription, StoredFrame
from tests.pixel_objects import LIMIT_BYTES, load
from tests.samples import sample

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture(scope="module")
def frame() -> StoredFrame:
    return load(sample("ct_syntaxes/JPEGProcess14SV1.dcm")).frame(1)


def decoded(frame: StoredFrame) -> DecodedFrame:
    return decode_frame(frame, ImageDescription.from_json(frame.dataset), limit_bytes=LIMIT_BYTES)


def children() -> set[int]:
    """Our codec processes, all threads' (Linux); a whole run of the suite has other children, servers for instance."""
    pids: set[int] = set()
    for task in Path("/proc/self/task").iterdir():
        with contextlib.suppress(FileNotFoundError):  # A thread may end while this looks.
            pids.update(map(int, (task / "children").read_text().split()))
    return {pid for pid in pids if is_codec_process(pid)}


def test_a_crash_costs_one_frame(frame: StoredFrame) -> None:
    good = decoded(frame).samples
    for length in (200, len(frame.data) // 3, len(frame.data) // 2):
        with pytest.raises(CannotUnderstand):
            decoded(replace(frame, data=frame.data[:length]))
        assert np.array_equal(decoded(frame).samples, good)


def test_a_codec_process_that_ended_while_idle_is_replaced(frame: StoredFrame) -> None:
    good = decoded(frame).samples
    for pid in children():
        os.kill(pid, signal.SIGKILL)
        while Path(f"/proc/{pid}/stat").read_text().split()[2] != "Z":
            time.sleep(0.01)
    assert np.array_equal(decoded(frame).samples, good)


def test_many_threads_share_few_processes(frame: StoredFrame) -> None:
    good = decoded(frame).samples
    with ThreadPoolExecutor(16) as pool:
        for found in pool.map(lambda _: decoded(frame).samples, range(48)):
            assert np.array_equal(found, good)
    assert len(children()) <= max(2, min(8, os.cpu_count() or 2)) + 1


def test_codec_processes_end_with_their_server() -> None:
    script = """
import os, signal, sys
from pathlib import Path
from tests.unit.test_pixels_isolation import children, decoded, load, sample
decoded(load(sample("ct_syntaxes/JPEGProcess14SV1.dcm")).frame(1))
print(*children(), flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""
    server = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert server.returncode == -signal.SIGKILL
    pids = [int(pid) for pid in server.stdout.split()]
    assert pids
    deadline = time.monotonic() + 20
    while any(is_codec_process(pid) for pid in pids):
        assert time.monotonic() < deadline, "a codec process outlives its server"
        time.sleep(0.05)


def is_codec_process(pid: int) -> bool:
    try:
        return b"codec_worker" in Path(f"/proc/{pid}/cmdline").read_bytes()
    except OSError:
        return False
