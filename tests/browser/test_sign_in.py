"""Signing in, and losing the session in the middle of work: what was asked for comes, what was typed stays."""

import io
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pydicom
import pytest
from PIL import Image
from playwright.sync_api import FrameLocator, Page, expect
from pydicom.uid import generate_uid

from tests.accounts import PASSWORD, add_user, lose_sessions, sign_in, visitor
from tests.browser.test_portal import ct
from tests.command import wait_until
from tests.conftest import Server, StartServer
from tests.protocol.web import stow, write
from tests.samples import shipped_files

WAIT = 60_000
REFUSED = "Failed to load resource: the server responded with a status of 401 (Unauthorized)"
"""Chromium writes it for every such answer; that scripts never see it does not matter to it."""
DIALOG = "#signed-out"


@pytest.fixture(scope="module")
def site(start_site: StartServer) -> Iterator[Server]:
    """A server that people have to sign in to."""
    running = start_site(access={"sign_in": "required"})
    add_user(running, "anna")
    add_user(running, "tom")
    yield running
    running.stop()


@pytest.fixture(scope="module")
def study(site: Server) -> str:
    """A study of two series, whose frames the browser has from nowhere else."""
    paths = [path for path in shipped_files() if path.parent.name == "ct_head_phantom_54"]
    uid, series = generate_uid(), {1: ("First", generate_uid()), 900: ("Second", generate_uid())}
    with visitor(site) as client:
        sign_in(client, "anna")
        for path, number in itertools.product(paths, series):
            ds = pydicom.dcmread(path)
            ds.StudyInstanceUID = uid
            ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid()
            ds.SeriesNumber, (ds.SeriesDescription, ds.SeriesInstanceUID) = number, series[number]
            assert stow(client, write(ds), path="/dicomweb/studies").status_code == 200
    return uid


@pytest.fixture
def guarded(page: Page) -> Iterator[Page]:
    """A window in which answers of 401 are no mistake."""
    yield page
    page.errors[:] = [text for text in page.errors if text != REFUSED]  # type: ignore[attr-defined]


def lose(page: Page, site: Server) -> None:
    """The session ends, and the server has noticed: it looks every few seconds."""
    lose_sessions(site)
    wait_until(lambda: page.request.get(f"{site.web_url}/api/session", headers={"X-Idle": "1"}).json()["user"] is None)


def type_in(page: Page, name: str, password: str = PASSWORD) -> None:
    """Sign in on the page with the keyboard alone."""
    expect(page.get_by_label("Name")).to_be_focused(timeout=WAIT)
    page.keyboard.type(name)
    page.keyboard.press("Tab")
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def form(page: Page) -> FrameLocator:
    """The sign-in that stands over a page."""
    page.locator(DIALOG).wait_for(timeout=WAIT)
    return page.frame_locator(f"{DIALOG} iframe")


def type_again(page: Page, password: str = PASSWORD) -> None:
    """Sign in over the page with the keyboard alone; the name is there already."""
    fields = form(page)
    expect(fields.get_by_label("Name")).to_have_value("anna", timeout=WAIT)
    expect(fields.get_by_label("Password")).to_be_focused(timeout=WAIT)
    page.keyboard.type(password)
    page.keyboard.press("Enter")


def open_study(page: Page, site: Server, study: str) -> None:
    page.goto(f"{site.web_url}/viewer/viewer?StudyInstanceUIDs={study}")
    type_in(page, "anna")
    page.wait_for_url("**/viewer/viewer?StudyInstanceUIDs=*", timeout=WAIT)
    wait_for_picture(page)


def wait_for_picture(page: Page, words: str = "") -> None:
    page.wait_for_function(
        """words => {
            const pane = document.querySelector('[data-cy="viewport-pane"]')?.innerText ?? '';
            return /I:/.test(pane) && pane.includes(words);
        }""",
        arg=words,
        timeout=WAIT,
    )
    for _ in range(100):
        if brightness(page) > 5:
            return
        page.wait_for_timeout(200)
    raise AssertionError("the picture stays black")


