"""What becomes of one instance of many: whatever goes wrong with it is its own outcome, and the others go on."""

import asyncio
import logging

from index.errors import PacsError
from index.reasons import Code, Reason
from index.records import InstanceKey, StoreOutcome, StoreStatus

logger = logging.getLogger(__name__)


def refusal(reason: Reason, key: InstanceKey | None = None, sop_class_uid: str = "") -> StoreOutcome:
    """The outcome of an instance or a part that is not stored."""
    return StoreOutcome(StoreStatus.REFUSED, key, sop_class_uid, reasons=(reason,))


def misunderstood(detail: str) -> StoreOutcome:
    """The outcome of a part that nothing can be made of."""
    return refusal(Reason(Code.CANNOT_UNDERSTAND, detail))


async def settled(item: StoreOutcome | asyncio.Future[StoreOutcome]) -> StoreOutcome:
    """The outcome, once it is there."""
    if isinstance(item, StoreOutcome):
        return item
    try:
        return await item
    except PacsError as error:
        return refusal(error.reason())
    except Exception:
        # One instance that cannot be stored must not hide the outcome of the others from the sender.
        logger.exception("unexpected error while an instance was stored")
        return refusal(Reason(Code.PROCESSING_FAILURE))
