"""The AE table."""

import pytest

from config.settings import Archive, Dimse, Peer
from dimse.contexts import MODELS, Policy
from dimse.peers import CALLED_UNKNOWN, CALLING_UNKNOWN, Caller, Granted, Refused, destination, identify
from index.access import Permission
from storage.sop_classes import is_storage

FINGERPRINT = "ab" * 32

TABLE = Dimse(
    ae_titles=("PACS", "SECOND"),
    allow_unknown_local_peers=False,
    peers=(
        Peer(ae_title="CT1", networks=("10.0.0.0/8",), services=("store",), called_ae_titles=("PACS",)),
        Peer(ae_title="WS1", networks=("10.0.0.0/8",), host="10.1.1.1"),
        Peer(ae_title="TLS", networks=("0.0.0.0/0",), certificate_sha256="AB:" * 31 + "AB"),
        Peer(ae_title="TWICE", networks=("10.0.0.0/8",), services=("echo",)),
        Peer(ae_title="TWICE", networks=("192.168.0.0/16",), services=("find",), tenant="other", host="192.168.0.1"),
    ),
)


def ask(calling: str, address: str = "10.1.2.3", called: str = "PACS", certificate: str = "", table: Dimse = TABLE):
    return identify(Caller(calling, called, address, certificate), table, "default")


def test_a_known_peer_gets_its_services_and_no_more():
    granted = ask("CT1")
    assert isinstance(granted, Granted)
    assert granted.principal.name == "CT1"
    assert granted.principal.tenant == "default"
    assert granted.principal.permissions == {Permission.STORE}


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ({"calling": "CT1", "called": "NOBODY"}, CALLED_UNKNOWN),
        ({"calling": "CT1", "called": "SECOND"}, CALLING_UNKNOWN),
        ({"calling": "CT1", "address": "11.0.0.1"}, CALLING_UNKNOWN),
        ({"calling": "ct1"}, CALLING_UNKNOWN),
        ({"calling": "NEW", "address": "127.0.0.1"}, CALLING_UNKNOWN),
        ({"calling": "TLS"}, CALLING_UNKNOWN),
        ({"calling": "TLS", "certificate": "ac" * 32}, CALLING_UNKNOWN),
    ],
)
def test_refused(question, answer):
    refused = ask(**question)
    assert isinstance(refused, Refused)
    assert refused.answer == answer


def test_certificate_matches_by_fingerprint():
    assert isinstance(ask("TLS", certificate=FINGERPRINT), Granted)


def test_one_title_may_stand_in_the_table_twice():
    granted = ask("TWICE", "192.168.3.4")
    assert isinstance(granted, Granted)
    assert granted.principal.tenant == "other"
    assert granted.principal.permissions == {Permission.QUERY}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1", "::ffff:127.0.0.1"])
def test_unknown_titles_are_let_in_from_this_machine_alone(address):
    open_table = Dimse()
    assert isinstance(ask("ANY", address, table=open_table), Granted)
    assert isinstance(ask("ANY", "10.0.0.1", table=open_table), Refused)


def test_a_listed_title_is_bound_to_its_network_also_on_this_machine():
    table = Dimse(peers=(Peer(ae_title="CT1", networks=("10.0.0.0/8",)),))
    assert isinstance(ask("CT1", "127.0.0.1", table=table), Refused)


def test_destinations_are_those_of_the_tenant():
    granted = ask("WS1")
    assert isinstance(granted, Granted)
    assert destination("WS1", TABLE, granted.principal, "default") == TABLE.peers[1]
    assert destination("CT1", TABLE, granted.principal, "default") is None
    assert destination("TWICE", TABLE, granted.principal, "default") is None


EXPLICIT, IMPLICIT, JPEG = "1.2.840.10008.1.2.1", "1.2.840.10008.1.2", "1.2.840.10008.1.2.4.50"
CT = "1.2.840.10008.5.1.4.1.1.2"
FIND = "1.2.840.10008.5.1.4.1.2.2.1"
PRIVATE = "1.2.826.0.1.3680043.9.9999.1"


def choose(abstract_syntax: str, *syntaxes: str, services: tuple[str, ...] = ("store",), **archive):
    return Policy(frozenset(services), Archive(**archive)).choose(abstract_syntax, syntaxes)


def test_objects_are_taken_in_the_first_known_syntax_proposed():
    assert choose(CT, PRIVATE, JPEG, IMPLICIT) == ([JPEG, IMPLICIT], False)
    assert choose(CT, PRIVATE, accept_unknown_transfer_syntaxes=True) == ([PRIVATE], False)


def test_no_common_syntax_is_not_an_unknown_class():
    assert choose(CT, PRIVATE) == ([], False)


def test_unknown_classes_only_by_setting():
    assert choose(PRIVATE, EXPLICIT) == (None, False)
    assert choose(PRIVATE, EXPLICIT, accept_unknown_sop_classes=True) == ([EXPLICIT], False)
    assert choose("1.2.840.10008.5.1.1.9", EXPLICIT, accept_unknown_sop_classes=True) == (None, False)


def test_services_that_were_not_granted_are_refused():
    assert choose(FIND, EXPLICIT) == (None, False)
    assert choose(FIND, IMPLICIT, JPEG, EXPLICIT, services=("find",)) == ([EXPLICIT, IMPLICIT], False)
    assert choose(CT, EXPLICIT, services=("find",)) == (None, False)
    assert choose(CT, EXPLICIT, services=("get",)) == ([EXPLICIT], True)


def test_storage_classes():
    assert is_storage(CT)
    assert is_storage("1.2.840.10008.5.1.4.1.1.6")  # retired Ultrasound Image Storage
    assert not is_storage("1.2.840.10008.5.1.4.38.1")  # Hanging Protocol: no patient
    assert not is_storage("1.2.840.10008.1.20.1")  # Storage Commitment
    assert not any(is_storage(uid) for uid in MODELS)
