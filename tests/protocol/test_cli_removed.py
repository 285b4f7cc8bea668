"""`pacs removed` and the worker: listed, restored, purged in time, also when the worker is killed meanwhile."""

import os
import signal
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.command import run, wait_until
from tests.conftest import Server, StartServer
from tests.protocol.test_delete import FILE, a_study, removals, store
from tests.protocol.web import path_of, stow, write

SECOND_MINUTES, SECOND_DAYS = 1 / 60, 1 / 86400


def pacs(server: Server, *arguments: str) -> tuple[int, str]:
    done = run(server.folder, "-c", "pacs.toml", *arguments)
    return done.returncode, done.stdout + done.stderr


def objects(server: Server) -> list[Path]:
    return sorted(path for path in (server.folder / "data" / "objects").rglob("*.*") if path.is_file())


@pytest.fixture
def client_of() -> Iterator[object]:
    made: list[httpx.Client] = []

    def make(server: Server) -> httpx.Client:
        made.append(httpx.Client(base_url=server.dicomweb_url, timeout=60))
        return made[-1]

    yield make
    for one in made:
        one.close()


def test_listed_shown_restored_and_purged_by_command(start_server: StartServer, client_of: object) -> None:
    server = start_server()
    client = client_of(server)  # type: ignore[operator]
    images = a_study(1, 3)
    study = images[0].StudyInstanceUID
    store(client, *images)
    assert client.delete(f"/studies/{study}").status_code == 204
    _, listed = pacs(server, "removed", "list", "--study", study)
    number, line = listed.splitlines()[1].split()[0], listed.splitlines()[1]
    assert images[0].PatientID in line and "deleted" in line and line.split()[3] == "3"
    assert {text.split()[-1] for text in pacs(server, "removed", "show", number)[1].splitlines()} == {
        ds.SOPInstanceUID for ds in images
    }
    assert pacs(server, "verify") == (0, "3 checked, 0 damaged\n"), "what can be restored is verified too"
    one = images[1]
    assert pacs(server, "removed", "restore", number, "--instance", one.SOPInstanceUID) == (
        0,
        "1 instances are back.\n",
    )
    assert client.get(path_of(one), headers=FILE).status_code == 200
    assert client.get(path_of(images[0]), headers=FILE).status_code == 404
    code, said = pacs(server, "removed", "restore", number, "--instance", one.SOPInstanceUID)
    assert code == 1 and f"see `pacs removed show {number}`" in said
    code, said = pacs(server, "removed", "purge", "--yes", number)
    assert code == 0 and said.startswith("2 instances are removed for good.\n")
    assert len(objects(server)) == 1
    assert pacs(server, "removed", "show", number) == (1, "pacs: There is no such removal\n")


def test_a_rebuild_after_the_index_is_lost(start_server: StartServer, client_of: object) -> None:
    server = start_server()
    client = client_of(server)  # type: ignore[operator]
    images = a_study(2, 2)
    store(client, *images)
    assert client.delete(path_of(images[0])).status_code == 204
    assert client.post(f"{path_of(images[1])}/reject/113037^DCM").json() == {"count": 1}
    server.stop()
    for path in (server.folder / "data").glob("index.sqlite*"):
        path.unlink()
    assert pacs(server, "reindex")[0] == 0
    server.restart()
    for ds, status in zip(images, (404, 404, 200, 200), strict=True):
        assert client.get(path_of(ds), headers=FILE).status_code == status
    assert [entry["reason"] for entry in removals(server, images[0].StudyInstanceUID)] == ["113037^DCM", "deleted"]
    assert stow(client, write(images[1])).status_code == 409


def test_the_worker_purges_in_time_and_survives_being_killed(start_server: StartServer, client_of: object) -> None:
    server = start_server(archive={"undo_days": 2 * SECOND_DAYS}, worker={"purge_minutes": 0.2 * SECOND_MINUTES})
    client = client_of(server)  # type: ignore[operator]
    going, staying = a_study(1, 40), a_study(1, 1)
    store(client, *going)
    store(client, *staying)
    assert client.delete(f"/studies/{going[0].StudyInstanceUID}").status_code == 204
    for _ in range(3):
        before = len(objects(server))
        wait_until(lambda before=before: len(objects(server)) < before or len(objects(server)) == 1)
        # The worker is the last that was started, also after it was replaced.
        os.kill(server.children()[-1], signal.SIGKILL)
    wait_until(lambda: len(objects(server)) == 1)
    wait_until(lambda: _rows(server) == 0)
    assert removals(server, going[0].StudyInstanceUID) == []
    assert client.get(path_of(staying[0]), headers=FILE).status_code == 200


def _rows(server: Server) -> int:
    with sqlite3.connect(server.folder / "data" / "index.sqlite") as connection:
        (removals_left,) = connection.execute("SELECT count(*) FROM removals").fetchone()
        (rows_left,) = connection.execute("SELECT count(*) FROM removed").fetchone()
    return int(removals_left) + int(rows_left)
