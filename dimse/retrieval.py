"""What C-MOVE and C-GET share: one match, counts of sub-operations, one object at a time (PS3.4 C.4.2, C.4.3)."""

import logging
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from dimse import commands, status
from dimse.commands import Command, encode
from dimse.contexts import MODELS, SEND_AS
from dimse.identifier import failed_instances, parse, retrieve_query
from dimse.send import Originator, Outgoing
from dimse.session import Session
from dimse.upper_layer import Message
from index.access import AuditEvent
from index.errors import NotAcceptable, PacsError
from index.records import StoredInstance, Wanted
from storage import syntaxes
from storage.outgoing import OpenObject

logger = logging.getLogger(__name__)

_UNCOMPRESSED = "uncompressed"


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

    @property
    def message_id(self) -> int:
        """Message ID of the request."""
        return self.message.command.message_id

    @property
    def priority(self) -> int:
        """Priority of the request, which its sub-operations pass on."""
        return self.message.command.number(commands.PRIORITY)

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


def match(session: Session, message: Message) -> Sequence[StoredInstance] | None:
    """The instances asked for; None when the request was answered with a failure."""
    data = session.association.short_data(message.context)
    try:
        identifier = parse(data, message.context.transfer_syntax, MODELS[message.context.abstract_syntax])
        return session.archive.matching(session.principal, retrieve_query(identifier))
    except PacsError as exc:
        code = exc.dimse_status
        if code == status.OUT_OF_RESOURCES:
            code = status.OUT_OF_RESOURCES_MATCHES
        values = commands.response(message.command, code, comment=exc.detail)
        session.association.send(message.context, encode(values))
        return None


@dataclass(frozen=True, slots=True)
class Receiver:
    """Where the sub-operations of a retrieval go."""

    outgoing: Outgoing
    response: Callable[[], Command]
    """Waits for the response to what was sent last."""
    send_as: Sequence[str] = ()
    """How images are sent to it, best first; words of SEND_AS."""
    originator: Originator | None = None


def send_one(retrieval: Retrieval, receiver: Receiver, instance: StoredInstance) -> int | None:
    """One sub-operation: the status of its response, or None when the object cannot be sent to this receiver."""
    outgoing = receiver.outgoing
    accepted = outgoing.syntaxes(instance.sop_class_uid)
    if not accepted:
        return None
    try:
        opened = _open(retrieval.session, instance, choices(accepted, instance.transfer_syntax_uid, receiver.send_as))
    except PacsError as exc:
        uid = instance.key.sop_instance_uid
        logger.warning("Sub-operation not possible", extra={"SOPInstanceUID": uid, "why": exc.detail})
        return None
    outgoing.store(
        instance.sop_class_uid,
        instance.key.sop_instance_uid,
        transfer_syntax_uid=opened.transfer_syntax_uid,
        blocks=opened.blocks,
        originator=receiver.originator,
        priority=retrieval.priority,
    )
    return receiver.response().status


def choices(accepted: Sequence[str], stored: str, send_as: Sequence[str]) -> Iterator[tuple[str, ...]]:
    """The transfer syntaxes to try, one group after the other; the last one is all that the receiver takes.

    What was compressed with loss is not compressed again: that makes it larger and no better.
    """
    syntax = syntaxes.lookup(stored)
    lossless = syntax is not None and syntax.lossless
    for word in send_as:
        if lossless or word == _UNCOMPRESSED == send_as[0]:
            wanted = tuple(uid for uid in SEND_AS[word] if uid in accepted)
            if wanted:
                yield wanted
    yield tuple(accepted)


def _open(session: Session, instance: StoredInstance, groups: Iterator[tuple[str, ...]]) -> OpenObject:
    """The object in the first group of syntaxes that it can be had in. Raises PacsError."""
    refusal: NotAcceptable | None = None
    for group in groups:
        try:
            return session.archive.open_dataset(
                session.principal, instance, Wanted(group, as_stored_ok=False, lossy_ok=False)
            )
        except NotAcceptable as exc:
            refusal = exc
    raise refusal or NotAcceptable("The receiver takes nothing")


def fail(retrieval: Retrieval, instances: Sequence[StoredInstance]) -> None:
    """Count sub-operations that will not be tried."""
    for instance in instances:
        retrieval.progress.add(instance, None)


def record(retrieval: Retrieval, receiver: str) -> None:
    """Audit what left, by study (PS3.15 A.5.3.7)."""
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


def conclude(retrieval: Retrieval, receiver: str) -> None:
    """Audit what left, and answer."""
    record(retrieval, receiver)
    if retrieval.cancelled and retrieval.progress.remaining:
        retrieval.finish(status.CANCEL)
    elif retrieval.progress.failed_uids and not retrieval.progress.studies:
        retrieval.finish(status.OUT_OF_RESOURCES_SUBOPERATIONS, "No instance could be sent")
    else:
        retrieval.finish(retrieval.progress.status())
