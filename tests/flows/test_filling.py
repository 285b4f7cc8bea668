"""Filling a declared attribute: the worker is killed in the middle, answers say so meanwhile, nothing is missing after.

The instances are put into the server's index directly, because thousands of files would only take longer to send.
"""

import os
import random
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass

import httpx
import pytest
from pydicom.dataset import Dataset

from config import settings
from index.attribute_paths import parse
from index.catalog import Catalog
from index.database import Database
from index.declared import FILLING, READY, Declaration
from index.records import Level
from index.register import Register
from tests.associations import find
from tests.command import run, wait_until
from tests.conftest import Server, start
from tests.records import ORIGIN, a_record, new_uid, to_json
from tests.servers import postgresql_url

PATH = "RequestAttributesSequence.RequestedProcedureCodeSequence.CodeValue"
SERIES_UID = "0020000E"
SERIES, INSTANCES_EACH = 120, 10


@dataclass
class Archive:
    """A server, its index seen from beside it, and which series has which codes."""

    server: Server
    register: Register
    codes: dict[str, set[str]]

    @property
    def declaration(self) -> Declaration:
        return self.register.read().levels(parse(PATH))[Level.SERIES]

    def found(self, code: str) -> tuple[set[str], str]:
        """Series by QIDO-RS, and what it warns of."""
        answer = httpx.get(f"{self.server.dicomweb_url}/series", params={PATH: code, "limit": SERIES}, timeout=60)
        assert answer.status_code == 200, answer.text
        return {one[SERIES_UID]["Value"][0] for one in answer.json()}, answer.headers.get("warning", "")

    def expected(self, code: str) -> set[str]:
        return {uid for uid, codes in self.codes.items() if code in codes}


@pytest.fixture(params=["sqlite", "postgresql"])
def archive(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Archive]:
    folder = tmp_path_factory.mktemp("filling")
    url = postgresql_url() if request.param == "postgresql" else f"sqlite:///{folder}/data/index.sqlite"
    server = start(folder, database={"url": url}, dimse={"relational_queries": "always"})
    database = Database(settings.Database(url=url))
    yield Archive(server, Register(database), fill(Catalog(database)))
    database.close()
    server.stop()


def fill(catalog: Catalog) -> dict[str, set[str]]:
    """Series in which one instance somewhere has a code or two."""
    rng = random.Random(3)
    codes = {}
    records = []
    study = ""
    for number in range(SERIES):
        study = new_uid() if number % 4 == 0 else study
        series, codes_here = new_uid(), rng.sample(["C1", "C2", "C3"], rng.randint(0, 2))
        codes[series] = set(codes_here)
        for position in range(INSTANCES_EACH):
            request = to_json({"RequestedProcedureCodeSequence": [to_json({"CodeValue": code}) for code in codes_here]})
            values = {"RequestAttributesSequence": [request]} if position == number % INSTANCES_EACH else {}
            records.append(a_record(StudyInstanceUID=study, SeriesInstanceUID=series, **values))
    for begin in range(0, len(records), 500):
        catalog.add_many("default", records[begin : begin + 500], ORIGIN, duplicates="refuse")
    return codes


def requested(code: str) -> dict[str, list[Dataset]]:
    """The key of a C-FIND."""
    inner, outer = Dataset(), Dataset()
    inner.CodeValue = code
    outer.RequestedProcedureCodeSequence = [inner]
    return {"RequestAttributesSequence": [outer]}


def test_a_killed_worker_is_gone_on_from_where_it_was(archive: Archive) -> None:
    worker = archive.server.children()[-1]
    os.kill(worker, signal.SIGSTOP)
    done = run(archive.server.folder, "--config", "pacs.toml", "attributes", "add", PATH, "--level", "SERIES")
    assert done.returncode == 0, done.stderr
    while archive.declaration.percent == 0:
        # A page at a time, or it would be through before anybody looks.
        os.kill(worker, signal.SIGCONT)
        time.sleep(0.02)
        os.kill(worker, signal.SIGSTOP)
    reached = archive.declaration
    assert reached.state == FILLING
    try:
        for code in ("C1", "C2", "C3"):
            found, warning = archive.found(code)
            assert found < archive.expected(code)
            assert warning.startswith("299 ") and PATH in warning
        answers, statuses = find(archive.server, "SERIES", StudyInstanceUID="", SeriesInstanceUID="", **requested("C1"))
        assert set(statuses) == {0xFF01, 0}
        assert len(answers) < len(archive.expected("C1"))
        listed = run(archive.server.folder, "--config", "pacs.toml", "attributes", "list").stdout
        assert f"{reached.percent} % filled" in listed
    finally:
        os.kill(worker, signal.SIGKILL)
    wait_until(lambda: archive.declaration.state == READY, 60)
    for code in ("C1", "C2", "C3"):
        assert archive.found(code) == (archive.expected(code), "")
    answers, statuses = find(archive.server, "SERIES", StudyInstanceUID="", SeriesInstanceUID="", **requested("C1"))
    assert set(statuses) == {0xFF00, 0}
    assert len(answers) == len(archive.expected("C1"))
