"""Requests find the same resources by the shape of their paths as by the routes, one after the other."""

import asyncio
import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from starlette.routing import Mount, Route, Router
from starlette.types import Message, Receive, Scope, Send

from dicomweb.routes import RESOURCES
from dicomweb.service import Service

Reached = list[tuple[str, dict[str, Any], str]]


class Resource:
    """Remembers that it was reached, and with what."""

    def __init__(self, path: str, reached: Reached) -> None:
        self.path = path
        self.reached = reached

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.reached.append((self.path, scope["path_params"], scope["root_path"]))


def reached(kind: type[Mount], path: str) -> Reached:
    """The resource that a request for this path reaches, none or one."""
    found: Reached = []
    resources = [Route(path, Resource(path, found)) for path, _ in RESOURCES]
    rest = Route("/{rest:path}", Resource("rest", found))
    router = Router([kind("/dicomweb", routes=[*resources, rest])])

    async def receive() -> Message:
        return {"type": "http.disconnect"}

    async def send(_message: Message) -> None:
        """What answers what is beyond the service does not matter."""

    scope = {"type": "http", "method": "GET", "path": path, "root_path": "", "headers": [], "query_string": b""}
    asyncio.run(router(scope, receive, send))
    for _, parameters, _ in found:
        parameters.pop("path", None)
    return found


@pytest.mark.parametrize("path", [path for path, _ in RESOURCES])
def test_every_resource_is_found(path: str) -> None:
    asked = "/dicomweb" + re.sub(r"{(\w+)[^}]*}", r"1.2.\1", path)
    ((found, parameters, root),) = reached(Service, asked)
    assert (found, root) == (path, "/dicomweb")
    assert reached(Mount, asked) == [(found, parameters, root)]


WORDS = st.sampled_from(
    ["", "studies", "series", "instances", "frames", "metadata", "bulkdata", "1.2.3", "1,2", " ", "%2F"]
)


@settings(deadline=None)
@given(st.lists(WORDS, max_size=10))
def test_odd_paths_lead_where_the_routes_lead(words: list[str]) -> None:
    path = "/".join(["/dicomweb", *words])
    assert reached(Service, path) == reached(Mount, path)


@pytest.mark.parametrize("path", ["/", "/dicomweb", "/dicomwebs/studies", "/other/dicomweb/studies", "/studies"])
def test_other_paths_are_not_ours(path: str) -> None:
    assert reached(Service, path) == reached(Mount, path) == []
