"""DICOM over TLS: client certificates, fingerprints, and a C-MOVE destination that speaks it."""

import contextlib
import socket
import ssl

import pytest
from pydicom import dcmread
from pynetdicom import AE, evt
from pynetdicom.presentation import build_context

from tests.associations import (
    CT,
    EXPLICIT,
    STUDY_MOVE,
    VERIFICATION,
    as_sample,
    associate_rq,
    dcmtk,
    keys,
    new_receiver,
    raw_dataset,
    read_pdu,
    scu,
)
from tests.certificates import Authority
from tests.conftest import free_port, start
from tests.samples import sample

CT_SLICES = sorted(sample("ct_head_phantom_54").glob("*.dcm"))


@pytest.fixture(scope="module")
def authority(tmp_path_factory) -> Authority:
    return Authority(tmp_path_factory.mktemp("certificates"))


@pytest.fixture(scope="module")
def server_certificate(authority):
    return authority.issue("server")


@pytest.fixture(scope="module")
def client(authority):
    return authority.issue("client")


@pytest.fixture(scope="module")
def destination():
    return new_receiver("TLSDEST")


@pytest.fixture(scope="module")
def secure(tmp_path_factory, authority, server_certificate, client, destination):
    running = start(
        tmp_path_factory.mktemp("tls"),
        dimse={
            "tls_port": free_port(),
            "tls_certificate": str(server_certificate.certificate),
            "tls_key": str(server_certificate.key),
            "tls_client_ca": str(authority.certificate),
            "association_timeout_seconds": 3.0,
            "peers": [
                {"ae_title": "PINNED", "certificate_sha256": client.sha256.upper()},
                {"ae_title": "OTHER", "certificate_sha256": "00" * 32},
                {"ae_title": "TLSDEST", "host": "127.0.0.1", "port": destination.port, "tls": True},
            ],
        },
    )
    yield running
    running.stop()


def tls_port(server) -> int:
    return server.settings["dimse"]["tls_port"]


def echo(server, authority, certificate, calling: str, *options: str, ok: bool = True) -> str:
    return dcmtk(
        "echoscu", "+tls", certificate.key, certificate.certificate, "+cf", authority.certificate, *options,
        "-aet", calling, "-aec", server.ae_title, "localhost", tls_port(server), ok=ok,
    )  # fmt: skip


def test_dcmtk_echoes_and_stores_over_tls(secure, authority, client):
    echo(secure, authority, client, "ANYONE")
    dcmtk(
        "storescu", "+tls", client.key, client.certificate, "+cf", authority.certificate,
        "-aec", secure.ae_title, "localhost", tls_port(secure), *CT_SLICES,
    )  # fmt: skip


def test_the_fingerprint_decides_who_may_use_a_title(secure, authority, client):
    echo(secure, authority, client, "PINNED")
    printed = echo(secure, authority, client, "OTHER", ok=False)
    assert "Rejected" in printed
    plain = dcmtk("echoscu", "-aet", "PINNED", "-aec", secure.ae_title, "localhost", secure.dimse_port, ok=False)
    assert "Rejected" in plain


def connect(server, authority, certificate=None, maximum=None) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=str(authority.certificate))
    if certificate:
        context.load_cert_chain(certificate.certificate, certificate.key)
    if maximum:
        context.minimum_version = ssl.TLSVersion.MINIMUM_SUPPORTED
        context.maximum_version = maximum
    raw = socket.create_connection(("127.0.0.1", tls_port(server)), 20)
    try:
        return context.wrap_socket(raw, server_hostname="localhost")
    except BaseException:
        raw.close()
        raise


def refused(server, authority, certificate=None) -> bool:
    """True when an association is not even answered. With TLS 1.3 the client learns it when it reads."""
    try:
        with connect(server, authority, certificate) as sock:
            sock.sendall(associate_rq(build_context(VERIFICATION)))
            return read_pdu(sock)[0] == 0
    except OSError:
        return True


def test_a_client_certificate_is_required(secure, authority, client, tmp_path):
    assert not refused(secure, authority, client)
    assert refused(secure, authority)
    assert refused(secure, authority, Authority(tmp_path, "Another CA").issue("stranger"))


@pytest.mark.filterwarnings("ignore:ssl.TLSVersion:DeprecationWarning")
def test_old_versions_are_refused(secure, authority, client):
    with pytest.raises(OSError):
        connect(secure, authority, client, ssl.TLSVersion.TLSv1_1)
    with connect(secure, authority, client, ssl.TLSVersion.TLSv1_2) as sock:
        sock.sendall(associate_rq(build_context(VERIFICATION)))
        assert read_pdu(sock)[0] == 2


def test_a_handshake_that_never_ends_is_cut(secure):
    with socket.create_connection(("127.0.0.1", tls_port(secure)), 20) as sock:
        assert sock.recv(10) == b""


def test_plain_dicom_on_the_tls_port_is_no_association(secure):
    with socket.create_connection(("127.0.0.1", tls_port(secure)), 20) as sock:
        sock.sendall(associate_rq(build_context(VERIFICATION)))
        with contextlib.suppress(ConnectionResetError):
            assert read_pdu(sock)[0] not in (2, 3)


def test_a_destination_over_tls(secure, authority, server_certificate, client, destination):
    dcmtk("storescu", "-aec", secure.ae_title, "localhost", secure.dimse_port, *CT_SLICES)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(server_certificate.certificate, server_certificate.key)
    context.load_verify_locations(authority.certificate)
    context.verify_mode = ssl.CERT_REQUIRED
    running = AE("TLSDEST").start_server(
        ("127.0.0.1", destination.port),
        block=False,
        contexts=[build_context(CT, EXPLICIT)],
        ssl_context=context,
        evt_handlers=[(evt.EVT_C_STORE, destination.take)],
    )
    try:
        with scu(secure, [build_context(STUDY_MOVE)]) as association:
            identifier = keys("STUDY", StudyInstanceUID=dcmread(CT_SLICES[0]).StudyInstanceUID)
            responses = list(association.send_c_move(identifier, "TLSDEST", STUDY_MOVE))
    finally:
        running.shutdown()
    assert responses[-1][0].Status == 0
    assert destination.received == {
        as_sample(path).sop_instance_uid: (EXPLICIT, raw_dataset(path)) for path in CT_SLICES
    }
