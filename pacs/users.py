"""`pacs users add`, `list`, `password` and `remove`: who may sign in."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime

from config.settings import Settings
from index.access import AuditEvent
from index.errors import Conflict, NotFound
from index.people.accounts import Account
from pacs.auth import passwords
from pacs.auth.local import local_principal
from pacs.auth.names import checked, folded
from pacs.migrations import upgrade
from pacs.services import Services, build

AskPassword = Callable[[], str]
"""Where a password comes from. It is asked for when everything else is known to be right."""


def list_all(settings: Settings) -> Iterator[str]:
    """Every account, one line for a person."""
    services = build(settings)
    try:
        found = services.accounts.all()
        yield from (_line(one) for one in found)
        if not found:
            yield "There are no accounts."
    finally:
        services.close()


def add(settings: Settings, typed: str, tenant: str, ask: AskPassword) -> str:
    """A new account; what was done, for a person. Raises BadName, WeakPassword, Conflict."""
    name = checked(typed)
    tenant = tenant.strip() or settings.archive.tenant
    # The first account is often made before the server has ever run.
    upgrade(settings.database.url)
    services = build(settings)
    try:
        if services.accounts.find(name):
            raise Conflict(f"There is an account {name} already")
        services.accounts.add(tenant, name, _hashed(ask(), name))
        _record(services, tenant, f"account {name} added")
    finally:
        services.close()
    return f"{name} may sign in to tenant {tenant}." + _hint(settings)


def change_password(settings: Settings, typed: str, ask: AskPassword) -> str:
    """Another password; what was done, for a person. Raises NotFound, WeakPassword."""
    services = build(settings)
    try:
        account = _account(services, typed)
        services.accounts.set_password(account.name, _hashed(ask(), account.name))
        _record(services, account.tenant, f"password of {account.name} changed")
    finally:
        services.close()
    return f"The password of {account.name} is changed, and all sessions have ended."


def remove(settings: Settings, typed: str) -> str:
    """Remove an account; what was done, for a person. Raises NotFound."""
    services = build(settings)
    try:
        account = _account(services, typed)
        services.accounts.remove(account.name)
        _record(services, account.tenant, f"account {account.name} removed")
    finally:
        services.close()
    return f"{account.name} may not sign in any more, and all sessions have ended."


def _account(services: Services, typed: str) -> Account:
    account = services.accounts.find(folded(typed))
    if account is None:
        raise NotFound("There is no such account; `pacs users list` names all")
    return account


def _hashed(password: str, name: str) -> str:
    passwords.check(password, name)
    return passwords.hashed(password)


def _record(services: Services, tenant: str, detail: str) -> None:
    """Who comes in is a matter of security, whoever changes it (PS3.15 A.5.3.11)."""
    by = local_principal(services.settings)
    services.audit(AuditEvent("Security Alert", by.name, tenant, detail=detail))


def _hint(settings: Settings) -> str:
    return "" if settings.access.sign_in == "required" else ' Nobody has to yet: access.sign_in is "none".'


def _line(account: Account) -> str:
    changed = datetime.fromtimestamp(account.password_set_at_ms / 1000, UTC)
    return f"{account.name}  tenant {account.tenant}  password of {changed:%Y-%m-%d}  {account.sessions} sessions"
