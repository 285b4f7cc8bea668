"""Random sequences of store, delete, reject, restore, purge and rebuild against a model of a few lines.

The model: an instance is visible when it was taken in, is not deleted, and no note in force names it.
"""

import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from index.errors import NotFound
from index.query import Query
from index.records import Level, StoreStatus
from storage import removal_records, tasks
from storage.purging import purge
from tests import archives
from tests.archives import House, a_dataset, as_file
from tests.contract.test_removal import ORIGIN, boss, visible
from tests.rejections import CODES, QUALITY, RETENTION, a_note

_SERIES = [("1.2.1", "1.2.1.1"), ("1.2.1", "1.2.1.2"), ("1.2.2", "1.2.2.1")]
_IMAGES = range(6)
"""Two of each series."""


@dataclass
class Model:
    """What must be visible, by brute force over everything that was done."""

    live: set[int] = field(default_factory=set)
    hidden: set[int] = field(default_factory=set)
    """Taken in, and not deleted, but named by a note."""
    deletions: dict[int, set[int]] = field(default_factory=dict)
    notes: dict[int, tuple[str, set[int]]] = field(default_factory=dict)

    def codes(self, image: int) -> list[str]:
        return [code for code, named in self.notes.values() if image in named]

    def held(self, image: int) -> bool:
        """In the bin, for whatever reason."""
        return image in self.hidden or any(image in gone for gone in self.deletions.values())

    def settle(self) -> None:
        """Notes in force hide, and nothing else does."""
        everything = self.live | self.hidden
        self.hidden = {image for image in everything if self.codes(image)}
        self.live = everything - self.hidden


def uid_of(image: int) -> str:
    return f"1.2.3.{image + 1}"


