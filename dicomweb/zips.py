"""Objects as a zip file (PS3.18 8.6.1.3) that is a DICOM file-set, with a DICOMDIR at its root (PS3.10 8.6).

The zip is written while it is sent and nothing is compressed, so memory holds one block of one object, and the length
is known beforehand unless objects have to be converted. The directory is made first, of the metadata that ingest
kept. Sizes and check sums follow each member's data, because the writer cannot go back (APPNOTE.TXT 4.3.9).
"""

import uuid
import zipfile
from collections.abc import Callable, Generator, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from typing import IO, Final, cast

import orjson

from dicomweb.edge import Call
from dicomweb.replies import Headers, Reply, StreamReply, open_reply
from index.records import StoredInstance
from storage.dicomdir import Directory, FileId

_DIRECTORY: Final = "DICOMDIR"
_DATE: Final = (1980, 1, 1, 0, 0, 0)
"""The same bytes each time: a member's date would be that of the request."""

_LOCAL_BYTES: Final = 30
_LOCAL_64_BYTES: Final = 20
_DESCRIPTOR_64_BYTES: Final = 24
_CENTRAL_BYTES: Final = 46
_END_BYTES: Final = 22
_END_64_BYTES: Final = 56 + 20
_LIMIT_32: Final = 2**31 - 1
_LIMIT_MEMBERS: Final = 65535


@dataclass(frozen=True, slots=True)
class Member:
    """An object on its way into the zip."""

    instance: StoredInstance
    transfer_syntax_uid: str
    open: Callable[[], Iterable[bytes]]
    length_bytes: int | None


def zip_reply(call: Call, members: Sequence[Member], file_name: str, headers: Headers) -> Reply | StreamReply:
    """The zip with these objects, which are ordered by series. Blocks."""
    named = list(zip(_file_ids(members), members, strict=True))
    directory = _directory(call, named)
    sizes = [(_DIRECTORY, len(directory))]
    sizes += [("/".join(file_id), member.length_bytes or 0) for file_id, member in named]
    length = None if any(member.length_bytes is None for member in members) else zip_bytes(sizes)
    disposition = f'attachment; filename="{file_name}"'.encode("latin-1", "replace")
    headers = ((b"content-type", b"application/zip"), (b"content-disposition", disposition), *headers)
    return open_reply(200, headers, _blocks(directory, named), call.web.readers, length)


def _file_ids(members: Sequence[Member]) -> list[FileId]:
    """A path for each object: a folder for each series, files numbered within."""
    found: list[FileId] = []
    for series, (_, group) in enumerate(groupby(members, lambda member: member.instance.key.series_instance_uid), 1):
        found += [("DICOM", f"S{series:07}", f"I{number:07}") for number, _ in enumerate(group, 1)]
    return found


def _directory(call: Call, named: Sequence[tuple[FileId, Member]]) -> bytes:
    """The DICOMDIR, of one series' metadata after the other."""
    uids = " ".join(member.instance.key.sop_instance_uid for _, member in named)
    # A UID from the content (PS3.5 B.2): the same instances give the same bytes each time.
    directory = Directory(f"2.25.{uuid.uuid5(uuid.NAMESPACE_OID, uids).int}")
    for _, group in groupby(named, lambda one: one[1].instance.key.series_instance_uid):
        files = {member.instance.key.sop_instance_uid: (file_id, member) for file_id, member in group}
        key = next(iter(files.values()))[1].instance.key
        alone = key.sop_instance_uid if len(files) == 1 else None
        for text in call.archive.metadata(call.principal, key.study_instance_uid, key.series_instance_uid, alone):
            dataset = orjson.loads(text)
            found = files.get(dataset["00080018"]["Value"][0])
            if found is not None:  # Another instance may have come in the meantime.
                directory.add(dataset, found[0], found[1].transfer_syntax_uid)
    return directory.write()


class _Outbox:
    """What the zip writer writes into; emptied after each block. It can neither seek nor tell."""

    def __init__(self) -> None:
        self._blocks: list[bytes] = []

    def write(self, data: bytes) -> int:
        """Take a block."""
        self._blocks.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        """Nothing is held back."""

    def take(self) -> list[bytes]:
        """What was written since the last time."""
        blocks, self._blocks = self._blocks, []
        return blocks


def _blocks(directory: bytes, named: Iterable[tuple[FileId, Member]]) -> Generator[bytes, None, None]:
    outbox = _Outbox()
    with zipfile.ZipFile(cast(IO[bytes], outbox), "w", zipfile.ZIP_STORED) as archive:
        yield from _member(archive, outbox, _DIRECTORY, (directory,))
        for file_id, member in named:
            yield from _member(archive, outbox, "/".join(file_id), member.open())
    yield from outbox.take()


def _member(
    archive: zipfile.ZipFile, outbox: _Outbox, name: str, blocks: Iterable[bytes]
) -> Generator[bytes, None, None]:
    # The size is not known to the writer when it writes the head, so every member has room for 64 bits.
    with archive.open(zipfile.ZipInfo(name, _DATE), "w", force_zip64=True) as file:
        for block in blocks:
            file.write(block)
            yield from outbox.take()
    yield from outbox.take()


def zip_bytes(sizes: Iterable[tuple[str, int]]) -> int:
    """Length of the zip with members of these names and sizes, as `zipfile` writes it (APPNOTE.TXT 4.3)."""
    at = directory = members = 0
    for name, size in sizes:
        members += 1
        wide = 2 * (size > _LIMIT_32) + (at > _LIMIT_32)
        directory += _CENTRAL_BYTES + len(name) + (4 + 8 * wide if wide else 0)
        at += _LOCAL_BYTES + len(name) + _LOCAL_64_BYTES + size + _DESCRIPTOR_64_BYTES
    many = members > _LIMIT_MEMBERS or at > _LIMIT_32 or directory > _LIMIT_32
    return at + directory + _END_BYTES + (_END_64_BYTES if many else 0)
