"""`pacs fetch`: a study of another archive into ours by C-GET."""

from collections.abc import Iterator

from config.settings import Peer, Settings
from dimse.connection import UpperLayerError
from dimse.fetch import Fetched, House, fetch
from index.errors import PacsError
from pacs.auth.local import local_principal
from pacs.migrations import upgrade
from pacs.services import build


def fetch_study(settings: Settings, peer: Peer, study: str) -> Iterator[Fetched | str]:
    """Results, or in the end the reason why there are no more."""
    upgrade(settings.database.url)
    services = build(settings)
    house = House(settings.dimse, services.archive, local_principal(settings), services.audit)
    try:
        yield from fetch(peer, study, house)
    except (UpperLayerError, PacsError) as error:
        yield f"{peer.ae_title}@{peer.host}:{peer.port}: {error}"
    finally:
        services.close()
