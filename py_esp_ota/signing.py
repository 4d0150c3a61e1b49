"""The forge of signatures: what ``espsecure sign-data`` appends to an image, for Secure Boot V2 and V1.

Like the forge of images it shares no code with the judge. It needs ``cryptography``, the extra ``[sign]``. Keys are PEM
text, as bytes. ECDSA signatures are deterministic (RFC 6979); RSA-PSS ones carry a random salt.

::

    key = generate_key("ecdsa256")
    signed = sign(Firmware("lamp", "1.1.0").to_bytes(), key)
    signed = sign(signed, generate_key("ecdsa256"), append=True)     # up to three
    public_key_digest(key)                                           # what the eFuses keep
"""

from __future__ import annotations

import hashlib
import struct
from functools import lru_cache
from typing import NamedTuple
from zlib import crc32

from py_esp_ota.extras import missing

try:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa, utils
except ModuleNotFoundError as error:
    raise missing("a signature", "sign", error) from None

SECTOR = 4096
BLOCK = 1216
MAX_BLOCKS = 3
MAGIC = 0xE7
V1_SIZE = 68

_CRC_AT = 1196
_RSA_BITS = 3072
_RSA_VERSION = 2
_ECDSA_VERSION = 3
_V1_KEY = "version 1 signatures need an ECDSA key on secp256r1"

PrivateKey = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
PublicKey = rsa.RSAPublicKey | ec.EllipticCurvePublicKey


class _Curve(NamedTuple):
    """A curve as blocks know it: ``room`` is what a point or a signature takes, of which it may fill less."""

    scheme: str
    curve: type[ec.EllipticCurve]
    curve_id: int
    number: int
    room: int
    hash: type[hashes.SHA256 | hashes.SHA384]


_CURVES = (
    _Curve("ecdsa192", ec.SECP192R1, 1, 24, 64, hashes.SHA256),
    _Curve("ecdsa256", ec.SECP256R1, 2, 32, 64, hashes.SHA256),
    _Curve("ecdsa384", ec.SECP384R1, 3, 48, 96, hashes.SHA384),
)
#: How far the first primes lie behind the two numbers that each RSA example key is made from.
_PRIMES = {0: (1258, 216), 1: (2120, 1504)}
_ODD_AND_LARGE = 3 << 1534 | 1
SCHEMES = ("rsa3072", *(curve.scheme for curve in _CURVES))


# ---------------------------------------------------------------------------------------------------------------- keys


def generate_key(scheme: str) -> bytes:
    """A new private key in PEM. Raises ``ValueError`` for an unknown scheme."""
    if scheme == "rsa3072":
        return _pem(rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS))
    return _pem(ec.generate_private_key(_curve_named(scheme).curve()))


def _curve_named(scheme: str) -> _Curve:
    curve = next((known for known in _CURVES if known.scheme == scheme), None)
    if curve is None:
        raise ValueError(f"unknown scheme {scheme!r}; known: {', '.join(SCHEMES)}")
    return curve


def _pem(key: PrivateKey) -> bytes:
    form = serialization.PrivateFormat.TraditionalOpenSSL
    return key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())


@lru_cache(maxsize=16)
def example_key(scheme: str, number: int = 0) -> bytes:
    """A private key in PEM that is the same on every machine, and so known to everybody: for tests alone.

    Raises ``ValueError`` for an unknown scheme, and for a number beyond 1 with RSA, whose primes have to be looked up.
    """
    if scheme == "rsa3072":
        if number not in _PRIMES:
            raise ValueError(f"there is no RSA example key number {number}; known: {', '.join(map(str, _PRIMES))}")
        p, q = (_example_number(scheme, number, which, 192) | _ODD_AND_LARGE for which in "pq")
        p, q = p + _PRIMES[number][0], q + _PRIMES[number][1]
        d = pow(65537, -1, (p - 1) * (q - 1))
        exponents = (d, rsa.rsa_crt_dmp1(d, p), rsa.rsa_crt_dmq1(d, q), rsa.rsa_crt_iqmp(p, q))
        numbers = rsa.RSAPrivateNumbers(p, q, *exponents, rsa.RSAPublicNumbers(65537, p * q))
        return _pem(numbers.private_key(unsafe_skip_rsa_key_validation=True))
    curve = _curve_named(scheme)
    # One byte less than the curve has, so that no number is too large for it.
    return _pem(ec.derive_private_key(_example_number(scheme, number, "d", curve.number - 1), curve.curve()))


