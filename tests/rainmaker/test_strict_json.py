"""What the cloud reads as JSON, and what it does not: a bound for everything that somebody could send."""

from __future__ import annotations

import json
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.rainmaker.messages import decode_params
from py_esp_ota.strict_json import DEPTH_LIMIT, JsonError, read_json, too_deep

values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text('[]{}",\\a'),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text('[{"\\'), inner, max_size=3),
)


def nested(depth: int) -> bytes:
    """Arrays and objects in turn, so many inside each other."""
    return b'[{"a":' * (depth // 2) + b"[]" * (depth % 2) + b"0" * (1 - depth % 2) + b"}]" * (depth // 2)


@given(values)
def test_everything_that_is_json_is_read_as_it_is(value):
    for text in (json.dumps(value), json.dumps(value, ensure_ascii=False, indent=1)):
        assert read_json(text.encode()) == value


@pytest.mark.parametrize("depth", [1, DEPTH_LIMIT - 1, DEPTH_LIMIT])
def test_as_deep_as_allowed(depth):
    assert read_json(nested(depth)) is not None


@pytest.mark.parametrize(
    "payload",
    [
        nested(DEPTH_LIMIT + 1),
        nested(2000),
        b"[" * 100_000,
        b'{"a":' * 100_000,
        b'{"a":"\\"]]]]",' + b'"b":[' * 300,  # brackets in a string close nothing
        b"[[],[],[],{}]" * 20 + b"[" * 65,  # no JSON either, and never asked whether it is
    ],
    ids=["one too deep", "valid", "arrays", "objects", "brackets in strings", "after others"],
)
def test_what_stands_deeper_is_refused_before_it_is_built(payload):
    with pytest.raises(JsonError, match=f"nested deeper than {DEPTH_LIMIT} levels"):
        read_json(payload)


@given(st.text('[]{}"\\a', max_size=400))
def test_depth_is_that_of_the_brackets_outside_of_strings(text):
    depth = deepest = 0
    in_string = escaped = False
    for char in text:
        if in_string:
            in_string = escaped or char != '"'
            escaped = char == "\\" and not escaped
        elif char == '"':
            in_string = True
        elif char in "[{":
            depth += 1
        elif char in "]}":
            depth -= 1
        deepest = max(deepest, depth)
    assert too_deep(text) == (deepest > DEPTH_LIMIT)


@pytest.mark.parametrize(
    ("payload", "problem"),
    [
        (b'{"a":NaN}', "NaN is no JSON number"),
        (b"[-Infinity]", "-Infinity is no JSON number"),
        (b"[1e999]", "a number that no double holds"),
        (b"-" + b"9" * 400, "a number that no double holds"),
        (b"[" + b"9" * 5000 + b"]", "a number that no double holds"),  # Python itself gives up beyond 4300
        (b'"\xed\xa0\x80"', "not UTF-8"),
        ('{"a":1}'.encode("utf-16"), "not UTF-8"),
        ('{"a":1}'.encode("utf-16-le"), "not JSON"),
        (b'\xef\xbb\xbf{"a":1}', "not JSON"),
        (b'{"a":1} x', "not JSON"),
        (b"", "not JSON"),
        (b'{"a":"\x01"}', "not JSON"),
    ],
)
def test_what_readers_disagree_about_is_refused(payload, problem):
    with pytest.raises(JsonError, match=problem):
        read_json(payload)


@pytest.mark.parametrize(
    ("payload", "value"),
    [
        (b"1" + b"0" * 308, 10**308),
        (b"-0.0", -0.0),
        (rb'"\ud83d\ude00"', "\N{GRINNING FACE}"),
        (rb'"\ud800"', "\ud800"),  # whoever stores it refuses it, and a node's words are shown without it
        (b'{"a":1,"a":2}', {"a": 2}),  # as every reader of Python and JavaScript; what is sent on is written anew
    ],
)
def test_what_is_odd_and_yet_clear(payload, value):
    assert read_json(payload) == value


@pytest.mark.parametrize(
    "hostile", [b'["' + b'\\"' * 500_000, b'"' * 1_000_001, b"[" * 1_000_000, b'["",' * 60 + b'"",' * 300_000]
)
def test_the_time_grows_with_the_size_and_not_faster(hostile):
    begin = time.process_time()
    with pytest.raises(JsonError):
        read_json(hostile)
    assert time.process_time() - begin < 3  # a tenth of that when idle; hours if it grew with the square


def test_a_nodes_report_says_what_is_wrong():
    with pytest.raises(ValueError, match=r"^params: nested deeper than 64 levels$"):
        decode_params(b'{"Light":{"a":' + nested(80) + b"}}")
    with pytest.raises(ValueError, match=r"^params: NaN is no JSON number$"):
        decode_params(b'{"Light":{"a":NaN}}')
    with pytest.raises(ValueError, match=r"^params: 5 bytes that are not JSON at byte 1$"):
        decode_params(b"{true")
