"""Everything that is no plain image opens in the viewer: derived objects, documents, videos, slides, waveforms."""

import re

import pytest
from playwright.sync_api import Page, expect
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset
from pydicom.filereader import dcmread
from pydicom.uid import HEVCMP51, MPEG2MPML, MPEG4HP41, JPEGBaseline8Bit, generate_uid

from tests.browser.derived import again, head, report, segmentation, structure_set, video
from tests.browser.viewing import coloured, entry, open_study, pixels, show, spread, store, until
from tests.conftest import Server

BASIC_TEXT, COMPREHENSIVE = "1.2.840.10008.5.1.4.1.1.88.11", "1.2.840.10008.5.1.4.1.1.88.33"
PHOTOGRAPHIC, ENDOSCOPIC = "1.2.840.10008.5.1.4.1.1.77.1.4.1", "1.2.840.10008.5.1.4.1.1.77.1.1.1"
ULTRASOUND = "1.2.840.10008.5.1.4.1.1.3.1"
FINDINGS = "Größe normal.\nNo <b>markup</b> here."


@pytest.fixture(scope="module")
def mixed(site: Server) -> str:
    """A study of three slices and all that is derived from them."""
    images = head()
    study = images[0].StudyInstanceUID
    others = [
        again(f"generated/{name}.dcm", study) for name in ("key_objects", "gsps_brain_window", "encapsulated_pdf")
    ]
    return store(
        site, *images, segmentation(images), structure_set(images), report(images[0], COMPREHENSIVE, FINDINGS), *others
    )


def load(page: Page) -> int:
    """Answer the question whether to open a segmentation with yes; how many pixels are coloured then."""
    page.get_by_text("Do you want to open this Segmentation?").wait_for()
    page.get_by_role("button", name="Yes", exact=True).click()
    expect(page.get_by_text("Do you want to open this Segmentation?")).to_have_count(0)
    until(page, lambda: spread(page) > 5 and coloured(page) > 1000)
    return coloured(page)


def test_segmentation_over_its_images(site: Server, mixed: str, page: Page) -> None:
    open_study(page, site, mixed)
    until(page, lambda: spread(page) > 5)  # The viewer complains of a viewport that is taken away while it loads.
    show(page, "SEG")
    assert load(page) > 20_000  # A filled square of 200 x 200 image pixels.
    page.locator('[data-cy="panelSegmentation-btn"], [data-cy="panelSegmentationWithTools-btn"]').first.click()
    expect(page.get_by_text("Test square").first).to_be_visible()


def test_contours_over_their_images(site: Server, mixed: str, page: Page) -> None:
    open_study(page, site, mixed)
    until(page, lambda: spread(page) > 5)  # The viewer complains of a viewport that is taken away while it loads.
    show(page, "RTSTRUCT")
    assert load(page) < 20_000  # Lines, no area.


@pytest.mark.parametrize("sop_class_uid", [BASIC_TEXT, "1.2.840.10008.5.1.4.1.1.88.22", COMPREHENSIVE])
def test_a_report_alone_is_text(site: Server, page: Page, sop_class_uid: str) -> None:
    study = store(site, report(again("generated/encapsulated_pdf.dcm"), sop_class_uid, FINDINGS))
    open_study(page, site, study)
    shown = page.locator('[data-cy="viewport-pane"]')
    expect(shown).to_contain_text("Größe normal.")
    expect(shown).to_contain_text("No <b>markup</b> here.")
    expect(shown).to_contain_text("Reader")
    if sop_class_uid != BASIC_TEXT:
        expect(shown).to_contain_text("24 mm")


def expect_document(page: Page) -> str:
    """A PDF in the browser's own reader: its address answers, and paper is white."""
    page.wait_for_function("document.querySelector('object')?.getAttribute('data')")
    address = page.locator("object").get_attribute("data") or ""
    fetched = page.evaluate(
        """async address => { const answer = await fetch(address);
            return [answer.status, answer.headers.get('content-type'), (await answer.text()).slice(0, 5)]; }""",
        address,
    )
    assert fetched == [200, "application/pdf", "%PDF-"]
    until(page, lambda: (pixels(page) > 250).all(axis=2).mean() > 0.3)
    return address


def test_documents_of_a_mixed_study(site: Server, mixed: str, page: Page) -> None:
    open_study(page, site, mixed)
    until(page, lambda: spread(page) > 5)
    # What the viewer knows no way to show is listed with a warning.
    unsupported = page.evaluate(
        "services.displaySetService.getActiveDisplaySets().filter(one => one.unsupported).map(one => one.Modality)"
    )
    assert sorted(unsupported) == ["KO", "PR"]
    expect(entry(page, "KO")).to_be_visible()
    show(page, "SR")
    expect(page.locator('[data-cy="viewport-pane"]')).to_contain_text("Größe normal.", timeout=60_000)
    show(page, "DOC")
    expect_document(page)


def test_a_document_alone(site: Server, page: Page) -> None:
    ds = again("generated/encapsulated_pdf.dcm")
    # Too large to stand in the metadata. Readers find their way in files whose table of offsets is wrong.
    ds.EncapsulatedDocument = ds.EncapsulatedDocument.replace(b"\n", b"\n%" + b"x" * 200_001 + b"\n", 1)
    open_study(page, site, store(site, ds))
    assert expect_document(page).endswith("/rendered")


