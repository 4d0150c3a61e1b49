"""The local authority: who is who, for how long, and what stands in its folder."""

from __future__ import annotations

import stat
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from cryptography.x509.verification import PolicyBuilder, Store, VerificationError

from py_esp_ota.adapters.certificates import LocalCa

DAY = 86400.0
BEGIN = 1_767_225_600.0


class Clock:
    def __init__(self) -> None:
        self.seconds = BEGIN

    def now(self) -> float:
        return self.seconds


@pytest.fixture
def clock():
    return Clock()


def load(path) -> x509.Certificate:
    return x509.load_pem_x509_certificate(path.read_bytes())


def common_name(cert) -> str:
    return cert.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value


def verifier(ca, clock):
    return PolicyBuilder().store(Store([load(ca.ca_file)])).time(datetime.fromtimestamp(clock.now(), UTC))


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1"])
def test_the_server_certificate_is_good_for_loopback_and_nothing_else(tmp_path, clock, name):
    ca = LocalCa(tmp_path, clock)
    subject = x509.DNSName(name) if name == "localhost" else x509.IPAddress(ip_address(name))
    cert = load(ca.server().cert)
    chain = verifier(ca, clock).build_server_verifier(subject).verify(cert, [])
    assert [common_name(link) for link in chain] == ["localhost", "py_esp_ota local CA"]
    names = cert.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert len(list(names)) == 3


def test_a_server_beyond_loopback_has_its_address_in_a_certificate_of_its_own(tmp_path, clock):
    ca = LocalCa(tmp_path, clock)
    for address in ("192.0.2.7", "2001:db8::7"):
        made = ca.server(address)
        verifier(ca, clock).build_server_verifier(x509.IPAddress(ip_address(address))).verify(load(made.cert), [])
        assert made.cert != ca.server().cert == ca.server("::1").cert


@pytest.mark.parametrize(("make", "name"), [(lambda ca: ca.node("n-1_A"), "n-1_A"), (lambda ca: ca.cloud(), "cloud")])
def test_a_client_certificate_carries_the_client_id(tmp_path, clock, make, name):
    ca = LocalCa(tmp_path, clock)
    cert = load(make(ca).cert)
    assert common_name(cert) == name
    cert.verify_directly_issued_by(load(ca.ca_file))
    usage = cert.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    assert not cert.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_keys_are_p256_belong_to_their_certificates_and_are_the_owners_alone(tmp_path, clock):
    ca = LocalCa(tmp_path, clock)
    for files in (ca.server(), ca.cloud(), ca.node("n1")):
        key = load_pem_private_key(files.key.read_bytes(), None)
        assert isinstance(key.curve, ec.SECP256R1)
        assert key.public_key() == load(files.cert).public_key()
    keys = sorted(tmp_path.glob("*.key"))
    assert [path.name for path in keys] == ["ca.key", "cloud.key", "node-n1.key", "server.key"]
    assert {stat.S_IMODE(path.stat().st_mode) for path in keys} == {0o600}
    assert not list(tmp_path.glob("*.new"))


def test_what_is_there_is_used_again(tmp_path, clock):
    first = LocalCa(tmp_path, clock)
    before = {path: path.read_bytes() for path in (*first.server().__getstate__(), *first.node("n1").__getstate__())}
    before[first.ca_file] = first.ca_file.read_bytes()
    clock.seconds += 300 * DAY
    again = LocalCa(tmp_path, clock)
    again.server()
    again.node("n1")
    assert {path: path.read_bytes() for path in before} == before


def test_a_certificate_near_its_end_is_made_anew_by_the_same_authority(tmp_path, clock):
    ca = LocalCa(tmp_path, clock)
    authority, server = ca.ca_file.read_bytes(), load(ca.server().cert)
    clock.seconds += 397 * DAY - 30 * DAY - 1
    assert load(ca.server().cert) == server
    clock.seconds += 2
    renewed = load(ca.server().cert)
    assert renewed != server
    assert renewed.not_valid_after_utc > datetime.fromtimestamp(clock.now(), UTC) + timedelta(days=396)
    assert LocalCa(tmp_path, clock).ca_file.read_bytes() == authority


def test_a_new_authority_makes_every_certificate_anew(tmp_path, clock):
    old = load(LocalCa(tmp_path, clock).server().cert)
    clock.seconds += 3650 * DAY
    ca = LocalCa(tmp_path, clock)
    new = load(ca.server().cert)
    assert new != old
    new.verify_directly_issued_by(load(ca.ca_file))
    (tmp_path / "ca.key").unlink()
    other = LocalCa(tmp_path, clock)
    load(other.server().cert).verify_directly_issued_by(load(other.ca_file))


