"""What the local folder tells the kernel before a commit returns, seen by strace."""

import re
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from config import settings
from index.errors import OutOfResources
from storage.blobs import open_store
from storage.folder_syncs import FolderSyncs

WRITE_ONE = """
import sys
from config import settings
from storage.blobs import open_store
store = open_store(settings.Storage(url="file:" + sys.argv[1]))
for data in (b"a" * 1000, b"b" * 1000):
    key = store.new_key("default")
    writer = store.create(key)
    writer.write(data)
    writer.commit()
    print(key)
"""


def trace(root: Path, log: Path) -> tuple[list[str], list[tuple[str, str]]]:
    """The keys written, and the (call, path) of every write, sync and close below `root`."""
    command = [
        "strace",
        "-f",
        "-y",
        "-e",
        "trace=write,fsync,fdatasync",
        "-o",
        str(log),
        sys.executable,
        "-c",
        WRITE_ONE,
    ]
    done = subprocess.run([*command, str(root)], capture_output=True, text=True, check=True)
    calls = re.findall(r"\b(write|fsync|fdatasync)\(\d+<([^>]+)>", log.read_text())
    return done.stdout.split(), [(call, path) for call, path in calls if path.startswith(str(root.parent))]


def test_a_commit_syncs_the_content_and_every_new_name(tmp_path: Path) -> None:
    root = tmp_path / "data" / "objects"
    (first, second), calls = trace(root, tmp_path / "strace.log")
    assert calls[0] == ("fsync", str(tmp_path / "data")), "the new root folder's own name"
    assert calls[1] == ("write", str(root / first))
    hour = str((root / first).parent)
    above = [str(folder) for folder in list((root / first).parents)[1:5]]
    assert above[-2:] == [str(root), str(root.parent)]
    content = ("fdatasync", str(root / first))
    assert set(calls[2:8]) == {content, ("fsync", hour), *(("fsync", folder) for folder in above)}
    assert calls[8] == ("write", str(root / second))
    again = {("fdatasync", str(root / second)), ("fsync", hour)}
    assert set(calls[9:]) == again, "the folders above were made durable before"


def is_waiting(thread: threading.Thread) -> bool:
    frame = sys._current_frames().get(thread.ident or 0)
    return frame is not None and frame.f_code.co_name == "wait"


def test_threads_that_wait_for_one_folder_share_a_sync(tmp_path: Path) -> None:
    running, go = threading.Event(), threading.Event()
    calls: list[str] = []

    def slow(folder: str) -> None:
        calls.append(folder)
        running.set()
        go.wait(30)

    syncs = FolderSyncs(str(tmp_path), fsync=slow)
    threads = [threading.Thread(target=lambda: syncs.begin(str(tmp_path)).wait()) for _ in range(20)]
    threads[0].start()
    running.wait(30)
    for thread in threads[1:]:
        thread.start()
    while not all(is_waiting(thread) for thread in threads):
        time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join()
    assert 2 <= calls.count(str(tmp_path)) <= 4, "those under way, and at most two for all that came later"


def test_all_who_shared_a_failed_sync_fail_and_the_next_one_works(tmp_path: Path) -> None:
    running, go, failures = threading.Event(), threading.Event(), []

    def failing(folder: str) -> None:
        running.set()
        go.wait(30)
        raise OSError(5, "Input/output error")

    syncs = FolderSyncs(str(tmp_path), fsync=failing)

    def sync() -> None:
        try:
            syncs.begin(str(tmp_path)).wait()
        except OSError as error:
            failures.append(error.errno)

    threads = [threading.Thread(target=sync) for _ in range(10)]
    threads[0].start()
    running.wait(30)
    for thread in threads[1:]:
        thread.start()
    while not all(is_waiting(thread) for thread in threads):
        time.sleep(0.01)
    go.set()
    for thread in threads:
        thread.join()
    assert failures == [5] * 10
    real = FolderSyncs(str(tmp_path))
    with pytest.raises(OSError, match="could not be synced"):
        real.begin(str(tmp_path / "gone")).wait()
    (tmp_path / "gone").mkdir()
    real.begin(str(tmp_path / "gone")).wait()


def test_a_nearly_full_disk_refuses_before_anything_is_written(tmp_path: Path) -> None:
    store = open_store(settings.Storage(url=f"file:{tmp_path}/objects", minimum_free_percent=100.0))
    with pytest.raises(OutOfResources, match="100 %"):
        store.create(store.new_key("default"))
    assert list(store.walk()) == []
