"""Sessions of people who have signed in, as rows that every web process sees.

A session is known by the SHA-256 digest of its identifier, which is in the person's browser alone: a copy of the table
opens nothing. Times are milliseconds since 1970 in UTC.
"""

from dataclasses import dataclass

from sqlalchemy import bindparam, delete, or_, select, update

from index.database import Database, Transaction
from index.tables import sessions, tenants, users


@dataclass(frozen=True, slots=True)
class Session:
    """Who it is, and until when."""

    user: str
    tenant: str
    seen_at_ms: int
    ends_at_ms: int


class Sessions:
    """The statements, compiled once for a database."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        self._database = database
        prepare = database.prepare
        named = sessions.c.digest == bindparam("digest", type_=sessions.c.digest.type)
        columns = (users.c.name, tenants.c.name, sessions.c.seen_at_ms, sessions.c.ends_at_ms)
        source = sessions.join(users, sessions.c.user_fk == users.c.id).join(tenants, users.c.tenant_id == tenants.c.id)
        self._find = prepare(select(*columns).select_from(source).where(named))
        names = ("digest", "user_fk", "address", "began_at_ms", "seen_at_ms", "ends_at_ms")
        self._add = prepare(
            sessions.insert().values({name: bindparam(name, type_=sessions.c[name].type) for name in names})
        )
        later = sessions.c.seen_at_ms < bindparam("now")
        self._seen = prepare(update(sessions).where(named, later).values(seen_at_ms=bindparam("now")))
        self._end = prepare(delete(sessions).where(named))
        over = or_(sessions.c.ends_at_ms < bindparam("now"), sessions.c.seen_at_ms < bindparam("idle_since"))
        self._clear = prepare(delete(sessions).where(over))

    def find(self, digest: bytes) -> Session | None:
        """The session, whether it has run out or not; one point select."""
        rows = self._database.rows(self._find, {"digest": digest})
        return Session(*rows[0]) if rows else None

    def begin(self, digest: bytes, user: int, address: str, *, now: int, ends: int, idle_since: int) -> None:
        """A new session of the account with this number. Those that have run out go at the same time."""
        row = {"digest": digest, "user_fk": user, "address": address}

        def add(tx: Transaction) -> None:
            tx.run(self._clear, {"now": now, "idle_since": idle_since})
            tx.run(self._add, row | {"began_at_ms": now, "seen_at_ms": now, "ends_at_ms": ends})

        self._database.transact(add)

    def seen(self, digest: bytes, now: int) -> None:
        """The person has done something; what a slower process says about earlier is ignored."""
        self._database.transact(lambda tx: tx.run(self._seen, {"digest": digest, "now": now}))

    def end(self, digest: bytes) -> None:
        """From now on nobody is known by it. Ending what is no session changes nothing."""
        self._database.transact(lambda tx: tx.run(self._end, {"digest": digest}))
