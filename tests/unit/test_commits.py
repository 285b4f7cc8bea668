"""Group commit: who leads, who shares, and who is told of which failure."""

import threading
import time
from collections.abc import Sequence

import pytest

from index.commits import GroupCommit
from index.errors import OutOfResources


def _run(group: GroupCommit[int, int], items: Sequence[int]) -> dict[int, object]:
    """Each item from a thread of its own; its result or its error."""
    outcomes: dict[int, object] = {}

    def send(item: int) -> None:
        try:
            outcomes[item] = group.submit(item)
        except Exception as exc:
            outcomes[item] = exc

    threads = [threading.Thread(target=send, args=(item,)) for item in items]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return outcomes


def test_one_alone_does_not_change_threads() -> None:
    ran = []

    def apply(items: Sequence[int]) -> list[int]:
        ran.append(threading.get_ident())
        return [item * 2 for item in items]

    assert GroupCommit(apply).submit(21) == 42
    assert ran == [threading.get_ident()]


def test_those_who_wait_share_one_run_and_get_their_own_results() -> None:
    sizes = []

    def apply(items: Sequence[int]) -> list[int]:
        sizes.append(len(items))
        time.sleep(0.02)
        return [item * 2 for item in items]

    outcomes = _run(GroupCommit(apply), range(300))
    assert outcomes == {item: item * 2 for item in range(300)}
    assert max(sizes) > 1
    assert sum(sizes) == 300


def test_a_bad_one_fails_alone() -> None:
    def apply(items: Sequence[int]) -> list[int]:
        time.sleep(0.01)
        if 13 in items:
            raise ValueError("thirteen")
        return list(items)

    outcomes = _run(GroupCommit(apply), range(40))
    assert isinstance(outcomes.pop(13), ValueError)
    assert outcomes == {item: item for item in range(40) if item != 13}


def test_when_there_is_no_room_nobody_is_tried_again_alone() -> None:
    runs = []
    started = threading.Event()

    def apply(items: Sequence[int]) -> list[int]:
        runs.append(len(items))
        if not started.is_set():
            started.set()
            time.sleep(0.1)
            return list(items)
        raise OutOfResources

    group: GroupCommit[int, int] = GroupCommit(apply)
    first = threading.Thread(target=group.submit, args=(0,))
    first.start()
    started.wait()
    outcomes = _run(group, range(1, 21))
    first.join()
    assert all(isinstance(outcome, OutOfResources) for outcome in outcomes.values())
    assert sum(runs) == 21


def test_an_interrupted_leader_leaves_nobody_waiting() -> None:
    def apply(items: Sequence[int]) -> list[int]:
        raise KeyboardInterrupt

    group: GroupCommit[int, int] = GroupCommit(apply)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            group.submit(1)
