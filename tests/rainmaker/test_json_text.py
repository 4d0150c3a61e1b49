"""The quirks of the node's two JSON libraries."""

import json
import tracemalloc

import pytest
from hypothesis import given
from hypothesis import strategies as st

from py_esp_ota.rainmaker.json_text import MAX_TOKENS, generate, parse, to_bytes, to_int


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (rb'{"a":"x"}', "x"),
        (rb'{"a":""}', ""),
        (rb'{"a":"https:\/\/h\/p?x=1\u0026y=2"}', r"https:\/\/h\/p?x=1\u0026y=2"),
        (rb'{"a":"say \"hi\""}', r"say \"hi\""),
        (rb'{"a":"first","a":"second"}', "first"),
        (rb'{"a":1,"a":"second"}', None),  # the first member of that name decides
        (rb'{"b":{"a":"inner"}}', None),
        (rb'{"a":null}', None),
        (rb'["a","x"]', None),
        (rb'"a"', None),
        (b'{"a":"x"}\0garbage', "x"),
        (' {"a" :\r\n"\tübergröße" } '.encode(), "\tübergröße"),
        (b'{"a":"\xff"}', "\udcff"),
    ],
)
def test_strings_are_read_verbatim_and_by_type(raw, read):
    assert parse(raw).get_string("a") == read


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("0", 0),
        ("007", 7),
        ("2147483647", 2147483647),
        ("2147483648", -2147483648),
        ("4294967295", -1),
        ("4294967296", -1),
        ("99999999999999999999999", -1),
        ("-5", -5),
        ("-4294967295", 1),
        ("-99999999999999999999999", -1),
        ("1.0", None),
        ("1e3", None),
        ("true", None),
        ("12abc", None),
        ("-", None),
    ],
)
def test_integers_are_an_unsigned_conversion_narrowed_to_32_bits(text, value):
    assert to_int(text) == value
    assert parse(f'{{"n":{text}}}'.encode()).get_int("n") == value


def test_a_quoted_number_is_no_number():
    assert parse(b'{"n":"5"}').get_int("n") is None


@pytest.mark.parametrize(("text", "value"), [("true", True), ("1", True), ("false", False), ("0", False), ("2", None)])
def test_booleans(text, value):
    assert parse(f'{{"b":{text}}}'.encode()).get_bool("b") is value


@pytest.mark.parametrize(
    ("text", "value"), [("1.5", 1.5), ("2", 2.0), ("-1e3", -1000.0), ("1x", None), ("1_0", None), ("true", None)]
)
def test_floats(text, value):
    assert parse(f'{{"f":{text}}}'.encode()).get_float("f") == value


def test_an_object_keeps_its_raw_text():
    inner = parse(b'{"m": {"a" : [1, {"b":"]}"}], "c":2 } , "z":0}').get_object("m")
    assert inner
    assert inner.text == '{"a" : [1, {"b":"]}"}], "c":2 }'
    assert inner.get_int("c") == 2


@pytest.mark.parametrize(
    ("raw", "place"),
    [
        (b"", "a value expected at character 0, found the end"),
        (b" ", "a value expected at character 1, found the end"),
        (b"hello", "a value or a bracket expected at character 0, found 'h'"),
        (b"5", "a value or a bracket expected at character 0, found '5'"),  # how would it know that the number is whole
        (b"{", "a closing bracket expected at character 1, found the end"),
        (b'{"a":1', "a value or a bracket expected at character 5, found '1'"),
        (b'{"a":"x"', "a closing bracket expected at character 8, found the end"),
        (b'{"a":[1}', "the other bracket expected at character 7, found '}'"),
        (b'{"a":1 2}', "a comma or a closing bracket expected at character 7, found '2'"),
        (b'{"a":"\\x"}', "a value or a bracket expected at character 5, found '\"'"),
        (b'{"a":1}x', "a value or a bracket expected at character 7, found 'x'"),
        (b'{"a":1}}', "the end expected at character 7, found '}'"),
        (b"{'a':1}", 'a value or a bracket expected at character 1, found "\'"'),
        (b"{1:2}", "a key expected at character 1, found '1'"),
        (b"{{}:2}", "a key expected at character 1, found '{'"),
        (b"[" * 30_000, "a closing bracket expected at character 30000, found the end"),
        (b"[" * 100_000, f"more than {MAX_TOKENS} values and keys at character {MAX_TOKENS}"),
    ],
)
def test_what_is_no_json_is_refused_with_its_place(raw, place):
    with pytest.raises(ValueError, match="character") as refused:
        parse(raw)
    assert str(refused.value) == place


@pytest.mark.parametrize(
    ("raw", "read"),
    [
        (b'{"a":"x",}', "x"),  # a comma too many
        (b'{,"a":"x"}', "x"),
        (b'{"b":1,,"a":"x"}', "x"),
        (b'{"a":"x"}{"a":"y"}', "x"),  # a second message behind the first
        (b'{"a":"x" "b":1}', "x"),  # no comma: b belongs to a
        (b'{"b":"y" "a":"x"}', None),
        (b'{"b":[1 2],"a":"x"}', "x"),
        (b'{"a","x"}', "x"),  # a key without a value takes the next one
        (b'{"a" "x"}', "x"),
        (b'{"a"}', None),
        (b'{"a":"x"}:}', "x"),  # a bracket too many
        (b'{"a":"x":"y"}', "x"),
        (b'["b":{"a":"y"}]', None),
    ],
)
def test_the_tokeniser_forgives_what_jsmn_forgives(raw, read):
    assert parse(raw).get_string("a") == read


def test_a_deep_message_costs_what_a_flat_one_costs():
    depth = 10_000
    deep = b'{"m":' * depth + b"1" + b"}" * depth
    tracemalloc.start()
    root = parse(b'{"d":' + deep + b',"a":"x"}')
    assert root.get_string("a") == "x"
    assert tracemalloc.get_traced_memory()[1] < 100 * len(deep)
    tracemalloc.stop()
    inner = root.get_object("d")
    assert inner
    assert inner.text == deep.decode()


plain = st.text(st.characters(exclude_characters='"\\', exclude_categories=["Cs", "Cc"]))


@given(st.dictionaries(plain, plain | st.integers(-(2**31), 2**31 - 1) | st.booleans()))
def test_what_the_node_writes_is_json_as_long_as_nothing_needs_escaping(value):
    text = generate(value)
    assert json.loads(text) == value
    root = parse(to_bytes(text))
    for key, item in value.items():
        if isinstance(item, bool):
            assert root.get_bool(key) is item
        elif isinstance(item, int):
            assert root.get_int(key) == item
        else:
            assert root.get_string(key) == item


@given(st.binary() | st.text('{}[]:,"\\ 1a', max_size=12).map(str.encode))
def test_any_bytes_are_json_or_refused(data):
    try:
        value = parse(data)
    except ValueError:
        return
    assert value.kind in {"object", "array", "string", "primitive"}


def test_nothing_is_escaped():
    assert generate({"a": 'say "hi"\n'}) == '{"a":"say "hi"\n"}'


def test_generated_values():
    assert generate({"n": None, "t": True, "i": -3, "f": 0.5, "l": [1, "x"], "o": {}}) == (
        '{"n":null,"t":true,"i":-3,"f":0.50000,"l":[1,"x"],"o":{}}'
    )
    with pytest.raises(TypeError, match="no JSON for bytes"):
        generate(b"")
