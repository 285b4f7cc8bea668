"""The other side of an association: DCMTK's tools, pynetdicom as SCU and SCP, and bare sockets."""

import contextlib
import gc
import shutil
import socket
import struct
import subprocess
import threading
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import starmap
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pydicom import dcmread
from pydicom.dataset import Dataset
from pydicom.filereader import read_file_meta_info
from pynetdicom import AE, _config, build_role, evt
from pynetdicom.association import Association
from pynetdicom.pdu import A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SOPClassExtendedNegotiation,
)
from pynetdicom.presentation import PresentationContext, build_context

from dimse import commands
from tests.conftest import Server, free_port

_config.LOG_HANDLER_LEVEL = "none"

VERIFICATION = "1.2.840.10008.1.1"
CT = "1.2.840.10008.5.1.4.1.1.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
PATIENT_FIND, PATIENT_MOVE, PATIENT_GET = (f"1.2.840.10008.5.1.4.1.2.1.{number}" for number in (1, 2, 3))
STUDY_FIND, STUDY_MOVE, STUDY_GET = (f"1.2.840.10008.5.1.4.1.2.2.{number}" for number in (1, 2, 3))

_SYSTEM_FOLDERS = "/usr/bin:/usr/local/bin:/opt/homebrew/bin"
"""Where DCMTK is. Not PATH: pynetdicom installs tools of the same names into the virtual environment."""


def dcmtk(tool: str, *arguments: object, ok: bool = True, seconds: float = 120) -> str:
    """Run a DCMTK tool; what it printed. `ok`: it must succeed."""
    path = shutil.which(tool, path=_SYSTEM_FOLDERS)
    assert path, f"{tool} is missing: apt-get install dcmtk"
    done = subprocess.run(
        [path, *map(str, arguments)],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        errors="replace",
        timeout=seconds,
    )
    assert not ok or done.returncode == 0, f"{tool} ended with {done.returncode}:\n{done.stdout[-4000:]}"
    return done.stdout


def raw_dataset(path: Path) -> bytes:
    """The encoded data set of a Part 10 file: all that stands behind the meta group."""
    data = path.read_bytes()
    meta = read_file_meta_info(path)
    return data[132 + 12 + meta.FileMetaInformationGroupLength :]


@dataclass(frozen=True)
class Sample:
    """What a file's meta group says."""

    path: Path
    sop_class_uid: str
    sop_instance_uid: str
    transfer_syntax_uid: str

    @property
    def pair(self) -> tuple[str, str]:
        """SOP class and transfer syntax."""
        return self.sop_class_uid, self.transfer_syntax_uid


def as_sample(path: Path) -> Sample:
    """Read the meta group with pydicom, and what it lacks from the data set."""
    dataset = dcmread(path, specific_tags=["SOPClassUID", "SOPInstanceUID"])
    return Sample(path, dataset.SOPClassUID, dataset.SOPInstanceUID, dataset.file_meta.TransferSyntaxUID)


@contextlib.contextmanager
def scu(
    server: Server,
    contexts: Sequence[PresentationContext],
    *,
    calling: str = "TESTSCU",
    receive: Callable[[evt.Event], Any] | None = None,
    scp_of: Sequence[str] = (),
    extended: Mapping[str, bytes] = MappingProxyType({}),
) -> Iterator[Association]:
    """An established association by pynetdicom.

    `scp_of`: classes we offer to receive (C-GET). `extended`: SOP Class Extended Negotiation, which must be granted.
    """
    ae = AE(calling)
    ae.maximum_pdu_size = 65536
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    handlers = [(evt.EVT_C_STORE, receive)] if receive else []
    association = ae.associate(
        "127.0.0.1",
        server.dimse_port,
        contexts=list(contexts),
        ae_title=server.ae_title,
        ext_neg=[
            *(build_role(uid, scp_role=True) for uid in dict.fromkeys(scp_of)),
            *starmap(_extended, extended.items()),
        ],
        evt_handlers=handlers,
    )
    assert association.is_established
    assert dict(association.acceptor.sop_class_extended) == dict(extended)
    _keep_responses(association)
    try:
        yield association
    finally:
        association.release()


def _extended(sop_class_uid: str, information: bytes) -> SOPClassExtendedNegotiation:
    item = SOPClassExtendedNegotiation()
    item.sop_class_uid, item.service_class_application_information = sop_class_uid, information
    return item


def _keep_responses(association: Association) -> None:
    """Keep pynetdicom's reactor thread from taking responses out of the queue that the caller waits for.

    It means to pause while a request is under way, but a fast answer can come between its last look at the pause and
    its look into the queue (pynetdicom 3.0.4); about one C-FIND in two hundred lost an answer so.
    """
    take = association.dimse.get_msg

    def get_msg(block: bool = False) -> Any:
        return (None, None) if threading.current_thread() is association else take(block)

    association.dimse.get_msg = get_msg


def store(server: Server, paths: Sequence[Path]) -> dict[str, int]:
    """C-STORE the data sets of files byte for byte; status by SOP Instance UID."""
    samples = [as_sample(path) for path in paths]
    pairs = list(dict.fromkeys(one.pair for one in samples))
    statuses: dict[str, int] = {}
    for first in range(0, len(pairs), 128):
        some = {pair: 2 * number + 1 for number, pair in enumerate(pairs[first : first + 128])}
        with raw_association(server, *(build_context(*pair) for pair in some)) as sock:
            for one in samples:
                if one.pair in some:
                    data = raw_dataset(one.path)
                    send_store(sock, one.sop_class_uid, one.sop_instance_uid, data, context_id=some[one.pair])
                    statuses[one.sop_instance_uid], _ = response_status(sock)
    return statuses


