"""C-STORE as SCU (PS3.4 annex B): the sub-operations of C-MOVE and C-GET, and files for `pacs send`."""

import logging
import mmap
import socket
import ssl
import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from config.settings import Dimse, Limits, Peer
from dimse import commands, negotiation, tls
from dimse.commands import Command, Field
from dimse.connection import Buffer, BufferPool, Connection, ConnectionLost, UpperLayerError
from dimse.contexts import SEND_AS
from dimse.upper_layer import Association, Context, ProtocolViolation, Timeouts
from index.errors import CannotUnderstand
from storage.part10 import FileMeta, MetaReader, scan
from storage.syntaxes import EXPLICIT_LITTLE, IMPLICIT_LITTLE

logger = logging.getLogger(__name__)

FALLBACK: Final = (EXPLICIT_LITTLE, IMPLICIT_LITTLE)
"""Proposed beside the stored syntaxes: every peer takes the last one (PS3.5 10.1)."""

_HEAD_BYTES: Final = 1024**2
_BLOCK_BYTES: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Originator:
    """Who asked for a C-MOVE (PS3.7 9.1.1.1)."""

    ae_title: str
    message_id: int


class Outgoing:
    """The C-STORE side of an association, ours to a destination or the peer's own in a C-GET."""

    def __init__(self, association: Association) -> None:
        """Only contexts in which we may be SCU count."""
        self.association = association
        self._message_id = 0
        self._contexts: dict[str, dict[str, Context]] = {}
        for context in association.contexts.values():
            if context.as_scu:
                self._contexts.setdefault(context.abstract_syntax, {}).setdefault(context.transfer_syntax, context)

    def syntaxes(self, sop_class_uid: str) -> tuple[str, ...]:
        """The transfer syntaxes in which objects of a class can be sent, in the order they were proposed."""
        return tuple(self._contexts.get(sop_class_uid, ()))

    def store(
        self,
        sop_class_uid: str,
        sop_instance_uid: str,
        *,
        transfer_syntax_uid: str,
        blocks: Iterable[Buffer],
        originator: Originator | None = None,
        priority: int = 0,
    ) -> None:
        """Send one object; the response is still to be received."""
        context = self._contexts[sop_class_uid][transfer_syntax_uid]
        self._message_id = self._message_id % 0xFFFF + 1
        values: dict[int, int | str] = {
            commands.AFFECTED_SOP_CLASS: sop_class_uid,
            commands.COMMAND_FIELD: Field.C_STORE,
            commands.MESSAGE_ID: self._message_id,
            commands.PRIORITY: priority,
            commands.DATA_SET_TYPE: commands.HAS_DATA_SET,
            commands.AFFECTED_SOP_INSTANCE: sop_instance_uid,
        }
        if originator is not None:
            values[commands.MOVE_ORIGINATOR] = originator.ae_title
            values[commands.MOVE_ORIGINATOR_MESSAGE] = originator.message_id
        self.association.send(context, commands.encode(values), blocks)

    def is_response(self, command: Command) -> bool:
        """True for the response to what `store` sent last."""
        return command.field == Field.C_STORE_RSP and command.responded_to == self._message_id

    def response(self, seconds: float | None = None) -> Command:
        """Wait for the response. For associations on which nothing else can arrive.

        `seconds`: how long it may take to begin, if not as long as the association may be silent.
        """
        message = self.association.receive(seconds)
        if message is None or not self.is_response(message.command):
            raise ProtocolViolation("not the response to our C-STORE")
        return message.command


def proposals(pairs: Iterable[tuple[str, str]], send_as: Sequence[str] = ()) -> list[tuple[str, Sequence[str]]]:
    """Contexts for pairs of SOP class and stored syntax: one for each, and for each class one with the fallbacks.

    What the AE table prefers (`send_as`) gets contexts of its own: an acceptor chooses one syntax of each.
    """
    stored = dict.fromkeys(pairs)
    contexts: list[tuple[str, Sequence[str]]] = [(sop_class, (syntax,)) for sop_class, syntax in stored]
    for sop_class in dict.fromkeys(sop_class for sop_class, _ in stored):
        for word in send_as:
            preferred = [uid for uid in SEND_AS[word] if uid not in FALLBACK and (sop_class, uid) not in stored]
            contexts += [(sop_class, (uid,)) for uid in preferred]
        others = tuple(syntax for syntax in FALLBACK if (sop_class, syntax) not in stored)
        if others:
            contexts.append((sop_class, others))
    return contexts


def most_pairs(send_as: Sequence[str]) -> int:
    """Different pairs of SOP class and stored syntax for whose `proposals` one association surely has contexts."""
    return negotiation.MOST_CONTEXTS // (2 + len(send_as))


