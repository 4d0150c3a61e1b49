"""Anti-rollback in the bootloader: which entries count, which apps load, and when the eFuse rises."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import ROLLBACK, Board, slots, table
from test_bootloader import untimed

from py_esp_ota._core import EFuse
from py_esp_ota.firmware import Firmware, app_desc, image

CONFIG = replace(ROLLBACK, bootloader_app_anti_rollback=True)


def board(*entries: str, burnt: int = 0, versions: dict[str, int] | None = None, partitions=None, **how) -> Board:
    bench = Board(partitions or slots(2), *entries, config=CONFIG, **how)
    bench.chip.efuse = EFuse(bench.chip.target.name, secure_version=burnt)
    for label, secure_version in (versions or {}).items():
        bench.flash_app(label, Firmware("bench", label, secure_version=secure_version).to_bytes())
    return bench


def test_the_console_says_that_it_looks():
    lines = untimed(board("1/VALID", burnt=0).boot())
    at = lines.index("I boot: Enabled a check secure version of app for anti rollback")
    assert lines[at + 1] == "I boot: Secure version (from eFuse) = 0"
    lines = untimed(board().boot())
    at = lines.index("I boot: Secure version (from eFuse) = 0")
    assert lines[at + 1] == "I boot: otadata[0..1] in initial state"


def test_an_entry_whose_app_is_too_old_does_not_count():
    bench = board("1/VALID", "2/VALID", burnt=2, versions={"ota_0": 2, "ota_1": 1})
    assert bench.booted() == "ota_0"


def test_no_entry_left_tries_every_slot_and_loads_none_that_is_too_old():
    bench = board("1/VALID", "2/VALID", burnt=3, versions={"ota_0": 2, "ota_1": 1})
    report = bench.boot()
    assert not report.ok
    lines = untimed(report)
    assert "E boot: ota data partition invalid and no factory, will try all partitions" in lines
    assert "E boot: OTA app partition slot 0 is not bootable" in lines
    assert "E boot: OTA app partition slot 1 is not bootable" in lines
    # A slot that is only too old prints nothing else.
    assert not any("esp_image" in line for line in lines)


def test_a_valid_active_app_raises_the_efuse():
    bench = board("1/VALID", burnt=1, versions={"ota_0": 3})
    report = bench.boot()
    assert bench.chip.efuse.secure_version == 3
    assert "I efuse: Anti-rollback is set. eFuse field is updated(3)." in untimed(report)


@pytest.mark.parametrize("state", ["NEW", "UNDEFINED"])
def test_an_app_that_has_not_proved_itself_raises_nothing(state):
    bench = board(f"1/{state}", burnt=1, versions={"ota_0": 3})
    assert bench.booted() == "ota_0"
    assert bench.chip.efuse.secure_version == 1


def test_edge_case_39_the_efuse_rises_before_the_image_is_looked_at():
    bench = board("1/VALID", burnt=0, versions={"ota_0": 2, "ota_1": 2})
    data = bytearray(bench["ota_0"].read(bench.chip.flash, 0, 0x4000))
    data[0x900] ^= 1
    bench.flash_app("ota_0", bytes(data))
    assert bench.booted() == "ota_1"
    assert bench.chip.efuse.secure_version == 2


def test_blank_otadata_is_healed_and_raises_the_efuse():
    bench = board(burnt=0, versions={"ota_0": 2})
    assert bench.booted() == "ota_0"
    assert bench.otadata[0] == "1/VALID"
    assert bench.chip.efuse.secure_version == 2


def test_edge_case_38_blank_otadata_with_a_factory_app_boots_it_and_heals_nothing():
    bench = board(partitions=slots(2, factory=True))
    assert bench.booted() == "factory"
    assert bench.otadata == ("-", "-")


@pytest.mark.parametrize(("chip", "boots"), [("esp32c3", True), ("esp32s3", False)])
def test_edge_case_37_a_valid_entry_without_ota_rows_divides_by_zero(chip, boots):
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("factory", 0, 0, 0x10000, 0x10000))
    bench = board("1/VALID", partitions=rows, chip=chip)
    report = bench.boot()
    assert report.ok is boots
    if not boots:
        assert any("division by zero" in why for why in report.why)


def test_edge_case_40_nothing_bootable_and_no_test_app_asks_for_its_description():
    bench = board("1/VALID", without=("ota_0", "ota_1"))
    lines = untimed(bench.boot())
    assert lines[-2:] == [
        "E boot: Failed to get partition description 258",
        "E boot: No bootable app partitions in the partition table",
    ]


def test_an_app_without_a_descriptor_is_skipped_before_it_is_loaded():
    bench = board("1/VALID")
    bench.flash_app("ota_0", image([(0x3C000020, bytes(256))]))
    report = bench.boot()
    assert report.partition.label == "ota_1"
    assert "E boot: Failed to get partition description 261" in untimed(report)


def test_an_app_row_without_a_size_still_has_a_descriptor_and_raises_the_efuse():
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x10000), ("ota_1", 0, 0x11, 0x20000, 0)
    )
    bench = board("-", "2/VALID", partitions=rows, versions={"ota_0": 1}, without=("ota_1",))
    bench.chip.flash.program(0x20000, Firmware("bench", "ota_1", secure_version=2).to_bytes())
    report = bench.boot()
    assert bench.chip.efuse.secure_version == 2
    assert not report.ok
    # A slot of no bytes is passed over without a word; the other one is too old by now.
    assert [line for line in untimed(report) if "bootable" in line][:2] == [
        "E boot: OTA app partition slot 0 is not bootable",
        "E boot: No bootable app partitions in the partition table",
    ]


def test_an_app_row_at_address_0_has_no_descriptor():
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0, 0x8000), ("ota_1", 0, 0x11, 0x20000, 0x10000))
    bench = board("1/VALID", "-", partitions=rows)
    report = bench.boot()
    assert report.partition.label == "ota_1"
    lines = untimed(report)
    assert lines.count("E boot: Failed to get partition description 258") == 2
    at = lines.index("E boot: ota data partition invalid and no factory, will try all partitions")
    assert lines[at + 1 : at + 3] == [
        "E boot: Failed to get partition description 258",
        "E boot: OTA app partition slot 0 is not bootable",
    ]


def test_an_app_row_beyond_the_flash_says_what_could_not_be_mapped():
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x20000, 0x10000), ("ota_1", 0, 0x11, 0x3FFFF0, 0x10)
    )
    bench = board("2/VALID", "-", partitions=rows, without=("ota_1",))
    report = bench.boot()
    assert report.partition.label == "ota_0"
    lines = untimed(report)
    at = lines.index("E boot: bootloader_mmap(0x3ffff0, 0x120) failed")
    assert lines[at + 1] == "E boot: Failed to get partition description -1"


def test_a_version_beyond_the_field_burns_nothing():
    bench = board("1/VALID", burnt=1, versions={"ota_0": 17})
    report = bench.boot()
    assert report.partition.label == "ota_0"
    assert bench.chip.efuse.secure_version == 1
    assert "E efuse: Max secure version is 16. Given 17 version can not be written." in untimed(report)


def test_a_build_sees_its_own_part_of_the_field_alone():
    bench = board("1/VALID", burnt=6, versions={"ota_0": 4, "ota_1": 3})
    assert not bench.boot().ok
    bench.config = replace(CONFIG, bootloader_app_sec_ver_size_efuse_field=4)
    report = bench.boot()
    assert report.partition.label == "ota_0"
    assert "I boot: Secure version (from eFuse) = 4" in untimed(report)
    assert bench.chip.efuse.secure_version == 6


def test_an_image_that_runs_the_verifier_wild_boots_nothing_else():
    desc = app_desc("bench", "ota_0")
    wild = image([(0x3C000020, desc[:4]), (0, desc[12:])])
    bench = board("1/VALID", "-")
    bench.flash_app("ota_0", wild)
    assert bench.booted() == "ota_1"
    bench = board("1/VALID", "-")
    bench.flash_app("ota_0", wild)
    bench.config = replace(CONFIG, idf_version=(6, 1, 0))
    report = bench.boot()
    assert not report.ok
    assert report.why[-2:] == (
        "process_segment_data: runs wild: ota_0: data_len of segment 0 wraps below 0",
        "bootloader_reset: the chip resets and finds the same again, for ever",
    )


def test_the_configured_field_may_be_smaller():
    bench = board("1/VALID", burnt=1, versions={"ota_0": 5})
    bench.config = replace(CONFIG, bootloader_app_sec_ver_size_efuse_field=4)
    assert bench.booted() == "ota_0"
    assert bench.chip.efuse.secure_version == 1
