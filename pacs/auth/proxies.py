"""The client's own address where proxies stand before us: in the audit trail, and where attempts are counted.

X-Forwarded-For is a list that each proxy adds to at its end, so only what our own proxies have written is true: the
last address that is none of theirs. What stands before it was written by whoever asked.
"""

import ipaddress
from collections.abc import Iterable

from starlette.types import ASGIApp, Receive, Scope, Send


class Forwarded:
    """Sets `scope["client"]` of requests that come from one of the named networks."""

    def __init__(self, app: ASGIApp, networks: Iterable[str]) -> None:
        self._app = app
        self._networks = [ipaddress.ip_network(one) for one in networks]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope.get("client") and self._is_proxy(scope["client"][0]):
            address = self._origin(scope)
            if address:
                scope["client"] = (address, 0)
        await self._app(scope, receive, send)

    def _origin(self, scope: Scope) -> str:
        said = b",".join(value for name, value in scope["headers"] if name == b"x-forwarded-for")
        address = ""
        for item in reversed(said.decode("latin-1").split(",")):
            address = item.strip()
            if not self._is_proxy(address):
                break
        try:
            return str(ipaddress.ip_address(address))
        except ValueError:
            return ""

    def _is_proxy(self, address: str) -> bool:
        try:
            parsed = ipaddress.ip_address(address)
        except ValueError:
            return False
        return any(parsed in network for network in self._networks)
