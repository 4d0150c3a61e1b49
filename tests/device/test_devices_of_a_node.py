"""What a device's node says it is made of: its own devices with their params, as its app has them at each boot."""

from __future__ import annotations

import asyncio

from py_esp_ota import Firmware, Lab
from py_esp_ota.rainmaker.params import Bounds, Param, ParamDevice

APP = Firmware("lamp", "1.0.0").to_bytes()


def seen_by_the_cloud(scenario=None, **of_the_device):
    with Lab() as lab:
        device = lab.device(firmware=APP, node_id="n1", **of_the_device)
        device.power_on()
        lab.run(lab.settled("n1", seconds=30))
        if scenario:
            lab.run(scenario(lab, device))
        return lab.service.nodes.detail("n1")


def test_a_device_is_a_lamp_when_nothing_else_is_said():
    node = seen_by_the_cloud()
    assert node.config["info"] == {
        "name": "ESP RainMaker Device",
        "fw_version": "1.0.0",
        "type": "Lightbulb",
        "model": "lamp",
        "project_name": "lamp",
        "platform": "esp32c3",
    }
    power, brightness = (
        {"name": "Power", "type": "esp.param.power", "data_type": "bool"},
        {"name": "Brightness", "type": "esp.param.brightness", "data_type": "int"},
    )
    both = {"properties": ["read", "write"]}
    assert node.config["devices"] == [
        {
            "name": "Light",
            "type": "esp.device.lightbulb",
            "primary": "Power",
            "params": [
                power | both | {"ui_type": "esp.ui.toggle"},
                brightness | both | {"bounds": {"min": 0, "max": 100, "step": 1}, "ui_type": "esp.ui.slider"},
            ],
        }
    ]
    assert node.params == {"Light": {"Power": True, "Brightness": 25}}


def test_name_type_and_devices_are_what_the_app_says():
    mode = Param("Mode", "esp.param.mode", "eco", valid_strs=("eco", "full"))
    speed = Param("Speed", "esp.param.speed", 1.5, ("read",), bounds=Bounds(0.5, 4.0))
    fan = ParamDevice("Fan", "esp.device.fan", [mode, speed], subtype="s", model="m", attributes={"serial": "7"})
    node = seen_by_the_cloud(name="Attic", type="Fan", devices=[fan])
    assert (node.config["info"]["name"], node.config["info"]["type"]) == ("Attic", "Fan")
    (said,) = node.config["devices"]
    assert list(said) == ["name", "type", "subtype", "model", "attributes", "params"]
    assert said["attributes"] == [{"name": "serial", "value": "7"}]
    assert said["params"][0]["valid_strs"] == ["eco", "full"]
    assert said["params"][1]["bounds"] == {"min": 0.5, "max": 4.0}
    assert node.params == {"Fan": {"Mode": "eco", "Speed": 1.5}}
    assert seen_by_the_cloud(devices=[]).config.get("devices", []) == []


def test_a_value_does_not_outlive_a_reset():
    async def change_and_pull_the_plug(lab, device):
        lab.service.nodes.set_params("n1", {"Light": {"Brightness": 80}})
        await asyncio.sleep(1)
        assert lab.service.nodes.detail("n1").params["Light"]["Brightness"] == 80
        device.power_off()
        await asyncio.sleep(1)
        device.power_on()
        await asyncio.sleep(10)

    assert seen_by_the_cloud(change_and_pull_the_plug).params == {"Light": {"Power": True, "Brightness": 25}}
