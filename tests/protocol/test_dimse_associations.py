"""What is negotiated with a real server: extended negotiation, user identity, windows, private classes, limits."""

import socket
import struct
from pathlib import Path

import pytest
from pydicom import dcmread
from pydicom.uid import generate_uid
from pynetdicom import AE
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import build_context

from dimse import commands
from tests.associations import (
    CT,
    EXPLICIT,
    STUDY_FIND,
    VERIFICATION,
    associate_rq,
    dcmtk,
    find,
    pdata,
    raw_association,
    raw_dataset,
    read_pdu,
    response_status,
    send_store,
    store,
)
from tests.conftest import Server, StartServer
from tests.samples import sample

SLICE = sample("ct_head_phantom_54/I100.dcm")
PRIVATE = "1.2.826.0.1.3680043.9.3811.77.1"
STORAGE_SERVICE = "1.2.840.10008.4.2"


def associate(server: Server, *contexts, items=(), called: str | None = None):
    """An association by pynetdicom and what the server answered; None for it when it was rejected."""
    ae = AE("TESTSCU")
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    made = ae.associate(
        "127.0.0.1",
        server.dimse_port,
        contexts=list(contexts),
        ae_title=called or server.ae_title,
        ext_neg=list(items),
    )
    answer: A_ASSOCIATE = made.acceptor.primitive
    if made.is_established:
        made.release()
        return answer
    return None if made.is_rejected else answer


def identity(kind: int, primary: bytes, secondary: bytes = b"") -> UserIdentityNegotiation:
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field, item.positive_response_requested = kind, primary, True
    if secondary:
        item.secondary_field = secondary
    return item


IDENTITIES = [
    identity(1, b"somebody"),
    identity(2, b"somebody", b"a passcode that nobody may see"),
    identity(3, b"a Kerberos ticket"),
    identity(4, b"<saml:Assertion/>"),
    identity(5, b"eyJhbGciOiJub25lIn0.e30."),
]


@pytest.mark.parametrize("item", IDENTITIES, ids=lambda item: f"type {item.user_identity_type}")
def test_an_identity_that_nobody_can_verify_is_ignored(server, item):
    answer = associate(server, build_context(VERIFICATION), items=[item])
    assert answer is not None
    assert not [one for one in answer.user_information if isinstance(one, UserIdentityNegotiation)]
    assert "passcode that nobody may see" not in server.log()


def test_an_identity_that_nobody_can_verify_may_be_rejected(start_server: StartServer):
    server = start_server(dimse={"unverified_identity": "reject"})
    assert associate(server, build_context(VERIFICATION)) is not None
    for item in IDENTITIES:
        assert associate(server, build_context(VERIFICATION), items=[item]) is None
    dcmtk("echoscu", "-usr", "somebody", "-pwd", "secret", "127.0.0.1", server.dimse_port, ok=False)
    assert {event["detail"] for event in server.audit() if event["outcome"] == "serious"} == {
        "user identity cannot be verified"
    }
    assert "secret" not in server.log()


def test_storage_classes_tell_how_objects_are_kept(server):
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = CT, bytes((3, 0, 0, 0, 2, 0))
    answer = associate(server, build_context(CT), items=[extended])
    [item] = [one for one in answer.user_information if isinstance(one, SOPClassExtendedNegotiation)]
    assert (item.sop_class_uid, item.service_class_application_information) == (CT, bytes((2, 0, 3, 0, 0, 0)))


def test_a_window_of_operations_is_answered_with_one(server):
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 0
    answer = associate(server, build_context(VERIFICATION), items=[window])
    [item] = [one for one in answer.user_information if isinstance(one, AsynchronousOperationsWindowNegotiation)]
    assert (item.maximum_number_operations_invoked, item.maximum_number_operations_performed) == (1, 1)


def related(uid: str, *general: str) -> SOPClassCommonExtendedNegotiation:
    item = SOPClassCommonExtendedNegotiation()
    item.sop_class_uid, item.service_class_uid = uid, STORAGE_SERVICE
    item.related_general_sop_class_identification = list(general)
    return item


def of_class(uid: str, path: Path) -> Path:
    """A copy of a slice that says it is of another class."""
    dataset = dcmread(SLICE)
    dataset.SOPClassUID = dataset.file_meta.MediaStorageSOPClassUID = uid
    dataset.SOPInstanceUID = dataset.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    dataset.StudyInstanceUID, dataset.SeriesInstanceUID = generate_uid(), generate_uid()
    dataset.save_as(path)
    return path


