"""A real PostgreSQL server, one for the whole run; every caller gets an empty database of its own."""

import atexit
import os
import shutil
import signal
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path
from uuid import uuid4

import psycopg

from tests.conftest import free_port

START_SECONDS = 60


def postgresql_url() -> str:
    """URL of a new, empty database. Not having PostgreSQL is a failure: nothing is skipped."""
    port = _server()
    name = f"test_{uuid4().hex}"
    with psycopg.connect(
        host="127.0.0.1", port=port, user="postgres", dbname="postgres", autocommit=True
    ) as connection:
        connection.execute(f"CREATE DATABASE {name}")
    return f"postgresql+psycopg://postgres@127.0.0.1:{port}/{name}"


@cache
def _server() -> int:
    """Port of the server; it is started by the first who asks and ends with the run."""
    programs = _programs()
    folder = Path(tempfile.mkdtemp(prefix="postgresql-"))
    # PostgreSQL refuses to run as root; Debian's package brings a user for it.
    owner = {"user": "postgres", "group": "postgres"} if os.geteuid() == 0 else {}
    if owner:
        shutil.chown(folder, **owner)
    data = folder / "data"
    subprocess.run(
        [programs / "initdb", "--pgdata", data, "--username=postgres", "--auth=trust", "--encoding=UTF8", "--no-sync"],
        check=True,
        capture_output=True,
        cwd=folder,
        **owner,  # type: ignore[call-overload]
    )
    port = free_port()
    options = {
        "listen_addresses": "127.0.0.1",
        "port": port,
        "unix_socket_directories": folder,
        "max_connections": 100,
        "fsync": "off",
    }
    process = subprocess.Popen(
        [programs / "postgres", "-D", data, *(f"--{name}={value}" for name, value in options.items())],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        cwd=folder,
        **owner,  # type: ignore[call-overload]
    )
    atexit.register(_stop, process, folder)
    _wait(process, port)
    return port


def _programs() -> Path:
    """Newest PostgreSQL that is installed; Debian keeps the server's programs out of PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/postgres"), key=lambda path: float(path.parts[4]))
    if found:
        return found[-1].parent
    program = shutil.which("postgres")
    assert program, "PostgreSQL is needed: apt-get install postgresql"
    return Path(program).parent


def _wait(process: subprocess.Popen[bytes], port: int) -> None:
    for _ in range(START_SECONDS * 20):
        assert process.poll() is None, "PostgreSQL did not start"
        try:
            psycopg.connect(host="127.0.0.1", port=port, user="postgres", dbname="postgres").close()
            return
        except psycopg.OperationalError:
            time.sleep(0.05)
    raise AssertionError("PostgreSQL does not answer")


def _stop(process: subprocess.Popen[bytes], folder: Path) -> None:
    # SIGINT is PostgreSQL's fast shutdown: it does not wait for its clients.
    process.send_signal(signal.SIGINT)
    process.wait(timeout=START_SECONDS)
    shutil.rmtree(folder, ignore_errors=True)
