"""C-STORE as SCP (PS3.4 annex B): bytes go to the archive as they arrive, no data set is ever decoded here."""

import logging
from collections.abc import Iterator

from dimse import status
from dimse.commands import Command, encode, response
from dimse.connection import UpperLayerError
from dimse.session import Session
from dimse.upper_layer import Context, Message
from index.errors import PacsError
from index.reasons import Code, Reason
from index.records import Origin, StoreOutcome, StoreStatus
from storage.archive import Incoming

logger = logging.getLogger(__name__)


def handle_store(session: Session, message: Message) -> None:
    """Take in one object and answer."""
    command, context = message.command, message.context
    outcome = _take(session, context, command)
    if outcome.stored:
        session.stored += 1
    else:
        session.refused += 1
    code, comment = status.of_outcome(outcome)
    session.association.send(context, encode(response(command, code, comment=comment)))


def _take(session: Session, context: Context, command: Command) -> StoreOutcome:
    if command.sop_class_uid != context.abstract_syntax:
        reason = Reason(Code.SOP_CLASS_NOT_SUPPORTED, "SOP class differs from the presentation context")
        return _refuse(session, context, command, reason)
    incoming = Incoming(
        transfer_syntax_uid=context.transfer_syntax,
        sop_class_uid=command.sop_class_uid,
        sop_instance_uid=command.sop_instance_uid,
        general_sop_class_uid=context.general,
    )
    origin = Origin("dimse", session.principal.name, session.principal.name)
    try:
        intake = session.archive.intake(session.principal, incoming, origin)
    except PacsError as exc:
        return _refuse(session, context, command, exc.reason())
    fragments = session.association.data(context)
    try:
        for fragment in fragments:
            intake.write(fragment)
    except UpperLayerError:
        # The sender went away in the middle: nothing of the object may stay.
        intake.abort()
        raise
    except PacsError:
        _drain(fragments)
    except BaseException:
        intake.abort()
        _drain(fragments)
        raise
    return intake.finish()


def _drain(fragments: Iterator[memoryview]) -> None:
    """Take the rest of a refused object off the wire, so that the peer comes to read the answer."""
    for _ in fragments:
        pass


def _refuse(session: Session, context: Context, command: Command, reason: Reason) -> StoreOutcome:
    """Refuse what the archive has not even been asked to take."""
    logger.warning(
        "C-STORE refused", extra={"SOPInstanceUID": command.sop_instance_uid, "status": f"{reason.code.status:04X}"}
    )
    session.association.drain(context)
    return StoreOutcome(StoreStatus.REFUSED, None, reasons=(reason,))
