"""C-FIND as SCP (PS3.4 C.4.1)."""

from collections.abc import Iterator
from dataclasses import replace
from itertools import islice

from dimse import status
from dimse.commands import encode, response
from dimse.contexts import MODELS
from dimse.extended import NONE, Flags
from dimse.find_request import FindRequest, find_request
from dimse.identifier import Renderer, check_level, parse
from dimse.session import Session
from dimse.upper_layer import Message
from index.attributes import BY_TAG
from index.errors import PacsError, TooBroad
from index.moments import converted
from index.query import Declared
from index.records import Answer

_FIRST_BATCH = 4
_LARGEST_BATCH = 64
"""Answers a system call. Batches grow: the first answer is not held back, and a C-CANCEL is seen soon."""


def handle_find(session: Session, message: Message) -> None:
    """Answer with the matches, one response each, and the final status."""
    command, context = message.command, message.context
    association = session.association
    data = association.short_data(context)
    model = MODELS[context.abstract_syntax]
    try:
        identifier = parse(data, context.transfer_syntax, model)
        request = find_request(identifier, model, _flags(session, context.abstract_syntax))
        answers, remark = _found(session, request)
        renderer = Renderer(identifier, model, session.our_ae_title, context.transfer_syntax)
        pending = status.PENDING_UNSUPPORTED_KEYS if request.unsupported else status.PENDING
        head = encode(response(command, pending, dataset=True))
        code, comment = status.SUCCESS, remark
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


def _found(session: Session, request: FindRequest) -> tuple[Iterator[Answer], str]:
    """The matches, their dates and times by the clock of the request when it names one, and a remark about them."""
    declared, remark = _declared(session, request) if request.declared else ((), "")
    most = session.settings.maximum_matches
    answers = session.archive.search(session.principal, replace(request.query(declared), limit=most + 1))
    if request.timezone:
        answers = (converted(answer, request.timezone) for answer in answers)
    return _bounded(answers, most), remark


def _bounded(answers: Iterator[Answer], most: int) -> Iterator[Answer]:
    """The matches, and a failure where they become too many: a peer must not take a part for the whole."""
    yield from islice(answers, most)
    for _ in answers:
        raise TooBroad(f"Too broad; there are more than {most} matches")


def _declared(session: Session, request: FindRequest) -> tuple[tuple[Declared, ...], str]:
    """The keys that are searchable by declaration; others cannot be matched (FF01). What is being filled is remarked.

    Raises InvalidQuery for an attribute of a level below, unless it is declared for this one.
    """
    declarations = session.archive.declarations(session.principal)
    known = [(path, text) for path, text in request.declared if declarations.knows(path, request.level)]
    for path, _ in request.declared:
        attribute = BY_TAG.get(path[0].tag) if len(path) == 1 else None
        if attribute is not None and attribute.searchable and not declarations.knows(path, request.level):
            check_level(attribute, request.level)
    declared = declarations.keys(request.level, known, request.rules)
    unfinished = declarations.unfinished(declared)
    request.unsupported |= len(known) < len(request.declared) or bool(unfinished)
    return declared, f"Matches may be missing: {unfinished[0].percent} % indexed" if unfinished else ""


def _batches(answers: Iterator[Answer]) -> Iterator[list[Answer]]:
    size = _FIRST_BATCH
    while batch := list(islice(answers, size)):
        yield batch
        size = min(2 * size, _LARGEST_BATCH)
