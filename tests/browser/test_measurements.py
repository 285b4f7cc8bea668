"""Measurements: drawn with the mouse, saved by the viewer as a structured report, and back after a reload."""

import io
import math

import httpx
import pydicom
import pytest
from playwright.sync_api import Page, Route, expect
from pydicom.dataset import Dataset

from tests.browser.derived import head
from tests.browser.viewing import entry, open_study, show, spread, store, until
from tests.conftest import Server

QUESTION = "Do you want to continue tracking measurements for this study?"


@pytest.fixture
def study(site: Server) -> str:
    """Three CT slices."""
    return store(site, *head())


def open_images(page: Page, site: Server, study: str) -> None:
    open_study(page, site, study)
    until(page, lambda: spread(page) > 5)


def until_images(page: Page) -> None:
    """The report gives its viewport back to the images that it measures, and with them the tools."""
    page.wait_for_function(
        """() => {
            const { viewportGridService, displaySetService, cornerstoneViewportService } = services;
            const { viewports, activeViewportId } = viewportGridService.getState();
            const shown = displaySetService.getDisplaySetByUID(
                viewports.get(activeViewportId).displaySetInstanceUIDs[0]);
            const viewport = cornerstoneViewportService.getCornerstoneViewport(activeViewportId);
            return shown?.Modality === 'CT' && viewport?.getImageData?.();
        }"""
    )


def choose(page: Page, tool: str) -> None:
    page.locator('[data-cy="MeasurementTools-split-button-secondary"]').click()
    page.locator(f'[role="menuitem"][data-cy="{tool}"], [data-cy="{tool}"]').last.click()


def drag(page: Page, start: tuple[int, int], end: tuple[int, int]) -> None:
    page.mouse.move(*start)
    page.mouse.down()
    page.mouse.move((start[0] + end[0]) / 2, (start[1] + end[1]) / 2, steps=4)
    page.mouse.move(*end, steps=4)
    page.mouse.up()


def draw_length(page: Page, start: tuple[int, int] = (600, 400), end: tuple[int, int] = (900, 500)) -> None:
    choose(page, "Length")
    drag(page, start, end)


def track(page: Page) -> None:
    """Answer the question that comes with the first measurement."""
    page.locator('[data-cy="prompt-begin-tracking-yes-btn"]').click()


def measurements(page: Page) -> dict[str, dict]:
    """What is measured, by tool: label, points in the patient in mm, and values by name."""
    found = page.evaluate(
        """services.measurementService.getMeasurements().map(({ toolName, label, points, data }) =>
            ({ toolName, label, points, values: Object.assign({}, ...Object.values(data ?? {})) }))"""
    )
    return {item["toolName"]: item for item in found}


def save(page: Page, description: str = "") -> int:
    """Save all measurements, as a new series or as the viewer proposes; the status of the server's answer."""
    if not page.get_by_role("button", name="Create SR").count():
        page.locator('[data-cy="trackedMeasurements-btn"]').click()
    page.get_by_role("button", name="Create SR").click()
    dialog = page.get_by_role("dialog")
    if description:
        dialog.locator("input[type=text], input:not([type])").first.fill(description)
    with page.expect_response(lambda answer: answer.request.method == "POST") as answered:
        dialog.get_by_role("button", name="Save").click()
    return answered.value.status


def reports(site: Server, study: str) -> dict[str, bytes]:
    """The structured reports of a study as they are stored, by SOP Instance UID."""
    with httpx.Client(base_url=site.dicomweb_url) as client:
        found = client.get(f"/studies/{study}/instances?Modality=SR")
        rows = found.json() if found.status_code == 200 else []
        return {
            row["00080018"]["Value"][0]: client.get(
                f"/studies/{study}/series/{row['0020000E']['Value'][0]}/instances/{row['00080018']['Value'][0]}",
                headers={"Accept": "application/dicom"},
            ).content
            for row in rows
        }


def numbers(stored: bytes) -> list[tuple[str, float]]:
    """Name and value of every NUM of a report, wherever it stands."""

    def walk(item: Dataset) -> list[tuple[str, float]]:
        here = []
        if item.get("ValueType") == "NUM":
            value = float(item.MeasuredValueSequence[0].NumericValue)
            here = [(item.ConceptNameCodeSequence[0].CodeMeaning, value)]
        return here + [found for inner in item.get("ContentSequence", []) for found in walk(inner)]

    return walk(pydicom.dcmread(io.BytesIO(stored)))


def test_measurements_come_back(site: Server, study: str, page: Page) -> None:
    open_images(page, site, study)
    draw_length(page)
    track(page)
    choose(page, "EllipticalROI")
    drag(page, (650, 550), (750, 620))
    choose(page, "ArrowAnnotate")
    drag(page, (900, 300), (980, 360))
    page.get_by_role("dialog").get_by_role("textbox").fill("Nodule left")
    page.get_by_role("dialog").get_by_role("button", name="Save").click()
    page.wait_for_function("services.measurementService.getMeasurements().length === 3")
    drawn = measurements(page)
    length = drawn["Length"]["values"]["length"]
    assert length == pytest.approx(math.dist(*drawn["Length"]["points"]), abs=0.01)

    assert save(page, "First reading") == 200
    ((uid, first),) = reports(site, study).items()
    assert pydicom.dcmread(io.BytesIO(first)).SeriesDescription == "First reading"
    assert ("Length", pytest.approx(length, abs=0.01)) in numbers(first)
    assert b"Nodule left" in first

    page.goto(site.web_url)
    row = page.locator(f'tr[data-uid="{study}"]')
    expect(row).to_contain_text("SR")

    open_images(page, site, study)
    assert measurements(page) == {}
    show(page, "SR")
    page.get_by_text(QUESTION).wait_for()
    page.get_by_role("button", name="Yes", exact=True).click()
    page.wait_for_function("services.measurementService.getMeasurements().length === 3")
    back = measurements(page)
    assert set(back) == set(drawn)
    for tool, item in drawn.items():
        # The ends of an ellipse come back in another order.
        distances = [min(math.dist(point, other) for other in back[tool]["points"]) for point in item["points"]]
        assert len(back[tool]["points"]) == len(item["points"]) and max(distances) < 0.01, tool
    assert back["Length"]["values"]["length"] == pytest.approx(length, abs=0.01)

    until_images(page)
    draw_length(page, (500, 300), (700, 300))
    page.wait_for_function("services.measurementService.getMeasurements().length === 4")
    assert save(page) == 200
    kept = reports(site, study)
    assert len(kept) == 2 and kept.pop(uid) == first
    ((_, second),) = kept.items()
    lengths = [value for name, value in numbers(second) if name == "Length"]
    assert len(lengths) == 2 and any(value == pytest.approx(length, abs=0.01) for value in lengths)


@pytest.mark.parametrize("status", [409, 503])
def test_a_refused_report_is_said_and_nothing_is_lost(site: Server, study: str, page: Page, status: int) -> None:
    open_images(page, site, study)
    draw_length(page)
    track(page)

    def refuse(route: Route) -> None:
        if route.request.method == "POST":
            route.fulfill(status=status, json={"error": {"status": status, "message": "Refused"}})
        else:
            route.fallback()

    page.route("**/dicomweb/studies", refuse)
    assert save(page, "Refused reading") == status
    expect(page.get_by_text("The archive did not take it").first).to_be_visible()
    expect(entry(page, "CT")).to_be_visible()
    expect(entry(page, "SR")).to_have_count(0)
    assert list(measurements(page)) == ["Length"]
    assert reports(site, study) == {}
    page.errors.clear()  # type: ignore[attr-defined]
