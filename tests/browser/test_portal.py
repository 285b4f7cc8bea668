"""The study list, as the people who read from it use it."""

import re

import httpx
import pydicom
import pytest
from playwright.sync_api import Page, expect
from pydicom.uid import generate_uid

from tests.conftest import Server
from tests.protocol.web import stow, write
from tests.samples import sample


def ct(patient_name: str, patient_id: str, study_date: str) -> pydicom.Dataset:
    """A CT image of a new study."""
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.SpecificCharacterSet = "ISO_IR 192"
    ds.PatientName, ds.PatientID, ds.StudyDate = patient_name, patient_id, study_date
    ds.PatientBirthDate, ds.PatientSex, ds.StudyDescription = "19600229", "F", "Head without contrast"
    return ds


def store(site: Server, ds: pydicom.Dataset) -> str:
    with httpx.Client(base_url=site.dicomweb_url) as client:
        assert stow(client, write(ds)).status_code == 200
    return str(ds.StudyInstanceUID)


@pytest.fixture(scope="module")
def patients(site: Server) -> dict[str, str]:
    """Some studies: name of the patient -> Study Instance UID."""
    rows = {
        "Ålesund^Åse": ("P-100", "20210301"),
        "Yamada^Tarou=山田^太郎": ("P-200", "20220301"),
        "Older^Study": ("P-300", "20010101"),
    }
    return {name: store(site, ct(name, *row)) for name, row in rows.items()}


def row(page: Page, uid: str):
    return page.locator(f'tr[data-uid="{uid}"]')


def test_search(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.goto(site.web_url)
    box = page.get_by_label("Patient name or ID")
    for term, name in (("alesund", "Ålesund^Åse"), ("山田", "Yamada^Tarou=山田^太郎"), ("P-300", "Older^Study")):
        box.fill(term)
        expect(page.locator("tr[data-uid]")).to_have_count(1)
        expect(row(page, patients[name])).to_be_visible()
    box.fill("nobody at all")
    expect(page.get_by_text("No study matches.")).to_be_visible()
    page.get_by_label("Clear all filters").click()
    expect(row(page, patients["Older^Study"])).to_be_attached()


def test_values_as_people_write_them(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.goto(site.web_url)
    page.get_by_label("Patient name or ID").fill("yamada")
    found = row(page, patients["Yamada^Tarou=山田^太郎"])
    expect(found).to_contain_text("Yamada, Tarou (山田 太郎)")
    expect(found).to_contain_text("female, 62 y")
    expect(found).to_contain_text("Mar 1, 2022")
    expect(page.get_by_label("Selected study")).to_contain_text("born Feb 29, 1960")


def test_sorting_by_the_server_and_keys(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.goto(site.web_url)
    expect(page.locator("tr[data-uid]").first).to_be_visible()
    page.get_by_role("columnheader", name="Study date").get_by_role("button").click()
    expect(page.get_by_role("columnheader", name="Study date")).to_have_attribute("aria-sort", "ascending")
    dates = page.locator("tr[data-uid]").evaluate_all("rows => rows.map(row => row.dataset.uid)")
    assert dates.index(patients["Older^Study"]) < dates.index(patients["Ålesund^Åse"])
    page.get_by_label("Studies", exact=True).focus()
    page.keyboard.press("ArrowDown")
    expect(page.locator('tr[aria-selected="true"]')).to_have_attribute("data-uid", dates[1])
    page.keyboard.press("Enter")
    page.wait_for_url(re.compile(r"/viewer/viewer\?StudyInstanceUIDs=" + re.escape(dates[1])))


def test_new_studies_appear_by_themselves(site: Server, page: Page) -> None:
    page.goto(site.web_url)
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    uid = store(site, ct("Fresh^Arrival", "P-400", "20991231"))
    expect(row(page, uid)).to_be_visible(timeout=10_000)


def test_attributes(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.goto(site.web_url)
    page.get_by_label("Patient name or ID").fill("alesund")
    expect(page.locator("tr[data-uid]")).to_have_count(1)
    page.get_by_role("button", name="Attributes").click()
    page.get_by_label("Find an attribute").fill("PatientID")
    expect(page.get_by_role("dialog").get_by_role("cell", name="P-100")).to_be_visible()


def test_download(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.goto(site.web_url)
    page.get_by_label("Patient name or ID").fill("P-300")
    expect(page.locator("tr[data-uid]")).to_have_count(1)
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_bytes().startswith(b"PK")


def test_an_error_is_said(site: Server, page: Page) -> None:
    page.route(
        "**/dicomweb/studies?*", lambda route: route.fulfill(status=503, json={"error": {"message": "Too busy"}})
    )
    page.goto(site.web_url)
    expect(page.get_by_text("Too busy")).to_be_visible(timeout=15_000)
    page.errors.clear()  # type: ignore[attr-defined]
