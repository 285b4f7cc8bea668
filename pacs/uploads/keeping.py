"""What the worker does about uploads: files that nobody asked about again are taken in, old ones are forgotten."""

import logging
import time
from dataclasses import dataclass

from index.errors import NotFound, PacsError
from pacs.uploads.shelf import Busy, open_shelf
from pacs.uploads.taking import Reception, take_in

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Kept:
    """What was done."""

    taken: int
    removed: int


def keep(reception: Reception) -> Kept:
    """Finish what a server that was killed had not finished, and remove what is older than `uploads.keep_hours`."""
    settings = reception.settings
    shelf = open_shelf(settings)
    taken = 0
    for upload in shelf.all():
        try:
            if upload.result() is None and upload.offset() == upload.length_bytes:
                take_in(reception, upload)
                taken += 1
        except (Busy, NotFound):
            continue  # Somebody else does it, or it was removed meanwhile.
        except PacsError as error:
            logger.warning("an upload was put off", extra={"Upload": upload.id, "Reason": error.detail})
    return Kept(taken, shelf.remove_old(settings.uploads.keep_hours * 3600, time.time()))
