"""What a process tree did to the files of one folder, call by call, as strace saw it.

strace stops each thread at the start and at the end of a system call, so the order of its lines is an order in which
things happened: when a line says that a sync returned, no client can have been told so before. A call that can change
the folder in a way not understood here is an error, never ignored.
"""

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from tests.flows.disk import Disk, File, Folder

_CALLS = (
    "open,openat,openat2,creat,write,writev,pwrite64,pwritev,pwritev2,truncate,ftruncate,fallocate,fsync,fdatasync,sync,"
    "syncfs,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,mkdir,mkdirat,rmdir,link,linkat,symlink,symlinkat,"
    "chdir,fchdir,mmap,copy_file_range,sendfile,splice,io_uring_setup"
)
_NOT_MODELLED = (
    *("pwritev2", "truncate", "fallocate", "syncfs", "link", "linkat", "symlink", "symlinkat"),
    *("copy_file_range", "sendfile", "splice", "chdir", "fchdir"),
)
_BYTE = r"(?:\\x[0-9a-f]{2})"
_LINE = re.compile(r"(?P<pid>\d+)\s+(?P<time>\d+\.\d+) (?P<text>.*)\n?")
_RESUMED = re.compile(r"<\.\.\. (?P<call>\w+) resumed>(?P<text>.*)")
_CALL = re.compile(
    r"(?P<call>\w+)\((?P<arguments>.*)\)\s+= (?P<result>-?\d+|0x[0-9a-f]+)(?P<place><[^>]*>)?.*", re.DOTALL
)
_DESCRIPTOR = re.compile(rf"(?P<number>\d+|AT_FDCWD)<(?P<path>{_BYTE}*|[^>]*)>(?P<deleted>\(deleted\))?")
_STRING = re.compile(rf'"(?P<text>{_BYTE}*)"(?P<cut>\.\.\.)?')
_UNFINISHED = " <unfinished ...>"


def command(program: Sequence[str], into: Path) -> list[str]:
    """The command that runs a program under strace and writes the trace to a file."""
    options = [
        "-f",
        "-ttt",
        "-y",
        "-xx",
        "-s",
        "100000000",
        "--seccomp-bpf",
        "-e",
        f"trace={_CALLS}",
        "-e",
        "signal=none",
    ]
    return ["strace", *options, "-o", str(into), "--", *program]


def record(program: str, folder: Path, into: Path) -> None:
    """Run a Python program in a folder under strace."""
    subprocess.run(command([sys.executable, "-c", program], into), cwd=folder, check=True)


@dataclass(frozen=True, slots=True)
class Event:
    """One line: a call began (only syncs say so) or returned."""

    time: float
    thread: int
    call: str
    arguments: str
    result: int | None
    """None at the start of a sync."""
    place: str = ""

    def writes_to(self, name: str) -> bool:
        """True when the call writes to a file of this name."""
        found = _DESCRIPTOR.match(self.arguments) if self.call.startswith(("write", "pwrite")) else None
        return found is not None and PurePosixPath(_text(found["path"])).name == name


class CannotModel(Exception):
    """The program did something to the folder that the disk does not understand."""


def events(trace: Path) -> Iterator[Event]:
    """The events of a trace; calls that failed are left out."""
    unfinished: dict[int, str] = {}
    with trace.open(encoding="ascii") as lines:
        for line in lines:
            found = _LINE.fullmatch(line)
            if not found or found["text"].startswith(("+++", "---")):
                continue
            thread, time, text = int(found["pid"]), float(found["time"]), found["text"]
            starts = text.endswith(_UNFINISHED)
            if starts:
                text = unfinished[thread] = text.removesuffix(_UNFINISHED)
            elif resumed := _RESUMED.fullmatch(text):
                text = unfinished.pop(thread) + resumed["text"]
            name = text.partition("(")[0]
            if name in ("fsync", "fdatasync") and not (found["text"].startswith("<...")):
                yield Event(time, thread, name, text.partition("(")[2].rstrip(" )"), None)
            if starts:
                continue
            call = _CALL.fullmatch(text)
            if not call:
                raise CannotModel(text[:200])
            result = int(call["result"], 0)
            if result >= 0:
                yield Event(time, thread, call["call"], call["arguments"], result, call["place"] or "")


