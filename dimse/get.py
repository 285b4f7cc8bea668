"""C-GET as SCP (PS3.4 C.4.3): the matches go back on the peer's own association."""

from dimse.commands import Command
from dimse.connection import UpperLayerError
from dimse.retrieval import Progress, Receiver, Retrieval, conclude, match, record, send_one
from dimse.send import Outgoing
from dimse.session import Session
from dimse.upper_layer import UNEXPECTED_PDU, Message, ProtocolViolation


def handle_get(session: Session, message: Message) -> None:
    """Send the matches as far as the peer proposed to be SCP of their classes; the others have failed."""
    instances = match(session, message)
    if instances is None:
        return
    retrieval = Retrieval(session, message, Progress(len(instances)))
    outgoing = Outgoing(session.association)
    receiver = Receiver(outgoing, lambda: _response(retrieval, outgoing), session.send_as)
    try:
        for instance in instances:
            if retrieval.cancelled or session.association.cancelled(retrieval.message_id):
                retrieval.cancelled = True
                break
            retrieval.progress.add(instance, send_one(retrieval, receiver, instance))
            retrieval.pending()
    except UpperLayerError:
        record(retrieval, session.principal.name)
        raise
    conclude(retrieval, session.principal.name)


def _response(retrieval: Retrieval, outgoing: Outgoing) -> Command:
    """The response to our C-STORE, before which a C-CANCEL may arrive."""
    while True:
        message = retrieval.session.association.response_or_cancel(retrieval.message_id)
        if message is None:
            retrieval.cancelled = True
        elif outgoing.is_response(message.command):
            return message.command
        else:
            raise ProtocolViolation("not the response to our C-STORE", UNEXPECTED_PDU)
