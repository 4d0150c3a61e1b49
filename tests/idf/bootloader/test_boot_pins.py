"""Pins held at reset: the factory reset, with and without otadata, and the test app."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, ROLLBACK, Board, slots
from test_bootloader import untimed

from py_esp_ota.chip import Chip, Held, ResetReason
from py_esp_ota.firmware import app_desc, image
from py_esp_ota.idf.bootloader.pins import is_long_hold, label_search
from py_esp_ota.sdkconfig import Sdkconfig

RESET = {"bootloader_factory_reset": True}
TEST = {"bootloader_app_test": True}
HELD = Held(0)


def board(*entries: str, config: Sdkconfig = ROLLBACK, **options: object) -> Board:
    return Board(slots(2, factory=True, test=True), *entries, config=replace(config, **options))


@pytest.mark.parametrize(
    ("labels", "label", "found"),
    [
        ("nvs", "nvs", True),
        ("xnvs,nvs", "nvs", True),
        ("nvs ,phy", "nvs", True),
        ("nvs ,phy", "phy", True),
        ("nvs;phy", "nvs", False),
        ("nvs_custom", "nvs", False),
        ("NVS", "nvs", False),
        ("", "nvs", False),
        ("nvs,", "", False),
        ("", "", True),
        (",nvs", "", True),
        ("nvs", "", False),
        ("phy,user data", "user data", True),
        ("phy,user data", "user", True),
        ("user data2,user data", "user data", True),
        ("user data2", "user data", False),
        ("sixteen_letters_", "sixteen_letters_", True),
    ],
)
def test_edge_case_52_label_search(labels, label, found):
    assert label_search(labels, label) is found


@pytest.mark.parametrize(
    ("pin", "level", "long"),
    [
        (None, 0, False),
        (None, 1, True),  # pulled up by the bootloader itself
        (Held(0), 0, True),
        (Held(0, 4.9), 0, False),
        (Held(0, 5.0), 0, True),
        (Held(0), 1, False),
    ],
)
def test_how_long_a_pin_must_be_held(pin, level, long):
    chip = Chip()
    if pin:
        chip.pins[4] = pin
    assert is_long_hold(chip, 4, level=level, seconds=5) is long


def test_factory_reset_erases_by_label_and_prints_the_table():
    bench = board("1/VALID", "2/VALID", **RESET)
    bench["nvs"].write(bench.chip.flash, 0, b"settings")
    bench.chip.pins[4] = HELD
    report = bench.boot()
    assert report.partition.label == "ota_1"
    assert bench.chip.flash.is_erased(bench["nvs"].offset, bench["nvs"].size)
    lines = untimed(report)
    at = lines.index("I boot: Detect a condition of the factory reset")
    assert lines[at : at + 5] == [
        "I boot: Detect a condition of the factory reset",
        "I boot: Data partitions to erase: nvs",
        "I boot_comm: ## Label            Usage Offset   Length   Cleaned",
        "I boot_comm:  0 nvs              data  00009000 00004000 [yes]",
        "I boot_comm:  1 otadata          data  0000d000 00002000 [no]",
    ]


def test_factory_reset_with_otadata_boots_the_factory_app():
    bench = board("1/VALID", "2/VALID", bootloader_ota_data_erase=True, **RESET)
    bench.chip.pins[4] = HELD
    assert bench.booted() == "factory"
    assert bench.otadata == ("-", "-")


def test_edge_case_34_factory_reset_without_otadata_aborts_a_new_app_in_the_same_boot():
    bench = board("1/VALID", "2/NEW", **RESET)
    bench.chip.pins[4] = HELD
    assert bench.booted() == "ota_0"
    assert bench.otadata == ("1/VALID", "2/ABORTED")


def test_a_data_partition_that_cannot_be_erased_is_told_and_the_boot_goes_on():
    bench = Board(slots(2, factory=True), config=replace(PLAIN, bootloader_data_factory_reset="odd,nvs", **RESET))
    from board import table

    from py_esp_ota._core import Partition

    rows = table(*bench.table, Partition("odd", 1, 6, 0x3FF000, 0x800))
    bench.chip.flash.erase(0x8000, 0x1000)
    bench.chip.flash.program(0x8000, rows.to_bytes())
    bench.chip.pins[4] = HELD
    report = bench.boot()
    lines = untimed(report)
    assert report.partition.label == "factory"
    assert any(line.endswith("00000800 [err]") for line in lines)
    assert "E boot: Not all partitions were erased" in lines


@pytest.mark.parametrize("pins", [{}, {4: Held(0, 1.0)}, {5: HELD}])
def test_no_factory_reset_without_a_long_hold_of_the_right_pin(pins):
    bench = board("1/VALID", **RESET)
    bench["nvs"].write(bench.chip.flash, 0, b"settings")
    bench.chip.pins = pins
    assert bench.booted() == "ota_0"
    assert not bench.chip.flash.is_erased(bench["nvs"].offset, 16)


def test_no_pin_is_looked_at_when_the_chip_wakes_from_deep_sleep():
    bench = board("1/VALID", bootloader_ota_data_erase=True, **RESET, **TEST)
    bench.chip.pins = {4: HELD, 18: HELD}
    bench.chip.reset_reason = ResetReason.DEEPSLEEP
    assert bench.booted() == "ota_0"
    assert bench.otadata[0] == "1/VALID"


def test_edge_case_35_the_test_pin_boots_the_test_app_and_uses_up_an_update():
    bench = board("1/VALID", "2/NEW", **TEST)
    bench.chip.pins[18] = HELD
    report = bench.boot()
    assert report.partition.label == "test"
    assert "I boot: Detect a boot condition of the test firmware" in untimed(report)
    assert bench.otadata == ("1/VALID", "2/PENDING_VERIFY")
    bench.chip.pins.clear()
    assert bench.booted() == "ota_0"
    assert bench.otadata == ("1/VALID", "2/ABORTED")


def test_no_test_app_in_the_table_is_a_reset_loop_while_the_pin_is_held():
    bench = Board(slots(2, factory=True), config=replace(PLAIN, **TEST))
    bench.chip.pins[18] = HELD
    report = bench.boot()
    assert not report.ok
    assert untimed(report)[-1] == "E boot: Test firmware is not found in partition table"


def test_a_test_app_that_does_not_load_is_the_end():
    bench = Board(slots(2, factory=True, test=True), config=replace(PLAIN, **TEST), without=("test",))
    bench.chip.pins[18] = HELD
    report = bench.boot()
    assert not report.ok
    assert untimed(report)[-1] == "E boot: No bootable test partition in the partition table"


def test_the_factory_reset_comes_before_the_test_app():
    bench = board("1/VALID", bootloader_ota_data_erase=True, **RESET, **TEST)
    bench.chip.pins = {4: HELD, 18: HELD}
    assert bench.booted() == "factory"


def test_a_dead_device_under_a_held_factory_reset_pin_is_found_to_repeat():
    """Each run erases nvs anew; that changes nothing once it is erased."""
    bench = Board(slots(2), "1/VALID", config=replace(ROLLBACK, **RESET), without=("ota_0", "ota_1"))
    bench.chip.pins = {4: HELD}
    report = bench.boot()
    assert not report.ok
    assert report.resets <= 2
    assert "for ever" in report.why[-1]


def test_a_run_that_undoes_what_the_last_one_wrote_is_found_to_repeat():
    """Blank otadata is healed, the loader stops at an assertion, the held pin erases otadata: round and round."""
    options = RESET | {"bootloader_ota_data_erase": True}
    bench = Board(slots(1), config=replace(ROLLBACK, **options), chip="esp32c6")
    bench.flash_app("ota_0", image([(0x42000020, app_desc("bench", "x"))], chip="esp32c6"))
    bench.chip.pins = {4: HELD}
    report = bench.boot()
    assert not report.ok
    assert "for ever" in report.why[-1]
    assert report.otadata_writes
