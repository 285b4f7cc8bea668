"""The script that pages load before all else: it makes them wait for a new sign-in when the session is lost."""

from importlib.resources import files

import orjson

from config.settings import Settings


def script(settings: Settings) -> bytes:
    """The script, with what it must know of the settings."""
    access = {"required": settings.access.sign_in == "required", "idleSeconds": settings.access.idle_seconds}
    return files(__package__).joinpath("guard.js").read_bytes().replace(b"$ACCESS", orjson.dumps(access), 1)