def connect(
    peer: Peer,
    contexts: Sequence[tuple[str, Sequence[str]]],
    *,
    calling: str,
    settings: Dimse,
    receive: frozenset[str] = frozenset(),
) -> Association:
    """Open an association with a peer of the AE table. Raises UpperLayerError.

    `receive`: classes whose objects it may send us.
    """
    try:
        sock: socket.socket = socket.create_connection((peer.host, peer.port), settings.connect_timeout_seconds)
    except OSError as exc:
        raise ConnectionLost(f"cannot connect: {exc.strerror or exc}") from exc
    try:
        if peer.tls:
            sock = tls.wrap_client(sock, peer, settings)
        connection = Connection(sock, BufferPool(2 * (settings.maximum_pdu_bytes + 6)))
        agreed = negotiation.propose(
            connection,
            contexts,
            negotiation.Offer(calling, peer.ae_title, settings.maximum_pdu_bytes, receive),
            deadline=time.monotonic() + settings.pdu_timeout_seconds,
        )
        return Association(
            connection,
            agreed.contexts,
            our_pdu_bytes=settings.maximum_pdu_bytes,
            peer_pdu_bytes=agreed.peer_pdu_bytes,
            timeouts=Timeouts(settings.pdu_timeout_seconds, settings.response_timeout_seconds),
        )
    except (OSError, ssl.SSLError) as exc:
        sock.close()
        raise ConnectionLost(f"cannot connect: {exc}") from exc
    except UpperLayerError:
        sock.close()
        raise


@dataclass(frozen=True, slots=True)
class Sent:
    """What became of one file of `send`."""

    path: Path
    status: int | None
    """Status of the C-STORE response; None when the file was not sent."""
    comment: str = ""


@dataclass(frozen=True, slots=True)
class _File:
    path: Path
    meta: FileMeta


def send(paths: Iterable[Path], peer: Peer, *, calling: str, settings: Dimse) -> Iterator[Sent]:
    """Send Part 10 files as they are, one result each. Raises UpperLayerError when the association ends early.

    A new association is opened whenever the present one has no context for the next file.
    """
    for batch in _batches(paths):
        files = [one for one in batch if isinstance(one, _File)]
        yield from (one for one in batch if isinstance(one, Sent))
        if files:
            yield from _send_batch(files, peer, calling, settings)


def _send_batch(files: Sequence[_File], peer: Peer, calling: str, settings: Dimse) -> Iterator[Sent]:
    pairs = [(file.meta.sop_class_uid, file.meta.transfer_syntax_uid) for file in files]
    contexts = [(sop_class, (syntax,)) for sop_class, syntax in dict.fromkeys(pairs)]
    association = connect(peer, contexts, calling=calling, settings=settings)
    outgoing = Outgoing(association)
    with association:
        for file in files:
            yield _send_file(outgoing, file)


def _send_file(outgoing: Outgoing, file: _File) -> Sent:
    meta = file.meta
    if meta.transfer_syntax_uid not in outgoing.syntaxes(meta.sop_class_uid):
        return Sent(file.path, None, "the peer does not accept this SOP class in this transfer syntax")
    with file.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        whole = memoryview(mapped)
        try:
            blocks = _blocks(whole, meta.length_bytes)
            outgoing.store(
                meta.sop_class_uid,
                meta.sop_instance_uid,
                transfer_syntax_uid=meta.transfer_syntax_uid,
                blocks=blocks,
            )
        finally:
            whole.release()
    answer = outgoing.response()
    return Sent(file.path, answer.status, answer.text(commands.ERROR_COMMENT))


def _blocks(whole: memoryview, start: int) -> Iterator[bytes]:
    for offset in range(start, len(whole), _BLOCK_BYTES):
        yield bytes(whole[offset : offset + _BLOCK_BYTES])


def _batches(paths: Iterable[Path]) -> Iterator[list[_File | Sent]]:
    """Files in order, cut where an association would need too many contexts or has carried a thousand files."""
    batch: list[_File | Sent] = []
    pairs: set[tuple[str, str]] = set()
    for path in paths:
        try:
            file = _File(path, _read_meta(path))
        except (OSError, CannotUnderstand) as exc:
            batch.append(Sent(path, None, str(exc)))
            continue
        pairs.add((file.meta.sop_class_uid, file.meta.transfer_syntax_uid))
        if len(pairs) > negotiation.MOST_CONTEXTS or len(batch) >= 1000:
            yield batch
            batch, pairs = [], {(file.meta.sop_class_uid, file.meta.transfer_syntax_uid)}
        batch.append(file)
    if batch:
        yield batch


def _read_meta(path: Path) -> FileMeta:
    """The head of a Part 10 file. Raises OSError or CannotUnderstand."""
    reader = MetaReader()
    with path.open("rb") as stream:
        while block := stream.read(_HEAD_BYTES):
            meta = reader.feed(block)
            if meta is not None:
                return _as_the_data_set_says(path, meta)
    raise CannotUnderstand("This is no DICOM file")


def _as_the_data_set_says(path: Path, meta: FileMeta) -> FileMeta:
    """A request must name the UIDs of its data set, and those of the meta group may be missing or outdated."""
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
        try:
            scanned = scan(
                mapped,
                dataset_offset=meta.length_bytes,
                transfer_syntax_uid=meta.transfer_syntax_uid,
                limits=Limits(),
                bulk_threshold_bytes=_HEAD_BYTES,
            )
        except CannotUnderstand:
            # The peer may be able to read it.
            if meta.sop_class_uid and meta.sop_instance_uid:
                return meta
            raise
    return replace(meta, sop_class_uid=scanned.sop_class_uid, sop_instance_uid=scanned.key.sop_instance_uid)
