"""The list fetches ahead: when a study is opened, most of the viewer is there already."""

from collections.abc import Iterator

import httpx
import pytest
from playwright.sync_api import Browser, Page

from bench import datasets
from bench.browser import resource_times
from tests.conftest import Server
from tests.protocol.web import stow

PROGRAM = "/app.bundle."


def programs(page: Page) -> list[dict[str, object]]:
    """The viewer's first program among what the page has loaded."""
    return [dict(one) for one in resource_times(page) if PROGRAM in one["name"] and one["name"].endswith(".js")]


@pytest.fixture
def newcomer(browser: Browser) -> Iterator[Page]:
    """A tab of somebody who has not been here yet."""
    context = browser.new_context()
    yield context.new_page()
    context.close()


def test_the_viewer_begins_with_what_the_list_has_fetched(site: Server, newcomer: Page) -> None:
    page = newcomer
    study = datasets.study("ahead", 1, "CT")
    with httpx.Client(base_url=site.dicomweb_url) as client:
        assert stow(client, datasets.encode("tiny", study, 1)).status_code == 200
    page.goto(site.web_url)
    page.locator(f'tr[data-uid="{study.study_instance_uid}"]').wait_for(timeout=60_000)
    page.wait_for_function(
        f"() => performance.getEntriesByType('resource').some(it => it.name.includes('{PROGRAM}') && it.responseEnd)",
        timeout=60_000,
    )
    (ahead,) = programs(page)
    assert ahead["initiatorType"] == "link" and float(str(ahead["encodedBodySize"])) > 1_000_000
    rows = [one for one in resource_times(page) if "/dicomweb/studies?" in one["name"]]
    assert min(float(one["responseEnd"]) for one in rows) < float(str(ahead["startTime"]))
    page.goto(f"{site.web_url}/viewer/viewer?StudyInstanceUIDs={study.study_instance_uid}")
    page.locator(".cornerstone-canvas").first.wait_for(timeout=90_000)
    (loaded,) = programs(page)
    assert loaded["transferSize"] == 0
