"""CBOR as tinycbor has it: the vectors of a node's requests, and what it makes of anything else."""

from __future__ import annotations

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.rainmaker.cbor import CborError, encode_map, find_bytes, find_int


@pytest.mark.parametrize(
    ("members", "vector"),
    [
        ([("f", 1), ("l", 289), ("o", 0), ("n", 1)], "a4616601616c190121616f00616e01"),
        (
            [("f", 1), ("l", 4096), ("o", 0), ("b", b"\xff\xff"), ("n", 16)],
            "a5616601616c191000616f00616242ffff616e10",
        ),
        (
            [("f", 1), ("l", 4096), ("o", 16), ("b", b"\xfb\xff"), ("n", 16)],
            "a5616601616c191000616f10616242fbff616e10",
        ),
    ],
)
def test_the_vectors_of_requests(members, vector):
    assert encode_map(members).hex() == vector


@given(st.lists(st.tuples(st.text(max_size=3), st.integers(-(2**64), 2**64 - 1) | st.binary(max_size=70_000))))
def test_every_head_is_as_short_as_it_can_be(members):
    assert encode_map(dict(members).items()) == cbor2.dumps(dict(members))


@given(st.integers(-(2**64), 2**64 - 1))
def test_integers_are_narrowed_to_32_bits(number):
    found = find_int(cbor2.dumps({"i": number}), "i")
    assert -(2**31) <= found < 2**31
    assert (found - number) % 2**32 == 0


KEYS = st.sampled_from(["f", "i", "l", "p", "", "x"]) | st.integers() | st.binary(max_size=3)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**64), 2**64 - 1) | st.floats() | st.text() | st.binary(),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(KEYS, inner, max_size=4)
        | inner.map(lambda value: cbor2.CBORTag(9999, value))
    ),
    max_leaves=12,
)


@given(st.dictionaries(KEYS, VALUES, max_size=6), st.sampled_from("fil"))
def test_a_value_is_found_among_any_others(members, key):
    message = cbor2.dumps(members)
    if type(members.get(key)) is int:
        assert (find_int(message, key) - members[key]) % 2**32 == 0
    else:
        with pytest.raises(CborError):
            find_int(message, key)


@given(st.binary(max_size=300))
def test_nothing_else_than_a_refusal_comes_of_garbage(message):
    for find in (lambda: find_int(message, "i"), lambda: find_bytes(message, "p", 4096)):
        try:
            found = find()
        except CborError:
            continue
        assert isinstance(found, int) or len(found) <= len(message)


@given(st.dictionaries(KEYS, VALUES, max_size=4), st.data())
def test_a_message_that_is_cut_off_is_refused_or_was_read_already(members, data):
    message = cbor2.dumps(members | {"p": b"0123456789"})
    cut = data.draw(st.integers(0, len(message)))
    try:
        assert find_bytes(message[:cut], "p", 10) == b"0123456789"
    except CborError:
        assert cut < len(message)


@pytest.mark.parametrize(
    ("message", "found"),
    [
        ("bf616901ff", 1),  # a map without a length
        ("a17f6169ff01", 1),  # a key in pieces
        ("a1c1616901", 1),  # a tag before the key is passed over
        ("a2616901616902", 1),  # the first of two
        ("a1616901ffff", 1),  # what follows is not looked at
        ("ba00000001616901", 1),
        ("a2f6f6616901", 1),
        ("a29f01820203ff80616901", 1),
    ],
)
def test_what_the_parser_forgives(message, found):
    assert find_int(bytes.fromhex(message), "i") == found


@pytest.mark.parametrize(
    "message",
    [
        "a16169c101",  # a tag before the value is not
        "a161691c",
        "a16169f6",
        "a1616981",
        "bf6169ff",
        "bf00ff616901ff",
        "a2f80000616901",
        "bbffffffffffffffff00",
        "a2bf00ff00616901",  # a key without a value, in a key
        "a2" + "81" * 1100 + "00" + "00" + "616901",
    ],
)
def test_what_it_does_not(message):
    with pytest.raises(CborError):
        find_int(bytes.fromhex(message), "i")


def test_a_byte_string_in_pieces_is_one():
    message = b"\xa1\x61p\x5f\x42ab\x41c\xff"
    assert find_bytes(message, "p", 3) == b"abc"
    with pytest.raises(CborError, match="3 bytes"):
        find_bytes(message, "p", 2)
    with pytest.raises(CborError):
        find_bytes(b"\xa1\x61p\x5f\x42ab\x61c\xff", "p", 9)
