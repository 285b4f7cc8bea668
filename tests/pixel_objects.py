"""Images in the form the pixel rooms take them: scanned as at ingest, frames cut by the layout."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, generate_uid

from config.settings import Limits
from index.layout import NativePixels
from storage import frames, part10
from storage.inflate import inflate
from storage.pixels.description import StoredFrame
from tests.samples import instance_files

LIMITS = Limits()
LIMIT_BYTES = LIMITS.decoded_bytes


@dataclass(frozen=True)
class StoredObject:
    """A Part 10 file and what ingest keeps of it."""

    data: bytes
    transfer_syntax_uid: str
    scanned: part10.Scanned

    @property
    def number_of_frames(self) -> int:
        pixels = self.scanned.layout.pixels
        return pixels.number_of_frames if pixels else 0

    def _bytes(self, offset: int, length: int) -> bytes:
        layout = self.scanned.layout
        whole = inflate(self.data, layout.dataset_offset_bytes, LIMITS) if layout.deflated else self.data
        return bytes(whole[offset : offset + length])

    def frame(self, number: int) -> StoredFrame:
        """A frame as retrieve hands it to the pixel rooms."""
        pixels = self.scanned.layout.pixels
        data = b"".join(self._bytes(*where) for where in frames.byte_ranges(pixels, number))
        if isinstance(pixels, NativePixels):
            data = frames.cut_bits(pixels, number, data)
        bulk = self.scanned.layout.bulk
        return StoredFrame(
            data, self.scanned.dataset, self.transfer_syntax_uid, number, lambda path: self._bytes(*bulk[path])
        )


def scanned(data: bytes) -> StoredObject:
    """Scan a Part 10 file as ingest does."""
    reader = part10.MetaReader()
    meta = reader.feed(data[: 1024 * 1024]) or reader.finish()
    found = part10.scan(
        data,
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=LIMITS,
        bulk_threshold_bytes=1024,
    )
    return StoredObject(data, meta.transfer_syntax_uid, found)


def load(path: Path) -> StoredObject:
    """A sample file."""
    return scanned(path.read_bytes())


@lru_cache(maxsize=1)
def image_files() -> list[Path]:
    """Sample files that have pixels."""
    return [path for path in instance_files() if load(path).number_of_frames]


def with_meta(dataset: bytes, like: StoredObject, transfer_syntax_uid: str) -> bytes:
    """A Part 10 file around an encoded data set."""
    found = like.scanned
    return (
        part10.build_meta(
            sop_class_uid=found.sop_class_uid,
            sop_instance_uid=found.key.sop_instance_uid,
            transfer_syntax_uid=transfer_syntax_uid,
        )
        + dataset
    )


@contextmanager
def quiet() -> Iterator[None]:
    """pydicom warns about faults of the samples; they are not what is tested here."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def read(data: bytes) -> Dataset:
    """pydicom's view of a Part 10 file."""
    with quiet():
        return pydicom.dcmread(io.BytesIO(data))


def image(pixels: np.ndarray, **attributes: object) -> Dataset:
    """A data set around (frames, rows, columns[, samples]) integers, explicit little endian, native."""
    ds = Dataset()
    ds.file_meta = FileMetaDataset()
    ds.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    ds.SOPClassUID = ds.file_meta.MediaStorageSOPClassUID = "1.2.840.10008.5.1.4.1.1.7"
    ds.SOPInstanceUID = ds.file_meta.MediaStorageSOPInstanceUID = generate_uid(entropy_srcs=["pixels"])
    ds.StudyInstanceUID = ds.SeriesInstanceUID = "1.2.3"
    ds.PatientID = "P"
    bits = 8 * pixels.dtype.itemsize
    ds.NumberOfFrames, ds.Rows, ds.Columns = pixels.shape[:3]
    ds.SamplesPerPixel = pixels.shape[3] if pixels.ndim == 4 else 1
    ds.PhotometricInterpretation = "RGB" if pixels.ndim == 4 else "MONOCHROME2"
    if pixels.ndim == 4:
        ds.PlanarConfiguration = 0
    ds.BitsAllocated = ds.BitsStored = bits
    ds.HighBit = bits - 1
    ds.PixelRepresentation = int(pixels.dtype.kind == "i")
    data = pixels.astype(pixels.dtype.newbyteorder("<")).tobytes()
    ds.add_new(0x7FE00010, "OB" if bits == 8 else "OW", data + b"\0" * (len(data) % 2))
    for keyword, value in attributes.items():
        setattr(ds, keyword, value)
    return ds


def written(ds: Dataset) -> bytes:
    """A data set as a Part 10 file."""
    buffer = io.BytesIO()
    with quiet():
        ds.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()
