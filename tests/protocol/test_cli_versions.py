"""`pacs versions`: what was set aside is listed and comes back, from the command line, beside a running server."""

from pathlib import Path

import httpx
import pydicom
import pytest

from tests.command import run
from tests.conftest import StartServer

SAMPLE = Path(__file__).parents[1] / "data"


def _versions(folder: Path) -> list[Path]:
    """The same SOP Instance UID three times: other content, then also another study."""
    ds = pydicom.dcmread(sorted(SAMPLE.rglob("*.dcm"))[0])
    paths = []
    for number, study in enumerate((str(ds.StudyInstanceUID), str(ds.StudyInstanceUID), "1.2.3.99"), start=1):
        ds.StudyID, ds.StudyInstanceUID = f"number {number}", study
        paths.append(folder / f"{number}.dcm")
        ds.save_as(paths[-1])
    return paths


def _lines(folder: Path, *arguments: str) -> list[list[str]]:
    result = run(folder, "-c", "pacs.toml", "versions", "list", *arguments)
    assert result.returncode == 0, result.stderr
    return [line.split() for line in result.stdout.splitlines()[1:]]


@pytest.mark.parametrize(("policy", "first_current"), [("replace", 3), ("keep-both", 1)])
def test_a_version_that_was_set_aside_is_listed_and_restored(
    start_server: StartServer, tmp_path: Path, policy: str, first_current: int
) -> None:
    server = start_server(archive={"duplicates": policy})
    folder = server.folder
    assert run(folder, "-c", "pacs.toml", "versions", "list").stdout == "Nothing is set aside.\n"
    files = _versions(tmp_path)
    uid = str(pydicom.dcmread(files[0]).SOPInstanceUID)
    sent = run(folder, "-c", "pacs.toml", "send", f"127.0.0.1:{server.dimse_port}", "PACS", *map(str, files))
    assert sent.returncode == 0, sent.stderr
    assert _current(server.dicomweb_url, uid) == f"number {first_current}"
    listed = _lines(folder)
    assert len(listed) == 3 and [line[0] for line in listed].count("*") == 1
    assert all(line[-1] == uid for line in listed)
    assert _lines(folder, uid) == listed
    wanted = next(line[0] for line in listed if line[0] != "*")
    restored = run(folder, "-c", "pacs.toml", "versions", "restore", uid, wanted)
    assert restored.returncode == 0, restored.stderr
    assert _current(server.dicomweb_url, uid) == f"number {1 if policy == 'replace' else 2}"
    assert len(_lines(folder)) == 3


def test_an_unknown_version_is_named(start_server: StartServer) -> None:
    server = start_server()
    result = run(server.folder, "-c", "pacs.toml", "versions", "restore", "1.2.3", "7")
    assert result.returncode == 1
    assert "Version 7 of 1.2.3 is not set aside" in result.stderr


def _current(root: str, uid: str) -> str:
    answer = httpx.get(f"{root}/instances", params={"SOPInstanceUID": uid, "includefield": "StudyID"}).json()
    assert len(answer) == 1
    return str(answer[0]["00200010"]["Value"][0])
