"""One suite for every object store: a local folder, memory, and S3 over HTTP."""

import os
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from config import settings
from index.errors import NotFound, PacsError, Unreachable
from storage.blobs import BlobStore, open_store
from tests import s3
from tests.conftest import free_port

THRESHOLD = 100_000
"""Small, so that both ways of a remote store are walked: in memory and by a spool file."""

SIZES = (1, 3000, THRESHOLD, THRESHOLD + 1, 9_000_001)


@pytest.fixture(params=["folder", "memory", "s3"])
def store(request: pytest.FixtureRequest, tmp_path: Path) -> BlobStore:
    spool = tmp_path / "spool"
    spool.mkdir()
    if request.param == "s3":
        return open_store(s3.storage(spool, spool_threshold_bytes=THRESHOLD))
    url = {"folder": f"file:{tmp_path}/new/objects", "memory": "memory:"}[request.param]
    return open_store(settings.Storage(url=url, spool_folder=str(spool), spool_threshold_bytes=THRESHOLD))


def put(store: BlobStore, data: bytes, *, tenant: str = "default", piece: int = 65_536) -> str:
    key = store.new_key(tenant)
    writer = store.create(key)
    for start in range(0, len(data), piece):
        writer.write(memoryview(data)[start : start + piece])
    writer.commit()
    return key


def keys(store: BlobStore, prefix: str = "") -> list[str]:
    return [blob.key for blob in store.walk(prefix)]


@pytest.mark.parametrize("size", SIZES)
def test_an_object_comes_back_byte_for_byte(store: BlobStore, size: int) -> None:
    data = os.urandom(size)
    key = put(store, data)
    assert store.read(key, 0, size) == data
    assert b"".join(store.stream(key, 0, size, 65_536)) == data
    assert bytes(store.view(key, size)) == data
    assert [(blob.key, blob.size_bytes) for blob in store.walk()] == [(key, size)]


def test_any_range_is_exact(store: BlobStore) -> None:
    data = os.urandom(300_000)
    key = put(store, data)
    for offset, length in ((0, 1), (299_999, 1), (1, 299_998), (100_000, 0), (123_456, 65_536)):
        assert store.read(key, offset, length) == data[offset : offset + length]
        blocks = list(store.stream(key, offset, length, 10_000))
        assert b"".join(blocks) == data[offset : offset + length]
        assert b"" not in blocks


def test_what_was_written_can_be_looked_at_before_the_commit(store: BlobStore) -> None:
    for size in (5, THRESHOLD + 5):
        data = os.urandom(size)
        writer = store.create(store.new_key("default"))
        writer.write(data[:3])
        writer.write(data[3:])
        assert bytes(writer.view()) == data
        writer.abort()


@pytest.mark.parametrize("size", [10, THRESHOLD + 10])
def test_an_aborted_object_was_never_there(store: BlobStore, size: int, tmp_path: Path) -> None:
    key = store.new_key("default")
    writer = store.create(key)
    writer.write(bytes(size))
    writer.abort()
    writer.abort()
    assert keys(store) == []
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []
    with pytest.raises(NotFound):
        store.read(key, 0, 1)


def test_abort_after_commit_removes_the_object(store: BlobStore) -> None:
    key = store.new_key("default")
    writer = store.create(key)
    writer.write(b"data")
    writer.commit()
    writer.abort()
    assert keys(store) == []


def test_an_object_is_never_overwritten(store: BlobStore) -> None:
    key = put(store, b"first")
    with pytest.raises((PacsError, FileExistsError)):
        writer = store.create(key)
        writer.write(b"second")
        writer.commit()
    assert store.read(key, 0, 5) == b"first"


def test_reading_beyond_the_end_is_an_error_and_never_a_short_answer(store: BlobStore) -> None:
    key = put(store, bytes(1000))
    reads: list[Callable[[], object]] = [
        lambda: store.read(key, 500, 501),
        lambda: store.read(key, 2000, 1),
        lambda: list(store.stream(key, 500, 501)),
        lambda: list(store.stream(key, 500, 501, 100)),
        lambda: store.view(key, 1001),
    ]
    for read in reads:
        with pytest.raises(PacsError):
            read()


def test_a_missing_object_is_said_before_the_first_block(store: BlobStore) -> None:
    for length in (10, 10_000_000):
        with pytest.raises(NotFound):
            store.stream("default/20260101/00/none.dcm", 0, length)


def test_deleted_objects_are_gone_and_deleting_twice_is_no_error(store: BlobStore) -> None:
    first, second, kept = (put(store, text) for text in (b"1", b"2", b"3"))
    assert store.read(first, 0, 1) == b"1"
    store.delete([first, "default/20260101/00/none.dcm", second])
    store.delete([first])
    assert keys(store) == [kept]
    with pytest.raises(NotFound):
        store.read(first, 0, 1)


def test_a_walk_meets_objects_in_the_order_of_their_arrival(store: BlobStore) -> None:
    written = [put(store, b"x") for _ in range(30)]
    found = keys(store)
    assert found == sorted(found)
    assert sorted(written) == found
    arrival = [key.rpartition("/")[2][:11] for key in written]
    assert arrival == sorted(arrival)


def test_tenants_are_kept_apart_whatever_their_names(store: BlobStore) -> None:
    names = ("default", "..", "a/b", "über uns", "default2")
    written = {name: put(store, name.encode(), tenant=name) for name in names}
    for key in written.values():
        assert ".." not in key.split("/")
        assert keys(store, key.partition("/")[0] + "/") == [key]
    assert len(keys(store)) == len(names)


def test_many_threads_write_and_read_at_once(store: BlobStore) -> None:
    failures: list[BaseException] = []

    def work(seed: int) -> None:
        try:
            for number in range(8):
                data = bytes([seed, number]) * (200 + 30_000 * (number % 2))
                assert store.read(put(store, data), 0, len(data)) == data
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures
    assert len(keys(store)) == 64


def test_a_service_that_does_not_answer_is_a_reason_to_try_again(tmp_path: Path) -> None:
    nobody = f"http://127.0.0.1:{free_port()}"
    store = open_store(
        settings.Storage(url="s3://bucket", endpoint=nobody, access_key_id="a", secret_access_key="b", allow_http=True)
    )
    writer = store.create(store.new_key("default"))
    writer.write(b"0123456789")
    with pytest.raises(Unreachable) as refusal:
        writer.commit()
    writer.abort()
    # The modality keeps the image and sends it again (PS3.4 table B.2-1), the browser knows whose fault it is.
    assert (refusal.value.reason().code.status, refusal.value.http_status) == (0xA700, 503)
    with pytest.raises(Unreachable):
        store.read("default/some-object", 0, 10)
