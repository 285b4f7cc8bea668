"""Destinations of C-MOVE: how they are sent to, and what happens when they break, hang, refuse, or are ourselves."""

import threading
from dataclasses import dataclass, field

import pytest
from pydicom import dcmread
from pydicom.dataset import FileMetaDataset
from pydicom.filebase import DicomBytesIO
from pydicom.filereader import read_dataset
from pynetdicom import evt
from pynetdicom.presentation import build_context

from tests.associations import (
    CT,
    EXPLICIT,
    IMPLICIT,
    STUDY_GET,
    STUDY_MOVE,
    Receiver,
    as_sample,
    dcmtk,
    keys,
    listening,
    scu,
    store,
)
from tests.conftest import free_port, start
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
STUDY = dcmread(SLICES[0]).StudyInstanceUID
UIDS = [as_sample(path).sop_instance_uid for path in SLICES]
STORED = {
    "native": SLICES[0],
    "jpeg-ls": sample("ct_syntaxes/JPEGLSLossless.dcm"),
    "lossy": sample("ct_syntaxes/JPEG2000.dcm"),
}
JPEG_LS, JPEG_2000, JPEG_2000_LOSSY, HTJ2K, RLE = (
    f"1.2.840.10008.1.2.{end}" for end in ("4.80", "4.90", "4.91", "4.201", "5")
)
EVERYTHING = (EXPLICIT, IMPLICIT, JPEG_LS, JPEG_2000, JPEG_2000_LOSSY, HTJ2K, RLE)
ROWS = {
    "PLAIN": (),
    "LS": ("jpeg-ls",),
    "J2K": ("jpeg-2000", "jpeg-ls"),
    "HT": ("htj2k", "rle"),
    "RLE": ("rle",),
    "NEVER": ("uncompressed",),
    "BROKEN": (),
}


@dataclass
class Unreliable(Receiver):
    """A destination that does something else instead of answering, for the instances named."""

    abort: dict[str, int] = field(default_factory=dict)
    """SOP Instance UID -> how often the association is aborted when it arrives."""
    hang: threading.Event | None = None
    """When set: no answer before this event."""
    priorities: set[int] = field(default_factory=set)
    aborted: threading.Event = field(default_factory=threading.Event)

    def take(self, event: evt.Event) -> int:
        uid = str(event.request.AffectedSOPInstanceUID)
        self.priorities.add(event.request.Priority)
        if self.abort.get(uid, 0) > 0:
            self.abort[uid] -= 1
            event.assoc.abort()
            return 0xC000
        if self.hang is not None:
            self.took.set()
            self.hang.wait(30)
        return super().take(event)


@pytest.fixture(scope="module")
def ports() -> dict[str, int]:
    return {title: free_port() for title in (*ROWS, "SELF")}


@pytest.fixture(scope="module")
def archive(tmp_path_factory, ports):
    peers = [
        {"ae_title": title, "host": "127.0.0.1", "port": ports[title], "send_as": list(words)}
        for title, words in ROWS.items()
    ]
    peers.append({"ae_title": "PACS", "host": "127.0.0.1", "port": ports["SELF"]})
    running = start(tmp_path_factory.mktemp("destinations"), dimse={"peers": peers, "port": ports["SELF"]})
    try:
        assert set(store(running, [*SLICES, *STORED.values()]).values()) == {0}
        yield running
    finally:
        running.stop()


def move(archive, destination: str, study: str = STUDY, **options):
    """The last response of a C-MOVE of a study, with its identifier."""
    with scu(archive, [build_context(STUDY_MOVE)]) as association:
        identifier = keys("STUDY", StudyInstanceUID=study)
        return list(association.send_c_move(identifier, destination, STUDY_MOVE, **options))[-1]


def counts(status) -> tuple[int, int, int]:
    return (
        status.Status,
        status.NumberOfCompletedSuboperations,
        status.NumberOfFailedSuboperations,
    )


SENT = [
    ("PLAIN", "native", EXPLICIT),
    ("PLAIN", "jpeg-ls", JPEG_LS),
    ("LS", "native", JPEG_LS),
    ("LS", "lossy", JPEG_2000_LOSSY),
    ("J2K", "native", JPEG_2000),
    ("J2K", "jpeg-ls", JPEG_2000),
    ("HT", "native", HTJ2K),
    ("RLE", "jpeg-ls", RLE),
    ("NEVER", "native", EXPLICIT),
    ("NEVER", "jpeg-ls", EXPLICIT),
    ("NEVER", "lossy", EXPLICIT),
]


@pytest.mark.parametrize(("title", "stored", "syntax"), SENT)
def test_images_leave_as_the_ae_table_says(archive, ports, title, stored, syntax):
    original = dcmread(STORED[stored])
    with listening(Receiver(title, ports[title]), [build_context(CT, list(EVERYTHING))]) as receiver:
        status, _ = move(archive, title, original.StudyInstanceUID)
    assert status.Status == 0
    got_syntax, data = receiver.received[original.SOPInstanceUID]
    assert got_syntax == syntax
    received = read_dataset(DicomBytesIO(data), is_implicit_VR=syntax == IMPLICIT, is_little_endian=True)
    received.file_meta = FileMetaDataset()
    received.file_meta.TransferSyntaxUID = syntax
    assert (received.pixel_array == original.pixel_array).all()


