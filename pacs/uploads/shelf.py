"""Uploads on disk: what was said when each began, the bytes that are there, and what became of it.

Three files each, below a folder of their owner: `.json` never changes, `.data` grows, `.result` appears at the end in
place of the data. Whoever works on an upload holds a lock on its `.json`, which the kernel gives back when a process
dies; nothing else has to be repaired after a crash. Other owners' uploads are in other folders and cannot be named.
"""

import fcntl
import hashlib
import os
import re
import secrets
import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

import orjson

from config.settings import Settings
from index.access import Permission, Principal, Scope
from index.errors import NotFound, OutOfResources

_BLOCK_BYTES: Final = 1024**2
_NAME: Final = re.compile(r"[0-9a-f]{32}")
_ENDINGS: Final = (".data", ".result", ".json")
_NEEDED: Final = (Permission.STORE, Permission.QUERY)


class Busy(Exception):
    """Somebody else works on the upload at this moment."""


@dataclass(frozen=True, slots=True)
class Owner:
    """Who uploads, as far as taking in must know it after a restart."""

    name: str
    kind: str
    tenant: str
    address: str
    permissions: tuple[str, ...]
    studies: tuple[str, ...] | None = None

    @classmethod
    def of(cls, principal: Principal) -> "Owner":
        """Keep what is needed of a principal."""
        scope = principal.scope
        may = tuple(one.value for one in _NEEDED if one in principal.permissions)
        studies = None if scope.study_instance_uids is None else tuple(sorted(scope.study_instance_uids))
        return cls(principal.name, principal.kind, scope.tenant, principal.address, may, studies)

    def principal(self) -> Principal:
        """The same principal with no more than storing needs."""
        studies = None if self.studies is None else frozenset(self.studies)
        scope = Scope(self.tenant, studies)
        may = frozenset(Permission(one) for one in self.permissions)
        return Principal(self.name, self.kind, may, scope, self.address)  # type: ignore[arg-type]

    def folder(self) -> str:
        """Name of the folder with the uploads of this owner."""
        return hashlib.sha256(orjson.dumps([self.tenant, self.kind, self.name])).hexdigest()[:32]


