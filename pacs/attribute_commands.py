"""The commands `pacs attributes list`, `add` and `remove`."""

import click

from config.settings import Settings
from pacs.command import with_settings


@click.group()
def attributes() -> None:
    """Which attributes are searchable, besides those that always are."""


_LEVEL = click.option(
    "--level",
    required=True,
    type=click.Choice(["PATIENT", "STUDY", "SERIES", "IMAGE"], case_sensitive=False),
    help="What a search finds by it; it is found by a value that any of its instances has.",
)
_CREATOR = click.option("--creator", default="", help="Private Creator of a private attribute.")


@attributes.command("list")
@with_settings
def list_attributes(settings: Settings) -> None:
    """List the attributes that were declared searchable, and how far each is filled."""
    from pacs.attributes import list_all

    for one in list_all(settings):
        click.echo(one)


@attributes.command("add")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_LEVEL
@_CREATOR
@click.option("--vr", default="", help="VR of an attribute that the data dictionary does not know.")
@with_settings
def add_attributes(settings: Settings, names: tuple[str, ...], level: str, creator: str, vr: str) -> None:
    """Make attributes searchable, also while the server runs.

    NAME is a keyword or tag, with the sequences around it first: RequestAttributesSequence.ScheduledProcedureStepID,
    or 0019100A[GEMS_ACQU_01]. What is stored already is filled in by the worker.
    """
    from pacs.attributes import add

    for line in add(settings, names, level.upper(), creator, vr.upper()):
        click.echo(line)


@attributes.command("remove")
@click.argument("names", metavar="NAME...", nargs=-1, required=True)
@_LEVEL
@_CREATOR
@with_settings
def remove_attributes(settings: Settings, names: tuple[str, ...], level: str, creator: str) -> None:
    """Make attributes unsearchable again; the worker deletes their values."""
    from pacs.attributes import remove

    for line in remove(settings, names, level.upper(), creator):
        click.echo(line)
