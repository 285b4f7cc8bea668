"""What the edges hand in, and what they hold while bytes arrive."""

from dataclasses import dataclass
from typing import Protocol

from index.records import StoreOutcome


@dataclass(frozen=True, slots=True)
class Incoming:
    """What the protocol already says about an object that is about to arrive.

    C-STORE names class, instance and transfer syntax and sends a bare data set; STOW-RS and files
    carry a Part 10 meta group, so all three are empty then.
    """

    transfer_syntax_uid: str = ""
    sop_class_uid: str = ""
    sop_instance_uid: str = ""
    study_instance_uid: str = ""
    """STOW-RS `POST /studies/{study}`: the data set must belong to this study."""
    general_sop_class_uid: str = ""
    """The storage class of which the sender says that its own class is a special case (PS3.7 D.3.3.6)."""


class Intake(Protocol):
    """One object on its way in. Exactly one of `finish` and `abort` ends it."""

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Take the next bytes (they are copied or written before this returns). Raises PacsError as soon as it is
        clear that the object will be refused; the caller then drains its input and calls `finish` or `abort`."""

    def finish(self) -> StoreOutcome:
        """All bytes are here: check, make durable, index. Returns when the outcome would survive a power cut.
        Never raises PacsError: a refusal is a StoreOutcome."""

    def abort(self) -> None:
        """The sender went away: leave nothing behind."""
