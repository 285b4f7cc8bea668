"""Codecs in processes of their own, because a damaged frame can crash them and must not take the server along.

A flipped bit in a lossless JPEG frame is enough to make a codec library write outside its buffers. So the
fragile ones run in children that know nothing but the frame they are given: no files, no database, bounded
memory and time. A child that dies is replaced, and its frame "cannot be understood". Children are
started when first needed, kept, and end when their standard input closes, so none outlives its server.

Both directions speak the same frames: two lengths (4 and 8 bytes, little endian), a JSON head, raw bytes.
Not pickle: what comes back from a child that was taken over is only ever numbers.
"""

import atexit
import os
import select
import struct
import subprocess
import sys
import threading
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, Final

import numpy as np
import numpy.typing as npt
import orjson

from index.errors import CannotUnderstand
from storage.pixels.description import ImageDescription

Samples = npt.NDArray[Any]

_LENGTHS: Final = struct.Struct("<IQ")
_TIMEOUT_SECONDS: Final = 60.0
_MOST_CHILDREN: Final = max(2, min(8, os.cpu_count() or 2))
_PIPE_BYTES: Final = 1024**2
_SET_PIPE_SIZE: Final = 1031
"""F_SETPIPE_SZ of Linux: fewer switches between the two processes."""


def decode(data: bytes, description: ImageDescription, transfer_syntax_uid: str) -> tuple[Samples, str]:
    """`codecs.decode` in a child process. Raises CannotUnderstand also when the child dies or takes too long."""
    head = {"description": asdict(description), "transfer_syntax_uid": transfer_syntax_uid}
    with _places:
        child = _living_child()
        try:
            answer, raw = child.ask(head, data)
        except (OSError, EOFError, ValueError) as exc:
            child.kill()
            raise CannotUnderstand("A compressed frame made its decoder fail") from exc
        _idle.append(child)
    if "error" in answer:
        raise CannotUnderstand(str(answer["error"]))
    samples = np.frombuffer(raw, np.dtype(str(answer["type"]))).reshape(answer["shape"])
    return samples, str(answer["photometric_interpretation"])


def _living_child() -> "_Child":
    """An idle child, or a new one. The semaphore bounds their number."""
    while True:
        try:
            child = _idle.pop()
        except IndexError:
            return _Child()
        if child.is_alive():
            return child
        child.kill()


def send(pipe: IO[bytes], head: dict[str, Any], data: bytes | memoryview) -> None:
    """Write one message."""
    packed = orjson.dumps(head)
    pipe.write(_LENGTHS.pack(len(packed), len(data)) + packed)
    pipe.write(data)
    pipe.flush()


def receive(pipe: IO[bytes]) -> tuple[dict[str, Any], bytes]:
    """Read one message. Raises EOFError when the other side is gone."""
    head_bytes, data_bytes = _LENGTHS.unpack(_exactly(pipe, _LENGTHS.size))
    head: dict[str, Any] = orjson.loads(_exactly(pipe, head_bytes))
    return head, _exactly(pipe, data_bytes)


def _exactly(pipe: IO[bytes], count: int) -> bytes:
    data = pipe.read(count)
    if len(data) != count:
        raise EOFError
    return data


class _Child:
    """One codec process."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "storage.pixels.codec_worker"],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=_environment(),
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._input, self._output = self._process.stdin, self._process.stdout
        for pipe in (self._input, self._output):
            _widen(pipe)

    def ask(self, head: dict[str, Any], data: bytes) -> tuple[dict[str, Any], bytes]:
        """Send a request and wait for the answer."""
        send(self._input, head, data)
        poll = select.poll()
        poll.register(self._output, select.POLLIN)
        if not poll.poll(_TIMEOUT_SECONDS * 1000):
            raise TimeoutError
        return receive(self._output)

    def is_alive(self) -> bool:
        """False when it ended while nobody looked, for instance for want of memory."""
        return self._process.poll() is None

    def kill(self) -> None:
        """End it, whatever it does."""
        self._process.kill()
        self._process.wait()
        self._close_pipes()

    def close(self) -> None:
        """Let it end by itself."""
        self._close_pipes()
        self._process.wait()

    def _close_pipes(self) -> None:
        for pipe in (self._input, self._output):
            try:
                pipe.close()
            except OSError:
                # Something unsent was left for a child that is gone.
                continue


def _environment() -> dict[str, str]:
    """What Python needs, and none of the server's variables: passwords may stand there."""
    kept = {name: os.environ[name] for name in ("LD_LIBRARY_PATH", "PYTHONHOME", "LANG") if name in os.environ}
    search = os.pathsep.join(str(Path(folder).resolve()) for folder in sys.path)
    return kept | {"PYTHONPATH": search, "OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}


def _widen(pipe: IO[bytes]) -> None:
    if sys.platform == "linux":
        import fcntl

        try:
            fcntl.fcntl(pipe, _SET_PIPE_SIZE, _PIPE_BYTES)
        except OSError:
            # The user's allowance for pipes is used up; the default size works as well.
            return


_places = threading.BoundedSemaphore(_MOST_CHILDREN)
_idle: list[_Child] = []


def _close_all() -> None:
    while _idle:
        _idle.pop().close()


def _forget_all() -> None:
    """A forked process must not share its parent's children."""
    global _places
    _places = threading.BoundedSemaphore(_MOST_CHILDREN)
    _idle.clear()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_forget_all)
