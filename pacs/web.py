"""The web process: DICOMweb and the pages behind one gate, served by uvicorn on the supervisor's socket."""

import asyncio
import contextlib
import gc
import socket
from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

import uvicorn
import uvloop
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Scope

from config.settings import Settings
from dicomweb.routes import routes
from dicomweb.service import Service
from index.access import Principal
from pacs import openapi, portal
from pacs.auth.gate import PUBLIC_PATHS, Gate, Identify
from pacs.auth.local import local_principal
from pacs.auth.proxies import Forwarded
from pacs.auth.reception import Reception
from pacs.bind import is_loopback
from pacs.connection import HttpConnection
from pacs.lifeline import Lifeline
from pacs.portal import priors, removed, sign_in
from pacs.portal.news import News
from pacs.services import Services, build
from pacs.uploads.routes import Uploads
from pacs.viewer import pages as viewer

SECURITY_HEADERS = (
    # Of every answer. What a page may load is said by the pages themselves (Content-Security-Policy).
    ("X-Content-Type-Options", "nosniff"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
    ("Cross-Origin-Opener-Policy", "same-origin"),
)


MOST_CONNECTIONS = 900
"""In each web process; below the usual limit of 1,024 open files. More are answered with 503."""


def application(services: Services, news: News) -> ASGIApp:
    """The whole ASGI application: the gate, and behind it everything else."""
    settings = services.settings
    is_required = settings.access.sign_in == "required"
    reception = Reception(services.database, settings, services.audit) if is_required else None
    gate = Gate(
        pages(services, news, reception),
        identify=reception.visitors.identify if reception else _identify(settings),
        host_names=_host_names(settings) if is_loopback(settings.web.host) else None,
        # A page that has lost its session may still load parts of itself: they are published programs.
        public=PUBLIC_PATHS.union(portal.assets(), viewer.assets(settings)),
        public_url=settings.web.public_url,
        leads_to_sign_in=is_required,
    )
    return Forwarded(gate, settings.web.proxies) if settings.web.proxies else gate


def _host_names(settings: Settings) -> list[str]:
    """The names that we answer for on loopback: our own, and that of the proxy before us."""
    public = urlsplit(settings.web.public_url).hostname
    return [settings.web.host, public] if public else [settings.web.host]


def pages(services: Services, news: News, reception: Reception | None = None) -> Starlette:
    """All routes. Never to be served without the gate."""
    archive, settings = services.archive, services.settings
    dicomweb = Service("/dicomweb", routes(archive, settings))
    start_page = portal.routes(settings, viewer=viewer.is_installed(settings))
    own = [Route("/healthz", _healthy), *start_page, *news.routes(), *removed.routes(archive)]
    own += priors.routes(archive)
    own += Uploads(archive, settings).routes()
    own += sign_in.routes(settings, reception)
    own += openapi.routes(settings)
    routing = [dicomweb, *own, *viewer.routes(settings)]
    return Starlette(routes=routing, exception_handlers={HTTPException: _refused})


async def _refused(_request: Request, error: Exception) -> Response:
    """Pages refuse in the shape that DICOMweb and the gate refuse in."""
    if not isinstance(error, HTTPException):
        raise error
    body = {"error": {"status": error.status_code, "message": error.detail}}
    return JSONResponse(body, status_code=error.status_code, headers=error.headers)


def _identify(settings: Settings) -> Identify:
    """Everybody who can connect is the local principal; one value an address, made once."""
    principals: dict[str, Principal] = {}

    def identify(scope: Scope) -> Principal | None:
        address = scope["client"][0] if scope.get("client") else ""
        principal = principals.get(address)
        if principal is None:
            principal = local_principal(settings, address)
            if len(principals) < 1024:
                principals[address] = principal
        return principal

    return identify


async def _healthy(_request: Request) -> Response:
    return JSONResponse({"status": "ok"})


class _Server(uvicorn.Server):
    """uvicorn without its own signal handling, and with a word when it is ready."""

    def __init__(self, config: uvicorn.Config, lifeline: Lifeline) -> None:
        super().__init__(config)
        self._lifeline = lifeline

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._lifeline.ready()

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield

    def stop(self) -> None:
        """Accept nothing new, finish what is running."""
        self.should_exit = True


def run(settings: Settings, sockets: Mapping[str, socket.socket], lifeline: Lifeline) -> None:
    """Serve until told to stop."""
    services: Services = build(settings)
    news = News(services.archive)
    config = uvicorn.Config(
        application(services, news),
        loop="uvloop",
        http=HttpConnection,
        ws="none",
        lifespan="off",
        log_config=None,
        # Requests are audited by what they did; their query strings hold patient data and are not logged.
        access_log=False,
        server_header=False,
        proxy_headers=False,
        headers=list(SECURITY_HEADERS),
        backlog=1024,
        limit_concurrency=MOST_CONNECTIONS,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=int(settings.web.shutdown_seconds),
    )
    server = _Server(config, lifeline)

    def stop() -> None:
        news.end()
        server.stop()

    lifeline.on_stop(stop, grace_seconds=settings.web.shutdown_seconds + 2)
    gc.freeze()
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(server.serve(sockets=[sockets["web"]]))
    services.close()
