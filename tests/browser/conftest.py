"""A real browser, the viewer as it is published, and a server of our own that both talk to."""

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

from bench.browser import ARGUMENTS, CHROMIUM
from pacs.viewer.files import INDEX, read_table
from tests.conftest import Server, StartServer, environment, free_port, start

VIEWER = Path(__file__).parents[2] / "data" / "viewer"
"""Where `make web` puts it too."""

PATIENCE_MS = 90_000
"""Browsers are slow where the machine is busy."""
_LEFT_BEHIND = "cookies,local_storage,indexeddb,cache_storage,service_workers"


@pytest.fixture(scope="session")
def viewer() -> Path:
    """The viewer, installed as people do it when it is not there yet."""
    if INDEX not in read_table(VIEWER):
        command = [sys.executable, "-m", "pacs", "viewer", "install"]
        subprocess.run(command, cwd=VIEWER.parents[1], env=environment(), check=True, timeout=300)
    return VIEWER


@pytest.fixture(scope="session")
def start_site(viewer: Path, tmp_path_factory: pytest.TempPathFactory) -> StartServer:
    """A factory of servers with the viewer, for one module each.

    All have one address, so one runs at a time: browsers keep what they compiled by where it came from.
    """
    port = free_port()

    def start_one(**sections: dict[str, Any]) -> Server:
        sections["web"] = {"port": port, "viewer_folder": str(viewer), **sections.get("web", {})}
        return start(tmp_path_factory.mktemp("site"), **sections)

    return start_one


@pytest.fixture(scope="module")
def site(start_site: StartServer) -> Iterator[Server]:
    """One server with a viewer for the tests of a module."""
    running = start_site()
    yield running
    running.stop()


@pytest.fixture(scope="module")
def playwright() -> Iterator[Playwright]:
    """Playwright keeps an event loop in this thread while it runs; tests of other modules need theirs."""
    with sync_playwright() as running:
        yield running


@pytest.fixture(scope="session")
def profile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the browser keeps on disk. A viewer that it has compiled starts three times as fast."""
    return tmp_path_factory.mktemp("profile")


@pytest.fixture(scope="module")
def context(playwright: Playwright, profile: Path) -> Iterator[BrowserContext]:
    """The browser of a person who has been here before."""
    opened = playwright.chromium.launch_persistent_context(
        profile, executable_path=CHROMIUM, args=list(ARGUMENTS), viewport={"width": 1400, "height": 900}, locale="en-US"
    )
    opened.set_default_timeout(PATIENCE_MS)
    yield opened
    opened.close()


@pytest.fixture(scope="module")
def browser(playwright: Playwright) -> Iterator[Browser]:
    """A browser that has never been anywhere, for windows of other kinds."""
    launched = playwright.chromium.launch(executable_path=CHROMIUM, args=list(ARGUMENTS))
    yield launched
    launched.close()


@pytest.fixture
def page(context: BrowserContext) -> Iterator[Page]:
    """A new tab; a test fails when anything writes an error into its console or when a script fails."""
    opened = context.new_page()
    errors: list[str] = []
    opened.errors = errors  # type: ignore[attr-defined]
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    yield opened
    origin = opened.evaluate("location.origin")
    first, *others = context.pages
    for one in others:
        one.close()
    context.clear_cookies()
    # The files that were loaded stay, and what the browser made of them.
    context.new_cdp_session(first).send("Storage.clearDataForOrigin", {"origin": origin, "storageTypes": _LEFT_BEHIND})
    assert errors == []
