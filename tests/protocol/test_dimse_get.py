"""C-GET: DCMTK's getscu, peers that take only a part, and peers that stop or go away in the middle."""

import pytest
from pydicom import dcmread
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.associations import CT, EXPLICIT, STUDY_GET, as_sample, dcmtk, keys, raw_dataset, scu, store
from tests.command import wait_until
from tests.conftest import start
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
STUDY = dcmread(SLICES[0]).StudyInstanceUID
UIDS = {as_sample(path).sop_instance_uid for path in SLICES}
REPORT = sample("sr/sr_document.dcm")


@pytest.fixture(scope="module")
def archive(tmp_path_factory):
    """A server of its own: the study has what was sent here and nothing else."""
    server = start(tmp_path_factory.mktemp("archive"))
    store(server, [*SLICES, REPORT])
    yield server
    server.stop()


def get(archive, *contexts, receive, **options):
    """The last response of a C-GET of the study, with its identifier."""
    proposed = [build_context(STUDY_GET), *contexts]
    with scu(archive, proposed, receive=receive, scp_of=[str(one.abstract_syntax) for one in contexts]) as association:
        return list(association.send_c_get(keys("STUDY", StudyInstanceUID=STUDY), STUDY_GET, **options))[-1]


def test_getscu(archive, tmp_path):
    dcmtk(
        "getscu", "-S", "-aec", archive.ae_title, "-od", tmp_path, "+B", "127.0.0.1", archive.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={STUDY}",
    )  # fmt: skip
    got = list(tmp_path.iterdir())
    assert {as_sample(path).sop_instance_uid for path in got} == UIDS
    kept = {raw_dataset(path) for path in SLICES}
    assert all(any(path.read_bytes().endswith(data) for data in kept) for path in got)


def test_a_class_that_was_not_proposed_has_failed(archive):
    answer, identifier = get(archive, build_context("1.2.840.10008.5.1.4.1.1.4", EXPLICIT), receive=lambda _: 0)
    assert (answer.Status, answer.NumberOfFailedSuboperations) == (0xA702, 3)
    assert set(identifier.FailedSOPInstanceUIDList) == UIDS


def test_what_the_peer_refuses_and_warns_of_is_counted(archive):
    statuses = iter((0x0000, 0xB007, 0xA700))
    answer, identifier = get(archive, build_context(CT, EXPLICIT), receive=lambda _: next(statuses))
    assert answer.Status == 0xB000
    counts = (
        answer.NumberOfCompletedSuboperations,
        answer.NumberOfWarningSuboperations,
        answer.NumberOfFailedSuboperations,
    )
    assert counts == (1, 1, 1)
    assert identifier.FailedSOPInstanceUIDList in UIDS


def test_cancel_in_the_middle(archive):
    def cancel(event: evt.Event) -> int:
        event.assoc.send_c_cancel(9, query_model=STUDY_GET)
        return 0

    answer, _ = get(archive, build_context(CT, EXPLICIT), receive=cancel, msg_id=9)
    assert answer.Status == 0xFE00
    assert (answer.NumberOfCompletedSuboperations, answer.NumberOfRemainingSuboperations) == (1, 2)


def test_a_cancel_of_something_else(archive):
    def cancel(event: evt.Event) -> int:
        event.assoc.send_c_cancel(8, query_model=STUDY_GET)
        return 0

    answer, _ = get(archive, build_context(CT, EXPLICIT), receive=cancel, msg_id=9)
    assert (answer.Status, answer.NumberOfCompletedSuboperations) == (0, 3)


def test_the_peer_goes_away_in_the_middle(archive):
    statuses = iter((0, None))

    def leave(event: evt.Event) -> int:
        status = next(statuses)
        if status is None:
            event.assoc.abort()
        return status or 0

    contexts = [build_context(STUDY_GET), build_context(CT, EXPLICIT)]
    with scu(archive, contexts, receive=leave, scp_of=[CT], calling="LEAVES") as association:
        association.dimse_timeout = 0.5  # pynetdicom goes on waiting on what it has aborted itself.
        list(association.send_c_get(keys("STUDY", StudyInstanceUID=STUDY), STUDY_GET))

    def left() -> list[int]:
        return [event["count"] for event in archive.audit() if event.get("detail") == "to LEAVES"]

    wait_until(lambda: left() == [1])
    dcmtk("echoscu", "-aec", archive.ae_title, "127.0.0.1", archive.dimse_port)
