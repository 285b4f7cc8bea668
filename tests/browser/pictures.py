"""What is on a canvas of the viewer, and whether it is the picture in a file. The oracle is pydicom with numpy."""

import base64
import io
import subprocess
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from PIL import Image
from playwright.sync_api import Page
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from tests.browser.conftest import PATIENCE_MS
from tests.conftest import Server

LIKE = 0.97
"""Correlation from which on two pictures are the same one."""

ONLY_DCMTK = frozenset({"1.2.840.10008.1.2.4.51", "1.2.840.10008.1.2.4.53", "1.2.840.10008.1.2.4.55"})
"""Syntaxes that pydicom has no decoder for when there are 12 bits."""


def study_of(data: bytes) -> str:
    """Study Instance UID of a file."""
    return str(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).StudyInstanceUID)


def open_from_list(page: Page, archive: Server, study: str, *, key: str = "") -> None:
    """As people do it: a double click on the row, or the key."""
    page.goto(archive.web_url)
    row = page.locator(f'tr[data-uid="{study}"]')
    if key:
        row.click()
        page.get_by_label("Studies", exact=True).press(key)
    else:
        row.dblclick()
    page.wait_for_url("**/viewer/viewer?StudyInstanceUIDs=*")


def canvas(page: Page, number: int = 0) -> np.ndarray:
    """(rows, columns, 3): what is drawn in a viewport, without the lettering over it."""
    url = page.locator(".cornerstone-canvas").nth(number).evaluate("canvas => canvas.toDataURL()")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(url.partition(",")[2]))).convert("RGB"))


def expected(data: bytes, frame: int) -> np.ndarray:
    """(rows, columns, 3) as pydicom and numpy make it of the file."""
    ds = pydicom.dcmread(io.BytesIO(data))
    if str(ds.file_meta.TransferSyntaxUID) in ONLY_DCMTK:
        ds = _decoded(data)
    pixels = ds.pixel_array
    pixels = pixels[frame] if int(ds.get("NumberOfFrames") or 1) > 1 else pixels
    if ds.PhotometricInterpretation == "PALETTE COLOR":
        return _byte(apply_color_lut(pixels, ds))
    if ds.SamplesPerPixel == 3:
        return pixels  # RGB, whatever is stored.
    values = apply_modality_lut(pixels, ds)
    # The viewer shows PET as standardized uptake, from nothing on; the window in the file counts becquerels.
    shown = _byte(values if ds.Modality == "PT" else apply_voi_lut(values, ds))
    if ds.PhotometricInterpretation == "MONOCHROME1":
        shown = 255 - shown
    return np.repeat(shown[..., None], 3, axis=2)


def _decoded(data: bytes) -> pydicom.Dataset:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder)
        (path / "stored").write_bytes(data)
        subprocess.run(["dcmdjpeg", path / "stored", path / "decoded"], check=True)
        ds = pydicom.dcmread(path / "decoded")
        ds.pixel_array  # noqa: B018 - while the file is there
        return ds


def _byte(values: np.ndarray) -> np.ndarray:
    low, high = float(values.min()), float(values.max())
    return ((values - low) * 255 / max(high - low, 1)).astype(np.uint8)


def likeness(shown: np.ndarray, picture: np.ndarray) -> float:
    """Correlation of a canvas with the picture that is fitted into its middle; 0 for a canvas of one colour."""
    height, width = shown.shape[:2]
    rows, columns = picture.shape[:2]
    scale = min(height / rows, width / columns)
    top, left = (height - rows * scale) / 2, (width - columns * scale) / 2
    size = (min(columns, 320), min(rows, 320))
    area = (left, top, left + columns * scale, top + rows * scale)
    seen = np.asarray(Image.fromarray(shown).resize(size, Image.Resampling.BOX, box=area), float)
    wanted = np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BOX), float)
    if seen.std() == 0:
        return 0.0
    return float(np.corrcoef(seen.ravel(), wanted.ravel())[0, 1])


def wait_until(page: Page, holds: Callable[[], bool], what: Callable[[], Any]) -> None:
    """Until something holds of what is seen; `what` is said when it does not come about."""
    for _ in range(PATIENCE_MS // 250):
        if holds():
            return
        page.wait_for_timeout(250)
    raise AssertionError(what())


def wait_for_picture(page: Page, *pictures: np.ndarray, like: float = LIKE) -> None:
    """Until one of the pictures is in the first viewport."""
    page.locator(".cornerstone-canvas").first.wait_for()

    def best() -> float:
        shown = canvas(page)
        return max(likeness(shown, picture) for picture in pictures)

    wait_until(page, lambda: best() > like, lambda: f"likeness {best():.3f}")


ACTIVE = (
    "services.cornerstoneViewportService.getCornerstoneViewport(services.viewportGridService.getActiveViewportId())"
)
"""The viewport that the reader works in, for `evaluate`."""


def trimmed(picture: np.ndarray, size: int = 64) -> np.ndarray:
    """What is not black, as a square: the same for every zoom."""
    rows, columns = (np.flatnonzero((picture.max(axis=2) > 24).any(axis=axis)) for axis in (1, 0))
    if not len(rows):
        return np.zeros((size, size))
    cut = picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return np.asarray(Image.fromarray(cut).resize((size, size), Image.Resampling.BILINEAR).convert("L"), float)


def likeness_at_any_zoom(shown: np.ndarray, picture: np.ndarray) -> float:
    """Correlation of what is not black; 0 when all is."""
    first, second = trimmed(shown), trimmed(picture)
    return float(np.corrcoef(first.ravel(), second.ravel())[0, 1]) if first.std() and second.std() else 0.0
