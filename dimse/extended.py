"""SOP Class Extended Negotiation of Query/Retrieve: what the flags are and which of them we grant (PS3.4 C.5).

The application information is a row of bytes, each 0 or 1; a peer may leave out the last ones (PS3.4 C.5.1.1). Without
the negotiation every flag is 0: queries are hierarchical, dates and times are matched one by one, names literally.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from types import MappingProxyType
from typing import Final

from dimse.contexts import Service


@dataclass(frozen=True, slots=True)
class Flags:
    """What an association has agreed on for one Query/Retrieve SOP class; in the order of PS3.4 tables C.5-1, C.5-2."""

    relational: bool = False
    """Keys of every level may be asked for without the unique keys above (C.4.1.2.2.1)."""
    combined_moments: bool = False
    """A range of dates and one of times are one range of moments (C.2.2.2.5.4)."""
    fuzzy_names: bool = False
    """Person names are matched by words and sound (C.2.2.2.1.1)."""
    timezone: bool = False
    """Timezone Offset From UTC (0008,0201) says how dates and times are meant (C.2.2.2.1.3)."""
    enhanced_view: bool = False
    """Query/Retrieve View (0008,0053): conversion between enhanced and classic images."""
    empty_values: bool = False
    """The value `""` matches what is empty (C.2.2.2.7)."""
    multiple_values: bool = False
    """Several values of a key must all be among those of the attribute (C.2.2.2.8)."""


NONE: Final = Flags()
"""What holds without the negotiation."""

GRANTED: Final[Mapping[Service, tuple[bool, ...]]] = MappingProxyType(
    {
        # Images are never converted between enhanced multi-frame and classic ones: the fifth byte is not granted.
        "find": (True, True, True, True, False, True, True),
        # C-MOVE and C-GET have relational retrieval and the conversion alone (PS3.4 C.5.2.1, C.5.3.1).
        "move": (True, False),
        "get": (True, False),
    }
)
"""Which bytes we grant when a peer asks for them, for each service."""


def granted(service: Service, asked: bytes) -> bytes:
    """The application information of the A-ASSOCIATE-AC: as many bytes as asked for, 1 where we do what was asked."""
    ours = GRANTED.get(service, ())
    return bytes(number < len(ours) and ours[number] and flag == 1 for number, flag in enumerate(asked))


def flags(answered: bytes) -> Flags:
    """The flags of the application information that we have answered with."""
    return Flags(*(flag == 1 for flag in answered[: len(fields(Flags))]))
