"""A socket with a deadline for every wait, one pooled buffer and no needless delay.

All sockets are non-blocking and wait in `poll`, so that one code serves plain and TLS connections and
an idle association is a sleeping thread: no timer wakes it and it holds no buffer.

Nagle's algorithm decides more than any code does. We turn it off for what we send. A peer that leaves
it on (DCMTK does) writes the head of a PDU, and keeps the rest back until the head is acknowledged;
our kernel delays that acknowledgement by 40 ms because it hopes to send it along with an answer. So
`TCP_QUICKACK` (which Linux forgets again) is set before a wait that finds no more than the head of a PDU,
and once a wait was as long as that delay, before every later one. It is not set for every wait from the
start, because acknowledging each segment costs up to a tenth of the rate of peers that never stall.
"""

import contextlib
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import Sequence

Buffer = bytes | bytearray | memoryview

STALL_SECONDS = 0.030
"""A wait of this length inside a message looks like a delayed acknowledgement (40 ms on Linux)."""

PDU_HEAD_BYTES = 12
"""Heads of a P-DATA PDU and of its first PDV."""

_MOST_PARTS = 512
"""Parts of one sendmsg; the kernel takes 1,024 (IOV_MAX)."""

_QUICK_ACK = getattr(socket, "TCP_QUICKACK", None)
_AGAIN = (BlockingIOError, ssl.SSLWantReadError)


class UpperLayerError(Exception):
    """The association is over."""


class ConnectionLost(UpperLayerError):
    """The peer went away."""


class TimedOut(UpperLayerError):
    """The peer was silent for too long."""


class BufferPool:
    """Receive buffers that associations share: a buffer is held while a message comes in, not while idle."""

    def __init__(self, size_bytes: int) -> None:
        """All buffers have the same size."""
        self.size_bytes = size_bytes
        self._free: deque[bytearray] = deque(maxlen=64)

    def take(self) -> bytearray:
        """A buffer with any content."""
        try:
            return self._free.pop()
        except IndexError:
            return bytearray(self.size_bytes)

    def give(self, buffer: bytearray) -> None:
        """Take back a buffer."""
        self._free.append(buffer)


