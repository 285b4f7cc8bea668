"""Parts of one stored object by the offsets of its layout, read from any point on. Nothing is parsed.

A row whose object is lost, or is shorter than the index says, is damage of the archive and not a wrong question:
it is logged with its UIDs, and the client hears that the server is at fault.
"""

import logging
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Final

from config import settings
from index.errors import CannotUnderstand, Lost, NotFound, PacsError, Unreachable
from index.layout import ByteRange, NativePixels, PixelLayout
from index.records import DicomJson, StoredInstance
from storage import frames
from storage.blobs import BlobStore
from storage.inflate import inflate
from storage.outgoing import BLOCK_BYTES, Read, held
from storage.pixels.description import ImageDescription, StoredFrame
from storage.values import Buffer

_log = logging.getLogger(__name__)

_LARGE_FRAME_BYTES: Final = 64 * 1024**2
"""What is shorter is read without a look at the image."""


class Reader:
    """Reads one object; a deflated one is inflated once."""

    __slots__ = ("_blobs", "_inflated", "_instance", "_limits")

    def __init__(self, blobs: BlobStore, limits: settings.Limits, instance: StoredInstance) -> None:
        self._blobs = blobs
        self._limits = limits
        self._instance = instance
        self._inflated: Buffer = None

    @property
    def pixels(self) -> PixelLayout:
        """Where the frames stand. Raises NotFound."""
        if self._instance.layout.pixels is None:
            raise NotFound("The instance has no frames")
        return self._instance.layout.pixels

    def whole(self) -> memoryview:
        """The whole object."""
        try:
            return self._blobs.view(self._instance.blob_key, self._instance.size_bytes)
        except PacsError as error:
            raise self._damage(error) from error

    def stored(self, offset: int, length: int) -> Iterator[bytes]:
        """Bytes of the object as it lies in the store, in blocks. A lost object is known at once."""
        try:
            return self._watched(self._blobs.stream(self._instance.blob_key, offset, length))
        except PacsError as error:
            raise self._damage(error) from error

    def part(self, *ranges: ByteRange) -> Read:
        """Ranges of the object one after the other, by the layout's way of counting: of a deflated object, in
        the inflated data set."""
        if self._instance.layout.deflated:
            return held(*(memoryview(self.read(*where)) for where in ranges))

        if len(ranges) == 1:
            return partial(self._read_one, ranges[0][0])

        def read(start: int, stop: int) -> Iterator[bytes]:
            at = 0
            for offset, length in ranges:
                first, last = max(start - at, 0), min(stop - at, length)
                if first < last:
                    yield from self.stored(offset + first, last - first)
                at += length
                if at >= stop:
                    break

        return read

    def _read_one(self, offset: int, start: int, stop: int) -> Iterator[bytes]:
        """The frequent case: what fits into one block is one read."""
        if stop - start <= BLOCK_BYTES:
            return iter((self.read(offset + start, stop - start),))
        return self.stored(offset + start, stop - start)

    def read(self, offset: int, length: int) -> bytes:
        """Bytes of the object, by the layout's way of counting."""
        if self._instance.layout.deflated:
            return bytes(self._inflate()[offset : offset + length])
        try:
            return self._blobs.read(self._instance.blob_key, offset, length)
        except PacsError as error:
            raise self._damage(error) from error

    def frame_ranges(self, number: int) -> Sequence[ByteRange]:
        """Where frame `number` stands when it is made of whole bytes of its own. Empty when its bits must be cut out
        of bytes that it shares with its neighbours. Raises NotFound."""
        pixels = self.pixels
        ranges = frames.byte_ranges(pixels, number)
        return () if isinstance(pixels, NativePixels) and pixels.frame_bits % 8 else ranges

    def frame(self, number: int) -> bytes:
        """The bytes of one frame (from 1). Raises NotFound."""
        pixels = self.pixels
        ranges = frames.byte_ranges(pixels, number)
        data = self.read(*ranges[0]) if len(ranges) == 1 else b"".join([self.read(*where) for where in ranges])
        return frames.cut_bits(pixels, number, data) if isinstance(pixels, NativePixels) else data

    def stored_frame(self, number: int, dataset: DicomJson) -> StoredFrame:
        """One frame with all that is needed to understand it. Raises NotFound, and CannotUnderstand for what is far
        longer than the image it claims to be: it would fill the memory before a codec could say so."""
        length = sum(length for _, length in frames.byte_ranges(self.pixels, number))
        if length > _LARGE_FRAME_BYTES and length > 2 * ImageDescription.from_json(dataset).decoded_bytes:
            raise CannotUnderstand(f"Frame {number} has {length} bytes, far more than its image")
        uid = self._instance.transfer_syntax_uid
        return StoredFrame(self.frame(number), dataset, uid, number, self.bulk)

    def bulk(self, path: str) -> bytes:
        """A value that the metadata only refers to."""
        where = self._instance.layout.bulk.get(path)
        if where is None:
            raise CannotUnderstand("The metadata refers to bulk data that the object does not have")
        return self.read(*where)

    def _inflate(self) -> Buffer:
        if self._inflated is None:
            self._inflated = inflate(self.whole(), self._instance.layout.dataset_offset_bytes, self._limits)
        return self._inflated

    def _watched(self, blocks: Iterator[bytes]) -> Iterator[bytes]:
        try:
            yield from blocks
        except PacsError as error:
            raise self._damage(error) from error

    def _damage(self, error: PacsError) -> PacsError:
        """What the client hears: that the store does not answer, which passes, or that the object is lost."""
        if isinstance(error, Unreachable):
            return error
        key = self._instance.key
        uids = {
            "StudyInstanceUID": key.study_instance_uid,
            "SeriesInstanceUID": key.series_instance_uid,
            "SOPInstanceUID": key.sop_instance_uid,
        }
        _log.error("Stored object is lost", extra={**uids, "Key": self._instance.blob_key, "Why": error.detail})
        return Lost()