def _example_number(scheme: str, number: int, which: str, size: int) -> int:
    text = f"py_esp_ota example key\0{scheme}\0{number}\0{which}"
    return int.from_bytes(hashlib.shake_256(text.encode()).digest(size), "big")


def public_key(key: bytes) -> bytes:
    """The public key of a private one, in PEM."""
    info = serialization.PublicFormat.SubjectPublicKeyInfo
    return _public(key).public_bytes(serialization.Encoding.PEM, info)


def public_key_digest(key: bytes) -> bytes:
    """``digest-sbv2-public-key``: SHA-256 of a public key as it stands in a block; ``key`` may be private or public."""
    return hashlib.sha256(_key_field(_public(key))).digest()


def v1_public_key(key: bytes) -> bytes:
    """The 64 bytes that a build with version 1 signatures embeds: X then Y, highest byte first."""
    public = _public(key)
    if not (isinstance(public, ec.EllipticCurvePublicKey) and isinstance(public.curve, ec.SECP256R1)):
        raise ValueError(_V1_KEY)  # noqa: TRY004 (it is the value of a file)
    numbers = public.public_numbers()
    return numbers.x.to_bytes(32, "big") + numbers.y.to_bytes(32, "big")


def scheme_of(key: bytes) -> str:
    """The scheme that a private or public key signs with. Raises ``ValueError`` for a key that no chip takes."""
    public = _public(key)
    return "rsa3072" if isinstance(public, rsa.RSAPublicKey) else _curve(public).scheme


