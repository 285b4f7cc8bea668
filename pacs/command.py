"""What all commands share: the settings, logs, and one clear line when something is refused."""

import os
import sys
from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec

import click

from config.load import find_file, load
from config.settings import Settings, SettingsError
from index.errors import PacsError

P = ParamSpec("P")


def with_settings(command: Callable[Concatenate[Settings, P], None]) -> Callable[P, None]:
    """Load the settings for a command. One clear line ends it when something is wrong with them (status 2) or when what
    it asks for is refused (status 1).
    """

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
        except PacsError as error:
            click.echo(f"pacs: {error.detail}", err=True)
            sys.exit(1)

    return loaded


def _configure_logs(settings: Settings) -> None:
    from pacs.logs import configure

    configure(settings.log)
