"""C-MOVE to pynetdicom and DCMTK as destinations."""

import threading
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom.presentation import build_context

from tests.associations import (
    CT,
    EXPLICIT,
    IMPLICIT,
    PATIENT_MOVE,
    STUDY_MOVE,
    Receiver,
    as_sample,
    dcmtk,
    keys,
    listening,
    new_receiver,
    raw_dataset,
    scu,
    store,
)
from tests.conftest import Server, start
from tests.samples import sample

CT_SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
JPEG_LS = sample("ct_syntaxes/JPEGLSLossless.dcm")
JPEG_LS_LOSSLESS = "1.2.840.10008.1.2.4.80"


@pytest.fixture(scope="module")
def destinations() -> dict[str, Receiver]:
    return {title: new_receiver(title) for title in ("DEST", "PLAIN", "DEAD")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory, destinations):
    """A server with an AE table, and the sample slices in it."""
    peers = [{"ae_title": one.title, "host": "127.0.0.1", "port": one.port} for one in destinations.values()]
    running = start(tmp_path_factory.mktemp("move"), dimse={"peers": peers})
    try:
        assert set(store(running, [*CT_SLICES, JPEG_LS]).values()) == {0}
        yield running
    finally:
        running.stop()


def move(server: Server, destination: str, identifier, model: str = STUDY_MOVE) -> list:
    """All responses of a C-MOVE, the last one with the identifier it may carry."""
    with scu(server, [build_context(model)]) as association:
        return list(association.send_c_move(identifier, destination, model))


def study_of(path: Path) -> str:
    return dcmread(path, specific_tags=["StudyInstanceUID"]).StudyInstanceUID


def test_a_study_arrives_byte_for_byte(archive, destinations):
    with listening(destinations["DEST"], [build_context(CT, EXPLICIT)]) as receiver:
        receiver.received.clear()
        responses = move(archive, "DEST", keys("STUDY", StudyInstanceUID=study_of(CT_SLICES[0])))
    expected = {as_sample(path).sop_instance_uid: (EXPLICIT, raw_dataset(path)) for path in CT_SLICES}
    assert receiver.received == expected
    assert receiver.originators == {("TESTSCU", 1)}
    pending = [status for status, _ in responses[:-1]]
    assert [status.NumberOfRemainingSuboperations for status in pending] == [2, 1, 0]
    assert [status.NumberOfCompletedSuboperations for status in pending] == [1, 2, 3]
    final = responses[-1][0]
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0, 3, 0)


def test_levels_and_lists(archive, destinations):
    one = dcmread(CT_SLICES[0])
    two = dcmread(CT_SLICES[1])
    above = {"PatientID": one.PatientID, "StudyInstanceUID": one.StudyInstanceUID}
    series = {**above, "SeriesInstanceUID": one.SeriesInstanceUID}
    uids = [one.SOPInstanceUID, two.SOPInstanceUID]
    with listening(destinations["DEST"], [build_context(CT, EXPLICIT)]) as receiver:
        for identifier, count in (
            (keys("PATIENT", PatientID=one.PatientID), 3),
            (keys("STUDY", **above), 3),
            (keys("SERIES", **series), 3),
            (keys("IMAGE", SOPInstanceUID=uids, **series), 2),
        ):
            receiver.received.clear()
            responses = move(archive, "DEST", identifier, PATIENT_MOVE)
            assert responses[-1][0].Status == 0
            assert len(receiver.received) == count


def test_an_object_is_converted_only_for_a_peer_that_lacks_its_syntax(archive, destinations):
    original = dcmread(JPEG_LS)
    identifier = keys("STUDY", StudyInstanceUID=original.StudyInstanceUID)
    uid = as_sample(JPEG_LS).sop_instance_uid
    with listening(destinations["DEST"], [build_context(CT, [EXPLICIT, JPEG_LS_LOSSLESS])]) as receiver:
        assert move(archive, "DEST", identifier)[-1][0].Status == 0
        assert receiver.received[uid] == (JPEG_LS_LOSSLESS, raw_dataset(JPEG_LS))
    with listening(destinations["PLAIN"], [build_context(CT, IMPLICIT)]) as receiver:
        assert move(archive, "PLAIN", identifier)[-1][0].Status == 0
        syntax, data = receiver.received[uid]
        assert syntax == IMPLICIT
        assert original.pixel_array.tobytes() in data


def test_partial_failure_is_a_warning_with_the_failed_uids(archive, destinations):
    refused = as_sample(CT_SLICES[1]).sop_instance_uid
    with listening(destinations["DEST"], [build_context(CT, EXPLICIT)]) as receiver:
        receiver.refuse.add(refused)
        responses = move(archive, "DEST", keys("STUDY", StudyInstanceUID=study_of(CT_SLICES[0])))
        receiver.refuse.clear()
    final, identifier = responses[-1]
    assert (final.Status, final.NumberOfCompletedSuboperations, final.NumberOfFailedSuboperations) == (0xB000, 2, 1)
    assert identifier.FailedSOPInstanceUIDList == refused


