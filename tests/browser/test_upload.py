"""Uploading on the page: drop, watch, and find the study in the list."""

import contextlib
import hashlib
import os
import re
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pydicom
from PIL import Image
from playwright.sync_api import Locator, Page, expect
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from tests.conftest import Server
from tests.protocol.web import write
from tests.samples import sample

SLOW_BYTES_PER_SECOND = 8_000_000


def image(name: str, study: str = "") -> pydicom.Dataset:
    """A CT image with UIDs of its own."""
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.StudyInstanceUID, ds.SeriesInstanceUID = study or generate_uid(), generate_uid()
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.PatientName, ds.PatientID = name, name
    return ds


def drop(page: Page, *paths: Path) -> None:
    """Files and folders dragged from the desktop onto the page."""
    session = page.context.new_cdp_session(page)
    data = {"items": [], "files": [str(path) for path in paths], "dragOperationsMask": 1}
    expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()
    for kind in ("dragEnter", "dragOver"):
        session.send("Input.dispatchDragEvent", {"type": kind, "x": 400, "y": 300, "data": data})
    expect(page.get_by_text("Drop to upload")).to_be_visible()
    session.send("Input.dispatchDragEvent", {"type": "drop", "x": 400, "y": 300, "data": data})


def uploads(page: Page) -> Locator:
    return page.get_by_label("Uploads", exact=True)


def row(page: Page, uid: str) -> Locator:
    return page.locator(f'tr[data-uid="{uid}"]')


def test_a_folder_with_a_broken_file_is_dropped(site: Server, page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "cd" / "inner"
    folder.mkdir(parents=True)
    study = generate_uid()
    for number in range(12):
        (folder / f"{number}.dcm").write_bytes(write(image("Dropped^Folder", study)))
    whole = write(image("Dropped^Broken"))
    (tmp_path / "cd" / "broken.dcm").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "cd" / "readme.txt").write_text("not a picture")
    page.goto(site.web_url)
    drop(page, tmp_path / "cd")
    refused = page.get_by_label("Refused files")
    expect(refused).to_contain_text("cd/broken.dcm", timeout=30_000)
    expect(refused).to_contain_text("cd/readme.txt")
    expect(uploads(page)).to_contain_text("12 objects stored", timeout=30_000)
    expect(uploads(page)).to_contain_text("2 refused")
    expect(row(page, study)).to_contain_text("12", timeout=10_000)
    expect(page.get_by_label("Studies that arrived")).to_contain_text("Dropped, Folder")
    page.get_by_label("Close uploads").click()
    expect(uploads(page)).to_be_hidden()


def test_a_page_that_is_opened_again_sends_only_what_is_missing(site: Server, page: Page, tmp_path: Path) -> None:
    folder = tmp_path / "again"
    folder.mkdir()
    study = generate_uid()
    for number in range(3):
        (folder / f"{number}.dcm").write_bytes(write(image("Sent^Again", study)))
    page.goto(site.web_url)
    drop(page, folder)
    expect(uploads(page)).to_contain_text("3 objects stored", timeout=30_000)
    (folder / "3.dcm").write_bytes(write(image("Sent^Again", study)))
    page.reload()
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method in ("POST", "PATCH") else None)
    drop(page, folder)
    expect(uploads(page)).to_contain_text("4 objects stored", timeout=30_000)
    assert len(sent) == 1


def test_files_of_other_formats_ask_once_whose_they_are(site: Server, page: Page, tmp_path: Path) -> None:
    Image.new("RGB", (80, 60), "teal").save(tmp_path / "wound.png")
    Image.new("RGB", (80, 60), "brown").save(tmp_path / "letter.pdf")
    (tmp_path / "letter.jpg").write_bytes(b"this is no picture")
    page.goto(site.web_url)
    drop(page, *sorted(tmp_path.iterdir()))
    dialog = page.get_by_role("dialog")
    expect(dialog).to_contain_text("3 files that are not DICOM")
    if dialog.get_by_label("A new one").count():
        dialog.get_by_label("A new one").check()
    dialog.get_by_label("Patient name").fill("Müller, Eva Maria")
    dialog.get_by_label("Patient ID").fill("W-1")
    dialog.get_by_label("Date of birth").fill("1980-02-03")
    dialog.get_by_label("Study description").fill("Wound care")
    dialog.get_by_role("button", name="Upload").click()
    expect(uploads(page)).to_contain_text("2 objects stored", timeout=30_000)
    expect(page.get_by_label("Refused files")).to_contain_text("letter.jpg")
    answer = httpx.get(f"{site.dicomweb_url}/instances", params={"PatientID": "W-1", "includefield": "all"})
    classes = {found["00080016"]["Value"][0] for found in answer.json()}
    assert classes == {"1.2.840.10008.5.1.4.1.1.104.1", "1.2.840.10008.5.1.4.1.1.7"}
    assert len({found["0020000D"]["Value"][0] for found in answer.json()}) == 1
    assert answer.json()[0]["00100010"]["Value"][0]["Alphabetic"] == "Müller^Eva^Maria"
    assert answer.json()[0]["00100030"]["Value"][0] == "19800203"


