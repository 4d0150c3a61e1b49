"""Hostile signature sectors: every byte turned over, numbers that no key has, and noise. No panic, no pass."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from signed_images import APP, BLOCK, SECTOR, changed, digest, fuses, in_block, key, look, resealed

from py_esp_ota._core import EFuse, rom_verify_signature, signature_blocks, verify_signature_v1
from py_esp_ota.errors import EspErr
from py_esp_ota.signing import padded, resealed_block, sign, sign_v1, v1_public_key

OK = EspErr.ESP_OK

# What nobody looks at when the first block is good, by its offset in the sector: its last 16 bytes, the other blocks,
# and the rest.
IGNORED = {*range(1200, 3648), *range(3648, SECTOR)}
# What the CRC alone guards in an ECDSA block, for an app: two reserved bytes, the stored digest, and the fill.
CRC_ALONE = {2, 3, *range(4, 36), *range(165, 1196)}
CRC_ALONE_RSA = {2, 3, *range(4, 36)}


@pytest.mark.parametrize(("build", "step"), [("app", 13), ("bootloader", 29)])
def test_every_byte_of_a_signed_image_counts_or_is_on_the_list(build, step):
    """Every byte of the block, and elsewhere one in ``step``: what is overlooked there is overlooked in long runs."""
    signed = sign(APP, key())
    start = len(padded(APP))
    places = sorted({*range(-start, SECTOR, step), *range(0, BLOCK, 1 if build == "app" else 5)})
    sets = (changed(signed, start + at) for at in places)
    accepted = {at for at, data in zip(places, sets, strict=True) if look(data, fuses(digest()), build=build).err == OK}
    assert accepted == IGNORED & set(places)


@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_every_byte_of_an_ecdsa_block_under_a_right_crc(build):
    signed = sign(APP, key())
    sets = (resealed(changed(signed, in_block(at))) for at in range(1196))
    accepted = {at for at, data in enumerate(sets) if look(data, fuses(digest()), build=build).err == OK}
    # The ROM wants the digest that stands in the block to be right.
    assert accepted == (CRC_ALONE if build == "app" else CRC_ALONE - set(range(4, 36)))


@pytest.mark.parametrize("build", ["app", "bootloader"])
def test_bytes_of_an_rsa_block_under_a_right_crc(build):
    signed = sign(APP, key("rsa3072"))
    places = {*(0, 1, 2, 3, 4, 35), *range(36, 812, 194), 420, 424, 808, *range(812, 1196, 127), 1195}
    words = {"scheme": "rsa3072", "build": build}
    accepted = {
        at
        for at in places
        if look(resealed(changed(signed, in_block(at))), fuses(digest("rsa3072")), **words).err == OK
    }
    assert accepted == (CRC_ALONE_RSA & places if build == "app" else {2, 3})


def test_every_byte_of_a_version_1_signature_counts():
    signed, public = sign_v1(APP, key()), v1_public_key(key())
    assert verify_signature_v1(signed, public).err == OK
    for at in (*range(0, len(APP), 17), *range(len(APP), len(signed))):
        assert verify_signature_v1(changed(signed, at), public).err != OK


# What arithmetic fears: nothing, one, even numbers, the largest ones, the orders of the curves.
ORDERS = (
    0xFFFFFFFFFFFFFFFFFFFFFFFF99DEF836146BC9B1B4D22831,
    0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551,
)
NUMBERS = [0, 1, 2, 3, *ORDERS, *(order - 1 for order in ORDERS), (1 << 384) - 1, 1 << 383]


@pytest.mark.parametrize("number", NUMBERS, ids=lambda number: f"{number.bit_length()}bit{number & 3}")
@pytest.mark.parametrize("scheme", ["rsa3072", "ecdsa192", "ecdsa256", "ecdsa384"])
def test_numbers_that_no_key_and_no_signature_has(scheme, number):
    size, key_at, value_at, hash_name = {
        "rsa3072": (384, 36, 812, "sha256"),
        "ecdsa192": (24, 37, 101, "sha256"),
        "ecdsa256": (32, 37, 101, "sha256"),
        "ecdsa384": (48, 53, 149, "sha384"),
    }[scheme]
    assert hash_name
    raw = (number % (1 << size * 8)).to_bytes(size, "little")
    signed = sign(APP, key(scheme))
    second = 4 if scheme == "rsa3072" else size
    places = [key_at, value_at, value_at + size] if scheme != "rsa3072" else [key_at, value_at, 424]
    for at in [*places, key_at + size]:
        part = raw[:second] if at == key_at + size else raw
        (block,) = signature_blocks(resealed(changed(signed, in_block(at), part)))
        good = changed(signed, in_block(at), part) == signed
        assert block.valid == good
        assert block.crc_ok


@pytest.mark.parametrize("exponent", [0, 1, 2, 3, 65536, 0xFFFFFFFF])
def test_an_rsa_key_with_another_exponent_verifies_nothing(exponent):
    signed = resealed(changed(sign(APP, key("rsa3072")), in_block(420), exponent.to_bytes(4, "little")))
    (block,) = signature_blocks(signed)
    assert (block.verified, block.valid) == (False, False)


def test_a_point_off_the_curve_is_named():
    (block,) = signature_blocks(resealed(changed(sign(APP, key()), in_block(37))))
    assert [(fault.field, fault.offset % SECTOR, fault.expected) for fault in block.faults] == [
        ("signature key", 36, "one of ecdsa256")
    ]


HEADS = st.sampled_from(
    [b"\xe7\x02\0\0", b"\xe7\x03\0\0", b"\xe7\x03\x01\0", b"\xe7\x03\x02\0", b"\xe7\x01\0\0", b"\xff\xff"]
)
CURVES = st.sampled_from([0, 1, 2, 3, 255])
FILL = st.one_of(st.binary(min_size=64, max_size=64), st.sampled_from([bytes(64), b"\xff" * 64, b"\x01" + bytes(63)]))


@settings(max_examples=60, deadline=None)
@given(heads=st.tuples(HEADS, HEADS, HEADS), curve=CURVES, fill=FILL, size=st.sampled_from([0, 1, 20, 32, 48, 64]))
def test_noise_in_the_form_of_blocks_never_panics_and_never_passes(heads, curve, fill, size):
    sector = b""
    for head in heads:
        body = bytearray((fill * 20)[:BLOCK])
        body[: len(head)] = head
        body[36] = body[52] = curve
        sector += resealed_block(bytes(body))
    sector = sector.ljust(SECTOR, b"\xff")
    assert not any(block.verified for block in signature_blocks(sector, bytes(size)))
    for scheme in ("rsa3072", "ecdsa256", "ecdsa384"):
        assert not rom_verify_signature(EFuse("esp32c6"), sector, bytes(size), scheme=scheme)


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=200), st.binary(min_size=64, max_size=64))
def test_noise_is_no_version_1_signature(data, public):
    assert verify_signature_v1(data, public).err != OK


@given(st.integers(0, 3 * SECTOR).filter(lambda size: size % SECTOR or not size))
def test_a_sector_is_whole(size):
    with pytest.raises(ValueError, match="whole sectors of 4096 bytes"):
        signature_blocks(bytes(size))
