"""The first image: a real browser opens a study in OHIF, and says itself how long our answers took.

What counts is the server's share: the query for the series, the span of all their metadata, and the first frame; OHIF
asks for each of the three when it has the one before. Everything else on the way to the picture is the browser's own
work. Cold is a server that has just started, whose files have left the system's cache, warm the same once more, and
both in a browser that has compiled the viewer before and never seen the study. `reloaded` is the same tab opened again;
a new browser has nothing of the viewer either.
"""

import itertools
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import datasets, dimse, loops, processes
from bench.browser import PATIENCE_MS, chromium, make_profile, resource_times, visit, wait_for_ms
from bench.datasets import Kind, Study
from bench.resource_times import first_image_figures
from bench.servers import REPOSITORY, Server
from bench.workload import Figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

Start = Callable[[], AbstractContextManager[Server]]
"""Starts the server, always on the same folder, and stops it at the end of the block."""

NAME: Final = "first image"
MOMENTS: Final = ("cold", "warm", "reloaded", "new browser")

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
document.addEventListener('CORNERSTONE_STACK_NEW_IMAGE', (event) => {
  if (event.detail.imageIdIndex > 0) window.playsMs ??= performance.now();
}, true);
"""
_DRAWN = ".cornerstone-canvas"


@dataclass(frozen=True, slots=True)
class Opened:
    """A study that a browser opens. A loop is one instance, and as many frames as the others have slices."""

    name: str
    series: tuple[tuple[Kind, Study], ...]
    slices: int
    is_loop: bool = False

    def address(self, server: Server) -> str:
        """The viewer's address for it."""
        study = self.series[0][1].study_instance_uid
        return f"http://127.0.0.1:{server.web_port}/viewer/viewer?StudyInstanceUIDs={study}"


def studies(scale: float) -> tuple[Opened, ...]:
    """One long series, and many short ones of two modalities. Quick runs have fewer slices, never fewer series."""
    long = datasets.study("first image, long", 1, "CT")
    mixed = datasets.study("first image, mixed", 2, "CT")
    kinds: tuple[tuple[Kind, str], ...] = (("ct", "CT"), ("mr", "MR"))
    series = tuple((kinds[number % 2][0], mixed.another_series(number, kinds[number % 2][1])) for number in range(15))
    loop = datasets.study("first image, loop", 3, "US")
    return (
        Opened("CT of 500 slices", (("ct", long),), max(20, int(500 * scale))),
        Opened("15 series of 40 slices", series, max(5, int(40 * scale))),
        Opened("US loop of 500 frames", (("tiny", loop),), max(50, int(500 * scale)), is_loop=True),
    )


def measure(start: Start, files: Path, scale: float, rounds: int) -> Iterator[tuple[str, int, Figures]]:
    """Workload, round and figures of every study at every moment. `files` is a folder for what is sent."""
    _require_viewer()
    opened = studies(scale)
    seen = Opened("seen before", (("ct", datasets.study("first image, seen", 4, "CT")),), 3)
    with chromium() as browser, tempfile.TemporaryDirectory() as folder:
        profile = Path(folder)
        with start() as server:
            for study in (*opened, seen):
                _store(server, study, files)
            processes.settle(server.pid, timeout_seconds=60)
            make_profile(browser, profile, seen.address(server), _DRAWN)
        for number, study in itertools.product(range(rounds), opened):
            forget(server.folder)
            with start() as again:
                for moment, figures in zip(MOMENTS, _open(browser, profile, again, study), strict=True):
                    yield f"{NAME}, {study.name}, {moment}", number, figures


def settings() -> dict[str, str]:
    """What the server needs besides the usual: the viewer, and always the same port, which browsers know it by."""
    return {"PACS_WEB_VIEWER_FOLDER": str(_VIEWER), "PACS_WEB_PORT": str(processes.free_port())}


def _open(browser: "Browser", profile: Path, server: Server, study: Opened) -> Iterator[Figures]:
    """The figures of every moment, in their order."""
    for begin_with, again in ((profile, False), (profile, True), (None, False)):
        processes.settle(server.pid)
        with visit(browser, study.address(server), watch=_WATCH, profile=begin_with) as page:
            yield _figures(page, study)
            if again:
                page.reload(timeout=PATIENCE_MS)
                yield _figures(page, study)


def _figures(page: "Page", study: Opened) -> Figures:
    """Wait for a picture that is not one single grey, in a loop for the next one too; the browser says its times."""
    picture_ms = wait_for_ms(page, "firstPictureMs")
    figures = first_image_figures(resource_times(page), picture_ms)
    return figures | {"plays s": wait_for_ms(page, "playsMs") / 1000} if study.is_loop else figures


def _require_viewer() -> None:
    if not (_VIEWER / "files.json").exists():
        command = [sys.executable, "-c", "from pacs.cli import main; main()", "viewer", "install"]
        if subprocess.run(command, cwd=REPOSITORY, check=False, stdout=subprocess.DEVNULL).returncode:
            raise RuntimeError("the viewer is not there; `make web` installs it")


def _store(server: Server, study: Opened, files: Path) -> None:
    for number, (kind, series) in enumerate(study.series):
        folder = files / f"series{number}"
        if study.is_loop:
            made = loops.write_loop(folder, series, study.slices)
        else:
            made = datasets.write_series(folder, kind, series, study.slices)
        try:
            dimse.store(server.dimse_port, server.ae_title, made.folders, propose="jpeg8" if study.is_loop else "")
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
