"""What the worker must do, as rows: asked for in the transaction that causes it, done once it is committed.

A job is known by its kind and key; asking again while it waits changes nothing, asking while it runs makes it run
again. A worker claims one, and every step of the job beats: its transaction commits only while the claim is still its
own. After a few seconds without a beat the worker is taken for dead and another one goes on, so jobs must be able to
start again at any point. What fails is tried again, later each time.
"""

import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final
from uuid import uuid4

from sqlalchemy import and_, bindparam, delete, or_, select, update

from index.database import Database, Transaction
from index.errors import PacsError
from index.tables import jobs

LEASE_SECONDS: Final = 5.0
"""A claim without a beat for so long is free. Steps take far less than that."""

_LONGEST_PAUSE_SECONDS: Final = 3600.0


@dataclass(frozen=True, slots=True)
class Job:
    """A job that this process has claimed."""

    id: int
    kind: str
    key: str
    requested: int
    attempts: int
    claim: str


@dataclass(frozen=True, slots=True)
class Waiting:
    """A job as an administrator sees it."""

    kind: str
    key: str
    running: bool
    attempts: int
    not_before_ms: int
    error: str


Handler = Callable[[Job], Iterator[None]]
"""Does a job step by step, each a short transaction of its own with a beat; between the steps it may be stopped."""

Handlers = Mapping[str, Handler]
"""By kind."""


class ClaimLost(PacsError):
    """Another worker has taken the job over."""


class Jobs:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        self._database = database
        prepare = database.prepare
        asked = database.insert(jobs).values(
            {name: bindparam(name) for name in ("kind", "key", "not_before_ms", "queued_at_ms")} | {"requested": 1}
        )
        again = {"requested": jobs.c.requested + 1, "attempts": 0, "not_before_ms": asked.excluded.not_before_ms}
        self._ask = prepare(asked.on_conflict_do_update(index_elements=["kind", "key"], set_=again))
        free = or_(
            and_(jobs.c.claim == "", jobs.c.not_before_ms <= bindparam("now")),
            and_(jobs.c.claim != "", jobs.c.beat_ms < bindparam("stale")),
        )
        columns = [jobs.c[name] for name in ("id", "kind", "key", "requested", "attempts")]
        due = select(*columns).where(free, database.one_of(jobs.c.kind, "kinds")).order_by(jobs.c.id).limit(1)
        self._look = prepare(due)
        self._lock = prepare(due.with_for_update(skip_locked=True))
        mine = update(jobs).where(jobs.c.id == bindparam("row"))
        self._take = prepare(
            mine.values(claim=bindparam("taken"), beat_ms=bindparam("beat"), attempts=jobs.c.attempts + 1)
        )
        held = mine.where(jobs.c.claim == bindparam("mine"))
        self._beat = prepare(held.values(beat_ms=bindparam("beat")))
        self._release = prepare(held.values(claim="", attempts=0, error=""))
        self._give_up = prepare(held.values(claim="", error=bindparam("problem"), not_before_ms=bindparam("later")))
        done = and_(
            jobs.c.id == bindparam("row"),
            jobs.c.claim == bindparam("mine"),
            jobs.c.requested == bindparam("requested_then"),
        )
        self._done = prepare(delete(jobs).where(done))
        listed = ("kind", "key", "claim", "attempts", "not_before_ms", "error")
        self._list = prepare(select(*(jobs.c[name] for name in listed)).order_by(jobs.c.id))

    def ask(self, tx: Transaction, kind: str, key: str, *, delay_seconds: float = 0) -> None:
        """Have a job done once this transaction is committed."""
        now = _now_ms()
        tx.run(
            self._ask,
            {"kind": kind, "key": key, "not_before_ms": now + int(delay_seconds * 1000), "queued_at_ms": now},
        )

    def claim(self, handlers: Handlers) -> Job | None:
        """The oldest job that is due, of a kind that somebody here can do."""
        now = _now_ms()
        due = {
            "now": now,
            "stale": now - int(LEASE_SECONDS * 1000),
            "kinds": self._database.list_value(sorted(handlers)),
        }
        # A look is cheap, and most of the time there is nothing: only then is a writer's turn worth its price.
        if not self._database.rows(self._look, due):
            return None
        token = uuid4().hex

        def take(tx: Transaction) -> Job | None:
            rows = tx.rows(self._lock, due)
            if not rows:
                return None
            tx.run(self._take, {"row": rows[0][0], "taken": token, "beat": now})
            number, kind, key, requested, attempts = rows[0]
            return Job(number, kind, key, requested, attempts + 1, token)

        return self._database.transact(take)

    def beat(self, tx: Transaction, job: Job) -> None:
        """Say that the job is alive, as part of its step. Raises ClaimLost: then the step must not count."""
        if not tx.changed(self._beat, {"row": job.id, "mine": job.claim, "beat": _now_ms()}):
            raise ClaimLost

    def still_alive(self, job: Job) -> None:
        """The same in the midst of a step that takes long. Raises ClaimLost."""
        self._database.transact(lambda tx: self.beat(tx, job))

    def finish(self, job: Job) -> None:
        """The job is done; when it was asked for again meanwhile it is due again."""
        held: dict[str, Any] = {"row": job.id, "mine": job.claim}

        def end(tx: Transaction) -> None:
            if not tx.changed(self._done, held | {"requested_then": job.requested}):
                tx.run(self._release, held)

        self._database.transact(end)

    def release(self, job: Job) -> None:
        """Leave the job to whoever comes next: this process stops."""
        self._database.transact(lambda tx: tx.run(self._release, {"row": job.id, "mine": job.claim}))

    def put_off(self, job: Job, problem: str) -> float:
        """The job failed: try again later. Returns in how many seconds."""
        pause = min(2.0**job.attempts, _LONGEST_PAUSE_SECONDS)
        later = _now_ms() + int(pause * 1000)
        values = {"row": job.id, "mine": job.claim, "problem": problem[:500], "later": later}
        self._database.transact(lambda tx: tx.run(self._give_up, values))
        return pause

    def waiting(self) -> list[Waiting]:
        """All jobs that are not done, oldest first."""
        rows = self._database.rows(self._list, {})
        return [Waiting(row[0], row[1], bool(row[2]), *row[3:]) for row in rows]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
