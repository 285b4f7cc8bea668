"""Objects as files in a local folder, durable when `commit` returns.

A file is created under its final name with O_EXCL: no rename is needed, because its name is random and unknown to
everybody until its row is committed. `commit` makes the content durable (fdatasync) and the name
(`storage.folder_syncs`).
"""

import ctypes
import mmap
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

from index.errors import NotFound, OutOfResources, PacsError
from storage.folder_syncs import FolderSyncs, folder_of, fsync_folder
from storage.keys import MISSING, SHORTER, StoredBlob, new_key

_SETTLE_BYTES = 16 * 1024**2
_SYNC_FILE_RANGE_WRITE = 2
_SYNC_FILE_RANGE_WAIT = 1 | 2 | 4
_OPEN_FILES = 256
_FREE_SPACE_SECONDS = 1.0
_SUFFIXES = (".dcm", ".json")
"""Of objects: whatever else lies in the folder is not ours."""
_CREATE_FLAGS = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC | os.O_NOFOLLOW


def _find_sync_file_range() -> Callable[[int, int, int, int], int] | None:
    """sync_file_range(2), which Python does not have; Linux only, and only ever a hint here."""
    function: Any = getattr(ctypes.CDLL(None), "sync_file_range", None)
    if function is not None:
        function.argtypes = [ctypes.c_int, ctypes.c_int64, ctypes.c_int64, ctypes.c_uint]
    return function  # type: ignore[no-any-return]


_sync_file_range = _find_sync_file_range()


class FolderStore:
    """The object store in a folder of this machine."""

    def __init__(self, root: Path, *, minimum_free_percent: float = 0.0) -> None:
        """Creates `root` if needed. Below `minimum_free_percent` of free disk space `create` refuses."""
        root = root.resolve()
        missing = [folder for folder in (root, *root.parents) if not folder.exists()]
        root.mkdir(parents=True, exist_ok=True)
        for folder in missing:
            fsync_folder(str(folder.parent))
        self._root = str(root)
        self._syncs = FolderSyncs(self._root)
        self._files = _OpenFiles(self._root)
        self._space = _FreeSpace(self._root, minimum_free_percent)

    def new_key(self, tenant: str) -> str:
        """A fresh key."""
        return new_key(tenant)

    def create(self, key: str) -> "FileWriter":
        """Begin an object. Raises OutOfResources when the disk is nearly full."""
        self._space.require()
        return FileWriter(f"{self._root}/{key}", self._syncs)

    def read(self, key: str, offset: int, length: int) -> bytes:
        """Exactly these bytes: one pread, no seek, no lock."""
        return _pread(self._files.open(key), offset, length)

    def stream(self, key: str, offset: int, length: int, block_bytes: int = 1024**2) -> Iterator[bytes]:
        """Exactly these bytes in blocks."""
        file = self._files.open(key)
        return (
            _pread(file, start, min(block_bytes, offset + length - start))
            for start in range(offset, offset + length, block_bytes)
        )

    def view(self, key: str, length: int) -> memoryview:
        """A whole object as memory: only pages that are looked at are read."""
        file = self._files.open(key)
        if os.fstat(file.fd).st_size < length:
            raise PacsError(SHORTER)
        return _mapped(file.fd, length)

    def delete(self, keys: Iterable[str]) -> None:
        """Remove files. Not synced: a file that comes back after a power cut is an orphan and swept again."""
        for key in keys:
            self._files.forget(key)
            Path(self._root, key).unlink(missing_ok=True)

    def walk(self, prefix: str = "") -> Iterator[StoredBlob]:
        """All objects below a prefix that ends in `/`, in the order of their keys."""
        try:
            entries = sorted(os.scandir(f"{self._root}/{prefix}"), key=lambda entry: entry.name)
        except FileNotFoundError:
            return
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                yield from self.walk(f"{prefix}{entry.name}/")
            elif entry.name.endswith(_SUFFIXES):
                try:
                    status = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue
                yield StoredBlob(prefix + entry.name, status.st_size, status.st_mtime)


