"""HTTP connections of peers that mean no good: bounded in size and number of headers, and the server lives on."""

import socket

import httpx
import pytest

from tests.conftest import Server


def talk(server: Server, *pieces: bytes) -> bytes:
    """Send bytes and read until the server closes."""
    with socket.create_connection(("127.0.0.1", server.web_port), timeout=30) as sock:
        try:
            for piece in pieces:
                sock.sendall(piece)
        except (BrokenPipeError, ConnectionResetError):
            pass
        answer = b""
        try:
            while block := sock.recv(65536):
                answer += block
        except ConnectionResetError:
            pass
    return answer


@pytest.mark.parametrize(
    "head", [b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX: ", b"GET /"], ids=["header", "target"]
)
def test_an_endless_head_is_cut(server: Server, head: bytes) -> None:
    answer = talk(server, head, *[b"a" * 65536] * 64)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""
    assert "the head of a request is too large" in server.log()
    assert httpx.get(f"{server.web_url}/healthz").status_code == 200


def test_many_small_headers_are_cut(server: Server) -> None:
    answer = talk(server, b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n", *[b"X-A: 1\r\n" * 1000] * 500)
    assert answer.startswith(b"HTTP/1.1 431 ") or answer == b""
    assert httpx.get(f"{server.web_url}/healthz").status_code == 200


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n",
        b"POST /dicomweb/studies HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"\r\n" * 10 + b"nonsense",
    ],
    ids=["tls", "version", "negative length", "bad chunk", "nonsense"],
)
def test_what_is_not_http_is_refused(server: Server, request_bytes: bytes) -> None:
    with socket.create_connection(("127.0.0.1", server.web_port), timeout=30) as sock:
        sock.sendall(request_bytes)
        sock.shutdown(socket.SHUT_WR)
        answer = b""
        while block := sock.recv(65536):
            answer += block
    assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    assert httpx.get(f"{server.web_url}/healthz").status_code == 200


def test_keep_alive_serves_many_requests(server: Server) -> None:
    with httpx.Client() as client:
        for _ in range(50):
            assert client.get(f"{server.web_url}/healthz").status_code == 200


def test_requests_in_one_packet_are_all_answered(server: Server) -> None:
    request = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n"
    answer = talk(server, (request + b"\r\n") * 3 + request + b"Connection: close\r\n\r\n")
    assert answer.count(b"HTTP/1.1 200 OK") == 4