@dataclass(frozen=True, slots=True)
class Upload:
    """What was said when an upload began."""

    path: Path
    """Of its files, without their endings."""
    owner: Owner
    length_bytes: int
    metadata: dict[str, str]

    @property
    def id(self) -> str:
        """Its name, which nobody can guess."""
        return self.path.name

    @property
    def data(self) -> Path:
        """The file with the bytes that are there."""
        return self.path.with_suffix(".data")

    def offset(self) -> int:
        """How many bytes are there; all of them once there is a result. Raises NotFound."""
        if self.path.with_suffix(".result").exists():
            return self.length_bytes
        try:
            return self.data.stat().st_size
        except FileNotFoundError as exc:
            raise NotFound("There is no such upload") from exc

    def result(self) -> dict[str, Any] | None:
        """What became of it, None as long as that is open."""
        try:
            found: dict[str, Any] = orjson.loads(self.path.with_suffix(".result").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        return found

    def sync(self) -> None:
        """Return when everything that is there would survive a power cut."""
        with suppress(FileNotFoundError):
            for path in (self.data, self.path.with_suffix(".json"), self.path.parent):
                descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
                try:
                    os.fsync(descriptor)
                finally:
                    os.close(descriptor)

    def expires(self, keep_seconds: float) -> float:
        """When it is removed, in seconds since 1970, unless something happens to it."""
        times = []
        for ending in _ENDINGS:
            with suppress(FileNotFoundError):
                times.append(self.path.with_suffix(ending).stat().st_mtime)
        return max(times, default=0.0) + keep_seconds


class Shelf:
    """All uploads."""

    def __init__(self, root: Path, *, minimum_free_percent: float) -> None:
        self._root = root
        self._minimum_free_percent = minimum_free_percent

    def create(self, owner: Owner, length_bytes: int, metadata: dict[str, str]) -> Upload:
        """Begin an upload. Raises OutOfResources."""
        folder = self._root / owner.folder()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._require_room(length_bytes)
        upload = Upload(folder / secrets.token_hex(16), owner, length_bytes, metadata)
        said = {"owner": asdict(owner), "length_bytes": length_bytes, "metadata": metadata}
        os.close(os.open(upload.data, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600))
        _write(upload.path.with_suffix(".json"), orjson.dumps(said))
        return upload

    def _require_room(self, length_bytes: int) -> None:
        disk = shutil.disk_usage(self._root)
        if (disk.free - length_bytes) * 100 < disk.total * self._minimum_free_percent:
            raise OutOfResources("The server's disk has no room for this file")

    def find(self, owner: Owner, name: str) -> Upload:
        """An upload of this owner. Raises NotFound."""
        found = self._read(self._root / owner.folder() / name) if _NAME.fullmatch(name) else None
        if found is None:
            raise NotFound("There is no such upload")
        return found

    def of(self, owner: Owner) -> Iterator[Upload]:
        """All uploads of this owner."""
        return self._below(self._root / owner.folder())

    def all(self) -> Iterator[Upload]:
        """Everybody's uploads."""
        folders = sorted(self._root.iterdir()) if self._root.is_dir() else []
        for folder in folders:
            yield from self._below(folder)

    def _below(self, folder: Path) -> Iterator[Upload]:
        for path in sorted(folder.glob("*.json")):
            found = self._read(path.with_suffix(""))
            if found is not None:
                yield found

    def _read(self, path: Path) -> Upload | None:
        try:
            said = orjson.loads(path.with_suffix(".json").read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            return None
        owner = said["owner"]
        studies = owner.pop("studies")
        known = Owner(
            **owner | {"permissions": tuple(owner["permissions"])}, studies=None if studies is None else tuple(studies)
        )
        return Upload(path, known, said["length_bytes"], said["metadata"])

    def remove_old(self, keep_seconds: float, now: float) -> int:
        """Forget uploads that nothing has happened to for so long. Returns how many."""
        removed = 0
        for upload in self.all():
            if upload.expires(keep_seconds) < now:
                with suppress(Busy, NotFound), hold(upload):
                    remove(upload)
                    removed += 1
        for left in self._root.glob("*/*"):
            # Left behind when the server was killed: data without a .json, and files that were being written.
            if left.suffix not in _ENDINGS or not left.with_suffix(".json").exists():
                with suppress(FileNotFoundError):
                    if left.stat().st_mtime + keep_seconds < now:
                        left.unlink()
        return removed


def open_shelf(settings: Settings) -> Shelf:
    """The uploads that the settings name."""
    return Shelf(Path(settings.uploads.folder), minimum_free_percent=settings.storage.minimum_free_percent)


@contextmanager
def hold(upload: Upload) -> Iterator[None]:
    """Work on an upload alone. Raises Busy, NotFound."""
    descriptor = _locked(upload)
    try:
        yield
    finally:
        os.close(descriptor)


def _locked(upload: Upload) -> int:
    said = upload.path.with_suffix(".json")
    try:
        descriptor = os.open(said, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError as exc:
        raise NotFound("There is no such upload") from exc
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as exc:
        os.close(descriptor)
        raise Busy from exc
    if not said.exists():  # Removed by whoever held it before.
        os.close(descriptor)
        raise NotFound("There is no such upload")
    return descriptor


class Growing:
    """The data of one upload while a request adds to it; holds the upload until it is closed."""

    def __init__(self, upload: Upload) -> None:
        """Raises Busy, NotFound."""
        self._upload = upload
        self._lock = _locked(upload)
        try:
            flags = os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC
            self._data = None if upload.offset() == upload.length_bytes else os.open(upload.data, flags)
        except BaseException:
            os.close(self._lock)
            raise
        self.offset = upload.offset()
        self._began = self.offset

    def write(self, blocks: list[bytes]) -> None:
        """Append. Raises OutOfResources."""
        if self._data is None:
            return
        try:
            for block in blocks:
                view = memoryview(block)
                while view:
                    view = view[os.write(self._data, view) :]
                self.offset += len(block)
        except OSError as exc:
            self.take_back()
            raise OutOfResources("The server's disk has no room for this file") from exc

    def take_back(self) -> None:
        """Forget what this request has added."""
        if self._data is not None:
            os.ftruncate(self._data, self._began)
            self.offset = self._began

    def sync(self) -> None:
        """Return when everything that is there would survive a power cut."""
        self._upload.sync()

    def close(self) -> None:
        """Let go of the upload."""
        if self._data is not None:
            os.close(self._data)
        os.close(self._lock)


def settle(upload: Upload, result: dict[str, Any]) -> None:
    """Keep the result in place of the data."""
    _write(upload.path.with_suffix(".result"), orjson.dumps(result))
    upload.data.unlink(missing_ok=True)


def remove(upload: Upload) -> None:
    """Forget an upload; only for whoever holds it."""
    for ending in _ENDINGS:
        upload.path.with_suffix(ending).unlink(missing_ok=True)


def _write(path: Path, content: bytes) -> None:
    """A whole file or none."""
    new = path.with_suffix(f"{path.suffix}-{os.getpid()}-{time.monotonic_ns()}")
    new.write_bytes(content)
    new.replace(path)


class FileSource:
    """A file as a `storage.spool.Source`."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._file = path.open("rb", buffering=0)
        self.size_bytes = path.stat().st_size

    def read(self, offset: int, length: int) -> bytes:
        """These bytes, fewer where the file ends."""
        self._file.seek(offset)
        return self._file.read(length)

    def blocks(self) -> Iterator[bytes]:
        """All bytes, in blocks."""
        for offset in range(0, self.size_bytes, _BLOCK_BYTES):
            yield self.read(offset, _BLOCK_BYTES)

    def digest(self) -> bytes:
        """SHA-256 of all bytes."""
        with self._path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").digest()

    def close(self) -> None:
        """Let go of the file."""
        self._file.close()
