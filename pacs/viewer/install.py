"""Installing OHIF: the published package is fetched by npm, checked, trimmed and compressed. Nothing is built.

What is kept of a file that compresses well are its brotli and gzip forms alone, because every browser takes one of
them; who takes neither gets the gzip form inflated. `files.json` tells the server all it needs to know of each file.
"""

import base64
import gzip
import hashlib
import mimetypes
import re
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Final

import brotli

from pacs.viewer.files import INDEX, StoredFile, write_table

PACKAGE: Final = "@ohif/app"
VERSION: Final = "3.13.2"
INTEGRITY: Final = "sha512-WZdxmpmG7rqFgW9ZJLcbgr3XCtLi1KDNPoMaeY5PPe6j4G4fjEjjkycZM6C6Zk2F87BKxFfpq+jd5xXZB9E8EA=="
"""Digest of the published package, as npm writes it."""

_DIST: Final = "package/dist/"
_LEFT_OUT: Final = (
    # 139 MB of models for AI tools, and what only other ways of hosting need.
    "ort/",
    "customizations/",
    "sw.js",
    "google.js",
    "oidc-client.min.js",
    "silent-refresh.html",
    "polyfill.min.js",
    "es6-shim.min.js",
    "serve.json",
    "_headers",
    "_redirects",
    "app-config.js",
)
_COMPRESSED: Final = frozenset({".js", ".css", ".html", ".json", ".svg", ".wasm", ".map", ".xml"})
_HASHED: Final = re.compile(r"(^|[.])[0-9a-f]{16}[.](js|wasm|woff2)$")
_MOST_BYTES: Final = 512 * 1024**2
_TYPES: Final = {".js": "text/javascript; charset=utf-8", ".wasm": "application/wasm", ".woff2": "font/woff2"}


class CannotInstall(Exception):
    """The viewer cannot be installed; the message says why and what to do."""


def install(folder: Path, package: Path | None = None, *, say: Callable[[str], None] = print) -> None:
    """Put the viewer into `folder`, from `package` (the npm tarball) or from the registry npm is set up for."""
    # Absolute, because npm runs in a folder of its own.
    folder = folder.absolute()
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".viewer-") as work:
        tarball = package or _fetch(Path(work), say)
        _verify(tarball)
        say("Trimming and compressing ...")
        fresh = Path(work, "fresh")
        files = [_keep(fresh, name, data) for name, data in _members(tarball)]
        if not any(file.path == INDEX for file in files):
            raise CannotInstall(f"{tarball} holds no {INDEX}")
        write_table(fresh, files)
        old = Path(work, "old")
        if folder.exists():
            folder.rename(old)
        fresh.rename(folder)
    say(f"OHIF {VERSION} is in {folder}: {len(files)} files, {_size(folder) / 1e6:.0f} MB")


def _fetch(work: Path, say: Callable[[str], None]) -> Path:
    npm = shutil.which("npm")
    if npm is None:
        raise CannotInstall("npm is missing. Install Node.js, or give the package itself with --file.")
    say(f"Fetching {PACKAGE} {VERSION} (50 MB) ...")
    command = [npm, "pack", "--silent", "--pack-destination", str(work), f"{PACKAGE}@{VERSION}"]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, check=False)  # noqa: S603
    found = sorted(work.glob("*.tgz"))
    if done.returncode or not found:
        raise CannotInstall(f"npm could not fetch the package: {done.stderr.strip()[-500:]}")
    return found[0]


def _verify(tarball: Path) -> None:
    with tarball.open("rb") as stream:
        digest = hashlib.file_digest(stream, "sha512").digest()
    if f"sha512-{base64.b64encode(digest).decode()}" != INTEGRITY:
        raise CannotInstall(f"{tarball} is not {PACKAGE} {VERSION} as published: its checksum differs")


def _members(tarball: Path) -> Iterator[tuple[str, bytes]]:
    """Name below dist/ and content of every file that is kept."""
    kept_bytes = 0
    with tarfile.open(tarball, "r:gz") as archive:
        for member in archive:
            name = member.name.removeprefix(_DIST)
            if not member.isfile() or name == member.name or name.startswith(_LEFT_OUT) or ".." in name:
                continue
            kept_bytes += member.size
            stream = archive.extractfile(member)
            if stream is None or kept_bytes > _MOST_BYTES:
                raise CannotInstall(f"{tarball} holds more than expected")
            yield name, stream.read()


def _keep(folder: Path, name: str, data: bytes) -> StoredFile:
    """Write a file in the forms that are served."""
    suffix = PurePosixPath(name).suffix
    target = folder / name
    target.parent.mkdir(parents=True, exist_ok=True)
    compressed = suffix in _COMPRESSED and len(data) > 512
    if compressed:
        Path(f"{target}.br").write_bytes(brotli.compress(data, quality=9))
        Path(f"{target}.gz").write_bytes(gzip.compress(data, 9, mtime=0))
    else:
        target.write_bytes(data)
    kind = _TYPES.get(suffix) or mimetypes.guess_type(name)[0] or "application/octet-stream"
    tag = hashlib.sha256(data).hexdigest()[:24]
    return StoredFile(name, kind, len(data), tag, compressed, _HASHED.search(name) is not None)


def _size(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
