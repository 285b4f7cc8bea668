"""A disk that forgets: what a power cut may leave of the files a program wrote.

Only two promises are believed, those POSIX gives. `fsync` and `fdatasync` of a file make its content durable, as far as
writes had returned when it was called. `fsync` of a folder makes the names in it durable, as far as they had been made
or removed. Everything else is pending: after the cut each pending write may be there, missing, or there in some of its
sectors only, and each pending name may be there or not. Real file systems promise more (ext4 brings the name along with
the content); a program that is safe here is safe there.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

SECTOR_BYTES = 512

Keep = Callable[[], bool]
"""Decides whether one pending thing survived."""


@dataclass(slots=True)
class Write:
    """Bytes at an offset, not durable yet. `data` None: the file is cut or grown to `offset` bytes."""

    offset: int
    data: bytes | None

    def apply(self, content: bytearray) -> None:
        """Carry it out."""
        if self.data is None:
            del content[self.offset :]
            content.extend(bytes(self.offset - len(content)))
            return
        content.extend(bytes(max(0, self.offset - len(content))))
        content[self.offset : self.offset + len(self.data)] = self.data

    def survivors(self, keep: Keep) -> Iterator["Write"]:
        """Itself, nothing, or some of its sectors."""
        if self.data is None or len(self.data) <= SECTOR_BYTES:
            if keep():
                yield self
            return
        for start in range(0, len(self.data), SECTOR_BYTES):
            if keep():
                yield Write(self.offset + start, self.data[start : start + SECTOR_BYTES])


@dataclass(slots=True)
class File:
    """A file: what is durable, and what is not."""

    durable: bytearray = field(default_factory=bytearray)
    pending: list[Write] = field(default_factory=list)
    size: int = 0
    """As the program sees it."""
    synced: int = 0
    """How many writes are durable."""

    def mark(self) -> int:
        """How many writes there were so far: what a sync that begins now covers."""
        return self.synced + len(self.pending)

    def write(self, offset: int, data: bytes) -> None:
        """A write has returned."""
        self.pending.append(Write(offset, data))
        self.size = max(self.size, offset + len(data))

    def truncate(self, size: int) -> None:
        """The size was set."""
        self.pending.append(Write(size, None))
        self.size = size

    def sync(self, mark: int) -> None:
        """All writes up to the mark are durable now."""
        covered = max(0, mark - self.synced)
        for write in self.pending[:covered]:
            write.apply(self.durable)
        del self.pending[:covered]
        self.synced += covered

    def after_cut(self, keep: Keep) -> bytes:
        """Content when the power is back."""
        content = bytearray(self.durable)
        for write in self.pending:
            for survivor in write.survivors(keep):
                survivor.apply(content)
        return bytes(content)


@dataclass(slots=True)
class Name:
    """A change of a folder: `name` now leads to `target`, or to nothing."""

    name: str
    target: "File | Folder | None"


@dataclass(slots=True)
class Folder:
    """A folder: names as the program sees them, durable ones, and changes that are not durable."""

    seen: dict[str, "File | Folder"] = field(default_factory=dict)
    durable: dict[str, "File | Folder"] = field(default_factory=dict)
    pending: list[tuple[Name, ...]] = field(default_factory=list)
    """Each change is one or, for a rename, two names that change together."""
    synced: int = 0
    """How many changes are durable."""

    def mark(self) -> int:
        """How many changes there were so far: what a sync that begins now covers."""
        return self.synced + len(self.pending)

    def change(self, *names: Name) -> None:
        """Make, remove or rename."""
        self.pending.append(names)
        _set(self.seen, names)

    def sync(self, mark: int) -> None:
        """All changes up to the mark are durable now."""
        covered = max(0, mark - self.synced)
        for names in self.pending[:covered]:
            _set(self.durable, names)
        del self.pending[:covered]
        self.synced += covered

    def after_cut(self, keep: Keep) -> dict[str, "File | Folder"]:
        """Names when the power is back."""
        left = dict(self.durable)
        for names in self.pending:
            if keep():
                _set(left, names)
        return left


def _set(entries: dict[str, "File | Folder"], names: tuple[Name, ...]) -> None:
    for name in names:
        if name.target is None:
            entries.pop(name.name, None)
        else:
            entries[name.name] = name.target


class Disk:
    """Everything below one folder, which itself is durable."""

    def __init__(self) -> None:
        self.root = Folder()

    def find(self, path: PurePosixPath) -> "File | Folder | None":
        """What the program sees at a path."""
        found: File | Folder | None = self.root
        for part in path.parts:
            found = found.seen.get(part) if isinstance(found, Folder) else None
        return found

    def folder(self, path: PurePosixPath) -> Folder:
        """The folder at a path, which must exist."""
        found = self.find(path)
        assert isinstance(found, Folder), path
        return found

    def file(self, path: PurePosixPath) -> File:
        """The file at a path, which must exist."""
        found = self.find(path)
        assert isinstance(found, File), path
        return found

    def make(self, path: PurePosixPath, what: "File | Folder") -> None:
        """A new name."""
        self.folder(path.parent).change(Name(path.name, what))

    def remove(self, path: PurePosixPath) -> None:
        """A name less."""
        self.folder(path.parent).change(Name(path.name, None))

    def rename(self, old: PurePosixPath, new: PurePosixPath) -> None:
        """Another name in the same folder, at once."""
        assert old.parent == new.parent, "renaming across folders is not modelled"
        folder = self.folder(old.parent)
        folder.change(Name(new.name, folder.seen[old.name]), Name(old.name, None))

    def after_cut(self, into: Path, keep: Keep, *, without: tuple[str, ...] = ()) -> None:
        """Write to `into` what a power cut at this moment leaves. Names that end in one of `without` are left out."""
        _write(self.root, into, keep, without)


def nothing_more() -> Keep:
    """The strictest disk: whatever was not synced is lost."""
    return lambda: False


def by_chance(chance: random.Random) -> Keep:
    """A disk that had written some of it, in an order of its own. How much differs from cut to cut."""
    share = chance.random()
    return lambda: chance.random() < share


def _write(folder: Folder, into: Path, keep: Keep, without: tuple[str, ...]) -> None:
    for name, what in folder.after_cut(keep).items():
        if isinstance(what, Folder):
            (into / name).mkdir()
            _write(what, into / name, keep, without)
        elif not name.endswith(without):
            (into / name).write_bytes(what.after_cut(keep))
