"""What the tests of the web services share: requests as clients write them, answers taken apart independently."""

import io
from collections.abc import Iterable
from pathlib import Path

import httpx
import pydicom
from pydicom.filereader import _read_file_meta_info, read_preamble

BOUNDARY = "MESSAGE_boundary.0123456789"
STOW_TYPE = f'multipart/related; type="application/dicom"; boundary={BOUNDARY}'
ANY_SYNTAX = "transfer-syntax=*"
OCTETS = f"multipart/related; type=application/octet-stream; {ANY_SYNTAX}"


def multipart(parts: Iterable[bytes], content_type: str = "application/dicom") -> bytes:
    """A STOW-RS body."""
    head = f"--{BOUNDARY}\r\nContent-Type: {content_type}\r\n\r\n".encode()
    return b"".join(head + part + b"\r\n" for part in parts) + f"--{BOUNDARY}--\r\n".encode()


def stow(client: httpx.Client, *parts: bytes, path: str = "/studies", **headers: str) -> httpx.Response:
    """Store Part 10 objects by one request."""
    return client.post(path, content=multipart(parts), headers={"Content-Type": STOW_TYPE, **headers})


def parts_of(response: httpx.Response) -> list[tuple[str, bytes]]:
    """Content-Type and data of the parts of a multipart answer."""
    kind = response.headers["content-type"]
    assert kind.startswith("multipart/related; type=")
    delimiter = b"--" + kind.rpartition("boundary=")[2].strip('"').encode()
    empty, *parts, end = (b"\r\n" + response.content).split(b"\r\n" + delimiter)
    assert (empty, end) == (b"", b"--\r\n")
    found = []
    for part in parts:
        head, _, data = part.partition(b"\r\n\r\n")
        # OHIF looks for these very letters, at the very start.
        assert head.startswith(b"\r\nContent-Type: ")
        kind, _, _ = head[len("\r\nContent-Type: ") :].partition(b"\r\n")
        found.append((kind.decode(), data))
    return found


def dataset_bytes(part10: bytes) -> bytes:
    """What stands behind preamble and meta group."""
    stream = io.BytesIO(part10)
    read_preamble(stream, force=True)
    _read_file_meta_info(stream)
    return part10[stream.tell() :]


def read(data: bytes | Path) -> pydicom.Dataset:
    """A data set as pydicom understands it."""
    return pydicom.dcmread(io.BytesIO(data) if isinstance(data, bytes) else data, force=True)


def write(ds: pydicom.Dataset) -> bytes:
    """A data set as a Part 10 file."""
    stream = io.BytesIO()
    ds.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def path_of(ds: pydicom.Dataset) -> str:
    """The resource of an instance."""
    return f"/studies/{ds.StudyInstanceUID}/series/{ds.SeriesInstanceUID}/instances/{ds.SOPInstanceUID}"
