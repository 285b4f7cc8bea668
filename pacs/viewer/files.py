"""The installed files of the viewer: the table that the installer writes and the server reads."""

import gzip
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final, Literal

import orjson

INDEX: Final = "index.html"
_TABLE: Final = "files.json"

Encoding = Literal["br", "gzip", "identity"]


@dataclass(frozen=True, slots=True)
class StoredFile:
    """One file. `hashed`: its name changes with its content, so that it may be kept for ever."""

    path: str
    media_type: str
    size_bytes: int
    digest: str
    compressed: bool
    hashed: bool


def write_table(folder: Path, files: list[StoredFile]) -> None:
    """Write the table; it comes last, so that a folder with a table is complete."""
    text = orjson.dumps(
        [asdict(file) for file in sorted(files, key=lambda file: file.path)], option=orjson.OPT_INDENT_2
    )
    (folder / _TABLE).write_bytes(text)


def read_table(folder: Path) -> dict[str, StoredFile]:
    """Path -> file; empty when the viewer is not installed."""
    try:
        rows = orjson.loads((folder / _TABLE).read_bytes())
    except FileNotFoundError:
        return {}
    return {row["path"]: StoredFile(**row) for row in rows}


def read_file(folder: Path, file: StoredFile, encoding: Encoding) -> bytes:
    """The bytes of a file in one of its encodings."""
    if not file.compressed:
        return (folder / file.path).read_bytes()
    if encoding == "br":
        return (folder / f"{file.path}.br").read_bytes()
    data = (folder / f"{file.path}.gz").read_bytes()
    return data if encoding == "gzip" else gzip.decompress(data)
