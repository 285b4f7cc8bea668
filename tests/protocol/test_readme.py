"""The README's five minutes, done as they are written."""

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import StartServer, environment
from tests.protocol.test_cli_import import DEMO
from tests.samples import sample

ROOT = Path(__file__).parents[2]
HEAD_STUDY = "1.2.826.0.1.3680043.9.4245.1760717064491086528325869788156915668"
TOOLS = ("echoscu", "storescu", "findscu", "getscu", "curl", ".venv/bin/pacs import")


def commands() -> list[str]:
    """The indented commands of the README, continued lines joined."""
    text = (ROOT / "README.md").read_text().replace("\\\n", " ")
    return [line.strip() for line in re.findall(r"^ {4,}(\S.*)$", text, re.M) if line.strip().startswith(TOOLS)]


def test_every_command_of_the_readme_works(start_server: StartServer) -> None:
    server = start_server()
    images = server.folder / "folder" / "with" / "images"
    images.mkdir(parents=True)
    shutil.copy(next(sample("ct_head_phantom_54").iterdir()), images)
    shutil.copy(DEMO, server.folder / "study.zip")
    done = commands()
    assert len(done) == 7
    if shutil.which("curl") is None:
        pytest.fail("curl is needed: apt-get install curl")
    for command in done:
        line = (
            command.replace("127.0.0.1 11112", f"127.0.0.1 {server.dimse_port}")
            .replace("127.0.0.1:8042", f"127.0.0.1:{server.web_port}")
            .replace("curl ", "curl --fail --silent ")
            .replace(" /media/cdrom/DICOMDIR", "")
            .replace(".venv/bin/pacs", f"{sys.executable} -m pacs --config pacs.toml")
        )
        line = re.sub(r"\bUID\b", HEAD_STUDY, line)
        result = subprocess.run(
            ["bash", "-c", line], cwd=server.folder, env=environment(), capture_output=True, text=True, timeout=60
        )
        assert result.returncode == 0, f"{line}\n{result.stdout}{result.stderr}"
        if command.startswith(("findscu", "curl 'http")):
            assert "HEAD" in result.stdout + result.stderr
    assert (server.folder / "study.multipart").stat().st_size > 4_000_000
    assert len(list(server.folder.glob("CT.*"))) == 8
