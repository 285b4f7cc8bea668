"""`pacs doctor`: everything the server needs, looked at one by one, in plain words and with what to do."""

import importlib.util
import json
import os
import shutil
import socket
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from config.settings import Peer, Settings, SettingsError
from config.write import hide
from dimse.connection import UpperLayerError
from dimse.send import connect
from index.errors import PacsError
from index.jobs import Jobs
from index.people.accounts import Accounts
from index.query import Query
from index.records import Level
from pacs.auth.local import local_principal
from pacs.bind import check_exposure
from pacs.services import Services, build

State = Literal["ok", "warning", "failure"]

_VERIFICATION = "1.2.840.10008.1.1"
_IMPLICIT = "1.2.840.10008.1.2"
_SLOW_SECONDS = 0.05

_CODECS = {
    "openjpeg": "JPEG 2000 and HTJ2K",
    "jpeg_ls": "JPEG-LS",
    "rle": "RLE",
    "gdcm": "JPEG lossless and 12 bit",
    "PIL": "JPEG for the browser",
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at."""

    state: State
    what: str
    advice: str = ""


def examine(settings: Settings) -> Iterator[Finding]:
    """Look at everything. A check that fails does not keep the others from being made."""
    checks: list[Callable[[Settings], Iterator[Finding]]] = [
        _exposure,
        _index,
        _objects,
        _space,
        _trail,
        _codecs,
        _web_port,
        _dimse_port,
        _certificates,
    ]
    for check in checks:
        yield from check(settings)


def _exposure(settings: Settings) -> Iterator[Finding]:
    try:
        check_exposure(settings, web=True, dimse=True)
    except SettingsError as error:
        yield Finding("failure", "The server would not start with these settings.", str(error))
        return
    yield Finding("ok", f"Settings are valid; web on {settings.web.host}, DIMSE on {settings.dimse.host}.")
    if settings.access.unprotected and settings.access.sign_in == "required":
        yield Finding(
            "warning",
            "access.unprotected is set: passwords may cross the network in the clear.",
            "Put a proxy that speaks TLS before the server, and its address into web.public_url.",
        )
    elif settings.access.unprotected:
        yield Finding(
            "warning",
            "access.unprotected is set: whoever reaches the web port can read and change everything.",
            "Keep the port inside a closed network, or behind a proxy that asks for a login.",
        )


def _index(settings: Settings) -> Iterator[Finding]:
    where = hide(settings.database.url)
    services = None
    try:
        services = build(settings)
        studies = services.archive.count(local_principal(settings), Query(Level.STUDY))
        yield Finding("ok", f"The index at {where} answers: {studies} studies.")
        yield from _jobs(services)
        yield from _accounts(services)
    except (PacsError, OSError, ValueError) as error:
        yield Finding(
            "failure",
            f"The index at {where} does not answer: {error}",
            "Run `pacs db upgrade` when it is new. Otherwise check database.url, that the database runs, and who may "
            "log in or write there.",
        )
    finally:
        if services:
            services.close()


def _jobs(services: Services) -> Iterator[Finding]:
    """What the worker was asked for and could not do."""
    for one in Jobs(services.database).waiting():
        if one.error:
            yield Finding(
                "warning",
                f"The job `{one.kind}` has failed {one.attempts} times: {one.error}",
                "The worker tries again, later each time; its log says more.",
            )


def _accounts(services: Services) -> Iterator[Finding]:
    """Whether anybody can come in."""
    if services.settings.access.sign_in == "none":
        return
    count = len(Accounts(services.database).all())
    if count:
        yield Finding("ok", f"People have to sign in; accounts: {count}.")
    else:
        yield Finding("warning", "People have to sign in, but nobody has an account.", "Run `pacs users add NAME`.")


def _objects(settings: Settings) -> Iterator[Finding]:
    """Write, make durable, read and delete an object, as an ingest would."""
    where = settings.storage.url
    content = os.urandom(4096)
    try:
        services = build(settings)
        key = services.blobs.new_key(settings.archive.tenant)
        started = time.monotonic()
        writer = services.blobs.create(key)
        writer.write(content)
        writer.commit()
        seconds = time.monotonic() - started
        same = services.blobs.read(key, 0, len(content)) == content
        services.blobs.delete([key])
        services.close()
    except (PacsError, OSError, ValueError) as error:
        yield Finding(
            "failure",
            f"The object store {where} cannot be written: {error}",
            "Check storage.url, the rights of the user that runs the server, and the credentials of the bucket.",
        )
        return
    if not same:
        yield Finding("failure", f"The object store {where} returns other bytes than were written.", "Do not use it.")
    elif seconds > _SLOW_SECONDS and where.startswith("file:"):
        yield Finding(
            "warning",
            f"A durable write to {where} takes {1000 * seconds:.0f} ms.",
            "Every stored image waits for it. Use a disk with a write cache that survives a power cut, or an SSD.",
        )
    else:
        yield Finding("ok", f"The object store {where} keeps what is written; {1000 * seconds:.1f} ms a durable write.")


def _space(settings: Settings) -> Iterator[Finding]:
    folders = {"the audit trail": Path(settings.log.audit_file).parent}
    if settings.storage.url.startswith("file:"):
        folders["objects"] = Path(settings.storage.url.removeprefix("file:"))
    if settings.database.url.startswith("sqlite:///"):
        folders["the index"] = Path(settings.database.url.removeprefix("sqlite:///")).parent
    for what, folder in folders.items():
        usage = shutil.disk_usage(_existing(folder))
        percent = 100 * usage.free / usage.total
        text = f"{usage.free / 1e9:.1f} GB ({percent:.0f} %) are free for {what} in {folder}."
        if percent < settings.storage.minimum_free_percent:
            yield Finding("failure", text, "Stores are refused below storage.minimum_free_percent: make room.")
        elif percent < 2 * settings.storage.minimum_free_percent:
            yield Finding("warning", text, "Make room soon: stores are refused below storage.minimum_free_percent.")
        else:
            yield Finding("ok", text)


def _existing(folder: Path) -> Path:
    folder = folder.absolute()
    while not folder.exists():
        folder = folder.parent
    return folder


def _trail(settings: Settings) -> Iterator[Finding]:
    path = Path(settings.log.audit_file)
    target = path if path.exists() else _existing(path.parent)
    if os.access(target, os.W_OK):
        yield Finding("ok", f"The audit trail {path} can be written.")
    else:
        yield Finding("failure", f"The audit trail {path} cannot be written.", "Check log.audit_file and its rights.")


def _codecs(_settings: Settings) -> Iterator[Finding]:
    missing = [purpose for module, purpose in _CODECS.items() if importlib.util.find_spec(module) is None]
    if missing:
        yield Finding("failure", f"Codecs are missing: {', '.join(missing)}.", "Install the locked requirements again.")
    else:
        yield Finding("ok", f"Codecs are there: {', '.join(_CODECS.values())}.")


def _web_port(settings: Settings) -> Iterator[Finding]:
    host, port = _reachable(settings.web.host), settings.web.port
    where = f"{host}:{port}"
    if not _is_taken(host, port):
        yield Finding("ok", f"The web port {where} is free: the server is not running.")
        return
    try:
        with urllib.request.urlopen(f"http://{where}/healthz", timeout=5) as answer:
            healthy = json.load(answer).get("status") == "ok"
    except (OSError, ValueError):
        healthy = False
    if healthy:
        yield Finding("ok", f"The web server answers on {where}.")
    else:
        yield Finding("failure", f"Another program listens on {where}.", "Stop it, or choose another web.port.")


def _dimse_port(settings: Settings) -> Iterator[Finding]:
    host, port, title = _reachable(settings.dimse.host), settings.dimse.port, settings.dimse.ae_titles[0]
    if not port:
        yield Finding("ok", "Plain DIMSE is turned off (dimse.port = 0).")
        return
    where = f"{title}@{host}:{port}"
    if not _is_taken(host, port):
        yield Finding("ok", f"The DIMSE port {host}:{port} is free: the listener is not running.")
        return
    peer = Peer(ae_title=title, host=host, port=port)
    try:
        connect(peer, [(_VERIFICATION, (_IMPLICIT,))], calling=title, settings=settings.dimse).release()
    except UpperLayerError as error:
        yield Finding(
            "warning",
            f"{where} does not accept an association from us: {error}",
            "Either another program has the port, or the AE table does not let this machine in (both may be meant).",
        )
    else:
        yield Finding("ok", f"{where} accepts associations.")


def _certificates(settings: Settings) -> Iterator[Finding]:
    dimse = settings.dimse
    if not dimse.tls_port:
        return
    for name in ("tls_certificate", "tls_key", "tls_client_ca"):
        path = getattr(dimse, name)
        if path and not os.access(path, os.R_OK):
            yield Finding("failure", f"dimse.{name} = {path} cannot be read.", "Check the path and its rights.")


def _reachable(host: str) -> str:
    """Where to reach a server that listens on all addresses."""
    return {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104


def _is_taken(host: str, port: int) -> bool:
    try:
        socket.create_connection((host, port), timeout=2).close()
    except OSError:
        return False
    return True
