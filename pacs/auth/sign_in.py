"""Signing in and out: a name and a password for the identifier of a session."""

import logging
import time
from hashlib import sha256
from typing import Final

from config.settings import Settings
from index.access import Audit, AuditEvent
from index.database import Database
from index.errors import PacsError
from index.people.accounts import Account, Accounts
from index.people.attempts import Attempts
from index.people.sessions import Session, Sessions
from pacs.auth import passwords, throttle
from pacs.auth.cookies import digest_of, new_token
from pacs.auth.names import can_be, folded

logger = logging.getLogger(__name__)

_EVENT: Final = "User Authentication"


class NotSignedIn(PacsError):
    """The name or the password is not right."""

    http_status = 401


class MustWait(PacsError):
    """There were too many attempts."""

    http_status = 429

    def __init__(self, seconds: int) -> None:
        wait = f"{seconds} seconds" if seconds < 120 else f"{-(-seconds // 60)} minutes"
        super().__init__(f"There were too many attempts. Try again in {wait}.")
        self.seconds = seconds


class SignIn:
    """Everything that begins and ends sessions. It blocks: threads call it, `passwords.AT_ONCE` at a time."""

    def __init__(self, database: Database, sessions: Sessions, settings: Settings, audit: Audit) -> None:
        self._sessions = sessions
        self._accounts = Accounts(database)
        self._attempts = Attempts(database)
        self._settings = settings
        self._audit = audit

    def begin(self, typed: str, password: str, *, address: str, before: str = "") -> tuple[str, str]:
        """The name and a new identifier; `before` is what the browser has, which is worth nothing from now on.

        Raises NotSignedIn, the same for a wrong password and for nobody, and MustWait.
        """
        name, now = folded(typed), _now_ms()
        subjects = _subject("name", name), _subject("address", address)
        wait = self._attempts.begin(
            subjects, lambda counts: throttle.wait(counts, now), now=now, since=now - throttle.WINDOW_MS
        )
        account = self._accounts.find(name) if can_be(name) else None
        if wait:
            self._refuse_for_now(account, address, wait)
        if not passwords.is_right(password, account.password_hash if account else None) or account is None:
            self._tell(account, address, "serious", "sign-in failed" if account else "sign-in failed: unknown name")
            raise NotSignedIn
        self._attempts.succeeded(*subjects, now)
        if passwords.is_dated(account.password_hash):
            self._accounts.rehash(account, passwords.hashed(password))
        if before:
            self._sessions.end(digest_of(before))
        token = self._open(account, address)
        self._tell(account, address, "success", "signed in")
        return account.name, token

    def _open(self, account: Account, address: str) -> str:
        token, now, access = new_token(), _now_ms(), self._settings.access
        ends = now + int(access.session_seconds * 1000)
        idle_since = now - int(access.idle_seconds * 1000)
        self._sessions.begin(digest_of(token), account.number, address, now=now, ends=ends, idle_since=idle_since)
        return token

    def end(self, token: str, session: Session | None, *, address: str) -> None:
        """Sign out; `session` is whose it is, as far as anybody knows."""
        self._sessions.end(digest_of(token))
        if session:
            self._audit(AuditEvent(_EVENT, session.user, session.tenant, address=address, detail="signed out"))

    def _refuse_for_now(self, account: Account | None, address: str, wait_ms: int) -> None:
        if throttle.is_locked(wait_ms):
            logger.warning("too many attempts to sign in", extra={"address": address})
        self._tell(account, address, "serious", "sign-in refused: too many attempts")
        raise MustWait(-(-wait_ms // 1000))

    def _tell(self, account: Account | None, address: str, outcome: str, detail: str) -> None:
        """What was typed as the name of nobody is not written down: it may be a password."""
        tenant = account.tenant if account else self._settings.archive.tenant
        kind = "success" if outcome == "success" else "serious"
        name = account.name if account else ""
        self._audit(AuditEvent(_EVENT, name, tenant, kind, address, detail=detail))  # type: ignore[arg-type]


def _subject(kind: str, value: str) -> bytes:
    return sha256(f"{kind} {value}".encode("utf-8", "surrogatepass")).digest()


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
