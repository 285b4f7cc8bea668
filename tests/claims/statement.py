"""The conformance statement as data: what docs/conformance.md claims, read back from its own tables."""

import re
from functools import lru_cache
from pathlib import Path

PAGE = Path(__file__).parents[2] / "docs" / "conformance.md"


@lru_cache
def tables() -> dict[str, list[list[dict[str, str]]]]:
    """The tables below each heading; a row is column name -> text, without back quotes."""
    found: dict[str, list[list[dict[str, str]]]] = {}
    heading, head, in_table = "", [], False
    for line in PAGE.read_text(encoding="utf-8").splitlines():
        if line.startswith("#"):
            heading = line.lstrip("# ")
        if not line.startswith("|"):
            in_table = False
            continue
        cells = [cell.strip().replace("`", "") for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if not in_table:
            head, in_table = cells, True
            found.setdefault(heading, []).append([])
        elif set(cells) != {"---"}:
            found[heading][-1].append(dict(zip(head, cells, strict=True)))
    return found


def rows(heading: str, column: str) -> list[dict[str, str]]:
    """The rows below a heading, of its table that has this column. There must be some."""
    (name,) = (name for name in tables() if name.endswith(heading))
    (table,) = (table for table in tables()[name] if table and column in table[0])
    return table
