"""C-STORE and C-GET: what goes in comes out, byte for byte, for every sample there is."""

import socket
import struct
import time
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom.presentation import build_context

from tests.associations import (
    CT,
    EXPLICIT,
    IMPLICIT,
    STUDY_GET,
    VERIFICATION,
    Receiver,
    as_sample,
    dcmtk,
    find,
    keys,
    pdata,
    raw_association,
    raw_dataset,
    read_pdu,
    response_status,
    scu,
    send_store,
    store,
    store_command,
)
from tests.conftest import Server
from tests.samples import instance_files, sample, shipped_files

# Some samples hold UIDs that pydicom remarks on.
pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")

CT_SLICES = sorted((sample("ct_head_phantom_54")).glob("*.dcm"))


def get(server: Server, identifier, pairs) -> tuple[Receiver, list]:
    """C-GET with pynetdicom: what arrived, and all responses."""
    taken = Receiver("TESTSCU", 0)
    contexts = [build_context(STUDY_GET), *(build_context(*pair) for pair in pairs)]
    with scu(server, contexts, receive=taken.take, scp_of=[uid for uid, _ in pairs]) as association:
        responses = [status for status, _ in association.send_c_get(identifier, STUDY_GET)]
    return taken, responses


def test_echo(server):
    dcmtk("echoscu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port)


def test_every_sample_comes_out_as_it_went_in(start_server):
    """Some samples share a UID, so they go in by rounds and the later ones replace the earlier ones."""
    server = start_server(archive={"duplicates": "replace"})
    waiting = [as_sample(path) for path in instance_files()]
    while waiting:
        samples = {one.sop_instance_uid: one for one in reversed(waiting)}
        waiting = [one for one in waiting if one not in samples.values()]
        statuses = store(server, [one.path for one in samples.values()])
        assert not {uid: f"{code:04X}" for uid, code in statuses.items() if code and code & 0xF000 != 0xB000}
        received = {}
        pairs = list(dict.fromkeys(one.pair for one in samples.values()))
        for first in range(0, len(pairs), 120):
            some = pairs[first : first + 120]
            uids = [uid for uid, one in samples.items() if one.pair in some]
            taken, responses = get(server, keys("IMAGE", SOPInstanceUID=uids), some)
            assert responses[-1].Status == 0
            received.update(taken.received)
        expected = {uid: (one.transfer_syntax_uid, raw_dataset(one.path)) for uid, one in samples.items()}
        assert received.keys() == expected.keys()
        assert [samples[uid].path for uid in expected if received[uid] != expected[uid]] == []


def test_the_same_again_is_success(server):
    assert set(store(server, CT_SLICES).values()) == {0}
    assert set(store(server, CT_SLICES).values()) == {0}


def test_dcmtk_stores_and_gets(server, tmp_path):
    dcmtk("storescu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port, *CT_SLICES)
    study = dcmread(CT_SLICES[0]).StudyInstanceUID
    dcmtk(
        "getscu", "-S", "-aec", server.ae_title, "-od", tmp_path, "127.0.0.1", server.dimse_port,
        "-k", "QueryRetrieveLevel=STUDY", "-k", f"StudyInstanceUID={study}",
    )  # fmt: skip
    got = {dcmread(path).SOPInstanceUID: dcmread(path) for path in tmp_path.iterdir()}
    for path in CT_SLICES:
        original = dcmread(path)
        assert got[original.SOPInstanceUID] == original


def test_changed_bytes_under_a_known_uid_are_refused(server, tmp_path):
    dataset = dcmread(CT_SLICES[0])
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.save_as(tmp_path / "one.dcm")
    dataset.PatientComments = "changed"
    dataset.save_as(tmp_path / "two.dcm")
    assert list(store(server, [tmp_path / "one.dcm"]).values()) == [0]
    assert list(store(server, [tmp_path / "two.dcm"]).values()) == [0xC110]


def test_a_class_other_than_that_of_the_context_is_refused(server):
    path = sample("us/examples_rgb_color.dcm")
    ultrasound, raw = as_sample(path), raw_dataset(path)
    with raw_association(server, build_context(CT, EXPLICIT)) as sock:
        send_store(sock, ultrasound.sop_class_uid, ultrasound.sop_instance_uid, raw)
        assert response_status(sock) == (0x0122, "SOP class differs from the presentation context")
        # The association lives on.
        send_store(sock, CT, as_sample(CT_SLICES[0]).sop_instance_uid, raw_dataset(CT_SLICES[0]))
        assert response_status(sock) == (0, "")


@pytest.mark.parametrize(
    ("uid", "data", "family"),
    [
        (None, b"garbage that is no data set at all, but long enough to be taken for one" * 10, (0xA900, 0xC000)),
        (None, b"", (0xA900, 0xC000)),
        ("1.2.3", None, (0xA900,)),
        ("../../etc/passwd", None, (0xA900, 0xC000)),
    ],
    ids=["garbage", "empty", "another instance", "path"],
)
def test_bad_objects_are_refused_with_a_reason_and_change_nothing(server, uid, data, family):
    slice_uid = as_sample(CT_SLICES[1]).sop_instance_uid
    with raw_association(server, build_context(CT, EXPLICIT)) as sock:
        send_store(sock, CT, uid or generate_uid(), raw_dataset(CT_SLICES[1]) if data is None else data)
        status, comment = response_status(sock)
    assert status & 0xF000 in {code & 0xF000 for code in family}
    assert comment
    assert not uid or not find(server, "IMAGE", SOPInstanceUID=uid if uid[0] != "." else "1.2.3")[0]
    assert slice_uid


def test_a_sender_that_goes_away_leaves_nothing(server):
    uid = generate_uid()
    raw = raw_dataset(CT_SLICES[0]).replace(
        as_sample(CT_SLICES[0]).sop_instance_uid.encode(), uid.encode()[:64].ljust(64, b"\0")[:64]
    )
    objects = server.folder / "data" / "objects"
    before = sum(1 for path in objects.rglob("*") if path.is_file())
    for end in ("abort", "reset"):
        with raw_association(server, build_context(CT, EXPLICIT)) as sock:
            sock.sendall(pdata(1, 3, store_command(CT, uid)) + pdata(1, 0, raw[:100_000]))
            if end == "abort":
                sock.sendall(bytes.fromhex("07000000000400000000"))
                assert read_pdu(sock) == (0, b"")
            else:
                sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    dcmtk("echoscu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline and sum(1 for path in objects.rglob("*") if path.is_file()) > before:
        time.sleep(0.05)
    assert sum(1 for path in objects.rglob("*") if path.is_file()) == before
    assert not find(server, "IMAGE", SOPInstanceUID=uid)[0]


def test_a_large_object_passes_within_bounded_memory(start_server, tmp_path):
    """512 MiB here, so that the suite stays quick; memory must not depend on the size."""
    server = start_server()
    store(server, CT_SLICES)
    before = _peak_memory(server)
    dataset = dcmread(CT_SLICES[0])
    uid = generate_uid()
    dataset.SOPClassUID = "1.2.840.10008.5.1.4.1.1.7.3"
    dataset.SOPInstanceUID = uid
    frame = dataset.PixelData
    frames = 512 * 1024**2 // len(frame)
    dataset.NumberOfFrames = frames
    del dataset.PixelData
    head = tmp_path / "head.dcm"
    dataset.file_meta.MediaStorageSOPInstanceUID = uid
    dataset.save_as(head)
    with raw_association(server, build_context(dataset.SOPClassUID, EXPLICIT)) as sock:
        sock.sendall(pdata(1, 3, store_command(dataset.SOPClassUID, uid)))
        element = struct.pack("<HH2sHI", 0x7FE0, 0x0010, b"OW", 0, frames * len(frame))
        sock.sendall(pdata(1, 0, raw_dataset(head) + element))
        for number in range(frames):
            pieces = [frame[start : start + 100_000] for start in range(0, len(frame), 100_000)]
            for piece in pieces:
                last = number == frames - 1 and piece is pieces[-1]
                sock.sendall(pdata(1, 2 if last else 0, piece))
        assert response_status(sock) == (0, "")
    assert _peak_memory(server) - before < 60 * 1024**2


def test_private_contexts_only_by_setting(start_server):
    private_class, private_syntax = "1.2.826.0.1.3680043.9.9999.1", "1.2.826.0.1.3680043.9.9999.2"
    contexts = [build_context(private_class, EXPLICIT), build_context(CT, private_syntax), build_context(VERIFICATION)]
    server = start_server(archive={"accept_unknown_sop_classes": True, "accept_unknown_transfer_syntaxes": True})
    with scu(server, contexts) as association:
        assert len(association.accepted_contexts) == 3


def test_private_contexts_are_refused_by_default(server):
    contexts = [build_context("1.2.826.0.1.3680043.9.9999.1", EXPLICIT), build_context(VERIFICATION)]
    contexts.append(build_context(CT, "1.2.826.0.1.3680043.9.9999.2"))
    with scu(server, contexts) as association:
        assert [context.abstract_syntax for context in association.accepted_contexts] == [VERIFICATION]
        assert sorted(context.result for context in association.rejected_contexts) == [3, 4]


def test_all_syntaxes_of_the_standard_are_negotiated(server):
    syntaxes = sorted(
        {as_sample(path).transfer_syntax_uid for path in shipped_files() if path.parent.name != "charset"}
    )
    with scu(server, [build_context(CT, syntax) for syntax in syntaxes]) as association:
        assert {context.transfer_syntax[0] for context in association.accepted_contexts} == set(syntaxes)


def test_get_sends_what_was_proposed_and_names_the_rest(server):
    store(server, CT_SLICES)
    study = dcmread(CT_SLICES[0]).StudyInstanceUID
    taken, responses = get(server, keys("STUDY", StudyInstanceUID=study), [("1.2.840.10008.5.1.4.1.1.4", EXPLICIT)])
    assert not taken.received
    assert responses[-1].Status == 0xA702
    assert responses[-1].NumberOfFailedSuboperations >= len(CT_SLICES)


def test_get_converts_for_a_peer_without_the_stored_syntax(server):
    path = sample("ct_syntaxes/JPEGLSLossless.dcm")
    store(server, [path])
    one = dcmread(path)
    identifier = keys(
        "IMAGE",
        StudyInstanceUID=one.StudyInstanceUID,
        SeriesInstanceUID=one.SeriesInstanceUID,
        SOPInstanceUID=one.SOPInstanceUID,
    )
    taken, responses = get(server, identifier, [(one.SOPClassUID, IMPLICIT)])
    assert responses[-1].Status == 0
    syntax, data = taken.received[one.SOPInstanceUID]
    assert syntax == IMPLICIT
    assert one.pixel_array.tobytes() in data


def _peak_memory(server: Server) -> int:
    """Largest resident size so far of any process of the server, in bytes, mapped files not counted."""
    peak = 0
    for pid in server.children():
        status = Path(f"/proc/{pid}/status").read_text()
        lines = dict(line.split(":", 1) for line in status.splitlines() if ":" in line)
        peak = max(peak, int(lines["RssAnon"].split()[0]) * 1024)
    return peak
