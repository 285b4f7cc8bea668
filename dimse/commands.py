"""The command set of a DIMSE message (PS3.7 6.3.1, annex E): group 0000 in Implicit VR Little Endian.

Commands are a handful of short elements of four kinds, so a small codec reads and writes them in a
few microseconds. A value is an int for US and UL, and text for UI, AE and LO.
"""

import struct
from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

AFFECTED_SOP_CLASS: Final = 0x0002
REQUESTED_SOP_CLASS: Final = 0x0003
COMMAND_FIELD: Final = 0x0100
MESSAGE_ID: Final = 0x0110
RESPONDED_TO: Final = 0x0120
MOVE_DESTINATION: Final = 0x0600
PRIORITY: Final = 0x0700
DATA_SET_TYPE: Final = 0x0800
STATUS: Final = 0x0900
OFFENDING_ELEMENT: Final = 0x0901
ERROR_COMMENT: Final = 0x0902
AFFECTED_SOP_INSTANCE: Final = 0x1000
REMAINING: Final = 0x1020
COMPLETED: Final = 0x1021
FAILED: Final = 0x1022
WARNING: Final = 0x1023
MOVE_ORIGINATOR: Final = 0x1030
MOVE_ORIGINATOR_MESSAGE: Final = 0x1031

NO_DATA_SET: Final = 0x0101
HAS_DATA_SET: Final = 0x0001

_NUMBERS: Final = frozenset(
    (
        *(COMMAND_FIELD, MESSAGE_ID, RESPONDED_TO, PRIORITY, DATA_SET_TYPE, STATUS, 0x0903, 0x1002, 0x1008),
        *(REMAINING, COMPLETED, FAILED, WARNING, MOVE_ORIGINATOR_MESSAGE),
    )
)
_UIDS: Final = frozenset((AFFECTED_SOP_CLASS, REQUESTED_SOP_CLASS, AFFECTED_SOP_INSTANCE, 0x1001))
_TEXTS: Final = frozenset((MOVE_DESTINATION, MOVE_ORIGINATOR, ERROR_COMMENT))

_ELEMENT = struct.Struct("<HHI")
_NUMBER = struct.Struct("<HHIH")
_SHORT = struct.Struct("<H")
_GROUP_LENGTH = struct.Struct("<HHII")

Values = Mapping[int, int | str]
"""Element number within group 0000 -> value."""


class Field(IntEnum):
    """Command Field (0000,0100). A response is its request plus 0x8000."""

    C_STORE = 0x0001
    C_GET = 0x0010
    C_FIND = 0x0020
    C_MOVE = 0x0021
    C_ECHO = 0x0030
    C_CANCEL = 0x0FFF
    C_STORE_RSP = 0x8001


class MalformedCommand(ValueError):
    """The command set cannot be read."""


@dataclass(frozen=True, slots=True)
class Command:
    """A decoded command set."""

    values: Values

    def number(self, element: int) -> int:
        """The value of a numeric element; 0 when it is absent."""
        value = self.values.get(element, 0)
        return value if isinstance(value, int) else 0

    def text(self, element: int) -> str:
        """The value of a text or UID element; empty when it is absent."""
        value = self.values.get(element, "")
        return value if isinstance(value, str) else ""

    @property
    def field(self) -> int:
        """Command Field."""
        return self.number(COMMAND_FIELD)

    @property
    def message_id(self) -> int:
        """Message ID of a request."""
        return self.number(MESSAGE_ID)

    @property
    def responded_to(self) -> int:
        """Message ID Being Responded To, of responses and of C-CANCEL."""
        return self.number(RESPONDED_TO)

    @property
    def has_dataset(self) -> bool:
        """True when a data set follows."""
        return self.number(DATA_SET_TYPE) != NO_DATA_SET

    @property
    def sop_class_uid(self) -> str:
        """Affected SOP Class UID."""
        return self.text(AFFECTED_SOP_CLASS)

    @property
    def sop_instance_uid(self) -> str:
        """Affected SOP Instance UID."""
        return self.text(AFFECTED_SOP_INSTANCE)

    @property
    def status(self) -> int:
        """Status of a response."""
        return self.number(STATUS)


def decode(data: bytes) -> Command:
    """Read a command set; elements that are not ours are passed over. Raises MalformedCommand."""
    values: dict[int, int | str] = {}
    offset, end = 0, len(data)
    while offset < end:
        if end - offset < 8:
            raise MalformedCommand("a command element is cut off")
        group, element, length = _ELEMENT.unpack_from(data, offset)
        offset += 8
        if group or length > end - offset:
            raise MalformedCommand("a command element is longer than the command, or not one")
        if element in _NUMBERS:
            if length == 2:
                values[element] = _SHORT.unpack_from(data, offset)[0]
            elif length:
                raise MalformedCommand("a number of a command has another length than 2")
        elif element in _UIDS or element in _TEXTS:
            # Some peers pad UIDs with spaces and AE titles with NUL.
            values[element] = data[offset : offset + length].decode("ascii", "replace").strip(" \0")
        offset += length
    if COMMAND_FIELD not in values or DATA_SET_TYPE not in values:
        raise MalformedCommand("a command has no Command Field or no Command Data Set Type")
    return Command(values)


def encode(values: Values) -> bytes:
    """Write a command set with its group length; elements in ascending order."""
    parts = [_encode_element(element, values[element]) for element in sorted(values)]
    body = b"".join(parts)
    return _GROUP_LENGTH.pack(0, 0, 4, len(body)) + body


def _encode_element(element: int, value: int | str) -> bytes:
    if isinstance(value, int):
        return _NUMBER.pack(0, element, 2, value)
    content = value.encode("ascii", "replace")
    if len(content) & 1:
        content += b"\0" if element in _UIDS else b" "
    return _ELEMENT.pack(0, element, len(content)) + content


def response(
    request: Command, status: int, *, dataset: bool = False, comment: str = "", **more: int
) -> dict[int, int | str]:
    """The values of the response to a request; `more` are sub-operation counts by name (`remaining=3`)."""
    values: dict[int, int | str] = {
        COMMAND_FIELD: request.field | 0x8000,
        RESPONDED_TO: request.message_id,
        DATA_SET_TYPE: HAS_DATA_SET if dataset else NO_DATA_SET,
        STATUS: status,
    }
    if request.sop_class_uid:
        values[AFFECTED_SOP_CLASS] = request.sop_class_uid
    if request.sop_instance_uid:
        values[AFFECTED_SOP_INSTANCE] = request.sop_instance_uid
    if comment:
        values[ERROR_COMMENT] = comment[:64]
    for name, count in more.items():
        values[_COUNTS[name]] = count
    return values


_COUNTS: Final = {"remaining": REMAINING, "completed": COMPLETED, "failed": FAILED, "warning": WARNING}
