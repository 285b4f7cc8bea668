"""A-ASSOCIATE against pynetdicom's own requestor and acceptor, and against damage."""

import socket
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ASSOCIATE_AC, A_ASSOCIATE_RQ
from pynetdicom.pdu_primitives import (
    A_ASSOCIATE,
    AsynchronousOperationsWindowNegotiation,
    ImplementationClassUIDNotification,
    MaximumLengthNotification,
    SCP_SCU_RoleSelectionNegotiation,
    SOPClassCommonExtendedNegotiation,
    SOPClassExtendedNegotiation,
    UserIdentityNegotiation,
)
from pynetdicom.presentation import StoragePresentationContexts, build_context

from config.settings import Archive
from dimse.connection import BufferPool, Connection, UpperLayerError
from dimse.contexts import Policy
from dimse.extended import Flags
from dimse.negotiation import Agreed, Offer, Terms, accept, propose, read_request
from dimse.request import decode_request
from dimse.upper_layer import ProtocolViolation

CT, VERIFICATION = "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.1"
STUDY_FIND = "1.2.840.10008.5.1.4.1.2.2.1"
STUDY_MOVE = "1.2.840.10008.5.1.4.1.2.2.2"
EXPLICIT, IMPLICIT = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2"
ALL = Policy(frozenset(("echo", "store", "find", "move", "get")), Archive())


def request(*contexts, items=(), called="PACS", calling="SCU") -> bytes:
    primitive = A_ASSOCIATE()
    primitive.application_context_name = "1.2.840.10008.3.1.1.1"
    primitive.called_ae_title, primitive.calling_ae_title = called, calling
    length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
    length.maximum_length_received = 16000
    implementation.implementation_class_uid = "1.2.826.0.1.3680043.9.3811.3"
    primitive.user_information = [length, implementation, *items]
    for number, context in enumerate(contexts):
        context.context_id = 2 * number + 1
    primitive.presentation_context_definition_list = list(contexts)
    return A_ASSOCIATE_RQ(primitive).encode()


