"""The audit trail: one JSON object a line, appended to a file that nothing in the server ever rewrites.

Each event is one `write(2)` to a descriptor opened with O_APPEND, so lines of several processes never
mix and an event survives the death of its process at once. The file is synced to disk within a second
of an event by a thread that sleeps otherwise: a power cut can take the last second of the trail, and no
request waits for the disk twice.
"""

import os
import threading
from dataclasses import fields
from pathlib import Path
from typing import Any

import orjson

from index.access import AuditEvent

_SYNC_SECONDS = 1.0
_FIELDS = tuple(field.name for field in fields(AuditEvent))


class AuditLog:
    """Appends events; callable, so that it is an `index.access.Audit`."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self._descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)
        self._unsynced = threading.Event()
        self._closing = threading.Event()
        self._starting = threading.Lock()
        self._syncer: threading.Thread | None = None

    def __call__(self, event: AuditEvent) -> None:
        """Append one event. Empty fields are left out."""
        os.write(self._descriptor, orjson.dumps(_fields(event)) + b"\n")
        if self._syncer is None:
            self._start()
        self._unsynced.set()

    def close(self) -> None:
        """Sync and close."""
        self._closing.set()
        self._unsynced.set()
        if self._syncer:
            self._syncer.join()
        os.fdatasync(self._descriptor)
        os.close(self._descriptor)

    def _start(self) -> None:
        with self._starting:
            if self._syncer is None:
                self._syncer = threading.Thread(target=self._sync, name="audit-sync", daemon=True)
                self._syncer.start()

    def _sync(self) -> None:
        while not self._closing.is_set():
            self._unsynced.wait()
            self._unsynced.clear()
            os.fdatasync(self._descriptor)
            self._closing.wait(_SYNC_SECONDS)


def _fields(event: AuditEvent) -> dict[str, Any]:
    return {name: value for name in _FIELDS if (value := getattr(event, name)) != ""}
