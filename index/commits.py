"""Group commit: many threads hand in work, one transaction carries all that wait.

Theory. There is no writer thread and no timer. The first thread to arrive leads: it takes everything that
waits, its own item included, and runs one transaction. Who arrives meanwhile waits; when the leader is done,
it wakes those it served and appoints the first of the new ones. One sender alone therefore never changes
threads, and the more senders there are, the more of them share one fsync.
"""

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from index.errors import OutOfResources

T = TypeVar("T")
R = TypeVar("R")

_MOST_AT_ONCE = 128


class _Ticket(Generic[T, R]):
    __slots__ = ("error", "item", "leads", "result", "wake")

    def __init__(self, item: T) -> None:
        self.item = item
        self.result: R | None = None
        self.error: BaseException | None = None
        self.leads = False
        self.wake = threading.Lock()
        self.wake.acquire()


class GroupCommit(Generic[T, R]):
    """`apply` runs one transaction over the items and returns one result each, in order."""

    def __init__(self, apply: Callable[[Sequence[T]], Sequence[R]]) -> None:
        """`apply` must be all or nothing: when it raises, each item is tried again alone."""
        self._apply = apply
        self._mutex = threading.Lock()
        self._waiting: list[_Ticket[T, R]] = []
        self._led = False

    def submit(self, item: T) -> R:
        """Hand in one item; returns when its transaction is durable, raises what it raised."""
        ticket: _Ticket[T, R] = _Ticket(item)
        with self._mutex:
            self._waiting.append(ticket)
            if not self._led:
                self._led = ticket.leads = True
        if not ticket.leads:
            ticket.wake.acquire()
        if ticket.leads:
            self._lead(ticket)
        if ticket.error is not None:
            raise ticket.error
        return ticket.result  # type: ignore[return-value]

    def _lead(self, own: _Ticket[T, R]) -> None:
        # The leader is always the first that waits, so its own item is in the batch.
        with self._mutex:
            batch, self._waiting = self._waiting[:_MOST_AT_ONCE], self._waiting[_MOST_AT_ONCE:]
        try:
            self._serve(batch)
        except BaseException as exc:
            for ticket in batch:
                if ticket.result is None and ticket.error is None:
                    ticket.error = exc
        finally:
            with self._mutex:
                successor = self._waiting[0] if self._waiting else None
                if successor is None:
                    self._led = False
                else:
                    successor.leads = True
            if successor is not None:
                successor.wake.release()
            for ticket in batch:
                if ticket is not own:
                    ticket.wake.release()

    def _serve(self, batch: list[_Ticket[T, R]]) -> None:
        try:
            results = self._apply([ticket.item for ticket in batch])
        except Exception as exc:
            # Without room or a server each of them alone would fail as well, one time-out after the other.
            if len(batch) == 1 or isinstance(exc, OutOfResources):
                for ticket in batch:
                    ticket.error = exc
                return
            for ticket in batch:
                self._serve([ticket])
            return
        for ticket, result in zip(batch, results, strict=True):
            ticket.result = result
