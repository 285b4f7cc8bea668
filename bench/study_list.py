"""The study list in a real browser: how much is loaded until the first rows stand there, and how long we take for it.

After that a study of many series is selected, and the pictures of its series are waited for.
"""

import itertools
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from bench import datasets, dimse, processes
from bench.browser import PATIENCE_MS, chromium, resource_times, visit, wait_for_ms
from bench.datasets import Study
from bench.first_image import Start, forget
from bench.resource_times import list_figures, picture_figures
from bench.servers import Server
from bench.workload import Figures

if TYPE_CHECKING:
    from playwright.sync_api import Browser

NAME: Final = "study list"

_STUDIES = 100
_SERIES = 15
_WATCH = """
(function look() {
  if (document.querySelector('tr[data-uid]')) window.firstRowMs = performance.now();
  else requestAnimationFrame(look);
})();
"""
_ALL_PICTURES = """(count) => {
  const pictures = [...document.querySelectorAll('img.picture')];
  for (const picture of pictures) picture.loading = 'eager';
  return pictures.length === count && pictures.every((picture) => picture.complete && picture.naturalWidth > 0);
}"""


def measure(start: Start, files: Path, rounds: int) -> Iterator[tuple[str, int, Figures]]:
    """Workload, round and figures, cold and warm in each round. `files` is a folder for what is sent."""
    newest = replace(datasets.study("study list, series", 1, "CT"), study_date="20351231")
    with start() as server:
        _store(server, newest, files)
        processes.settle(server.pid, timeout_seconds=60)
    with chromium() as browser:
        for number in range(rounds):
            forget(server.folder)
            with start() as again:
                for moment in ("cold", "warm"):
                    processes.settle(again.pid)
                    rows, pictures = _open(browser, again, newest)
                    yield f"{NAME}, {moment}", number, rows
                    yield f"{NAME}, pictures of {_SERIES} series, {moment}", number, pictures


def _open(browser: "Browser", server: Server, study: Study) -> tuple[Figures, Figures]:
    with visit(browser, f"http://127.0.0.1:{server.web_port}/", watch=_WATCH) as page:
        rows_ms = wait_for_ms(page, "firstRowMs")
        rows = list_figures(resource_times(page), rows_ms)
        page.locator(f'tr[data-uid="{study.study_instance_uid}"]').click(timeout=PATIENCE_MS)
        page.wait_for_function(_ALL_PICTURES, arg=_SERIES, timeout=PATIENCE_MS)
        return rows, picture_figures(resource_times(page))


def _store(server: Server, newest: Study, files: Path) -> None:
    others = [datasets.study("study list", number) for number in range(_STUDIES - 1)]
    series = [newest.another_series(number, "CT") for number in range(1, _SERIES + 1)]
    made = [datasets.write_studies(files / "others", "tiny", others)]
    made += [datasets.write_series(files / str(one.series_number), "ct", one, 3) for one in series]
    try:
        for folder in itertools.chain.from_iterable(one.folders for one in made):
            dimse.store(server.dimse_port, server.ae_title, [folder])
    finally:
        for one in made:
            one.remove()