def test_a_clock_that_was_turned_back_finds_nothing_that_is_not_valid_yet(tmp_path, clock):
    LocalCa(tmp_path, clock).server()
    clock.seconds -= 2000 * DAY
    ca = LocalCa(tmp_path, clock)
    verifier(ca, clock).build_server_verifier(x509.DNSName("localhost")).verify(load(ca.server().cert), [])


@pytest.mark.parametrize(
    "node_id",
    ["", "a/b", "..", "../n1", "a b", ".a", ":a", "n" * 65, "é", "n1\n", "n\0", "+", "#", "%u", "cloud", "\uff11"],
)
def test_a_node_id_that_could_be_a_path_or_somebody_else_is_refused(tmp_path, clock, node_id):
    ca = LocalCa(tmp_path / "ca", clock)
    with pytest.raises(ValueError, match=r"node id|cloud's own"):
        ca.node(node_id)
    assert {path.name for path in tmp_path.rglob("*") if path.is_file()} == {"ca.key", "ca.pem"}


@pytest.mark.parametrize("node_id", ["n", "n" * 64, "A-Z_0-9", "ca", "server"])
def test_every_other_node_id_has_files_of_its_own(tmp_path, clock, node_id):
    ca = LocalCa(tmp_path, clock)
    authority = ca.ca_file.read_bytes()
    files = ca.node(node_id)
    assert files.cert.parent == tmp_path
    assert common_name(load(files.cert)) == node_id
    assert ca.ca_file.read_bytes() == authority
    assert common_name(load(ca.server().cert)) == "localhost"


def test_a_folder_with_something_else_in_it_is_named(tmp_path, clock):
    LocalCa(tmp_path, clock).server()
    (tmp_path / "server.pem").write_text("nonsense")
    with pytest.raises(ValueError, match=r"server\.pem is no certificate"):
        LocalCa(tmp_path, clock).server()
    (tmp_path / "ca.key").write_text("nonsense")
    with pytest.raises(ValueError, match=r"ca\.key is no private key"):
        LocalCa(tmp_path, clock)
    rsa = generate_private_key(65537, 2048).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "ca.key").write_bytes(rsa)
    with pytest.raises(ValueError, match=r"ca\.key is no EC key"):
        LocalCa(tmp_path, clock)


def test_the_computers_clock_is_the_default(tmp_path):
    assert load(LocalCa(tmp_path).ca_file).not_valid_before_utc < datetime.now(UTC)


def test_the_ids_that_the_cloud_takes_have_certificates(tmp_path, clock):
    for node_id in ("AA:BB:CC:00:11:22", "lamp-1.kitchen", "n" * 64):
        assert common_name(load(LocalCa(tmp_path, clock).node(node_id).cert)) == node_id


def test_the_names_of_a_host_stand_in_the_certificate_which_is_made_anew_when_they_change(tmp_path, clock):
    ca = LocalCa(tmp_path, clock)
    authority = ca.ca_file.read_bytes()
    first = ca.server("127.0.0.2", ["cloud.lan", "192.0.2.7"])
    made = first.cert.read_bytes()
    for host in ("cloud.lan", "192.0.2.7", "127.0.0.2", "127.0.0.1", "localhost"):
        subject = x509.DNSName(host) if host[0].isalpha() else x509.IPAddress(ip_address(host))
        verifier(ca, clock).build_server_verifier(subject).verify(load(first.cert), [])
    assert ca.server("127.0.0.2", ["CLOUD.lan", "192.0.2.7"]).cert.read_bytes() == made, "the same names"
    again = LocalCa(tmp_path, clock).server("127.0.0.2", ["other.lan"])
    assert again.cert.read_bytes() != made
    with pytest.raises(VerificationError):
        verifier(ca, clock).build_server_verifier(x509.DNSName("cloud.lan")).verify(load(again.cert), [])
    assert ca.ca_file.read_bytes() == authority


@pytest.mark.parametrize(
    "name", ["", "a b", "-a.lan", "a..lan", "*.lan", "k\u00fcche.lan", "a" * 64, "a/b", "300.1.1.1", "a\n"]
)
def test_what_is_no_name_of_a_host_is_refused(tmp_path, clock, name):
    with pytest.raises(ValueError, match="is neither a host name"):
        LocalCa(tmp_path, clock).server("127.0.0.1", [name])


def test_a_nodes_certificate_is_good_as_long_as_the_authority(tmp_path, clock):
    ca = LocalCa(tmp_path, clock)
    made = ca.node("n1").cert.read_bytes()
    assert load(ca.node("n1").cert).not_valid_after_utc == load(ca.ca_file).not_valid_after_utc
    clock.seconds += 3600 * DAY
    assert LocalCa(tmp_path, clock).node("n1").cert.read_bytes() == made
