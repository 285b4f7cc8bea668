"""The route gate: every route needs a principal but the literal set of public paths, and no foreign page gets in."""

import asyncio
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx
import pytest
from starlette.routing import BaseRoute, Mount, Route

from config.settings import Database, Log, Settings, Storage
from pacs.auth.gate import PUBLIC_PATHS, Gate
from pacs.auth.reception import Reception
from pacs.portal.news import News
from pacs.services import build
from pacs.web import pages
from tests.conftest import Server


def walk(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Method and path of every route, path parameters filled in."""
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, prefix + route.path)
        elif isinstance(route, Route):
            path = re.sub(r"{[^}]*}", "1", prefix + route.path)
            for method in route.methods or {"GET", "POST", "PUT", "PATCH", "DELETE"}:
                yield method, path
        else:
            raise AssertionError(f"a kind of route that this test does not know: {route}")


def test_nothing_is_reached_without_a_principal(tmp_path: Path) -> None:
    settings = Settings(
        database=Database(url=f"sqlite:///{tmp_path}/index.sqlite"),
        storage=Storage(url=f"file:{tmp_path}/objects"),
        log=Log(audit_file=str(tmp_path / "audit.jsonl")),
    )
    services = build(settings)
    reception = Reception(services.database, settings, services.audit)
    app = pages(services, News(services.archive), reception)
    gate = Gate(app, identify=lambda _scope: None, host_names=None)
    found = set(walk(app.routes))
    assert len(found) > 40

    async def statuses() -> dict[tuple[str, str], int]:
        transport = httpx.ASGITransport(app=gate)
        async with httpx.AsyncClient(transport=transport, base_url="http://pacs") as client:
            return {(method, path): (await client.request(method, path)).status_code for method, path in sorted(found)}

    for (method, path), status in asyncio.run(statuses()).items():
        assert (status != 401) == (path in PUBLIC_PATHS), (method, path, status)
    services.close()


def test_public_paths_tell_nothing(server: Server) -> None:
    assert httpx.get(f"{server.web_url}/healthz").json() == {"status": "ok"}
    answers = {path: httpx.get(server.web_url + path) for path in PUBLIC_PATHS}
    assert all(answer.status_code in (200, 302) for answer in answers.values())
    assert answers["/api/session"].json() == {"sign_in": "none", "user": "local"}
    assert answers["/login"].headers["location"] == "/"


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("127.0.0.1", 200),
        ("127.0.0.1:8042", 200),
        ("localhost:1", 200),
        ("LOCALHOST", 200),
        ("pacs.localhost", 200),
        ("[::1]:8042", 200),
        ("evil.example", 421),
        ("127.0.0.1.evil.example", 421),
        ("localhost.evil.example:8042", 421),
        ("", 400),
    ],
)
def test_foreign_host_names_are_turned_away(server: Server, host: str, status: int) -> None:
    for path in ("/healthz", "/dicomweb/studies?limit=1", "/server.json"):
        assert httpx.get(server.web_url + path, headers={"Host": host}).status_code == status


@pytest.mark.parametrize(("site", "refused"), [("cross-site", True), ("same-site", True), ("same-origin", False)])
def test_other_sites_change_nothing(server: Server, site: str, refused: bool) -> None:
    answer = httpx.post(f"{server.dicomweb_url}/studies", content=b"", headers={"Sec-Fetch-Site": site})
    assert (answer.status_code == 403) == refused
    assert httpx.get(f"{server.web_url}/", headers={"Sec-Fetch-Site": site}).status_code == 200


@pytest.mark.parametrize(
    "path", ["/", "/icon.svg", "/healthz", "/dicomweb/studies?limit=1", "/dicomweb/nothing", "/no"]
)
def test_every_answer_carries_the_security_headers(server: Server, path: str) -> None:
    headers = httpx.get(server.web_url + path).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers
    assert "access-control-allow-origin" not in headers


def test_pages_load_nothing_from_elsewhere(server: Server) -> None:
    policy = dict(
        item.strip().partition(" ")[::2]
        for item in httpx.get(f"{server.web_url}/icon.svg").headers["content-security-policy"].split(";")
    )
    assert policy["default-src"] == "'self'" and policy["object-src"] == policy["base-uri"] == "'none'"
    assert "script-src" not in policy and "unsafe-eval" not in str(policy)
