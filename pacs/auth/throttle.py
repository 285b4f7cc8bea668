"""Who may try again when: five failures of a name, or twenty of an address, are free in a quarter of an hour.

From then on each attempt has to wait three times as long as the one before, up to a quarter of an hour. It makes no
difference whether the name exists. What is refused here is not counted, so who waits is let in again.
"""

from collections.abc import Sequence
from typing import Final

from index.people.attempts import Count

WINDOW_MS: Final = 900_000

_FREE_BY_NAME: Final = 5
_FREE_BY_ADDRESS: Final = 20
_FIRST_MS: Final = 5000
_FACTOR: Final = 3


def wait(counts: Sequence[Count], now: int) -> int:
    """Milliseconds until the next attempt; `counts` are those of the name and of the address."""
    by_name, by_address = counts
    return max(_until(*by_name, _FREE_BY_NAME), _until(*by_address, _FREE_BY_ADDRESS)) - now


def is_locked(milliseconds: int) -> bool:
    """Whether that is no mistyping any more: somebody should hear of it."""
    return milliseconds > WINDOW_MS // 2


def _until(count: int, last_ms: int, free: int) -> int:
    """When the next attempt may be made, in milliseconds since 1970."""
    return last_ms + min(WINDOW_MS, _FIRST_MS * _FACTOR ** (count - free)) if count >= free else 0
