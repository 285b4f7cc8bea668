"""One request to its service, by its command field and the presentation context it came in."""

import logging
from collections.abc import Callable

from dimse.commands import Field, encode, response
from dimse.connection import UpperLayerError
from dimse.contexts import MODELS, VERIFICATION
from dimse.find import handle_find
from dimse.get import handle_get
from dimse.move import handle_move
from dimse.session import Session
from dimse.status import (
    IDENTIFIER_MISMATCH,
    SOP_CLASS_NOT_SUPPORTED,
    SUCCESS,
    UNABLE_TO_PROCESS,
    UNRECOGNISED_OPERATION,
)
from dimse.store import handle_store
from dimse.upper_layer import RESPONSE, UNEXPECTED_PDU, Message, ProtocolViolation

logger = logging.getLogger(__name__)

_QUERY_RETRIEVE: dict[tuple[int, str], Callable[[Session, Message], None]] = {
    (Field.C_FIND, "find"): handle_find,
    (Field.C_MOVE, "move"): handle_move,
    (Field.C_GET, "get"): handle_get,
}


def dispatch(session: Session, message: Message) -> None:
    """Do what the peer asks for and answer. Raises UpperLayerError when the association is over."""
    command, context = message.command, message.context
    if command.field == Field.C_CANCEL:
        return  # It crossed our last response: there is nothing left to cancel.
    if command.field & RESPONSE:
        raise ProtocolViolation("a response to no request", UNEXPECTED_PDU)
    handler = _handler(message)
    refusal = _refusal(message, known=handler is not None)
    if handler is None or refusal is not None:
        if command.has_dataset:
            session.association.drain(context)
        code, comment = refusal or (SUCCESS, "")
        session.association.send(context, encode(response(command, code, comment=comment)))
        return
    try:
        handler(session, message)
    except UpperLayerError:
        raise
    except Exception:
        logger.exception("Request failed", extra={"command": f"{command.field:04X}"})
        session.association.send(context, encode(response(command, UNABLE_TO_PROCESS, comment="Internal error")))


def _handler(message: Message) -> Callable[[Session, Message], None] | None:
    command, syntax = message.command, message.context.abstract_syntax
    model = MODELS.get(syntax)
    if model is not None:
        return _QUERY_RETRIEVE.get((command.field, model.service))
    is_store = command.field == Field.C_STORE and syntax != VERIFICATION and message.context.as_scp
    return handle_store if is_store else None


def _refusal(message: Message, *, known: bool) -> tuple[int, str] | None:
    """Status and comment for a request that no service need look at; None for C-ECHO and what is in order."""
    command, syntax = message.command, message.context.abstract_syntax
    if command.field == Field.C_ECHO:
        return None
    if not known:
        return UNRECOGNISED_OPERATION, ""
    if not command.has_dataset:
        return IDENTIFIER_MISMATCH, "The request has no data set"
    if syntax in MODELS and command.sop_class_uid not in ("", syntax):
        return SOP_CLASS_NOT_SUPPORTED, "SOP class differs from the presentation context"
    return None