def answer(pdu: bytes, policy: Policy = ALL) -> tuple[Agreed, A_ASSOCIATE]:
    """What we agree to, and what pynetdicom reads in our answer."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, BufferPool(65536))
        theirs.sendall(pdu)
        asked = read_request(connection, time.monotonic() + 5)
        agreed = accept(connection, asked, Terms(policy, 131072), seconds=5)
        read = A_ASSOCIATE_AC()
        read.decode(theirs.recv(1024 * 1024))
    return agreed, read.to_primitive()


def role(uid: str, *, scu: bool, scp: bool) -> SCP_SCU_RoleSelectionNegotiation:
    item = SCP_SCU_RoleSelectionNegotiation()
    item.sop_class_uid, item.scu_role, item.scp_role = uid, scu, scp
    return item


def test_an_ordinary_request():
    pdu = request(build_context(CT, [IMPLICIT, EXPLICIT]), build_context(VERIFICATION), build_context("1.2.3.4"))
    agreed, read = answer(pdu)
    assert agreed.peer_pdu_bytes == 16000
    assert [(one.context_id, one.abstract_syntax) for one in agreed.contexts.values()] == [(1, CT), (3, VERIFICATION)]
    assert all(one.as_scp and not one.as_scu for one in agreed.contexts.values())
    results = read.presentation_context_definition_results_list
    assert [(one.context_id, one.result) for one in results] == [(1, 0), (3, 0), (5, 3)]
    assert results[0].transfer_syntax == [IMPLICIT]
    assert read.maximum_length_received == 131072
    assert read.called_ae_title.strip() == "PACS"
    assert read.calling_ae_title.strip() == "SCU"


@pytest.mark.parametrize("scu", [True, False])
def test_a_peer_may_offer_to_receive(scu):
    pdu = request(build_context(CT, EXPLICIT), items=[role(CT, scu=scu, scp=True)])
    agreed, read = answer(pdu)
    [context] = agreed.contexts.values()
    assert (context.as_scu, context.as_scp) == (True, scu)
    [item] = [one for one in read.user_information if isinstance(one, SCP_SCU_RoleSelectionNegotiation)]
    assert (item.sop_class_uid, item.scu_role, item.scp_role) == (CT, scu, True)


def test_a_peer_without_the_get_service_is_no_receiver():
    pdu = request(build_context(CT, EXPLICIT), items=[role(CT, scu=True, scp=True)])
    agreed, _ = answer(pdu, Policy(frozenset(("store",)), Archive()))
    [context] = agreed.contexts.values()
    assert (context.as_scu, context.as_scp) == (False, True)


def test_items_we_do_not_use_do_no_harm():
    window = AsynchronousOperationsWindowNegotiation()
    window.maximum_number_operations_invoked = window.maximum_number_operations_performed = 8
    common = SOPClassCommonExtendedNegotiation()
    common.sop_class_uid, common.service_class_uid = CT, "1.2.840.10008.4.2"
    user = UserIdentityNegotiation()
    user.user_identity_type, user.primary_field, user.positive_response_requested = 1, b"somebody", True
    agreed, read = answer(request(build_context(CT, EXPLICIT), items=[window, common, user]))
    assert len(agreed.contexts) == 1
    [answered] = [one for one in read.user_information if isinstance(one, AsynchronousOperationsWindowNegotiation)]
    assert (answered.maximum_number_operations_invoked, answered.maximum_number_operations_performed) == (1, 1)
    assert not [one for one in read.user_information if isinstance(one, UserIdentityNegotiation)]


@pytest.mark.parametrize(
    ("uid", "asked", "granted", "flags"),
    [
        (STUDY_FIND, b"\1\1\1", b"\1\1\1", Flags(relational=True, combined_moments=True, fuzzy_names=True)),
        (STUDY_FIND, b"\0\1", b"\0\1", Flags(combined_moments=True)),
        (STUDY_FIND, b"\0\0\0\0\1", b"\0\0\0\0\0", Flags()),
        (STUDY_FIND, b"\1" * 9, b"\1\1\1\1\0\1\1\0\0", Flags(True, True, True, True, False, True, True)),
        (STUDY_FIND, b"\2\xff", b"\0\0", Flags()),
        (STUDY_MOVE, b"\1\1", b"\1\0", Flags(relational=True)),
    ],
)
def test_extended_negotiation_of_queries_is_granted_as_far_as_it_is_kept(uid, asked, granted, flags):
    extended = SOPClassExtendedNegotiation()
    extended.sop_class_uid, extended.service_class_application_information = uid, asked
    agreed, read = answer(request(build_context(uid), items=[extended]))
    [item] = [one for one in read.user_information if isinstance(one, SOPClassExtendedNegotiation)]
    assert item.service_class_application_information == granted
    assert agreed.extended == {uid: flags}


def test_a_modality_that_asks_again_gets_the_same_answer():
    contexts = StoragePresentationContexts[:120]
    first = answer(request(*contexts))
    assert len(first[0].contexts) == 120
    again = answer(request(*contexts))
    assert again[0] == first[0]
    restricted, _ = answer(request(*contexts), Policy(frozenset(("find",)), Archive()))
    assert not restricted.contexts


def test_as_requestor():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        primitive = A_ASSOCIATE()
        primitive.application_context_name = "1.2.840.10008.3.1.1.1"
        primitive.called_ae_title, primitive.calling_ae_title = "DEST", "PACS"
        primitive.result, primitive.result_source = 0, 1
        results = [build_context(CT, EXPLICIT), build_context(CT, IMPLICIT)]
        for number, (context, result) in enumerate(zip(results, (4, 0), strict=True)):
            context.context_id, context.result = 2 * number + 1, result
        primitive.presentation_context_definition_results_list = results
        length, implementation = MaximumLengthNotification(), ImplementationClassUIDNotification()
        length.maximum_length_received = 4096
        implementation.implementation_class_uid = "1.2.3"
        primitive.user_information = [length, implementation]
        theirs.sendall(A_ASSOCIATE_AC(primitive).encode())
        agreed = propose(
            Connection(ours, BufferPool(65536)),
            [(CT, (EXPLICIT,)), (CT, (IMPLICIT,))],
            Offer("PACS", "DEST", 16384),
            deadline=time.monotonic() + 5,
        )
        sent = A_ASSOCIATE_RQ()
        sent.decode(theirs.recv(65536))
    assert sent.called_ae_title.strip() == "DEST"
    assert [(one.context_id, one.abstract_syntax) for one in sent.presentation_context] == [(1, CT), (3, CT)]
    assert agreed.peer_pdu_bytes == 4096
    [context] = agreed.contexts.values()
    assert (context.context_id, context.transfer_syntax, context.as_scu) == (3, IMPLICIT, True)


ORDINARY = request(
    build_context(CT, [EXPLICIT, IMPLICIT]), build_context(VERIFICATION), items=[role(CT, scu=True, scp=True)]
)


@settings(max_examples=300, deadline=None)
@given(changes=st.lists(st.tuples(st.integers(6, len(ORDINARY) - 1), st.integers(0, 255)), min_size=1, max_size=8))
def test_damaged_requests_are_violations_or_requests(changes):
    damaged = bytearray(ORDINARY)
    for position, value in changes:
        damaged[position] = value
    try:
        answer(bytes(damaged))
    except UpperLayerError:
        pass


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300))
def test_garbage_is_a_violation(garbage):
    with pytest.raises(ProtocolViolation):
        decode_request(ORDINARY[:74] + garbage)


@pytest.mark.parametrize(
    "body",
    [b"\x20\0\0\x04\1\0\0\0" * 9000, b"\x50\0\xff\xfc" + b"\x51\0\0\0" * 16383, b"\x20\0\0\x08\1\0\0\0\x30\0\0\0" * 2],
    ids=["contexts", "user items", "identifier twice"],
)
def test_too_many_items_are_not_even_decoded(body):
    with pytest.raises(ProtocolViolation):
        decode_request(ORDINARY[:74] + body)


def test_even_identifiers_are_violations():
    with pytest.raises(ProtocolViolation):
        decode_request(ORDINARY.replace(b"\x20\0\0\x60\1", b"\x20\0\0\x60\2").replace(b"\3\0\0\0\x30", b"\4\0\0\0\x30"))
