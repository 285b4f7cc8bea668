"""Every kind of image opens: from the study list into the viewer, and what is on the canvas is the picture in the file.

The oracle is pydicom with numpy. Most images are made by rule (tests/kinds.py), the others are the shipped samples.
"""

import io
import subprocess
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pydicom
import pytest
from playwright.sync_api import Page

from tests import kinds
from tests.browser.pictures import LIKE, expected, open_from_list, study_of, wait_for_picture
from tests.conftest import Server
from tests.kinds import written
from tests.protocol.web import stow
from tests.samples import SHIPPED


@dataclass(frozen=True)
class Kind:
    """Files that are one study, and what is to be seen of them first."""

    name: str
    make: Callable[[], list[bytes]]
    frames: int = 1
    """More than one for a loop, which plays: any of them may be on the canvas."""
    index: int = 0
    """Index of the file that is shown first."""
    like: float = LIKE


def _sample(*names: str) -> Callable[[], list[bytes]]:
    return lambda: [(SHIPPED / name).read_bytes() for name in names]


def _made(make: Callable[[], Any]) -> Callable[[], list[bytes]]:
    def bytes_of() -> list[bytes]:
        made = make()
        return [written(ds) for ds in (made if isinstance(made, list) else [made])]

    return bytes_of


EVEN = [float(height) for height in range(0, 48, 2)]
UNEVEN = [0.0, 2.0, 4.0, 9.0, 11.0, 20.0]
KINDS = (
    Kind("ct", _made(partial(kinds.ct, "ct", EVEN)), index=len(EVEN) - 1),
    Kind("ct tilted gantry", _made(partial(kinds.ct, "ct tilted", EVEN[:6], slope=0.3)), index=5),
    Kind("ct uneven spacing", _made(partial(kinds.ct, "ct uneven", UNEVEN))),
    Kind("ct scout", _made(kinds.scout)),
    Kind("ct enhanced, 12-bit JPEG", _sample("ct_enhanced/CT0012.fragmented_no_bot_jpeg_baseline.51.dcm"), like=0.9),
    Kind("ct progressive JPEG", _sample("ct_syntaxes/JPEGProcess10_12.dcm")),
    Kind("mr", _made(kinds.mr)),
    # A sample of noise, which the viewer smoothes.
    Kind("mr enhanced", _sample("mr_enhanced/001.dcm"), like=0.7),
    Kind("cr", _made(kinds.cr)),
    Kind("dx", _sample("dx/dx_image.dcm")),
    Kind("mg", _made(kinds.mg)),
    Kind("xa", _made(kinds.xa), frames=10),
    Kind("pt", _sample("pt/1.dcm")),
    Kind("nm", _made(kinds.nm)),
    Kind("us palette", _sample("us/examples_palette.dcm")),
    Kind("us rgb", _sample("us/examples_rgb_color.dcm")),
    Kind("us half colour", _made(kinds.us_half_colour)),
    Kind("us retired", _made(kinds.us_retired)),
    Kind("us cine", _sample("us_cine/examples_ybr_color.dcm"), frames=30),
)
NAMES = [kind.name for kind in KINDS]
LENIENT = {"us half colour", "us retired"}
"""What the standard of today no longer allows, and what dciodvfy therefore does not know."""


@pytest.fixture(scope="module")
def archive(site: Server) -> Server:
    """All kinds in one archive."""
    with httpx.Client(base_url=site.dicomweb_url, timeout=60) as client:
        for kind in KINDS:
            assert stow(client, *kind.make()).status_code == 200, kind.name
    return site


@pytest.mark.parametrize("kind", KINDS, ids=NAMES)
def test_every_kind_opens(archive: Server, page: Page, kind: Kind) -> None:
    files = kind.make()
    open_from_list(page, archive, study_of(files[0]), key="Enter" if kind.name == "ct" else "")
    wait_for_picture(page, *(expected(files[kind.index], frame) for frame in range(kind.frames)), like=kind.like)
    sets = page.evaluate("services.displaySetService.getActiveDisplaySets().map(one => !!one.unsupported)")
    assert sets == [False] * len(sets) and sets


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind.name not in LENIENT], ids=lambda kind: kind.name)
def test_what_is_made_by_rule_conforms(kind: Kind, tmp_path: Path) -> None:
    data = kind.make()[0]
    if "Kinds^" not in str(pydicom.dcmread(io.BytesIO(data), stop_before_pixels=True).PatientName):
        return  # A sample is what its maker made of it.
    path = tmp_path / "made.dcm"
    path.write_bytes(data)
    checked = subprocess.run(["dciodvfy", "-new", path], capture_output=True, text=True)
    assert [line for line in checked.stderr.splitlines() if line.startswith("Error")] == []
