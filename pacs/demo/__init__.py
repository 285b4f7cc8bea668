"""The demo studies: two CT series that a new archive starts with when asked to."""

import contextlib
from importlib.resources import as_file, files

from config.settings import Settings
from index.query import Query
from index.records import Level
from pacs.auth.local import local_principal
from pacs.importer import import_paths
from pacs.services import build


class _Silent(contextlib.AbstractContextManager["_Silent"]):
    """A progress bar for nobody."""

    def __exit__(self, *_exception: object) -> None:
        return None

    def update(self, n_steps: int) -> None:
        """Nothing to show."""


def load_demo(settings: Settings) -> None:
    """Import the demo studies, unless the archive has studies already."""
    services = build(settings)
    try:
        empty = services.archive.count(local_principal(settings), Query(Level.STUDY)) == 0
    finally:
        services.close()
    if empty:
        with as_file(files(__name__).joinpath("studies.zip")) as path:
            import_paths(settings, [path], lambda _count: _Silent())
