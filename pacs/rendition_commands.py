"""The commands `pacs renditions list`, `make` and `drop`."""

import sys
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING

import click

from config.settings import Settings
from pacs.command import with_settings

if TYPE_CHECKING:
    from pacs.renditions import Advancing

_STUDY = click.option("--study", metavar="UID", help="Only this study.")


@click.group()
def renditions() -> None:
    """Lossless HTJ2K encodings of images that are kept beside the untouched originals."""


@renditions.command("list")
@_STUDY
@with_settings
def list_renditions(settings: Settings, study: str | None) -> None:
    """List the renditions study by study, and why images have none."""
    from pacs.renditions import list_all

    for one in list_all(settings, study):
        click.echo(one)


@renditions.command("make")
@_STUDY
@with_settings
def make_renditions(settings: Settings, study: str | None) -> None:
    """Make what is missing of what is stored already: by `renditions.rules`, or of every image when there are none.

    An interrupted run goes on where it stopped when it is run again.
    """
    from pacs.renditions import make

    def progress(count: int) -> "AbstractContextManager[Advancing]":
        return click.progressbar(length=count, label="Series", show_pos=True, file=sys.stderr)

    for one in make(settings, study, progress):
        click.echo(one)


@renditions.command("drop")
@_STUDY
@with_settings
def drop_renditions(settings: Settings, study: str | None) -> None:
    """Remove renditions. The originals stay as they are; renditions can be made again."""
    from pacs.renditions import drop

    click.echo(drop(settings, study))
