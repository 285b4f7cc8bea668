"""What every service needs to know about the association it serves."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from config.settings import Dimse
from dimse.extended import Flags
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
    extended: Mapping[str, Flags] = field(default_factory=dict)
    """Extended negotiation of Query/Retrieve: SOP class -> what we granted (PS3.4 C.5)."""
    send_as: tuple[str, ...] = ()
    """How images are sent to this peer by C-GET, best first; words of `dimse.contexts.SEND_AS`."""
    stored: int = 0
    """Instances that this association stored."""
    refused: int = 0
    """Instances that were refused."""
