"""`python -m bench.scale`: a million studies in one index, and what queries, ingest and start-up cost then.

The index is filled by rows (`bench.bulk`), which is proven on a sample to be what ingest writes; everything measured
goes through the front door: QIDO-RS over HTTP, C-FIND over DIMSE, and `Catalog.add`.
"""

import argparse
import itertools
import json
import os
import shutil
import sqlite3
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import quote

import psycopg

from bench import bulk, client, cloning, copying, dimse, hospital, postgresql, processes, servers
from bench.scale_queries import QUERIES, Known, Named, find_keys
from bench.servers import Server
from config import settings
from index import register
from index.catalog import Catalog
from index.database import Database
from index.declared import Declarations
from index.records import Origin
from pacs.migrations import upgrade

_SAMPLE_STUDIES = 60
_DISTINCT = 100_000
"""Studies that are taken in one by one; a larger index has clones of them."""
_INGESTED = 3000
_THREADS = 8
_ORIGIN = Origin(bulk.VIA, bulk.PEER, bulk.PRINCIPAL)

Figures = dict[str, dict[str, float]]


def main() -> None:
    """Parse the command line and run."""
    options = _options()
    options.folder.mkdir(parents=True, exist_ok=True)
    file = options.folder / f"index-{options.studies}.sqlite"
    if not file.exists():
        prove()
        load(file, options.studies)
    if options.database == "postgresql":
        with _copied(options.folder, file, options.studies) as (url, data):
            figures = measure(url, data, options)
    else:
        figures = measure(f"sqlite:///{file}", [file], options)
    print(json.dumps(figures, indent=1))
    if options.json:
        options.json.write_text(json.dumps(figures, indent=1), encoding="utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.scale", description=__doc__)
    parser.add_argument("--studies", type=int, default=100_000, metavar="N", help="ten times as many instances")
    parser.add_argument("--database", choices=("sqlite", "postgresql"), default="sqlite")
    parser.add_argument(
        "--folder",
        type=Path,
        default=Path(tempfile.gettempdir()) / "bench-scale",
        help="where the indexes are made and kept: 12 GB for a million studies, twice that with PostgreSQL",
    )
    parser.add_argument("--only", metavar="TEXT", default="", help="only queries with this text in their name")
    parser.add_argument("--no-ingest", action="store_true", help="leave the index as it is")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write the figures here")
    return parser.parse_args()


def _tell(text: str) -> None:
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def prove() -> None:
    """Take the first studies in the ordinary way and by rows. Raises RuntimeError when the rows differ."""
    with tempfile.TemporaryDirectory() as folder:
        ordinary, loaded = (Path(folder) / name for name in ("ordinary.sqlite", "loaded.sqlite"))
        where = settings.Database(url=f"sqlite:///{ordinary}", synchronous="OFF")
        upgrade(where)
        database = Database(where)
        catalog = Catalog(database)
        for number in range(_SAMPLE_STUDIES):
            study = hospital.study(number, _SAMPLE_STUDIES)
            records = [hospital.record(study, one, n) for one in study.series for n in range(1, one.instances + 1)]
            for record in records:
                catalog.add(bulk.TENANT, record, _ORIGIN, duplicates="refuse")
        database.close()
        load(loaded, _SAMPLE_STUDIES)
        with closing(sqlite3.connect(ordinary)) as ours, closing(sqlite3.connect(loaded)) as theirs:
            if different := bulk.differences(ours, theirs):
                raise RuntimeError(f"A load does not write what ingest writes into {', '.join(different)}")
    _tell(f"{_SAMPLE_STUDIES} studies, loaded and taken in, give the same rows")


def distinct_studies(studies: int) -> int:
    """How many studies are no clones. Raises ValueError when the others are not one to nine times as many."""
    if studies <= _DISTINCT:
        return studies
    if studies % _DISTINCT or studies > 10 * _DISTINCT:
        raise ValueError(f"--studies beyond {_DISTINCT:,} must be a multiple of it, up to {10 * _DISTINCT:,}")
    return _DISTINCT


