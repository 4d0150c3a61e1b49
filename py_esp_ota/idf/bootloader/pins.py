"""Pins held at reset: the factory reset and the test app (components/bootloader/subproject/main/bootloader_start.c)."""

from __future__ import annotations

from collections.abc import Sequence

from py_esp_ota._core import BootTable, Partition
from py_esp_ota.chip import Chip, Held
from py_esp_ota.errors import FlashError
from py_esp_ota.idf.bootloader.run import INVALID_INDEX, TEST_APP_INDEX, Run

_DATA = 0x01
_DATA_OTA = 0x00
_DELIMITERS = frozenset(", ")
_FREE = Held(1)  # the bootloader pulls the pin up


def is_long_hold(chip: Chip, pin: int, *, level: int, seconds: int) -> bool:
    """``bootloader_common_check_long_hold_gpio_level``: the pin has ``level`` from reset on, for ``seconds`` at least.

    A free pin reads 1: an option that waits for a high level and a pin that nobody wired makes a long hold.
    """
    held = chip.pins.get(pin, _FREE)
    return held.level == level and held.seconds >= seconds


def label_search(labels: str, label: str) -> bool:
    """``bootloader_common_label_search``: ``label`` stands there, and beside it the ends of the list, commas or blanks.

    What follows a place where it does not is looked at from the next comma or blank on. Upstream stands still on an
    empty label and on one that begins with either; here it is not found.
    """
    at = labels.find(label)
    while at >= 0:
        end = at + len(label)
        if (at == 0 or labels[at - 1] in _DELIMITERS) and (end == len(labels) or labels[end] in _DELIMITERS):
            return True
        onwards = next((place for place in range(at, len(labels)) if labels[place] in _DELIMITERS), at)
        following = labels.find(label, onwards)
        at = following if following > at else -1
    return False


def wants_factory_reset(run: Run) -> bool:
    """Whether the factory-reset pin is held long enough."""
    config = run.config
    return config.bootloader_factory_reset and is_long_hold(
        run.chip,
        config.bootloader_num_pin_factory_reset,
        level=int(config.bootloader_factory_reset_pin_high),
        seconds=config.bootloader_hold_time_gpio,
    )


def factory_reset(run: Run, rows: Sequence[Partition]) -> None:
    """The factory reset: data partitions are erased by label, otadata if the build says so."""
    labels = run.config.bootloader_data_factory_reset
    run.log.info("boot", "Detect a condition of the factory reset")
    run.log.info("boot", f"Data partitions to erase: {labels}")
    if not _erase_part_type_data(run, rows, labels):
        run.log.error("boot", "Not all partitions were erased")
    if run.keeps_rtc_record:
        run.set_rtc_factory_reset_state()


def _erase_part_type_data(run: Run, rows: Sequence[Partition], labels: str) -> bool:
    """``bootloader_common_erase_part_type_data``: whether nothing failed."""
    run.log.info("boot_comm", "## Label            Usage Offset   Length   Cleaned")
    ok = True
    for index, row in enumerate(rows):
        if row.type != _DATA:
            continue
        otadata = run.config.bootloader_ota_data_erase and row.subtype == _DATA_OTA
        cleaned = "no"
        if otadata or label_search(labels, row.label):
            cleaned = _erased(run, row)
            ok = ok and cleaned == "yes"
            run.decide("bootloader_common_erase_part_type_data", f"factory reset: {row.label} erased: {cleaned}")
        run.log.info("boot_comm", f"{index:2d} {row.label:<16} data  {row.offset:08x} {row.size:08x} [{cleaned}]")
    return ok


def _erased(run: Run, row: Partition) -> str:
    try:
        run.chip.flash.erase(row.offset, row.size)
    except FlashError:
        return "err"
    run.wrote = True
    return "yes"


def test_app_index(run: Run, table: BootTable) -> int | None:
    """The test app's index when its pin is held, ``INVALID_INDEX`` when there is none to boot, else ``None``."""
    config = run.config
    if not config.bootloader_app_test or not is_long_hold(
        run.chip,
        config.bootloader_num_pin_app_test,
        level=int(config.bootloader_app_test_pin_high),
        seconds=config.bootloader_hold_time_gpio,
    ):
        return None
    run.log.info("boot", "Detect a boot condition of the test firmware")
    if table.test is not None:
        run.decide("selected_boot_partition", f"pin {config.bootloader_num_pin_app_test} is held -> {table.test.label}")
        return TEST_APP_INDEX
    run.log.error("boot", "Test firmware is not found in partition table")
    run.decide("selected_boot_partition", "the test app's pin is held and the table has no test app -> no boot")
    return INVALID_INDEX
