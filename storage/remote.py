"""Objects in an S3-compatible service, in memory, or in anything else that obstore reaches.

An object waits in memory, a large one in a file, until it is complete; then it is uploaded in one request or in
parts. Such services show an object only when it is whole and acknowledge it only when it is durable.
"""

import logging
import mmap
import tempfile
from collections.abc import Iterable, Iterator
from typing import Any

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, NotSupportedError
from obstore.store import MemoryStore, ObjectStore, S3Store, from_url

from config import settings
from index.errors import NotFound, PacsError, Unreachable
from storage.keys import MISSING, SHORTER, StoredBlob, new_key

_log = logging.getLogger(__name__)

_PART_BYTES = 8 * 1024**2
_PARALLEL_PARTS = 3
_DELETED_AT_ONCE = 1000


def connect(storage: settings.Storage) -> ObjectStore:
    """The obstore that the settings name. Empty credentials mean those of the environment."""
    if storage.url.startswith("memory:"):
        return MemoryStore()
    if not storage.url.startswith("s3://"):
        return from_url(storage.url)
    bucket, _, prefix = storage.url.removeprefix("s3://").strip("/").partition("/")
    options: dict[str, Any] = {
        "endpoint": storage.endpoint,
        "access_key_id": storage.access_key_id,
        "secret_access_key": storage.secret_access_key,
        "prefix": prefix,
    }
    return S3Store(
        bucket,
        region=storage.region,
        client_options={"allow_http": storage.allow_http, "connect_timeout": "5s", "timeout": "120s"},
        **{name: value for name, value in options.items() if value},
    )


class RemoteStore:
    """The object store behind obstore."""

    def __init__(self, store: ObjectStore, *, spool_folder: str | None = None, spool_threshold_bytes: int) -> None:
        """Objects above the threshold wait in a file in `spool_folder` (default: the system's temporary folder)."""
        self._store = store
        self._spool_folder = spool_folder
        self._threshold = spool_threshold_bytes

    def new_key(self, tenant: str) -> str:
        """A fresh key."""
        return new_key(tenant)

    def create(self, key: str) -> "SpoolWriter":
        """Begin an object."""
        return SpoolWriter(self._store, key, threshold_bytes=self._threshold, folder=self._spool_folder)

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly these bytes, in one request."""
        if not length:
            return b""
        try:
            data = bytes(obstore.get_range(self._store, key, start=offset, length=length))
        except FileNotFoundError as error:
            raise NotFound(MISSING) from error
        except BaseError as error:
            raise _unreachable("be read", error) from error
        if len(data) != length:
            raise PacsError(SHORTER)
        return data

    def stream(self, key: str, offset: int, length: int, block_bytes: int = 1024**2) -> Iterator[bytes]:
        """Exactly these bytes in blocks; what fits into one block is one request without a stream."""
        if length <= block_bytes:
            return iter([self.read(key, offset, length)] if length else [])
        try:
            answer = obstore.get(self._store, key, options={"range": (offset, offset + length)})
        except FileNotFoundError as error:
            raise NotFound(MISSING) from error
        except BaseError as error:
            raise _unreachable("be read", error) from error
        return _blocks(answer, length, block_bytes)

    def view(self, key: str, length: int) -> memoryview:
        """A whole object as memory; a large one by way of a file in the spool folder."""
        if length <= self._threshold:
            return memoryview(self.read(key, 0, length))
        with tempfile.TemporaryFile(dir=self._spool_folder) as file:
            for block in self.stream(key, 0, length):
                file.write(block)
            file.flush()
            return memoryview(mmap.mmap(file.fileno(), length, prot=mmap.PROT_READ))

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; a key that does not exist is no error."""
        wanted = list(keys)
        for start in range(0, len(wanted), _DELETED_AT_ONCE):
            try:
                obstore.delete(self._store, wanted[start : start + _DELETED_AT_ONCE])
            except FileNotFoundError:
                self._delete_each(wanted[start : start + _DELETED_AT_ONCE])
            except BaseError as error:
                raise _unreachable("delete", error) from error

    def _delete_each(self, keys: list[str]) -> None:
        """Some stores stop at the first key that is not there."""
        for key in keys:
            try:
                obstore.delete(self._store, key)
            except FileNotFoundError:
                continue
            except BaseError as error:
                raise _unreachable("delete", error) from error

    def walk(self, prefix: str = "") -> Iterator[StoredBlob]:
        """All objects below a prefix that ends in `/`, in the order of their keys."""
        try:
            for batch in obstore.list(self._store, prefix=prefix or None):
                for entry in sorted(batch, key=lambda entry: entry["path"]):
                    yield StoredBlob(entry["path"], entry["size"], entry["last_modified"].timestamp())
        except BaseError as error:
            raise _unreachable("be listed", error) from error


