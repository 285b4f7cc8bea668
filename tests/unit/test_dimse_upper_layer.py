"""The upper layer over a socket pair: whatever arrives, only its own error leaves it."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pynetdicom.pdu import A_ABORT_RQ, P_DATA_TF
from pynetdicom.pdu_items import PresentationDataValueItem

from dimse import commands
from dimse.commands import encode
from dimse.connection import BufferPool, Connection, ConnectionLost, TimedOut, UpperLayerError
from dimse.upper_layer import Association, Context, PeerAborted, ProtocolViolation, Timeouts

CONTEXT = Context(1, "1.2.840.10008.5.1.4.1.1.2", "1.2.840.10008.1.2.1")
CONTEXTS = {1: CONTEXT, 3: Context(3, "1.2.840.10008.1.1", "1.2.840.10008.1.2")}
STORE = encode({commands.COMMAND_FIELD: 1, commands.MESSAGE_ID: 1, commands.DATA_SET_TYPE: 1})
ECHO = encode({commands.COMMAND_FIELD: 0x30, commands.MESSAGE_ID: 2, commands.DATA_SET_TYPE: 0x0101})

COMMAND, LAST = 1, 2
PATIENT = Timeouts(pdu=2, idle=2)


def pdata(*pdvs: tuple[int, int, bytes]) -> bytes:
    """A P-DATA PDU written by pynetdicom."""
    pdu = P_DATA_TF()
    for context_id, flags, data in pdvs:
        item = PresentationDataValueItem()
        item.presentation_context_id = context_id
        item.presentation_data_value = bytes((flags,)) + data
        pdu.presentation_data_value_items.append(item)
    return pdu.encode()


@contextlib.contextmanager
def association(
    *, our_pdu_bytes: int = 4096, peer_pdu_bytes: int = 4096, timeouts: Timeouts = PATIENT
) -> Iterator[tuple[Association, socket.socket]]:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, BufferPool(2 * (our_pdu_bytes + 6)))
        made = Association(
            connection, CONTEXTS, our_pdu_bytes=our_pdu_bytes, peer_pdu_bytes=peer_pdu_bytes, timeouts=timeouts
        )
        yield made, theirs


def serve(one: Association) -> list[tuple[int, bytes]]:
    """Take every message with its data set until the peer releases."""
    taken = []
    while (message := one.receive()) is not None:
        data = b"".join(bytes(view) for view in one.data(message.context)) if message.command.has_dataset else b""
        taken.append((message.command.field, data))
    return taken


@settings(max_examples=60, deadline=None)
@given(
    data=st.binary(max_size=20_000),
    cuts=st.lists(st.integers(1, 4084), min_size=1, max_size=40),
    writes=st.integers(1, 7000),
)
def test_messages_arrive_however_they_are_cut(data, cuts, writes):
    fragments, offset = [], 0
    for size in cuts:
        fragments.append(data[offset : offset + size])
        offset += size
    while offset < len(data):
        fragments.append(data[offset : offset + 4084])
        offset += 4084
    stream = pdata((1, COMMAND, STORE[:30])) + pdata((1, COMMAND | LAST, STORE[30:]))
    stream += b"".join(
        pdata((1, LAST if number == len(fragments) - 1 else 0, part)) for number, part in enumerate(fragments)
    )
    stream += pdata((3, COMMAND | LAST, ECHO)) + bytes.fromhex("05000000000400000000")
    with association() as (one, peer):

        def write() -> None:
            for start in range(0, len(stream), writes):
                peer.sendall(stream[start : start + writes])

        writer = threading.Thread(target=write)
        writer.start()
        assert serve(one) == [(1, data), (0x30, b"")]
        writer.join()
        assert peer.recv(100) == bytes.fromhex("06000000000400000000")


def test_command_and_data_may_share_a_pdu():
    with association() as (one, peer):
        peer.sendall(pdata((1, COMMAND | LAST, STORE), (1, 0, b"ab"), (1, LAST, b"cd")))
        peer.sendall(bytes.fromhex("05000000000400000000"))
        assert serve(one) == [(1, b"abcd")]


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=400) | st.lists(st.sampled_from([
    pdata((1, COMMAND | LAST, STORE)), pdata((1, LAST, b"xy")), pdata((5, LAST, b"xy")), pdata((1, 0, b"")),
    bytes.fromhex("0500000000040000"), bytes.fromhex("07000000000400000000"), b"\x04\0\0\0\0\6\0\0\0\2\1\3",
    b"\x04\0\0\0\0\7\0\0\0\2\1\3\0", b"\x01\0\0\0\0\4\0\0\0\0", b"\x04\0\xff\xff\xff\xff", b"GET / HTTP/1.0\r\n\r\n",
]), max_size=6).map(b"".join))  # fmt: skip
def test_only_the_layers_own_error_leaves_it(stream):
    with association() as (one, peer):
        peer.sendall(stream)
        peer.shutdown(socket.SHUT_WR)
        try:
            serve(one)
        except UpperLayerError as exc:
            one.abort(exc)


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"\x09\0\0\0\0\4\0\0\0\0", 1),
        (b"\x01\0\0\0\0\4\0\0\0\0", 2),
        (b"\x04\0\x12\xc0\0\0", 6),
        (b"\x04\0\0\0\0\2\0\0", 6),
        (pdata((5, COMMAND | LAST, ECHO)), 6),
        (pdata((1, COMMAND | LAST, b"\x08\0\0\0\2\0\0\0ab")), 6),
        (pdata((1, LAST, b"ab")), 2),
        (pdata((1, COMMAND, bytes(4000))) * 20, 6),
    ],
    ids=[
        "unknown PDU",
        "A-ASSOCIATE again",
        "300 MiB",
        "no PDV",
        "context",
        "command",
        "no command",
        "endless command",
    ],
)
def test_a_violation_is_answered_with_its_reason(stream, reason):
    with association() as (one, peer):
        writer = threading.Thread(target=peer.sendall, args=(stream,))
        writer.start()
        with pytest.raises(ProtocolViolation) as caught:
            serve(one)
        writer.join()
        one.abort(caught.value)
        abort = A_ABORT_RQ()
        abort.decode(peer.recv(100))
        assert (abort.source, abort.reason_diagnostic) == (2, reason)


def test_the_peers_abort_is_not_answered():
    with association() as (one, peer):
        peer.sendall(bytes.fromhex("07000000000400000000"))
        with pytest.raises(PeerAborted) as caught:
            one.receive()
        one.abort(caught.value)
        assert peer.recv(100) == b""


def test_end_of_connection_inside_a_data_set():
    with association() as (one, peer):
        peer.sendall(pdata((1, COMMAND | LAST, STORE)) + pdata((1, 0, b"abcd")))
        peer.close()
        with pytest.raises(ConnectionLost):
            serve(one)


def test_a_dripping_peer_is_cut_after_the_pdu_timeout():
    with association(timeouts=Timeouts(pdu=0.3, idle=60)) as (one, peer):
        stop = threading.Event()

        def drip() -> None:
            for byte in pdata((1, COMMAND | LAST, STORE)) * 3:
                if stop.wait(0.05):
                    return
                peer.sendall(bytes((byte,)))

        dripping = threading.Thread(target=drip)
        dripping.start()
        with pytest.raises(TimedOut):
            serve(one)
        stop.set()
        dripping.join()


def test_a_silent_peer_is_cut_after_the_idle_timeout():
    with association(timeouts=Timeouts(pdu=60, idle=0.1)) as (one, _), pytest.raises(TimedOut):
        one.receive()


def test_a_peer_that_does_not_read_is_cut():
    with association(timeouts=Timeouts(pdu=0.2, idle=60)) as (one, _), pytest.raises(TimedOut):
        one.send(CONTEXT, STORE, [bytes(10_000_000)])


@settings(max_examples=60, deadline=None)
@given(
    blocks=st.lists(st.binary(max_size=9000), max_size=4),
    peer_pdu_bytes=st.integers(8, 3000) | st.sampled_from([0, 131072, 2**32 - 1]),
)
def test_what_we_send_keeps_to_the_peers_limit(blocks, peer_pdu_bytes):
    with association(peer_pdu_bytes=peer_pdu_bytes) as (one, peer):
        received = bytearray()

        def read() -> None:
            while part := peer.recv(65536):
                received.extend(part)

        reader = threading.Thread(target=read)
        reader.start()
        one.send(CONTEXT, STORE, blocks)
        one._connection._sock.shutdown(socket.SHUT_WR)
        reader.join()

    offset, contents, flags_seen = 0, {1: b"", 0: b""}, []
    while offset < len(received):
        pdu = P_DATA_TF()
        length = int.from_bytes(received[offset + 2 : offset + 6])
        pdu.decode(bytes(received[offset : offset + 6 + length]))
        assert length <= (peer_pdu_bytes or 131072)
        for item in pdu.presentation_data_value_items:
            flags = item.presentation_data_value[0]
            flags_seen.append(flags)
            contents[flags & COMMAND] += item.presentation_data_value[1:]
        offset += 6 + length
    assert contents == {1: STORE, 0: b"".join(blocks)}
    assert flags_seen[-1] == LAST
    assert [flags for flags in flags_seen if flags & LAST] == [COMMAND | LAST, LAST]


def test_idle_associations_cost_no_cpu():
    with contextlib.ExitStack() as stack:
        threads = []
        for _ in range(40):
            one, _ = stack.enter_context(association(timeouts=Timeouts(pdu=60, idle=0.6)))

            def wait(one: Association = one) -> None:
                with pytest.raises(TimedOut):
                    one.receive()

            threads.append(threading.Thread(target=wait))
        for thread in threads:
            thread.start()
        time.sleep(0.1)
        before = time.process_time()
        time.sleep(0.4)
        spent = time.process_time() - before
        for thread in threads:
            thread.join()
    assert spent < 0.1


def test_the_buffer_goes_back_to_the_pool_while_idle():
    pool = BufferPool(16384)
    ours, theirs = socket.socketpair()
    with ours, theirs:
        connection = Connection(ours, pool)
        one = Association(
            connection, CONTEXTS, our_pdu_bytes=4096, peer_pdu_bytes=0, timeouts=Timeouts(pdu=2, idle=0.05)
        )
        theirs.sendall(pdata((3, COMMAND | LAST, ECHO)))
        assert one.receive() is not None
        with pytest.raises(TimedOut):
            one.receive()
        first = pool.take()
        assert bytes(first[:1]) == b"\x04"


RELEASE_RQ, RELEASE_RP = bytes.fromhex("05000000000400000000"), bytes.fromhex("06000000000400000000")


def released(received: bytes) -> bytes:
    """What we send, until we close, when we release and the peer says this."""
    with association() as (one, theirs):
        theirs.sendall(received)
        one.release()
        theirs.settimeout(5)
        sent = b""
        while part := theirs.recv(1000):
            sent += part
    return sent


def test_a_release_is_answered_by_both_sides_when_they_collide():
    assert released(RELEASE_RP) == RELEASE_RQ
    assert released(RELEASE_RQ + RELEASE_RP) == RELEASE_RQ + RELEASE_RP


def test_what_arrives_before_the_answer_to_a_release_is_passed_over():
    late = pdata((1, COMMAND | LAST, STORE))
    assert released(late + late + RELEASE_RP) == RELEASE_RQ
    assert released(bytes.fromhex("07000000000400000000")) == RELEASE_RQ
    assert released(late + b"\x04\0\xff\xff\xff\xff") == RELEASE_RQ


def message(field: int, number: int, *, data: bool = False) -> bytes:
    values = {commands.COMMAND_FIELD: field, commands.DATA_SET_TYPE: 1 if data else 0x0101}
    values[commands.RESPONDED_TO if field & 0x8000 or field == 0x0FFF else commands.MESSAGE_ID] = number
    return pdata((1, COMMAND | LAST, encode(values)))


def test_requests_in_the_middle_of_a_retrieval_are_set_aside():
    find = message(0x20, 8, data=True) + pdata((1, 0, b"half ")) + pdata((1, LAST, b"identifier"))
    with association() as (one, theirs):
        theirs.sendall(message(0x30, 7) + find + message(0x0FFF, 8) + message(0x8001, 1) + message(0x0FFF, 6))
        response = one.response_or_cancel(6)
        assert response is not None
        assert response.command.responded_to == 1
        assert one.response_or_cancel(6) is None
        assert one.receive().command.message_id == 7
        late = one.receive()
        assert late.command.message_id == 8
        assert one.short_data(late.context) == b"half identifier"
        assert one.cancelled(8)
        assert not one.cancelled(8)


def test_a_store_waits_on_the_wire():
    with association() as (one, theirs):
        theirs.sendall(message(0x01, 2, data=True) + pdata((1, LAST, b"object")) + message(0x0FFF, 1))
        assert not one.cancelled(1)
        assert not one.cancelled(1)
        with pytest.raises(ProtocolViolation):
            one.response_or_cancel(1)
        stored = one.receive()
        assert one.short_data(stored.context) == b"object"


def test_no_more_is_set_aside_than_there_is_room_for():
    with association() as (one, theirs):
        theirs.sendall(b"".join(message(0x30, number) for number in range(1, 40)))
        assert not one.cancelled(99)
        assert one.has_input()
        assert [one.receive().command.message_id for _ in range(39)] == list(range(1, 40))


@pytest.mark.parametrize("sent", [RELEASE_RQ, message(0x8001, 1)])
def test_neither_release_nor_response_in_the_middle_of_a_query(sent):
    with association() as (one, theirs):
        theirs.sendall(sent)
        with pytest.raises(ProtocolViolation):
            one.cancelled(1)


@pytest.mark.parametrize("first", ["requestor", "destination", "nobody"])
def test_two_associations_are_waited_for_at_once(first):
    with association() as (requestor, asks), association() as (destination, answers):
        if first == "nobody":
            with pytest.raises(TimedOut):
                requestor.wait_beside(destination, 0.01)
            return
        (asks if first == "requestor" else answers).sendall(message(0x30, 1))
        requestor.wait_beside(destination, 5)
        assert (requestor.has_input(), destination.has_input()) == (first == "requestor", first == "destination")
