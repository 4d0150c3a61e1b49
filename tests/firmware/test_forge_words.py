"""The forge's tools for wrong images, and the keys that everybody knows."""

from __future__ import annotations

import pytest

from py_esp_ota import inspect_image
from py_esp_ota.firmware import CHIPS, Firmware, flipped, layout_of, rehashed, resealed, rewritten
from py_esp_ota.signing import SCHEMES, example_key, public_key_digest, scheme_of, sign

APP = Firmware("lamp", "1.0.0", size=0x400).to_bytes()


def test_each_word_goes_to_its_place():
    words = {"magic": 0xEA, "segment_count": 3, "hash_appended": 2}
    halves = {"chip_id": 0x1234, "min_chip_rev_full": 0x5678, "max_chip_rev_full": 0x9ABC}
    header = inspect_image(rewritten(APP, **words, **halves)).header
    assert {name: getattr(header, name) for name in (*words, *halves)} == words | halves
    changed = inspect_image(resealed(rewritten(APP, load_addr={1: 0x3FC90000, 3: 0x40381000})))
    assert [segment.load_addr for segment in changed.segments][1::2] == [0x3FC90000, 0x40381000]
    assert changed.valid
    assert inspect_image(rewritten(APP, data_len={2: 7})).segments[2].length == 7
    assert rewritten(APP) == APP
    with pytest.raises(ValueError, match="the first byte is 0x00"):
        rewritten(bytes(64), load_addr={0: 0})


def test_a_new_hash_leaves_the_checksum_wrong():
    wrong = flipped(APP, 0x150)
    assert [fault.field for fault in inspect_image(wrong).faults] == ["checksum", "hash"]
    assert [fault.field for fault in inspect_image(rehashed(wrong)).faults] == ["checksum"]
    assert inspect_image(resealed(wrong)).valid
    assert rehashed(rewritten(APP, magic=0)) != rewritten(APP, magic=0)
    plain = Firmware("lamp", "1.0.0", size=0x400, hash_appended=False).to_bytes()
    assert rehashed(plain) == plain
    assert flipped(APP, -1, 0) == bytes([APP[0] ^ 1]) + APP[1:-1] + bytes([APP[-1] ^ 1])


def test_the_chips_by_their_ids():
    assert len(CHIPS) == 13
    assert sorted(CHIPS, key=lambda chip: layout_of(chip).chip_id) == list(CHIPS)


DIGESTS = {
    ("rsa3072", 0): "1c637b5c",
    ("ecdsa192", 0): "f7a13e13",
    ("ecdsa256", 0): "2a9baa5a",
    ("ecdsa384", 0): "d7d621ca",
}


@pytest.mark.parametrize("scheme", SCHEMES)
def test_example_keys_are_the_same_everywhere(scheme):
    first, second = example_key(scheme), example_key(scheme, 1)
    assert public_key_digest(first).hex()[:8] == DIGESTS[scheme, 0]
    assert public_key_digest(first) != public_key_digest(second)
    assert scheme_of(second) == scheme
    [block] = inspect_image(sign(APP, first)).signature
    assert (block.scheme, block.key_digest, block.valid) == (scheme, public_key_digest(first), True)


def test_example_keys_that_there_are_not():
    with pytest.raises(ValueError, match="there is no RSA example key number 2; known: 0, 1"):
        example_key("rsa3072", 2)
    with pytest.raises(ValueError, match="unknown scheme 'rsa4096'"):
        example_key("rsa4096")