class FileWriter:
    """One new file."""

    __slots__ = ("_fd", "_path", "_settled", "_size", "_syncs")

    def __init__(self, path: str, syncs: FolderSyncs) -> None:
        """The file itself is made by the first write, so an object refused at once never touches the disk."""
        self._path = path
        self._syncs = syncs
        self._fd = -1
        self._size = 0
        self._settled = 0

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Append."""
        if self._fd < 0:
            self._fd = self._create()
        rest = memoryview(data).cast("B")
        while rest:
            written = os.write(self._fd, rest)
            self._size += written
            rest = rest[written:]
        if self._size - self._settled >= 2 * _SETTLE_BYTES:
            self._settle()

    def _settle(self) -> None:
        """Wait until the older part of a large object is on the disk, and let go of its memory.

        Otherwise gigabytes would be written by the one fdatasync at the end, all other commits would wait behind
        it, and a single large object would push everything else out of the page cache.
        """
        if _sync_file_range is not None:
            _sync_file_range(self._fd, self._settled, _SETTLE_BYTES, _SYNC_FILE_RANGE_WAIT)
            os.posix_fadvise(self._fd, self._settled, _SETTLE_BYTES, os.POSIX_FADV_DONTNEED)
            _sync_file_range(self._fd, self._settled + _SETTLE_BYTES, 0, _SYNC_FILE_RANGE_WRITE)
        self._settled += _SETTLE_BYTES

    def _create(self) -> int:
        try:
            return os.open(self._path, _CREATE_FLAGS, 0o640)
        except FileNotFoundError:
            Path(folder_of(self._path)).mkdir(mode=0o750, parents=True, exist_ok=True)
            return os.open(self._path, _CREATE_FLAGS, 0o640)

    def view(self) -> memoryview:
        """The file as memory: only pages that are looked at are read."""
        return _mapped(self._fd, self._size, scanned=True)

    def hurry(self) -> None:
        """Let the disk begin to write without waiting for it: what the caller does until `commit` is then free.
        The commit of 526 KB after 0.5 ms of other work takes 0.1 ms instead of 0.5 ms."""
        if _sync_file_range is not None and self._fd >= 0:
            _sync_file_range(self._fd, 0, 0, _SYNC_FILE_RANGE_WRITE)

    def commit(self) -> None:
        """Make the content durable, and the name, which another writer may have done meanwhile."""
        if self._fd < 0:
            self._fd = self._create()
        names = self._syncs.begin(folder_of(self._path))
        try:
            os.fdatasync(self._fd)
        finally:
            names.wait()
        self._close()

    def abort(self) -> None:
        """Remove the file if there is one."""
        self._close()
        Path(self._path).unlink(missing_ok=True)

    def _close(self) -> None:
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            os.close(fd)


class _File:
    """An open file that closes itself when the last reader lets go of it."""

    __slots__ = ("fd",)

    def __init__(self, path: str) -> None:
        self.fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NOFOLLOW)

    def __del__(self) -> None:
        try:
            os.close(self.fd)
        except AttributeError:
            pass  # The file could not be opened.


class _OpenFiles:
    """The files read last, kept open: frames of one object are asked for one by one."""

    def __init__(self, root: str) -> None:
        self._root = root
        self._lock = threading.Lock()
        self._files: dict[str, _File] = {}

    def open(self, key: str) -> _File:
        """The file of a key. Raises NotFound."""
        file = self._files.get(key)
        if file is None:
            try:
                file = _File(f"{self._root}/{key}")
            except FileNotFoundError as error:
                raise NotFound(MISSING) from error
            with self._lock:
                while len(self._files) >= _OPEN_FILES:
                    self._files.pop(next(iter(self._files)))
                self._files[key] = file
        return file

    def forget(self, key: str) -> None:
        """Close the file as soon as nobody reads it, or a deleted file would keep its space."""
        with self._lock:
            self._files.pop(key, None)


def _pread(file: _File, offset: int, length: int) -> bytes:
    data = os.pread(file.fd, length, offset)
    if len(data) == length:
        return data
    parts = [data]
    missing = length - len(data)
    while missing:  # The kernel moves at most 2 GiB in one call.
        data = os.pread(file.fd, missing, offset + length - missing)
        if not data:
            raise PacsError(SHORTER)
        parts.append(data)
        missing -= len(data)
    return b"".join(parts)


def _mapped(fd: int, length: int, *, scanned: bool = False) -> memoryview:
    if not length:
        return memoryview(b"")
    mapped = mmap.mmap(fd, length, prot=mmap.PROT_READ)
    if length >= _SETTLE_BYTES and scanned:
        mapped.madvise(mmap.MADV_RANDOM)  # It jumps from fragment to fragment: what stands between is not wanted.
    return memoryview(mapped)


class _FreeSpace:
    """Refuses before the disk is full, because a full disk stops the index too."""

    def __init__(self, root: str, minimum_percent: float) -> None:
        self._root = root
        self._minimum_percent = minimum_percent
        self._looked = float("-inf")
        self._percent = 100.0

    def require(self) -> None:
        """Raises OutOfResources. The disk is asked once a second."""
        now = time.monotonic()
        if now - self._looked > _FREE_SPACE_SECONDS:
            status = os.statvfs(self._root)
            self._percent = 100.0 * status.f_bavail / max(1, status.f_blocks)
            self._looked = now
        if self._percent < self._minimum_percent:
            raise OutOfResources(f"Less than {self._minimum_percent:g} % of the disk is free")