@pytest.mark.parametrize(
    ("destination", "identifier", "status"),
    [
        ("NOBODY", keys("STUDY", StudyInstanceUID="1.2.3"), 0xA801),
        ("DEST", keys("STUDY", StudyInstanceUID="1.2.3"), 0x0000),
        ("DEST", keys("STUDY"), 0xA900),
        ("DEST", keys("PATIENT", PatientID="X"), 0xA900),
        ("DEST", keys("SERIES", StudyInstanceUID="1.2.3"), 0xA900),
        ("DEAD", keys("STUDY", StudyInstanceUID=study_of(CT_SLICES[0])), 0xA702),
    ],
    ids=["unknown destination", "nothing found", "no key", "level", "missing key", "destination down"],
)
def test_statuses(archive, destination, identifier, status):
    responses = move(archive, destination, identifier)
    assert [one.Status for one, _ in responses] == [status]


def test_a_class_that_the_destination_does_not_take(archive, destinations):
    with listening(destinations["DEST"], [build_context("1.2.840.10008.5.1.4.1.1.4", EXPLICIT)]):
        responses = move(archive, "DEST", keys("STUDY", StudyInstanceUID=study_of(CT_SLICES[0])))
    final, identifier = responses[-1]
    assert final.Status == 0xA702
    assert len(identifier.FailedSOPInstanceUIDList) == 3


def test_cancel(archive, destinations, tmp_path):
    template = dcmread(CT_SLICES[0])
    template.StudyInstanceUID = generate_uid()
    paths = []
    for number in range(60):
        template.SOPInstanceUID = template.file_meta.MediaStorageSOPInstanceUID = generate_uid()
        paths.append(tmp_path / f"{number}.dcm")
        template.save_as(paths[-1])
    store(archive, paths)
    with (
        listening(destinations["DEST"], [build_context(CT, EXPLICIT)]) as receiver,
        scu(archive, [build_context(STUDY_MOVE)]) as association,
    ):
        receiver.received.clear()
        receiver.took.clear()

        def cancel() -> None:
            receiver.took.wait(30)
            association.send_c_cancel(1, query_model=STUDY_MOVE)

        cancelling = threading.Thread(target=cancel)
        cancelling.start()
        identifier = keys("STUDY", StudyInstanceUID=template.StudyInstanceUID)
        responses = list(association.send_c_move(identifier, "DEST", STUDY_MOVE, msg_id=1))
        cancelling.join()
    final = responses[-1][0]
    assert final.Status == 0xFE00
    assert final.NumberOfCompletedSuboperations + final.NumberOfRemainingSuboperations == 60
    assert 0 < final.NumberOfCompletedSuboperations < 60


# The receiver's socket is dropped unclosed by pynetdicom when its peer breaks off; at what moment is chance.
@pytest.mark.filterwarnings("ignore:Exception ignored in. <socket.socket:pytest.PytestUnraisableExceptionWarning")
def test_the_requestor_goes_away(archive, destinations):
    with (
        listening(destinations["DEST"], [build_context(CT, EXPLICIT)]),
        scu(archive, [build_context(STUDY_MOVE)]) as association,
    ):
        identifier = keys("STUDY", StudyInstanceUID=study_of(CT_SLICES[0]))
        next(association.send_c_move(identifier, "DEST", STUDY_MOVE))
        association.abort()
    dcmtk("echoscu", "-aec", archive.ae_title, "127.0.0.1", archive.dimse_port)


def test_movescu_receives_what_it_asks_for(archive, destinations, tmp_path):
    port = destinations["DEST"].port
    dcmtk(
        "movescu", "-S", "-aet", "DEST", "-aec", archive.ae_title, "-aem", "DEST", "+P", port, "-od", tmp_path,
        "127.0.0.1", archive.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study_of(CT_SLICES[0])}",
    )  # fmt: skip
    got = {dcmread(path).SOPInstanceUID: dcmread(path) for path in tmp_path.iterdir()}
    assert got == {dcmread(path).SOPInstanceUID: dcmread(path) for path in CT_SLICES}


def test_what_left_is_audited_once(archive, destinations):
    study = study_of(CT_SLICES[0])
    with listening(destinations["DEST"], [build_context(CT, EXPLICIT)]):
        before = len([event for event in archive.audit() if event.get("detail") == "to DEST"])
        move(archive, "DEST", keys("STUDY", StudyInstanceUID=study))
    events = [event for event in archive.audit() if event.get("detail") == "to DEST"][before:]
    assert [(event["study_instance_uid"], event["count"], event["principal"]) for event in events] == [
        (study, 3, "TESTSCU")
    ]
