"""What peers do wrong, by accident or on purpose: it costs them their association and nobody else anything."""

import contextlib
import socket
import struct
import time
from pathlib import Path

import pytest
from pynetdicom.presentation import build_context

from dimse import commands
from tests.associations import (
    CT,
    EXPLICIT,
    STUDY_FIND,
    VERIFICATION,
    associate_rq,
    dcmtk,
    pdata,
    raw_association,
    read_pdu,
    response_status,
    store_command,
)
from tests.conftest import Server, start

ECHO = commands.encode(
    {
        commands.AFFECTED_SOP_CLASS: VERIFICATION,
        commands.COMMAND_FIELD: 0x30,
        commands.MESSAGE_ID: 1,
        commands.DATA_SET_TYPE: 0x0101,
    }
)


@pytest.fixture(scope="module")
def strict(tmp_path_factory):
    """A server with short deadlines and few associations."""
    running = start(
        tmp_path_factory.mktemp("strict"),
        dimse={
            "association_timeout_seconds": 1.0,
            "pdu_timeout_seconds": 1.0,
            "idle_timeout_seconds": 2.0,
            "maximum_associations": 6,
            "maximum_associations_per_peer": 4,
            "peers": [
                {"ae_title": "FARAWAY", "networks": ["10.0.0.0/8"]},
                {"ae_title": "FINDER", "services": ["find"]},
                {"ae_title": "PINNED", "certificate_sha256": "ab" * 32},
            ],
        },
    )
    yield running
    running.stop()


def connect(server: Server) -> socket.socket:
    sock = socket.create_connection(("127.0.0.1", server.dimse_port), 30)
    sock.settimeout(30)
    return sock


def alive(server: Server) -> None:
    dcmtk("echoscu", "-aec", server.ae_title, "127.0.0.1", server.dimse_port)


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (b"GET / HTTP/1.1\r\nHost: pacs\r\n\r\n", 1),
        (struct.pack(">BxI", 1, 300 * 1024**2), 6),
        (struct.pack(">BxI", 1, 20) + bytes(20), 6),
        (pdata(1, 3, ECHO), 2),
        (bytes.fromhex("05000000000400000000"), 2),
        (struct.pack(">BxI", 0xFF, 0xFFFFFFFF), 1),
    ],
    ids=["HTTP", "300 MiB", "empty A-ASSOCIATE", "P-DATA", "A-RELEASE", "unknown PDU"],
)
def test_nonsense_before_the_association_is_aborted(strict, sent, reason):
    with connect(strict) as sock:
        sock.sendall(sent)
        assert read_pdu(sock) == (7, bytes((0, 0, 2, reason)))
        assert read_pdu(sock) == (0, b"")


@pytest.mark.parametrize("position", [4, 74, 80, 100, 150, 200, 230])
def test_a_damaged_request_is_aborted_or_rejected(strict, position):
    request = bytearray(associate_rq(build_context(CT, EXPLICIT), build_context(VERIFICATION)))
    request[position] ^= 0xFF
    with connect(strict) as sock:
        sock.sendall(request)
        assert read_pdu(sock)[0] in (2, 3, 7)
    alive(strict)


@pytest.mark.parametrize(
    ("titles", "answer"),
    [
        ({"called": "NOBODY"}, (1, 1, 7)),
        ({"calling": "FARAWAY"}, (1, 1, 3)),
        ({"calling": "PINNED"}, (1, 1, 3)),
    ],
)
def test_strangers_are_rejected_and_audited(strict, titles, answer):
    with connect(strict) as sock:
        sock.sendall(associate_rq(build_context(VERIFICATION), **titles))
        assert read_pdu(sock) == (3, bytes((0, *answer)))
        assert read_pdu(sock) == (0, b"")
    event = strict.audit()[-1]
    assert event["event"] == "Node Authentication"
    assert event["outcome"] == "serious"
    assert event["principal"] == titles.get("calling", "RAW")


def test_another_application_context_is_rejected(strict):
    request = associate_rq(build_context(VERIFICATION)).replace(b"1.2.840.10008.3.1.1.1", b"1.2.840.10008.3.1.1.9")
    with connect(strict) as sock:
        sock.sendall(request)
        assert read_pdu(sock) == (3, bytes((0, 1, 1, 2)))


def test_a_peer_gets_only_the_services_it_was_given(strict):
    with connect(strict) as sock:
        sock.sendall(associate_rq(build_context(CT, EXPLICIT), build_context(STUDY_FIND), calling="FINDER"))
        pdu_type, body = read_pdu(sock)
    assert pdu_type == 2
    results = {body[at + 4]: body[at + 6] for at in range(68, len(body)) if body[at : at + 2] == b"\x21\0"}
    assert results == {1: 3, 3: 0}


def test_a_connection_that_says_nothing_ends_at_artim(strict):
    with connect(strict) as sock:
        started = time.monotonic()
        assert read_pdu(sock)[0] == 7
        assert time.monotonic() - started < 20


def test_a_dripping_request_ends_at_artim(strict):
    with connect(strict) as sock:
        sock.settimeout(0.05)
        closed = False
        for byte in associate_rq(build_context(VERIFICATION)) * 3:
            try:
                sock.sendall(bytes((byte,)))
                if sock.recv(100):
                    closed = True
                    break
            except TimeoutError:
                continue
            except OSError:
                closed = True
                break
        assert closed


