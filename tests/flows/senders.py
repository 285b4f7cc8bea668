"""Clients that keep sending small instances and write down exactly what the server acknowledged.

Both are plain sockets, so that what counts as acknowledged is what arrived here and nothing a library made of it.
A client survives the server: it connects again and sends once more what was in doubt, which has to be a success
whether or not the first attempt was stored.
"""

import http.client
import json
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Protocol

from bench import datasets

EXPLICIT_LITTLE_ENDIAN = "1.2.840.10008.1.2.1"
CT_IMAGE_STORAGE = "1.2.840.10008.5.1.4.1.1.2"
_GIVE_UP_SECONDS = 60.0
_ANSWER_SECONDS = 30.0
_P_DATA_TF, _A_ASSOCIATE_AC = 0x04, 0x02


@dataclass(frozen=True, slots=True)
class Sent:
    """An instance as it was sent."""

    study: str
    series: str
    instance: str
    file: bytes = field(repr=False)

    @property
    def dataset(self) -> bytes:
        """The data set without preamble and meta group."""
        return without_meta(self.file)


def without_meta(file: bytes) -> bytes:
    """The data set of a Part 10 file: behind 132 bytes, the 12 bytes of (0002,0000) and the group it measures."""
    assert file[128:132] == b"DICM"
    (length,) = struct.unpack_from("<I", file, 140)
    return file[144 + length :]


@dataclass(slots=True)
class Ledger:
    """What was acknowledged, with the time at which the client knew it. Shared by all clients."""

    acknowledged: dict[str, Sent] = field(default_factory=dict)
    times: dict[str, float] = field(default_factory=dict)
    attempted: dict[str, Sent] = field(default_factory=dict)
    refusals: list[str] = field(default_factory=list)
    _changed: threading.Condition = field(default_factory=threading.Condition)

    def attempt(self, sent: Sent) -> None:
        """The instance is about to leave."""
        with self._changed:
            self.attempted[sent.instance] = sent

    def acknowledge(self, sent: Sent) -> None:
        """The server said that it is stored."""
        now = time.time()
        with self._changed:
            self.acknowledged[sent.instance] = sent
            self.times.setdefault(sent.instance, now)
            self._changed.notify_all()

    def refuse(self, reason: str) -> None:
        """The server answered, and not with success."""
        with self._changed:
            self.refusals.append(reason)
            self._changed.notify_all()

    def wait_for(self, count: int) -> None:
        """Block until this many instances are acknowledged."""
        with self._changed:
            enough = self._changed.wait_for(
                lambda: len(self.acknowledged) >= count or bool(self.refusals), _GIVE_UP_SECONDS
            )
            assert not self.refusals, self.refusals
            assert enough, f"{len(self.acknowledged)} of {count} instances acknowledged in {_GIVE_UP_SECONDS} s"


def instances(seed: str) -> Iterator[Sent]:
    """Ever new instances; a study gets three of them, so that its counters change again and again."""
    for number in range(1_000_000):
        study = datasets.study(seed, number)
        for member in (1, 2, 3):
            file = datasets.encode("tiny", study, member)
            yield Sent(study.study_instance_uid, study.series_instance_uid, study.instance_uid(member), file)


class Client(Protocol):
    """A connection to the server."""

    def send(self, batch: list[Sent]) -> list[str]:
        """Send instances; those UIDs that were acknowledged. OSError or EOFError when the connection breaks."""

    def close(self) -> None:
        """Hang up."""


class Sender(threading.Thread):
    """One client that sends until told to stop."""

    def __init__(
        self, connect: Callable[[], Client], source: Iterator[Sent], ledger: Ledger, *, batch: int = 1
    ) -> None:
        super().__init__(daemon=True)
        self._connect = connect
        self._source = source
        self._ledger = ledger
        self._batch = batch
        self.acknowledged = 0
        self._stopping = threading.Event()

    def stop(self) -> None:
        """Finish what is in doubt and end."""
        self._stopping.set()

    def run(self) -> None:
        """The body of the thread."""
        client: Client | None = None
        while not self._stopping.is_set():
            batch = [next(self._source) for _ in range(self._batch)]
            for sent in batch:
                self._ledger.attempt(sent)
            client = self._until_acknowledged(batch, client)
        if client:
            client.close()

    def _until_acknowledged(self, batch: list[Sent], client: Client | None) -> Client | None:
        give_up = time.monotonic() + _GIVE_UP_SECONDS
        while time.monotonic() < give_up:
            try:
                client = client or self._connect()
                self._note(batch, set(client.send(batch)))
            except (OSError, http.client.HTTPException, EOFError):
                if client:
                    client.close()
                client = None
                time.sleep(0.01)
            else:
                return client
        self._ledger.refuse(f"no answer within {_GIVE_UP_SECONDS} s")
        return None

    def _note(self, batch: list[Sent], taken: set[str]) -> None:
        for sent in batch:
            if sent.instance in taken:
                self._ledger.acknowledge(sent)
                self.acknowledged += 1
            else:
                self._ledger.refuse(f"{sent.instance} was refused")


class DimseClient:
    """One association; each instance is a C-STORE."""

    def __init__(self, port: int, called: str) -> None:
        self._connection = socket.create_connection(("127.0.0.1", port), timeout=_ANSWER_SECONDS)
        try:
            self._connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            associate(self._connection, called)
        except (OSError, EOFError):
            self._connection.close()
            raise

    def send(self, batch: list[Sent]) -> list[str]:
        """One after the other."""
        return [sent.instance for sent in batch if store(self._connection, sent.instance, iter([sent.dataset])) == 0]

    def close(self) -> None:
        """Hang up as a device does that is switched off."""
        self._connection.close()


