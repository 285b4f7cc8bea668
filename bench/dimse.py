"""DIMSE load with DCMTK's tools, one process per association, the same for every server.

`TCP_NODELAY=1` in the environment turns Nagle's algorithm off in DCMTK; its default is on.
"""

import socket
import struct
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from bench.servers import SINK_AE_TITLE, Server, environment

_CALLING = "BENCH"
_VERIFICATION = b"1.2.840.10008.1.1"
_APPLICATION_CONTEXT = b"1.2.840.10008.3.1.1.1"
_IMPLICIT_LITTLE_ENDIAN = b"1.2.840.10008.1.2"
_A_ASSOCIATE_AC = 0x02


def store(port: int, called: str, folders: Sequence[Path], *, propose: str = "", nodelay: bool = True) -> float:
    """Send each folder over an association of its own, all at once. Wall seconds until the last is through.

    `propose` is storescu's word for what is compressed: `jls-lossless`, `jpeg8`.
    """
    options = [f"--propose-{propose}"] if propose else []
    command = ["storescu", *options, "--required", "-aet", _CALLING, "-aec", called, "--scan-directories"]
    return _run_together([[*command, "127.0.0.1", str(port), str(folder)] for folder in folders], nodelay=nodelay)


def get_study(server: Server, study: str, *, nodelay: bool = True) -> float:
    """C-GET of a study, thrown away on arrival. Wall seconds."""
    return _run_together([["getscu", "-S", "--ignore", *_endpoint(server), *_study_keys(study)]], nodelay=nodelay)


def move_study(server: Server, study: str, *, nodelay: bool = True) -> float:
    """C-MOVE of a study to the sink. Wall seconds."""
    command = ["movescu", "-S", "-aem", SINK_AE_TITLE, *_endpoint(server), *_study_keys(study)]
    return _run_together([command], nodelay=nodelay)


def find_studies(server: Server, keys: Sequence[str], repeat: int) -> float:
    """The same study level C-FIND `repeat` times on one association. Wall seconds."""
    returned = ["PatientName", "PatientID", "StudyInstanceUID", "StudyDate", "AccessionNumber", "ModalitiesInStudy"]
    given = {key.partition("=")[0] for key in keys}
    asked = [*keys, *(keyword for keyword in returned if keyword not in given)]
    command = ["findscu", "-S", "--hide-responses", "--repeat", str(repeat), *_endpoint(server)]
    return _run_together([command + _keys(["QueryRetrieveLevel=STUDY", *asked])], nodelay=True)


def _endpoint(server: Server) -> list[str]:
    return ["-aet", _CALLING, "-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)]


def _study_keys(study: str) -> list[str]:
    return _keys(["QueryRetrieveLevel=STUDY", f"StudyInstanceUID={study}"])


def _keys(keys: Sequence[str]) -> list[str]:
    return [word for key in keys for word in ("-k", key)]


def _run_together(commands: Sequence[Sequence[str]], *, nodelay: bool) -> float:
    env = environment(nodelay=nodelay)
    started = time.perf_counter()
    running = [
        subprocess.Popen(command, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT) for command in commands
    ]
    outputs = [process.communicate()[0] for process in running]
    wall_seconds = time.perf_counter() - started
    for command, process, output in zip(commands, running, outputs, strict=True):
        if process.returncode:
            raise RuntimeError(
                f"{' '.join(command)}: status {process.returncode}: {output.decode(errors='replace')[-1000:]}"
            )
    return wall_seconds


@contextmanager
def idle_associations(server: Server, count: int) -> Iterator[int]:
    """Hold up to `count` associations open that say nothing. Yields how many the server accepted."""
    request = _associate_request(server.ae_title)
    with_answers: list[socket.socket] = []
    sockets = []
    try:
        for _ in range(count):
            connection = socket.create_connection(("127.0.0.1", server.dimse_port), timeout=3)
            sockets.append(connection)
            connection.sendall(request)
            try:
                if connection.recv(1) == bytes([_A_ASSOCIATE_AC]):
                    with_answers.append(connection)
            except OSError:
                break
        yield len(with_answers)
    finally:
        for connection in sockets:
            connection.close()


def _associate_request(called: str) -> bytes:
    """An A-ASSOCIATE-RQ for Verification (PS3.8 9.3.2)."""
    context = b"\x01\0\0\0" + _item(0x30, _VERIFICATION) + _item(0x40, _IMPLICIT_LITTLE_ENDIAN)
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"2.25.1")
    titles = called.encode().ljust(16) + _CALLING.encode().ljust(16)
    items = _item(0x10, _APPLICATION_CONTEXT) + _item(0x20, context) + _item(0x50, user)
    body = struct.pack(">HH", 1, 0) + titles + bytes(32) + items
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value
