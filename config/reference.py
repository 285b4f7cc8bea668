"""docs/settings.md, written from `config.settings`: `python -m config.reference [--check] FILE`."""

import sys
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any, Literal, get_args, get_origin, get_type_hints

from config.settings import Coercion, Peer, RejectionRule, RenditionRule, Settings, Title, sections
from config.write import to_value

HEAD = """# Settings

Generated from `config/settings.py` by `make docs`; do not edit.

Settings come from one TOML file (`pacs --config FILE`, the variable `PACS_CONFIG`, or `pacs.toml` in the working
folder) and from variables named `PACS_SECTION_FIELD`, which win. Lists in variables are separated by commas, lists of
tables are JSON there. A name that does not exist is an error that tells the nearest one that does; `pacs config check`
looks for errors, `pacs config show` prints what is in force without secrets. Relative paths start at the working
folder.
"""


def reference() -> str:
    """The whole document."""
    kinds = get_type_hints(Settings)
    parts = [_section(f"[{name}]", f"PACS_{name.upper()}_", kinds[name]) for name in sections()]
    tables = {
        "[[dimse.peers]]": Peer,
        "[[dimse.titles]]": Title,
        "[[archive.rejections]]": RejectionRule,
        "[[archive.coercions]]": Coercion,
        "[[renditions.rules]]": RenditionRule,
    }
    return "\n".join([HEAD, *parts, *(_section(name, "", kind) for name, kind in tables.items())])


def _section(title: str, prefix: str, kind: Any) -> str:
    lines = [f"## {title}", "", kind.__doc__.splitlines()[0], ""]
    lines += ["| setting | type | default | meaning |", "| --- | --- | --- | --- |"]
    hints = get_type_hints(kind)
    for item in fields(kind):
        default = f"`{to_value(item.default)}`"
        meaning = item.metadata["doc"] + (" Secret." if item.metadata["secret"] else "")
        variable = f"<br>`{prefix}{item.name.upper()}`" if prefix else ""
        bounds = _bounds(item.metadata["at_least"], item.metadata["at_most"])
        lines.append(f"| `{item.name}`{variable} | {_type(hints[item.name])}{bounds} | {default} | {meaning} |")
    return "\n".join([*lines, ""])


def _type(hint: Any) -> str:
    if get_origin(hint) is Literal:
        return " or ".join(f"`{choice}`" for choice in get_args(hint))
    if get_origin(hint) is tuple:
        return "list of tables" if is_dataclass(get_args(hint)[0]) else "list of text"
    return {bool: "true or false", int: "whole number", float: "number", str: "text"}[hint]


def _bounds(low: float | None, high: float | None) -> str:
    if low is None:
        return ""
    return f", {low:g} to {high:g}" if high is not None else f", from {low:g}"


def keep_fresh(text: str, arguments: list[str]) -> int:
    """Write a generated document to the file named last, or with `--check` say whether it is stale; the exit status."""
    path = Path(arguments[-1])
    if "--check" not in arguments:
        path.write_text(text, encoding="utf-8")
        return 0
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stderr.write(f"{path} is stale: run `make docs`\n")
    return 1


if __name__ == "__main__":
    sys.exit(keep_fresh(reference(), sys.argv[1:]))
