"""Names of new files made durable, with as few fsyncs as there can be.

A file that was synced is not there after a power cut unless its name was too, and the names of the folders above it.
Many threads that wait for the same folder share one fsync; folders above are synced once in the life of a process.
"""

import errno
import os
import threading
from collections.abc import Callable


def folder_of(path: str) -> str:
    """The folder that a path stands in."""
    return path.rpartition("/")[0] or "/"


def fsync_folder(folder: str) -> None:
    """Make the names in a folder durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FolderSyncs:
    """Makes names of new files durable, with as few fsyncs as there can be."""

    def __init__(self, root: str, fsync: Callable[[str], None] = fsync_folder) -> None:
        """`root` and everything below it may be new; what is above it is taken as durable."""
        self._fsync_folder = fsync
        self._lock = threading.Lock()
        self._groups: dict[str, _Group] = {}
        self._durable = {folder_of(root)}

    def sync(self, folder: str) -> None:
        """Returns when all names that are in `folder` now would survive a power cut."""
        with self._lock:
            group = self._groups.setdefault(folder, _Group(self._lock))
            group.asked += 1
            mine = group.asked
            while group.running and group.done < mine:
                group.changed.wait()
            if group.done >= mine:
                group.check(mine)
                return
            group.running = True
            covered = group.asked
        failure: BaseException | None = None
        try:
            self._fsync(folder)
        except BaseException as error:  # Whatever it is, those who wait must not wait for ever.
            failure = error
        with self._lock:
            group.finish(covered, failure)
            if group.asked == covered:
                del self._groups[folder]
        if failure is not None:
            raise failure

    def _fsync(self, folder: str) -> None:
        """Sync a folder and, once in the life of this process, its own name in the folders above it."""
        self._fsync_folder(folder)
        while folder not in self._durable:
            parent = folder_of(folder)
            self._fsync_folder(parent)
            with self._lock:
                self._durable.add(folder)
            folder = parent


class _Group:
    """Threads that wait for one folder. Guarded by the lock of its owner."""

    __slots__ = ("asked", "changed", "done", "failure", "failures_from", "running")

    def __init__(self, lock: threading.Lock) -> None:
        self.asked = 0
        self.done = 0
        self.running = False
        self.changed = threading.Condition(lock)
        self.failure: BaseException | None = None
        self.failures_from = 0

    def finish(self, covered: int, failure: BaseException | None) -> None:
        """A sync of everything asked for up to `covered` has ended."""
        if failure is not None:
            self.failure = failure
            self.failures_from = self.done + 1
        self.done = covered
        self.running = False
        self.changed.notify_all()

    def check(self, mine: int) -> None:
        """After a failed fsync the kernel reports success although nothing was written: so all who shared it fail."""
        if self.failure is not None and mine >= self.failures_from:
            raise OSError(errno.EIO, "The folder could not be synced") from self.failure
