"""A real browser, the viewer as it is published, and a server of our own that both talk to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, sync_playwright

from pacs.viewer.files import INDEX, read_table
from tests.conftest import Server, environment, start

VIEWER = Path(__file__).parents[2] / "data" / "viewer"
"""Where `make web` puts it too."""

ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")


@pytest.fixture(scope="session")
def viewer() -> Path:
    """The viewer, installed as people do it when it is not there yet."""
    if INDEX not in read_table(VIEWER):
        command = [sys.executable, "-m", "pacs", "viewer", "install"]
        subprocess.run(command, cwd=VIEWER.parents[1], env=environment(), check=True, timeout=300)
    return VIEWER


@pytest.fixture(scope="session")
def site(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server with a viewer for all browser tests."""
    running = start(tmp_path_factory.mktemp("site"), web={"viewer_folder": str(viewer)})
    yield running
    running.stop()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Playwright keeps an event loop in this thread while it runs; tests of other modules need theirs."""
    with sync_playwright() as playwright:
        launched = playwright.chromium.launch(executable_path="/usr/bin/chromium", args=list(ARGUMENTS))
        yield launched
        launched.close()


@pytest.fixture
def page(browser: Browser) -> Iterator[Page]:
    """A new window; a test fails when anything writes an error into its console or when a script fails."""
    context = browser.new_context(viewport={"width": 1400, "height": 900}, locale="en-US")
    opened = context.new_page()
    errors: list[str] = []
    opened.errors = errors  # type: ignore[attr-defined]
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    context.close()
    assert errors == []
