"""The chips: what ESP-IDF's own headers say of each."""

from __future__ import annotations

import pytest
from image_bytes import CHIP_IDS

from py_esp_ota._core import Target

# name: chip id, bootloader offset, cores, lowest and highest revision of a default build
CHIPS = {
    "esp32": (0x0000, 0x1000, 2, 0, 399),
    "esp32s2": (0x0002, 0x1000, 1, 0, 199),
    "esp32c3": (0x0005, 0x0, 1, 3, 199),
    "esp32s3": (0x0009, 0x0, 2, 0, 99),
    "esp32c2": (0x000C, 0x0, 1, 100, 299),
    "esp32c6": (0x000D, 0x0, 1, 0, 99),
    "esp32h2": (0x0010, 0x0, 1, 0, 199),
    "esp32p4": (0x0012, 0x2000, 2, 301, 399),
    "esp32c61": (0x0014, 0x0, 1, 100, 199),
    "esp32c5": (0x0017, 0x2000, 1, 100, 199),
    "esp32h21": (0x0019, 0x0, 1, 0, 99),
    "esp32h4": (0x001C, 0x2000, 2, 0, 99),
    "esp32s31": (0x0020, 0x2000, 2, 0, 99),
}


def test_all_chips_are_there():
    assert sorted(Target.names()) == sorted(CHIPS) == sorted(CHIP_IDS)


@pytest.mark.parametrize("name", CHIPS)
def test_figures(name):
    chip_id, offset, cores, lowest, highest = CHIPS[name]
    target = Target(name)
    assert (target.name, target.chip_id, target.bootloader_offset, target.cores) == (name, chip_id, offset, cores)
    assert target.mmu_page_size() == 0x10000
    assert lowest <= target.default_chip_revision <= highest
    assert Target.from_chip_id(chip_id) == target
    assert hash(Target.from_chip_id(chip_id)) == hash(target)
    assert repr(target) == f'Target("{name}")'


def test_chips_differ():
    assert len({Target(name) for name in CHIPS}) == len(CHIPS)
    assert Target("esp32") != "esp32"


def test_unknown_chips():
    with pytest.raises(ValueError, match="esp8266"):
        Target("esp8266")
    assert Target.from_chip_id(31) is None
    assert Target.from_chip_id(0xFFFF) is None
    for nonsense in (-1, 0x10000):
        with pytest.raises(ValueError):
            Target.from_chip_id(nonsense)
