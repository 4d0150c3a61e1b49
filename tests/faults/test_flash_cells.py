"""Broken cells of a device's flash, and what the device makes of them."""

from __future__ import annotations

import pytest

from py_esp_ota import Device, Flash
from py_esp_ota.errors import FlashError
from py_esp_ota.firmware import Firmware
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OtaOps
from py_esp_ota.idf.log import Log

OLD, NEW = (Firmware("lamp", version).to_bytes() for version in ("1.0.0", "1.1.0"))


def update(device):
    ops = OtaOps(device.chip, device.report.partition, device.config, Log(lambda: 0))
    slot = ops.get_next_update_partition()
    handle = ops.begin(slot, OTA_SIZE_UNKNOWN)
    ops.write(handle, NEW)
    ops.end(handle)


def test_a_stuck_cell_under_an_update_is_found_by_its_hash():
    lamp = Device("two_ota", firmware=OLD)
    lamp.power_on()
    lamp.flash.fault = "stuck1@0x110200.3+stuck0@0x110210.0"
    with pytest.raises(Exception, match="ESP_ERR_OTA_VALIDATE_FAILED"):
        update(lamp)
    lamp.flash.fault = ""
    update(lamp)  # another erase, and the cells are sound


def test_a_bit_that_flips_in_the_running_app_is_found_at_the_next_boot():
    lamp = Device("two_ota", firmware=OLD)
    assert lamp.power_on().ok
    lamp.flash.fault = "bitflip@0x10200.5"
    assert not lamp.power_on().ok
    lamp.flash.fault = "bitflip@0x10200.5"
    assert lamp.power_on().ok


def test_a_strict_flash_does_not_blame_the_program_for_a_stuck_cell():
    flash = Flash(1 << 20)
    flash.fault = "stuck0@0x10.0"
    flash.erase(0, 0x1000)
    flash.program(0x10, b"\xff\x00")
    assert flash.read(0x10, 2) == b"\xfe\x00"
    with pytest.raises(FlashError):
        flash.program(0x11, b"\x01")


def test_cells_and_cuts_go_together():
    flash = Flash(1 << 20)
    flash.fault = "bitflip@0x3.7+cut@1:after+stuck0@0x4.0"
    assert flash.fault == "cut@1:after+stuck0@0x4.0"
    assert flash.read(3, 2) == b"\x7f\xfe"


def test_a_cell_outside_the_chip_breaks_nothing():
    flash = Flash(1 << 20)
    flash.fault = "stuck0@0xffffffffff.0"
    flash.erase(0, 0x1000)
    assert flash.is_erased(0, 1 << 20)
