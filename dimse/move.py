"""C-MOVE as SCP (PS3.4 C.4.2): the matches go to a destination of the AE table, on associations of their own.

A destination that loses the association gets the instance that was on its way once more, on a new one, because
half an hour of transfer must not fail for one broken connection. One that makes no progress is given up.
"""

import logging
from collections import deque
from collections.abc import Iterator, Sequence

from config.settings import Peer
from dimse import commands, status
from dimse.commands import Command
from dimse.connection import UpperLayerError
from dimse.peers import destination
from dimse.retrieval import Progress, Receiver, Retrieval, conclude, fail, match, record, send_one
from dimse.send import Originator, Outgoing, connect, most_pairs, proposals
from dimse.session import Session
from dimse.upper_layer import Message
from index.records import StoredInstance

logger = logging.getLogger(__name__)

_MOST_FRUITLESS = 3
"""Associations in a row that ended before a single instance was answered for."""


class _RequestorLost(Exception):
    """The association that the C-MOVE came on has ended: nobody waits for the outcome."""


def handle_move(session: Session, message: Message) -> None:
    """Send the matches to a destination of the AE table."""
    title = message.command.text(commands.MOVE_DESTINATION)
    peer = destination(title, session.settings, session.principal, session.tenant)
    instances = match(session, message)
    if instances is None:
        return
    retrieval = Retrieval(session, message, Progress(len(instances)))
    if peer is None:
        retrieval.finish(status.DESTINATION_UNKNOWN, "Move destination is not in the AE table")
        return
    try:
        for batch in _batches(instances, most_pairs(peer.send_as)):
            _move_batch(retrieval, peer, batch)
    except _RequestorLost as exc:
        record(retrieval, title)
        assert isinstance(exc.__cause__, UpperLayerError)
        raise exc.__cause__ from None
    conclude(retrieval, title)


def _move_batch(retrieval: Retrieval, peer: Peer, batch: Sequence[StoredInstance]) -> None:
    """Sub-operations that fit on one association, on as many as are needed."""
    waiting = deque(batch)
    attempts = fruitless = 0
    while waiting and not retrieval.cancelled:
        before = len(waiting)
        try:
            _move_over_one(retrieval, peer, waiting)
        except UpperLayerError as exc:
            logger.warning("C-MOVE destination lost", extra={"destination": peer.ae_title, "why": str(exc)})
            progress = len(waiting) < before
            attempts = 1 if progress else attempts + 1
            fruitless = 0 if progress else fruitless + 1
            if attempts >= retrieval.session.settings.move_attempts:
                fail(retrieval, [waiting.popleft()])
                attempts = 0
            if fruitless >= _MOST_FRUITLESS:
                break
    if not retrieval.cancelled:
        fail(retrieval, waiting)


def _move_over_one(retrieval: Retrieval, peer: Peer, waiting: deque[StoredInstance]) -> None:
    """Send what waits over one association, taking away what is answered for. Raises UpperLayerError."""
    session = retrieval.session
    contexts = proposals(((one.sop_class_uid, one.transfer_syntax_uid) for one in waiting), peer.send_as)
    try:
        association = connect(peer, contexts, calling=session.our_ae_title, settings=session.settings)
    except UpperLayerError as exc:
        logger.warning("C-MOVE destination not reached", extra={"destination": peer.ae_title, "why": str(exc)})
        fail(retrieval, waiting)
        waiting.clear()
        return
    outgoing = Outgoing(association)
    originator = Originator(session.principal.name, retrieval.message_id)
    receiver = Receiver(outgoing, lambda: _response(retrieval, outgoing), peer.send_as, originator)
    with association:
        while waiting and not _look_for_cancel(retrieval):
            code = send_one(retrieval, receiver, waiting[0])
            retrieval.progress.add(waiting.popleft(), code)
            _say_pending(retrieval)


def _response(retrieval: Retrieval, outgoing: Outgoing) -> Command:
    """The response of the destination. While it is awaited, the requestor may cancel or go away."""
    settings = retrieval.session.settings
    requestor, sub = retrieval.session.association, outgoing.association
    while not retrieval.cancelled and not sub.has_input():
        requestor.wait_beside(sub, settings.response_timeout_seconds)
        _look_for_cancel(retrieval)
    return outgoing.response(settings.pdu_timeout_seconds if retrieval.cancelled else None)


def _look_for_cancel(retrieval: Retrieval) -> bool:
    try:
        retrieval.cancelled = retrieval.cancelled or retrieval.session.association.cancelled(retrieval.message_id)
    except UpperLayerError as exc:
        raise _RequestorLost from exc
    return retrieval.cancelled


def _say_pending(retrieval: Retrieval) -> None:
    try:
        retrieval.pending()
    except UpperLayerError as exc:
        raise _RequestorLost from exc


def _batches(instances: Sequence[StoredInstance], most: int) -> Iterator[Sequence[StoredInstance]]:
    """Instances in order, cut where one association would need too many presentation contexts."""
    start = 0
    pairs: set[tuple[str, str]] = set()
    for number, instance in enumerate(instances):
        pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
        if pair not in pairs and len(pairs) == most:
            yield instances[start:number]
            start, pairs = number, set()
        pairs.add(pair)
    if start < len(instances):
        yield instances[start:]