def brightness(page: Page) -> float:
    box = {"x": 400, "y": 150, "width": 800, "height": 600}
    return float(np.asarray(Image.open(io.BytesIO(page.screenshot(clip=box))).convert("L")).std())


def measure(page: Page) -> None:
    """A length, tracked."""
    page.evaluate("commandsManager.runCommand('setToolActiveToolbar', {toolName: 'Length'})")
    page.mouse.move(600, 400)
    page.mouse.down()
    page.mouse.move(700, 450, steps=5)
    page.mouse.up()
    page.get_by_role("button", name="Yes", exact=True).click(timeout=WAIT)
    page.wait_for_function("services.measurementService.getMeasurements().length === 1")


def reports(site: Server, study: str) -> list[dict[str, dict[str, list[str]]]]:
    with visitor(site) as client:
        sign_in(client, "anna")
        return list(client.get(f"/dicomweb/studies/{study}/series?Modality=SR&includefield=SeriesDescription").json())


def test_reading_goes_on_after_the_session_was_lost(site: Server, study: str, guarded: Page) -> None:
    page = guarded
    open_study(page, site, study)
    measure(page)
    lose(page, site)
    page.locator('[data-cy="study-browser-thumbnail"]').nth(1).dblclick()
    expect(form(page).get_by_label("Password")).to_be_focused(timeout=WAIT)
    # The pointer over the pictures takes the focus from everything, and each of these keys is a command there.
    page.mouse.move(500, 300)
    page.mouse.move(900, 800, steps=4)
    page.keyboard.type("rhvli123")
    expect(form(page).get_by_label("Password")).to_have_value("rhvli123", timeout=WAIT)
    page.keyboard.press("Enter")
    expect(form(page).get_by_role("alert")).to_have_text("The name or the password is not right.", timeout=WAIT)
    # Not even a click beside the form gives keys to the viewer.
    page.mouse.click(1300, 850)
    page.keyboard.press("Delete")
    page.keyboard.press("Escape")
    page.keyboard.press("Escape")
    expect(form(page).get_by_label("Password")).to_be_visible(timeout=WAIT)
    form(page).get_by_label("Password").fill(PASSWORD)
    form(page).get_by_role("button", name="Sign in").click()
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    wait_for_picture(page, "Second")
    page.mouse.move(700, 450)
    page.mouse.wheel(0, 120)
    wait_for_picture(page, "(2/3)")
    assert page.evaluate("services.measurementService.getMeasurements().length") == 1


def test_what_was_typed_and_measured_is_saved(site: Server, study: str, guarded: Page) -> None:
    page = guarded
    open_study(page, site, study)
    measure(page)
    page.locator('[data-cy="trackedMeasurements-btn"]').click()
    page.get_by_role("button", name="Create SR").click()
    name = page.get_by_placeholder("Report name")
    name.fill("Typed before")
    lose(page, site)
    # Two at once: one dialog, and both come back as if nothing had been.
    page.evaluate(
        """() => {
            const get = () => fetch('/dicomweb/studies?limit=1', {headers: {Accept: 'application/dicom+json'}});
            window.answers = Promise.all([get(), get()]).then(all => Promise.all(all.map(one => one.json())));
        }"""
    )
    type_again(page)
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    assert [len(rows) for rows in page.evaluate("window.answers")] == [1, 1]
    expect(name).to_have_value("Typed before", timeout=WAIT)
    page.keyboard.type(", and after")
    expect(name).to_have_value("Typed before, and after", timeout=WAIT)
    before = len(reports(site, study))
    lose(page, site)
    page.get_by_role("button", name="Save", exact=True).click()
    type_again(page)
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    page.get_by_text("Typed before, and after").first.wait_for(timeout=WAIT)
    found = reports(site, study)
    assert len(found) == before + 1
    assert [row["0008103E"]["Value"] for row in found][-1] == ["Typed before, and after"]


