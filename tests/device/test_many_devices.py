"""Many devices of one kind: what is equal is there once, and what one does is its own."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from py_esp_ota._core import OtaWriter, PartitionTable, verify_image
from py_esp_ota.device import Device
from py_esp_ota.firmware import Firmware

OLD, NEW = (Firmware("lamp", version, size=(1 << 20) - 4096).to_bytes() for version in ("1.0.0", "1.1.0"))
SLOT = next(row for row in PartitionTable.builtin("two_ota_large") if row.label == "ota_1")


def device(number: int) -> Device:
    return Device("two_ota_large", firmware=OLD, node_id=f"n{number}")


def take(device: Device, image: bytes, piece: int = 4096) -> None:
    writer = OtaWriter(SLOT, need_erase=True, magic=image[:1])
    for start in range(0, len(image), piece):
        writer.write(device.flash, image[start : start + piece])
    writer.flush(device.flash)
    assert not verify_image(device.flash, SLOT.offset, SLOT.size, chip="esp32c3").err


def resident() -> int:
    """Bytes."""
    words = dict(line.split(":") for line in Path("/proc/self/status").read_text().splitlines())
    return int(words["VmRSS"].split()[0]) << 10


@pytest.mark.skipif(sys.platform != "linux", reason="reads /proc")
def test_an_image_that_many_devices_take_is_held_once():
    take(device(0), NEW)
    before, devices = resident(), [device(number) for number in range(50)]
    for each in devices:
        take(each, NEW)
    assert (resident() - before) / len(devices) < 128 << 10  # of two images of 1 MiB each


def test_a_device_that_goes_on_does_not_change_the_others():
    one, other = device(1), device(2)
    for each, piece in ((one, 4096), (other, 1000)):
        take(each, NEW, piece)
    before = other.flash.to_bytes()
    assert one.flash.to_bytes() == before
    one.flash.program(SLOT.offset + 0x800, bytes(16))
    one.flash.erase(0x10000, 0x1000)
    assert other.flash.to_bytes() == before
    assert one.flash.read(SLOT.offset + 0x800, 16) == bytes(16)
    assert verify_image(one.flash, SLOT.offset, SLOT.size, chip="esp32c3").err
    assert not verify_image(other.flash, SLOT.offset, SLOT.size, chip="esp32c3").err
    assert not device(3).flash.operations