def test_a_document_for_the_selected_study(site: Server, page: Page, tmp_path: Path) -> None:
    ds = image("Chosen^Study")
    (tmp_path / "one.dcm").write_bytes(write(ds))
    Image.new("RGB", (60, 80), "white").save(tmp_path / "letter.pdf")
    page.goto(site.web_url)
    drop(page, tmp_path / "one.dcm")
    row(page, ds.StudyInstanceUID).click(timeout=30_000)
    drop(page, tmp_path / "letter.pdf")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_label(re.compile("The selected one: Chosen, Study"))).to_be_checked()
    dialog.get_by_role("button", name="Upload").click()
    expect(uploads(page)).to_contain_text("2 objects stored", timeout=30_000)
    found = httpx.get(f"{site.dicomweb_url}/studies/{ds.StudyInstanceUID}/instances?includefield=PatientID").json()
    assert len(found) == 2 and {one["00100020"]["Value"][0] for one in found} == {"Chosen^Study"}


def large(path: Path, size: int) -> bytes:
    """A file that no codec ever looks at; returns the digest of its frame."""
    ds = image("Large^File")
    frame = os.urandom(size)
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([frame], has_bot=False)
    ds["PixelData"].VR = "OB"
    path.write_bytes(write(ds))
    return hashlib.sha256(frame).digest()


@contextlib.contextmanager
def slow(page: Page) -> Iterator[None]:
    """Uploads take long enough to be interrupted."""
    session = page.context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": SLOW_BYTES_PER_SECOND}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)
    yield
    session.send("Network.emulateNetworkConditions", {**limits, "uploadThroughput": -1})


def digest_of_frame(site: Server, path: Path) -> bytes:
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    url = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}/frames/1"
    answer = httpx.get(f"{site.dicomweb_url}/{url}", headers={"Accept": "multipart/related; type=image/jpeg"})
    assert answer.status_code == 200
    _, _, rest = answer.content.partition(b"\r\n\r\n")
    return hashlib.sha256(rest[: rest.rindex(b"\r\n--")]).digest()


def arriving(site: Server) -> int:
    """Bytes of the one unfinished upload that the server has."""
    found = httpx.get(f"{site.web_url}/api/uploads").json()["uploads"]
    return next((one["offset"] for one in found if one["state"] == "arriving"), 0)


def wait_until_some_has_arrived(site: Server, page: Page) -> None:
    until = time.monotonic() + 30
    while arriving(site) < 3_000_000:
        assert time.monotonic() < until
        page.wait_for_timeout(100)


def test_the_server_is_killed_in_the_middle(site: Server, page: Page, tmp_path: Path) -> None:
    frame = large(tmp_path / "large.dcm", 60_000_000)
    page.goto(site.web_url)
    with slow(page):
        drop(page, tmp_path / "large.dcm")
        wait_until_some_has_arrived(site, page)
        children = site.children()
        site.stop(signal.SIGKILL)
    for pid in children:
        while Path(f"/proc/{pid}").exists():
            page.wait_for_timeout(50)
    offsets: list[int] = []
    page.on("response", lambda r: offsets.append(int(r.request.headers.get("upload-offset", "0"))))
    site.restart()
    expect(uploads(page)).to_contain_text("1 object stored", timeout=60_000)
    assert min(offset for offset in offsets if offset) >= 3_000_000
    assert digest_of_frame(site, tmp_path / "large.dcm") == frame
    page.errors.clear()  # type: ignore[attr-defined]


def test_the_page_is_closed_in_the_middle(site: Server, page: Page, tmp_path: Path) -> None:
    frame = large(tmp_path / "closed.dcm", 20_000_000)
    page.goto(site.web_url)
    with slow(page):
        drop(page, tmp_path / "closed.dcm")
        wait_until_some_has_arrived(site, page)
        page.reload()
    expect(uploads(page)).to_contain_text("Interrupted: closed.dcm")
    began = arriving(site)
    offsets: list[int] = []
    page.on("request", lambda r: offsets.append(int(r.headers["upload-offset"])) if r.method == "PATCH" else None)
    drop(page, tmp_path / "closed.dcm")
    expect(uploads(page)).to_contain_text("1 object stored", timeout=60_000)
    assert offsets[0] >= began > 0
    assert digest_of_frame(site, tmp_path / "closed.dcm") == frame


def test_pause_and_cancel(site: Server, page: Page, tmp_path: Path) -> None:
    large(tmp_path / "paused.dcm", 20_000_000)
    page.goto(site.web_url)
    with slow(page):
        drop(page, tmp_path / "paused.dcm")
        wait_until_some_has_arrived(site, page)
        page.get_by_label("Pause uploads").click()
        expect(uploads(page)).to_contain_text("Paused")
        page.get_by_label("Resume uploads").click()
        expect(uploads(page)).to_contain_text("Uploading")
        page.get_by_label("Cancel uploads").click()
    expect(uploads(page)).to_be_hidden()
    until = time.monotonic() + 10
    while arriving(site):
        assert time.monotonic() < until
        page.wait_for_timeout(100)


def test_the_button_and_a_phone(site: Server, page: Page, tmp_path: Path) -> None:
    ds = image("Button^Chosen")
    (tmp_path / "one.dcm").write_bytes(write(ds))
    page.set_viewport_size({"width": 390, "height": 800})
    page.goto(site.web_url)
    page.get_by_role("button", name="Upload", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitem", name="Files").click()
    chooser.value.set_files(tmp_path / "one.dcm")
    expect(uploads(page)).to_contain_text("1 object stored", timeout=30_000)
    box = uploads(page).bounding_box()
    assert box is not None and box["width"] <= 390