def play(page: Page) -> None:
    """Press the button that plays: some videos come with it, C brings and takes it away."""
    button = page.locator('[data-cy="cine-player-play-pause"]')

    def shown() -> bool:
        page.wait_for_timeout(1500)
        return button.is_visible() or page.keyboard.press("c") or False

    until(page, shown)
    button.click()


@pytest.mark.parametrize(
    "sop_class_uid, modality, file",
    [(PHOTOGRAPHIC, "XC", "h264.mp4"), (ENDOSCOPIC, "ES", "h264.mp4"), (ULTRASOUND, "US", "h264_baseline.mp4")],
)
def test_videos_play(site: Server, page: Page, sop_class_uid: str, modality: str, file: str) -> None:
    study = store(site, video(sop_class_uid, modality, MPEG4HP41, file))
    with page.expect_response(re.compile("/rendered$")) as answered:
        open_study(page, site, study)
    assert answered.value.status == 206 and answered.value.headers["content-type"] == "video/mp4"
    until(page, lambda: coloured(page) > 100_000)
    video_time = "cornerstone.getRenderingEngines()[0].getViewports()[0].videoElement"
    assert page.evaluate(f"{video_time}.duration") == pytest.approx(0.4, abs=0.1)
    page.evaluate(f"window.played = 0; {video_time}.addEventListener('timeupdate', event => window.played++)")
    play(page)
    page.wait_for_function("window.played > 1")


@pytest.mark.parametrize(
    "transfer_syntax_uid, file, kind", [(MPEG2MPML, "mpeg2.ts", "MPEG-2"), (HEVCMP51, "hevc.mp4", "H.265")]
)
def test_what_the_browser_does_not_play_is_said(
    site: Server, page: Page, transfer_syntax_uid: str, file: str, kind: str
) -> None:
    study = store(site, video(ENDOSCOPIC, "ES", transfer_syntax_uid, file))
    open_study(page, site, study)
    expect(page.locator('[data-cy="cannot-draw"]')).to_contain_text(f"plays no {kind} video")
    until(page, lambda: page.evaluate("document.querySelector('[data-cy=\"cannot-draw\"] img').naturalWidth > 0"))


@pytest.mark.parametrize("mode", ["viewer", "microscopy"])
def test_slides(site: Server, page: Page, mode: str) -> None:
    study = store(site, again("wsi_ezwsi/multiframe_camelyon_challenge_image.dcm"))
    open_study(page, site, study, mode)
    until(page, lambda: coloured(page) > 20_000)  # Tissue is violet.


def test_an_electrocardiogram(site: Server, page: Page) -> None:
    open_study(page, site, store(site, again("ecg/anonymous_ecg.dcm")))

    def leads() -> bool:
        shown = pixels(page)
        # Thin lines are drawn grey rather than white, but without any colour.
        curves = (shown.min(axis=2) > 120) & (shown.max(axis=2) - shown.min(axis=2) < 20)
        return bool(curves.sum() > 3000 and (shown[..., 0] - shown[..., 1] > 20).sum() > 5000)

    until(page, leads)  # White curves on a red grid.


def ophthalmic() -> Dataset:
    """A picture of a retina. The sample is baseline JPEG that calls itself lossless."""
    ds = again("op/sample-op.dcm")
    ds.file_meta.TransferSyntaxUID = JPEGBaseline8Bit
    return ds


def test_a_retina(site: Server, page: Page) -> None:
    open_study(page, site, store(site, ophthalmic()))
    until(page, lambda: spread(page) > 15)
    assert (pixels(page)[320:].mean(axis=2).std()) > 10  # Its lower half is a picture too.


def parametric_map() -> tuple[Dataset, Dataset]:
    """A map and the image that it was made from."""
    image = dcmread(get_testdata_file("CT_small.dcm"))
    made = again("pm/parametric_map_float.dcm")
    image.StudyInstanceUID, image.PatientID = made.StudyInstanceUID, made.PatientID
    return made, image


def test_a_map_over_its_image(site: Server, page: Page) -> None:
    made, image = parametric_map()
    image.SeriesInstanceUID = made.ReferencedSeriesSequence[0].SeriesInstanceUID
    open_study(page, site, store(site, image, made))
    until(page, lambda: spread(page) > 5)
    with page.expect_response(re.compile(f"/instances/{made.SOPInstanceUID}$")) as fetched:
        show(page, "PMAP")
    assert fetched.value.status == 200
    until(page, lambda: spread(page) > 5)
    expect(page.locator('[data-cy="cannot-draw"]')).to_have_count(0)


def test_a_map_without_its_image_costs_one_viewport(site: Server, page: Page) -> None:
    made, image = parametric_map()
    image.SeriesInstanceUID = generate_uid()
    image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    open_study(page, site, store(site, made, image))
    until(page, lambda: spread(page) > 5)
    show(page, "PMAP")
    expect(page.locator('[data-cy="cannot-draw"]')).to_contain_text("made from are not in this study")
    show(page, "CT")
    until(page, lambda: spread(page) > 5)
    expect(page.locator('[data-cy="cannot-draw"]')).to_have_count(0)
    # OHIF throws where it draws; that is what the viewport says.
    assert all("made from are not in this study" in error for error in page.errors)  # type: ignore[attr-defined]
    page.errors.clear()  # type: ignore[attr-defined]
