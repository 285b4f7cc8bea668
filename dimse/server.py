"""The DIMSE server: connections in, sessions out.

One thread accepts, one thread serves each connection; nothing polls. Several processes may share the
listening sockets. A connection is limited from its first byte: number in all and from one address, time for
the A-ASSOCIATE-RQ (ARTIM), lengths before reading; only then is the peer looked up in the AE table.
"""

import logging
import selectors
import socket
import threading
import time
from collections import Counter
from collections.abc import Sequence

from config.settings import Archive as ArchiveSettings
from config.settings import Dimse
from dimse import tls
from dimse.acceptor import Acceptor, Whence
from dimse.connection import BufferPool, Connection, UpperLayerError
from dimse.dispatch import dispatch
from dimse.identity import Verify
from dimse.session import Session
from dimse.upper_layer import send_abort
from index.access import Audit
from storage.archive import Archive

logger = logging.getLogger(__name__)

_SPARE_CONNECTIONS = 16
"""Connections beyond the limit that still get a proper A-ASSOCIATE-RJ; more are closed unanswered."""

_EXHAUSTED_PAUSE_SECONDS = 0.1


class Server:
    """Serves associations on sockets that the supervisor has opened."""

    def __init__(
        self,
        settings: Dimse,
        archive: Archive,
        audit: Audit,
        archive_settings: ArchiveSettings,
        verify: Verify | None = None,
    ) -> None:
        """A socket whose port is `settings.tls_port` speaks TLS. `verify` tells whether user identities are true."""
        self._settings = settings
        self._acceptor = Acceptor(settings, archive_settings, archive, audit, verify)
        self._tls = tls.server_context(settings) if settings.tls_port else None
        self._pool = BufferPool(2 * (settings.maximum_pdu_bytes + 6))
        self._lock = threading.Lock()
        self._changed = threading.Condition(self._lock)
        self._open: dict[int, _Client] = {}
        self._by_address: Counter[str] = Counter()
        self._stopping = False
        self._bell, self._listening_bell = socket.socketpair()

    def serve(self, sockets: Sequence[socket.socket]) -> None:
        """Accept until `stop` is called, then wait for the associations that `stop` lets finish."""
        with selectors.DefaultSelector() as selector:
            selector.register(self._listening_bell, selectors.EVENT_READ)
            for listening in sockets:
                listening.setblocking(False)
                selector.register(listening, selectors.EVENT_READ)
            while not self._stopping:
                for key, _ in selector.select():
                    if key.fileobj is not self._listening_bell and isinstance(key.fileobj, socket.socket):
                        self._accept(key.fileobj)
        for listening in sockets:
            listening.close()
        self._listening_bell.close()
        with self._changed:
            self._changed.wait_for(lambda: not self._open)

    def stop(self, grace_seconds: float) -> None:
        """Stop accepting; idle associations end at once, busy ones after their present message or the grace."""
        deadline = time.monotonic() + grace_seconds
        self._stopping = True
        self._bell.close()
        with self._changed:
            for client in self._open.values():
                client.stop()
            self._changed.wait_for(lambda: not self._open, max(0.0, deadline - time.monotonic()))
            for client in self._open.values():
                client.cut()

    def _accept(self, listening: socket.socket) -> None:
        try:
            sock, address = listening.accept()
        except BlockingIOError:
            return  # Another process was faster.
        except OSError:
            logger.exception("Cannot accept a connection")
            time.sleep(_EXHAUSTED_PAUSE_SECONDS)
            return
        client = _Client(sock, str(address[0]))
        secure = self._tls is not None and listening.getsockname()[1] == self._settings.tls_port
        with self._lock:
            crowded = self._is_crowded(client.address, _SPARE_CONNECTIONS)
            if not crowded:
                self._open[id(client)] = client
                self._by_address[client.address] += 1
        if crowded:
            logger.warning("Too many connections", extra={"address": client.address})
            sock.close()
            return
        try:
            threading.Thread(target=self._run, args=(client, secure), name="association", daemon=True).start()
        except RuntimeError:
            logger.exception("Cannot start a thread")
            self._forget(client)

    def _is_crowded(self, address: str, spare: int) -> bool:
        """Call with the lock held."""
        settings = self._settings
        return (
            len(self._open) >= settings.maximum_associations + spare
            or self._by_address[address] >= settings.maximum_associations_per_peer + spare
        )

    def _run(self, client: "_Client", secure: bool) -> None:
        """The life of one connection. Nothing leaves here."""
        try:
            self._serve_client(client, secure)
        except UpperLayerError as exc:
            logger.info("Connection ended", extra={"address": client.address, "why": str(exc)})
        except Exception:
            logger.exception("Connection failed", extra={"address": client.address})
        finally:
            self._forget(client)

    def _forget(self, client: "_Client") -> None:
        client.sock.close()
        with self._changed:
            del self._open[id(client)]
            self._by_address[client.address] -= 1
            if not self._by_address[client.address]:
                del self._by_address[client.address]
            self._changed.notify_all()

    def _serve_client(self, client: "_Client", secure: bool) -> None:
        seconds = self._settings.association_timeout_seconds
        deadline = time.monotonic() + seconds
        if secure and self._tls is not None:
            client.sock = tls.wrap_server(client.sock, self._tls, seconds)
        connection = Connection(client.sock, self._pool)
        origin = Whence(client.address, tls.fingerprint(client.sock))
        with self._lock:
            crowded = self._stopping or self._is_crowded(client.address, 1)
        try:
            session = self._acceptor.establish(connection, origin, deadline, crowded=crowded)
        except UpperLayerError as exc:
            send_abort(connection, exc)
            connection.close_after_peer(seconds)
            raise
        if session is None:
            connection.close_after_peer(seconds)
            return
        client.connection = connection
        self._serve_session(session, client)

    def _serve_session(self, session: Session, client: "_Client") -> None:
        association = session.association
        why = "released"
        try:
            while True:
                # In this order: either we see that we shall stop, or `stop` sees that we are idle and wakes us.
                client.busy = False
                if client.stopping:
                    break
                message = association.receive()
                if message is None:
                    association.close()
                    return
                client.busy = True
                dispatch(session, message)
            why = "this server stops"
            association.abort()
        except UpperLayerError as exc:
            why = "this server stops" if client.stopping else str(exc)
            association.abort(exc)
        except BaseException:
            why = "internal error"
            association.abort()
            raise
        finally:
            logger.info(
                "Association ended",
                extra={
                    "peer": session.principal.name,
                    "address": client.address,
                    "why": why,
                    "stored": session.stored,
                    "refused": session.refused,
                },
            )


class _Client:
    """A connection as the accepting thread sees it."""

    def __init__(self, sock: socket.socket, address: str) -> None:
        self.sock = sock
        self.address = address
        self.connection: Connection | None = None
        self.busy = False
        self.stopping = False

    def stop(self) -> None:
        """End it as soon as no message is being worked on."""
        self.stopping = True
        if self.connection is None:
            self.cut()
        elif not self.busy:
            self.connection.wake()

    def cut(self) -> None:
        """End it now."""
        try:
            socket.socket.shutdown(self.sock, socket.SHUT_RDWR)
        except OSError:
            return
