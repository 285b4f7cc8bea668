"""C-MOVE and C-GET as SCP (PS3.4 C.4.2, C.4.3): match once, then one C-STORE sub-operation an instance.

Both differ only in the association that carries the sub-operations, and in where the answers to them and
a C-CANCEL arrive. Objects go out as stored; the archive converts one only when the receiver lacks its syntax.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dimse import commands, status
from dimse.commands import Command, Field, encode
from dimse.connection import UpperLayerError
from dimse.contexts import MODELS
from dimse.find import LARGEST_IDENTIFIER_BYTES
from dimse.identifier import failed_instances, parse, retrieve_query
from dimse.peers import destination
from dimse.send import MOST_PAIRS, Originator, Outgoing, connect, proposals
from dimse.session import Session
from dimse.upper_layer import UNEXPECTED_PDU, Message, ProtocolViolation
from index.access import AuditEvent
from index.errors import PacsError
from index.records import StoredInstance, Wanted

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Progress:
    """Counts of sub-operations (PS3.7 9.1.4.1.6 and following)."""

    remaining: int
    completed: int = 0
    warning: int = 0
    failed_uids: list[str] = field(default_factory=list)
    studies: Counter[str] = field(default_factory=Counter)
    """Instances that arrived, by study."""

    def add(self, instance: StoredInstance, code: int | None) -> None:
        """Count one sub-operation; None: it could not be done."""
        self.remaining -= 1
        if code is None or (code != status.SUCCESS and not status.is_warning(code)):
            self.failed_uids.append(instance.key.sop_instance_uid)
            return
        self.studies[instance.key.study_instance_uid] += 1
        if code == status.SUCCESS:
            self.completed += 1
        else:
            self.warning += 1

    def status(self) -> int:
        """The final status: a warning as soon as one sub-operation did not succeed (PS3.4 tables C.4-2 and C.4-3)."""
        return status.WARNING_SUBOPERATIONS if self.failed_uids or self.warning else status.SUCCESS


@dataclass(slots=True)
class Retrieval:
    """One C-MOVE or C-GET request while it is worked on."""

    session: Session
    message: Message
    progress: Progress
    cancelled: bool = False

    def pending(self) -> None:
        """Tell the peer how far we are."""
        self._respond(status.PENDING, remaining=self.progress.remaining)

    def finish(self, code: int, comment: str = "") -> None:
        """Send the final response, with the list of failed instances if there are any."""
        context = self.message.context
        failed = self.progress.failed_uids
        blocks = [failed_instances(failed, context.transfer_syntax)] if failed else None
        left = {"remaining": self.progress.remaining} if code == status.CANCEL else {}
        self._respond(code, comment=comment, blocks=blocks, **left)

    def _respond(self, code: int, comment: str = "", blocks: list[bytes] | None = None, **left: int) -> None:
        progress = self.progress
        counts = {"completed": progress.completed, "failed": len(progress.failed_uids), "warning": progress.warning}
        values = commands.response(
            self.message.command, code, dataset=blocks is not None, comment=comment, **counts, **left
        )
        self.session.association.send(self.message.context, encode(values), blocks)


def handle_move(session: Session, message: Message) -> None:
    """Send the matches to a destination of the AE table."""
    title = message.command.text(commands.MOVE_DESTINATION)
    peer = destination(title, session.settings, session.principal, session.tenant)
    instances = _match(session, message)
    if instances is None:
        return
    retrieval = Retrieval(session, message, Progress(len(instances)))
    if peer is None:
        retrieval.finish(status.DESTINATION_UNKNOWN, "Move destination is not in the AE table")
        return
    originator = Originator(session.principal.name, message.command.message_id)
    for batch in _batches(instances):
        contexts = proposals((one.sop_class_uid, one.transfer_syntax_uid) for one in batch)
        try:
            association = connect(peer, contexts, calling=session.our_ae_title, settings=session.settings)
        except UpperLayerError as exc:
            logger.warning("C-MOVE destination not reached", extra={"destination": title, "why": str(exc)})
            _fail(retrieval, batch)
            continue
        try:
            _move_batch(retrieval, Outgoing(association), batch, originator)
        except BaseException:
            association.abort()
            raise
        if retrieval.cancelled:
            break
    _conclude(retrieval, title)


def handle_get(session: Session, message: Message) -> None:
    """Send the matches back on the same association, as far as the peer proposed to be SCP of their classes."""
    instances = _match(session, message)
    if instances is None:
        return
    retrieval = Retrieval(session, message, Progress(len(instances)))
    outgoing = Outgoing(session.association)
    for instance in instances:
        code = _store(session, outgoing, instance, lambda: _response_or_cancel(retrieval, outgoing))
        retrieval.progress.add(instance, code)
        if retrieval.cancelled:
            break
        retrieval.pending()
    _conclude(retrieval, session.principal.name)


def _match(session: Session, message: Message) -> Sequence[StoredInstance] | None:
    """The instances asked for; None when the request was answered with a failure."""
    data = session.association.short_data(message.context, LARGEST_IDENTIFIER_BYTES)
    try:
        identifier = parse(data, message.context.transfer_syntax, MODELS[message.context.abstract_syntax])
        return session.archive.matching(session.principal, retrieve_query(identifier))
    except PacsError as exc:
        values = commands.response(message.command, exc.dimse_status, comment=exc.detail)
        session.association.send(message.context, encode(values))
        return None


def _move_batch(
    retrieval: Retrieval, outgoing: Outgoing, batch: Sequence[StoredInstance], originator: Originator
) -> None:
    """Sub-operations of a C-MOVE on an association of their own; when it ends early, what is left has failed."""
    requestor = retrieval.session.association
    for number, instance in enumerate(batch):
        if requestor.cancelled(retrieval.message.command.message_id):
            retrieval.cancelled = True
            break
        try:
            code = _store(retrieval.session, outgoing, instance, outgoing.response, originator)
        except UpperLayerError as exc:
            logger.warning("C-MOVE destination lost", extra={"why": str(exc)})
            outgoing.association.abort(exc)
            _fail(retrieval, batch[number:])
            return
        retrieval.progress.add(instance, code)
        retrieval.pending()
    outgoing.association.release()


def _store(
    session: Session,
    outgoing: Outgoing,
    instance: StoredInstance,
    response: Callable[[], Command],
    originator: Originator | None = None,
) -> int | None:
    """One sub-operation: the status of its response, or None when the object cannot be sent to this receiver."""
    syntaxes = outgoing.syntaxes(instance.sop_class_uid)
    if not syntaxes:
        return None
    try:
        opened = session.archive.open_dataset(
            session.principal, instance, Wanted(syntaxes, as_stored_ok=False, lossy_ok=False)
        )
    except PacsError as exc:
        uid = instance.key.sop_instance_uid
        logger.warning("Sub-operation not possible", extra={"SOPInstanceUID": uid, "why": exc.detail})
        return None
    outgoing.store(
        instance.sop_class_uid,
        instance.key.sop_instance_uid,
        transfer_syntax_uid=opened.transfer_syntax_uid,
        blocks=opened.blocks,
        originator=originator,
    )
    return response().status


def _response_or_cancel(retrieval: Retrieval, outgoing: Outgoing) -> Command:
    """The response to our C-STORE on the peer's own association, where its C-CANCEL may arrive first."""
    while True:
        message = retrieval.session.association.receive()
        if message is None:
            raise ProtocolViolation("release before the last response", UNEXPECTED_PDU)
        if outgoing.is_response(message.command):
            return message.command
        if message.command.field != Field.C_CANCEL:
            raise ProtocolViolation("neither a C-STORE response nor a C-CANCEL", UNEXPECTED_PDU)
        if message.command.responded_to == retrieval.message.command.message_id:
            retrieval.cancelled = True


