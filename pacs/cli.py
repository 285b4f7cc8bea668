"""The command line. Commands import what they need when they run, so that `pacs --help` answers at once."""

import os
import sys
import time
from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec

import click

from config.load import find_file, load
from config.settings import Settings, SettingsError

P = ParamSpec("P")

_STARTED = time.monotonic()


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.option(
    "--config", "-c", type=click.Path(path_type=Path), help="Settings file (default: PACS_CONFIG, ./pacs.toml)."
)
@click.version_option(package_name="open-pacs", prog_name="pacs")
@click.pass_context
def main(context: click.Context, config: Path | None) -> None:
    """A DICOMweb-native PACS: DIMSE in, object storage below, QIDO/WADO/STOW-RS out of one index."""
    context.obj = config


def _with_settings(command: Callable[Concatenate[Settings, P], None]) -> Callable[P, None]:
    """Load the settings for a command; what is wrong with them ends it with status 2 and one clear line."""

    @click.pass_context
    @wraps(command)
    def loaded(context: click.Context, /, *args: P.args, **kwargs: P.kwargs) -> None:
        try:
            settings = load(context.find_root().obj or find_file(os.environ), os.environ)
            _configure_logs(settings)
            command(settings, *args, **kwargs)
        except SettingsError as error:
            click.echo(f"pacs: {error}", err=True)
            sys.exit(2)

    return loaded  # type: ignore[return-value]


def _configure_logs(settings: Settings) -> None:
    from pacs.logs import configure

    configure(settings.log)


def _supervise(settings: Settings, roles: tuple[str, ...], after: Callable[[], None] | None = None) -> None:
    from pacs.supervisor import StartFailed, supervise

    def on_ready(sockets: Mapping[str, object]) -> None:
        click.echo(_ready_line(settings, roles, sockets))
        if after:
            after()

    try:
        supervise(settings, roles, on_ready)
    except StartFailed as error:
        click.echo(f"pacs: {error}", err=True)
        sys.exit(1)


def _ready_line(settings: Settings, roles: tuple[str, ...], sockets: Mapping[str, object]) -> str:
    where = []
    if "web" in sockets:
        address = f"http://{settings.web.host}:{settings.web.port}"
        where += [f"pages {address}/", f"DICOMweb {address}/dicomweb"]
    if "dimse" in sockets:
        where.append(f"DIMSE {settings.dimse.ae_titles[0]}@{settings.dimse.host}:{settings.dimse.port}")
    if "dimse_tls" in sockets:
        where.append(f"DIMSE/TLS {settings.dimse.ae_titles[0]}@{settings.dimse.host}:{settings.dimse.tls_port}")
    return f"PACS is ready after {time.monotonic() - _STARTED:.1f} s: {', '.join(where or roles)}"


@main.command()
@_with_settings
def serve(settings: Settings) -> None:
    """Run everything: web, DIMSE listener and worker."""
    _supervise(settings, ("web", "listener", "worker"))


@main.command()
@_with_settings
def web(settings: Settings) -> None:
    """Run the web processes only."""
    _supervise(settings, ("web",))


@main.command()
@_with_settings
def listener(settings: Settings) -> None:
    """Run the DIMSE listener only."""
    _supervise(settings, ("listener",))


@main.command()
@_with_settings
def worker(settings: Settings) -> None:
    """Run the background worker only."""
    _supervise(settings, ("worker",))


@main.group()
def db() -> None:
    """The index database."""


@db.command()
@_with_settings
def upgrade(settings: Settings) -> None:
    """Bring the database's schema up to date (`serve` does it by itself)."""
    from pacs.migrations import upgrade as bring_up_to_date

    bring_up_to_date(settings.database.url)
    click.echo("The database is up to date.")
