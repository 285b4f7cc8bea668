"""`pacs versions list` and `restore`: what `keep-both` and `replace` have set aside, and the way back."""

from collections.abc import Iterator
from datetime import UTC, datetime

from config.settings import Settings
from index.errors import NotFound
from index.query import Exact, Query
from index.records import Level, Origin, StoredInstance
from pacs.auth.local import local_principal
from pacs.services import build
from storage.archive import SetAside

_HEADING = f"  {'version':>7}  {'set aside at':<20}  {'bytes':>12}  {'sha-256':<12}  SOPInstanceUID"


def list_all(settings: Settings, sop_instance_uid: str | None) -> Iterator[str]:
    """Lines for a person: of each instance what was set aside, oldest first, and what is current."""
    services = build(settings)
    principal = local_principal(settings)
    try:
        found = services.archive.set_aside(principal, sop_instance_uid)
        if not found:
            yield "Nothing is set aside."
            return
        yield _HEADING
        for uid in dict.fromkeys(one.key.sop_instance_uid for one in found):
            for one in (one for one in found if one.key.sop_instance_uid == uid):
                moment = datetime.fromtimestamp(one.set_aside_at_ms / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
                yield _line(" ", moment, one)
            # By its UID alone: it may belong to another study or series than those that were set aside.
            for current in services.archive.matching(principal, Query(Level.IMAGE, (Exact("SOPInstanceUID", uid),))):
                yield _line("*", "", current)
    finally:
        services.close()


def restore(settings: Settings, sop_instance_uid: str, version: int) -> None:
    """Make one of the versions current again. Raises NotFound."""
    services = build(settings)
    principal = local_principal(settings)
    try:
        for one in services.archive.set_aside(principal, sop_instance_uid):
            if one.version == version:
                services.archive.restore(principal, one, Origin("recovery", "pacs versions", principal.name))
                return
        raise NotFound(f"Version {version} of {sop_instance_uid} is not set aside; see `pacs versions list`")
    finally:
        services.close()


def _line(mark: str, moment: str, one: SetAside | StoredInstance) -> str:
    digest = one.sha256.hex()[:12]
    return f"{mark} {one.version:>7}  {moment:<20}  {one.size_bytes:>12}  {digest:<12}  {one.key.sop_instance_uid}"
