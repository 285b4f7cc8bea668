"""Accounts: people who sign in by a name and a password, of which only a hash made elsewhere is kept."""

import time
from dataclasses import dataclass
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from index.database import Database, Transaction
from index.errors import Conflict, NotFound
from index.tables import sessions, tenants, users


@dataclass(frozen=True, slots=True)
class Account:
    """One person of one tenant."""

    number: int
    tenant: str
    name: str
    password_hash: str
    created_at_ms: int
    password_set_at_ms: int
    sessions: int = 0
    """How many sessions there are of it, also those that have run out and were not cleared away yet."""


class Accounts:
    """The statements, compiled once for a database. Names are folded already (`pacs.auth.names`)."""

    def __init__(self, database: Database) -> None:
        """Compiles; touches no connection."""
        self._database = database
        prepare = database.prepare
        columns = (users.c.id, tenants.c.name, users.c.name, users.c.password_hash)
        times = (users.c.created_at_ms, users.c.password_set_at_ms)
        known = select(*columns, *times).select_from(users.join(tenants, users.c.tenant_id == tenants.c.id))
        self._find = prepare(known.where(users.c.name == bindparam("name")))
        counted = select(func.count()).where(sessions.c.user_fk == users.c.id).scalar_subquery()
        self._all = prepare(known.add_columns(counted).order_by(users.c.name))
        self._tenant = prepare(select(tenants.c.id).where(tenants.c.name == bindparam("name")))
        self._add_tenant = prepare(database.insert(tenants).values(name=bindparam("name")).on_conflict_do_nothing())
        names = ("tenant_id", "name", "password_hash", "created_at_ms", "password_set_at_ms")
        values = {name: bindparam(name, type_=users.c[name].type) for name in names}
        self._add = prepare(database.insert(users).values(values).on_conflict_do_nothing())
        named = users.c.name == bindparam("user")
        self._set = prepare(
            update(users).where(named).values(password_hash=bindparam("hash"), password_set_at_ms=bindparam("now"))
        )
        self._rehash = prepare(
            update(users)
            .where(users.c.id == bindparam("number"), users.c.password_hash == bindparam("old"))
            .values(password_hash=bindparam("new"))
        )
        self._remove = prepare(delete(users).where(named))
        self._end_all = prepare(delete(sessions).where(sessions.c.user_fk.in_(select(users.c.id).where(named))))

    def find(self, name: str) -> Account | None:
        """The account of this name."""
        rows = self._database.rows(self._find, {"name": name})
        return Account(*rows[0]) if rows else None

    def all(self) -> list[Account]:
        """All accounts of all tenants, by name."""
        return [Account(*row) for row in self._database.rows(self._all, {})]

    def add(self, tenant: str, name: str, password_hash: str) -> None:
        """A new account. Raises Conflict when the name is taken, in whatever tenant."""
        now = time.time_ns() // 1_000_000

        def add(tx: Transaction) -> bool:
            tx.run(self._add_tenant, {"name": tenant})
            number = tx.rows(self._tenant, {"name": tenant})[0][0]
            values: dict[str, Any] = {"tenant_id": number, "name": name, "password_hash": password_hash}
            return bool(tx.changed(self._add, values | {"created_at_ms": now, "password_set_at_ms": now}))

        if not self._database.transact(add):
            raise Conflict(f"There is an account {name} already")

    def set_password(self, name: str, password_hash: str) -> None:
        """Another password, which ends all sessions. Raises NotFound."""
        now = time.time_ns() // 1_000_000

        def change(tx: Transaction) -> bool:
            tx.run(self._end_all, {"user": name})
            return bool(tx.changed(self._set, {"user": name, "hash": password_hash, "now": now}))

        if not self._database.transact(change):
            raise NotFound(f"There is no account {name}")

    def rehash(self, account: Account, password_hash: str) -> None:
        """The same password, hashed by newer parameters, unless it has changed meanwhile."""
        values = {"number": account.number, "old": account.password_hash, "new": password_hash}
        self._database.transact(lambda tx: tx.run(self._rehash, values))

    def remove(self, name: str) -> None:
        """Remove the account with its sessions; what it did stays in the audit trail. Raises NotFound."""
        if not self._database.transact(lambda tx: tx.changed(self._remove, {"user": name})):
            raise NotFound(f"There is no account {name}")
