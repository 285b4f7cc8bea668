"""The service as it is mounted: a request finds its resource by the shape of its path, in one step.

Names and UIDs take turns in the paths of DICOMweb, so the names and the length tell the resource. Starlette tries one
regular expression after the other instead, which costs as much as the look-up of a study behind it. What has none of
the shapes (bulk data, whose paths are of any length, and what there is not) goes its way.
"""

from collections.abc import Sequence
from typing import Final

from starlette.convertors import StringConvertor
from starlette.routing import BaseRoute, Match, Mount, Route
from starlette.types import ASGIApp, Receive, Scope, Send

_Shape = tuple[int, tuple[str, ...]]


class Service(Mount):
    """All resources below one path."""

    def __init__(self, path: str, routes: Sequence[BaseRoute]) -> None:
        super().__init__(path, routes=routes)
        self._prefix: Final = f"{path}/"
        self._resources: Final = _by_shape(routes)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """The same as that of `Mount` for what a server serves at its root."""
        if scope["type"] != "http" or scope.get("root_path") or not scope["path"].startswith(self._prefix):
            return super().matches(scope)
        return Match.FULL, {"path_params": {}, "app_root_path": "", "root_path": self.path, "endpoint": self.app}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        words = scope["path"].removeprefix(self.path).split("/")
        uids = words[2::2]
        found = self._resources.get((len(words), tuple(words[1::2])))
        if found is None or scope["root_path"] != self.path or not all(uids):
            await super().handle(scope, receive, send)
            return
        resource, names = found
        scope["path_params"] = dict(zip(names, uids, strict=True))
        await resource(scope, receive, send)


def _by_shape(routes: Sequence[BaseRoute]) -> dict[_Shape, tuple[ASGIApp, tuple[str, ...]]]:
    """The resources whose paths have a fixed length, with the names of their UIDs."""
    found: dict[_Shape, tuple[ASGIApp, tuple[str, ...]]] = {}
    for route in routes:
        if not isinstance(route, Route) or route.methods:
            continue
        words = route.path.split("/")
        names = tuple(route.param_convertors)
        plain = all(isinstance(convertor, StringConvertor) for convertor in route.param_convertors.values())
        if plain and words[2::2] == [f"{{{name}}}" for name in names]:
            found[len(words), tuple(words[1::2])] = (route.app, names)
    return found
