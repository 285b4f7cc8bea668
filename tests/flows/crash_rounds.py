"""Kill a random process while instances stream in, round after round.

    python -m tests.flows.crash_rounds --rounds 200

A child has to be replaced by its supervisor without help; after the supervisor itself was killed its children have to
end and the server is started once more, as an init system would. After each round the archive is checked. What is
random is when and whom; that every acknowledged instance is there must hold whatever the moment.
"""

import argparse
import os
import random
import signal
import tempfile
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from tests.conftest import Server, start
from tests.flows.archive_check import check, check_database
from tests.flows.senders import Ledger, Sent, sending

_PATIENCE_SECONDS = 30.0
_OLD_INSTANCES_CHECKED = 50


@dataclass(slots=True)
class Rounds:
    """The state that goes from round to round."""

    server: Server
    chance: random.Random
    ledger: Ledger = field(default_factory=Ledger)
    killed: Counter[str] = field(default_factory=Counter)

    def run_one(self, seed: str) -> int:
        """Send, kill, send on, stop, check. Returns how many instances the archive lists."""
        before = set(self.ledger.acknowledged)
        web_port, dimse_port = self.server.web_port, self.server.dimse_port
        with sending(web_port=web_port, dimse_port=dimse_port, ledger=self.ledger, seed=seed) as clients:
            self.ledger.wait_for(len(before) + self.chance.randint(5, 40))
            time.sleep(self.chance.random() * 0.01)
            self._kill_one()
            marks = [client.acknowledged + 2 for client in clients]
            wait_until(
                lambda: all(client.acknowledged >= mark for client, mark in zip(clients, marks, strict=True)),
                "a client is not served again",
            )
        assert not self.ledger.refusals, self.ledger.refusals
        new = [sent for uid, sent in self.ledger.acknowledged.items() if uid not in before]
        old = self.chance.sample(sorted(before), min(_OLD_INSTANCES_CHECKED, len(before)))
        check_database(self.server.folder / "data" / "index.sqlite")
        return check(self.server.web_port, self.ledger, retrieve=new + [self.ledger.acknowledged[uid] for uid in old])

    def _kill_one(self) -> None:
        children = self.server.children()
        victim = self.chance.choice([self.server.pid, *children])
        self.killed["supervisor" if victim == self.server.pid else "child"] += 1
        os.kill(victim, signal.SIGKILL)
        if victim == self.server.pid:
            self.server.process.wait()
            wait_until(lambda: not any(_alive(pid) for pid in children), "the children outlive their supervisor")
            self.server.restart()
        else:
            wait_until(lambda: self._replaced(victim, len(children)), "the supervisor does not replace its child")

    def _replaced(self, victim: int, count: int) -> bool:
        children = self.server.children()
        return victim not in children and len(children) == count


def wait_until(condition: Callable[[], bool], otherwise: str) -> None:
    """Poll; what does not come within half a minute does not come."""
    give_up = time.monotonic() + _PATIENCE_SECONDS
    while not condition():
        assert time.monotonic() < give_up, otherwise
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    """True unless the process is gone or a zombie that nobody has buried yet."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def check_everything(rounds: Rounds) -> int:
    """The whole archive, instance by instance."""
    everything: list[Sent] = list(rounds.ledger.acknowledged.values())
    return check(rounds.server.web_port, rounds.ledger, retrieve=everything)


def main() -> None:
    """Run many rounds and say what was seen."""
    parser = argparse.ArgumentParser(prog="python -m tests.flows.crash_rounds", description=__doc__)
    parser.add_argument("--rounds", type=int, default=200)
    parser.add_argument("--seed", type=int, default=None, help="of the choice of victims and moments")
    options = parser.parse_args()
    seed = random.randrange(2**32) if options.seed is None else options.seed
    print(f"seed {seed}")
    with tempfile.TemporaryDirectory(prefix="crash-") as folder:
        server = start(Path(folder))
        rounds = Rounds(server, random.Random(seed))
        try:
            started = time.monotonic()
            for number in range(options.rounds):
                listed = rounds.run_one(f"{seed}/{number}")
                print(
                    f"round {number + 1}: {len(rounds.ledger.acknowledged)} acknowledged, {listed} listed", flush=True
                )
            print(f"{check_everything(rounds)} instances whole; killed {dict(rounds.killed)}")
            print(f"{options.rounds} rounds in {time.monotonic() - started:.0f} s")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
