"""The simulated power cut must lose what is not synced, or it proves nothing."""

import random
from pathlib import Path
from typing import Any

import pytest

from tests.flows.disk import by_chance, nothing_more
from tests.flows.file_trace import CannotModel, Replay, events, record


def replayed(tmp_path: Path, program: str) -> Replay:
    """A disk after a program that ran in a folder of its own."""
    folder = tmp_path / "folder"
    folder.mkdir()
    record(f"import os\n{program}", folder, tmp_path / "trace")
    replay = Replay(folder)
    for event in events(tmp_path / "trace"):
        replay.play(event)
    return replay


def left(replay: Replay, into: Path, keep: Any = None) -> dict[str, bytes]:
    """The files that a cut leaves."""
    into.mkdir(exist_ok=True)
    replay.disk.after_cut(into, keep or nothing_more())
    return {str(path.relative_to(into)): path.read_bytes() for path in into.rglob("*") if path.is_file()}


CREATE = "fd = os.open('a', os.O_CREAT | os.O_RDWR); os.write(fd, b'one'); "
APPEND = "fd = os.open('a', os.O_WRONLY | os.O_APPEND); os.write(fd, b'+');"
CREATE_BELOW, SYNC_BELOW = CREATE.replace("'a'", "'d/a'"), "folder = os.open('d', os.O_RDONLY); os.fsync(folder)"
SYNC_FOLDER = "folder = os.open('.', os.O_RDONLY); os.fsync(folder); "


@pytest.mark.parametrize(
    ("program", "expected"),
    [
        (CREATE, {}),
        (CREATE + "os.fsync(fd)", {}),
        (CREATE + SYNC_FOLDER, {"a": b""}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER, {"a": b"one"}),
        (CREATE + SYNC_FOLDER + "os.fdatasync(fd)", {"a": b"one"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "os.write(fd, b'two')", {"a": b"one"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "os.write(fd, b'two'); os.fsync(fd)", {"a": b"onetwo"}),
        (CREATE + "os.pwrite(fd, b'X', 5); os.ftruncate(fd, 7); os.fsync(fd);" + SYNC_FOLDER, {"a": b"one\0\0X\0"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "os.unlink('a')", {"a": b"one"}),
        (CREATE + "os.fsync(fd); os.unlink('a');" + SYNC_FOLDER, {}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "os.rename('a', 'b')", {"a": b"one"}),
        (CREATE + "os.fsync(fd); os.rename('a', 'b');" + SYNC_FOLDER, {"b": b"one"}),
        ("os.mkdir('d');" + CREATE_BELOW + "os.fsync(fd);" + SYNC_BELOW, {}),
        ("os.mkdir('d');" + SYNC_FOLDER + CREATE_BELOW + "os.fsync(fd);" + SYNC_BELOW, {"d/a": b"one"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "open('a', 'wb').write(b'new')", {"a": b"one"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + APPEND + "os.fsync(fd)", {"a": b"one+"}),
        (CREATE + "os.fsync(fd);" + SYNC_FOLDER + "os.unlink('a'); os.write(fd, b'gone'); os.fsync(fd)", {"a": b"one"}),
        (CREATE + SYNC_FOLDER + "os.writev(fd, [b'two', b'three']); os.fsync(fd)", {"a": b"onetwothree"}),
    ],
)  # fmt: skip
def test_only_what_was_synced_survives_the_strictest_cut(tmp_path: Path, program: str, expected: Any) -> None:
    assert left(replayed(tmp_path, program), tmp_path / "after") == expected


def test_a_write_of_another_thread_during_a_sync_is_not_covered(tmp_path: Path) -> None:
    """Whether it got in is left to chance by the kernel, so here it never does."""
    lines = [
        "1 1.0 openat(AT_FDCWD<{0}>, \"\\x61\", O_RDWR|O_CREAT, 0600) = 3<{0}/a>",
        "1 1.1 openat(AT_FDCWD<{0}>, \"\\x2e\", O_RDONLY) = 4<{0}>",
        "1 1.2 fsync(4<{0}>) = 0",
        "1 1.3 pwrite64(3<{0}/a>, \"\\x31\", 1, 0) = 1",
        "1 1.4 fdatasync(3<{0}/a> <unfinished ...>",
        "2 1.5 pwrite64(3<{0}/a>, \"\\x32\", 1, 1) = 1",
        "1 1.6 <... fdatasync resumed>) = 0",
    ]  # fmt: skip
    folder = tmp_path / "folder"
    (tmp_path / "trace").write_text("".join(line.format(folder) + "\n" for line in lines))
    replay = Replay(folder)
    for event in events(tmp_path / "trace"):
        replay.play(event)
    assert left(replay, tmp_path / "after") == {"a": b"1"}


def test_a_cut_by_chance_keeps_some_of_it(tmp_path: Path) -> None:
    replay = replayed(tmp_path, CREATE + SYNC_FOLDER + "os.write(fd, bytes(range(1, 5)) * 1024); os.fsync(folder)")
    chance = random.Random(1)
    sizes = {len(left(replay, tmp_path / f"after{n}", by_chance(chance))["a"]) for n in range(50)}
    assert len(sizes) > 3
    assert all((size - 3) % 512 == 0 or size in (0, 3) for size in sizes)


@pytest.mark.parametrize(
    "program",
    [
        "os.link('a', 'b')",
        "os.chdir('/')",
        "import mmap; os.ftruncate(fd, 4096); mmap.mmap(fd, 4096)",
        "os.posix_fallocate(fd, 0, 10)",
        "os.mkdir('d'); os.rename('a', 'd/a')",
    ],
)
def test_what_is_not_understood_is_an_error(tmp_path: Path, program: str) -> None:
    with pytest.raises((CannotModel, AssertionError)):
        replayed(tmp_path, CREATE + program)