def _fail(retrieval: Retrieval, instances: Sequence[StoredInstance]) -> None:
    for instance in instances:
        retrieval.progress.add(instance, None)


def _batches(instances: Sequence[StoredInstance]) -> Iterator[Sequence[StoredInstance]]:
    """Instances in order, cut where one association would need too many presentation contexts."""
    start = 0
    pairs: set[tuple[str, str]] = set()
    for number, instance in enumerate(instances):
        pair = (instance.sop_class_uid, instance.transfer_syntax_uid)
        if pair not in pairs and len(pairs) == MOST_PAIRS:
            yield instances[start:number]
            start, pairs = number, set()
        pairs.add(pair)
    if start < len(instances):
        yield instances[start:]


def _conclude(retrieval: Retrieval, receiver: str) -> None:
    """Audit what left, by study (PS3.15 A.5.3.7), and answer."""
    principal = retrieval.session.principal
    for study, count in retrieval.progress.studies.items():
        retrieval.session.audit(
            AuditEvent(
                "DICOM Instances Transferred",
                principal.name,
                principal.tenant,
                address=principal.address,
                study_instance_uid=study,
                count=count,
                detail=f"to {receiver}",
            )
        )
    if retrieval.cancelled and retrieval.progress.remaining:
        retrieval.finish(status.CANCEL)
    elif retrieval.progress.failed_uids and not retrieval.progress.studies:
        retrieval.finish(status.OUT_OF_RESOURCES_SUBOPERATIONS, "No instance could be sent")
    else:
        retrieval.finish(retrieval.progress.status())
