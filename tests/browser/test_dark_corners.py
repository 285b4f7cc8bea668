"""Studies without a picture: in the list they have icons, and the viewer stays on its feet."""

import io

import httpx
import pydicom
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.derived import again, beside, head, report, segmentation, structure_set, video
from tests.browser.viewing import entry, open_study, show, spread, store, until
from tests.conftest import Server

BASIC_TEXT, SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.7"
ENDOSCOPIC, MPEG_4 = "1.2.840.10008.5.1.4.1.1.77.1.1.1", "1.2.840.10008.1.2.4.102"
SAMPLES = (
    *(f"generated/{name}.dcm" for name in ("key_objects", "gsps_brain_window", "encapsulated_pdf")),
    *("ecg/anonymous_ecg.dcm", "rt/1_rtplan.dcm", "rt/rtdose.dcm", "rwvm/rwvm.dcm", "pm/parametric_map_float.dcm"),
    *("ann/sm_annotations.dcm", "wsi/sm_image.dcm", "op/sample-op.dcm"),
)


def without_pixels(source: pydicom.Dataset) -> pydicom.Dataset:
    """A secondary capture that says how large it is and holds nothing."""
    ds = beside(source, SECONDARY_CAPTURE, "XC", 950)
    ds.Rows, ds.Columns, ds.BitsAllocated, ds.BitsStored, ds.HighBit = 64, 64, 8, 8, 7
    ds.SamplesPerPixel, ds.PhotometricInterpretation, ds.PixelRepresentation = 1, "MONOCHROME2", 0
    return ds


def test_every_series_of_a_study_has_a_picture_in_the_list(site: Server, page: Page) -> None:
    images = head()
    study = images[0].StudyInstanceUID
    film = video(ENDOSCOPIC, "ES", MPEG_4, "h264.mp4")
    film.StudyInstanceUID = study
    made = [segmentation(images), structure_set(images), report(images[0], BASIC_TEXT, "Normal."), film]
    store(site, *images, *made, without_pixels(images[0]), *(again(name, study) for name in SAMPLES))
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        rows = client.get(f"/studies/{study}/series").json()
        assert len(rows) == 6 + len(SAMPLES)
        for row in rows:
            path = f"/studies/{study}/series/{row['0020000E']['Value'][0]}/thumbnail"
            answer = client.get(path, params={"viewport": "256,256"}, headers={"Accept": "image/jpeg"})
            assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg"), row["00080060"]
            assert max(Image.open(io.BytesIO(answer.content)).size) <= 256
    page.goto(site.web_url)
    page.locator(f'tr[data-uid="{study}"]').click()
    pictures = page.get_by_label("Selected study").locator("img.picture, .picture img")
    expect(pictures).to_have_count(len(rows), timeout=60_000)
    for index in range(len(rows)):
        pictures.nth(index).scroll_into_view_if_needed()
        until(
            page, lambda index=index: pictures.nth(index).evaluate("image => image.complete && image.naturalWidth > 0")
        )


def test_an_instance_without_pixels_leaves_the_others_alone(site: Server, page: Page) -> None:
    images = head()
    open_study(page, site, store(site, *images, without_pixels(images[0])))
    until(page, lambda: spread(page) > 5)
    show(page, "XC")
    until(page, lambda: spread(page) < 5)
    show(page, "CT")
    until(page, lambda: spread(page) > 5)
    # The viewer writes into the console that there is no such frame.
    page.errors.clear()  # type: ignore[attr-defined]


def test_a_study_whose_objects_are_all_rejected(site: Server, page: Page) -> None:
    study = store(site, *head())
    answer = httpx.post(f"{site.dicomweb_url}/studies/{study}/reject/113001^DCM")
    assert answer.status_code == 200 and answer.json()["count"] == 3
    page.goto(site.web_url)
    expect(page.locator("tr[data-uid]").first).to_be_visible()
    expect(page.locator(f'tr[data-uid="{study}"]')).to_have_count(0)
    page.goto(f"{site.web_url}/viewer/viewer?StudyInstanceUIDs={study}")
    expect(page.get_by_text("not available at this time")).to_be_visible(timeout=60_000)


def test_plans_doses_and_maps_of_values_do_no_harm(site: Server, page: Page) -> None:
    images = head()
    study = images[0].StudyInstanceUID
    store(site, *images, *(again(name, study) for name in ("rt/1_rtplan.dcm", "rt/rtdose.dcm", "rwvm/rwvm.dcm")))
    open_study(page, site, study)
    until(page, lambda: spread(page) > 5)
    for modality in ("RTPLAN", "RTDOSE", "RWV", "CT"):
        expect(entry(page, modality)).to_be_visible()
        show(page, modality)
    until(page, lambda: spread(page) > 5)
