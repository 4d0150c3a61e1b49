"""Params and devices that RainMaker has names for (components/esp_rainmaker/src/standard_types/)."""

from __future__ import annotations

from py_esp_ota.rainmaker.params import Bounds, Param, ParamDevice

_PERCENT = Bounds(0, 100, 1)


def power(name: str = "Power", *, value: bool = True) -> Param:
    """``esp_rmaker_power_param_create``."""
    return Param(name, "esp.param.power", value, ui_type="esp.ui.toggle")


def brightness(name: str = "Brightness", *, value: int = 25) -> Param:
    """``esp_rmaker_brightness_param_create``."""
    return Param(name, "esp.param.brightness", value, bounds=_PERCENT, ui_type="esp.ui.slider")


def lamp(name: str = "Light") -> ParamDevice:
    """The light of RainMaker's example ``led_light``, as far as a lamp goes that has one colour."""
    return ParamDevice(name, "esp.device.lightbulb", [power(), brightness()], primary="Power")