def keys(level: str, **values: Any) -> Dataset:
    """An identifier."""
    dataset = Dataset()
    dataset.QueryRetrieveLevel = level
    for keyword, value in values.items():
        setattr(dataset, keyword, value)
    return dataset


def find(server: Server, level: str, *, model: str = STUDY_FIND, **values: Any) -> tuple[list[Dataset], list[int]]:
    """C-FIND with pynetdicom: the answers, and the status of every response."""
    with scu(server, [build_context(model)]) as association:
        responses = list(association.send_c_find(keys(level, **values), model))
    return [answer for _, answer in responses if answer is not None], [status.Status for status, _ in responses]


@dataclass
class Receiver:
    """A C-STORE SCP by pynetdicom that keeps the bytes it is sent."""

    title: str
    port: int
    received: dict[str, tuple[str, bytes]] = field(default_factory=dict)
    """SOP Instance UID -> transfer syntax and encoded data set."""
    originators: set[tuple[str, int]] = field(default_factory=set)
    refuse: set[str] = field(default_factory=set)
    """SOP Instance UIDs that are answered with A700."""
    took: threading.Event = field(default_factory=threading.Event)

    def take(self, event: evt.Event) -> int:
        """The handler of C-STORE."""
        request = event.request
        if request.AffectedSOPInstanceUID in self.refuse:
            return 0xA700
        self.received[str(request.AffectedSOPInstanceUID)] = (
            str(event.context.transfer_syntax),
            request.DataSet.getvalue(),
        )
        if request.MoveOriginatorApplicationEntityTitle:
            self.originators.add((request.MoveOriginatorApplicationEntityTitle, request.MoveOriginatorMessageID))
        self.took.set()
        return 0x0000


@contextlib.contextmanager
def listening(receiver: Receiver, contexts: Sequence[PresentationContext]) -> Iterator[Receiver]:
    """Run a receiver."""
    ae = AE(receiver.title)
    ae.maximum_pdu_size = 16384
    running = ae.start_server(
        ("127.0.0.1", receiver.port),
        block=False,
        contexts=list(contexts),
        evt_handlers=[(evt.EVT_C_STORE, receiver.take)],
    )
    try:
        yield receiver
    finally:
        open_ones = list(running.active_associations)
        running.shutdown()
        for association in open_ones:
            association.join(10)
        # pynetdicom leaves the socket of an association open that was broken off. Without this, any test may find it.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", ResourceWarning)
            gc.collect()


def new_receiver(title: str) -> Receiver:
    """A receiver on a free port, not yet listening."""
    return Receiver(title, free_port())


def associate_rq(
    *contexts: PresentationContext, called: str = "PACS", calling: str = "RAW", maximum_pdu_bytes: int = 16384
) -> bytes:
    """An A-ASSOCIATE-RQ written by pynetdicom."""
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.called_ae_title, primitive.calling_ae_title = called, calling
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = maximum_pdu_bytes
    implementation.implementation_class_uid = "1.2.826.0.1.3680043.9.3811.3"
    primitive.user_information = [length, implementation]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = list(contexts)
    return A_ASSOCIATE_RQ(primitive).encode()


def read_pdu(sock: socket.socket) -> tuple[int, bytes]:
    """Type and body of the next PDU; (0, b"") at the end of the connection."""
    head = _read(sock, 6)
    return (head[0], _read(sock, int.from_bytes(head[2:6]))) if len(head) == 6 else (0, b"")


def _read(sock: socket.socket, count: int) -> bytes:
    whole = b""
    while len(whole) < count and (part := sock.recv(count - len(whole))):
        whole += part
    return whole


@contextlib.contextmanager
def raw_association(server: Server, *contexts: PresentationContext, **titles: str) -> Iterator[socket.socket]:
    """A socket with an accepted association; closed without a release."""
    with socket.create_connection(("127.0.0.1", server.dimse_port), 60) as sock:
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.sendall(associate_rq(*contexts, **{"called": server.ae_title, **titles}))
        assert read_pdu(sock)[0] == 2
        yield sock


def store_command(sop_class_uid: str, sop_instance_uid: str, *, message_id: int = 1, priority: int = 0) -> bytes:
    """The command set of a C-STORE-RQ."""
    return commands.encode(
        {
            commands.AFFECTED_SOP_CLASS: str(sop_class_uid),
            commands.COMMAND_FIELD: 1,
            commands.MESSAGE_ID: message_id,
            commands.PRIORITY: priority,
            commands.DATA_SET_TYPE: 1,
            commands.AFFECTED_SOP_INSTANCE: str(sop_instance_uid),
        }
    )


def send_store(
    sock: socket.socket, sop_class_uid: str, sop_instance_uid: str, data: bytes, *, context_id: int = 1, **command: int
) -> None:
    """A C-STORE-RQ with its data set."""
    sock.sendall(pdata(context_id, 3, store_command(sop_class_uid, sop_instance_uid, **command)))
    for start in range(0, max(len(data), 1), 100_000):
        last = 2 if start + 100_000 >= len(data) else 0
        sock.sendall(pdata(context_id, last, data[start : start + 100_000]))


def pdata(context_id: int, flags: int, data: bytes) -> bytes:
    """One P-DATA PDU with one PDV; flag 1 is a command, flag 2 the last fragment."""
    return struct.pack(">BxIIBB", 4, len(data) + 6, len(data) + 2, context_id, flags) + data


def response_status(sock: socket.socket) -> tuple[int, str]:
    """Status and Error Comment of the response that comes next."""
    pdu_type, body = read_pdu(sock)
    assert pdu_type == 4
    command = commands.decode(body[6:])
    return command.status, command.text(commands.ERROR_COMMENT)
