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
OUT_OF_RESOURCES_MATCHES: Final = 0xA701
OUT_OF_RESOURCES_SUBOPERATIONS: Final = 0xA702
DESTINATION_UNKNOWN: Final = 0xA801
IDENTIFIER_MISMATCH: Final = 0xA900
OUT_OF_RESOURCES: Final = 0xA700
UNABLE_TO_PROCESS: Final = 0xC000

MEANINGS: Final = {
    SUCCESS: "Done; of a retrieval: every sub-operation succeeded, or nothing was found.",
    PENDING: "One match of a C-FIND, or the counts of a retrieval after a sub-operation.",
    PENDING_UNSUPPORTED_KEYS: "One match of a C-FIND in which a key was asked for that cannot be matched.",
    CANCEL: "The peer cancelled; of a retrieval with the number of sub-operations that were not begun.",
    WARNING_SUBOPERATIONS: "Some sub-operations failed or ended with a warning; the failed instances are listed.",
    SOP_CLASS_NOT_SUPPORTED: "The SOP class of the request is not that of its presentation context.",
    UNRECOGNISED_OPERATION: "The operation does not exist, or not in this presentation context.",
    OUT_OF_RESOURCES: "The query is too broad or takes too long, or there is no room left.",
    OUT_OF_RESOURCES_MATCHES: "The matches of a retrieval could not be found in time.",
    OUT_OF_RESOURCES_SUBOPERATIONS: "Not one instance could be sent; all of them are listed.",
    DESTINATION_UNKNOWN: "The destination has no row with an address in the AE table, or one of another tenant.",
    IDENTIFIER_MISMATCH: "The identifier is missing, cannot be read, or asks for what the model does not have.",
    UNABLE_TO_PROCESS: "An error of ours; the log has it.",
}
"""Status of C-FIND, C-MOVE and C-GET -> when it is answered. Those of C-STORE are `index.reasons.Code`."""


def is_warning(status: int) -> bool:
    """True for the statuses of PS3.7 C.3: the operation was done, with a remark."""
    return status in (0x0001, 0x0107, 0x0116) or status & 0xF000 == 0xB000


def of_outcome(outcome: StoreOutcome) -> tuple[int, str]:
    """Status and Error Comment of a C-STORE response."""
    for reason in outcome.reasons:
        if reason.code.is_warning == outcome.stored:
            return reason.code.status, reason.comment()
    return (SUCCESS, "") if outcome.stored else (UNABLE_TO_PROCESS, "")