def test_an_unknown_class_is_taken_for_its_general_class(server, tmp_path):
    path = of_class(PRIVATE, tmp_path / "special.dcm")
    context = build_context(PRIVATE, EXPLICIT)
    for items in ([], [related(PRIVATE)], [related(PRIVATE, "1.2.3.4")]):
        answer = associate(server, context, build_context(VERIFICATION), items=items)
        assert [one.result for one in answer.presentation_context_definition_results_list] == [3, 0]
    ae = AE()
    ae.acse_timeout = ae.dimse_timeout = ae.network_timeout = 60
    contexts, common = [build_context(PRIVATE, EXPLICIT)], [related(PRIVATE, CT)]
    made = ae.associate("127.0.0.1", server.dimse_port, contexts=contexts, ext_neg=common, ae_title="PACS")
    assert made.is_established
    assert made.send_c_store(path).Status == 0
    made.release()
    sent = dcmread(path)
    above = {"StudyInstanceUID": sent.StudyInstanceUID, "SeriesInstanceUID": sent.SeriesInstanceUID}
    [found], _ = find(server, "IMAGE", **above, SOPInstanceUID="", SOPClassUID="")
    assert (found.SOPInstanceUID, found.SOPClassUID) == (sent.SOPInstanceUID, PRIVATE)


def test_a_known_class_cannot_be_smuggled_in_by_a_general_one(server):
    film = "1.2.840.10008.5.1.1.1"
    answer = associate(server, build_context(film), build_context(VERIFICATION), items=[related(film, CT)])
    assert [one.result for one in answer.presentation_context_definition_results_list] == [3, 0]


def test_private_classes_by_setting(server, start_server: StartServer, tmp_path):
    path = of_class(PRIVATE, tmp_path / "private.dcm")
    open_minded = start_server(archive={"accept_unknown_sop_classes": True})
    assert set(store(open_minded, [path]).values()) == {0}
    answer = associate(server, build_context(PRIVATE), build_context(VERIFICATION))
    assert [one.result for one in answer.presentation_context_definition_results_list] == [3, 0]


@pytest.mark.parametrize("longest", [0, 128, 16384, 1 << 28])
def test_any_length_of_pdu_that_a_peer_takes(server, longest):
    """0 means no limit (PS3.8 D.1): a long answer comes in as many PDUs as it needs."""
    with raw_association(server, build_context(STUDY_FIND, EXPLICIT), maximum_pdu_bytes=longest) as sock:
        values = {
            commands.AFFECTED_SOP_CLASS: STUDY_FIND,
            commands.COMMAND_FIELD: 0x20,
            commands.MESSAGE_ID: 7,
            commands.PRIORITY: 1,
            commands.DATA_SET_TYPE: 1,
        }
        identifier = struct.pack("<HH2sH", 8, 0x52, b"CS", 6) + b"STUDY "
        sock.sendall(pdata(1, 3, commands.encode(values)) + pdata(1, 2, identifier))
        lengths, last = [], None
        while last is None or last.field != 0x8020 or last.status in (0xFF00, 0xFF01):
            kind, body = read_pdu(sock)
            assert kind == 4
            lengths.append(len(body))
            if body[5] & 1:
                last = commands.decode(body[6:])
        assert last.status == 0
        assert last.responded_to == 7
        assert not longest or max(lengths) <= longest


def test_another_protocol_version_is_rejected(server):
    request = bytearray(associate_rq(build_context(VERIFICATION)))
    request[6:8] = b"\0\2"
    with socket.create_connection(("127.0.0.1", server.dimse_port), 30) as sock:
        sock.sendall(request)
        assert read_pdu(sock) == (3, bytes((0, 1, 2, 2)))


def test_a_request_without_a_data_set_is_refused(server):
    with raw_association(server, build_context(STUDY_FIND, EXPLICIT), build_context(CT, EXPLICIT)) as sock:
        for context_id, field, uid in ((1, 0x20, STUDY_FIND), (3, 0x01, CT)):
            values = {commands.AFFECTED_SOP_CLASS: uid, commands.COMMAND_FIELD: field, commands.MESSAGE_ID: 1}
            sock.sendall(pdata(context_id, 3, commands.encode({**values, commands.DATA_SET_TYPE: 0x0101})))
            assert response_status(sock) == (0xA900, "The request has no data set")
        values = {commands.AFFECTED_SOP_CLASS: CT, commands.COMMAND_FIELD: 0x20, commands.MESSAGE_ID: 1}
        sock.sendall(pdata(1, 3, commands.encode({**values, commands.DATA_SET_TYPE: 1})) + pdata(1, 2, b""))
        assert response_status(sock)[0] == 0x0122


def test_priorities_are_accepted(server):
    for priority in (0, 1, 2):
        with raw_association(server, build_context(CT, EXPLICIT)) as sock:
            instance = dcmread(SLICE).SOPInstanceUID
            send_store(sock, CT, instance, raw_dataset(SLICE), priority=priority)
            assert response_status(sock)[0] == 0
