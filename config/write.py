"""The settings in force as a TOML file that `config.load` reads back, secrets left out."""

import json
import re
from dataclasses import fields, is_dataclass
from typing import Any

from config.settings import Settings, sections

HIDDEN = "********"


def to_toml(settings: Settings) -> str:
    """All sections and settings, in the order they are documented."""
    lines: list[str] = []
    for name in sections():
        lines += [f"[{name}]", *_lines(getattr(settings, name)), ""]
    return "\n".join(lines)


def _lines(section: Any) -> list[str]:
    lines = []
    for item in fields(section):
        value = getattr(section, item.name)
        shown = hide(value) if item.metadata["secret"] else value
        lines.append(f"{item.name} = {to_value(shown)}")
    return lines


def hide(value: str) -> str:
    """A secret, hidden. Of an address only the password is one: the rest is what a person wants to check."""
    if "://" in value:
        return re.sub(r"://([^:/@]*):[^@]*@", rf"://\1:{HIDDEN}@", value)
    return HIDDEN if value else ""


def to_value(value: Any) -> str:
    """One value as TOML: JSON's text, numbers and lists are the same there."""
    if is_dataclass(value):
        inner = ", ".join(f"{item.name} = {to_value(getattr(value, item.name))}" for item in fields(value))
        return "{" + inner + "}"
    if isinstance(value, tuple):
        return "[" + ", ".join(map(to_value, value)) + "]"
    return json.dumps(value)
