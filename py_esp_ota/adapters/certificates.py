"""A certificate authority of one's own, in one folder: for the HTTPS server, the broker, the cloud and the nodes."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from py_esp_ota.adapters.clock import SystemClock
from py_esp_ota.adapters.hosts import check_host
from py_esp_ota.ports import Clock

CLOUD = "cloud"  # the common name that may use every topic

_NODE_ID = re.compile(r"[0-9A-Za-z_-][0-9A-Za-z_.:-]{0,63}", re.ASCII)
_CA_NAME = "py_esp_ota local CA"
_CA_LIFE = timedelta(days=3650)
_LEAF_LIFE = timedelta(days=397)  # what today's clients accept of a server
_BACKDATED = timedelta(days=1)  # for a peer whose clock is a little behind
_RENEW = timedelta(days=30)  # before the end


@dataclass(frozen=True, slots=True)
class CertificateFiles:
    """A certificate and its private key, as PEM files."""

    cert: Path
    key: Path


def check_node_id(node_id: str) -> str:
    """The node id itself if it can safely name a file and a topic level, else ``ValueError``."""
    if not _NODE_ID.fullmatch(node_id):
        raise ValueError(f"a node id has 1 to 64 letters, digits, '_', '-', '.' or ':', not {node_id!r}")
    if node_id == CLOUD:
        raise ValueError(f"{CLOUD!r} is the cloud's own client id, no node can have it")
    return node_id


class LocalCa:
    """An EC P-256 authority. What is in the folder is used again until shortly before it expires.

    Args:
        folder: where certificates and keys are; created when missing.
        clock: tells what time it is; the computer's clock when not given.

    Raises:
        ValueError: a file in the folder is not what its name says.
    """

    def __init__(self, folder: Path | str, clock: Clock | None = None) -> None:
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)
        clock = clock or SystemClock()
        self._now: Callable[[], datetime] = lambda: datetime.fromtimestamp(clock.now(), UTC)
        files = self._files("ca")
        if not self._fresh(files):
            key = ec.generate_private_key(ec.SECP256R1())
            self._store(files, key, self._certificate(_name(_CA_NAME), key, _ca_extensions()))
        self._cert, self._key = _load_cert(files.cert), _load_key(files.key)
        self.ca_file = files.cert

    def server(self, address: str = "127.0.0.1", names: Sequence[str] = ()) -> CertificateFiles:
        """The certificate of what listens: ``localhost``, 127.0.0.1, ::1, ``address``, and other ``names`` of it.

        One that is there is made anew when it does not carry exactly these. Raises ``ValueError`` for what is no name.
        """
        hosts = ["localhost", "127.0.0.1", "::1", *map(check_host, (address, *names))]
        carried = x509.SubjectAlternativeName([_subject(host) for host in dict.fromkeys(hosts)])
        own = [] if hosts[3] in hosts[:3] else hosts[3:4]
        file_name = "-".join(["server", *own]).replace(":", "_")
        return self._leaf(file_name, "localhost", ExtendedKeyUsageOID.SERVER_AUTH, carried)

    def cloud(self) -> CertificateFiles:
        """The certificate with which the cloud connects to the broker."""
        return self._leaf(CLOUD, CLOUD, ExtendedKeyUsageOID.CLIENT_AUTH)

    def node(self, node_id: str) -> CertificateFiles:
        """A node's certificate, as good as the authority's: a board is not flashed again each year.

        Its common name is the node id.
        """
        return self._leaf(f"node-{check_node_id(node_id)}", node_id, ExtendedKeyUsageOID.CLIENT_AUTH, life=_CA_LIFE)

    def _leaf(
        self,
        file_name: str,
        common_name: str,
        usage: x509.ObjectIdentifier,
        names: x509.SubjectAlternativeName | None = None,
        life: timedelta = _LEAF_LIFE,
    ) -> CertificateFiles:
        files = self._files(file_name)
        if not (self._fresh(files, issuer=self._cert) and _carries(files.cert, names)):
            extensions: list[tuple[x509.ExtensionType, bool]] = [
                (x509.BasicConstraints(ca=False, path_length=None), True),
                (_key_usage(signs_certificates=False), True),
                (x509.ExtendedKeyUsage([usage]), False),
            ]
            if names:
                extensions.append((names, False))
            key = ec.generate_private_key(ec.SECP256R1())
            issued_by = (self._cert, self._key)
            self._store(files, key, self._certificate(_name(common_name), key, extensions, issued_by, life))
        return files

    def _certificate(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePrivateKey,
        extensions: list[tuple[x509.ExtensionType, bool]],
        issued_by: tuple[x509.Certificate, ec.EllipticCurvePrivateKey] | None = None,
        life: timedelta = _CA_LIFE,
    ) -> x509.Certificate:
        now = self._now()
        if issued_by:
            issuer, end = issued_by[0].subject, min(now + life, issued_by[0].not_valid_after_utc)
        else:
            issuer, end = subject, now + life
        issuer_key = issued_by[1] if issued_by else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _BACKDATED)
            .not_valid_after(end)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical=critical)
        return builder.sign(issuer_key, SHA256())

    def _files(self, name: str) -> CertificateFiles:
        return CertificateFiles(self._folder / f"{name}.pem", self._folder / f"{name}.key")

    def _fresh(self, files: CertificateFiles, issuer: x509.Certificate | None = None) -> bool:
        if not (files.cert.exists() and files.key.exists()):
            return False
        cert = _load_cert(files.cert)
        if issuer is not None:
            try:
                cert.verify_directly_issued_by(issuer)
            except Exception:  # noqa: BLE001 - wrong name, wrong kind of key, wrong signature: another authority's
                return False
        return cert.not_valid_before_utc <= self._now() < cert.not_valid_after_utc - _RENEW

    @staticmethod
    def _store(files: CertificateFiles, key: ec.EllipticCurvePrivateKey, cert: x509.Certificate) -> None:
        pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        _write(files.key, pem, 0o600)
        _write(files.cert, cert.public_bytes(Encoding.PEM), 0o644)


def _write(path: Path, data: bytes, mode: int) -> None:
    """Replace a file as a whole; nobody ever sees half of it, or a key with other rights."""
    partial = path.with_name(f"{path.name}.new")
    partial.unlink(missing_ok=True)
    with os.fdopen(os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, mode), "wb") as file:
        file.write(data)
    partial.replace(path)


def _load_cert(path: Path) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"{path} is no certificate: {error}") from None


def _load_key(path: Path) -> ec.EllipticCurvePrivateKey:
    try:
        key = load_pem_private_key(path.read_bytes(), password=None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path} is no private key: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise ValueError(f"{path} is no EC key")  # noqa: TRY004 - the file is wrong, not the caller's type
    return key


def _subject(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ip_address(host))
    except ValueError:
        return x509.DNSName(host)


def _carries(path: Path, names: x509.SubjectAlternativeName | None) -> bool:
    """Whether a certificate is for these names and no others; any is, when there are none."""
    if names is None:
        return True
    try:
        found = _load_cert(path).extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        return False
    return found == names


def _name(common_name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)])


def _ca_extensions() -> list[tuple[x509.ExtensionType, bool]]:
    return [
        (x509.BasicConstraints(ca=True, path_length=0), True),
        (_key_usage(signs_certificates=True), True),
    ]


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