class StowClient:
    """One HTTP connection; each batch is a STOW-RS request."""

    def __init__(self, port: int) -> None:
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=_ANSWER_SECONDS)

    def send(self, batch: list[Sent]) -> list[str]:
        """All at once."""
        return _stow(self._connection, batch)

    def close(self) -> None:
        """Hang up."""
        self._connection.close()


def _stow(connection: http.client.HTTPConnection, batch: list[Sent]) -> list[str]:
    head = b"--next\r\nContent-Type: application/dicom\r\n\r\n"
    body = b"".join(head + sent.file + b"\r\n" for sent in batch) + b"--next--\r\n"
    headers = {"Content-Type": 'multipart/related; type="application/dicom"; boundary=next'}
    connection.request("POST", "/dicomweb/studies", body, headers | {"Accept": "application/dicom+json"})
    response = connection.getresponse()
    answer = response.read()
    if response.status not in (200, 202, 409):
        raise OSError(f"STOW-RS answered {response.status}")
    stored = json.loads(answer).get("00081199", {}).get("Value", [])
    return [item["00081155"]["Value"][0] for item in stored]


@contextmanager
def sending(*, web_port: int, dimse_port: int, ledger: Ledger, seed: str) -> Iterator[list[Sender]]:
    """Two clients by C-STORE and two by STOW-RS, each with instances of its own, as long as the block runs."""

    def by_dimse() -> Client:
        return DimseClient(dimse_port, "PACS")

    def by_stow() -> Client:
        return StowClient(web_port)

    clients = [
        Sender(connect, instances(f"{seed} client {number}"), ledger, batch=batch)
        for number, (connect, batch) in enumerate([(by_dimse, 1), (by_dimse, 1), (by_stow, 1), (by_stow, 4)])
    ]
    for client in clients:
        client.start()
    try:
        yield clients
    finally:
        for client in clients:
            client.stop()
        for client in clients:
            client.join()


def associate(connection: socket.socket, called: str) -> None:
    """Establish an association, or OSError."""
    connection.sendall(_associate_request(called))
    kind, _ = _read_pdu(connection)
    if kind != _A_ASSOCIATE_AC:
        raise OSError(f"association refused (PDU {kind})")


def _associate_request(called: str) -> bytes:
    """A-ASSOCIATE-RQ with one presentation context, CT in explicit VR (PS3.8 9.3.2)."""
    context = b"\x01\0\0\0" + _item(0x30, CT_IMAGE_STORAGE.encode()) + _item(0x40, EXPLICIT_LITTLE_ENDIAN.encode())
    user = _item(0x51, struct.pack(">I", 16384)) + _item(0x52, b"2.25.1")
    items = _item(0x10, b"1.2.840.10008.3.1.1.1") + _item(0x20, context) + _item(0x50, user)
    body = struct.pack(">HH", 1, 0) + called.encode().ljust(16) + b"FLOWS".ljust(16) + bytes(32) + items
    return struct.pack(">BBI", 1, 0, len(body)) + body


def _item(kind: int, value: bytes) -> bytes:
    return struct.pack(">BBH", kind, 0, len(value)) + value


def store(connection: socket.socket, instance: str, dataset: Iterator[bytes], pdv_bytes: int = 60_000) -> int:
    """One C-STORE (PS3.7 9.3.1) of a data set that comes in blocks; the status of its response."""
    command = _element(0x0002, CT_IMAGE_STORAGE.encode() + b"\0" * (len(CT_IMAGE_STORAGE) % 2))
    command += _element(0x0100, struct.pack("<H", 0x0001)) + _element(0x0110, struct.pack("<H", 1))
    command += _element(0x0700, struct.pack("<H", 0)) + _element(0x0800, struct.pack("<H", 1))
    command += _element(0x1000, instance.encode())
    command = _element(0x0000, struct.pack("<I", len(command))) + command
    waiting = _pdv(0x03, command)
    last = b""
    for block in dataset:
        for at in range(0, len(block), pdv_bytes):
            waiting += _pdv(0x00, last) if last else b""
            connection.sendall(waiting)
            waiting, last = b"", block[at : at + pdv_bytes]
    connection.sendall(waiting + _pdv(0x02, last))
    kind, body = _read_pdu(connection)
    if kind != _P_DATA_TF:
        raise OSError(f"the server ended the association (PDU {kind})")
    return _status(body[6:])


def _element(number: int, value: bytes) -> bytes:
    return struct.pack("<HHI", 0, number, len(value)) + value


def _pdv(control: int, data: bytes) -> bytes:
    """A P-DATA-TF PDU with one PDV on context 1."""
    return struct.pack(">BBI", _P_DATA_TF, 0, len(data) + 6) + struct.pack(">IBB", len(data) + 2, 1, control) + data


def _read_pdu(connection: socket.socket) -> tuple[int, bytes]:
    kind, _, length = struct.unpack(">BBI", _exactly(connection, 6))
    return kind, _exactly(connection, length)


def _exactly(connection: socket.socket, count: int) -> bytes:
    data = b""
    while len(data) < count:
        more = connection.recv(count - len(data))
        if not more:
            raise EOFError("the server closed the connection")
        data += more
    return data


def _status(command: bytes) -> int:
    """Status (0000,0900) of a command set in implicit VR."""
    at = 0
    while at < len(command):
        _, number, length = struct.unpack_from("<HHI", command, at)
        if number == 0x0900:
            return int(struct.unpack_from("<H", command, at + 8)[0])
        at += 8 + length
    raise OSError("a response without a status")
