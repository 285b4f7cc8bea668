"""C-GET and C-FIND as SCU (PS3.4 C.4.1, C.4.3): a study of another archive is brought into ours.

First the other side is asked which SOP classes the study has, because an association has room for 128 presentation
contexts and there are more classes than that. Then we offer to receive each class in the transfer syntaxes that we
know, each in a context of its own as far as there is room, so that objects come as they are stored there.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from config.settings import Dimse, Peer
from dimse import commands, status
from dimse.commands import Command, Field, encode
from dimse.connection import ConnectionLost
from dimse.elements import RawDataset, Writer, read
from dimse.negotiation import MOST_CONTEXTS
from dimse.send import FALLBACK, connect
from dimse.session import Session
from dimse.store import handle_store
from dimse.upper_layer import RESPONSE, UNEXPECTED_PDU, Association, Context, Message, ProtocolViolation
from index.access import Audit, Principal
from storage.archive import Archive
from storage.syntaxes import KNOWN

_FIND: Final = "1.2.840.10008.5.1.4.1.2.2.1"
_GET: Final = "1.2.840.10008.5.1.4.1.2.2.3"
_LEVEL, _CLASS, _STUDY, _SERIES = "00080052", "00080016", "0020000D", "0020000E"

_COMPRESSED: Final = tuple(uid for uid, syntax in KNOWN.items() if syntax.encapsulated)


@dataclass(frozen=True, slots=True)
class House:
    """Who fetches, and where to."""

    settings: Dimse
    archive: Archive
    principal: Principal
    audit: Audit

    @property
    def title(self) -> str:
        """Our AE title."""
        return self.settings.ae_titles[0]


@dataclass(frozen=True, slots=True)
class Fetched:
    """What became of a C-GET."""

    status: int
    comment: str
    stored: int
    failed: int
    """Instances that the other side could not send, or that our archive did not take."""


_MOST_CLASSES: Final = 20


def fetch(peer: Peer, study: str, house: House) -> Iterator[Fetched]:
    """Bring a study in, one result for each association that it took. Raises UpperLayerError."""
    classes = _classes(peer, study, house)
    for first in range(0, len(classes), _MOST_CLASSES):
        yield _get(peer, study, classes[first : first + _MOST_CLASSES], house)


def _classes(peer: Peer, study: str, house: House) -> list[str]:
    """The SOP classes of a study."""
    found: dict[str, None] = {}
    with _Asking(connect(peer, [(_FIND, FALLBACK)], calling=house.title, settings=house.settings)) as asking:
        for series in asking.find({_LEVEL: "SERIES", _STUDY: study, _SERIES: ""}):
            uid = _text(series, _SERIES)
            for instance in asking.find({_LEVEL: "IMAGE", _STUDY: study, _SERIES: uid, _CLASS: ""}):
                found[_text(instance, _CLASS)] = None
    return [uid for uid in found if uid]


def _get(peer: Peer, study: str, classes: Sequence[str], house: House) -> Fetched:
    room = (MOST_CONTEXTS - 1) // len(classes) - 1
    contexts: list[tuple[str, Sequence[str]]] = [(_GET, FALLBACK)]
    for uid in classes:
        contexts.append((uid, FALLBACK))
        contexts += [(uid, (syntax,)) for syntax in _COMPRESSED[:room]]
    association = connect(peer, contexts, calling=house.title, settings=house.settings, receive=frozenset(classes))
    with _Asking(association) as asking:
        who = house.principal
        session = Session(association, who, house.title, house.archive, house.settings, house.audit, who.tenant)
        answer = asking.get({_LEVEL: "STUDY", _STUDY: study}, session)
    return Fetched(
        answer.status,
        answer.text(commands.ERROR_COMMENT),
        session.stored,
        answer.number(commands.FAILED),
    )


class _Asking:
    """An association on which we ask: released at the end, aborted when something is wrong."""

    def __init__(self, association: Association) -> None:
        self._association = association
        self._message_id = 0

    def __enter__(self) -> "_Asking":
        return self

    def __exit__(self, kind: object, *_: object) -> None:
        if kind is None:
            self._association.release()
        else:
            self._association.abort()

    def find(self, keys: dict[str, str]) -> list[RawDataset]:
        """All matches of a C-FIND."""
        context = self._ask(_FIND, Field.C_FIND, keys)
        found = []
        while (answer := self._next(Field.C_FIND)).command.status in (
            status.PENDING,
            status.PENDING_UNSUPPORTED_KEYS,
        ):
            found.append(read(self._association.short_data(answer.context), context.transfer_syntax))
        if answer.command.status != status.SUCCESS:
            raise ConnectionLost(f"the other side refused to search with status {answer.command.status:04X}")
        return found

    def get(self, keys: dict[str, str], session: Session) -> Command:
        """The last response of a C-GET; what arrives meanwhile is stored."""
        self._ask(_GET, Field.C_GET, keys)
        while True:
            answer = self._next(Field.C_GET, session)
            if answer.command.has_dataset:
                self._association.drain(answer.context)
            if answer.command.status != status.PENDING:
                return answer.command

    def _ask(self, sop_class: str, field: Field, keys: dict[str, str]) -> Context:
        contexts = self._association.contexts.values()
        context = next((one for one in contexts if one.abstract_syntax == sop_class), None)
        if context is None:
            raise ConnectionLost(f"the other side does not offer {field.name.replace('_', '-')}")
        self._message_id += 1
        command: dict[int, int | str] = {
            commands.AFFECTED_SOP_CLASS: sop_class,
            commands.COMMAND_FIELD: int(field),
            commands.MESSAGE_ID: self._message_id,
            commands.PRIORITY: 0,
            commands.DATA_SET_TYPE: commands.HAS_DATA_SET,
        }
        dataset = {
            tag: {"vr": "CS" if tag == _LEVEL else "UI", "Value": [value] if value else []}
            for tag, value in keys.items()
        }
        identifier = Writer(context.transfer_syntax).write(dataset, str.encode)
        self._association.send(context, encode(command), [identifier])
        return context

    def _next(self, field: Field, session: Session | None = None) -> Message:
        """The next response to what we asked; objects that come before it are stored."""
        while True:
            message = self._association.receive()
            if message is None:
                raise ProtocolViolation("release before the last response", UNEXPECTED_PDU)
            command = message.command
            if command.field == field | RESPONSE and command.responded_to == self._message_id:
                return message
            is_object = command.field == Field.C_STORE and command.has_dataset and message.context.as_scp
            if session is None or not is_object:
                raise ProtocolViolation("not the response to our request", UNEXPECTED_PDU)
            handle_store(session, message)


def _text(dataset: RawDataset, tag: str) -> str:
    raw = dataset.get(int(tag, 16))
    return raw.value.decode("ascii", "replace").strip(" \0") if raw else ""
