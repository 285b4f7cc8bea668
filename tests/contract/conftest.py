"""An archive on each of the two stores."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import archives


@pytest.fixture(params=[archives.embedded, archives.scale_out], ids=["embedded", "scale-out"])
def make_house(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[archives.MakeHouse]:
    """A factory of empty archives: `make_house(rules=settings.Archive(...))`."""
    made: list[archives.House] = []

    def make(**changes: object) -> archives.House:
        folder = tmp_path / f"house{len(made)}"
        made.append(request.param(folder, **changes))
        return made[-1]

    yield make
    for house in made:
        house.close()


@pytest.fixture
def house(make_house: archives.MakeHouse) -> archives.House:
    """One archive with default settings."""
    return make_house()
