"""What the tests of the viewer share: open a study, put a series into the viewport, look at the pixels."""

import io
import time
from collections.abc import Callable

import httpx
import numpy as np
from PIL import Image
from playwright.sync_api import Locator, Page
from pydicom.dataset import Dataset

from tests.browser.conftest import PATIENCE_MS
from tests.conftest import Server
from tests.protocol.web import stow, write

MIDDLE = {"x": 340, "y": 160, "width": 960, "height": 640}
"""The part of the window that shows nothing but the picture."""


def store(site: Server, *objects: Dataset) -> str:
    """Store objects of one study and return its UID."""
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        for ds in objects:
            answer = stow(client, write(ds))
            assert answer.status_code == 200, answer.text
    return str(objects[0].StudyInstanceUID)


def open_study(page: Page, site: Server, study: str, mode: str = "viewer") -> None:
    """Open a study in the viewer and wait for the list of its series."""
    page.goto(f"{site.web_url}/viewer/{mode}?StudyInstanceUIDs={study}")
    page.locator('[data-cy="viewport-pane"], [data-cy="viewport-grid"]').first.wait_for()


def entry(page: Page, modality: str) -> Locator:
    """The series of a modality in the list at the left."""
    found = page.locator('[data-cy="study-browser-thumbnail-no-image"], [data-cy="study-browser-thumbnail"]')
    return found.filter(has_text=modality).first


def show(page: Page, modality: str) -> None:
    """Put the first series of a modality into the viewport, as a reader does: by a double click."""
    entry(page, modality).dblclick()


def pixels(page: Page) -> np.ndarray:
    """The middle of the window: rows x columns x RGB."""
    picture = Image.open(io.BytesIO(page.screenshot(clip=MIDDLE))).convert("RGB")
    return np.asarray(picture).astype(int)


def coloured(page: Page) -> int:
    """How many pixels are neither black nor grey nor white."""
    shown = pixels(page)
    return int((shown.max(axis=2) - shown.min(axis=2) > 60).sum())


def spread(page: Page) -> float:
    """Standard deviation of the pixels: nothing but one colour has none."""
    return float(pixels(page).mean(axis=2).std())


def until(page: Page, condition: Callable[[], bool]) -> None:
    """Wait for what can only be seen."""
    end = time.monotonic() + PATIENCE_MS / 1000
    while not condition():
        if time.monotonic() > end:
            raise AssertionError("The viewer does not show it")
        page.wait_for_timeout(250)
