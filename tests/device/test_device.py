"""One device by itself: what is flashed where, what it says of itself, power that comes and goes."""

from __future__ import annotations

import asyncio

import pytest

from py_esp_ota import Device, Lab, PartitionTable, PowerLoss, Sdkconfig
from py_esp_ota.firmware import Firmware, bootloader

APP = Firmware("lamp", "1.0.0").to_bytes()


def test_firmware_goes_into_factory_or_else_into_the_first_slot():
    assert Device("two_ota", firmware=APP).power_on().partition.label == "factory"
    assert Device("two_ota_large", firmware=APP).power_on().partition.label == "ota_0"


def test_chip_and_flash_size_come_from_the_firmware_and_the_table():
    device = Device("two_ota_large", firmware=Firmware("lamp", "1", chip="esp32s3").to_bytes())
    assert (device.chip.target.name, device.flash.size) == ("esp32s3", 4 << 20)
    assert Device("singleapp", firmware=APP).flash.size == 2 << 20
    assert Device("singleapp", firmware=APP, flash_size=16 << 20).flash.size == 16 << 20


@pytest.mark.parametrize(
    ("partitions", "options", "words"),
    [
        ("two_ota", {}, "needs target="),
        ("two_ota", {"firmware": APP[:12] + b"\xff\xff" + APP[14:]}, "chip id is unknown"),
        ("singleapp", {"firmware": APP + bytes(1 << 20)}, "only 1048576"),
        ("two_ota", {"firmware": APP, "flash_size": 1 << 20}, "needs 0x310000 bytes of flash"),
        (PartitionTable.from_csv("nvs,data,nvs,,0x4000"), {"firmware": APP}, "neither app/factory nor app/ota_0"),
        ("no_such_table", {"firmware": APP}, "no_such_table"),
    ],
)
def test_what_cannot_be_flashed_is_refused(partitions, options, words):
    with pytest.raises(ValueError, match=words):
        Device(partitions, **options)


def test_a_device_says_what_runs_only_while_it_has_power():
    device = Device("two_ota_large", firmware=APP)
    assert (device.report, device.running, device.state) == (None, None, "")
    device.power_on()
    assert (device.running.version, device.state) == ("1.0.0", "VALID")
    device.power_off()
    assert (device.running, device.state) == (None, "")
    with pytest.raises(PowerLoss):
        device.flash.read(0, 1)


def test_an_installed_bootloader_is_where_the_rom_looks_for_it():
    image = bootloader(chip="esp32c3", idf_ver="v9.9")
    device = Device("two_ota", firmware=APP, bootloader=image)
    assert device.flash.read(0, len(image)) == image
    assert "ESP-IDF v9.9 2nd stage bootloader" in device.power_on().log[0]


def test_a_cut_during_the_boot_is_told_and_the_next_boot_is_whole():
    device = Device("two_ota_large", firmware=APP)
    device.flash.fault = "cut@1"
    with pytest.raises(PowerLoss):
        device.power_on()
    assert device.boots == []
    assert device.power_on().ok


def test_the_console_is_kept_and_handed_on():
    seen = []
    device = Device("two_ota", firmware=APP, console=seen.append, config=Sdkconfig())
    report = device.power_on()
    assert seen == device.console == list(report.log)


def test_power_that_is_back_at_once_starts_the_app_again_and_not_twice():
    with Lab() as lab:
        device = lab.device("two_ota", firmware=APP, node_id="lamp1")
        device.power_on()
        lab.run(asyncio.sleep(10))
        device.power_off()
        device.power_on()
        lab.run(asyncio.sleep(10))
        assert lab.is_online("lamp1")
        assert sum("MQTT Connected" in line for line in device.console) == 2
        device.power_off()
        lab.run(asyncio.sleep(10))
        assert not lab.is_online("lamp1")


def test_a_blank_device_lies_still_in_the_lab():
    with Lab() as lab:
        device = lab.device("two_ota", firmware=APP, node_id="lamp1")
        device.flash.erase(0x10000, 0x1000)
        assert not device.power_on().ok
        lab.run(asyncio.sleep(100))
        assert (device.running, lab.is_online("lamp1")) == (None, False)
