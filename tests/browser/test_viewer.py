"""The way of a radiologist: the start page, a click, and the picture is there."""

import io
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Page

from pacs.viewer.install import CannotInstall, install
from tests.conftest import Server
from tests.protocol.web import stow
from tests.samples import sample, shipped_files


@pytest.fixture(scope="module")
def study(site: Server) -> str:
    """A CT study in the archive."""
    paths = [path for path in shipped_files() if path.parent.name == "ct_head_phantom_54"]
    with httpx.Client(base_url=site.dicomweb_url) as client:
        for path in paths:
            assert stow(client, path.read_bytes()).status_code == 200
    return str(pydicom.dcmread(paths[0], stop_before_pixels=True).StudyInstanceUID)


def brightness(page: Page) -> float:
    """Spread of the grey values in the middle of the window: nothing but black has none."""
    box = {"x": 400, "y": 150, "width": 800, "height": 600}
    return float(np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("L")).std())


def test_from_the_list_to_the_picture(site: Server, study: str, page: Page) -> None:
    page.goto(site.web_url)
    page.locator(f'tr[data-uid="{study}"]').click()
    page.get_by_role("link", name="Open", exact=True).click()
    page.wait_for_url("**/viewer/viewer?StudyInstanceUIDs=*")
    page.locator(".cornerstone-canvas").first.wait_for(timeout=60_000)
    page.wait_for_function(
        "document.querySelector('[data-cy=\"viewport-overlay-bottom-right\"]')?.innerText.includes('I:')"
    )
    page.wait_for_timeout(1000)
    assert brightness(page) > 5


def test_files_are_served_for_browsers(site: Server, viewer: Path) -> None:
    with httpx.Client(base_url=site.web_url) as client:
        page = client.get("/viewer/", headers={"Accept-Encoding": "identity"})
        assert (
            page.status_code == 200 and "'unsafe-inline'" not in page.headers["content-security-policy"].split(";")[1]
        )
        bundle = next(item for item in page.text.split('"') if item.startswith("/app.bundle.") and item.endswith(".js"))
        sizes = {}
        for encoding in ("br", "gzip", "identity"):
            answer = client.get(bundle, headers={"Accept-Encoding": encoding})
            assert answer.status_code == 200
            assert answer.headers["cache-control"] == "private, max-age=31536000, immutable"
            assert answer.headers.get("content-encoding", "identity") == encoding
            sizes[encoding] = int(answer.headers["content-length"])
        assert sizes["br"] < sizes["gzip"] < sizes["identity"] / 4
        tag = answer.headers["etag"]
        assert client.get(bundle, headers={"If-None-Match": tag}).status_code == 304
        assert client.get("/app-config.js").headers["cache-control"] == "no-cache"
        assert "'/dicomweb'" in client.get("/app-config.js").text.replace('"', "'")
        for missing in (
            "/app.bundle.0000000000000000.js",
            "/viewer/nothing.js",
            "/assets/nothing.png",
            "/../pacs.toml",
        ):
            assert client.get(missing).status_code == 404


def test_without_the_viewer_the_server_says_how_to_get_it(server: Server) -> None:
    answer = httpx.get(f"{server.web_url}/viewer/")
    assert answer.status_code == 503 and "pacs viewer install" in answer.json()["error"]["message"]
    assert httpx.get(f"{server.web_url}/server.json").json()["viewer"] is False


def test_another_package_is_refused(tmp_path: Path) -> None:
    package = tmp_path / "package.tgz"
    package.write_bytes(sample("ct_head_phantom_54/I100.dcm").read_bytes())
    with pytest.raises(CannotInstall, match="checksum"):
        install(tmp_path / "viewer", package, say=lambda _line: None)
    run = subprocess.run(
        [sys.executable, "-m", "pacs", "viewer", "install", "--file", str(package)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert run.returncode == 1 and "checksum" in run.stderr
    assert sorted(tmp_path.rglob("*.js")) == []
