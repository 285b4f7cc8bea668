"""A worker is killed in the middle of an object of 200 frames: nothing half made is known, and it is made after all."""

import io
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from pydicom.uid import HTJ2KLosslessRPCL

from config import settings
from index.database import Database
from index.jobs import Jobs
from index.renditions.requests import MAKE
from tests.archives import a_dataset, as_file
from tests.command import wait_until
from tests.conftest import Server, start
from tests.protocol.web import path_of, stow
from tests.servers import postgresql_url

FRAMES = 200


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """On PostgreSQL: SQLite is what the other tests with a worker have (`tests/protocol/test_web_renditions.py`)."""
    url = postgresql_url()
    running = start(
        tmp_path, database={"url": url}, renditions={"rules": [{"minimum_frames": 100}], "after_seconds": 0}
    )
    yield running
    running.stop()


def objects(server: Server) -> list[str]:
    return [str(path) for path in (server.folder / "data" / "objects" / "=renditions").rglob("*.dcm")]


def test_killed_in_the_middle(server: Server) -> None:
    pixels = np.random.default_rng(1).integers(0, 4096, (FRAMES, 192, 192), "u2")
    ds = a_dataset(Rows=192, Columns=192, BitsStored=12, HighBit=11, NumberOfFrames=FRAMES, PixelData=pixels.tobytes())
    database = Database(settings.Database(url=server.settings["database"]["url"]))
    jobs = Jobs(database)

    def running() -> list[bool]:
        return [job.running for job in jobs.waiting() if job.kind == MAKE]

    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        assert stow(client, as_file(ds)).status_code == 200
        wait_until(lambda: any(running()))
        os.kill(server.children()[-1], signal.SIGKILL)
        assert running() == [True], "its claim is still there"
        assert objects(server) == []
        found = client.get("/instances").json()
        assert len(found[0]["00083002"]["Value"]) == 1
        wait_until(lambda: not running(), 60)
        found = client.get("/instances").json()
        assert found[0]["00083002"]["Value"][1:] == [HTJ2KLosslessRPCL]
        (path,) = objects(server)
        accept = {"Accept": f"application/dicom; transfer-syntax={HTJ2KLosslessRPCL}"}
        made = client.get(path_of(ds), headers=accept).content
    database.close()
    assert np.array_equal(pydicom.dcmread(path).pixel_array, pixels)
    assert pydicom.dcmread(io.BytesIO(made)).PixelData == pydicom.dcmread(path).PixelData
