"""A power cut at any moment loses nothing that was acknowledged, whatever the disk had not yet been told to keep."""

import random

import pytest

from tests.flows import power_cut
from tests.flows.disk import by_chance, nothing_more
from tests.flows.power_cut import Recording

SEED = 20261121
INSTANCES = 600
"""Enough for SQLite's log to be emptied into the main file once while instances come in."""


@pytest.fixture(scope="module")
def recording(tmp_path_factory: pytest.TempPathFactory) -> Recording:
    return power_cut.record(tmp_path_factory.mktemp("power") / "server", INSTANCES)


def test_every_acknowledged_instance_survives_the_loss_of_all_unsynced_writes(recording: Recording) -> None:
    moments = power_cut.moments(recording, random.Random(SEED), 3)
    checked = [
        power_cut.check_after_cut(recording, replay.time, left)
        for replay, left in power_cut.cut(recording, moments, nothing_more)
    ]
    assert checked[0] == 0, "one cut has to fall into the first start"
    assert checked[-1] == len(recording.ledger.acknowledged)


def test_every_acknowledged_instance_survives_the_loss_of_some_unsynced_writes(recording: Recording) -> None:
    chance = random.Random(SEED + 1)
    moments = power_cut.moments(recording, chance, 2)
    for replay, left in power_cut.cut(recording, moments, lambda: by_chance(chance)):
        power_cut.check_after_cut(recording, replay.time, left)