def _unreachable(what: str, error: BaseError) -> Unreachable:
    """The peer hears that it may try again, the log hears why. It is not the fault of what was sent."""
    _log.error("Object store failed", extra={"Error": str(error).partition("\n")[0][:300]})
    return Unreachable(f"The object store cannot {what}")


def _blocks(answer: "obstore.GetResult", length: int, block_bytes: int) -> Iterator[bytes]:
    missing = length
    try:
        for block in answer.stream(min_chunk_size=block_bytes):
            missing -= len(block)
            yield bytes(block)
    except BaseError as error:
        raise _unreachable("be read", error) from error
    if missing:
        raise PacsError(SHORTER)


class SpoolWriter:
    """One object that waits to be uploaded."""

    def __init__(self, store: ObjectStore, key: str, *, threshold_bytes: int, folder: str | None) -> None:
        """Up to `threshold_bytes` in memory, more in an unnamed file in `folder`."""
        self._store = store
        self._key = key
        self._threshold = threshold_bytes
        self._folder = folder
        self._memory = bytearray()
        self._file: Any = None
        self._uploaded = False

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        if self._file is None:
            self._memory += data
            if len(self._memory) <= self._threshold:
                return
            self._file = tempfile.TemporaryFile(dir=self._folder, buffering=0)  # noqa: SIM115  It lives as long as this writer.
            data, self._memory = self._memory, bytearray()
        rest = memoryview(data).cast("B")
        while rest:
            rest = rest[self._file.write(rest) :]

    def view(self) -> memoryview:
        """Everything written so far."""
        if self._file is None:
            return memoryview(self._memory)
        return memoryview(mmap.mmap(self._file.fileno(), 0, prot=mmap.PROT_READ))

    def hurry(self) -> None:
        """There is nothing that could begin before the object is complete."""

    def commit(self) -> None:
        """Upload. The request is refused by the service if the key exists, where the service can do that."""
        try:
            if self._file is None:
                self._put_small()
            else:
                self._file.seek(0)
                obstore.put(
                    self._store,
                    self._key,
                    self._file,
                    use_multipart=True,
                    chunk_size=_PART_BYTES,
                    max_concurrency=_PARALLEL_PARTS,
                )
        except BaseError as error:
            raise _unreachable("be written", error) from error
        self._uploaded = True
        self._drop()

    def _put_small(self) -> None:
        data = bytes(self._memory)
        try:
            obstore.put(self._store, self._key, data, mode="create")
        except AlreadyExistsError as error:
            raise PacsError("The object store has this key already") from error
        except NotSupportedError:
            obstore.put(self._store, self._key, data, use_multipart=False)

    def abort(self) -> None:
        """Forget the object; remove it if it was uploaded."""
        self._drop()
        if self._uploaded:
            try:
                obstore.delete(self._store, self._key)
            except FileNotFoundError:
                pass
            except BaseError as error:
                raise _unreachable("delete", error) from error

    def _drop(self) -> None:
        self._memory = bytearray()
        if self._file is not None:
            self._file.close()
            self._file = None
