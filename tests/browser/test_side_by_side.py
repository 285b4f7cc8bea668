"""Earlier studies: listed beside the selected one, and a click puts both on the screen, the current one on the left."""

import io
import re
from typing import Any

import httpx
import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from pydicom.uid import generate_uid

from tests.conftest import Server
from tests.protocol.web import stow, write
from tests.samples import sample

PATIENT = {"PatientName": "Prior^Petra", "PatientID": "PRIORS-1", "IssuerOfPatientID": "HERE", "PatientSex": "F"}
AXIAL, CORONAL = [1, 0, 0, 0, 1, 0], [1, 0, 0, 0, 0, -1]
WAIT = 90_000
"""Milliseconds: browsers are slow where the machine is busy."""
SHOWN = """() => ['0', '1'].map(index => {
  const { viewportGridService, displaySetService } = window.services;
  const viewports = [...viewportGridService.getState().viewports.values()].sort((a, b) => a.x - b.x);
  const uid = viewports[index]?.displaySetInstanceUIDs?.[0];
  const shown = uid && displaySetService.getDisplaySetByUID(uid);
  return shown ? [shown.StudyInstanceUID, shown.SeriesDescription] : null;
})"""


def series(study: str, number: int, description: str, *, count: int = 12, **values: Any) -> list[bytes]:
    """A small stack, made of one slice of a phantom."""
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    pixels = ds.pixel_array[::4, ::4]
    ds.Rows, ds.Columns, ds.PixelData = *pixels.shape, pixels.tobytes()
    ds.PixelSpacing = [4 * float(one) for one in ds.PixelSpacing]
    ds.StudyInstanceUID, ds.SeriesInstanceUID, ds.FrameOfReferenceUID = study, generate_uid(), generate_uid()
    ds.SeriesNumber, ds.SeriesDescription, ds.BodyPartExamined = number, description, "HEAD"
    ds.ImageOrientationPatient = AXIAL
    for keyword, value in {**PATIENT, **values}.items():
        setattr(ds, keyword, value)
    files = []
    for place in range(count):
        ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        ds.InstanceNumber, ds.ImagePositionPatient = place + 1, [0, 0, 5 * place]
        files.append(write(ds))
    return files


@pytest.fixture(scope="module")
def studies(site: Server) -> dict[str, str]:
    """A CT of the head, one of half a year before, a mammogram of twenty years before, and two other people.

    Both have the same Patient ID, one by another issuer, the other by nobody knows whom.
    """
    uids = {name: generate_uid() for name in ("current", "prior", "old", "elsewhere", "nowhere")}
    current = {"StudyDate": "20240615", "StudyDescription": "CT head now"}
    prior = {"StudyDate": "20231215", "StudyDescription": "CT head then"}
    old = {"StudyDate": "20040615", "StudyDescription": "Mammography", "BodyPartExamined": "BREAST", "Modality": "MG"}
    files = [
        *series(uids["current"], 1, "Scout", count=1, **current),
        *series(uids["current"], 2, "Head axial 5mm", **current),
        *series(uids["prior"], 1, "Scout", count=1, **prior),
        *series(uids["prior"], 2, "Head coronal 5mm", **prior, ImageOrientationPatient=CORONAL),
        *series(uids["prior"], 3, "AXIAL HEAD, 5mm", **prior),
        *series(uids["old"], 1, "Breast", count=1, **old),
        *series(uids["elsewhere"], 1, "Head", count=1, StudyDescription="Elsewhere", IssuerOfPatientID="THERE"),
        *series(uids["nowhere"], 1, "Head", count=1, StudyDescription="Nowhere", IssuerOfPatientID=""),
    ]
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        assert stow(client, *files).status_code == 200
    return uids


def spread(page: Page, index: int) -> float:
    """Of the grey values of a viewport: nothing but black has none."""
    picture = Image.open(io.BytesIO(page.locator(".cornerstone-canvas").nth(index).screenshot()))
    return float(np.asarray(picture.convert("L")).std())


