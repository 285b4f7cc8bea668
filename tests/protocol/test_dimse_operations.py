"""Several requests at once, C-CANCEL at any moment, and what is answered to each; bare bytes towards a real server."""

import struct
from collections import defaultdict

import pytest
from pydicom import dcmread
from pynetdicom.presentation import build_context

from dimse import commands
from tests.associations import (
    CT,
    EXPLICIT,
    STUDY_FIND,
    VERIFICATION,
    pdata,
    raw_association,
    raw_dataset,
    read_pdu,
    store,
    store_command,
)
from tests.samples import sample

SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))
FIND, STORE, ECHO = 1, 3, 5
"""Presentation contexts."""


@pytest.fixture(scope="module")
def archive(server):
    store(server, SLICES)
    return server


def association(server):
    return raw_association(
        server, build_context(STUDY_FIND, EXPLICIT), build_context(CT, EXPLICIT), build_context(VERIFICATION)
    )


def find_request(message_id: int) -> bytes:
    values = {
        commands.AFFECTED_SOP_CLASS: STUDY_FIND,
        commands.COMMAND_FIELD: 0x20,
        commands.MESSAGE_ID: message_id,
        commands.PRIORITY: 0,
        commands.DATA_SET_TYPE: 1,
    }
    identifier = struct.pack("<HH2sH", 8, 0x52, b"CS", 6) + b"STUDY "
    return pdata(FIND, 3, commands.encode(values)) + pdata(FIND, 2, identifier)


def echo_request(message_id: int) -> bytes:
    values = {commands.COMMAND_FIELD: 0x30, commands.MESSAGE_ID: message_id, commands.DATA_SET_TYPE: 0x0101}
    return pdata(ECHO, 3, commands.encode(values))


def store_request(message_id: int) -> bytes:
    uid = dcmread(SLICES[0], specific_tags=["SOPInstanceUID"]).SOPInstanceUID
    data = raw_dataset(SLICES[0])
    pieces = [data[start : start + 100_000] for start in range(0, len(data), 100_000)]
    pdus = [pdata(STORE, 2 if piece is pieces[-1] else 0, piece) for piece in pieces]
    return pdata(STORE, 3, store_command(CT, uid, message_id=message_id)) + b"".join(pdus)


def cancel(message_id: int) -> bytes:
    values = {commands.COMMAND_FIELD: 0x0FFF, commands.RESPONDED_TO: message_id, commands.DATA_SET_TYPE: 0x0101}
    return pdata(FIND, 3, commands.encode(values))


def statuses(sock, requests: int) -> dict[int, list[int]]:
    """All statuses of each request, by message, until as many have got their last one."""
    found = defaultdict(list)
    while sum(status[-1] not in (0xFF00, 0xFF01) for status in found.values()) < requests:
        kind, body = read_pdu(sock)
        assert kind == 4
        if body[5] & 1:
            command = commands.decode(body[6:])
            found[command.responded_to].append(command.status)
    return found


def test_requests_that_do_not_wait_are_answered_one_after_the_other(archive):
    with association(archive) as sock:
        several = [find_request(1), echo_request(2), find_request(3), store_request(4), echo_request(5)]
        sock.sendall(b"".join(several))
        found = statuses(sock, 5)
        assert list(found) == [1, 2, 3, 4, 5]
        assert [status[-1] for status in found.values()] == [0] * 5
        assert found[1] == found[3] != [0]
        sock.sendall(echo_request(6))
        assert statuses(sock, 1) == {6: [0]}


def test_more_requests_than_are_set_aside(archive):
    with association(archive) as sock:
        sock.sendall(b"".join(find_request(number) for number in range(1, 41)))
        found = statuses(sock, 40)
    assert list(found) == list(range(1, 41))
    assert {tuple(status) for status in found.values()} == {tuple(found[1])}


def test_a_cancel_right_behind_its_request(archive):
    with association(archive) as sock:
        sock.sendall(find_request(1) + cancel(1))
        assert statuses(sock, 1)[1][-1] == 0xFE00
        sock.sendall(echo_request(2))
        assert statuses(sock, 1) == {2: [0]}


def test_a_cancel_of_a_request_that_still_waits(archive):
    with association(archive) as sock:
        sock.sendall(find_request(1) + find_request(2) + cancel(2) + find_request(3))
        found = statuses(sock, 3)
    assert [found[number][-1] for number in (1, 2, 3)] == [0, 0xFE00, 0]


@pytest.mark.parametrize("wrong", [99, 0, 2])
def test_a_cancel_of_something_else_is_ignored(archive, wrong):
    with association(archive) as sock:
        sock.sendall(cancel(1) + find_request(1) + cancel(wrong) + echo_request(3))
        found = statuses(sock, 2)
    assert (found[1][-1], found[3]) == (0, [0])


def test_a_response_to_no_request_ends_the_association(archive):
    with association(archive) as sock:
        values = {commands.COMMAND_FIELD: 0x8001, commands.RESPONDED_TO: 1, commands.DATA_SET_TYPE: 0x0101}
        sock.sendall(pdata(STORE, 3, commands.encode({**values, commands.STATUS: 0})))
        assert read_pdu(sock) == (7, bytes((0, 0, 2, 2)))
