"""An upload on a machine where everything dies: the browser, then the server. And what it costs in memory."""

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pydicom
import pytest
from playwright.sync_api import BrowserContext, Error, Page, expect, sync_playwright
from pydicom.encaps import encapsulate
from pydicom.uid import JPEGBaseline8Bit, generate_uid

from bench.browser import ARGUMENTS, CHROMIUM
from tests.conftest import Server, start
from tests.protocol.web import write
from tests.samples import sample

MIB = 1024**2
FILE_BYTES = int(os.environ.get("UPLOAD_BYTES", 300 * MIB))
"""Larger than what may be held in memory, three times; UPLOAD_BYTES asks for the gigabytes that take longer."""
MOST_GROWTH_BYTES = 100 * MIB
SLOW_BYTES_PER_SECOND = 40_000_000


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Server]:
    limits = {"object_bytes": FILE_BYTES * 2}
    running = start(tmp_path / "site", web={"viewer_folder": "no viewer"}, limits=limits)
    yield running
    running.stop()


def large(path: Path) -> None:
    """A file that no codec ever looks at."""
    ds = pydicom.dcmread(sample("ct_head_phantom_54/I100.dcm"))
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    ds.PixelData = encapsulate([os.urandom(FILE_BYTES)], has_bot=False)
    ds["PixelData"].VR = "OB"
    path.write_bytes(write(ds))


def processes_of(profile: Path) -> list[int]:
    """The browser of this profile and all its processes; only the first ones name the profile."""
    parents: dict[int, int] = {}
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if not entry.name.isdigit():
            continue
        with suppress(OSError):
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            if f"--user-data-dir={profile}".encode() in (entry / "cmdline").read_bytes():
                found.add(int(entry.name))
    while more := {pid for pid, parent in parents.items() if parent in found} - found:
        found |= more
    return sorted(found)


def memory_bytes(pid: int) -> int:
    """Memory of a process that is its own; pages of files count for nobody."""
    try:
        rows = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    found = re.search(r"RssAnon:\s+(\d+) kB", rows)
    return int(found[1]) * 1024 if found else 0


@contextmanager
def peaks(pids: list[int]) -> Iterator[dict[int, int]]:
    """How far the memory of each process rises above what it was at the beginning, in bytes."""
    before = {pid: memory_bytes(pid) for pid in pids}
    growth = dict.fromkeys(pids, 0)
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.1):
            for pid in pids:
                growth[pid] = max(growth[pid], memory_bytes(pid) - before[pid])

    watcher = threading.Thread(target=watch)
    watcher.start()
    try:
        yield growth
    finally:
        done.set()
        watcher.join()


@contextmanager
def window(profile: Path, site: Server) -> Iterator[tuple[BrowserContext, Page]]:
    """A browser with a profile of its own on disk, as people have it."""
    with sync_playwright() as playwright:
        chromium = playwright.chromium
        context = chromium.launch_persistent_context(
            profile, executable_path=CHROMIUM, args=list(ARGUMENTS), locale="en-US"
        )
        page = context.new_page()
        page.goto(site.web_url)
        expect(page.get_by_role("button", name="Upload", exact=True)).to_be_visible()
        try:
            yield context, page
        finally:
            # It may have been killed.
            with suppress(Error):
                context.close()


def choose(page: Page, path: Path) -> None:
    page.get_by_role("button", name="Upload", exact=True).click()
    with page.expect_file_chooser() as chooser:
        page.get_by_role("menuitem", name="Files").click()
    chooser.value.set_files(path)


def throttle(context: BrowserContext, page: Page, bytes_per_second: int) -> None:
    session = context.new_cdp_session(page)
    limits = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": bytes_per_second}
    session.send("Network.enable")
    session.send("Network.emulateNetworkConditions", limits)


def wait_until_arrived(site: Server, page: Page, wanted_bytes: int) -> int:
    """Bytes that the server has, once they are as many."""
    until = time.monotonic() + 120
    while True:
        found = httpx.get(f"{site.web_url}/api/uploads").json()["uploads"]
        there = next((one["offset"] for one in found), 0)
        if there >= wanted_bytes:
            return int(there)
        assert time.monotonic() < until
        page.wait_for_timeout(100)


def test_browser_and_server_are_killed(site: Server, tmp_path: Path) -> None:
    path, profile = tmp_path / "large.dcm", tmp_path / "profile"
    large(path)
    with window(profile, site) as (context, page):
        throttle(context, page, SLOW_BYTES_PER_SECOND)
        choose(page, path)
        wait_until_arrived(site, page, FILE_BYTES // 8)
        for pid in processes_of(profile):
            os.kill(pid, signal.SIGKILL)
    (profile / "SingletonLock").unlink(missing_ok=True)
    with window(profile, site) as (context, page):
        uploads = page.get_by_label("Uploads", exact=True)
        expect(uploads).to_contain_text("Interrupted: large.dcm", timeout=30_000)
        there = wait_until_arrived(site, page, FILE_BYTES // 8)
        offsets: list[int] = []
        page.on("request", lambda r: offsets.append(int(r.headers["upload-offset"])) if r.method == "PATCH" else None)
        with peaks(processes_of(profile) + site.children()) as growth:
            throttle(context, page, SLOW_BYTES_PER_SECOND)
            choose(page, path)
            wait_until_arrived(site, page, FILE_BYTES // 2)
        assert offsets[0] >= there
        assert max(growth.values()) < MOST_GROWTH_BYTES
        site.stop(signal.SIGKILL)
        site.restart()
        with peaks(processes_of(profile) + site.children()) as growth:
            throttle(context, page, -1)
            expect(uploads).to_contain_text("1 object stored", timeout=180_000)
        assert max(growth.values()) < MOST_GROWTH_BYTES
    ds = pydicom.dcmread(path, stop_before_pixels=True)
    url = f"studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
    accept = 'application/dicom; transfer-syntax="*"'
    with httpx.stream("GET", f"{site.dicomweb_url}/{url}", headers={"Accept": accept}, timeout=60) as answer:
        assert answer.status_code == 200
        got = b"".join(answer.iter_bytes())
    sent = path.read_bytes()
    assert got[-FILE_BYTES:] == sent[-FILE_BYTES:]
