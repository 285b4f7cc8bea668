"""The DICOM upper layer (PS3.8) of an established association, for both directions.

One thread owns an association and blocks in it. What arrives is handed on as memoryviews of the one
receive buffer: a PDV is valid until the next one is asked for, and nobody may keep it. What is sent goes
out as lists of PDV headers and views of the caller's data, without being joined.

One operation at a time is what we negotiate. A peer that sends more requests meanwhile gets them answered one
after the other: short ones are set aside, a C-STORE waits on the wire with all that stands behind it.

Whatever bytes arrive, only `UpperLayerError` comes out. Whoever catches it calls `abort`, which tells the
peer why (PS3.8 table 9-26) unless it was the peer who ended the association.
"""

import struct
import time
from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Self

from dimse.commands import Command, Field, MalformedCommand, decode
from dimse.connection import Buffer, Connection, UpperLayerError, wait_any

P_DATA = 0x04
RELEASE_RQ = 0x05
RELEASE_RP = 0x06
ABORT = 0x07

UNRECOGNISED_PDU = 1
UNEXPECTED_PDU = 2
INVALID_PARAMETER = 6

LARGEST_COMMAND_BYTES = 65536
LARGEST_IDENTIFIER_BYTES = 1024**2
MOST_SET_ASIDE = 16
"""Requests that are taken in while another one is worked on."""
LARGEST_SENT_PDU_BYTES = 131072
"""We send no longer P-DATA than this, even to a peer that takes any length."""

_PDU_HEAD = struct.Struct(">BxI")
_PDV_HEAD = struct.Struct(">IBB")
_P_DATA_HEAD = struct.Struct(">BxIIBB")
_RELEASE_RQ_PDU = _PDU_HEAD.pack(RELEASE_RQ, 4) + bytes(4)
_RELEASE_RP_PDU = _PDU_HEAD.pack(RELEASE_RP, 4) + bytes(4)

RESPONSE = 0x8000
"""Bit of Command Field that makes it a response."""

_IS_COMMAND = 1
_IS_LAST = 2


class ProtocolViolation(UpperLayerError):
    """The peer broke a rule of PS3.8; `reason` is that of the A-ABORT we answer with."""

    def __init__(self, detail: str, reason: int = INVALID_PARAMETER) -> None:
        """`detail` goes to the log."""
        super().__init__(detail)
        self.reason = reason


class PeerAborted(UpperLayerError):
    """The peer sent A-ABORT."""


@dataclass(frozen=True, slots=True)
class Context:
    """An accepted presentation context, seen from our side."""

    context_id: int
    abstract_syntax: str
    transfer_syntax: str
    as_scp: bool = True
    as_scu: bool = False
    general: str = ""
    """The related general SOP class for whose sake we accepted a class that we do not know (PS3.7 D.3.3.6)."""


@dataclass(frozen=True, slots=True)
class Timeouts:
    """How long we wait, in seconds."""

    pdu: float
    """For one PDU, from its first to its last byte."""
    idle: float
    """For the first byte of a PDU."""


@dataclass(frozen=True, slots=True)
class Message:
    """A command and the context it came in. Its data set, if it has one, is still to be received."""

    context: Context
    command: Command


