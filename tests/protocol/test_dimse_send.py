"""Our C-STORE SCU towards pynetdicom, DCMTK and ourselves."""

import itertools

import pytest
from pydicom import dcmread
from pynetdicom.presentation import build_context

from config.settings import Dimse, Peer
from dimse.connection import UpperLayerError
from dimse.negotiation import Rejected
from dimse.send import proposals, send
from tests.associations import CT, EXPLICIT, IMPLICIT, as_sample, listening, new_receiver, raw_dataset
from tests.conftest import free_port
from tests.samples import instance_files, sample

CT_SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))

pytestmark = pytest.mark.filterwarnings("ignore:Invalid value for VR")


def test_files_arrive_byte_for_byte():
    receiver = new_receiver("DEST")
    paths = [*CT_SLICES, sample("ct_syntaxes/JPEGLSLossless.dcm"), sample("us/examples_rgb_color.dcm")]
    samples = [as_sample(path) for path in paths]
    syntaxes = [one.transfer_syntax_uid for one in samples]
    contexts = [build_context(uid, syntaxes) for uid in dict.fromkeys(one.sop_class_uid for one in samples[:-1])]
    with listening(receiver, contexts):
        peer = Peer(ae_title="DEST", host="127.0.0.1", port=receiver.port)
        results = list(send(paths, peer, calling="PACS", settings=Dimse()))
    assert [(one.path, one.status) for one in results] == [(path, 0) for path in paths[:-1]] + [(paths[-1], None)]
    assert receiver.received == {
        one.sop_instance_uid: (one.transfer_syntax_uid, raw_dataset(one.path)) for one in samples[:-1]
    }


def test_every_sample_to_ourselves(start_server):
    server = start_server(archive={"duplicates": "keep-both"})
    peer = Peer(ae_title=server.ae_title, host="127.0.0.1", port=server.dimse_port)
    paths = instance_files()
    results = list(send(paths, peer, calling="SENDER", settings=Dimse()))
    assert len(results) == len(paths)
    bad = [one for one in results if one.status is None or one.status not in (0, 0xB000, 0xB006, 0xB007)]
    assert not bad


def test_what_is_no_dicom_file_and_what_is_refused(tmp_path, server):
    text = tmp_path / "notes.txt"
    text.write_text("nothing to see here")
    changed = tmp_path / "changed.dcm"
    dataset = dcmread(CT_SLICES[0])
    dataset.PatientComments = "changed"
    dataset.save_as(changed)
    peer = Peer(ae_title=server.ae_title, host="127.0.0.1", port=server.dimse_port)
    results = {one.path: one for one in send([text, CT_SLICES[0], changed], peer, calling="SENDER", settings=Dimse())}
    assert results[text].status is None
    assert results[CT_SLICES[0]].status == 0
    assert results[changed].status == 0xC110
    assert results[changed].comment


def test_a_peer_that_is_not_there():
    peer = Peer(ae_title="DEST", host="127.0.0.1", port=free_port())
    with pytest.raises(UpperLayerError):
        list(send(CT_SLICES, peer, calling="PACS", settings=Dimse()))


def test_a_peer_that_rejects_us(server):
    peer = Peer(ae_title="WRONG", host="127.0.0.1", port=server.dimse_port)
    with pytest.raises(Rejected) as caught:
        list(send(CT_SLICES, peer, calling="PACS", settings=Dimse()))
    assert (caught.value.result, caught.value.source, caught.value.reason) == (1, 1, 7)


def test_stored_syntaxes_are_proposed_before_the_fallbacks():
    jpeg = "1.2.840.10008.1.2.4.50"
    pairs = [(CT, jpeg), (CT, EXPLICIT), ("1.2.3", IMPLICIT), (CT, jpeg)]
    assert proposals(pairs) == [
        (CT, (jpeg,)),
        (CT, (EXPLICIT,)),
        ("1.2.3", (IMPLICIT,)),
        (CT, (IMPLICIT,)),
        ("1.2.3", (EXPLICIT,)),
    ]


def test_128_contexts_are_enough_for_a_batch():
    pairs = [(f"1.2.{number}", "1.2.840.10008.1.2.4.50") for number in range(64)]
    assert len(proposals(pairs)) == 128
    assert {len(syntaxes) for _, syntaxes in itertools.islice(proposals(pairs), 64, None)} == {2}