@dataclass(slots=True)
class Replay:
    """Carries out events on a disk."""

    folder: Path
    disk: Disk = field(default_factory=Disk)
    time: float = 0.0
    _syncing: dict[int, tuple[File | Folder, int]] = field(default_factory=dict)
    _positions: dict[str, int] = field(default_factory=dict)

    def play(self, event: Event) -> bool:
        """Carry out one event. True when it concerned the folder."""
        self.time = event.time
        handler = _HANDLERS.get(event.call)
        if handler is None:
            raise CannotModel(f"{event.call}({event.arguments[:200]})")
        return handler(self, event)

    def _inside(self, path: str) -> PurePosixPath | None:
        """The path relative to the folder, or None when it is elsewhere."""
        found = PurePosixPath(path)
        return found.relative_to(self.folder) if found.is_relative_to(self.folder) else None

    def _descriptor(self, event: Event) -> PurePosixPath | None:
        """The path behind the first argument; a file whose name was removed is gone for good."""
        found = _DESCRIPTOR.match(event.arguments)
        if not found or found["deleted"]:
            return None
        return self._inside(_text(found["path"]))

    def _named(self, event: Event) -> list[PurePosixPath | None]:
        """Each path given as a string, made absolute with the descriptor before it."""
        paths: list[PurePosixPath | None] = []
        for part in _STRING.finditer(event.arguments):
            base = [_text(d["path"]) for d in _DESCRIPTOR.finditer(event.arguments, 0, part.start())]
            path = PurePosixPath(_text(part["text"]))
            # Without a descriptor a path is relative to where the program was started: `chdir` is not modelled.
            paths.append(self._inside(str(PurePosixPath(base[-1] if base else self.folder) / path)))
        return paths

    def open(self, event: Event) -> bool:
        """A file may be made or emptied; where `write` goes on begins anew."""
        place = _text(event.place.strip("<>"))
        path = self._inside(place)
        if path is None or not re.search("O_WRONLY|O_RDWR|O_CREAT|O_TRUNC|O_TMPFILE", event.arguments):
            return False
        if "O_TMPFILE" in event.arguments:
            raise CannotModel("O_TMPFILE")
        if self.disk.find(path) is None:
            self.disk.make(path, File())
        if "O_TRUNC" in event.arguments and self.disk.file(path).size:
            self.disk.file(path).truncate(0)
        self._positions[str(path)] = -1 if "O_APPEND" in event.arguments else 0
        return True

    def write(self, event: Event) -> bool:
        """`write` and `writev`: at the end of what this opening of the file wrote so far."""
        path = self._descriptor(event)
        if path is None:
            return False
        file, position = self.disk.file(path), self._positions[str(path)]
        data = _data(event)
        file.write(file.size if position < 0 else position, data)
        if position >= 0:
            self._positions[str(path)] = position + len(data)
        return True

    def write_at(self, event: Event) -> bool:
        """`pwrite64` and `pwritev`."""
        path = self._descriptor(event)
        if path is None:
            return False
        self.disk.file(path).write(int(event.arguments.rpartition(", ")[2]), _data(event))
        return True

    def truncate(self, event: Event) -> bool:
        """`ftruncate`."""
        path = self._descriptor(event)
        if path is None:
            return False
        self.disk.file(path).truncate(int(event.arguments.rpartition(", ")[2]))
        return True

    def sync(self, event: Event) -> bool:
        """What had returned when a sync was called is durable when it returns."""
        if event.result is not None:
            syncing = self._syncing.pop(event.thread, None)
            if syncing is None:
                return False
            target, mark = syncing
            target.sync(mark)
            return True
        path = self._descriptor(event)
        found = self.disk.find(path) if path is not None else None
        if found is not None:
            self._syncing[event.thread] = (found, found.mark())
        return found is not None

    def make_folder(self, event: Event) -> bool:
        """`mkdir`."""
        (path,) = self._named(event)
        if path is not None:
            self.disk.make(path, Folder())
        return path is not None

    def remove(self, event: Event) -> bool:
        """`unlink` and `rmdir`."""
        (path,) = self._named(event)
        if path is not None:
            self.disk.remove(path)
        return path is not None

    def rename(self, event: Event) -> bool:
        """`rename`."""
        old, new = self._named(event)
        if (old is None) != (new is None):
            raise CannotModel("a rename into or out of the folder")
        if old is not None and new is not None:
            self.disk.rename(old, new)
        return old is not None

    def map(self, event: Event) -> bool:
        """Stores through a shared mapping cannot be seen. SQLite's -shm is made anew at the next start."""
        found = _DESCRIPTOR.search(event.arguments)
        path = self._inside(_text(found["path"])) if found else None
        if path is None or "MAP_SHARED" not in event.arguments or "PROT_WRITE" not in event.arguments:
            return False
        if not path.name.endswith(REBUILT):
            raise CannotModel(f"a shared writable mapping of {path}")
        return True

    def ring(self, event: Event) -> bool:
        """`io_uring_setup`: libuv hands epoll changes over by a plain ring, file operations by a polled one."""
        if "IORING_SETUP_SQPOLL" in event.arguments:
            raise CannotModel("file operations by io_uring")
        return False

    def hint(self, _: Event) -> bool:
        """`sync_file_range` starts writing but promises nothing (its manual page says so)."""
        return False

    def elsewhere(self, event: Event) -> bool:
        """Calls that must not touch the folder, nor go to another one."""
        if event.call in ("chdir", "fchdir"):
            raise CannotModel(event.call)
        found = [d for d in _DESCRIPTOR.finditer(event.arguments) if d["number"] != "AT_FDCWD"]
        inside = [path for path in (*(self._inside(_text(d["path"])) for d in found), *self._named(event)) if path]
        if inside:
            raise CannotModel(f"{event.call} of {inside[0]}")
        return False


