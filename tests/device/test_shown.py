"""What a notebook shows of the things one works with."""

from __future__ import annotations

from py_esp_ota import Device, EspErr, Lab
from py_esp_ota.firmware import Firmware

APP = Firmware("lamp", "1.0.0").to_bytes()


def test_a_device_says_what_it_is_and_what_runs():
    lamp = Device("two_ota", firmware=APP, node_id="lamp1")
    assert repr(lamp) == "<Device 'lamp1': esp32c3, 4 MiB, not switched on>"
    lamp.power_on()
    assert repr(lamp) == "<Device 'lamp1': esp32c3, 4 MiB, runs lamp 1.0.0 from factory>"
    lamp.power_off()
    assert repr(lamp) == "<Device 'lamp1': esp32c3, 4 MiB, without power>"
    slot = Device("two_ota_large", firmware=APP)
    slot.power_on()
    assert repr(slot) == "<Device 'node': esp32c3, 4 MiB, runs lamp 1.0.0 from ota_0, VALID>"
    blank = Device("two_ota", target="esp32c3")
    blank.power_on()
    assert repr(blank) == "<Device 'node': esp32c3, 4 MiB, nothing boots>"


def test_a_lab_says_who_is_in_it():
    assert repr(Lab()) == "<Lab, not open>"
    with Lab() as lab:
        assert repr(lab) == "<Lab with no devices; broker: in-process>"
        lab.device("two_ota", firmware=APP, node_id="lamp1")
        lab.device("two_ota", firmware=APP, node_id="lamp2")
        assert repr(lab) == "<Lab with lamp1, lamp2; broker: in-process>"


def test_a_code_is_shown_as_the_field_writes_it():
    assert repr(EspErr.ESP_ERR_OTA_VALIDATE_FAILED) == "<EspErr.ESP_ERR_OTA_VALIDATE_FAILED: 0x1503>"
    assert repr(EspErr.ESP_FAIL) == "<EspErr.ESP_FAIL: 0xffffffff>"
