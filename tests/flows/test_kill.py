"""`kill -9` of any process during ingest. 200 rounds: `python -m tests.flows.crash_rounds --rounds 200`."""

import random

from tests.conftest import StartServer
from tests.flows.crash_rounds import Rounds, check_everything


def test_every_acknowledged_instance_survives_the_death_of_any_process(start_server: StartServer) -> None:
    rounds = Rounds(start_server(), random.Random(20261121))
    for number in range(10):
        rounds.run_one(f"round {number}")
    check_everything(rounds)
    assert len(rounds.killed) == 2, "neither role may be spared"