def test_somebody_else_begins_anew(site: Server, guarded: Page) -> None:
    page = guarded
    page.goto(site.web_url)
    type_in(page, "anna")
    expect(page.get_by_role("button", name="Account anna")).to_be_visible(timeout=WAIT)
    page.get_by_label("Patient name or ID").fill("secret of anna")
    expect(page.get_by_text("No study matches.")).to_be_visible(timeout=WAIT)
    lose(page, site)
    page.get_by_label("Patient name or ID").fill("secret of ann")
    fields = form(page)
    fields.get_by_label("Name").fill("tom")
    fields.get_by_label("Password").fill(PASSWORD)
    fields.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("button", name="Account tom")).to_be_visible(timeout=WAIT)
    expect(page.get_by_label("Patient name or ID")).to_have_value("", timeout=WAIT)


def test_the_list_goes_on_as_it_was(site: Server, guarded: Page, study: str) -> None:
    page = guarded
    page.goto(site.web_url)
    type_in(page, "anna")
    row = page.locator(f'tr[data-uid="{study}"]')
    expect(row).to_be_visible(timeout=WAIT)
    lose(page, site)
    page.get_by_label("Patient name or ID").fill("head")
    type_again(page)
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    expect(row).to_be_visible(timeout=WAIT)
    expect(page.get_by_label("Patient name or ID")).to_have_value("head", timeout=WAIT)
    expect(page.get_by_text("live", exact=True)).to_be_visible(timeout=WAIT)
    asked = page.evaluate("location.hash")
    # Pictures that their elements fetch come late, and signing in at another window is enough.
    lose(page, site)
    page.evaluate(
        "source => document.body.append(Object.assign(new Image(), {id: 'late', src: source}))",
        f"/dicomweb/studies/{study}/thumbnail?viewport=64,64",
    )
    form(page)
    second = page.context.new_page()
    second.goto(f"{site.web_url}/login")
    type_in(second, "anna")
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    second.close()
    wait_until(lambda: page.evaluate("document.getElementById('late').naturalWidth") > 0, 60)
    page.get_by_role("button", name="Account anna").click()
    page.get_by_role("menuitem", name="Sign out").click()
    page.wait_for_url("**/login")
    assert page.request.get(f"{site.web_url}/dicomweb/studies").status == 401
    # The address of a list leads back to it.
    page.goto(f"{site.web_url}/{asked}")
    type_in(page, "anna")
    expect(page.get_by_label("Patient name or ID")).to_have_value("head", timeout=WAIT)


def test_uploads_wait(site: Server, guarded: Page, tmp_path: Path) -> None:
    page = guarded
    page.goto(site.web_url)
    type_in(page, "anna")
    expect(page.get_by_role("button", name="Account anna")).to_be_visible(timeout=WAIT)
    files = []
    for number in range(3):
        path = tmp_path / f"{number}.dcm"
        path.write_bytes(write(ct("Waiting^Upload", "W-1", "20200101")))
        files.append(path)
    # Large enough to be sent in pieces of its own, so that the refusal comes while bytes are on their way.
    large = ct("Waiting^Upload", "W-1", "20200101")
    large.Rows, large.Columns = 4096, 2048
    large.PixelData = bytes(itertools.islice(itertools.cycle(range(251)), 2 * 4096 * 2048))
    (tmp_path / "large.dcm").write_bytes(write(large))
    lose(page, site)
    page.locator('input[type="file"]').first.set_input_files([*files, tmp_path / "large.dcm"])
    type_again(page)
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    expect(page.get_by_label("Uploads", exact=True)).to_contain_text("4 objects stored", timeout=WAIT)


