"""The page about DICOMweb knows every resource, every media type and every setting it speaks of."""

import re
from pathlib import Path

from config.settings import Settings
from dicomweb.accept import BULK, FRAMES, METADATA, OBJECT, PIXEL_ELEMENT
from dicomweb.rendered_types import ALL
from dicomweb.routes import RESOURCES

PAGE = (Path(__file__).parents[2] / "docs" / "dicomweb.md").read_text()
SHORT = {"{study}": "{s}", "{series}": "{se}", "{instance}": "{i}", "{frames}": "{n}", "{path:path}": "{path}"}


def test_every_resource_is_described() -> None:
    described = set(re.findall(r"`(?:(?:GET|POST) )?(/[^`]*)`", PAGE.partition("## Transfer")[0]))
    for path, _ in RESOURCES:
        for name, short in SHORT.items():
            path = path.replace(name, short)
        assert path in described, path


def test_every_media_type_is_named() -> None:
    for offer in (*METADATA, *OBJECT, *FRAMES, *BULK, *PIXEL_ELEMENT, *ALL):
        assert offer.media_type in PAGE


def test_settings_exist() -> None:
    for section, name in re.findall(r"`(web|archive|limits)\.([a-z_]+)", PAGE):
        assert hasattr(getattr(Settings(), section), name)
