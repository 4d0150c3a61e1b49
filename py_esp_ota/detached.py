"""Signatures beside files, with a key of the user: what openssl makes and checks, too.

An ECDSA signature is over SHA-256 and deterministic (RFC 6979), an RSA one is PKCS #1 v1.5 over SHA-256, an Ed25519 one
is over the bytes themselves. Needs ``cryptography``, the extra ``[sign]``.
"""

from __future__ import annotations

import hashlib

from py_esp_ota.extras import missing

try:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, ed25519, padding, rsa
except ModuleNotFoundError as error:
    raise missing("a signature", "sign", error) from None

_LEAST_RSA_BITS = 2048

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey


def sign_bytes(data: bytes, key: bytes) -> bytes:
    """The signature of ``data`` by a private key in PEM. Raises ``ValueError`` for a key that is none."""
    private = _private(key)
    if isinstance(private, ec.EllipticCurvePrivateKey):
        return private.sign(data, ec.ECDSA(hashes.SHA256(), deterministic_signing=True))
    if isinstance(private, rsa.RSAPrivateKey):
        return private.sign(data, padding.PKCS1v15(), hashes.SHA256())
    return private.sign(data)


def is_signed_by(data: bytes, signature: bytes, key: bytes) -> bool:
    """Whether a key, public or private, has signed ``data``. Raises ``ValueError`` for a key that is none."""
    public = _public(key)
    try:
        if isinstance(public, ec.EllipticCurvePublicKey):
            public.verify(signature, data, ec.ECDSA(hashes.SHA256()))
        elif isinstance(public, rsa.RSAPublicKey):
            public.verify(signature, data, padding.PKCS1v15(), hashes.SHA256())
        else:
            public.verify(signature, data)
    except InvalidSignature:
        return False
    return True


def key_name(key: bytes) -> str:
    """SHA-256 of the public key (SubjectPublicKeyInfo, DER), in hexadecimal. Raises ``ValueError`` likewise."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return hashlib.sha256(_public(key).public_bytes(serialization.Encoding.DER, info)).hexdigest()


def _private(key: bytes) -> PrivateKey:
    try:
        loaded = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no private key in PEM without a password: {_first_sentence(error)}") from error
    if isinstance(loaded, rsa.RSAPrivateKey):
        _refuse_short(loaded.key_size)
    elif not isinstance(loaded, ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey):
        raise ValueError("the key is neither RSA, ECDSA nor Ed25519")  # noqa: TRY004 (it is the value of a file)
    return loaded


def _public(key: bytes) -> PublicKey:
    if b"PRIVATE KEY-" in key:
        return _private(key).public_key()
    try:
        loaded = serialization.load_pem_public_key(key)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no key in PEM: {_first_sentence(error)}") from error
    if isinstance(loaded, rsa.RSAPublicKey):
        _refuse_short(loaded.key_size)
    elif not isinstance(loaded, ec.EllipticCurvePublicKey | ed25519.Ed25519PublicKey):
        raise ValueError("the key is neither RSA, ECDSA nor Ed25519")  # noqa: TRY004 (it is the value of a file)
    return loaded


def _refuse_short(bits: int) -> None:
    if bits < _LEAST_RSA_BITS:
        raise ValueError(f"the RSA key has {bits} bits; at least {_LEAST_RSA_BITS} are asked for")


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0].split("\n")[0].rstrip(".")