def image_of(image: int) -> Dataset:
    study, series = _SERIES[image // 2]
    uids = {"StudyInstanceUID": study, "SeriesInstanceUID": series, "SOPInstanceUID": uid_of(image)}
    return a_dataset(**uids, PatientID=study, Modality=("CT", "MR", "US")[image // 2])


class Run:
    """An archive and its model, side by side."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.model = Model()

    def store(self, image: int) -> None:
        """An image arrives, perhaps once more, and is met by the strictest of its notes."""
        model = self.model
        codes = model.codes(image)
        again = bool(codes) and model.held(image)
        refused = again and any(code not in (QUALITY, RETENTION) for code in codes)
        accepted = again and set(codes) == {RETENTION}
        outcome = self.house.store(as_file(image_of(image)))
        assert (outcome.status is StoreStatus.REFUSED) == refused
        if accepted:
            for _, named in model.notes.values():
                named.discard(image)
            model.hidden.discard(image)
            model.live.add(image)
        elif not codes:
            model.live.add(image)
        elif not again:
            model.hidden.add(image)

    def note(self, code: str, named: set[int]) -> None:
        """A rejection note arrives."""
        images = sorted(named)
        assert self.house.store(as_file(a_note(code, [image_of(image) for image in images]))).stored
        self.model.notes[self._newest()] = (code, set(named))
        self.model.settle()

    def delete(self, image: int, depth: int) -> None:
        """Somebody deletes what is below a study, series or instance."""
        study, series = _SERIES[image // 2]
        below = {
            1: {one for one in _IMAGES if _SERIES[one // 2][0] == study},
            2: {one for one in _IMAGES if one // 2 == image // 2},
            3: {image},
        }[depth]
        going = below & self.model.live
        where = (study, series if depth > 1 else None, uid_of(image) if depth > 2 else None)
        if not going:
            with pytest.raises(NotFound):
                self.house.archive.delete(boss(), *where, origin=ORIGIN)
            return
        assert self.house.archive.delete(boss(), *where, origin=ORIGIN) == len(going)
        if depth < 3:
            going |= below & self.model.hidden
        self.model.deletions[self._newest()] = going
        self.model.live -= going
        self.model.hidden -= going

    def undo(self, choice: int, one: int | None) -> None:
        """An administrator restores a removal, or one image of it."""
        numbers = sorted([*self.model.deletions, *self.model.notes])
        if not numbers:
            return
        number = numbers[choice % len(numbers)]
        uids = None if one is None else frozenset([uid_of(one)])
        chosen = set(_IMAGES) if one is None else {one}
        self.house.archive.undo(boss(), number, ORIGIN, uids)
        if number in self.model.deletions:
            self.model.hidden |= (self.model.deletions[number] & chosen) - self.model.live
            self.model.deletions[number] -= chosen
            if not self.model.deletions[number]:
                del self.model.deletions[number]
        else:
            self.model.notes[number][1].difference_update(chosen)
            if one is None:
                del self.model.notes[number]
        self.model.settle()

    def purge(self, choice: int) -> None:
        """A deletion is removed for good."""
        numbers = sorted(self.model.deletions)
        if numbers:
            number = numbers[choice % len(numbers)]
            self.house.archive.purge(boss(), number)
            purge(self.house.catalog, self.house.blobs)
            del self.model.deletions[number]

    def check(self) -> None:
        """Everything visible is what the model says, with its counters; every stored object has a row."""
        assert visible(self.house) == sorted(uid_of(image) for image in self.model.live)
        studies = list(self.house.archive.search(boss(), Query(Level.STUDY)))
        expected = {_SERIES[image // 2][0] for image in self.model.live}
        assert {one["0020000D"]["Value"][0] for one in studies} == expected
        for one in studies:
            mine = [image for image in self.model.live if _SERIES[image // 2][0] == one["0020000D"]["Value"][0]]
            assert one["00201208"]["Value"] == [len(mine)]
            assert one["00201206"]["Value"] == [len({image // 2 for image in mine})]
            assert one["00080061"]["Value"] == sorted({("CT", "MR", "US")[image // 2] for image in mine})
        assert self.house.catalog.unknown_blobs(self.house.keys()) == set()

    def rebuild(self, folder: Path) -> None:
        """The objects alone tell the same."""
        removal_records.write_all(self.house.catalog, self.house.blobs)
        empty = archives.embedded(folder)
        empty.blobs = self.house.blobs
        desk = tasks.Desk(empty.catalog, empty.blobs, empty.rules, empty.limits)
        findings: list[tasks.Finding] = []
        tasks.rebuild(desk, report=findings.append)
        assert findings == []
        assert visible(empty) == visible(self.house)
        empty.close()

    def _newest(self) -> int:
        return next(iter(self.house.archive.removals(boss()))).number


images = st.sampled_from(_IMAGES)
steps = st.one_of(
    st.tuples(st.just("store"), images),
    st.tuples(st.just("store"), images),
    st.tuples(st.just("note"), st.sampled_from(CODES), st.frozensets(images, min_size=1, max_size=4)),
    st.tuples(st.just("delete"), images, st.integers(1, 3)),
    st.tuples(st.just("undo"), st.integers(0, 9), st.none() | images),
    st.tuples(st.just("purge"), st.integers(0, 9)),
)


@pytest.fixture(params=[archives.embedded, archives.scale_out], ids=["embedded", "scale-out"])
def make(request: pytest.FixtureRequest) -> Iterator[tuple[object, int]]:
    """How an archive is made, and how many sequences it gets."""
    yield request.param, 12 if request.param is archives.embedded else 2


def test_random_sequences(make: tuple[object, int]) -> None:
    build, number = make

    @settings(max_examples=number, deadline=None, suppress_health_check=list(HealthCheck))
    @given(st.lists(steps, min_size=5, max_size=25))
    def run(sequence: list[tuple[object, ...]]) -> None:
        with tempfile.TemporaryDirectory() as folder:
            house = build(Path(folder) / "house")  # type: ignore[operator]
            try:
                one = Run(house)
                for image in (0, 2, 4):
                    one.store(image)
                for name, *arguments in sequence:
                    getattr(one, str(name))(*arguments)
                    one.check()
                one.rebuild(Path(folder) / "again")
            finally:
                house.close()

    run()
