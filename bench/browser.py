"""Chromium for measurements: each visit in a window that knows what was meant for it and no more, and its timings."""

import shutil
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser, BrowserContext, Page

PATIENCE_MS: Final = 180_000

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = (
    "--no-sandbox",
    "--use-gl=angle",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    # Without hardware, composing the page by WebGL takes the processors from everything that is measured.
    "--disable-gpu-compositing",
)
_SIZE = {"width": 1400, "height": 900}
_VISITS = 4
_STARTING_MS = 3000
_ROOM = "performance.setResourceTimingBufferSize(20000);"
_TIMES = "() => performance.getEntriesByType('resource').map((entry) => entry.toJSON())"


@contextmanager
def chromium() -> Iterator["Browser"]:
    """The browser of the tests: Debian's, else the one that Playwright has installed. Raises RuntimeError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise RuntimeError("Playwright is missing; it comes with the packages for development") from error
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=_executable(), args=list(ARGUMENTS))
            try:
                yield browser
            finally:
                browser.close()
    except Error as error:
        raise RuntimeError(f"the browser: {error}") from error


@contextmanager
def visit(browser: "Browser", address: str, *, watch: str = "", profile: Path | None = None) -> Iterator["Page"]:
    """A page in a window of its own; the script `watch` runs in it before anything of its own.

    The window begins with a copy of the profile, or as one that has never been anywhere.
    """
    with _window(browser, profile) as context:
        context.add_init_script(_ROOM + watch)
        page = context.new_page()
        # Nobody opens a study while the browser itself is still starting.
        page.wait_for_timeout(_STARTING_MS)
        page.goto(address, timeout=PATIENCE_MS)
        yield page


def make_profile(browser: "Browser", folder: Path, address: str, drawn: str) -> None:
    """The profile of somebody who has had this page before, often enough that the browser has compiled its programs.

    `drawn` is the selector of what is waited for. Chromium keeps compiled programs from the third visit on.
    """
    with _persistent(browser, folder) as context:
        for _ in range(_VISITS):
            page = context.new_page()
            page.goto(address, timeout=PATIENCE_MS)
            page.locator(drawn).first.wait_for(timeout=PATIENCE_MS)
            page.wait_for_timeout(1000)
            page.close()


@contextmanager
def _window(browser: "Browser", profile: Path | None) -> Iterator["BrowserContext"]:
    if profile is None:
        context = browser.new_context(viewport=_SIZE)  # type: ignore[arg-type]
        try:
            yield context
        finally:
            context.close()
        return
    with tempfile.TemporaryDirectory() as folder:
        copy = shutil.copytree(profile, Path(folder) / "profile", ignore=shutil.ignore_patterns("Singleton*"))
        with _persistent(browser, copy) as context:
            yield context


@contextmanager
def _persistent(browser: "Browser", folder: Path) -> Iterator["BrowserContext"]:
    context = browser.browser_type.launch_persistent_context(
        folder,
        executable_path=_executable(),
        args=list(ARGUMENTS),
        viewport=_SIZE,  # type: ignore[arg-type]
    )
    try:
        yield context
    finally:
        context.close()


def _executable() -> Path | None:
    return CHROMIUM if CHROMIUM.exists() else None


def wait_for_ms(page: "Page", name: str) -> float:
    """The number that `watch` puts into this property of the window, as soon as it is there."""
    page.wait_for_function(f"() => window.{name}", timeout=PATIENCE_MS)
    return float(page.evaluate(f"window.{name}"))


def resource_times(page: "Page") -> Sequence[Mapping[str, Any]]:
    """What the page has loaded so far (PerformanceResourceTiming)."""
    found: Sequence[Mapping[str, Any]] = page.evaluate(_TIMES)
    return found
