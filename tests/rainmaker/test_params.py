"""Params: set requests, change reports, the init report."""

import json

import pytest

from py_esp_ota.errors import EspErr
from py_esp_ota.rainmaker.params import Param, ParamDevice, ParamStore


def lamp() -> ParamDevice:
    return ParamDevice(
        "Lamp",
        "esp.device.lightbulb",
        [
            Param("Name", "esp.param.name", "Lamp"),
            Param("Power", "esp.param.power", False),
            Param("Brightness", "esp.param.brightness", 25),
            Param("Speed", "esp.param.speed", 0.5),
        ],
    )


@pytest.fixture
def store() -> ParamStore:
    store = ParamStore()
    store.add(lamp())
    return store


def test_the_init_report_holds_everything(store):
    assert store.everything() == b'{"Lamp":{"Name":"Lamp","Power":false,"Brightness":25,"Speed":0.50000}}'


def test_a_change_is_reported_once(store):
    assert store.take_changed() is None
    store.devices[0].param("Power").update(value=True)
    assert store.take_changed() == b'{"Lamp":{"Power":true}}'
    assert store.take_changed() is None


@pytest.mark.parametrize(
    ("request_", "changes"),
    [
        ({"Lamp": {"Power": True, "Brightness": 7}}, {"Lamp": {"Power": True, "Brightness": 7}}),
        ({"Lamp": {"Power": "true"}}, None),
        ({"Lamp": {"Brightness": 7.5}}, None),
        ({"Lamp": {"Speed": 2}}, {"Lamp": {"Speed": 2.0}}),
        ({"Lamp": {"Colour": 1}}, None),
        ({"Fan": {"Power": True}}, None),
        ({"Lamp": 1}, None),
        ([], None),
    ],
)
def test_unknown_names_and_wrong_types_are_ignored(store, request_, changes):
    list(store.handle_set(json.dumps(request_).encode()))
    payload = store.take_changed()
    assert (payload and json.loads(payload)) == changes


def test_a_set_request_that_is_no_json_changes_nothing(store):
    with pytest.raises(ValueError, match="character"):
        list(store.handle_set(b"{"))
    assert store.take_changed() is None


def test_the_write_callback_decides():
    store = ParamStore()
    device = lamp()
    device.write = lambda _param, _value: EspErr.ESP_FAIL
    store.add(device)
    (result,) = store.handle_set(b'{"Lamp":{"Power":true}}')
    assert result == (device, [(device.param("Power"), EspErr.ESP_FAIL)])
    assert store.take_changed() is None


def test_a_name_is_given_once(store):
    with pytest.raises(ValueError, match="already has a device or service 'Lamp'"):
        store.add(lamp())
    with pytest.raises(KeyError, match="Colour"):
        store.device("Lamp").param("Colour")
    with pytest.raises(KeyError, match="Fan"):
        store.device("Fan")


def test_devices_and_services_in_the_node_config(store):
    store.add(
        ParamDevice("OTA", "esp.service.ota", [Param("URL", "esp.param.ota_url", "", ("write",))], is_service=True)
    )
    (device,) = store.config(services=False)
    assert device["params"][2] == {
        "name": "Brightness",
        "type": "esp.param.brightness",
        "data_type": "int",
        "properties": ["read", "write"],
    }
    assert [param["data_type"] for param in device["params"]] == ["string", "bool", "int", "float"]
    assert store.config(services=True) == [
        {
            "name": "OTA",
            "type": "esp.service.ota",
            "params": [{"name": "URL", "type": "esp.param.ota_url", "data_type": "string", "properties": ["write"]}],
        }
    ]
