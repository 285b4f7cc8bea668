"""The one principal where nobody has to sign in: whoever reaches a port that only this machine can reach."""

from config.settings import Settings
from index.access import Permission, Principal, Scope


def local_principal(settings: Settings, address: str = "") -> Principal:
    """All permissions within the tenant of the settings."""
    return Principal(
        name=settings.access.local_principal,
        kind="local",
        permissions=frozenset(Permission),
        scope=Scope(settings.archive.tenant),
        address=address,
    )
