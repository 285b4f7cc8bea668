"""`pacs send` to DCMTK's storescp: what arrives is what was sent."""

import hashlib
import socket
import subprocess
import time
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pydicom
import pytest

from tests.command import run
from tests.conftest import free_port

DEMO = Path(__file__).parents[2] / "pacs" / "demo" / "studies.zip"


@dataclass
class Receiver:
    """A running storescp."""

    port: int
    folder: Path

    def digests(self) -> dict[str, str]:
        """SHA-256 of each received data set by SOP Instance UID."""
        return dict(digest(file) for file in self.folder.iterdir())


def digest(file: Path) -> tuple[str, str]:
    """SOP Instance UID and SHA-256 of the bytes after the meta group."""
    with file.open("rb") as stream:
        meta = pydicom.filereader.read_file_meta_info(file)
        stream.seek(132)
        pydicom.filereader._read_file_meta_info(stream)
        return str(meta.MediaStorageSOPInstanceUID), hashlib.sha256(stream.read()).hexdigest()


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[Receiver]:
    folder = tmp_path / "received"
    folder.mkdir()
    port = free_port()
    process = subprocess.Popen(["storescp", "-aet", "SINK", "+B", "+xa", "-od", str(folder), str(port)])
    while True:
        with socket.socket() as sock:
            if sock.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield Receiver(port, folder)
    process.terminate()
    process.wait()


@pytest.fixture
def head(tmp_path: Path) -> Path:
    """The eight slices of the demo's head."""
    with zipfile.ZipFile(DEMO) as archive:
        for entry in archive.namelist():
            if entry.startswith("head/"):
                archive.extract(entry, tmp_path)
    return tmp_path / "head"


def test_files(tmp_path: Path, receiver: Receiver, head: Path) -> None:
    result = run(tmp_path, "send", f"127.0.0.1:{receiver.port}", "SINK", str(head))
    assert (result.returncode, result.stdout) == (0, "8 sent, 0 failed\n")
    assert receiver.digests() == dict(digest(file) for file in head.iterdir())


def test_a_stored_study(tmp_path: Path, receiver: Receiver, head: Path) -> None:
    run(tmp_path, "import", str(head))
    study = str(pydicom.dcmread(head / "01.dcm", stop_before_pixels=True).StudyInstanceUID)
    result = run(tmp_path, "send", f"127.0.0.1:{receiver.port}", "SINK", "--study", study)
    assert (result.returncode, result.stdout) == (0, "8 sent, 0 failed\n")
    assert receiver.digests() == dict(digest(file) for file in head.iterdir())


def test_what_cannot_be_sent_is_named(tmp_path: Path, receiver: Receiver, head: Path) -> None:
    (head / "notes.txt").write_text("not an image")
    result = run(tmp_path, "send", f"127.0.0.1:{receiver.port}", "SINK", str(head))
    assert (result.returncode, result.stdout) == (1, "8 sent, 1 failed\n")
    assert "notes.txt" in result.stderr


def test_nobody_there(tmp_path: Path, head: Path) -> None:
    result = run(tmp_path, "send", f"127.0.0.1:{free_port()}", "SINK", str(head))
    assert result.returncode == 1
    assert "cannot connect" in result.stderr and "Traceback" not in result.stderr


def test_an_unknown_study(tmp_path: Path, receiver: Receiver) -> None:
    run(tmp_path, "db", "upgrade")
    result = run(tmp_path, "send", f"127.0.0.1:{receiver.port}", "SINK", "--study", "1.2.3")
    assert result.returncode == 1
    assert "there is no such study" in result.stderr


@pytest.mark.parametrize("arguments", [["host", "SINK", "x"], ["127.0.0.1:port", "SINK", "."], ["127.0.0.1:1", "SINK"]])
def test_bad_arguments(tmp_path: Path, arguments: list[str]) -> None:
    assert run(tmp_path, "send", *arguments).returncode == 2
