"""The object store: whole objects under random keys, written once, never changed.

Two implementations: `storage.folder` writes files itself, because a success that is told to a modality has to
survive a power cut and obstore's LocalStore never calls fsync; `storage.remote` is everything obstore reaches.
"""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Protocol

from config import settings
from storage.folder import FolderStore
from storage.keys import StoredBlob, new_key
from storage.remote import RemoteStore, connect

__all__ = ["BLOCK_BYTES", "BlobStore", "BlobWriter", "StoredBlob", "new_key", "open_store"]

BLOCK_BYTES = 1024**2


class BlobWriter(Protocol):
    """One object on its way in. Exactly one of `commit` and `abort` ends it; `abort` may follow anything."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append; the data are copied or written before this returns."""

    def view(self) -> memoryview:
        """Everything written so far, without a copy where possible. Drop it before `commit` or `abort`."""

    def hurry(self) -> None:
        """Nothing will be written any more: let what takes time begin, and return at once."""

    def commit(self) -> None:
        """Returns when the object would survive a power cut. It is never seen half written under a known key,
        because nobody knows its key before this has returned."""

    def abort(self) -> None:
        """Leave nothing behind."""


class BlobStore(Protocol):
    """Whole objects by key. Every method may be called from any thread."""

    def create(self, key: str) -> BlobWriter:
        """Begin an object. Raises OutOfResources when the disk is nearly full."""

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly these bytes. Raises NotFound when there is no such object, PacsError when it is too short."""

    def stream(self, key: str, offset: int, length: int, block_bytes: int = BLOCK_BYTES) -> Iterator[bytes]:
        """Exactly these bytes in blocks. NotFound is raised here and not at the first block."""

    def view(self, key: str, length: int) -> memoryview:
        """A whole object as memory, for what has to look at all of it; a large one is mapped, not loaded."""

    def delete(self, keys: Iterable[str]) -> None:
        """Remove objects; a key that does not exist is no error."""

    def walk(self, prefix: str = "") -> Iterator[StoredBlob]:
        """All objects below a prefix that ends in `/`, in the order of their keys."""

    def new_key(self, tenant: str) -> str:
        """A fresh key."""


def open_store(storage: settings.Storage) -> BlobStore:
    """The store that the settings name."""
    if storage.url.startswith("file:"):
        root = Path(storage.url.removeprefix("file:").removeprefix("//"))
        return FolderStore(root, minimum_free_percent=storage.minimum_free_percent)
    return RemoteStore(
        connect(storage),
        spool_folder=storage.spool_folder or None,
        spool_threshold_bytes=storage.spool_threshold_bytes,
    )
