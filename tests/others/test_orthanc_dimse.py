"""Orthanc as DIMSE peer, both ways: it echoes, stores, finds and moves with us, and we move to it and it to us."""

import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydicom import dcmread

from tests import orthanc
from tests.associations import dcmtk, raw_dataset, store
from tests.command import run
from tests.conftest import Server, free_port, start
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
JAPANESE = sample("charset/chrH31.dcm")
STUDY = dcmread(SLICES[0]).StudyInstanceUID
UIDS = {dcmread(path).SOPInstanceUID for path in SLICES}


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, orthanc.Orthanc]]:
    """Our server and an Orthanc that know each other."""
    folder, port = tmp_path_factory.mktemp("orthanc"), free_port()
    with orthanc.running(folder / "orthanc", modalities={"ours": ["PACS", "127.0.0.1", port]}) as theirs:
        row = {"ae_title": orthanc.AE_TITLE, "host": "127.0.0.1", "port": theirs.dimse_port}
        ours = start(folder / "ours", dimse={"port": port, "peers": [row]})
        try:
            yield ours, theirs
        finally:
            ours.stop()


def upload(theirs: orthanc.Orthanc, path: Path) -> str:
    """Put a file into Orthanc by its own interface; its identifier there."""
    answer = httpx.post(f"{theirs.url}/instances", content=path.read_bytes(), timeout=60)
    assert answer.status_code == 200
    return str(answer.json()["ID"])


def in_ours(ours: Server, study: str) -> set[str]:
    found = httpx.get(f"{ours.dicomweb_url}/studies/{study}/instances", timeout=60)
    return {one["00080018"]["Value"][0] for one in found.json()} if found.status_code == 200 else set()


def test_it_echoes_and_stores(pair: tuple[Server, orthanc.Orthanc]) -> None:
    ours, theirs = pair
    theirs.post("/modalities/ours/echo", {})
    sent = [upload(theirs, path) for path in (*SLICES, JAPANESE)]
    theirs.post("/modalities/ours/store", {"Resources": sent, "Synchronous": True})
    assert in_ours(ours, STUDY) == UIDS


def test_it_finds_and_moves_to_itself(pair: tuple[Server, orthanc.Orthanc]) -> None:
    ours, theirs = pair
    assert set(store(ours, SLICES).values()) == {0}
    for path in httpx.get(f"{theirs.url}/studies", timeout=60).json():
        httpx.delete(f"{theirs.url}/studies/{path}", timeout=60)
    query = theirs.post("/modalities/ours/query", {"Level": "Study", "Query": {"StudyInstanceUID": STUDY}})
    answers = httpx.get(f"{theirs.url}{query['Path']}/answers?expand&simplify", timeout=60).json()
    assert [(one["StudyInstanceUID"], one["RetrieveAETitle"]) for one in answers] == [(STUDY, "PACS")]
    theirs.post(f"{query['Path']}/retrieve", {"TargetAet": orthanc.AE_TITLE, "Synchronous": True})
    assert theirs.instances() == UIDS


def test_it_finds_names_in_other_character_sets(pair: tuple[Server, orthanc.Orthanc]) -> None:
    ours, theirs = pair
    store(ours, [JAPANESE])
    query = theirs.post("/modalities/ours/query", {"Level": "Study", "Query": {"PatientName": "Yamada*"}})
    answers = httpx.get(f"{theirs.url}{query['Path']}/answers?expand&simplify", timeout=60).json()
    assert "山田^太郎" in answers[0]["PatientName"]


def test_we_move_to_it(pair: tuple[Server, orthanc.Orthanc]) -> None:
    ours, theirs = pair
    store(ours, SLICES)
    for path in httpx.get(f"{theirs.url}/studies", timeout=60).json():
        httpx.delete(f"{theirs.url}/studies/{path}", timeout=60)
    dcmtk(
        "movescu", "-S", "-aec", "PACS", "-aem", orthanc.AE_TITLE, "127.0.0.1", ours.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
    )  # fmt: skip
    assert theirs.instances() == UIDS
    for path in SLICES:
        uid = dcmread(path).SOPInstanceUID
        [identifier] = httpx.post(f"{theirs.url}/tools/lookup", content=uid, timeout=60).json()
        kept = httpx.get(f"{theirs.url}{identifier['Path']}/file", timeout=60).content
        assert raw_dataset(path) in kept


def test_it_moves_to_us(pair: tuple[Server, orthanc.Orthanc]) -> None:
    """A workstation asks Orthanc to send to us by C-MOVE."""
    ours, theirs = pair
    upload(theirs, JAPANESE)
    study = dcmread(JAPANESE).StudyInstanceUID
    dcmtk(
        "movescu", "-S", "-aec", orthanc.AE_TITLE, "-aem", "PACS", "127.0.0.1", theirs.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
    )  # fmt: skip
    deadline = time.monotonic() + 30
    while in_ours(ours, study) != {dcmread(JAPANESE).SOPInstanceUID} and time.monotonic() < deadline:
        time.sleep(0.1)
    assert in_ours(ours, study) == {dcmread(JAPANESE).SOPInstanceUID}


def test_we_fetch_from_it(pair: tuple[Server, orthanc.Orthanc], tmp_path: Path) -> None:
    _, theirs = pair
    for path in SLICES:
        upload(theirs, path)
    (tmp_path / "pacs.toml").write_text("")
    done = run(tmp_path, "--config", "pacs.toml", "fetch", f"127.0.0.1:{theirs.dimse_port}", orthanc.AE_TITLE, STUDY)
    assert done.stdout == "3 stored, 0 failed\n", done.stderr
    objects = [path.read_bytes() for path in (tmp_path / "data" / "objects").rglob("*") if path.is_file()]
    for path in SLICES:
        assert any(raw_dataset(path) in one for one in objects)
