"""Read the settings: one TOML file, then `PACS_SECTION_FIELD` variables, which win.

Names, types, bounds and defaults come from `config.settings` alone. Whatever is wrong is refused with
a message that names the place and, for a name nobody knows, the nearest one that exists: a typing
error must never silently leave a default in force.
"""

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from config.checks import check
from config.settings import Settings, SettingsError, sections

PREFIX = "PACS_"
FILE_VARIABLE = "PACS_CONFIG"
DEFAULT_FILE = Path("pacs.toml")

_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


@dataclass(frozen=True, slots=True)
class Given:
    """A value somebody gave, and where."""

    value: Any
    where: str


def load(path: Path | None, environment: Mapping[str, str]) -> Settings:
    """The settings of a file (or of none) overridden by the environment. Raises SettingsError."""
    given = _from_file(path) if path else {}
    for name, value in _from_environment(environment).items():
        given[name] = value
    types = {name: _field_types(kind) for name, kind in get_type_hints(Settings).items()}
    values: dict[str, dict[str, Any]] = {name: {} for name in types}
    for (section, key), item in given.items():
        values[section][key] = _convert(item.value, types[section][key], item.where)
    kinds = get_type_hints(Settings)
    settings = Settings(**{name: kinds[name](**values[name]) for name in kinds})
    check(settings)
    return settings


def find_file(environment: Mapping[str, str]) -> Path | None:
    """The file named by `PACS_CONFIG`, else `pacs.toml` in the working folder when there is one."""
    named = environment.get(FILE_VARIABLE)
    if named:
        return Path(named)
    return DEFAULT_FILE if DEFAULT_FILE.is_file() else None


def _field_types(kind: Any) -> dict[str, Any]:
    return get_type_hints(kind)


def _known() -> dict[str, tuple[str, ...]]:
    kinds = get_type_hints(Settings)
    return {name: tuple(f.name for f in fields(kinds[name])) for name in sections()}


def _from_file(path: Path) -> dict[tuple[str, str], Given]:
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise SettingsError(f"{path}: cannot be read: {error}") from error
    try:
        document = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise SettingsError(f"{path}: is not valid TOML: {error}") from error
    known = _known()
    given: dict[tuple[str, str], Given] = {}
    for section, table in document.items():
        where = f"{path}, line {_line_of(text, section, None)}"
        if section not in known:
            raise SettingsError(f"{where}: there is no section [{section}]{_nearest(section, known)}")
        if not isinstance(table, dict):
            raise SettingsError(f"{where}: {section} is a section: write [{section}] and its settings below")
        for key, value in table.items():
            where = f"{path}, line {_line_of(text, section, key)}"
            if key not in known[section]:
                raise SettingsError(
                    f"{where}: there is no setting {section}.{key}{_nearest_setting(section, key, known)}"
                )
            given[section, key] = Given(value, f"{where}: {section}.{key}")
    return given


def _from_environment(environment: Mapping[str, str]) -> dict[tuple[str, str], Given]:
    names = {f"{PREFIX}{s}_{k}".upper(): (s, k) for s, keys in _known().items() for k in keys}
    given: dict[tuple[str, str], Given] = {}
    for name, value in environment.items():
        if not name.startswith(PREFIX) or name == FILE_VARIABLE:
            continue
        if name not in names:
            raise SettingsError(f"environment: there is no setting {name}{_nearest(name, names)}")
        given[names[name]] = Given(value, f"environment: {name}")
    return given


def _nearest(name: str, known: Iterable[str]) -> str:
    best = difflib.get_close_matches(name, list(known), n=1, cutoff=0.5)
    return f"; did you mean {best[0]}?" if best else f"; known: {', '.join(sorted(known))}"


def _nearest_setting(section: str, key: str, known: Mapping[str, tuple[str, ...]]) -> str:
    """The nearest name in the section, unless the very name exists in another one."""
    elsewhere = [f"{name}.{key}" for name, keys in known.items() if key in keys]
    if elsewhere and not difflib.get_close_matches(key, known[section], n=1, cutoff=0.8):
        return f"; did you mean {' or '.join(elsewhere)}?"
    best = difflib.get_close_matches(key, known[section], n=1, cutoff=0.4)
    return f"; did you mean {section}.{best[0]}?" if best else f"; [{section}] has: {', '.join(known[section])}"


def _line_of(text: str, section: str, key: str | None) -> int:
    """The line on which a section or key stands: tomllib tells no positions."""
    current = ""
    for number, line in enumerate(text.splitlines(), 1):
        head = re.match(r"\s*\[\[?\s*([\w.\"-]+)\s*\]\]?", line)
        if head:
            current, _, inner = head[1].partition(".")
            if current == section and (key is None or inner == key):
                return number
            continue
        name, inside = (key, current == section) if key else (section, True)
        if inside and re.match(rf"\s*\"?{re.escape(name)}\"?\s*[=.]", line):
            return number
    return 1


def _convert(value: Any, kind: Any, where: str) -> Any:
    """`value` as `kind`; text is read as what it must become, because variables are always text."""
    if get_origin(kind) is Literal:
        return _choice(value, get_args(kind), where)
    if get_origin(kind) is tuple:
        return _tuple(value, get_args(kind)[0], where)
    if kind is bool:
        return _boolean(value, where)
    if kind in (int, float):
        return _number(value, kind, where)
    if not isinstance(value, str):
        raise SettingsError(f"{where}: must be text in quotes, not {value!r}")
    return value


def _choice(value: Any, choices: tuple[Any, ...], where: str) -> Any:
    if value in choices:
        return value
    raise SettingsError(f"{where}: must be one of {', '.join(map(str, choices))}, not {value!r}")


def _boolean(value: Any, where: str) -> bool:
    if isinstance(value, bool):
        return value
    if isinstance(value, str) and value.lower() in _TRUE | _FALSE:
        return value.lower() in _TRUE
    raise SettingsError(f"{where}: must be true or false, not {value!r}")


def _number(value: Any, kind: type[int] | type[float], where: str) -> int | float:
    whole = kind is int
    if not isinstance(value, bool) and isinstance(value, (int, str) if whole else (int, float, str)):
        try:
            return kind(value)
        except ValueError:
            pass
    raise SettingsError(f"{where}: must be {'a whole number' if whole else 'a number'}, not {value!r}")


def _tuple(value: Any, kind: Any, where: str) -> tuple[Any, ...]:
    if is_dataclass(kind):
        return _tables(value, kind, where)
    items = [item.strip() for item in value.split(",") if item.strip()] if isinstance(value, str) else value
    if not isinstance(items, list):
        raise SettingsError(f"{where}: must be a list, not {value!r}")
    return tuple(_convert(item, kind, where) for item in items)


def _tables(value: Any, kind: Any, where: str) -> tuple[Any, ...]:
    """A list of tables (`[[dimse.peers]]`); in a variable it is written as JSON."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError as error:
            raise SettingsError(f"{where}: must be a JSON list of tables: {error}") from None
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise SettingsError(f"{where}: must be a list of tables")
    types = _field_types(kind)
    made = []
    for number, item in enumerate(value, 1):
        for key in item:
            if key not in types:
                raise SettingsError(f"{where}[{number}]: there is no setting {key}{_nearest(key, types)}")
        made.append(kind(**{key: _convert(v, types[key], f"{where}[{number}].{key}") for key, v in item.items()}))
    return tuple(made)
