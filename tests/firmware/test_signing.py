"""The forge of signatures: layout, keys, appending, misuse. espsecure judges it in tests/conformance."""

from __future__ import annotations

import struct
import zlib

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from signed_images import ALL, APP, BLOCK, SECTOR, changed, key

from py_esp_ota import signing
from py_esp_ota._core import signature_blocks, verify_signature_v1
from py_esp_ota.errors import EspErr
from py_esp_ota.signing import padded, public_key_digest, sign, sign_v1


def pem(private):
    return private.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


@pytest.mark.parametrize("scheme", ALL)
def test_the_sector_as_the_format_says(scheme):
    signed = sign(APP, key(scheme))
    assert signed[: len(APP)] == APP
    assert set(signed[len(APP) : SECTOR]) == {0xFF}
    sector = signed[SECTOR:]
    assert len(sector) == SECTOR
    assert set(sector[BLOCK:]) == {0xFF}
    version, hashed = (2, 0) if scheme == "rsa3072" else (3, int(scheme == "ecdsa384"))
    assert sector[:4] == bytes([0xE7, version, hashed, 0])
    assert sector[1196:1200] == struct.pack("<I", zlib.crc32(sector[:1196]))
    assert sector[1200:1216] == bytes(16)
    (block,) = signature_blocks(signed)
    assert (block.valid, block.scheme, block.offset, block.verified) == (True, scheme, SECTOR, True)
    assert block.key_digest == public_key_digest(key(scheme)) == public_key_digest(signing.public_key(key(scheme)))


def test_an_image_of_whole_sectors_is_not_filled_up():
    image = bytes(SECTOR)
    assert sign(image, key())[:SECTOR] == image
    assert len(sign(image, key())) == 2 * SECTOR


def test_ecdsa_signatures_are_the_same_every_time():
    assert sign(APP, key()) == sign(APP, key())
    assert sign_v1(APP, key()) == sign_v1(APP, key())


def test_appending_keeps_what_is_there():
    one = sign(APP, key())
    three = sign(sign(one, key("rsa3072"), append=True), key("ecdsa384"), append=True)
    assert three[: SECTOR + BLOCK] == one[: SECTOR + BLOCK]
    assert [block.scheme for block in signature_blocks(three)] == ["ecdsa256", "rsa3072", "ecdsa384"]
    assert all(block.valid for block in signature_blocks(three))
    with pytest.raises(ValueError, match="3 signatures and 1 more do not fit"):
        sign(three, key(), append=True)


def test_appending_to_an_unsigned_image_signs_it():
    assert sign(APP, key(), append=True) == sign(APP, key())
    assert sign(padded(APP), key(), append=True) == sign(APP, key())


def test_a_broken_block_ends_what_is_kept():
    two = sign(APP, key(), key(number=1))
    torn = changed(two, SECTOR + BLOCK + 700)
    again = sign(torn, key(number=2), append=True)
    assert [block.key_digest for block in signature_blocks(again)] == [
        public_key_digest(key()),
        public_key_digest(key(number=2)),
    ]


def test_version_1_is_68_bytes_behind_the_image():
    signed, public = sign_v1(APP, key()), signing.v1_public_key(key())
    assert (signed[: len(APP)], len(signed)) == (APP, len(APP) + 68)
    assert signed[len(APP) : len(APP) + 4] == bytes(4)
    assert verify_signature_v1(signed, public).err == EspErr.ESP_OK
    with pytest.raises(ValueError, match="a public key has 64 bytes, not 3"):
        verify_signature_v1(signed, b"abc")


@pytest.mark.parametrize(
    ("made", "said"),
    [
        (lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048), "RSA key has 2048 bits"),
        (lambda: ec.generate_private_key(ec.SECP521R1()), "the key is on secp521r1"),
        (ed25519.Ed25519PrivateKey.generate, "neither RSA nor ECDSA"),
    ],
)
def test_keys_that_no_chip_takes(made, said):
    text = pem(made())
    for use in (lambda: sign(APP, text), lambda: public_key_digest(text), lambda: signing.scheme_of(text)):
        with pytest.raises(ValueError, match=said):
            use()


def test_misuse():
    with pytest.raises(ValueError, match="no key to sign with"):
        sign(APP)
    with pytest.raises(ValueError, match="no key in PEM"):
        public_key_digest(b"hello")
    with pytest.raises(ValueError, match="no private key in PEM"):
        sign(APP, b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")
    with pytest.raises(ValueError, match="unknown scheme 'rsa4096'"):
        signing.generate_key("rsa4096")
    for use in (sign_v1, lambda _image, text: signing.v1_public_key(text)):
        with pytest.raises(ValueError, match="need an ECDSA key on secp256r1"):
            use(APP, key("ecdsa384"))
    locked = serialization.load_pem_private_key(key(), None).private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.BestAvailableEncryption(b"secret"),
    )
    with pytest.raises(ValueError, match="no private key in PEM"):
        sign(APP, locked)
