"""Queries that ask for too much: refused in the protocol's own terms, and soon."""

import subprocess
from collections.abc import Iterator

import httpx
import pytest

from config import settings
from index.catalog import Catalog
from index.database import Database
from tests.conftest import Server, start
from tests.records import ORIGIN, a_record

STUDIES = 1500


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A server with some studies that gives a query a millisecond and a C-FIND five matches."""
    limits = {"database": {"statement_timeout_seconds": 0.001}, "dimse": {"maximum_matches": 5}}
    server = start(tmp_path_factory.mktemp("hasty"), **limits)
    database = Database(settings.Database(url=f"sqlite:///{server.folder}/data/index.sqlite"))
    records = [a_record(PatientID=f"P{n}", StudyDescription=f"Study {n}") for n in range(STUDIES)]
    Catalog(database).add_many("default", records, ORIGIN, duplicates="refuse")
    database.close()
    yield server
    server.stop()


def test_a_search_that_no_index_serves_is_413_and_says_what_would_help(hasty: Server) -> None:
    answer = httpx.get(f"{hasty.dicomweb_url}/instances", params={"Rows": "77", "Columns": "78"})
    assert answer.status_code == 413
    message = answer.json()["error"]["message"]
    assert "Rows" in message and "StudyInstanceUID" in message


def test_searches_that_an_index_serves_go_on(hasty: Server) -> None:
    for level, params, number in (
        ("studies", {"limit": "50"}, 50),
        ("studies", {"PatientID": "P77"}, 1),
        ("studies", {"StudyDescription": "*udy 1234*"}, 1),
        ("instances", {"PatientID": "P77", "Rows": "512"}, 1),
        ("series", {"Modality": "CT", "limit": "20"}, 20),
    ):
        answer = httpx.get(f"{hasty.dicomweb_url}/{level}", params=params)
        assert (answer.status_code, len(answer.json())) == (200, number), params


def _find(server: Server, *keys: str) -> str:
    command = ["/usr/bin/findscu", "-v", "-S", "-aec", server.ae_title, "127.0.0.1", str(server.dimse_port)]
    words = [word for key in keys for word in ("-k", key)]
    return subprocess.run([*command, *words], capture_output=True, text=True, check=False).stderr


def test_a_find_with_too_many_matches_fails_after_some(hasty: Server) -> None:
    said = _find(hasty, "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID")
    assert "OutOfResources" in said or "a700" in said.lower(), said


def test_a_find_with_few_matches_succeeds(hasty: Server) -> None:
    said = _find(hasty, "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientID=P12")
    assert "Success" in said and "Refused" not in said, said


def test_a_find_that_no_index_serves_is_refused_with_a_comment(hasty: Server) -> None:
    said = _find(hasty, "QueryRetrieveLevel=STUDY", "StudyInstanceUID", "PatientSex=O", "IssuerOfPatientID=X*Z?")
    assert "OutOfResources" in said or "a700" in said.lower(), said


def test_a_count_below_the_bound_is_exact(hasty: Server) -> None:
    answer = httpx.get(f"{hasty.dicomweb_url}/studies", params={"limit": "1", "count": "true"})
    assert answer.headers["x-total-count"] == str(STUDIES)
