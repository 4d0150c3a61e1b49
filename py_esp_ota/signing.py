"""The forge of signatures: signs images as espsecure does, so that tests and users need no outside tool.

It shares no code with the judge, which verifies in Rust. The arithmetic is the ``cryptography`` package's (extra
``[sign]``); this module only lays out bytes::

    key = generate_key("rsa3072")
    signed = sign(Firmware("lamp", "1.0.0").to_bytes(), key)
    EFuse(key_digests=[public_key_digest(key)])
"""

from __future__ import annotations

import hashlib
import struct
from collections.abc import Sequence
from typing import Literal
from zlib import crc32

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils

Scheme = Literal["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"]
PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey

SECTOR = 0x1000
BLOCK = 1216
MAX_BLOCKS = 3
_MAGIC = 0xE7
_RSA_BITS = 3072
_RSA_BYTES = _RSA_BITS // 8
_CURVES: dict[Scheme, type[ec.EllipticCurve]] = {
    "ecdsa192": ec.SECP192R1,
    "ecdsa256": ec.SECP256R1,
    "ecdsa384": ec.SECP384R1,
}
_CURVE_IDS: dict[Scheme, int] = {"ecdsa192": 1, "ecdsa256": 2, "ecdsa384": 3}


def generate_key(scheme: Scheme) -> PrivateKey:
    """A new private key. Raises ``ValueError`` for an unknown scheme."""
    if scheme == "rsa3072":
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS)
    if scheme not in _CURVES:
        raise ValueError(f"unknown scheme {scheme!r}; known are rsa3072, {', '.join(_CURVES)}")
    return ec.generate_private_key(_CURVES[scheme]())


def load_key(pem: bytes) -> PrivateKey:
    """A private key in PEM. Raises ``ValueError`` for anything else, and for keys that sign no image."""
    try:
        key = serialization.load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no private key in PEM without a password: {error}") from error
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise TypeError("the key is neither RSA nor ECDSA")
    scheme_of(key)
    return key


def save_key(key: PrivateKey) -> bytes:
    """A private key as PEM, not encrypted."""
    plain = serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, plain)


def scheme_of(key: PrivateKey) -> Scheme:
    """How images are signed with this key. Raises ``ValueError`` for a size or curve that no chip verifies."""
    if isinstance(key, rsa.RSAPrivateKey):
        if key.key_size != _RSA_BITS:
            raise ValueError(f"the RSA key has {key.key_size} bits; chips verify {_RSA_BITS}")
        return "rsa3072"
    for scheme, curve in _CURVES.items():
        if isinstance(key.curve, curve):
            return scheme
    raise ValueError(f"the key is on curve {key.curve.name}; chips verify P-192, P-256 and P-384")


def padded(image: bytes) -> bytes:
    """The bytes that are signed: the image, and 0xFF up to the next sector."""
    return image + b"\xff" * (-len(image) % SECTOR)


def sign(image: bytes, *keys: PrivateKey) -> bytes:
    """Secure Boot V2: the padded image and a sector with one block per key, three at most.

    Raises ``ValueError`` for no key, too many, or keys of different schemes.
    """
    if len({scheme_of(key) for key in keys}) > 1:
        raise ValueError("all keys of one image must be of one scheme")
    return _sealed(padded(image), [_block(padded(image), key) for key in keys])


def append(signed: bytes, *keys: PrivateKey) -> bytes:
    """More blocks in the signature sector of an image that has one. Raises ``ValueError``."""
    body, sector = signed[:-SECTOR], signed[-SECTOR:]
    if len(signed) % SECTOR or sector[:1] != bytes([_MAGIC]):
        raise ValueError("the image has no signature sector to append to")
    places = [sector[at : at + BLOCK] for at in range(0, MAX_BLOCKS * BLOCK, BLOCK)]
    return _sealed(
        body, [*(block for block in places if block[:1] == bytes([_MAGIC])), *(_block(body, k) for k in keys)]
    )


