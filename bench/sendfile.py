"""A server that sends one file by `sendfile` to whatever is asked: the limit that frame retrieval is held against."""

import os
import socket
import sys
import threading
from pathlib import Path


def serve(path: Path) -> None:
    """Print the port, then answer for ever."""
    size_bytes = path.stat().st_size
    head = f"HTTP/1.1 200 OK\r\nContent-Length: {size_bytes}\r\n\r\n".encode()
    with path.open("rb") as file, socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            threading.Thread(target=_answer, args=(connection, file.fileno(), head, size_bytes), daemon=True).start()


def _answer(connection: socket.socket, file: int, head: bytes, size_bytes: int) -> None:
    with connection:
        request = b""
        while received := connection.recv(65536):
            request += received
            while b"\r\n\r\n" in request:
                request = request.partition(b"\r\n\r\n")[2]
                connection.sendall(head, socket.MSG_MORE)
                sent = 0
                while sent < size_bytes:
                    sent += os.sendfile(connection.fileno(), file, sent, size_bytes - sent)


if __name__ == "__main__":
    serve(Path(sys.argv[1]))
