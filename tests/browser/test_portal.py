"""The study list, as the people who read from it use it."""

import re
from datetime import date, timedelta

import httpx
import pydicom
import pytest
from playwright.sync_api import Browser, Page, expect
from pydicom.uid import generate_uid

from tests.conftest import Server, StartServer
from tests.protocol.test_reading_status import a_report
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
    in_order = """([older, newer]) => {
        const uids = [...document.querySelectorAll("tr[data-uid]")].map((row) => row.dataset.uid);
        return uids.indexOf(older) < uids.indexOf(newer);
    }"""
    page.wait_for_function(in_order, arg=[patients["Older^Study"], patients["Ålesund^Åse"]])
    dates = page.locator("tr[data-uid]").evaluate_all("rows => rows.map(row => row.dataset.uid)")
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


def test_an_error_is_said_and_tried_again(site: Server, page: Page, patients: dict[str, str]) -> None:
    page.route(
        "**/dicomweb/studies?*", lambda route: route.fulfill(status=503, json={"error": {"message": "Too busy"}})
    )
    page.goto(site.web_url)
    expect(page.get_by_role("alert")).to_contain_text("Too busy", timeout=15_000)
    page.unroute("**/dicomweb/studies?*")
    page.get_by_role("button", name="Try again").click()
    expect(page.locator("tr[data-uid]").first).to_be_visible()
    expect(page.get_by_role("alert")).to_have_count(0)
    page.errors.clear()  # type: ignore[attr-defined]


def choose(page: Page, box: str, option: str) -> None:
    """One more option of a box that takes several, or the one of a box that takes one."""
    page.get_by_role("combobox", name=box).click()
    page.get_by_role("option", name=option, exact=True).click()
    page.keyboard.press("Escape")


@pytest.fixture(scope="module")
def reported(site: Server) -> dict[str, str]:
    """Three studies of one patient, by their status; the last is of the knee."""
    made = {}
    for number, status in enumerate(("unread", "draft", "reported")):
        ds = ct("Status^Stella", "STELLA", f"2023010{number + 1}")
        ds.BodyPartExamined, ds.AccessionNumber = ("HEAD", "HEAD", "KNEE")[number], f"ACC-{number}"
        made[status] = store(site, ds)
        if status != "unread":
            store(site, a_report(ds, VerificationFlag="VERIFIED" if status == "reported" else "UNVERIFIED"))
    return made


