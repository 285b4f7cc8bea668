"""Rules of the house that a machine can check: imports, sizes, guards."""

import ast
import inspect
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from index.access import Permission
from storage.archive import Archive

ROOT = Path(__file__).parents[2]
PACKAGES = ("pacs", "dicomweb", "dimse", "reporting", "storage", "index", "config")
MODULES = sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py"))

MOST_LINES = 400
MOST_FUNCTION_LINES = 50
MOST_PARAMETERS = 6

EDGES = {
    "dicomweb/edge.py": "HTTP: answered with 500",
    "dicomweb/store_outcomes.py": "one of many instances: the others' outcomes still go out",
    "dimse/server.py": "DIMSE: the association is aborted",
    "dimse/dispatch.py": "DIMSE: answered with C000",
    "index/commits.py": "the writer's thread: handed to those who wait",
    "index/database.py": "closing what is broken already",
    "pacs/supervisor.py": "a child process: its exit status tells",
    "pacs/worker.py": "a job: tried again the next time",
    "storage/ingest.py": "an object on its way in: nothing may stay behind",
}
"""Where anything may be caught, and what becomes of it."""


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)):
            yield node


def test_packages_import_only_what_they_may() -> None:
    lint = Path(sys.executable).with_name("lint-imports")
    result = subprocess.run([lint], cwd=ROOT, capture_output=True, text=True)
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("path", MODULES, ids=named)
def test_modules_and_functions_stay_small(path: Path) -> None:
    if "versions" in path.parts:
        return  # A migration lists its tables from top to bottom.
    text = path.read_text()
    assert len(text.splitlines()) <= MOST_LINES
    for function in functions(ast.parse(text)):
        lines = (function.end_lineno or 0) - function.lineno + 1
        assert lines <= MOST_FUNCTION_LINES, f"{function.name} has {lines} lines"
        arguments = function.args
        names = [a.arg for a in (*arguments.posonlyargs, *arguments.args, *arguments.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        assert count <= MOST_PARAMETERS, f"{function.name} has {count} parameters"


@pytest.mark.parametrize("path", [path for path in MODULES if named(path) not in EDGES], ids=named)
def test_only_edges_catch_everything(path: Path) -> None:
    """Elsewhere whoever catches everything lets it go on: a clean-up, or a hand-over to another thread."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ExceptHandler) and isinstance(node.type, ast.Name) and node.type.id == "Exception":
            raise AssertionError(f"{named(path)}:{node.lineno} catches Exception")


def test_every_door_is_guarded() -> None:
    methods = [(name, method) for name, method in inspect.getmembers(Archive, inspect.isfunction) if name[0] != "_"]
    assert len(methods) >= 10
    for name, method in methods:
        assert isinstance(getattr(method, "permission", None), Permission), name
        _, principal, *_ = inspect.signature(method.__wrapped__).parameters.values()
        assert (principal.name, principal.kind) == ("principal", inspect.Parameter.POSITIONAL_ONLY), name