class Association:
    """An established association."""

    def __init__(
        self,
        connection: Connection,
        contexts: Mapping[int, Context],
        *,
        our_pdu_bytes: int,
        peer_pdu_bytes: int,
        timeouts: Timeouts,
    ) -> None:
        """`peer_pdu_bytes` is the Maximum Length Received of the peer (PS3.8 D.1), 0 for no limit."""
        self.contexts = contexts
        self._connection = connection
        self._our_pdu_bytes = our_pdu_bytes
        longest = min(peer_pdu_bytes or LARGEST_SENT_PDU_BYTES, LARGEST_SENT_PDU_BYTES)
        # Six bytes of a P-DATA are the PDV's own head, and fragments have even lengths (PS3.8 annex E).
        self._fragment_bytes = (longest - 6) & ~1
        if self._fragment_bytes < 2:
            raise ProtocolViolation("Maximum Length Received is too short")
        self._timeouts = timeouts
        self._rest_of_pdu = 0
        self._over = False
        self._aside: deque[tuple[Message, bytes | None]] = deque()
        self._kept: bytes | None = None
        """The data set of the present message, when it was set aside."""
        self._cancelled: set[int] = set()
        """Requests set aside that were cancelled meanwhile."""

    def receive(self, seconds: float | None = None) -> Message | None:
        """The next command; None when the peer released the association (which is answered).

        `seconds`: how long the peer may be silent, if not as long as `Timeouts` says.
        """
        if self._aside:
            message, self._kept = self._aside.popleft()
            return message
        self._kept = None
        return self._receive(self._timeouts.idle if seconds is None else seconds)

    def _receive(self, seconds: float) -> Message | None:
        """The next command from the wire."""
        if not self._rest_of_pdu:
            self._connection.wait_idle(seconds)
            if self._next_pdu() == RELEASE_RQ:
                self._over = True
                self._connection.send([_RELEASE_RP_PDU], self._timeouts.pdu)
                return None
        context_id, flags, view = self._next_pdv()
        if flags & _IS_LAST:
            return self._message(context_id, flags, bytes(view))
        whole = bytearray(view)
        while not flags & _IS_LAST:
            same_id, flags, view = self._next_pdv()
            whole += view
            if same_id != context_id or len(whole) > LARGEST_COMMAND_BYTES:
                raise ProtocolViolation("a command is interrupted or too long")
        return self._message(context_id, flags, bytes(whole))

    def data(self, context: Context) -> Iterator[memoryview]:
        """The fragments of the data set that follows a command; each view is valid until the next one is taken."""
        if self._kept is not None:
            kept, self._kept = self._kept, None
            yield memoryview(kept)
            return
        last = 0
        while not last:
            context_id, flags, view = self._next_pdv()
            if context_id != context.context_id or flags & _IS_COMMAND:
                raise ProtocolViolation("a data set is interrupted", UNEXPECTED_PDU)
            yield view
            last = flags & _IS_LAST

    def drain(self, context: Context) -> None:
        """Receive a data set and forget it."""
        for _ in self.data(context):
            pass

    def short_data(self, context: Context, limit_bytes: int = LARGEST_IDENTIFIER_BYTES) -> bytes:
        """A whole data set that is known to be short, an identifier."""
        whole = bytearray()
        for view in self.data(context):
            whole += view
            if len(whole) > limit_bytes:
                raise ProtocolViolation("an identifier is too long")
        return bytes(whole)

    def cancelled(self, message_id: int) -> bool:
        """True when the peer has sent C-CANCEL for the request that is worked on. Never waits for it."""
        while message_id not in self._cancelled and not self._is_full() and self.has_input():
            if self._beside(message_id) is not None:
                raise ProtocolViolation("a response to no request", UNEXPECTED_PDU)
        if message_id not in self._cancelled:
            return False
        self._cancelled.remove(message_id)
        return True

    def response_or_cancel(self, message_id: int) -> Message | None:
        """Wait for the next response while a request is worked on; None: that request was cancelled first."""
        while True:
            if self._is_full():
                raise ProtocolViolation("too many requests before the last response", UNEXPECTED_PDU)
            response = self._beside(message_id)
            if response is not None:
                return response
            if message_id in self._cancelled:
                self._cancelled.remove(message_id)
                return None

    def _beside(self, message_id: int) -> Message | None:
        """Receive what comes beside the request that is worked on: a response is returned, the rest is noted."""
        message = self._receive(self._timeouts.idle)
        if message is None:
            raise ProtocolViolation("release before the last response", UNEXPECTED_PDU)
        command = message.command
        if command.field & RESPONSE:
            return message
        if command.field == Field.C_CANCEL:
            known = {message_id, *(waiting.command.message_id for waiting, _ in self._aside)}
            # One that comes too late, or names no request, has nothing to cancel.
            self._cancelled |= known & {command.responded_to}
            return None
        is_short = command.has_dataset and command.field != Field.C_STORE
        self._kept = None
        self._aside.append((message, self.short_data(message.context) if is_short else None))
        return None

    def _is_full(self) -> bool:
        """True when nothing more can be taken from the wire before the requests set aside are worked on."""
        if not self._aside:
            return False
        last = self._aside[-1][0].command
        if len(self._aside) >= MOST_SET_ASIDE or (last.field == Field.C_STORE and last.has_dataset):
            return True
        return sum(len(data) for _, data in self._aside if data) >= LARGEST_IDENTIFIER_BYTES

    def has_input(self) -> bool:
        """True when the peer has sent something, a C-CANCEL for instance. Never waits."""
        return bool(self._rest_of_pdu) or self._connection.readable()

    def wait_beside(self, other: "Association", seconds: float) -> None:
        """Wait until this peer, who has a request worked on, or another one has sent something. Raises TimedOut."""
        if not (other.has_input() or (not self._is_full() and self.has_input())):
            watched = [other._connection] if self._is_full() else [other._connection, self._connection]
            wait_any(watched, seconds)

    def send(self, context: Context, command: bytes, blocks: Iterable[Buffer] | None = None) -> None:
        """Send a command and, unless `blocks` is None, its data set."""
        parts: list[Buffer] = []
        self._cut(parts, context, memoryview(command), _IS_COMMAND | _IS_LAST)
        if blocks is not None:
            waiting: Buffer | None = None
            for block in blocks:
                if waiting is not None:
                    self._cut(parts, context, memoryview(waiting), 0)
                    self._connection.send(parts, self._timeouts.pdu)
                    parts = []
                waiting = block
            self._cut(parts, context, memoryview(waiting or b""), _IS_LAST)
        self._connection.send(parts, self._timeouts.pdu)

    def send_all(self, context: Context, messages: Iterable[tuple[bytes, bytes]]) -> None:
        """Send several short messages, each a command and a data set, in one go."""
        parts: list[Buffer] = []
        for command, dataset in messages:
            self._cut(parts, context, memoryview(command), _IS_COMMAND | _IS_LAST)
            self._cut(parts, context, memoryview(dataset), _IS_LAST)
        self._connection.send(parts, self._timeouts.pdu)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _traceback: object) -> None:
        """As its requestor: release it, or abort it when something went wrong."""
        if error is None:
            self.release()
        else:
            self.abort(error if isinstance(error, UpperLayerError) else None)

    def release(self) -> None:
        """End the association in good order (as its requestor) and close.

        What the peer still sends is passed over. Its own A-RELEASE-RQ, when both collide, is answered first
        (PS3.8 9.2.3: Sta9 and Sta11 of a requestor).
        """
        self._over = True
        deadline = time.monotonic() + self._timeouts.pdu
        try:
            self._connection.send([_RELEASE_RQ_PDU], self._timeouts.pdu)
            while (pdu_type := self._skip_pdu(deadline)) not in (RELEASE_RP, ABORT):
                if pdu_type == RELEASE_RQ:
                    self._connection.send([_RELEASE_RP_PDU], self._timeouts.pdu)
        except UpperLayerError:
            pass
        self._connection.close()

    def _skip_pdu(self, deadline: float) -> int:
        """Receive a PDU that nobody will read; its type."""
        self._connection.fill(self._rest_of_pdu, deadline)
        self._connection.take(self._rest_of_pdu)
        self._connection.fill(6, deadline)
        pdu_type, length = _PDU_HEAD.unpack(self._connection.take(6))
        if length > self._our_pdu_bytes:
            raise ProtocolViolation(f"PDU type {pdu_type:#04x} of {length} bytes")
        self._rest_of_pdu = length
        return int(pdu_type)

    def close(self) -> None:
        """Close after the peer has released the association."""
        self._connection.close()

    def abort(self, error: UpperLayerError | None = None) -> None:
        """Tell the peer that this is the end, unless it knows, and close."""
        if not self._over and not isinstance(error, PeerAborted):
            send_abort(self._connection, error)
        self._over = True
        self._connection.close()

    def _message(self, context_id: int, flags: int, encoded: bytes) -> Message:
        if not flags & _IS_COMMAND:
            raise ProtocolViolation("a data set without a command", UNEXPECTED_PDU)
        try:
            return Message(self.contexts[context_id], decode(encoded))
        except MalformedCommand as exc:
            raise ProtocolViolation(str(exc)) from exc

    def _next_pdu(self) -> int:
        """Receive one PDU: P_DATA, whose PDVs are then in the buffer, or RELEASE_RQ."""
        connection = self._connection
        connection.fill(1, time.monotonic() + self._timeouts.idle)
        deadline = time.monotonic() + self._timeouts.pdu
        connection.fill(6, deadline)
        pdu_type, length = _PDU_HEAD.unpack(connection.take(6))
        if pdu_type == P_DATA:
            if not 6 <= length <= self._our_pdu_bytes:
                raise ProtocolViolation(f"P-DATA of {length} bytes")
            connection.fill(length, deadline)
            self._rest_of_pdu = length
            return P_DATA
        if not 1 <= pdu_type <= ABORT:
            raise ProtocolViolation(f"PDU type {pdu_type:#04x}", UNRECOGNISED_PDU)
        if pdu_type not in (RELEASE_RQ, ABORT):
            raise ProtocolViolation(f"PDU type {pdu_type:#04x}", UNEXPECTED_PDU)
        if length != 4:
            raise ProtocolViolation(f"PDU type {pdu_type:#04x} of {length} bytes")
        connection.fill(4, deadline)
        body = connection.take(4)
        if pdu_type == ABORT:
            raise PeerAborted(f"source {body[2]}, reason {body[3]}")
        return RELEASE_RQ

    def _next_pdv(self) -> tuple[int, int, memoryview]:
        """Context id, flags and content of the next presentation data value (PS3.8 9.3.5.1, E.2)."""
        if not self._rest_of_pdu and self._next_pdu() != P_DATA:
            raise ProtocolViolation("release inside a message", UNEXPECTED_PDU)
        if self._rest_of_pdu < 6:
            raise ProtocolViolation("a PDV head is cut off")
        length, context_id, flags = _PDV_HEAD.unpack(self._connection.take(6))
        if not 2 <= length <= self._rest_of_pdu - 4:
            raise ProtocolViolation(f"PDV of {length} bytes in a PDU with {self._rest_of_pdu} left")
        if context_id not in self.contexts:
            raise ProtocolViolation(f"presentation context {context_id} was not accepted")
        self._rest_of_pdu -= length + 4
        return context_id, flags, self._connection.take(length - 2)

    def _cut(self, parts: list[Buffer], context: Context, data: memoryview, flags: int) -> None:
        """Append `data` as P-DATA PDUs of one PDV each; the last one carries _IS_LAST if `flags` do."""
        total = len(data)
        step = self._fragment_bytes
        first = 0
        while True:
            piece = data[first : first + step]
            first += step
            size = len(piece)
            control = flags if first >= total else flags & ~_IS_LAST
            parts.append(_P_DATA_HEAD.pack(P_DATA, size + 6, size + 2, context.context_id, control))
            parts.append(piece)
            if first >= total:
                return


def send_abort(connection: Connection, error: UpperLayerError | None) -> None:
    """Send A-ABORT: by the service provider with a reason after a violation, else by the service user."""
    source, reason = (2, error.reason) if isinstance(error, ProtocolViolation) else (0, 0)
    try:
        connection.send([_PDU_HEAD.pack(ABORT, 4) + bytes((0, 0, source, reason))], 1.0)
    except UpperLayerError:
        return
