"""Several AE titles on one port, each with a tenant of its own: what one tenant has, another one never sees."""

import pytest
import requests
from pydicom import dcmread
from pynetdicom.presentation import build_context

from config.load import load
from config.settings import SettingsError
from tests.associations import CT, EXPLICIT, STUDY_FIND, STUDY_GET, STUDY_MOVE, dcmtk, keys, new_receiver, scu, store
from tests.associations import listening as receiving
from tests.conftest import start, to_toml
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
STUDY = dcmread(SLICES[0]).StudyInstanceUID


class Called:
    """The server as seen under one of its AE titles."""

    def __init__(self, server, title):
        self.ae_title, self.dimse_port = title, server.dimse_port


@pytest.fixture(scope="module")
def receivers():
    return {title: new_receiver(title) for title in ("NORTHWS", "SOUTHWS")}


@pytest.fixture(scope="module")
def house(tmp_path_factory, receivers):
    """Two tenants beside the default one; the slices belong to `north` alone."""
    peers = [
        {"ae_title": title, "host": "127.0.0.1", "port": receivers[title].port, "tenant": tenant}
        for title, tenant in (("NORTHWS", "north"), ("SOUTHWS", "south"))
    ]
    running = start(
        tmp_path_factory.mktemp("tenants"),
        dimse={
            "ae_titles": ["PACS"],
            "titles": [{"ae_title": "NORTH", "tenant": "north"}, {"ae_title": "SOUTH", "tenant": "south"}],
            "peers": peers,
        },
    )
    try:
        assert set(store(Called(running, "NORTH"), SLICES).values()) == {0}
        yield running
    finally:
        running.stop()


def findings(house, title: str, calling: str) -> list[str]:
    with scu(Called(house, title), [build_context(STUDY_FIND)], calling=calling) as association:
        responses = list(association.send_c_find(keys("STUDY", StudyInstanceUID="", RetrieveAETitle=""), STUDY_FIND))
    assert responses[-1][0].Status == 0
    return [(answer.StudyInstanceUID, answer.RetrieveAETitle) for _, answer in responses if answer]


def test_each_title_finds_what_its_tenant_has(house):
    assert findings(house, "NORTH", "ANYBODY") == [(STUDY, "NORTH")]
    assert findings(house, "SOUTH", "ANYBODY") == []
    assert findings(house, "PACS", "ANYBODY") == []


def test_a_peer_of_a_tenant_has_it_under_a_title_of_none(house):
    assert findings(house, "PACS", "NORTHWS") == [(STUDY, "PACS")]
    assert findings(house, "PACS", "SOUTHWS") == []


@pytest.mark.parametrize(("title", "calling"), [("SOUTH", "NORTHWS"), ("NORTH", "SOUTHWS"), ("EAST", "NORTHWS")])
def test_the_title_of_another_tenant_is_as_unknown_as_one_that_is_not_there(house, title, calling):
    said = dcmtk("echoscu", "-aet", calling, "-aec", title, "127.0.0.1", house.dimse_port, ok=False)
    assert "Called AE Title Not Recognized" in said


def test_nothing_leaves_to_another_tenant(house, receivers):
    identifier = keys("STUDY", StudyInstanceUID=STUDY)

    def moved(title: str, calling: str, destination: str) -> int:
        with scu(Called(house, title), [build_context(STUDY_MOVE)], calling=calling) as association:
            return list(association.send_c_move(identifier, destination, STUDY_MOVE))[-1][0].Status

    with receiving(receivers["NORTHWS"], [build_context(CT, EXPLICIT)]) as north:
        assert moved("NORTH", "NORTHWS", "NORTHWS") == 0
        assert len(north.received) == 3
        assert moved("NORTH", "NORTHWS", "SOUTHWS") == 0xA801
        assert moved("SOUTH", "SOUTHWS", "NORTHWS") == 0xA801
        assert moved("SOUTH", "SOUTHWS", "SOUTHWS") == 0
        assert len(north.received) == 3
    with scu(
        Called(house, "SOUTH"), [build_context(STUDY_GET), build_context(CT, EXPLICIT)], scp_of=[CT], calling="SOUTHWS"
    ) as association:
        [(status, _)] = association.send_c_get(identifier, STUDY_GET)
    assert (status.Status, status.NumberOfCompletedSuboperations) == (0, 0)


def test_the_web_shows_the_default_tenant(house):
    assert requests.get(f"{house.dicomweb_url}/studies", timeout=60).json() == []


def test_a_store_goes_to_the_tenant_of_the_title(house, tmp_path):
    dataset = dcmread(SLICES[0])
    dataset.PatientID = "SOMEBODY ELSE"
    dataset.save_as(tmp_path / "other.dcm")
    # The same UIDs with other content: no conflict, and neither learns of the other.
    dcmtk("storescu", "-aec", "SOUTH", "127.0.0.1", house.dimse_port, tmp_path / "other.dcm")
    assert findings(house, "SOUTH", "ANYBODY") == [(STUDY, "SOUTH")]
    with scu(Called(house, "NORTH"), [build_context(STUDY_FIND)]) as association:
        found = association.send_c_find(keys("STUDY", PatientID="SOMEBODY ELSE", StudyInstanceUID=""), STUDY_FIND)
        assert [status.Status for status, _ in found] == [0]


@pytest.mark.parametrize(
    ("dimse", "said"),
    [
        ({"titles": [{"ae_title": "PACS", "tenant": "x"}]}, "only once"),
        ({"titles": [{"ae_title": "X", "tenant": ""}]}, "must not be empty"),
        ({"titles": [{"ae_title": "NAME\\\\", "tenant": "x"}]}, "is not an AE title"),
        ({"peers": [{"ae_title": "WS", "send_as": ["jpeg"]}]}, "must be one of uncompressed"),
    ],
)
def test_settings_that_cannot_be_meant(tmp_path, dimse, said):
    (tmp_path / "pacs.toml").write_text(to_toml({"dimse": dimse}))
    with pytest.raises(SettingsError, match=said):
        load(tmp_path / "pacs.toml", {})
