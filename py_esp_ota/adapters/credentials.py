"""A node's certificate and key as PEM bytes, for instance out of its flash: looked at, and made a TLS context."""

from __future__ import annotations

import ssl
import tempfile
from datetime import UTC, datetime
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from py_esp_ota.adapters.certificates import CertificateFiles
from py_esp_ota.adapters.mqtt import client_context
from py_esp_ota.ports import Clock


def common_name(cert: bytes) -> str | None:
    """The common name of a certificate's subject, ``None`` when it has none. Raises ``ValueError``: it is none."""
    found = _certificate(cert).subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(found[0].value) if found else None


def node_name(cert: bytes) -> str | None:
    """The common name of a certificate that a client may show; ``None`` for an authority's or a server's.

    Raises ``ValueError``: it is no certificate.
    """
    extensions = _certificate(cert).extensions
    for extension in extensions:
        value = extension.value
        if isinstance(value, x509.BasicConstraints) and value.ca:
            return None
        if isinstance(value, x509.ExtendedKeyUsage) and ExtendedKeyUsageOID.CLIENT_AUTH not in value:
            return None
    return common_name(cert)


def check_pair(cert: bytes, key: bytes) -> None:
    """Refuse a private key that is not the certificate's: ``ValueError``."""
    try:
        private = load_pem_private_key(key, None)
    except (ValueError, TypeError) as error:
        raise ValueError(f"the key is no private key in PEM without a password: {error}") from None
    if private.public_key() != _certificate(cert).public_key():
        raise ValueError("the key is not that of the certificate")


def check_issued(cert: bytes, ca: bytes) -> None:
    """Refuse a certificate that another authority has issued: ``ValueError``."""
    given, authority = _certificate(cert), _certificate(ca)
    try:
        given.verify_directly_issued_by(authority)
    except Exception:  # noqa: BLE001 - wrong name, wrong kind of key, wrong signature: another authority's
        raise ValueError(
            f"the certificate is not of this CA: it was issued by {given.issuer.rfc4514_string()!r}, "
            f"and the CA is {authority.subject.rfc4514_string()!r}"
        ) from None


def check_current(cert: bytes, clock: Clock) -> None:
    """Refuse a certificate that is not good yet or no more: ``ValueError``."""
    given, now = _certificate(cert), datetime.fromtimestamp(clock.now(), UTC)
    if now < given.not_valid_before_utc:
        raise ValueError(f"the certificate is good from {given.not_valid_before_utc:%Y-%m-%d} on only")
    if now > given.not_valid_after_utc:
        raise ValueError(f"the certificate was good until {given.not_valid_after_utc:%Y-%m-%d}")


def node_context(cert: bytes, key: bytes, *, ca_file: Path | None, alpn: str | None = None) -> ssl.SSLContext:
    """TLS as a node speaks it: its certificate, chain and host name of the server verified, perhaps one protocol.

    Args:
        cert: PEM.
        key: PEM.
        ca_file: the authority to trust; those of the system when not given.
        alpn: the protocol to offer.

    Raises:
        ValueError: key and certificate do not belong together, or one of them is none.
    """
    check_pair(cert, key)
    with tempfile.TemporaryDirectory() as folder:  # OpenSSL reads files alone; the folder is its owner's
        files = CertificateFiles(Path(folder) / "cert.pem", Path(folder) / "key.pem")
        files.cert.write_bytes(cert)
        files.key.write_bytes(key)
        context = client_context(ca_file, files)
    if alpn is not None:
        context.set_alpn_protocols([alpn])
    return context


def _certificate(pem: bytes) -> x509.Certificate:
    try:
        return x509.load_pem_x509_certificate(pem)
    except ValueError as error:
        raise ValueError(f"the certificate is none in PEM: {error}") from None
