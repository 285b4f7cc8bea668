"""Failure and warning codes of both protocols in one table.

DIMSE statuses are those of PS3.4 B.2.3 (C-STORE) and PS3.7 C; the web's FailureReason and
WarningReason values are those of PS3.18 I.2.2 and reuse the same numbers.
"""

from dataclasses import dataclass
from enum import Enum


class Code(Enum):
    """Why an instance was refused or stored with a warning: (status, meaning)."""

    OUT_OF_RESOURCES = (0xA700, "Out of resources")
    DATA_SET_MISMATCH = (0xA900, "Data Set does not match SOP Class")
    CANNOT_UNDERSTAND = (0xC000, "Cannot understand")
    DUPLICATE_INSTANCE = (0xC110, "SOP Instance UID is known with other content")
    STUDY_MISMATCH = (0xC409, "Study Instance UID does not match the request")
    REJECTED_BEFORE = (0xA771, "Subsequent occurrence of a rejected instance")
    SOP_CLASS_NOT_SUPPORTED = (0x0122, "SOP Class not supported")
    TRANSFER_SYNTAX_NOT_SUPPORTED = (0xC122, "Transfer Syntax not supported")
    NOT_AUTHORISED = (0x0124, "Not authorised")
    PROCESSING_FAILURE = (0x0110, "Processing failure")
    REMARK = (0x0000, "Success, with a remark for the log")
    COERCION = (0xB000, "Coercion of data elements")
    REFERENCES_UNKNOWN = (0xB000, "Some of the instances that the document names are unknown")
    ELEMENTS_DISCARDED = (0xB006, "Elements discarded")
    MISMATCH_WARNING = (0xB007, "Data Set does not match SOP Class, warning")

    @property
    def status(self) -> int:
        """The 16-bit number on the wire."""
        return self.value[0]

    @property
    def meaning(self) -> str:
        """What the standard calls it."""
        return self.value[1]

    @property
    def is_warning(self) -> bool:
        """True for the B000 family: the instance was stored."""
        return self.status & 0xF000 == 0xB000


@dataclass(frozen=True, slots=True)
class Reason:
    """One code with a sentence for the person who has to act on it.

    `detail` never holds patient data: it becomes Error Comment (0000,0902), at most 64 characters
    there, and is logged.
    """

    code: Code
    detail: str = ""
    attributes: tuple[str, ...] = ()
    """The attributes that it is about: 8 hexadecimal digits each, in sequences a path `00400275/1/00400007`."""

    def comment(self) -> str:
        """Error Comment (0000,0902), VR LO: at most 64 characters."""
        return (self.detail or self.code.meaning)[:64]
