"""C-FIND as SCP (PS3.4 C.4.1)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from dimse import status
from dimse.commands import encode, response
from dimse.contexts import MODELS
from dimse.extended import NONE, Flags
from dimse.find_request import FindRequest, find_request
from dimse.identifier import Renderer, parse
from dimse.session import Session
from dimse.upper_layer import Message
from index.errors import PacsError
from index.moments import converted
from index.records import Answer

LARGEST_IDENTIFIER_BYTES = 1024**2

_FIRST_BATCH = 4
_LARGEST_BATCH = 64
"""Answers a system call. Batches grow: the first answer is not held back, and a C-CANCEL is seen soon."""


def handle_find(session: Session, message: Message) -> None:
    """Answer with the matches, one response each, and the final status."""
    command, context = message.command, message.context
    association = session.association
    data = association.short_data(context, LARGEST_IDENTIFIER_BYTES)
    model = MODELS[context.abstract_syntax]
    try:
        identifier = parse(data, context.transfer_syntax, model)
        request = find_request(identifier, model, _flags(session, context.abstract_syntax))
        answers = _found(session, request)
        renderer = Renderer(identifier, model, session.our_ae_title, context.transfer_syntax)
        pending = status.PENDING_UNSUPPORTED_KEYS if request.unsupported else status.PENDING
        head = encode(response(command, pending, dataset=True))
        code, comment = status.SUCCESS, ""
        for batch in _batches(answers):
            if association.cancelled(command.message_id):
                code = status.CANCEL
                break
            association.send_all(context, [(head, renderer.render(answer)) for answer in batch])
    except PacsError as exc:
        code, comment = exc.dimse_status, exc.detail
    association.send(context, encode(response(command, code, comment=comment)))


def _flags(session: Session, sop_class_uid: str) -> Flags:
    """What was negotiated; relational queries also where the administrator lets peers have them unasked."""
    flags = session.extended.get(sop_class_uid, NONE)
    return replace(flags, relational=True) if session.settings.relational_queries == "always" else flags


def _found(session: Session, request: FindRequest) -> Iterator[Answer]:
    """The matches, their dates and times by the clock of the request when it names one."""
    request.unsupported |= bool(request.declared)
    answers = session.archive.search(session.principal, request.query())
    return (converted(answer, request.timezone) for answer in answers) if request.timezone else answers


def _batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    size = _FIRST_BATCH
    while batch := list(islice(answers, size)):
        yield batch
        size = min(2 * size, _LARGEST_BATCH)
