"""The first image: a real browser opens a study in OHIF, and says itself how long our answers took.

What counts is the server's share: the query for the series, the span of all their metadata, and the first frame; OHIF
asks for each of the three when it has the one before. Everything else on the way to the picture is the browser's own
work. Cold is a server that has just started, whose files have left the system's cache, warm the same once more, and
both in a browser that has cached nothing; `reloaded` is the same tab opened again.
"""

import itertools
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import datasets, dimse, processes
from bench.browser import PATIENCE_MS, chromium, resource_times, visit, wait_for_ms
from bench.datasets import Kind, Study
from bench.resource_times import first_image_figures
from bench.servers import REPOSITORY, Server
from bench.workload import Figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Start = Callable[[], AbstractContextManager[Server]]
"""Starts the server, always on the same folder, and stops it at the end of the block."""

NAME: Final = "first image"
MOMENTS: Final = ("cold", "warm", "reloaded")

_VIEWER = REPOSITORY / "data" / "viewer"
_WATCH = """
document.addEventListener('CORNERSTONE_IMAGE_RENDERED', (event) => {
  const canvas = event.target.querySelector('canvas');
  if (window.firstPictureMs || !canvas) return;
  const small = new OffscreenCanvas(16, 16).getContext('2d');
  small.drawImage(canvas, 0, 0, 16, 16);
  const samples = small.getImageData(0, 0, 16, 16).data.filter((_, at) => at % 4 === 0);
  if (Math.max(...samples) - Math.min(...samples) > 20) window.firstPictureMs = performance.now();
}, true);
"""


@dataclass(frozen=True, slots=True)
class Opened:
    """A study that a browser opens."""

    name: str
    series: tuple[tuple[Kind, Study], ...]
    slices: int

    @property
    def path(self) -> str:
        """The viewer's address for it."""
        return f"/viewer/viewer?StudyInstanceUIDs={self.series[0][1].study_instance_uid}"


def studies(scale: float) -> tuple[Opened, ...]:
    """One long series, and many short ones of two modalities. Quick runs have fewer slices, never fewer series."""
    long = datasets.study("first image, long", 1, "CT")
    mixed = datasets.study("first image, mixed", 2, "CT")
    kinds: tuple[tuple[Kind, str], ...] = (("ct", "CT"), ("mr", "MR"))
    series = tuple((kinds[number % 2][0], mixed.another_series(number, kinds[number % 2][1])) for number in range(15))
    return (
        Opened("CT of 500 slices", (("ct", long),), max(20, int(500 * scale))),
        Opened("15 series of 40 slices", series, max(5, int(40 * scale))),
    )


def measure(start: Start, files: Path, scale: float, rounds: int) -> Iterator[tuple[str, int, Figures]]:
    """Workload, round and figures of every study at every moment. `files` is a folder for what is sent."""
    _require_viewer()
    opened = studies(scale)
    with start() as server:
        for study in opened:
            _store(server, study, files)
        processes.settle(server.pid, timeout_seconds=60)
    with chromium() as browser:
        for number, study in itertools.product(range(rounds), opened):
            forget(server.folder)
            with start() as again:
                for moment, figures in zip(MOMENTS, _open(browser, again, study), strict=True):
                    yield f"{NAME}, {study.name}, {moment}", number, figures


def settings() -> dict[str, str]:
    """What the server needs besides the usual."""
    return {"PACS_WEB_VIEWER_FOLDER": str(_VIEWER)}


def _open(browser: "Browser", server: Server, study: Opened) -> Iterator[Figures]:
    address = f"http://127.0.0.1:{server.web_port}{study.path}"
    for again in (False, True):
        processes.settle(server.pid)
        with visit(browser, address, watch=_WATCH) as page:
            yield _figures(page)
            if again:
                page.reload(timeout=PATIENCE_MS)
                yield _figures(page)


def _figures(page: "Page") -> Figures:
    """Wait for a picture that is not one single grey, and ask the browser for its times."""
    picture_ms = wait_for_ms(page, "firstPictureMs")
    return first_image_figures(resource_times(page), picture_ms)


def _require_viewer() -> None:
    if not (_VIEWER / "files.json").exists():
        command = [sys.executable, "-c", "from pacs.cli import main; main()", "viewer", "install"]
        if subprocess.run(command, cwd=REPOSITORY, check=False, stdout=subprocess.DEVNULL).returncode:
            raise RuntimeError("the viewer is not there; `make web` installs it")


def _store(server: Server, study: Opened, files: Path) -> None:
    for number, (kind, series) in enumerate(study.series):
        made = datasets.write_series(files / f"series{number}", kind, series, study.slices)
        try:
            dimse.store(server.dimse_port, server.ae_title, made.folders)
        finally:
            made.remove()


def forget(folder: Path) -> None:
    """Drop the server's files from the system's cache, after a sync: what is not on the disk yet stays in it."""
    os.sync()
    for path in folder.rglob("*"):
        if path.is_file():
            descriptor = os.open(path, os.O_RDONLY)
            os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
            os.close(descriptor)
