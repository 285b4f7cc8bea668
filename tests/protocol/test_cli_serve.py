"""`pacs serve`: starts, answers, replaces its children, ends, and does not listen where it must not."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from tests.command import run, wait_until
from tests.conftest import Server, StartServer, environment


def is_gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def test_answers_on_all_ports(server: Server) -> None:
    assert httpx.get(f"{server.web_url}/healthz").json() == {"status": "ok"}
    assert httpx.get(f"{server.web_url}/").text.startswith("<!doctype html>")
    echo = subprocess.run(["echoscu", "-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)], check=False)
    assert echo.returncode == 0


def test_every_killed_child_is_replaced(start_server: StartServer) -> None:
    server = start_server()
    before = server.children()
    assert len(before) == 3
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: len(server.children()) == 3 and not set(before) & set(server.children()))
    assert httpx.get(f"{server.web_url}/healthz").status_code == 200
    echo = subprocess.run(["echoscu", "-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)], check=False)
    assert echo.returncode == 0


def test_children_end_with_their_parent_and_the_next_start_gets_the_ports(start_server: StartServer) -> None:
    server = start_server()
    children = server.children()
    server.stop(signal.SIGKILL)
    server.restart()
    assert httpx.get(f"{server.web_url}/healthz").status_code == 200
    wait_until(lambda: all(is_gone(pid) for pid in children))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_ends_in_order(start_server: StartServer, number: signal.Signals) -> None:
    server = start_server()
    children = server.children()
    assert server.stop(number) == 0
    assert all(is_gone(pid) for pid in children)
    assert "Traceback" not in server.log()


def test_several_processes_share_the_ports(start_server: StartServer) -> None:
    server = start_server(web={"workers": 2}, dimse={"processes": 2})
    assert len(server.children()) == 5
    for _ in range(8):
        assert httpx.get(f"{server.web_url}/healthz").status_code == 200


@pytest.mark.parametrize(
    ("section", "setting", "advice"),
    [("WEB", "web.host", "access.unprotected"), ("DIMSE", "dimse.host", "[[dimse.peers]]")],
)
def test_refuses_to_listen_where_nobody_is_asked(tmp_path: Path, section: str, setting: str, advice: str) -> None:
    result = run(tmp_path, "serve", **{f"PACS_{section}_HOST": "0.0.0.0"})
    assert result.returncode == 2
    assert setting in result.stderr and advice in result.stderr
    assert len(result.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        result = run(tmp_path, "web", PACS_WEB_PORT=str(port))
    assert result.returncode == 2
    assert f"web.port: cannot listen on 127.0.0.1 port {port}: the port is in use" in result.stderr


def test_an_index_that_cannot_be_used_ends_the_start(tmp_path: Path) -> None:
    (tmp_path / "blocked").write_text("a file where a folder should be")
    result = run(tmp_path, "web", PACS_WEB_PORT="0", PACS_DATABASE_URL="sqlite:///blocked/index.sqlite")
    assert result.returncode == 1
    assert "the index or the object store cannot be used" in result.stderr


def test_demo_is_loaded_into_an_empty_archive_once(tmp_path: Path) -> None:
    folder = tmp_path / "demo"
    folder.mkdir()
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-m", "pacs", "serve", "--demo"],
            cwd=folder,
            env=environment() | {"PACS_WEB_PORT": "0", "PACS_DIMSE_PORT": "0"},
            stdout=subprocess.PIPE,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        assert "ready" in process.stdout.readline()
        process.terminate()
        process.stdout.close()
        assert process.wait(30) == 0
    assert len([line for line in (folder / "data" / "audit.jsonl").read_text().splitlines() if "import" in line]) == 2


@pytest.mark.parametrize(("method", "path", "status"), [("GET", "/nothing", 404), ("POST", "/", 405)])
def test_pages_refuse_in_the_shape_of_dicomweb(server: Server, method: str, path: str, status: int) -> None:
    answer = httpx.request(method, server.web_url + path)
    assert answer.status_code == status
    assert answer.json()["error"]["status"] == status
