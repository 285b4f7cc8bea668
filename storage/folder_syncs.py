"""Names of new files made durable, with as few fsyncs as there can be and beside the sync of their contents.

A file that was synced is not there after a power cut unless its name was too, and the names of the folders above it.
Two threads sync folders for all: who waits for the same folder shares one fsync, and because it runs while
the writer syncs the content of the file, the disk flushes its cache once for both. On a busy disk that
makes a commit several times faster. Folders above are synced once in the life of a process.
"""

import errno
import os
import threading
from collections.abc import Callable
from contextlib import suppress
from queue import Empty, SimpleQueue

_THREADS = 2
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
    """A sync that was asked for."""

    __slots__ = ("_done", "_failure", "folder")

    def __init__(self, folder: str) -> None:
        self.folder = folder
        self._failure: BaseException | None = None
        self._done = threading.Lock()
        self._done.acquire()

    def wait(self) -> None:
        """Returns when the names would survive a power cut. Raises OSError; all who shared a failed sync fail, because
        after a failure the kernel reports success although nothing was written."""
        self._done.acquire()
        if self._failure is not None:
            raise OSError(errno.EIO, "The folder could not be synced") from self._failure

    def end(self, failure: BaseException | None) -> None:
        """Wake who waits."""
        self._failure = failure
        self._done.release()


class FolderSyncs:
    """Syncs folders in threads of its own, which are started by the first who needs them."""

    def __init__(self, root: str, fsync: Callable[[str], None] = fsync_folder) -> None:
        """`root` and everything below it may be new; what is above it is taken as durable."""
        self._fsync_folder = fsync
        self._durable = {folder_of(root)}
        self._asked: SimpleQueue[Sync] = SimpleQueue()
        self._lock = threading.Lock()
        self._process = 0

    def begin(self, folder: str) -> Sync:
        """Ask that all names which are in `folder` now become durable."""
        if self._process != os.getpid():
            self._start()
        sync = Sync(folder)
        self._asked.put(sync)
        return sync

    def _start(self) -> None:
        """Once in each process: a fork does not take threads along."""
        with self._lock:
            if self._process != os.getpid():
                self._asked = SimpleQueue()
                for number in range(_THREADS):
                    name = f"folder-sync-{number}"
                    threading.Thread(target=self._serve, args=(self._asked,), name=name, daemon=True).start()
                self._process = os.getpid()

    def _serve(self, asked: SimpleQueue[Sync]) -> None:
        while True:
            waiting = [asked.get()]
            with suppress(Empty):
                while True:
                    waiting.append(asked.get_nowait())
            for folder in {sync.folder for sync in waiting}:
                failure: BaseException | None = None
                try:
                    self._sync(folder)
                except BaseException as error:  # Whatever it is, those who wait must not wait for ever.
                    failure = error
                for sync in waiting:
                    if sync.folder == folder:
                        sync.end(failure)

    def _sync(self, folder: str) -> None:
        self._fsync_folder(folder)
        while folder not in self._durable:
            parent = folder_of(folder)
            self._fsync_folder(parent)
            self._durable.add(folder)
            folder = parent
