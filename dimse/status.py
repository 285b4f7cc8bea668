"""Status codes of DIMSE responses (PS3.7 annex C; PS3.4 B.2.3, C.4.1.1.4, C.4.2.1.5, C.4.3.1.4)."""

from typing import Final

from index.records import StoreOutcome

SUCCESS: Final = 0x0000
PENDING: Final = 0xFF00
PENDING_UNSUPPORTED_KEYS: Final = 0xFF01
"""Matches go on, but optional keys were not supported for matching (PS3.4 table C.4-1)."""
CANCEL: Final = 0xFE00
WARNING_SUBOPERATIONS: Final = 0xB000
SOP_CLASS_NOT_SUPPORTED: Final = 0x0122
UNRECOGNISED_OPERATION: Final = 0x0211
MISTYPED_ARGUMENT: Final = 0x0212
OUT_OF_RESOURCES_MATCHES: Final = 0xA701
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
DESTINATION_UNKNOWN: Final = 0xA801
IDENTIFIER_MISMATCH: Final = 0xA900
UNABLE_TO_PROCESS: Final = 0xC000


def is_warning(status: int) -> bool:
    """True for the statuses of PS3.7 C.3: the operation was done, with a remark."""
    return status in (0x0001, 0x0107, 0x0116) or status & 0xF000 == 0xB000


def of_outcome(outcome: StoreOutcome) -> tuple[int, str]:
    """Status and Error Comment of a C-STORE response."""
    for reason in outcome.reasons:
        if reason.code.is_warning == outcome.stored:
            return reason.code.status, reason.comment()
    return (SUCCESS, "") if outcome.stored else (UNABLE_TO_PROCESS, "")