@lru_cache(maxsize=32)  # reading an RSA key checks its primes, which takes longer than to sign with it
def _private(key: bytes) -> PrivateKey:
    try:
        loaded = serialization.load_pem_private_key(key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise ValueError(f"no private key in PEM without a password: {_first_sentence(error)}") from error
    if not isinstance(loaded, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise ValueError("the key is neither RSA nor ECDSA")  # noqa: TRY004
    return loaded


def _public(key: bytes) -> PublicKey:
    if b"PRIVATE KEY-" in key:
        public: object = _private(key).public_key()
    else:
        try:
            public = serialization.load_pem_public_key(key)
        except (ValueError, TypeError, UnsupportedAlgorithm) as error:
            raise ValueError(f"no key in PEM: {_first_sentence(error)}") from error
    if isinstance(public, rsa.RSAPublicKey):
        if public.key_size != _RSA_BITS:
            raise ValueError(f"the RSA key has {public.key_size} bits; Secure Boot V2 takes {_RSA_BITS}")
        return public
    if isinstance(public, ec.EllipticCurvePublicKey):
        _curve(public)
        return public
    raise ValueError("the key is neither RSA nor ECDSA")


def _first_sentence(error: Exception) -> str:
    return str(error).split(". ")[0].split("\n")[0].rstrip(".")


def _curve(key: ec.EllipticCurvePublicKey) -> _Curve:
    for known in _CURVES:
        if isinstance(key.curve, known.curve):
            return known
    raise ValueError(f"the key is on {key.curve.name}; Secure Boot V2 takes secp192r1, secp256r1 and secp384r1")


# ------------------------------------------------------------------------------------------------------------- signing


def sign(image: bytes, *keys: bytes, append: bool = False) -> bytes:
    """The image, filled up with 0xFF to a whole sector, and a signature sector with one block per key, in their order.

    With ``append`` the blocks that stand in the last sector of a signed image are kept and the new ones come behind
    them. Raises ``ValueError`` for no key, a wrong one, or more than three blocks.
    """
    kept: list[bytes] = []
    if append:
        kept = blocks_of(image)
        image = image[: -SECTOR if kept else None]
    if not keys:
        raise ValueError("no key to sign with")
    if len(kept) + len(keys) > MAX_BLOCKS:
        raise ValueError(f"{len(kept)} signatures and {len(keys)} more do not fit; a sector holds {MAX_BLOCKS}")
    signed = padded(image)
    blocks = kept + [signature_block(signed, key) for key in keys]
    return signed + b"".join(blocks).ljust(SECTOR, b"\xff")


def sign_v1(image: bytes, key: bytes) -> bytes:
    """The image and its version 1 signature: a zero word, r, s, highest byte first. Raises ``ValueError``."""
    private = _private(key)
    if not (isinstance(private, ec.EllipticCurvePrivateKey) and isinstance(private.curve, ec.SECP256R1)):
        raise ValueError(_V1_KEY)  # noqa: TRY004
    r, s = _ecdsa(private, hashlib.sha256(image).digest(), hashes.SHA256())
    return image + struct.pack("<I", 0) + r.to_bytes(32, "big") + s.to_bytes(32, "big")


def padded(image: bytes) -> bytes:
    """Filled up with 0xFF to whole sectors: the bytes that a signature covers."""
    return image + b"\xff" * (-len(image) % SECTOR)


def blocks_of(image: bytes) -> list[bytes]:
    """The blocks of the last sector: magic byte, version and CRC are right. The first that is none ends them."""
    found: list[bytes] = []
    if len(image) < SECTOR or len(image) % SECTOR:
        return found
    for at in range(-SECTOR, -SECTOR + MAX_BLOCKS * BLOCK, BLOCK):
        block = image[at : at + BLOCK]
        known = block[0] == MAGIC and block[1] in {_RSA_VERSION, _ECDSA_VERSION}
        if not known or block[_CRC_AT : _CRC_AT + 4] != struct.pack("<I", crc32(block[:_CRC_AT])):
            break
        found.append(block)
    return found


def image_digest(signed: bytes, scheme: str) -> bytes:
    """The digest of the signed bytes that a block of this scheme carries."""
    return (hashlib.sha384 if scheme == "ecdsa384" else hashlib.sha256)(signed).digest()


def signature_block(signed: bytes, key: bytes) -> bytes:
    """One block, 1216 bytes, over bytes that are whole sectors. Raises ``ValueError`` for a wrong key."""
    private = _private(key)
    digest = image_digest(signed, scheme_of(key))
    if isinstance(private, rsa.RSAPrivateKey):
        head = bytes([MAGIC, _RSA_VERSION, 0, 0]) + digest
        pss = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
        value = private.sign(digest, pss, utils.Prehashed(hashes.SHA256()))[::-1]
    else:
        curve = _curve(private.public_key())
        head = bytes([MAGIC, _ECDSA_VERSION, curve.hash is hashes.SHA384, 0]) + digest
        value = _pair(*_ecdsa(private, digest, curve.hash()), curve)
    body = (head + _signing_field(key) + value).ljust(_CRC_AT, b"\0")
    return resealed_block(body.ljust(BLOCK, b"\0"))


def resealed_block(block: bytes) -> bytes:
    """The same block with its CRC made right again."""
    return block[:_CRC_AT] + struct.pack("<I", crc32(block[:_CRC_AT])) + block[_CRC_AT + 4 :]


def _ecdsa(key: ec.EllipticCurvePrivateKey, digest: bytes, algorithm: hashes.SHA256 | hashes.SHA384) -> tuple[int, int]:
    scheme = ec.ECDSA(utils.Prehashed(algorithm), deterministic_signing=True)
    return utils.decode_dss_signature(key.sign(digest, scheme))


@lru_cache(maxsize=32)
def _signing_field(key: bytes) -> bytes:
    return _key_field(_public(key))


def _key_field(key: PublicKey) -> bytes:
    """The bytes whose SHA-256 the eFuses keep."""
    if isinstance(key, rsa.RSAPublicKey):
        numbers = key.public_numbers()
        # What the chip's hardware would need long to find out: R^2 mod n and -1/n mod 2^32, with R = 2^3072.
        r_squared, m_prime = pow(2, 2 * _RSA_BITS, numbers.n), -pow(numbers.n, -1, 1 << 32) % (1 << 32)
        return struct.pack(
            "<384sI384sI", numbers.n.to_bytes(384, "little"), numbers.e, r_squared.to_bytes(384, "little"), m_prime
        )
    curve, point = _curve(key), key.public_numbers()
    return bytes([curve.curve_id]) + _pair(point.x, point.y, curve)


def _pair(first: int, second: int, curve: _Curve) -> bytes:
    both = first.to_bytes(curve.number, "little") + second.to_bytes(curve.number, "little")
    return both.ljust(curve.room, b"\0")
