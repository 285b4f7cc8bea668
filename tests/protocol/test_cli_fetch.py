"""`pacs fetch` from another server: what arrives is what is there, also compressed; what cannot be done is told."""

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt

from tests.associations import STUDY_FIND, store
from tests.command import run
from tests.conftest import Server, free_port, start
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
STUDY = dcmread(SLICES[0]).StudyInstanceUID
COMPRESSED = sample("ct_syntaxes/JPEGLSLossless.dcm")


@pytest.fixture
def here(tmp_path):
    """A folder with the settings of an archive of its own."""
    (tmp_path / "pacs.toml").write_text('[dimse]\nae_titles = ["HERE"]\n')
    return tmp_path


@pytest.fixture(scope="module")
def there(tmp_path_factory):
    running = start(tmp_path_factory.mktemp("there"))
    try:
        assert set(store(running, [*SLICES, COMPRESSED]).values()) == {0}
        yield running
    finally:
        running.stop()


def fetch(folder, there: Server, study: str, title: str = "PACS"):
    return run(folder, "--config", "pacs.toml", "fetch", f"127.0.0.1:{there.dimse_port}", title, study)


def kept(folder) -> list[bytes]:
    return [path.read_bytes() for path in (folder / "data" / "objects").rglob("*") if path.is_file()]


def test_a_study_comes_byte_for_byte(here, there):
    assert fetch(here, there, STUDY).stdout == "3 stored, 0 failed\n"
    assert len(kept(here)) == 3
    for path in SLICES:
        data = path.read_bytes()
        assert any(one.endswith(data[-500_000:]) for one in kept(here))
    # Once more: the same bytes are no new instances.
    assert fetch(here, there, STUDY).returncode == 0
    assert len(kept(here)) == 3


def test_compressed_objects_stay_compressed(here, there):
    done = fetch(here, there, dcmread(COMPRESSED).StudyInstanceUID)
    assert (done.returncode, done.stdout) == (0, "1 stored, 0 failed\n")
    [one] = kept(here)
    assert one.endswith(COMPRESSED.read_bytes()[-10_000:])


def test_what_does_not_work_is_told(here, there):
    assert fetch(here, there, "1.2.3.4").stdout == "0 stored, 0 failed\n"
    wrong_title = fetch(here, there, STUDY, "NOBODY")
    assert (wrong_title.returncode, "rejected" in wrong_title.stderr) == (1, True)


def test_another_side_that_only_searches(here):
    ae = AE("SEARCH")
    ae.add_supported_context(STUDY_FIND)
    port = free_port()

    def nothing(event: evt.Event):
        yield 0x0000, None

    running = ae.start_server(("127.0.0.1", port), block=False, evt_handlers=[(evt.EVT_C_FIND, nothing)])
    try:
        done = run(here, "--config", "pacs.toml", "fetch", f"127.0.0.1:{port}", "SEARCH", STUDY)
    finally:
        running.shutdown()
    assert (done.returncode, done.stdout) == (1, "0 stored, 0 failed\n")
