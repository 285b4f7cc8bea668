"""Names of new files made durable, with as few fsyncs as there can be.

A file that was synced is not there after a power cut unless its name was too, and the names of the folders above it.
A sync serves everybody who asked before it starts: whoever is the first to wait for it runs it. Between asking
and waiting a writer syncs the content of its file, so on a busy server most find their sync done. It needs no thread
of its own: handing over to one and back costs more than the fsync of a folder whose disk has just been
flushed. Folders above are synced once in the life of a process.
"""

import errno
import os
import threading
from collections.abc import Callable

_AT_ONCE = 2
"""With one, whoever comes while a sync is under way would wait for it and then for a whole one more."""


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


class Sync:
    """A sync that was asked for, perhaps by several."""

    __slots__ = ("_failure", "_run", "_running", "ended")

    def __init__(self, run: Callable[[], None]) -> None:
        self._run = run
        self._running = threading.Lock()
        self.ended = False
        self._failure: BaseException | None = None

    def wait(self) -> None:
        """Returns when the names would survive a power cut. Raises OSError; all who shared a failed sync fail, because
        after a failure the kernel reports success although nothing was written."""
        with self._running:
            if not self.ended:
                try:
                    self._run()
                except BaseException as error:  # Whatever it is, the others must not take this for a success.
                    self._failure = error
                finally:
                    self.ended = True
        if self._failure is not None:
            raise OSError(errno.EIO, "The folder could not be synced") from self._failure


class FolderSyncs:
    """Syncs folders, in the threads of those who wait."""

    def __init__(self, root: str, fsync: Callable[[str], None] = fsync_folder) -> None:
        """`root` and everything below it may be new; what is above it is taken as durable."""
        self._fsync_folder = fsync
        self._durable = {folder_of(root)}
        self._lock = threading.Lock()
        self._next: dict[str, Sync] = {}
        """By folder, the sync that was asked for and has not started."""
        self._room = threading.Semaphore(_AT_ONCE)

    def begin(self, folder: str) -> Sync:
        """Ask that all names which are in `folder` now become durable."""
        with self._lock:
            sync = self._next.get(folder)
            if sync is None or sync.ended:
                sync = self._next[folder] = Sync(lambda: self._start(folder))
        return sync

    def _start(self, folder: str) -> None:
        with self._room:
            with self._lock:
                del self._next[folder]  # Who asks from now on may have made a name that this sync misses.
            self._sync(folder)

    def _sync(self, folder: str) -> None:
        self._fsync_folder(folder)
        while folder not in self._durable:
            parent = folder_of(folder)
            self._fsync_folder(parent)
            self._durable.add(folder)
            folder = parent
