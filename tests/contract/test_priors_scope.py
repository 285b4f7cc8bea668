"""The earlier studies of a patient: what a scope leaves of them, and how many statements they cost."""

from typing import Any

import pytest
from pydicom.uid import generate_uid

from index.access import Permission, Principal, Scope
from index.database import Database, Params, Prepared
from index.errors import NotFound
from index.search import Search
from tests.archives import MakeHouse
from tests.protocol.test_web_priors import CURRENT, files_of


class Counting(Database):
    """An index that counts what it is asked."""

    asked = 0

    def rows(self, statement: Prepared, params: Params) -> list[Any]:
        self.asked += 1
        return super().rows(statement, params)


def test_scopes_and_the_number_of_statements(make_house: MakeHouse) -> None:
    house = make_house()
    counts = []
    current = generate_uid()
    for file in files_of("P", CURRENT, current):
        house.store(file)
    made = [generate_uid() for _ in range(12)]
    index = Counting(house.database)
    search = Search(index)
    scope = Scope("default")
    for number, study in enumerate(made):
        house.store(files_of("P", {**CURRENT, "StudyDate": f"202301{number + 1:02}"}, study)[0])
        index.asked = 0
        assert len(search.priors.rank(scope, current).priors) == number + 1
        counts.append(index.asked)
    assert counts == [4] + [3] * 11, "three statements, and the tenant's number once"

    some = Scope("default", frozenset((current, made[3])))
    seen = search.priors.rank(some, current).priors
    assert [prior.study.study_instance_uid for prior in seen] == [made[3]]
    for hidden in (Scope("default", frozenset(made)), Scope("default", frozenset()), Scope("elsewhere")):
        with pytest.raises(NotFound):
            search.priors.rank(hidden, current)
    viewer = Principal("reader", "user", frozenset({Permission.QUERY}), some)
    assert len(house.archive.priors(viewer, current).priors) == 1
    assert [(event.event, event.count, event.study_instance_uid) for event in house.events[-1:]] == [
        ("Query", 1, current)
    ]
    index.close()
