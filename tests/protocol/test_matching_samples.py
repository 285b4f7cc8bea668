"""Searches of the sample files against brute force over the same files, by QIDO-RS and by C-FIND, on both databases."""

import random
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread
from pynetdicom.presentation import build_context

from tests.associations import STUDY_FIND, dcmtk, keys, scu
from tests.conftest import Server, start
from tests.matching_oracle import INTEGERS, UNIQUE, Entities, queries, read
from tests.protocol.web import stow
from tests.samples import shipped_files
from tests.servers import postgresql_url

pytestmark = pytest.mark.filterwarnings("ignore")

RESOURCES = {"STUDY": "studies", "SERIES": "series", "IMAGE": "instances"}
TAGS = {"STUDY": "0020000D", "SERIES": "0020000E", "IMAGE": "00080018"}


@dataclass
class Samples:
    """A server with the sample files, a client of it, and what is in them."""

    database: str
    server: Server
    web: httpx.Client
    entities: Entities


@pytest.fixture(scope="module", params=["sqlite", "postgresql"])
def samples(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Samples]:
    """Stored in rounds that have one instance of each study, then series: so it is known which of them came first."""
    database = {} if request.param == "sqlite" else {"url": postgresql_url()}
    running = start(tmp_path_factory.mktemp("samples"), database=database)
    with httpx.Client(base_url=running.dicomweb_url, timeout=60) as client:
        rounds = in_rounds(shipped_files())
        for paths in rounds:
            answer = stow(client, *(path.read_bytes() for path in paths))
            assert answer.status_code in (200, 202) and "00081198" not in answer.json()
        yield Samples(request.param, running, client, read([path for paths in rounds for path in paths]))
    running.stop()


def in_rounds(paths: list[Path]) -> list[list[Path]]:
    """Those that are instances: the first of each study, the first of each further series, and the rest."""
    rounds: list[list[Path]] = [[], [], []]
    seen: set[str] = set()
    for path in paths:
        ds = dcmread(path, stop_before_pixels=True, force=True)
        if "SOPInstanceUID" not in ds or ds.SOPInstanceUID in seen:
            continue
        known = [f"{ds.StudyInstanceUID}" in seen, f"{ds.StudyInstanceUID} {ds.SeriesInstanceUID}" in seen]
        rounds[sum(known)].append(path)
        seen |= {ds.SOPInstanceUID, str(ds.StudyInstanceUID), f"{ds.StudyInstanceUID} {ds.SeriesInstanceUID}"}
    return rounds


def some(samples: Samples, level: str, number: int) -> list[dict[str, str]]:
    """Questions by one key, of every attribute, and by two or three of them; others for each database."""
    rng = random.Random(f"{level} {samples.database}")
    alone = list(queries(samples.entities, level))
    together = [rng.sample(alone, rng.choice((2, 3))) for _ in range(number // 3)]
    joined = [{keyword: text for one in chosen for keyword, text in one.items()} for chosen in together]
    return rng.sample(alone, min(len(alone), number)) + joined


@pytest.mark.parametrize("level", list(RESOURCES))
def test_qido_finds_what_is_in_the_files(samples: Samples, level: str) -> None:
    matched = 0
    for asked in some(samples, level, 150):
        response = samples.web.get(f"/{RESOURCES[level]}", params={**asked, "limit": "1000"})
        assert response.status_code == 200, (asked, response.text)
        found = sorted(one[TAGS[level]]["Value"][0] for one in response.json())
        assert found == samples.entities.matches(level, asked, combined=True), asked
        matched += bool(found)
    assert matched > 60


@pytest.mark.parametrize("level", list(RESOURCES))
def test_cfind_finds_what_is_in_the_files(samples: Samples, level: str) -> None:
    with scu(samples.server, [build_context(STUDY_FIND)], extended={STUDY_FIND: b"\1"}) as association:
        for asked in some(samples, level, 50):
            values = {keyword: int(text) if keyword in INTEGERS else text for keyword, text in asked.items()}
            identifier = keys(level, **{UNIQUE[level]: "", **values}, SpecificCharacterSet="ISO_IR 192")
            responses = list(association.send_c_find(identifier, STUDY_FIND))
            assert responses[-1][0].Status == 0, asked
            found = sorted(str(one[UNIQUE[level]].value) for _, one in responses if one)
            assert found == samples.entities.matches(level, asked), asked


def test_findscu_finds_what_is_in_the_files(samples: Samples) -> None:
    plain = [one for one in some(samples, "STUDY", 30) if len(one) == 1 and next(iter(one.values())).isascii()]
    for asked in plain[:12]:
        [(keyword, text)] = asked.items()
        printed = dcmtk(
            "findscu", "-v", "-S", "-aec", samples.server.ae_title, "127.0.0.1", samples.server.dimse_port,
            "-k", "QueryRetrieveLevel=STUDY", "-k", "StudyInstanceUID", "-k", f"{keyword}={text}",
        )  # fmt: skip
        answers = "".join(printed.split("Find Response:")[1:])
        found = sorted(re.findall(r"\(0020,000d\) UI \[([0-9.]+)\0? *\]", answers))
        assert found == samples.entities.matches("STUDY", asked), asked
