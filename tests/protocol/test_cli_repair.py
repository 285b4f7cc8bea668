"""`pacs doctor`, `verify`, `reindex`, `db upgrade`: what a person runs when something is wrong."""

import os
import socket
from pathlib import Path

import pytest

from tests.command import run
from tests.conftest import Server, StartServer

DEMO = Path(__file__).parents[2] / "pacs" / "demo" / "studies.zip"


def test_doctor_is_content_with_a_new_archive(tmp_path: Path) -> None:
    run(tmp_path, "db", "upgrade")
    result = run(tmp_path, "doctor", PACS_WEB_PORT="0")
    assert result.returncode == 0, result.stdout
    assert "FAILURE" not in result.stdout
    for part in ("index", "object store", "audit trail", "Codecs", "free for"):
        assert part in result.stdout


def test_doctor_sees_a_running_server(start_server: StartServer) -> None:
    server = start_server()
    result = run(server.folder, "--config", "pacs.toml", "doctor")
    assert result.returncode == 0, result.stdout
    assert f"The web server answers on 127.0.0.1:{server.web_port}." in result.stdout
    assert f"PACS@127.0.0.1:{server.dimse_port} accepts associations." in result.stdout


def test_doctor_names_what_is_wrong_and_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("")
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        port = other.getsockname()[1]
        other.listen()
        result = run(
            tmp_path,
            "doctor",
            PACS_WEB_PORT=str(port),
            PACS_STORAGE_URL="file:blocked/objects",
            PACS_DATABASE_URL="sqlite:///blocked/index.sqlite",
        )
    assert result.returncode == 1
    lines = result.stdout.splitlines()
    failures = [line for line in lines if line.startswith("FAILURE")]
    assert len(failures) == 3
    assert all(lines[lines.index(line) + 1].strip().startswith("->") for line in failures)


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with an archive of the demo studies."""
    folder = tmp_path_factory.mktemp("filled")
    assert run(folder, "import", str(DEMO)).returncode == 0
    return folder


def objects(folder: Path) -> list[Path]:
    return sorted(path for path in (folder / "data" / "objects").rglob("*") if path.is_file())


def test_verify_finds_a_flipped_bit_and_a_lost_object(filled: Path) -> None:
    sound = run(filled, "verify")
    assert (sound.returncode, sound.stdout) == (0, "22 checked, 0 damaged\n")
    first, second = objects(filled)[:2]
    content = bytearray(first.read_bytes())
    content[-1] ^= 1
    os.chmod(first, 0o600)
    first.write_bytes(content)
    away = second.rename(second.with_name("elsewhere"))
    damaged = run(filled, "verify")
    assert (damaged.returncode, damaged.stdout) == (1, "22 checked, 2 damaged\n")
    assert "changed" in damaged.stderr and "missing" in damaged.stderr
    content[-1] ^= 1
    first.write_bytes(content)
    away.rename(second)
    assert run(filled, "verify").returncode == 0


def test_the_index_is_rebuilt_from_the_objects_alone(filled: Path) -> None:
    for file in (filled / "data").glob("index.sqlite*"):
        file.unlink()
    result = run(filled, "reindex")
    assert (result.returncode, result.stdout) == (0, "22 added, 0 not indexed\n")
    assert run(filled, "reindex").stdout == "0 added, 0 not indexed\n"
    assert run(filled, "verify").stdout == "22 checked, 0 damaged\n"


@pytest.mark.parametrize("words", [("users", "list"), ("verify",)])
def test_an_index_that_was_never_set_up_is_named_in_one_line(tmp_path: Path, words: tuple[str, ...]) -> None:
    done = run(tmp_path, *words)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == "pacs: The index has not been set up yet: `pacs db upgrade` does it.\n"


def test_upgrade_may_be_run_again(tmp_path: Path) -> None:
    for _ in range(2):
        result = run(tmp_path, "db", "upgrade")
        assert (result.returncode, result.stdout) == (0, "The database is up to date.\n")


def test_the_trail_of_a_server_is_private(server: Server) -> None:
    assert (server.folder / "data").stat().st_mode & 0o077 == 0
    trail = server.folder / "data" / "audit.jsonl"
    assert not trail.exists() or trail.stat().st_mode & 0o077 == 0
