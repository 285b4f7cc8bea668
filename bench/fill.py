"""Fill an index with synthetic studies: `python -m bench.fill URL --studies N`.

Each study has one small instance. Its bytes go through the same scan and the same catalogue as an ingest, many
threads at a time so that they share commits; only the objects themselves are not written, because queries never
read them.
"""

import argparse
import hashlib
import itertools
import time
from concurrent.futures import ThreadPoolExecutor

from bench import datasets
from bench.queries import SEED
from config import settings
from index.catalog import Catalog
from index.database import Database
from index.records import InstanceRecord, Origin
from pacs.migrations import upgrade
from storage import part10

_ORIGIN = Origin("import", "bench", "bench")
_TENANT = settings.Archive().tenant
_THREADS = 64
_BATCH = 50


def fill(url: str, studies: int, *, seed: str) -> None:
    """Put this many studies into the index, which is made if there is none."""
    where = settings.Database(url=url, synchronous="NORMAL")
    upgrade(where)
    database = Database(where)
    catalog = Catalog(database)

    def add(numbers: tuple[int, ...]) -> None:
        for number in numbers:
            catalog.add(_TENANT, record(seed, number), _ORIGIN, duplicates="refuse")

    batches = _batches(studies)
    with ThreadPoolExecutor(_THREADS) as pool:
        for _ in pool.map(add, batches):
            pass
    database.close()


def _batches(studies: int) -> list[tuple[int, ...]]:
    numbers = iter(range(studies))
    return [batch for _ in range(0, studies, _BATCH) if (batch := tuple(itertools.islice(numbers, _BATCH)))]


def record(seed: str, number: int) -> InstanceRecord:
    """What ingest would keep of the one instance of a study."""
    encoded = datasets.encode("tiny", datasets.study(seed, number), 1)
    reader = part10.MetaReader()
    meta = reader.feed(encoded)
    assert meta is not None
    scanned = part10.scan(
        memoryview(encoded),
        dataset_offset=meta.length_bytes,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        limits=settings.Limits(),
        bulk_threshold_bytes=settings.Archive().bulk_data_threshold_bytes,
    )
    return part10.record_of(
        scanned,
        transfer_syntax_uid=meta.transfer_syntax_uid,
        blob_key=f"{_TENANT}/bench/{number:012d}",
        size_bytes=len(encoded),
        sha256=hashlib.sha256(encoded[meta.length_bytes :]).digest(),
    )


if __name__ == "__main__":
    parser = argparse.ArgumentParser(prog="python -m bench.fill", description=__doc__)
    parser.add_argument("url", help="of the index, as in `database.url`: sqlite:///path or postgresql+psycopg://...")
    parser.add_argument("--studies", type=int, default=10_000, metavar="N")
    given = parser.parse_args()
    started = time.perf_counter()
    fill(given.url, given.studies, seed=SEED)
    seconds = time.perf_counter() - started
    print(f"{given.studies} studies in {seconds:.1f} s: {given.studies / seconds:.0f}/s")
