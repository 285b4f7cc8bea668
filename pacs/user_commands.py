"""The commands `pacs users add`, `list`, `password` and `remove`."""

import sys

import click

from config.settings import Settings
from pacs.command import with_settings


@click.group()
def users() -> None:
    """Who may sign in when `access.sign_in` is `required`."""


def _ask() -> str:
    """A new password: typed twice, or the first line of what is piped in. Never an argument: those everybody sees."""
    if sys.stdin.isatty():
        return str(click.prompt("Password", hide_input=True, confirmation_prompt="Once more"))
    return sys.stdin.readline().rstrip("\r\n")


@users.command("list")
@with_settings
def list_users(settings: Settings) -> None:
    """List the accounts: name, tenant, date of the password, open sessions."""
    from pacs.users import list_all

    for one in list_all(settings):
        click.echo(one)


@users.command("add")
@click.argument("name")
@click.option("--tenant", default="", help="Whose studies the account sees; archive.tenant if not given.")
@with_settings
def add_user(settings: Settings, name: str, tenant: str) -> None:
    """Add an account. The password is asked for, or read from standard input."""
    from pacs.users import add

    click.echo(add(settings, name, tenant, _ask))


@users.command("password")
@click.argument("name")
@with_settings
def set_password(settings: Settings, name: str) -> None:
    """Give an account another password; all its sessions end."""
    from pacs.users import change_password

    click.echo(change_password(settings, name, _ask))


@users.command("remove")
@click.argument("name")
@with_settings
def remove_user(settings: Settings, name: str) -> None:
    """Remove an account; all its sessions end."""
    from pacs.users import remove

    click.echo(remove(settings, name))