def test_status_of_reports(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    expect(page.locator("tr[data-uid]")).to_have_count(3)
    for status, uid in reported.items():
        expect(row(page, uid).locator("td.medium").first).to_have_text(status.capitalize())
    for status, uid in reported.items():
        choose(page, "Status", status.capitalize())
        expect(page.locator("tr[data-uid]")).to_have_count(1)
        expect(row(page, uid)).to_be_visible()
        expect(page.get_by_label("Selected study")).to_contain_text(status.capitalize())


def test_a_report_that_arrives_changes_the_status(site: Server, page: Page) -> None:
    ds = ct("Waiting^Wanda", "WANDA", "20230105")
    uid = store(site, ds)
    page.goto(f"{site.web_url}/#patient=wanda")
    expect(row(page, uid)).to_contain_text("Unread")
    expect(page.get_by_text("live", exact=True)).to_be_visible()
    store(site, a_report(ds))
    expect(row(page, uid)).to_contain_text("Reported", timeout=15_000)


def test_body_parts(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    expect(row(page, reported["reported"])).to_contain_text("Knee")
    choose(page, "Body part", "Knee")
    expect(page.locator("tr[data-uid]")).to_have_count(1)
    choose(page, "Body part", "Head")
    expect(page.locator("tr[data-uid]")).to_have_count(3)


def test_every_box_narrows_the_list(site: Server, page: Page, reported: dict[str, str]) -> None:
    ds = ct("Narrow^Nora", "NORA", "20230201")
    ds.AccessionNumber, ds.ReferringPhysicianName, ds.StudyDescription = "NARROW-7", "Sender^Sam", "Very narrow"
    uid = store(site, ds)
    page.goto(site.web_url)
    for box, term in (("Accession number", "rrow-7"), ("Referring physician", "sam"), ("Description", "y narr")):
        page.get_by_role("textbox", name=box).fill(term.upper() if box == "Accession number" else term)
        if box == "Description":
            page.get_by_role("textbox", name=box).fill("Very")
        expect(page.locator("tr[data-uid]")).to_have_count(1)
        expect(row(page, uid)).to_be_visible()
        page.get_by_label("Clear all filters").click()
        expect(page.locator("tr[data-uid]").nth(1)).to_be_visible()


def test_the_address_keeps_what_is_looked_for(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(site.web_url)
    page.get_by_label("Patient name or ID").fill("stella")
    expect(page.locator("tr[data-uid]")).to_have_count(3)
    choose(page, "Status", "Draft")
    choose(page, "Body part", "Head")
    page.get_by_role("columnheader", name="Patient", exact=True).get_by_role("button").click()
    expect(page.locator("tr[data-uid]")).to_have_count(1)
    page.reload()
    expect(page.locator("tr[data-uid]")).to_have_count(1)
    expect(page.get_by_label("Patient name or ID")).to_have_value("stella")
    expect(page.get_by_role("combobox", name="Status")).to_have_value("Draft")
    expect(page.get_by_role("columnheader", name="Patient", exact=True)).to_have_attribute("aria-sort", "ascending")
    assert "stella" not in page.url.partition("#")[0], "names are not sent to the server with the page's address"
    for _ in range(3):
        page.go_back()
    expect(page.get_by_role("combobox", name="Status")).to_have_value("")
    expect(page.locator("tr[data-uid]")).to_have_count(3)
    page.go_forward()
    expect(page.locator("tr[data-uid]")).to_have_count(1)


def test_back_from_the_viewer_the_study_is_where_it_was(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    row(page, reported["unread"]).click()
    expect(row(page, reported["unread"])).to_have_attribute("aria-selected", "true")
    page.goto("about:blank")
    page.go_back()
    expect(row(page, reported["unread"])).to_have_attribute("aria-selected", "true")


def test_one_box_finds_names_and_identifiers_whatever_they_look_like(site: Server, page: Page) -> None:
    numbered, wordy = (
        store(site, ct("Volunteer 17^Anon", "LETTERS", "20230301")),
        store(site, ct("Any^Body", "WORDY", "")),
    )
    page.goto(site.web_url)
    for term, uid in (("volunteer 17", numbered), ("LETTERS", numbered), ("WORDY", wordy), ("any body", wordy)):
        page.get_by_label("Patient name or ID").fill(term)
        expect(page.locator("tr[data-uid]")).to_have_count(1)
        expect(row(page, uid)).to_be_visible()


def test_keys(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    expect(page.locator("tr[data-uid]")).to_have_count(3)
    newest_first = [reported[status] for status in ("reported", "draft", "unread")]
    page.get_by_label("Studies", exact=True).focus()
    for key, expected in (("End", 2), ("ArrowUp", 1), ("Home", 0), ("PageDown", 2)):
        page.keyboard.press(key)
        expect(row(page, newest_first[expected])).to_have_attribute("aria-selected", "true")
    page.keyboard.press("Space")
    page.keyboard.press("ArrowUp")
    page.keyboard.press("Space")
    expect(page.get_by_role("button", name="Open 2 studies together")).to_be_visible()
    page.get_by_role("button", name="Mark none").click()
    expect(page.get_by_role("button", name="together")).to_have_count(0)
    page.get_by_label("Studies", exact=True).focus()
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys")).to_be_visible()
    page.keyboard.press("Escape")
    expect(page.get_by_role("dialog")).to_have_count(0)
    page.keyboard.press("/")
    expect(page.get_by_label("Patient name or ID")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_label("Studies", exact=True)).to_be_focused()


def test_several_studies_open_together(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    for status in ("draft", "reported"):
        row(page, reported[status]).get_by_role("checkbox").click()
    page.route("**/viewer/**", lambda route: route.fulfill(body="the viewer"))
    page.get_by_role("button", name="Open 2 studies together").click()
    page.wait_for_url(re.compile(f"StudyInstanceUIDs={reported['draft']},{reported['reported']}".replace(".", r"\.")))


def test_pages(site: Server, page: Page) -> None:
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        objects = [write(ct(f"Paged^P{number:02}", "PAGED1", "20220101")) for number in range(30)]
        assert stow(client, *objects).status_code == 200
    page.goto(f"{site.web_url}/#patient=PAGED1&size=25&sort=PatientName")
    expect(page.get_by_text("1–25 of 30")).to_be_visible()
    expect(page.locator("tr[data-uid]").first).to_contain_text("P00")
    page.get_by_role("button", name="Next page").click()
    expect(page.get_by_text("26–30 of 30")).to_be_visible()
    expect(page.locator("tr[data-uid]").first).to_contain_text("P25")
    page.get_by_label("Studies", exact=True).focus()
    page.keyboard.press("ArrowLeft")
    expect(page.get_by_text("1–25 of 30")).to_be_visible()
    page.go_back()
    expect(page.get_by_text("26–30 of 30")).to_be_visible()


def test_days_near_today_have_names(site: Server, page: Page) -> None:
    for name, days in (("Near^Today", 0), ("Near^Yesterday", 1), ("Near^Before", 2)):
        store(site, ct(name, "NEAR7", (date.today() - timedelta(days=days)).strftime("%Y%m%d")))
    page.clock.set_fixed_time(f"{date.today().isoformat()}T12:00:00")
    page.goto(f"{site.web_url}/#patient=NEAR7")
    cells = page.locator("tr[data-uid] td.date")
    expect(cells.nth(0)).to_contain_text("Today")
    expect(cells.nth(1)).to_contain_text("Yesterday")
    expect(cells.nth(2)).to_contain_text(str((date.today() - timedelta(days=2)).year))


def test_a_phone(site: Server, browser: Browser, reported: dict[str, str]) -> None:
    context = browser.new_context(
        viewport={"width": 390, "height": 844}, has_touch=True, is_mobile=True, locale="en-US"
    )
    phone = context.new_page()
    errors: list[str] = []
    phone.on("pageerror", lambda error: errors.append(str(error)))
    phone.goto(f"{site.web_url}/#patient=stella")
    expect(phone.locator("tr[data-uid]")).to_have_count(3)
    assert phone.evaluate("document.documentElement.scrollWidth") <= 390, "nothing sticks out to the side"
    expect(row(phone, reported["draft"])).to_contain_text("Draft")
    expect(phone.get_by_label("Accession number")).to_be_hidden()
    phone.get_by_role("button", name="Filters (1)").tap()
    phone.get_by_label("Accession number").fill("ACC-1")
    expect(phone.locator("tr[data-uid]")).to_have_count(1)
    phone.get_by_role("button", name="Filters (2)").tap()
    expect(phone.get_by_label("Accession number")).to_be_hidden()
    row(phone, reported["draft"]).tap()
    expect(phone.get_by_role("link", name="Open", exact=True)).to_be_in_viewport()
    context.close()
    assert errors == []


def test_nothing_matches_and_the_way_back(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella&status=draft&parts=ANKLE")
    expect(page.get_by_text("No study matches.")).to_be_visible()
    page.get_by_role("button", name="Clear the filters").click()
    expect(page.locator("tr[data-uid]").first).to_be_visible()
    expect(page.get_by_label("Patient name or ID")).to_have_value("")


def test_an_empty_archive_and_a_server_that_stops(start_server: StartServer, page: Page) -> None:
    server = start_server()
    page.goto(server.web_url)
    expect(page.get_by_role("heading", name="The archive is empty")).to_be_visible()
    page.get_by_role("button", name="How to connect").click()
    expect(page.get_by_role("dialog")).to_contain_text(server.ae_title)
    page.keyboard.press("Escape")
    uid = store(server, ct("First^Study", "FIRST", "20230101"))
    expect(row(page, uid)).to_be_visible(timeout=15_000)
    server.stop()
    expect(page.get_by_text("reconnecting")).to_be_visible(timeout=15_000)
    expect(row(page, uid)).to_be_visible()
    page.get_by_label("Patient name or ID").fill("first")
    expect(page.get_by_role("alert")).to_contain_text("The server cannot be reached", timeout=20_000)
    page.errors.clear()  # type: ignore[attr-defined]


def test_text_can_be_read_in_both_schemes(site: Server, page: Page, reported: dict[str, str]) -> None:
    page.goto(f"{site.web_url}/#patient=stella")
    expect(page.locator("tr[data-uid]")).to_have_count(3)
    for scheme in ("dark", "light"):
        expect(page.locator("html")).to_have_attribute("data-mantine-color-scheme", scheme)
        colours = page.evaluate(
            "() => [getComputedStyle(document.body).backgroundColor,"
            " getComputedStyle(document.querySelector('tr[data-uid] td')).color]"
        )
        bright = [sum(map(int, re.findall(r"\d+", colour)[:3])) for colour in colours]
        assert abs(bright[0] - bright[1]) > 380, (scheme, colours)
        page.get_by_label("Light or dark").click()