REQUESTS = """() => {
    window.said = [];
    const say = (...words) => said.push(words.join(' '));
    const given_up = new XMLHttpRequest();
    for (const kind of ['load', 'abort', 'loadend']) given_up.addEventListener(kind, () => say('given up:', kind));
    given_up.open('GET', '/dicomweb/studies');
    given_up.send();
    const request = new XMLHttpRequest();
    request.responseType = 'arraybuffer';
    for (const kind of ['readystatechange', 'progress', 'load', 'loadend', 'error']) {
        request.addEventListener(kind, () => request.readyState > 1 && say('request:', kind, request.status));
    }
    request.onload = () => say('type:', request.getResponseHeader('content-type'), request.response.byteLength > 2);
    request.open('GET', '/dicomweb/studies');
    request.setRequestHeader('Accept', 'application/dicom+json');
    request.send();
    const headers = {'Tus-Resumable': '1.0.0', 'Upload-Length': '5', 'Content-Type': 'application/offset+octet-stream'};
    const upload = new Request('/api/uploads', {method: 'POST', headers, body: 'bytes'});
    fetch(upload).then(answer => answer.json()).then(found => say('body:', found.length, found.offset));
    const giving_up = new AbortController();
    fetch('/dicomweb/studies', {signal: giving_up.signal}).catch(error => say('given up:', error.name));
    const another = {headers: {Authorization: 'Bearer x'}};
    fetch('/dicomweb/studies', another).then(answer => say('another way:', answer.status));
    window.give_up = () => { given_up.abort(); giving_up.abort(); };
}"""


def test_requests_of_every_kind_wait(site: Server, guarded: Page, study: str) -> None:
    """Scripts hear of the good answer alone; what they give up meanwhile is not made; what is refused again is said."""
    page = guarded
    page.goto(site.web_url)
    type_in(page, "anna")
    expect(page.get_by_role("button", name="Account anna")).to_be_visible(timeout=WAIT)
    lose(page, site)
    page.evaluate(REQUESTS)
    form(page)
    page.evaluate("give_up()")
    assert all(one.startswith("given up:") for one in page.evaluate("said"))
    type_again(page)
    wanted = {"type: application/dicom+json true", "body: 5 5", "another way: 401", "given up: AbortError"}
    wait_until(lambda: wanted | {"request: loadend 200"} <= set(page.evaluate("said")), 60)
    said = page.evaluate("said")
    heard = [one for one in said if one.startswith("request:")]
    assert all(one.endswith(" 200") for one in heard)
    assert heard[0] == "request: readystatechange 200" and heard[-2:] == ["request: load 200", "request: loadend 200"]
    assert heard.count("request: load 200") == heard.count("request: loadend 200") == 1
    assert "given up: load" not in said


def test_a_login_that_is_not_ours(server: Server, guarded: Page) -> None:
    """A proxy before the server asks for it: it cannot be shown over the page, so a window of its own is offered."""
    page = guarded
    page.goto(server.web_url)
    expect(page.get_by_label("Patient name or ID")).to_be_visible(timeout=WAIT)
    for address in ("**/dicomweb/**", "**/api/session"):
        page.route(address, lambda route: route.fulfill(status=401, body="<html>", content_type="text/html"))
    page.get_by_label("Patient name or ID").fill("nobody at all")
    go_on = page.locator(DIALOG).get_by_role("button", name="Go on")
    with page.expect_response("**/api/session", timeout=WAIT):
        go_on.click(timeout=WAIT)
    expect(page.locator(DIALOG).get_by_role("link", name="Sign in")).to_have_attribute("target", "_blank")
    page.unroute_all()
    go_on.click()
    expect(page.locator(DIALOG)).to_be_hidden(timeout=WAIT)
    expect(page.get_by_text("No study matches.")).to_be_visible(timeout=WAIT)


def test_the_screen_is_covered_without_a_request(site: Server, guarded: Page) -> None:
    """Nobody does anything, and the session ends: the page finds out by itself."""
    page = guarded
    page.clock.install()
    page.goto(site.web_url)
    type_in(page, "anna")
    expect(page.get_by_role("button", name="Account anna")).to_be_visible(timeout=WAIT)
    lose(page, site)
    page.clock.fast_forward("01:05")
    expect(form(page).get_by_label("Password")).to_be_visible(timeout=WAIT)