def is_side_by_side(page: Page, current: str, prior: str) -> None:
    expect(page.locator(".cornerstone-canvas")).to_have_count(2, timeout=WAIT)
    page.wait_for_function(f"() => ({SHOWN})().every(Boolean)", timeout=WAIT)
    assert page.evaluate(SHOWN) == [[current, "Head axial 5mm"], [prior, "AXIAL HEAD, 5mm"]]
    overlays = page.locator('[data-cy="viewport-overlay-bottom-right"]')
    expect(overlays).to_have_count(2, timeout=WAIT)
    for index in range(2):
        expect(overlays.nth(index)).to_contain_text("I:", timeout=WAIT)
        page.wait_for_function(
            """index => { const canvas = document.querySelectorAll('.cornerstone-canvas')[index];
              const seen = canvas.getContext('2d').getImageData(0, 0, canvas.width, canvas.height).data;
              return seen.some((value, place) => place % 4 === 0 && value > 60); }""",
            arg=index,
            timeout=WAIT,
        )
        assert spread(page, index) > 5


def listed(page: Page) -> Locator:
    """The patient's studies in the viewer."""
    return page.get_by_text(re.compile("^(CT head now|CT head then|Mammography|Elsewhere|Nowhere)$"))


def select(page: Page, site: Server, study: str) -> None:
    page.goto(site.web_url, timeout=WAIT)
    page.get_by_label("Patient name or ID").fill("PRIORS-1")
    page.locator(f'tr[data-uid="{study}"]').click(timeout=WAIT)


def test_from_the_list_to_both_studies(site: Server, page: Page, studies: dict[str, str]) -> None:
    select(page, site, studies["current"])
    section = page.get_by_label("Earlier studies")
    expect(section.locator(".prior")).to_have_count(1, timeout=WAIT)
    expect(section).to_contain_text("CT head then", timeout=WAIT)
    expect(section).to_contain_text("Dec 15, 2023 · 6 months earlier", timeout=WAIT)
    section.get_by_role("button", name="Show all 2").click(timeout=WAIT)
    expect(section.locator(".prior")).to_have_count(2, timeout=WAIT)
    uids = section.locator(".prior").evaluate_all("rows => rows.map(row => row.dataset.uid)")
    assert uids == [studies["prior"], studies["old"]]
    expect(section).to_contain_text("20 years earlier", timeout=WAIT)
    # What a prior earned its place by is told to the keyboard as well as to the mouse.
    page.mouse.move(300, 700)
    for _ in uids:
        page.keyboard.press("Shift+Tab")
    expect(section.locator(".prior").first).to_be_focused(timeout=WAIT)
    told = page.get_by_role("tooltip").filter(has_text="45 of 45")
    expect(told).to_be_visible(timeout=WAIT)
    page.keyboard.press("Enter")
    page.wait_for_url("**/viewer/viewer?StudyInstanceUIDs=*", timeout=WAIT)
    is_side_by_side(page, studies["current"], studies["prior"])
    expect(listed(page)).to_have_text(["CT head now", "CT head then", "Mammography"], timeout=WAIT)


def test_what_came_later_is_no_prior_and_a_phone_shows_all(site: Server, page: Page, studies: dict[str, str]) -> None:
    page.set_viewport_size({"width": 390, "height": 800})
    select(page, site, studies["prior"])
    section = page.get_by_label("Earlier studies")
    expect(section.locator(".prior")).to_have_count(0, timeout=WAIT)
    button = section.get_by_role("button", name="Show all 1")
    button.scroll_into_view_if_needed(timeout=WAIT)
    button.click(timeout=WAIT)
    expect(section.locator(".prior")).to_have_attribute("data-uid", studies["old"], timeout=WAIT)
    box = section.locator(".prior").bounding_box()
    assert box and box["x"] >= 0 and box["x"] + box["width"] <= 390
    section.scroll_into_view_if_needed()


def test_the_viewer_lists_no_other_person_of_the_same_id(site: Server, page: Page, studies: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/viewer/viewer?StudyInstanceUIDs={studies['nowhere']}", timeout=WAIT)
    # They come at once: those of all issuers, had the viewer asked by the ID alone.
    expect(listed(page)).to_have_text(["Nowhere"], timeout=WAIT)
