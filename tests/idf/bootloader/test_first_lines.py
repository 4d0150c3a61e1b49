"""ROM's own lines on the model's console: before each run, whoever is started."""

from __future__ import annotations

import pytest
from board import ROLLBACK, Board

from py_esp_ota._core import Target
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import bootloader
from py_esp_ota.idf.bootloader.compare import difference
from py_esp_ota.idf.bootloader.lines import rom_lines_of
from py_esp_ota.idf.bootloader.machine_code import SiliconBoot
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.rom_lines import VOICES
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.silicon.report import SiliconReport


@pytest.mark.parametrize("chip", Target.names())
def test_the_console_begins_with_rom_and_the_log_does_not(chip):
    board = Board("two_ota_large", chip=chip)
    board.chip.flash.program(board.chip.target.bootloader_offset, bootloader(chip=chip))
    report = board.boot()
    rom = report.console[: len(report.console) - len(report.log)]
    assert report.console == (*rom, *report.log)
    assert bool(rom) == (chip in VOICES)
    if rom:
        assert rom[0].startswith(("ESP-ROM:esp", "ets "))
        assert rom[-1].startswith("entry 0x")
        assert sum(line.startswith("rst:0x1 (POWERON") for line in rom) == 1


def test_without_a_bootloader_in_flash_nothing_is_loaded():
    report = Board("two_ota", "1/VALID").boot()
    assert report.console[:3] == (
        "ESP-ROM:esp32c3-api1-20210207",
        "Build:Feb  7 2021",
        "rst:0x1 (POWERON),boot:0xd (SPI_FAST_FLASH_BOOT)",
    )
    assert report.console[3:] == report.log


@pytest.mark.parametrize(
    ("reason", "said"),
    [
        (ResetReason.SW, "rst:0x3 (RTC_SW_SYS_RST)"),
        (ResetReason.DEEPSLEEP, "rst:0x5 (DSLEEP)"),
        (ResetReason.RTCWDT_SYS, "rst:0x9 (RTCWDT_SYS_RST)"),
        (ResetReason.RTCWDT_RTC, "rst:0x10 (RTCWDT_RTC_RST)"),
        (ResetReason.SW_CPU, "rst:0xc (RTC_SW_CPU_RST)"),
    ],
)
def test_the_reason_of_the_reset_is_told(reason, said):
    board = Board("two_ota", "1/VALID")
    board.chip.reset_reason = reason
    assert board.boot().console[2].startswith(said)


def test_each_run_from_reset_to_reset_has_its_own():
    board = Board("two_ota", "1/NEW", without=("factory", "ota_0", "ota_1"))
    report = boot(board.chip, ROLLBACK)
    again = [line for line in report.console if line.startswith("rst:")]
    assert report.resets
    assert report.resets == len(again) - 1
    assert all(line.startswith("rst:0x3 ") for line in again[1:])


@pytest.mark.parametrize(
    ("revision", "name"), [(2, "esp32c3-20200918"), (3, "esp32c3-api1-20210207"), (101, "esp32c3-eco7-20230720")]
)
def test_the_rom_is_that_of_the_revision(revision, name):
    chip = Chip("esp32c3")
    chip.efuse = type(chip.efuse)("esp32c3", chip_revision=revision)
    assert boot(chip, Sdkconfig()).console[0] == f"ESP-ROM:{name}"


def test_a_difference_in_roms_lines_is_told():
    board = Board("two_ota", "1/VALID")
    board.chip.flash.program(0, bootloader())
    model = board.boot()
    rom = model.console[: len(model.console) - len(model.log)]
    run = SiliconReport("APP", 0, model.partition.offset, model.log, (), 0, rom=tuple(rom))

    def told(console):
        report = type(model)(**{name: getattr(model, name) for name in model.__slots__} | {"console": console})
        return difference(SiliconBoot(report, (run,)), model, (board.chip.flash, board.chip.flash), "EWI")

    assert told(model.console) is None
    assert told(model.log) is None  # an emulator whose ROM says nothing
    other = [line.replace("mode:DIO", "mode:QIO") for line in model.console]
    assert told(tuple(other)) == (
        "console, ROM: machine code prints 'mode:QIO, clock div:1', the model 'mode:DIO, clock div:1'"
    )
    assert rom_lines_of(model.console)[0] == "rst:0x1 (POWERON)"