class Connection:
    """One TCP or TLS connection. Used by one thread; only `wake` may be called from others."""

    def __init__(self, sock: socket.socket, pool: BufferPool) -> None:
        """`sock` is connected, and its TLS handshake is done."""
        sock.setblocking(False)
        is_tcp = sock.family in (socket.AF_INET, socket.AF_INET6)
        self._quick_ack = _QUICK_ACK if is_tcp else None
        if is_tcp:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._sock = sock
        self._tls = sock if isinstance(sock, ssl.SSLSocket) else None
        self._pool = pool
        self._buffer: bytearray | None = None
        self._view = memoryview(b"")
        self._start = 0
        self._end = 0
        self._stalls = False
        self._readable = select.poll()
        self._readable.register(sock, select.POLLIN)

    def fileno(self) -> int:
        """The descriptor of the socket, to wait for."""
        return self._sock.fileno()

    @property
    def buffered(self) -> int:
        """Bytes that were received and not yet taken."""
        return self._end - self._start

    def wait_idle(self, seconds: float) -> None:
        """Wait for the next byte without holding a buffer. Raises TimedOut."""
        if self.buffered or self.readable():
            return
        self._give_buffer()
        if not self._readable.poll(seconds * 1000):
            raise TimedOut(f"silent for {seconds:g} s")

    def readable(self) -> bool:
        """True when bytes (or the end of the connection) can be had without waiting."""
        if self.buffered:
            return True
        if self._tls is None:
            return bool(self._readable.poll(0))
        # What TLS has received may be no data at all, or data that the kernel no longer knows of.
        self._make_room(1)
        try:
            self._end += self._sock.recv_into(self._view[self._end :])
        except _AGAIN:
            return False
        except OSError:
            return True  # Receiving will tell.
        return True

    def fill(self, count: int, deadline: float) -> None:
        """Receive until `count` bytes are buffered. Raises ConnectionLost or TimedOut (`deadline`: time.monotonic)."""
        while self._end - self._start < count:
            self._make_room(count)
            try:
                received = self._sock.recv_into(self._view[self._end :])
            except _AGAIN:
                self._wait(deadline)
            except OSError as exc:
                raise ConnectionLost(f"receiving failed: {exc.strerror}") from exc
            else:
                if not received:
                    raise ConnectionLost("the peer closed the connection")
                self._end += received

    def take(self, count: int) -> memoryview:
        """The next `count` buffered bytes; the view is valid until the next call of `fill`."""
        start = self._start
        self._start = start + count
        return self._view[start : start + count]

    def read(self, count: int, deadline: float) -> bytes:
        """The next `count` bytes, which may be more than the buffer holds. For the rare large association PDU."""
        whole = bytearray()
        while len(whole) < count:
            piece = min(count - len(whole), self._pool.size_bytes)
            self.fill(piece, deadline)
            whole += self.take(piece)
        return bytes(whole)

    def send(self, parts: Sequence[Buffer], patience_seconds: float) -> None:
        """Send all parts. Raises ConnectionLost, or TimedOut when nothing could be sent for `patience_seconds`."""
        try:
            if self._tls is not None:
                self._send_tls(memoryview(b"".join(parts)), patience_seconds)
            else:
                for first in range(0, len(parts), _MOST_PARTS):
                    self._send_plain(list(parts[first : first + _MOST_PARTS]), patience_seconds)
        except OSError as exc:
            raise ConnectionLost(f"sending failed: {exc.strerror}") from exc

    def wake(self) -> None:
        """End the waiting of the thread that owns this connection: it sees the end of input, but can still send."""
        try:
            # SSLSocket.shutdown would drop the TLS state that the owning thread still uses.
            socket.socket.shutdown(self._sock, socket.SHUT_RD)
        except OSError:
            return

    def close(self) -> None:
        """Close at once."""
        self._give_buffer()
        self._sock.close()

    def close_after_peer(self, seconds: float) -> None:
        """Say that we are done, wait for the peer to close, then close.

        Closing while unread bytes are on their way would reset the connection, and the reset would
        overtake the A-ASSOCIATE-RJ or A-ABORT that we have just sent.
        """
        deadline = time.monotonic() + seconds
        try:
            self._sock.shutdown(socket.SHUT_WR)
            while True:
                self._start = self._end = 0
                self.fill(1, deadline)
        except (OSError, UpperLayerError):
            self.close()

    def _make_room(self, count: int) -> None:
        if self._buffer is None:
            self._buffer = self._pool.take()
            self._view = memoryview(self._buffer)
            self._start = self._end = 0
        elif self._start == self._end:
            self._start = self._end = 0
        elif self._start + count > len(self._buffer):
            rest = self._end - self._start
            self._view[:rest] = self._view[self._start : self._end]
            self._start, self._end = 0, rest

    def _give_buffer(self) -> None:
        if self._buffer is not None:
            self._view = memoryview(b"")
            self._pool.give(self._buffer)
            self._buffer = None
            self._start = self._end = 0

    def _wait(self, deadline: float) -> None:
        if self._quick_ack is not None and (self._stalls or self.buffered <= PDU_HEAD_BYTES):
            with contextlib.suppress(OSError):  # The peer may be gone; receiving will tell.
                self._sock.setsockopt(socket.IPPROTO_TCP, self._quick_ack, 1)
        started = time.monotonic()
        if started >= deadline or not self._readable.poll(max(1, (deadline - started) * 1000)):
            raise TimedOut("a PDU was not complete in time")
        if not self._stalls and time.monotonic() - started >= STALL_SECONDS:
            self._stalls = True

    def _send_plain(self, parts: list[Buffer], patience_seconds: float) -> None:
        while parts:
            try:
                sent = self._sock.sendmsg(parts)
            except BlockingIOError:
                self._wait_writable(patience_seconds)
                continue
            done = 0
            while done < len(parts) and sent >= len(parts[done]):
                sent -= len(parts[done])
                done += 1
            del parts[:done]
            if sent:
                parts[0] = memoryview(parts[0])[sent:]

    def _send_tls(self, data: memoryview, patience_seconds: float) -> None:
        while data:
            try:
                data = data[self._sock.send(data) :]
            except ssl.SSLWantWriteError:
                self._wait_writable(patience_seconds)

    def _wait_writable(self, patience_seconds: float) -> None:
        writable = select.poll()
        writable.register(self._sock, select.POLLOUT)
        if not writable.poll(patience_seconds * 1000):
            raise TimedOut("the peer does not read what we send")


def wait_any(connections: Sequence[Connection], seconds: float) -> None:
    """Wait until one of several connections has something to receive. Raises TimedOut."""
    readable = select.poll()
    for connection in connections:
        readable.register(connection, select.POLLIN)
    if not readable.poll(seconds * 1000):
        raise TimedOut(f"silent for {seconds:g} s")
