"""The OpenAPI document of the whole server: every route is in it, and answers are what it says."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator
from starlette.routing import BaseRoute, Mount, Route

from config.settings import Access, Database, Log, Settings, Storage
from pacs import openapi
from pacs.auth.reception import Reception
from pacs.portal.news import News
from pacs.services import build
from pacs.web import pages
from tests.conftest import Server, StartServer
from tests.protocol.test_delete import a_study, store
from tests.protocol.web import write

PAGES = Path(__file__).parents[2] / "web" / "portal" / "openapi.json"


@pytest.fixture(scope="module")
def document(server: Server) -> dict[str, Any]:
    answer = httpx.get(f"{server.web_url}/api/openapi.json")
    assert answer.status_code == 200 and answer.headers["content-type"] == "application/json"
    return answer.json()


def walk(routes: Iterable[BaseRoute], prefix: str = "") -> Iterator[tuple[str, str | None]]:
    """Path and method of every route; without a method where the route takes several and chooses itself."""
    for route in routes:
        if isinstance(route, Mount):
            yield from walk(route.routes, prefix + route.path)
        elif isinstance(route, Route) and route.include_in_schema:
            path = re.sub(r":\w+}", "}", prefix + route.path)
            path = re.sub(r"^/ui/.*", "/ui/{path}", path)
            path = re.sub(r"^/sign-in/.*", "/sign-in/{name}", path)
            for method in sorted(route.methods or [None]):  # type: ignore[type-var]
                yield path, method


def routed(folder: Path, access: Access) -> set[tuple[str, str | None]]:
    settings = Settings(
        database=Database(url=f"sqlite:///{folder}/index.sqlite"),
        storage=Storage(url=f"file:{folder}/objects"),
        log=Log(audit_file=str(folder / "audit.jsonl")),
        access=access,
    )
    services = build(settings)
    is_required = access.sign_in == "required"
    reception = Reception(services.database, settings, services.audit) if is_required else None
    app = pages(services, News(services.archive), reception)
    found = set(walk(app.routes))
    services.close()
    return found


@pytest.mark.parametrize("sign_in", ["none", "required"])
def test_every_route_is_described(tmp_path: Path, sign_in: str) -> None:
    paths = openapi.document()["paths"]
    found = routed(tmp_path, Access(sign_in=sign_in))  # type: ignore[arg-type]
    # That the service describes itself needs no description of its own.
    ours = {(path, method) for path, method in found if path not in ("/dicomweb/", "/dicomweb/openapi.json")}
    for path, method in sorted(ours, key=str):
        assert path in paths, f"{path} is not described"
        # Starlette answers HEAD wherever it answers GET.
        assert method in (None, "HEAD") or method.lower() in paths[path], f"{method} {path} is not described"
    assert set(paths) == {path for path, _ in ours}, "what is described must be there"


def test_the_document_is_valid(document: dict[str, Any]) -> None:
    assert list(OpenAPIV31SpecValidator(document).iter_errors()) == []
    methods = ("get", "put", "post", "delete", "options", "head", "patch")
    names = [item[method]["operationId"] for item in document["paths"].values() for method in methods if method in item]
    assert len(names) == len(set(names)) > 60


def test_the_copy_that_the_pages_are_made_with_is_fresh() -> None:
    assert openapi.main(["--check", str(PAGES)]) == 0


class Asker:
    """Asks, and holds each answer against the document."""

    def __init__(self, server: Server, document: dict[str, Any]) -> None:
        self._root = server.web_url
        self._document = document

    def __call__(self, method: str, path: str, described: str = "", **asked: Any) -> httpx.Response:
        answer = httpx.request(method, self._root + path, timeout=60, **asked)
        described = described or path
        operation = self._document["paths"][described][method.lower()]
        said = operation["responses"].get(str(answer.status_code))
        assert said is not None, f"{method} {path}: {answer.status_code} is not described"
        content = said.get("content", {})
        if answer.content and method != "HEAD":
            kind = answer.headers["content-type"].partition(";")[0]
            assert kind in content, f"{method} {path}: {kind} is not described"
            if kind == "application/json":
                schema = {**content[kind]["schema"], "components": self._document["components"]}
                Draft202012Validator(schema).validate(answer.json())
        return answer


def test_answers_are_what_the_document_says(server: Server, document: dict[str, Any]) -> None:
    ask = Asker(server, document)
    images = a_study(2, 1)
    with httpx.Client(base_url=server.dicomweb_url, timeout=60) as client:
        store(client, *images)
        study = images[0].StudyInstanceUID
        assert client.delete(f"/studies/{study}/series/{images[1].SeriesInstanceUID}").status_code == 204
    for path in ("/healthz", "/server.json", "/api/openapi.json", "/api/keywords", "/api/session", "/icon.svg"):
        assert ask("GET", path).status_code == 200
    assert ask("GET", "/viewer").status_code == 307
    assert ask("GET", "/viewer/x.js", "/viewer/{rest}").status_code == 404
    assert ask("GET", "/app-config.js").status_code == 200
    assert ask("GET", "/no-such-file", "/{path}").status_code == 404
    assert ask("GET", "/api/priors", params={"study": study}).status_code == 200
    assert ask("GET", "/api/priors", params={"study": "1.2.3"}).status_code == 404
    assert ask("GET", "/api/priors").status_code == 400
    (entry,) = ask("GET", "/api/removed", params={"StudyInstanceUID": study}).json()
    one = f"/api/removed/{entry['number']}"
    assert ask("GET", one, "/api/removed/{number}").json()["objects"]
    assert ask("GET", "/api/removed/999999", "/api/removed/{number}").status_code == 404
    assert ask("POST", f"{one}/restore", "/api/removed/{number}/restore").json()["restored"] == 1
    assert ask("POST", f"{one}/restore", "/api/removed/{number}/restore").status_code == 404


def test_uploads_answer_as_the_document_says(server: Server, document: dict[str, Any]) -> None:
    ask = Asker(server, document)
    tus = {"Tus-Resumable": "1.0.0"}
    body = write(a_study(1, 1)[0])
    bytes_of = {**tus, "Content-Type": "application/offset+octet-stream"}
    assert ask("OPTIONS", "/api/uploads").status_code == 204
    assert ask("POST", "/api/uploads", headers={**tus, "Upload-Length": "x"}).status_code == 400
    assert ask("POST", "/api/uploads", headers={"Upload-Length": "1"}).status_code == 412
    begun = ask("POST", "/api/uploads", headers={**tus, "Upload-Length": str(len(body))})
    assert begun.status_code == 201
    path, described = begun.headers["location"], "/api/uploads/{name}"
    assert ask("HEAD", path, described, headers=tus).headers["upload-offset"] == "0"
    assert ask("PATCH", path, described, headers={**bytes_of, "Upload-Offset": "5"}, content=body).status_code == 409
    assert ask("PATCH", path, described, headers={**bytes_of, "Upload-Offset": "0"}, content=body).status_code == 204
    told = ask("GET", path, described, params={"wait": "20"}).json()
    assert told["result"]["instances"][0]["status"] == "stored"
    assert path.rpartition("/")[2] in [one["id"] for one in ask("GET", "/api/uploads").json()["uploads"]]
    assert ask("DELETE", path, described, headers=tus).status_code == 204
    assert ask("GET", path, described).status_code == 404


def test_events_are_what_the_document_says(server: Server, document: dict[str, Any]) -> None:
    (kind,) = document["paths"]["/api/changes"]["get"]["responses"]["200"]["content"]
    with httpx.stream("GET", f"{server.web_url}/api/changes", timeout=20) as answer:
        assert answer.headers["content-type"].partition(";")[0] == kind
        lines = answer.iter_lines()
        assert [next(lines) for _ in range(2)] == ["retry: 2000", "event: ready"]
        lines.close()


def test_signing_in_answers_as_the_document_says(start_server: StartServer, document: dict[str, Any]) -> None:
    ask = Asker(start_server(access={"sign_in": "required"}), document)
    assert ask("GET", "/api/session").json()["user"] is None
    assert ask("GET", "/login").status_code == 200
    assert ask("POST", "/api/session", json={"name": "nobody", "password": "wrong and long"}).status_code == 401
    assert ask("POST", "/api/session", json={"name": "nobody"}).status_code == 400
    assert ask("POST", "/api/session", content=b"x").status_code == 415
    assert ask("DELETE", "/api/session").status_code == 204
