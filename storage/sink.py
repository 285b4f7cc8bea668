"""Where the bytes of one object go while they arrive: hashed, and written behind a meta group of our own."""

import hashlib

from storage.blobs import BlobStore

BLOCK_BYTES = 128 * 1024
"""What is hashed and written at once. Both release the interpreter's lock, and taking it again may cost a
thread switch, so smaller pieces would be slower; a piece of a P-DATA PDU of 128 KiB goes through without a copy."""

_NEARLY_A_BLOCK_BYTES = BLOCK_BYTES - 1024


class ObjectSink:
    """One object: `meta`, then the data set as received."""

    __slots__ = ("_buffer", "_digest", "_unhashed_from", "_writer", "_written_bytes", "blob_key", "meta_bytes")

    def __init__(self, blobs: BlobStore, blob_key: str, meta: bytes) -> None:
        """Raises OutOfResources when there is no room."""
        self.blob_key = blob_key
        self.meta_bytes = len(meta)
        self._writer = blobs.create(blob_key)
        self._buffer = bytearray(meta)
        self._unhashed_from = len(meta)
        self._digest = hashlib.sha256()
        self._written_bytes = 0

    @property
    def size_bytes(self) -> int:
        """Size of the whole object so far."""
        return self._written_bytes + len(self._buffer)

    def add(self, data: memoryview) -> None:
        """Append to the data set."""
        if len(data) >= _NEARLY_A_BLOCK_BYTES:
            self._flush()
            self._digest.update(data)
            self._put(data)
            return
        self._buffer += data
        if len(self._buffer) >= BLOCK_BYTES:
            self._flush()

    def view(self) -> memoryview:
        """The whole object, nothing of which is missing now. To be dropped before the sink is used again."""
        small = None if self._written_bytes else memoryview(self._buffer)
        self._flush()
        self._writer.hurry()
        return small if small else self._writer.view()

    def digest(self) -> bytes:
        """SHA-256 of the data set so far."""
        self._flush()
        return self._digest.digest()

    def commit(self) -> bytes:
        """Make the object durable. Returns the SHA-256 of the data set."""
        self._flush()
        self._writer.commit()
        return self._digest.digest()

    def abort(self) -> None:
        """Leave nothing behind, also after `commit`."""
        self._buffer = bytearray()
        self._writer.abort()

    def _flush(self) -> None:
        if self._buffer:
            # A fresh buffer rather than an emptied one: a view of the old one may be in use.
            buffer, self._buffer = memoryview(self._buffer), bytearray()
            self._digest.update(buffer[self._unhashed_from :])
            self._unhashed_from = 0
            self._put(buffer)

    def _put(self, data: memoryview) -> None:
        self._writer.write(data)
        self._written_bytes += len(data)
