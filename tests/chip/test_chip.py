import pytest

from py_esp_ota._core import EFuse, Flash, Target
from py_esp_ota.chip import Chip, ResetReason


def test_a_new_chip_is_erased_and_was_just_powered():
    chip = Chip()
    assert chip.target.name == "esp32c3"
    assert chip.flash.size == 0x400000
    assert chip.flash.is_erased(0, chip.flash.size)
    assert chip.reset_reason is ResetReason.POWERON


@pytest.mark.parametrize("name", Target.names())
def test_a_new_chip_has_a_revision_current_builds_accept(name):
    chip = Chip(name)
    assert chip.efuse.chip_revision == chip.target.default_chip_revision
    assert (chip.efuse.block_revision, chip.efuse.secure_version) == (0, 0)


def test_a_chip_keeps_the_flash_and_the_fuses_it_is_given():
    flash, efuse = Flash(0x800000), EFuse("esp32s3", chip_revision=1, secure_version=4)
    chip = Chip("esp32s3", flash=flash, efuse=efuse)
    assert chip.flash is flash
    assert chip.efuse is efuse
    assert repr(chip) == "Chip('esp32s3', flash_size=0x800000)"


def test_flash_size_counts_only_without_a_flash():
    assert Chip(flash_size=0x100000).flash.size == 0x100000


def test_misuse_is_a_value_error():
    with pytest.raises(ValueError, match="esp8266"):
        Chip("esp8266")
    with pytest.raises(ValueError):
        Chip(flash_size=1000)


def test_reset_reasons_have_the_rom_numbers():
    assert [(reason.name, reason.value) for reason in ResetReason] == [
        ("POWERON", 1),
        ("SW", 3),
        ("DEEPSLEEP", 5),
        ("TG0WDT_SYS", 7),
        ("TG1WDT_SYS", 8),
        ("RTCWDT_SYS", 9),
        ("SW_CPU", 12),
        ("RTCWDT_RTC", 16),
    ]