@pytest.mark.parametrize("title", ["LS", "HT"])
def test_a_preference_the_destination_does_not_share_changes_nothing(archive, ports, title):
    with listening(Receiver(title, ports[title]), [build_context(CT, EXPLICIT)]) as receiver:
        status, _ = move(archive, title)
    assert counts(status) == (0, 3, 0)
    assert {syntax for syntax, _ in receiver.received.values()} == {EXPLICIT}


def test_get_keeps_to_the_row_of_the_peer(archive):
    received = []

    def take(event) -> int:
        received.append(str(event.context.transfer_syntax))
        return 0

    contexts = [build_context(STUDY_GET), build_context(CT, EXPLICIT), build_context(CT, JPEG_LS)]
    for calling in ("LS", "PLAIN"):
        with scu(archive, contexts, receive=take, scp_of=[CT], calling=calling) as association:
            responses = list(association.send_c_get(keys("STUDY", StudyInstanceUID=STUDY), STUDY_GET))
        assert counts(responses[-1][0]) == (0, 3, 0)
    assert received == [JPEG_LS] * 3 + [EXPLICIT] * 3


def test_an_association_that_breaks_is_made_anew(archive, ports):
    with listening(Unreliable("BROKEN", ports["BROKEN"], abort={UIDS[1]: 1}), [build_context(CT, EXPLICIT)]) as broken:
        status, _ = move(archive, "BROKEN")
    assert counts(status) == (0, 3, 0)
    assert set(broken.received) == set(UIDS)


def test_an_instance_that_breaks_it_each_time_is_one_failure(archive, ports):
    with listening(Unreliable("BROKEN", ports["BROKEN"], abort={UIDS[0]: 99}), [build_context(CT, EXPLICIT)]) as broken:
        status, identifier = move(archive, "BROKEN")
    assert counts(status) == (0xB000, 2, 1)
    assert identifier.FailedSOPInstanceUIDList == UIDS[0]
    assert broken.abort[UIDS[0]] == 97


def test_a_destination_that_always_breaks_is_given_up(archive, ports):
    receiver = Unreliable("BROKEN", ports["BROKEN"], abort=dict.fromkeys(UIDS, 99))
    with listening(receiver, [build_context(CT, EXPLICIT)]):
        status, identifier = move(archive, "BROKEN")
    assert counts(status) == (0xA702, 0, 3)
    assert set(identifier.FailedSOPInstanceUIDList) == set(UIDS)
    assert sum(99 - left for left in receiver.abort.values()) == 3


def test_the_priority_is_passed_on(archive, ports):
    with listening(Unreliable("PLAIN", ports["PLAIN"]), [build_context(CT, EXPLICIT)]) as receiver:
        for priority in (0, 1, 2):
            assert counts(move(archive, "PLAIN", priority=priority)[0]) == (0, 3, 0)
    assert receiver.priorities == {0, 1, 2}


def test_a_move_to_ourselves(archive):
    assert counts(move(archive, "PACS")[0]) == (0, 3, 0)


def test_cancel_while_the_destination_takes_its_time(archive, ports):
    receiver = Unreliable("PLAIN", ports["PLAIN"], hang=threading.Event())
    with (
        listening(receiver, [build_context(CT, EXPLICIT)]),
        scu(archive, [build_context(STUDY_MOVE)]) as association,
    ):
        answers = association.send_c_move(keys("STUDY", StudyInstanceUID=STUDY), "PLAIN", STUDY_MOVE, msg_id=5)
        assert receiver.took.wait(30)
        association.send_c_cancel(4, query_model=STUDY_MOVE)
        association.send_c_cancel(5, query_model=STUDY_MOVE)
        receiver.hang.set()
        final = list(answers)[-1][0]
    assert final.Status == 0xFE00
    # One more may have left while the request to cancel was on its way.
    assert final.NumberOfCompletedSuboperations in (1, 2)
    assert final.NumberOfCompletedSuboperations + final.NumberOfRemainingSuboperations == 3


def test_the_destination_is_let_go_when_the_requestor_is_gone(archive, ports):
    receiver = Unreliable("PLAIN", ports["PLAIN"], hang=threading.Event())
    with (
        listening(receiver, [build_context(CT, EXPLICIT)]),
        scu(archive, [build_context(STUDY_MOVE)]) as association,
    ):
        association.send_c_move(keys("STUDY", StudyInstanceUID=STUDY), "PLAIN", STUDY_MOVE)
        assert receiver.took.wait(30)
        association.abort()
        receiver.hang.set()
    dcmtk("echoscu", "-aec", archive.ae_title, "127.0.0.1", archive.dimse_port)
    assert len(receiver.received) <= 1
