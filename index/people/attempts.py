"""Attempts to sign in that have not succeeded, as rows, so that all processes agree on who must wait.

Who tries is known by digests: of the name that was typed, which may be nobody's or a password in the wrong field, and
of the address. An attempt is written down before the password is looked at, so many at the same time count as many.
"""

from collections.abc import Callable, Sequence
from typing import Any, Final

from sqlalchemy import bindparam, delete, func, select

from index.database import Database, Params, Prepared, Transaction
from index.tables import sign_in_attempts

Count = tuple[int, int]
"""How many attempts there were, and when the last one was: milliseconds since 1970, 0 for never."""

Rule = Callable[[Sequence[Count]], int]
"""Counts, one for each subject -> milliseconds to wait before the next attempt."""

_FORGET_MS: Final = 86_400_000


class Attempts:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        self._database = database
        prepare = database.prepare
        row = sign_in_attempts.c
        subject = bindparam("subject", type_=row.subject.type)
        counted = select(func.count(), func.coalesce(func.max(row.at_ms), 0))
        self._count = prepare(counted.where(row.subject == subject, row.at_ms > bindparam("since")))
        self._add = prepare(sign_in_attempts.insert().values(subject=subject, at_ms=bindparam("at_ms")))
        self._forget = prepare(
            delete(sign_in_attempts).where(row.subject == bindparam("whose", type_=row.subject.type))
        )
        one = row.subject == bindparam("whose", type_=row.subject.type), row.at_ms == bindparam("at_ms")
        self._take_back = prepare(delete(sign_in_attempts).where(*one))
        self._clear = prepare(delete(sign_in_attempts).where(row.at_ms < bindparam("old")))

    def begin(self, subjects: Sequence[bytes], rule: Rule, *, now: int, since: int) -> int:
        """Write an attempt down, if the rule lets it be made at once. Returns the milliseconds to wait, else 0."""

        def wait_by(rows: Callable[[Prepared, Params], list[Any]]) -> int:
            counts = [tuple(rows(self._count, {"subject": one, "since": since})[0]) for one in subjects]
            return max(0, rule(counts))

        def write(tx: Transaction) -> int:
            wait = wait_by(tx.rows)
            if not wait:
                tx.run(self._clear, {"old": now - _FORGET_MS})
                tx.run_many(self._add, [{"subject": one, "at_ms": now} for one in subjects])
            return wait

        # Who only hammers at the door gets no writer's turn: others need those.
        return wait_by(self._database.rows) or self._database.transact(write)

    def succeeded(self, name: bytes, address: bytes, now: int) -> None:
        """The attempt of this moment was no failure: the name begins anew, the address has one less."""

        def forget(tx: Transaction) -> None:
            tx.run(self._forget, {"whose": name})
            tx.run(self._take_back, {"whose": address, "at_ms": now})

        self._database.transact(forget)
