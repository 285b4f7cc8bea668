"""Reading in the viewer: loops play, frames are scrolled through, planes are reconstructed, studies opened together."""

import io
from functools import partial

import httpx
import numpy as np
import pydicom
import pytest
from playwright.sync_api import Page

from tests import kinds
from tests.browser.pictures import (
    ACTIVE,
    LIKE,
    canvas,
    expected,
    likeness,
    likeness_at_any_zoom,
    open_from_list,
    study_of,
    wait_for_picture,
    wait_until,
)
from tests.conftest import Server
from tests.protocol.web import stow

SLICES = 24
FRAMES = 500


@pytest.fixture(scope="module")
def files() -> dict[str, list[bytes]]:
    """A loop as long as they get, a multi-frame image, and a stack that makes a volume."""
    return {
        "cine": [kinds.written(kinds.us_cine(FRAMES, rows=120, columns=160))],
        "nm": [kinds.written(kinds.nm())],
        "ct": [kinds.written(ds) for ds in kinds.ct("ct", [2.0 * index for index in range(SLICES)])],
    }


@pytest.fixture(scope="module")
def archive(site: Server, files: dict[str, list[bytes]]) -> Server:
    """A server that has them."""
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        for parts in files.values():
            assert stow(client, *parts).status_code == 200
    return site


def scroll(page: Page, number: int = 0) -> None:
    """One notch of the wheel over a viewport."""
    page.locator(".cornerstone-canvas").nth(number).hover(force=True)
    page.mouse.wheel(0, 120)


def test_a_loop_of_500_frames_plays_by_itself(archive: Server, page: Page, files: dict[str, list[bytes]]) -> None:
    (data,) = files["cine"]
    open_from_list(page, archive, study_of(data))
    page.locator(".cornerstone-canvas").first.wait_for()
    index = f"(() => {{ try {{ return {ACTIVE}.getCurrentImageIdIndex() }} catch {{ return 0 }} }})()"
    seen: set[int] = set()

    def has_advanced() -> bool:
        seen.add(page.evaluate(index))
        return len(seen) > 4

    wait_until(page, has_advanced, lambda: f"only frames {seen}")
    assert page.evaluate(f"{ACTIVE}.getImageIds().length") == FRAMES
    ds = pydicom.dcmread(io.BytesIO(data))
    pixels = ds.pixel_array
    # The spot of this loop is back after 50 frames.
    shown = canvas(page)
    assert max(likeness(shown, pixels[frame]) for frame in range(50)) > LIKE


def test_frames_are_scrolled_through(archive: Server, page: Page, files: dict[str, list[bytes]]) -> None:
    (data,) = files["nm"]
    open_from_list(page, archive, study_of(data))
    for frame in range(3):
        wait_for_picture(page, expected(data, frame))
        scroll(page)
    wait_for_picture(page, expected(data, 3))


def test_planes_are_reconstructed(archive: Server, page: Page, files: dict[str, list[bytes]]) -> None:
    parts = files["ct"]
    open_from_list(page, archive, study_of(parts[0]))
    wait_for_picture(page, expected(parts[-1], 0))
    page.locator('[data-cy="Layout"]').click()
    page.locator('[data-cy="MPR"]').click()
    page.locator(".cornerstone-canvas").nth(2).wait_for()
    slices = np.stack([expected(data, 0) for data in parts])
    middle = slices.shape[1] // 2
    upwards = slices[::-1].repeat(4, axis=0)
    views = {1: upwards[:, :, middle], 2: upwards[:, middle]}

    def like(number: int, picture: np.ndarray) -> float:
        return likeness_at_any_zoom(canvas(page, number), picture)

    for number, picture in views.items():
        wait_until(page, partial(lambda n, p: like(n, p) > 0.9, number, picture), partial(like, number, picture))

    def axial() -> int:
        """The slice that the axial viewport shows, by its picture; -1 for none."""
        found = [like(0, one) for one in slices]
        return int(np.argmax(found)) if max(found) > 0.97 else -1

    wait_until(page, lambda: axial() >= 0, lambda: "no axial slice")
    before = axial()
    others = [canvas(page, number) for number in views]
    scroll(page)
    wait_until(page, lambda: abs(axial() - before) == 1, axial)
    assert all(np.array_equal(canvas(page, number), other) for number, other in zip(views, others, strict=True))


def test_several_studies_are_opened_together(archive: Server, page: Page, files: dict[str, list[bytes]]) -> None:
    studies = [study_of(files[name][0]) for name in ("nm", "ct")]
    page.goto(f"{archive.web_url}/viewer/viewer?StudyInstanceUIDs={','.join(studies)}")
    wait_for_picture(page, expected(files["nm"][0], 0), *(expected(data, 0) for data in files["ct"]))
    listed = "[...new Set(services.displaySetService.getActiveDisplaySets().map(one => one.StudyInstanceUID))]"
    assert sorted(page.evaluate(listed)) == sorted(studies)
