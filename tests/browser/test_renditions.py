"""The viewer shows pictures from renditions where the server prefers them: HTJ2K is what it decodes."""

import io
from collections.abc import Iterator
from pathlib import Path

import httpx
import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import Page, Response

from tests.command import wait_until
from tests.conftest import Server, StartServer
from tests.protocol.web import read, stow
from tests.samples import sample

CT = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
COLOUR = [sample("us/examples_rgb_color.dcm")]
RPCL = "1.2.840.10008.1.2.4.202"
CLIP = {"x": 400, "y": 150, "width": 800, "height": 600}


@pytest.fixture(scope="module")
def archive(start_site: StartServer) -> Iterator[Server]:
    server = start_site(renditions={"rules": [{}], "after_seconds": 0, "prefer": True})
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        assert stow(client, *(path.read_bytes() for path in CT + COLOUR)).status_code == 200
        parameters = {"AvailableTransferSyntaxUID": RPCL}
        wait_until(lambda: len(client.get("/instances", params=parameters).json()) == len(CT + COLOUR), 60)
    yield server
    server.stop()


@pytest.mark.parametrize("files", [CT, COLOUR], ids=["ct", "colour"])
def test_the_picture_comes_from_the_rendition(archive: Server, page: Page, files: list[Path]) -> None:
    kinds: set[str] = set()

    def note(response: Response) -> None:
        if "/frames/" in response.url and response.status == 200:
            kinds.add(response.header_value("content-type") or "")

    page.on("response", note)
    # The browser may have the frames of these samples from a server without renditions.
    page.context.new_cdp_session(page).send("Network.setCacheDisabled", {"cacheDisabled": True})
    page.goto(f"{archive.web_url}/viewer/viewer?StudyInstanceUIDs={read(files[0]).StudyInstanceUID}")
    page.locator(".cornerstone-canvas").first.wait_for()
    page.wait_for_function(_IS_DRAWN)
    assert kinds and all('type="image/jphc"' in kind for kind in kinds), kinds
    shown = np.asarray(Image.open(io.BytesIO(page.screenshot(clip=CLIP))).convert("RGB")).astype(int)
    assert shown.std() > 5
    assert bool((shown.max(axis=2) - shown.min(axis=2) > 100).mean() > 0.01) == (files == COLOUR)
    name, values = page.evaluate(_PIXELS)
    (path,) = (path for path in files if f"/instances/{read(path).SOPInstanceUID}/" in name)
    ds = read(path)
    expected = ds.pixel_array.astype(float) * ds.get("RescaleSlope", 1) + ds.get("RescaleIntercept", 0)
    decoded = np.asarray(values, float).reshape(*expected.shape[:2], -1)
    assert np.array_equal(decoded[..., : expected[0, 0].size].squeeze(), expected)


_PIXELS = """() => {
    const { viewportGridService, cornerstoneViewportService } = window.services;
    const viewport = cornerstoneViewportService.getCornerstoneViewport(viewportGridService.getActiveViewportId());
    const name = viewport.getCurrentImageId();
    return [name, Array.from(window.cornerstone.cache.getImage(name).getPixelData())];
}"""
"""What the viewer has made of the frame in the active viewport: its samples, for grey after the rescaling."""

_IS_DRAWN = """() => {
    const canvas = document.querySelector('.cornerstone-canvas');
    if (!canvas || !canvas.width) return false;
    const copy = document.createElement('canvas');
    copy.width = copy.height = 64;
    const context = copy.getContext('2d');
    context.drawImage(canvas, 0, 0, 64, 64);
    const data = context.getImageData(0, 0, 64, 64).data;
    return data.some((value, at) => at % 4 < 3 && value > 60);
}"""
