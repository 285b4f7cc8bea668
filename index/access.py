"""Who asks, for which tenant, and what they may see: values, and the guard of the archive's door."""

import functools
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import Enum
from typing import Any, Concatenate, Literal, ParamSpec, TypeVar

from index.errors import NotPermitted

P = ParamSpec("P")
R = TypeVar("R")
S = TypeVar("S")


class Permission(Enum):
    """What a principal may do."""

    QUERY = "query"
    VIEW = "view"
    STORE = "store"
    DELETE = "delete"
    ADMINISTER = "administer"


@dataclass(frozen=True, slots=True)
class Scope:
    """The rows a principal may see: one tenant, and in it all studies or only the named ones.

    Every statement of `index.search` and `index.catalog` compiles it into its WHERE clause.
    """

    tenant: str
    study_instance_uids: frozenset[str] | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """An identity that was established by us: a local user, an AE of the AE table, later an account."""

    name: str
    kind: Literal["local", "ae", "user", "token", "job"]
    permissions: frozenset[Permission]
    scope: Scope
    address: str = ""
    second_factor_at: datetime | None = None

    @property
    def tenant(self) -> str:
        """Name of the tenant that everything this principal does belongs to."""
        return self.scope.tenant


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """Something that happened to protected data (PS3.15 A.5). Never holds names or identifiers of patients."""

    event: str
    principal: str
    tenant: str
    outcome: Literal["success", "minor", "serious", "major"] = "success"
    address: str = ""
    study_instance_uid: str = ""
    count: int = 1
    detail: str = ""
    time: datetime = field(default_factory=lambda: datetime.now(UTC))


Audit = Callable[[AuditEvent], None]


def permits(
    permission: Permission,
) -> Callable[[Callable[Concatenate[S, Principal, P], R]], Callable[Concatenate[S, Principal, P], R]]:
    """Guard a door's method: its first argument is the Principal, positional-only, and must hold `permission`."""

    def guard(method: Callable[Concatenate[S, Principal, P], R]) -> Callable[Concatenate[S, Principal, P], R]:
        @functools.wraps(method)
        def guarded(self: S, principal: Principal, /, *args: P.args, **kwargs: P.kwargs) -> R:
            if permission not in principal.permissions:
                raise NotPermitted(f"{principal.kind} {principal.name} may not {permission.value}")
            return method(self, principal, *args, **kwargs)

        marked: Any = guarded
        marked.permission = permission
        return guarded

    return guard
