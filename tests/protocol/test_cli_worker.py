"""The worker: what a crash leaves behind is removed after an hour, and nothing else ever."""

import os
import shutil
import time
import zipfile
from pathlib import Path

from tests.command import run, wait_until
from tests.conftest import StartServer
from tests.protocol.test_cli_import import DEMO

HOUR_SECONDS = 3600


def test_orphans_are_swept(start_server: StartServer, tmp_path: Path) -> None:
    with zipfile.ZipFile(DEMO) as archive:
        archive.extractall(tmp_path)
    server = start_server(worker={"sweep_hours": 0.5 / HOUR_SECONDS})
    run(server.folder, "--config", "pacs.toml", "import", str(tmp_path / "head"))
    known = sorted(path for path in (server.folder / "data" / "objects").rglob("*") if path.is_file())
    assert len(known) == 8
    old, young = (known[0].with_name(known[0].stem[:-4] + end) for end in ("0ld0.dcm", "y0ng.dcm"))
    shutil.copy(known[0], old)
    shutil.copy(known[0], young)
    two_hours_ago = time.time() - 2 * HOUR_SECONDS
    for path in (*known, old):
        os.utime(path, (two_hours_ago, two_hours_ago))
    wait_until(lambda: not old.exists())
    assert young.exists()
    assert all(path.exists() for path in known)
