"""Chromium for measurements: each visit in a context of its own, so that nothing is cached, and its timings."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

if TYPE_CHECKING:
    from playwright.sync_api import Browser, Page

PATIENCE_MS: Final = 180_000

_CHROMIUM = Path("/usr/bin/chromium")
_ARGUMENTS = ("--no-sandbox", "--use-gl=angle", "--use-angle=swiftshader", "--enable-unsafe-swiftshader")
_SIZE = {"width": 1400, "height": 900}
_ROOM = "performance.setResourceTimingBufferSize(20000);"
_TIMES = "() => performance.getEntriesByType('resource').map((entry) => entry.toJSON())"


@contextmanager
def chromium() -> Iterator["Browser"]:
    """The browser of the tests: Debian's, else the one that Playwright has installed. Raises RuntimeError."""
    try:
        from playwright.sync_api import Error, sync_playwright
    except ImportError as error:
        raise RuntimeError("Playwright is missing; it comes with the packages for development") from error
    executable = _CHROMIUM if _CHROMIUM.exists() else None
    try:
        with sync_playwright() as playwright:
            browser = playwright.chromium.launch(executable_path=executable, args=list(_ARGUMENTS))
            try:
                yield browser
            finally:
                browser.close()
    except Error as error:
        raise RuntimeError(f"the browser: {error}") from error


@contextmanager
def visit(browser: "Browser", address: str, *, watch: str) -> Iterator["Page"]:
    """A page in a new context; the script `watch` runs in it before anything of its own."""
    context = browser.new_context(viewport=_SIZE)  # type: ignore[arg-type]
    try:
        context.add_init_script(_ROOM + watch)
        page = context.new_page()
        page.goto(address, timeout=PATIENCE_MS)
        yield page
    finally:
        context.close()


def wait_for_ms(page: "Page", name: str) -> float:
    """The number that `watch` puts into this property of the window, as soon as it is there."""
    page.wait_for_function(f"() => window.{name}", timeout=PATIENCE_MS)
    return float(page.evaluate(f"window.{name}"))


def resource_times(page: "Page") -> Sequence[Mapping[str, Any]]:
    """What the page has loaded so far (PerformanceResourceTiming)."""
    found: Sequence[Mapping[str, Any]] = page.evaluate(_TIMES)
    return found
