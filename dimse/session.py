"""What every service needs to know about the association it serves."""

from dataclasses import dataclass

from config.settings import Dimse
from dimse.upper_layer import Association
from index.access import Audit, Principal
from storage.archive import Archive


@dataclass(slots=True)
class Session:
    """One association of a known peer. Owned by the thread that serves it."""

    association: Association
    principal: Principal
    our_ae_title: str
    """The AE title that the peer called."""
    archive: Archive
    settings: Dimse
    audit: Audit
    tenant: str
    """The tenant of peers that have none of their own."""
    stored: int = 0
    """Instances that this association stored."""
    refused: int = 0
    """Instances that were refused."""