def load(file: Path, studies: int) -> None:
    """Make an SQLite index of so many studies; of a very large one the first are real, the others their clones."""
    part, distinct = Path(f"{file}.part"), distinct_studies(studies)
    block = file.with_name(f"index-{distinct}.sqlite")
    if studies > distinct:
        if not block.exists():
            load(block, distinct)
        shutil.copyfile(block, part)
    else:
        upgrade(f"sqlite:///{part}")
    with closing(sqlite3.connect(part, isolation_level=None)) as connection:
        for pragma in ("journal_mode=OFF", "synchronous=OFF", "cache_size=-2000000", "temp_store=MEMORY"):
            connection.execute(f"PRAGMA {pragma}")
        remake = bulk.drop_indexes(connection)
        connection.execute("BEGIN")
        if studies > distinct:
            cloning.multiply(connection, studies // distinct - 1, _tell)
        else:
            bulk.Loader(connection, studies, _declared(f"sqlite:///{part}")).load(range(studies), _tell)
        connection.execute("COMMIT")
        for statement in remake:
            connection.execute(statement)
        bulk.rebuild_text_indexes(connection)
        connection.execute("PRAGMA journal_mode=WAL")
    part.rename(file)
    _tell(f"{studies:,} studies, all indexes")


def _declared(url: str) -> Declarations:
    database = Database(settings.Database(url=url))
    rows = database.rows(database.prepare(register.declared()), {})
    database.close()
    return register.read_declarations(rows)


@contextmanager
def _copied(folder: Path, file: Path, studies: int) -> Iterator[tuple[str, list[Path]]]:
    """A PostgreSQL server with a copy of the rows, made when it is not there; the URL, and its files."""
    place = folder / f"postgresql-{studies}"
    fresh = not place.exists()
    with postgresql.cluster(place) as url:
        if fresh:
            upgrade(url)
            copying.copy(file, url, _tell)
        yield url, [path for path in (place / "data" / "base").rglob("*") if path.is_file()]


def measure(url: str, data: Sequence[Path], options: argparse.Namespace) -> Figures:
    """Everything, on a running database."""
    figures: Figures = {"bytes": index_bytes(url)}
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        chosen = [one for one in QUERIES if options.only.lower() in one.name.lower()]
        if url.startswith("sqlite"):
            _drop_cached(data)
        with _server(Path(folder), url) as server:
            figures["start"] = {"ready s": server.ready_seconds}
            for one in chosen:
                figures[one.name] = {"cold ms": _ask(server, one, options.studies, first=13, times=1)[0]}
            for one in chosen:
                figures[one.name] |= _warm(server, one, options.studies)
                _tell(f"{one.name}: {figures[one.name]}")
            if not options.only:
                figures["C-FIND of a week"] = _find(server)
    if not (options.no_ingest or options.only):
        figures["ingest"] = {"/s": ingest_rate(url)}
    return figures


@contextmanager
def _server(folder: Path, url: str) -> Iterator[Server]:
    with servers.pacs(
        folder / "server", sink_port=processes.free_port(), settings={"PACS_DATABASE_URL": url}
    ) as server:
        yield server


def _drop_cached(files: Sequence[Path]) -> None:
    """Let the system forget the contents of these files."""
    for path in files:
        descriptor = os.open(path, os.O_RDONLY)
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
        os.close(descriptor)


def _warm(server: Server, query: Named, studies: int) -> dict[str, float]:
    _ask(server, query, studies, first=0, times=max(3, query.requests // 3))
    latencies = sorted(_ask(server, query, studies, first=1000, times=query.requests))
    return {"p50 ms": statistics.median(latencies), "p95 ms": latencies[int(0.95 * (len(latencies) - 1))]}


def _ask(server: Server, query: Named, studies: int, *, first: int, times: int) -> list[float]:
    known = Known(distinct_studies(studies), studies)
    paths = [server.base_path + quote(query.path(first + i, known), safe="/?&=,.-") for i in range(times)]
    job = client.Job(server.web_port, paths, {"Accept": "application/dicom+json"})
    try:
        return client.run(job, allowed=query.statuses).latencies_ms
    except RuntimeError as exc:
        raise RuntimeError(f"{query.name}: {exc}") from exc


def _find(server: Server) -> dict[str, float]:
    times = 20
    seconds = [dimse.find_studies(server, find_keys(i), times) / times for i in range(7)]
    return {"p50 ms": statistics.median(seconds) * 1000, "p95 ms": max(seconds) * 1000}


def index_bytes(url: str) -> dict[str, float]:
    """Bytes an instance, with and without the documents (the whole metadata of each instance, compressed)."""
    sizes = _sizes_of_file(url) if url.startswith("sqlite") else _sizes_of_server(url)
    instances = sizes.pop("number of instances")
    total = sum(sizes.values())
    documents = sizes.get("documents", 0.0)
    return {
        "total GB": total / 1e9,
        "an instance": total / instances,
        "an instance, without documents": (total - documents) / instances,
        **{f"an instance, {name}": size / instances for name, size in sorted(sizes.items()) if size > 1e-3 * total},
    }


def _sizes_of_file(url: str) -> dict[str, float]:
    with closing(sqlite3.connect(url.removeprefix("sqlite:///"))) as connection:
        sql = """
            SELECT coalesce(m.tbl_name, s.name), sum(s.pageno) * (SELECT page_size FROM pragma_page_size)
            FROM dbstat AS s LEFT JOIN sqlite_master AS m ON m.name = s.name WHERE s.aggregate = TRUE GROUP BY 1"""
        sizes = {str(name): float(size) for name, size in connection.execute(sql)}
        return sizes | {"number of instances": connection.execute("SELECT count(*) FROM instances").fetchone()[0]}


def _sizes_of_server(url: str) -> dict[str, float]:
    with psycopg.connect(url.replace("postgresql+psycopg", "postgresql")) as connection:
        sql = "SELECT relname, pg_total_relation_size(oid) FROM pg_class WHERE relkind = 'r' AND relnamespace = %s"
        public = "public"
        rows = connection.execute(sql + "::regnamespace", [public]).fetchall()
        sizes = {str(name): float(size) for name, size in rows}
        found = connection.execute("SELECT count(*) FROM instances").fetchone()
        assert found is not None
        return sizes | {"number of instances": found[0]}


def ingest_rate(url: str) -> float:
    """Instances a second through `Catalog.add`, whole studies over eight threads, durable."""
    database = Database(settings.Database(url=url))
    catalog = Catalog(database)
    # A number that no study of the index has, and another one each time.
    first = 20_000_000 + int(time.time()) % 1_000_000 * 1000
    records = []
    for number in itertools.count(first):
        study = hospital.study(number, 1_000_000)
        records.append([hospital.record(study, s, n) for s in study.series for n in range(1, s.instances + 1)])
        if sum(map(len, records)) >= _INGESTED:
            break

    def add(study_records: Sequence[object]) -> int:
        for record in study_records:
            catalog.add(bulk.TENANT, record, _ORIGIN, duplicates="refuse")  # type: ignore[arg-type]
        return len(study_records)

    started = time.perf_counter()
    with ThreadPoolExecutor(_THREADS) as pool:
        added = sum(pool.map(add, records))
    seconds = time.perf_counter() - started
    database.close()
    return added / seconds


if __name__ == "__main__":
    main()