def test_a_dripping_pdu_ends_at_its_deadline(strict):
    with raw_association(strict, build_context(VERIFICATION)) as sock:
        sock.settimeout(0.05)
        answer = b""
        for byte in pdata(1, 3, ECHO) * 3:
            try:
                sock.sendall(bytes((byte,)))
                answer = sock.recv(100)
                break
            except TimeoutError:
                continue
        assert answer[:1] == b"\x07"


def test_an_idle_association_ends_in_the_end(strict):
    with raw_association(strict, build_context(VERIFICATION)) as sock:
        assert read_pdu(sock)[0] == 7


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        (struct.pack(">BxI", 4, 131073), 6),
        (pdata(99, 3, ECHO), 6),
        (pdata(1, 2, b"no command"), 2),
        (pdata(1, 3, ECHO[:-3]), 6),
        (pdata(1, 3, b""), 6),
        (struct.pack(">BxIIBB", 4, 6, 99, 1, 3), 6),
        (associate_rq(build_context(VERIFICATION)), 2),
        (pdata(1, 3, store_command(CT, "1.2")) + bytes.fromhex("05000000000400000000"), 2),
    ],
    ids=["long PDU", "context", "no command", "cut", "empty", "PDV length", "second request", "release in the middle"],
)
def test_violations_after_the_association_are_aborted(strict, sent, reason):
    with raw_association(strict, build_context(CT, EXPLICIT), build_context(VERIFICATION)) as sock:
        sock.sendall(sent)
        assert read_pdu(sock) == (7, bytes((0, 0, 2, reason)))
        assert read_pdu(sock)[0] == 0


def test_an_operation_we_do_not_know_is_refused_and_no_more(strict):
    with raw_association(strict, build_context(VERIFICATION)) as sock:
        values = {commands.COMMAND_FIELD: 0x0140, commands.MESSAGE_ID: 1, commands.DATA_SET_TYPE: 1}
        sock.sendall(pdata(1, 3, commands.encode(values)) + pdata(1, 2, b"some data"))
        assert response_status(sock)[0] == 0x0211
        sock.sendall(pdata(1, 3, ECHO))
        assert response_status(sock)[0] == 0


def test_too_many_associations_are_rejected_and_end_with_the_others(strict):
    with contextlib.ExitStack() as stack:
        for _ in range(4):
            stack.enter_context(raw_association(strict, build_context(VERIFICATION)))
        with connect(strict) as sock:
            sock.sendall(associate_rq(build_context(VERIFICATION)))
            assert read_pdu(sock) == (3, bytes((0, 2, 3, 2)))
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        with connect(strict) as sock:
            sock.sendall(associate_rq(build_context(VERIFICATION)))
            if read_pdu(sock)[0] == 2:
                break
        time.sleep(0.05)
    else:
        pytest.fail("the ended associations are still counted")


def test_a_flood_of_connections_is_closed(strict):
    with contextlib.ExitStack() as stack:
        for _ in range(60):
            with contextlib.suppress(OSError):
                stack.enter_context(connect(strict))
    time.sleep(0.2)
    alive(strict)


def test_idle_associations_cost_no_cpu(server):
    def ticks() -> int:
        total = 0
        for pid in server.children():
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
        return total

    with contextlib.ExitStack() as stack:
        for _ in range(40):
            stack.enter_context(raw_association(server, build_context(VERIFICATION)))
        time.sleep(0.5)
        before = ticks()
        time.sleep(2)
        # Clock ticks are 10 ms: 5 % of one core in 2 s is 10 of them.
        assert ticks() - before < 10


def test_nobody_may_shut_the_server_down_by_dicom(strict):
    dcmtk("termscu", "-aec", strict.ae_title, "127.0.0.1", strict.dimse_port, ok=False)
    alive(strict)


def test_a_stop_in_order_aborts_idle_associations(start_server):
    server = start_server()
    with raw_association(server, build_context(VERIFICATION)) as sock:
        sock.sendall(pdata(1, 3, ECHO))
        assert response_status(sock)[0] == 0
        assert server.stop() == 0
        assert read_pdu(sock)[0] == 7


def test_no_identifiers_in_the_log(server):
    with raw_association(server, build_context(STUDY_FIND, EXPLICIT)) as sock:
        request = {
            commands.AFFECTED_SOP_CLASS: STUDY_FIND,
            commands.COMMAND_FIELD: 0x20,
            commands.MESSAGE_ID: 1,
            commands.DATA_SET_TYPE: 1,
        }
        name = b"\x08\0\x52\0CS\6\0STUDY " + b"\x10\0\x10\0PN\x10\0Secretname^Agnes"
        sock.sendall(pdata(1, 3, commands.encode(request)) + pdata(1, 2, name))
        assert response_status(sock)[0] == 0
        bad = b"\x08\0\x52\0CS\6\0STUDY " + b"\x08\0\x20\0DA\x0a\0Secretname"
        sock.sendall(pdata(1, 3, commands.encode(request)) + pdata(1, 2, bad))
        response_status(sock)
    assert "Secretname" not in server.log()
    assert "Secretname" not in (server.folder / "data" / "audit.jsonl").read_text()
