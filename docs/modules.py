"""docs/modules.md, written from the first sentence of every module: `python docs/modules.py [--check]`."""

import ast
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
TARGET = ROOT / "docs" / "modules.md"
PACKAGES = ("pacs", "dicomweb", "dimse", "reporting", "storage", "index", "config")
HEAD = """# Every module, in a line

Generated from the modules' own first lines by `make docs`; do not edit. What may import what stands in
[architecture.md](architecture.md).
"""


def first_line(path: Path) -> str:
    """The first line of a module's docstring."""
    return (ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or "").split("\n")[0]


def table(package: str) -> str:
    """The modules of one package, those of its sub-packages after them."""
    paths = sorted((ROOT / package).rglob("*.py"), key=lambda path: (len(path.parts), path))
    rows = [
        f"| `{path.relative_to(ROOT)}` | {first_line(path)} |"
        for path in paths
        if path.name not in ("__init__.py", "__main__.py") and "versions" not in path.parts
    ]
    head = ["", "| module | |", "| --- | --- |"] if rows else []
    return "\n".join([f"## {package}", "", first_line(ROOT / package / "__init__.py"), *head, *rows, ""])


def main() -> int:
    """Write the document, or say that it is stale."""
    text = "\n".join([HEAD, *map(table, PACKAGES)])
    if "--check" not in sys.argv:
        TARGET.write_text(text, encoding="utf-8")
    elif not TARGET.exists() or TARGET.read_text(encoding="utf-8") != text:
        sys.stderr.write(f"{TARGET.relative_to(ROOT)} is stale: run `make docs`\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
