"""A PostgreSQL server of the bench's own, with its default durability, for the `pacs-postgresql` column."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import processes


@contextmanager
def cluster(folder: Path) -> Iterator[str]:
    """Run PostgreSQL in the folder; yields the URL of its database, which is empty when the folder is new."""
    fresh = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    programs = max(Path("/usr/lib/postgresql").glob("*/bin"), key=lambda path: int(path.parent.name))
    # PostgreSQL refuses to run as root; Debian's package brings a user for it.
    as_owner = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
    if as_owner:
        shutil.chown(folder, "postgres", "postgres")
        folder.parent.chmod(0o711)
    port, data = processes.free_port(), str(folder / "data")
    initialise = [str(programs / "initdb"), "--username=postgres", "--auth=trust", "--encoding=UTF8", "-D", data]
    if fresh:
        subprocess.run([*as_owner, *initialise], check=True, capture_output=True, cwd=folder)
    control = [*as_owner, str(programs / "pg_ctl"), "-D", data, "--wait", "--log", str(folder / "log")]
    options = f"-c listen_addresses=127.0.0.1 -c port={port} -c unix_socket_directories={folder}"
    quiet = {"check": True, "stdout": subprocess.DEVNULL, "cwd": folder}
    subprocess.run([*control, "-o", options, "start"], **quiet)  # type: ignore[call-overload]
    try:
        yield f"postgresql+psycopg://postgres@127.0.0.1:{port}/postgres"
    finally:
        subprocess.run([*control, "--mode=fast", "stop"], **quiet)  # type: ignore[call-overload]