REBUILT = ("-shm",)
"""Endings of files whose content is never needed after a cut."""

_HANDLERS = {
    **dict.fromkeys(("open", "openat", "openat2", "creat"), Replay.open),
    **dict.fromkeys(("write", "writev"), Replay.write),
    **dict.fromkeys(("pwrite64", "pwritev"), Replay.write_at),
    **dict.fromkeys(("fsync", "fdatasync"), Replay.sync),
    **dict.fromkeys(("mkdir", "mkdirat"), Replay.make_folder),
    **dict.fromkeys(("unlink", "unlinkat", "rmdir"), Replay.remove),
    **dict.fromkeys(("rename", "renameat", "renameat2"), Replay.rename),
    "ftruncate": Replay.truncate,
    "mmap": Replay.map,
    "sync_file_range": Replay.hint,
    "io_uring_setup": Replay.ring,
    **dict.fromkeys(_NOT_MODELLED, Replay.elsewhere),
}


def _data(event: Event) -> bytes:
    """The bytes of a write; all of them, or as many as it says were written."""
    parts = list(_STRING.finditer(event.arguments))
    if any(part["cut"] for part in parts):
        raise CannotModel("strace shortened a write")
    return b"".join(_bytes(part["text"]) for part in parts)[: event.result]


def _bytes(text: str) -> bytes:
    return bytes.fromhex(text.replace("\\x", ""))


def _text(path: str) -> str:
    """A path, which strace writes in hexadecimal or, between `<` and `>`, as it is."""
    return _bytes(path).decode() if path.startswith("\\x") else path
