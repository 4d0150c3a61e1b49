"""What a raw flash image tells of its chip and of its flash."""

from __future__ import annotations

import pytest

from py_esp_ota import Flash, PartitionTable
from py_esp_ota.firmware import Firmware, bootloader, merge
from py_esp_ota.idf.detect import detect_target, load_flash

TABLE = PartitionTable.builtin("two_ota")  # ends at 0x310000


def dump(*, chip="esp32c3", boot_at=None, flash_size=0x200000, app=True, table=0x8000):
    parts = {table: TABLE.to_bytes()}
    if boot_at is not None:
        parts[boot_at] = bootloader(chip=chip, flash_size=flash_size)
    if app:
        parts[0x10000] = Firmware("lamp", "1", chip=chip).to_bytes()
    return merge(parts)


@pytest.mark.parametrize(
    ("chip", "offset"), [("esp32", 0x1000), ("esp32c3", 0x0), ("esp32s3", 0x0), ("esp32c5", 0x2000)]
)
def test_the_bootloader_names_the_chip(chip, offset):
    assert detect_target(load_flash(dump(chip=chip, boot_at=offset, app=False))).name == chip


def test_a_bootloader_where_its_rom_does_not_look_says_nothing():
    assert detect_target(load_flash(dump(chip="esp32c3", boot_at=0x1000, app=False))) is None


def test_without_a_bootloader_the_first_app_names_the_chip():
    assert detect_target(load_flash(dump(chip="esp32c6"))).name == "esp32c6"


def test_the_table_may_lie_elsewhere():
    image = dump(chip="esp32s3", table=0xC000)
    assert detect_target(load_flash(image, 0xC000), 0xC000).name == "esp32s3"
    assert detect_target(load_flash(image)) is None


@pytest.mark.parametrize("size", [0x400000, 0x800000, 0x1000000])
def test_the_bootloaders_header_tells_the_flash_size(size):
    assert load_flash(dump(boot_at=0, flash_size=size)).size == size


def test_the_table_tells_the_least_flash_size():
    assert load_flash(dump(boot_at=0, flash_size=0x100000)).size == 0x400000
    assert load_flash(dump()).size == 0x400000


def test_noise_is_no_chip_and_stays_as_large_as_it_is():
    flash = load_flash(bytes(range(256)) * 8192)
    assert (flash.size, detect_target(flash)) == (0x200000, None)
    assert detect_target(Flash(0x100000), 0x100000 - 0x100) is None