def _sealed(body: bytes, blocks: Sequence[bytes]) -> bytes:
    if not 1 <= len(blocks) <= MAX_BLOCKS:
        raise ValueError(f"{len(blocks)} signatures; an image has one to {MAX_BLOCKS}")
    return body + b"".join(blocks).ljust(SECTOR, b"\xff")


def sign_v1(image: bytes, key: PrivateKey) -> bytes:
    """Secure Boot V1 of ESP32: the image and 68 bytes. Raises ``ValueError`` unless the key is on P-256."""
    if not isinstance(key, ec.EllipticCurvePrivateKey) or scheme_of(key) != "ecdsa256":
        raise ValueError("version 1 signatures are made with ECDSA P-256")
    r, s = utils.decode_dss_signature(key.sign(image, ec.ECDSA(hashes.SHA256())))
    return image + bytes(4) + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def v1_public_key(key: PrivateKey) -> bytes:
    """What a V1 build has inside: 64 bytes, X then Y. Raises ``ValueError`` unless the key is on P-256."""
    if not isinstance(key, ec.EllipticCurvePrivateKey) or scheme_of(key) != "ecdsa256":
        raise ValueError("version 1 signatures are made with ECDSA P-256")
    point = key.public_key().public_numbers()
    return point.x.to_bytes(32, "big") + point.y.to_bytes(32, "big")


def image_digest(body: bytes, scheme: Scheme) -> bytes:
    """The digest of the signed bytes that a block of this scheme carries."""
    return (hashlib.sha384 if scheme == "ecdsa384" else hashlib.sha256)(body).digest()


def public_key_digest(key: PrivateKey) -> bytes:
    """SHA-256 of the public key as the signature block has it: what is burnt into an eFuse key slot, 32 bytes."""
    return hashlib.sha256(_key_bytes(key)).digest()


def _key_bytes(key: PrivateKey) -> bytes:
    if isinstance(key, rsa.RSAPrivateKey):
        public = key.public_key().public_numbers()
        n, e = public.n, public.e
        montgomery = pow(2, 2 * _RSA_BITS, n)
        inverse = -pow(n, -1, 1 << 32) % (1 << 32)
        words = (n.to_bytes(_RSA_BYTES, "little"), e, montgomery.to_bytes(_RSA_BYTES, "little"), inverse)
        return struct.pack(f"<{_RSA_BYTES}sI{_RSA_BYTES}sI", *words)
    scheme, size = scheme_of(key), key.curve.key_size // 8
    point = key.public_key().public_numbers()
    both = point.x.to_bytes(size, "little") + point.y.to_bytes(size, "little")
    return bytes([_CURVE_IDS[scheme]]) + both.ljust(64, b"\0")


def _block(body: bytes, key: PrivateKey) -> bytes:
    """One signature block over the signed bytes."""
    scheme = scheme_of(key)
    digest = image_digest(body, scheme)
    if isinstance(key, rsa.RSAPrivateKey):
        pss = padding.PSS(padding.MGF1(hashes.SHA256()), 32)
        value = key.sign(digest, pss, utils.Prehashed(hashes.SHA256()))[::-1]
        head = bytes([_MAGIC, 2, 0, 0])
    else:
        algorithm = hashes.SHA384() if scheme == "ecdsa384" else hashes.SHA256()
        size = key.curve.key_size // 8
        r, s = utils.decode_dss_signature(key.sign(digest, ec.ECDSA(utils.Prehashed(algorithm))))
        value = (r.to_bytes(size, "little") + s.to_bytes(size, "little")).ljust(64, b"\0")
        head = bytes([_MAGIC, 3, int(scheme == "ecdsa384"), 0])
    covered = (head + digest + _key_bytes(key) + value).ljust(BLOCK - 20, b"\0")
    return covered + struct.pack("<I16x", crc32(covered))
