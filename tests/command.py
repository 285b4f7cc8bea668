"""The command line as a person uses it."""

import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from tests.conftest import environment


def run(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    """Run `pacs` in a folder and return what it said."""
    return subprocess.run(
        [sys.executable, "-m", "pacs", *arguments],
        cwd=folder,
        env=environment() | variables,
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> None:
    """Wait for something that other processes do; the bound only ends a run that hangs."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)
