"""User identities with a verifier: a server in this process, because accounts that could verify are not there yet."""

import contextlib
import socket
import threading
from collections.abc import Iterator

import pytest
from pynetdicom import AE
from pynetdicom.pdu_primitives import UserIdentityNegotiation
from pynetdicom.presentation import build_context

from config.settings import Dimse
from dimse.identity import TYPES, Identity, Verified
from dimse.server import Server
from tests.archives import House, embedded

VERIFICATION = "1.2.840.10008.1.1"
PASSCODE = b"open sesame"


def verify(identity: Identity) -> Verified | None:
    """Somebody's passcode and any ticket are right, everything else is not."""
    if identity.kind == 2:
        return Verified("somebody") if (identity.primary, identity.secondary) == (b"somebody", PASSCODE) else None
    return Verified("ticket holder", b"server ticket") if identity.kind == 3 else None


@contextlib.contextmanager
def serving(house: House) -> Iterator[int]:
    """A server on a free port."""
    settings = Dimse()
    server = Server(settings, house.archive, house.events.append, house.rules, verify)
    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=server.serve, args=([listening],))
        thread.start()
        try:
            yield listening.getsockname()[1]
        finally:
            server.stop(5)
            thread.join()


def ask(port: int, kind: int, primary: bytes, secondary: bytes = b"", *, response: bool = True):
    """What pynetdicom reads in our answer; None when it was rejected."""
    item = UserIdentityNegotiation()
    item.user_identity_type, item.primary_field, item.positive_response_requested = kind, primary, response
    if secondary:
        item.secondary_field = secondary
    association = AE("SCU").associate(
        "127.0.0.1", port, contexts=[build_context(VERIFICATION)], ae_title="PACS", ext_neg=[item]
    )
    if not association.is_established:
        return None  # pynetdicom calls a rejection a lost connection when both come at once.
    association.release()
    items = association.acceptor.primitive.user_information
    return [one.server_response for one in items if isinstance(one, UserIdentityNegotiation)]


@pytest.fixture
def house(tmp_path) -> Iterator[House]:
    made = embedded(tmp_path)
    yield made
    made.close()


def test_a_verified_identity_is_confirmed_when_that_is_asked_for(house):
    with serving(house) as port:
        assert ask(port, 2, b"somebody", PASSCODE) == [b""]
        assert ask(port, 2, b"somebody", PASSCODE, response=False) == []
        assert ask(port, 3, b"ticket") == [b"server ticket"]


@pytest.mark.parametrize(
    "claim", [(1, b"somebody"), (2, b"somebody", b"guess"), (2, b"nobody", PASSCODE), (4, b"<xml/>"), (5, b"a.b.c")]
)
def test_an_identity_that_is_not_true_ends_the_association(house, claim):
    with serving(house) as port:
        assert ask(port, *claim) is None
        assert [event.detail for event in house.events] == ["user identity not accepted"]
        # Nothing is remembered of a request that holds somebody's passcode.
        assert ask(port, 2, b"somebody", PASSCODE) == [b""]
        assert ask(port, *claim) is None


def test_nothing_secret_is_shown():
    shown = repr((Identity(2, True, b"somebody", PASSCODE), Verified("somebody", b"server ticket")))
    assert "open sesame" not in shown
    assert "ticket" not in shown
    assert set(TYPES) == {1, 2, 3, 4, 5}
