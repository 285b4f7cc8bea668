"""Accounts and sessions for tests: made as people make them, lost as an administrator or time ends them."""

import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
from sqlalchemy import create_engine, text

from tests.conftest import Server, environment

PASSWORD = "correct horse battery"


def users(server: Server, *arguments: str, password: str = "") -> subprocess.CompletedProcess[str]:
    """`pacs users` with a password on standard input."""
    return subprocess.run(
        [sys.executable, "-m", "pacs", "--config", "pacs.toml", "users", *arguments],
        cwd=server.folder,
        env=environment(),
        input=password + "\n",
        capture_output=True,
        text=True,
        timeout=120,
    )


def add_user(server: Server, name: str, *options: str) -> None:
    """An account with `PASSWORD`."""
    done = users(server, "add", name, *options, password=PASSWORD)
    assert done.returncode == 0, done.stderr


@contextmanager
def visitor(server: Server, **headers: str) -> Iterator[httpx.Client]:
    """A client that behaves like a page of ours."""
    with httpx.Client(base_url=server.web_url, headers={"Sec-Fetch-Site": "same-origin", **headers}) as client:
        yield client


def sign_in(client: httpx.Client, name: str, password: str = PASSWORD) -> httpx.Response:
    """What the form does."""
    return client.post("/api/session", json={"name": name, "password": password})


def sql(server: Server, statement: str, **values: Any) -> list[Any]:
    """A statement in the server's own index."""
    url = server.settings.get("database", {}).get("url") or f"sqlite:///{server.folder}/data/index.sqlite"
    engine = create_engine(url)
    with engine.begin() as connection:
        result = connection.execute(text(statement), values)
        rows = list(result) if result.returns_rows else []
    engine.dispose()
    return rows


def lose_sessions(server: Server) -> None:
    """Every session ends at once, as when all passwords are changed."""
    sql(server, "DELETE FROM sessions")
