"""What an import reads: files, folders, zip files and DICOMDIR media, as one stream of sources.

Nothing is ever unpacked to disk, so a name in a zip file is only a label in the report and cannot lead
anywhere. A zip file is judged by its directory before a byte of it is inflated, and an entry never yields
more than the directory claims.
"""

import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from pydicom import dcmread
from pydicom.errors import InvalidDicomError

from config.settings import Limits

BLOCK_BYTES = 1024**2

_SMALL_ENTRY_BYTES = 16 * 1024**2
_NESTED = (".zip", ".7z", ".rar", ".tar", ".gz", ".tgz", ".bz2", ".xz")
_MEDIA_DIRECTORY = "DICOMDIR"


@dataclass(frozen=True, slots=True)
class Source:
    """One thing to import. `identity` changes when the file does; `found` means that nobody named it."""

    name: str
    size_bytes: int
    identity: str
    blocks: Callable[[], Iterator[bytes]]
    found: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Something that will not be imported, and why."""

    name: str
    reason: str


Finding = Source | Refusal


class Unreadable(Exception):
    """A source failed while it was read."""


def find(paths: list[Path], limits: Limits) -> Iterator[Finding]:
    """Everything to import below the paths, in a stable order."""
    for path in paths:
        if path.is_dir():
            yield from _folder(path, limits)
        elif path.name.upper() == _MEDIA_DIRECTORY:
            yield from _media(path)
        elif path.is_file():
            yield from _file(path, limits, found=False)
        else:
            yield Refusal(str(path), "there is no such file or folder")


def _folder(folder: Path, limits: Limits) -> Iterator[Finding]:
    """All regular files below a folder. Links are not followed: they may lead out of it, or in a circle."""
    try:
        entries = sorted(os.scandir(folder), key=lambda entry: entry.name)
    except OSError as error:
        yield Refusal(str(folder), f"cannot be read: {error.strerror}")
        return
    for entry in entries:
        if entry.is_dir(follow_symlinks=False):
            yield from _folder(Path(entry.path), limits)
        elif entry.is_file(follow_symlinks=False) and entry.name.upper() != _MEDIA_DIRECTORY:
            yield from _file(Path(entry.path), limits, found=True)


def _file(path: Path, limits: Limits, *, found: bool) -> Iterator[Finding]:
    try:
        status = path.stat()
        zipped = status.st_size > 0 and zipfile.is_zipfile(path) and path.suffix.lower() != ".dcm"
    except OSError as error:
        yield Refusal(str(path), f"cannot be read: {error.strerror}")
        return
    if zipped:
        yield from _zip(path, status, limits)
    else:
        yield Source(str(path), status.st_size, _identity(path, status), lambda: _read_file(path), found)


def _identity(path: Path, status: os.stat_result) -> str:
    return f"{path.resolve()}\n{status.st_size}\n{status.st_mtime_ns}"


def _read_file(path: Path) -> Iterator[bytes]:
    try:
        with path.open("rb", buffering=0) as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except OSError as error:
        raise Unreadable(f"cannot be read: {error.strerror}") from error


def _zip(path: Path, status: os.stat_result, limits: Limits) -> Iterator[Finding]:
    try:
        archive = zipfile.ZipFile(path)
    except (zipfile.BadZipFile, OSError, ValueError, NotImplementedError) as error:
        yield Refusal(str(path), f"is not a readable zip file: {error}")
        return
    entries = [entry for entry in archive.infolist() if not entry.is_dir() and _base(entry) != _MEDIA_DIRECTORY]
    if len(entries) > limits.archive_entries:
        yield Refusal(str(path), f"has more than limits.archive_entries = {limits.archive_entries} entries")
    elif sum(entry.file_size for entry in entries) > limits.archive_bytes:
        yield Refusal(str(path), f"unpacks to more than limits.archive_bytes = {limits.archive_bytes}")
    else:
        for entry in entries:
            yield _entry(archive, entry, f"{path}!{entry.filename}", _identity(path, status), limits)


def _base(entry: zipfile.ZipInfo) -> str:
    return entry.filename.rsplit("/", 1)[-1]


def _entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo, name: str, identity: str, limits: Limits) -> Finding:
    too_dense = entry.file_size > max(1, entry.compress_size) * limits.archive_ratio
    if stat.S_ISLNK(entry.external_attr >> 16):
        return Refusal(name, "is a link")
    if entry.flag_bits & 1:
        return Refusal(name, "is encrypted")
    if _base(entry).lower().endswith(_NESTED):
        return Refusal(name, "is an archive inside an archive; unpack it first")
    if entry.file_size > _SMALL_ENTRY_BYTES and too_dense:
        return Refusal(name, f"is compressed more than limits.archive_ratio = {limits.archive_ratio} times")
    label = f"{identity}\n{entry.header_offset}"
    return Source(name, entry.file_size, label, lambda: _read_entry(archive, entry), found=True)


def _read_entry(archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Iterator[bytes]:
    try:
        with archive.open(entry) as file:
            while block := file.read(BLOCK_BYTES):
                yield block
    except (OSError, EOFError, RuntimeError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise Unreadable(f"cannot be unpacked: {error}") from error


def _media(path: Path) -> Iterator[Finding]:
    """The files that a DICOMDIR refers to (PS3.3 F.3.2.2, PS3.10 8.2), kept below the folder it stands in."""
    try:
        directory = dcmread(path)
        references = [record.get("ReferencedFileID") for record in directory.get("DirectoryRecordSequence") or ()]
    except (InvalidDicomError, OSError, EOFError, ValueError, TypeError, AttributeError, KeyError) as error:
        yield Refusal(str(path), f"is not a readable DICOMDIR: {error}")
        return
    root = path.parent.resolve()
    for reference in references:
        if reference:
            parts = [reference] if isinstance(reference, str) else [str(part) for part in reference]
            yield _referenced(root, parts)


def _referenced(root: Path, parts: list[str]) -> Finding:
    name = "\\".join(parts)
    file = root
    for part in parts:
        if part in ("", ".", "..") or "/" in part or "\0" in part:
            return Refusal(name, "is not a file name of DICOM media")
        file = _beside(file, part)
    try:
        resolved = file.resolve(strict=True)
        status = resolved.stat()
    except OSError:
        return Refusal(name, "is named by the DICOMDIR but missing")
    if not resolved.is_relative_to(root) or not stat.S_ISREG(status.st_mode):
        return Refusal(name, "leads out of the folder of the DICOMDIR")
    return Source(str(file), status.st_size, _identity(resolved, status), lambda: _read_file(resolved))


def _beside(folder: Path, part: str) -> Path:
    """File IDs are upper case; a file system that was mounted otherwise shows them in lower case."""
    exact = folder / part
    return exact if exact.exists() or not (folder / part.lower()).exists() else folder / part.lower()
