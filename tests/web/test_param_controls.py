"""A node's parameters as controls, whatever its config says, and what a form may send of them."""

from __future__ import annotations

import pytest
from stub_nodes import DEVICES, PARAMS

from py_esp_ota.cloud.refusals import CloudError, Refusal
from py_esp_ota.cloud.web.params import groups, setting

CONFIG = {"devices": DEVICES, "services": []}


def test_each_type_has_its_control_and_read_only_ones_have_none():
    (lamp,) = groups(CONFIG, PARAMS)
    assert {param.name: (param.control, param.text) for param in lamp.params} == {
        "Name": ("text", "Lamp"),
        "Power": ("switch", "true"),
        "Brightness": ("number", "60"),
        "Effect": ("choice", "candle"),
        "Temperature": ("none", "23.5"),
    }
    assert [param.bounded for param in lamp.params] == [False, False, True, False, False]


def test_what_was_only_reported_is_shown_and_cannot_be_set():
    found = groups(CONFIG, {**PARAMS, "Lamp": {"Hue": 3}, "Scenes": {"a": [1]}})
    assert [(param.control, param.text) for param in found[0].params[-1:]] == [("none", "3")]
    assert [(group.name, group.params[0].text) for group in found[1:]] == [("Scenes", "[1]")]
    with pytest.raises(CloudError, match="Hue can only be read"):
        setting(found, "Lamp", "Hue", "4")


@pytest.mark.parametrize(
    "config",
    [
        {"devices": 7},
        {"devices": [7, None, {"name": 3}, {"name": "x", "params": {"a": 1}}]},
        {"devices": [{"name": "x", "params": [1, {"name": 5}, {"name": "p", "properties": "write"}]}]},
        {"devices": [{"name": "x", "params": [{"name": "p", "bounds": [1], "valid_strs": {"a": 1}}]}]},
        {"devices": [{"name": "x", "params": [{"name": "p", "bounds": {"min": "0", "max": True}}]}]},
        {"services": "none"},
    ],
)
def test_a_config_of_any_shape_does_no_harm(config):
    for group in groups(config, {"x": 5, "y": {"p": {}}}):
        for param in group.params:
            assert param.control == "none"
            assert param.minimum is None


@pytest.mark.parametrize(
    ("name", "text", "value"),
    [
        ("Name", "", ""),
        ("Power", "false", False),
        ("Brightness", "0", 0),
        ("Brightness", "100", 100),
        ("Effect", "party", "party"),
    ],
)
def test_a_form_s_text_becomes_the_value_of_the_parameter_s_type(name, text, value):
    sent = setting(groups(CONFIG, PARAMS), "Lamp", name, text)
    assert sent == {"Lamp": {name: value}}
    assert type(sent["Lamp"][name]) is type(value)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("Power", "on", "Power is true or false"),
        ("Brightness", "bright", "Brightness is a whole number"),
        ("Brightness", "1.5", "Brightness is a whole number"),
        ("Brightness", "101", "Brightness is at least 0 and at most 100"),
        ("Effect", "disco", "Effect is one of still, candle, party"),
        ("Temperature", "20", "Temperature can only be read"),
        ("Colour", "red", "the node has no parameter Lamp.Colour"),
    ],
)
def test_a_value_that_does_not_fit_is_refused_in_a_sentence(name, text, sentence):
    with pytest.raises(CloudError) as refused:
        setting(groups(CONFIG, PARAMS), "Lamp", name, text)
    assert refused.value.refusal is Refusal.INVALID_REQUEST
    assert refused.value.description == sentence


@pytest.mark.parametrize(
    ("data_type", "text", "value"),
    [("float", "1.5", 1.5), ("object", '{"a": [1]}', {"a": [1]}), ("array", "[1, 2]", [1, 2])],
)
def test_numbers_and_documents_are_read(data_type, text, value):
    param = {"name": "p", "data_type": data_type, "properties": ["write"]}
    found = groups({"devices": [{"name": "x", "params": [param]}]}, {})
    assert setting(found, "x", "p", text) == {"x": {"p": value}}
    for wrong in ("nan", "1e999", '"text"', "[" * 100):
        with pytest.raises(CloudError):
            setting(found, "x", "p", wrong)
