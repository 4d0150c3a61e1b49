"""The end of a boot: which apps stop the loader while it shows them to the CPU, by chip, release and assertions."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, Board, slots, table

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import app_desc, image, layout_of
from py_esp_ota.idf.bootloader.start import BootReport, boot

WITHOUT_ASSERTIONS = replace(PLAIN, hal_default_assertion_level=0)


def windows(chip, *kinds, page=16):
    """An app of sound segments: mapped as data (``d``) or code (``i``), or loaded (``l``)."""
    layout, segments, at, size = layout_of(chip), [], 24, 1 << page
    for index, kind in enumerate(kinds):
        at += 8
        data = app_desc("bench", "windows", mmu_page_size=page) if index == 0 else bytes(64)
        base = {"d": layout.drom, "i": layout.irom}.get(kind)
        segments.append((layout.dram if base is None else base + index * size + at % size, data))
        at += len(data)
    return image(segments, chip=chip)


def booted(chip, data, config=PLAIN) -> BootReport:
    board = Board(slots(1), "1/VALID", chip=chip, config=config)
    board.flash_app("ota_0", data)
    return board.boot()


@pytest.mark.parametrize("kinds", ["dl", "il", "l"])
@pytest.mark.parametrize("chip", ["esp32", "esp32s2", "esp32s3", "esp32c2", "esp32c3"])
def test_an_app_without_one_of_two_windows_stops_the_loader(chip, kinds):
    assert not booted(chip, windows(chip, *kinds)).ok
    assert booted(chip, windows(chip, "d", "i")).ok
    assert booted(chip, windows(chip, *kinds), replace(PLAIN, idf_version=(4, 4, 8))).ok


def test_on_esp32_it_is_the_question_for_the_bus_that_stops_it():
    report = booted("esp32", windows("esp32", "d", "l"))
    told = (
        "cache_ll_l1_get_bus: assertion: IROM: the image has no segment for it; abort, and the watchdog resets the chip"
    )
    assert told in report.why


def test_without_assertions_an_esp32s2_stops_all_the_same_and_the_others_jump():
    for chip, stops in (("esp32", False), ("esp32s2", True), ("esp32s3", False), ("esp32c3", False)):
        assert booted(chip, windows(chip, "d", "l"), WITHOUT_ASSERTIONS).ok is not stops


@pytest.mark.parametrize(("more", "inside"), [(0, True), (4, False)])
def test_data_of_an_esp32_may_end_where_their_bus_ends_and_not_behind_it(more, inside):
    """0x3F800000; the code's bus has nothing behind it that is asked for."""
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, 0x10000, 0x100000))
    head = 24 + 8
    length = 0x10000 - head + more
    data = image(
        [(0x3F7F0000 + head, app_desc("bench", "x") + bytes(length - 256)), (0x400D0000 + more + 8, bytes(64))],
        chip="esp32",
    )
    board = Board(rows, "1/VALID", chip="esp32", config=PLAIN)
    board.flash_app("ota_0", data)
    assert board.boot().ok is inside


@pytest.mark.parametrize("chip", ["esp32c6", "esp32c61", "esp32h2", "esp32h4"])
def test_pages_of_8_kb_are_none_that_the_driver_knows(chip):
    report = booted(chip, windows(chip, "d", "i", page=13))
    assert not report.ok
    assert any("mmu_hal_map_region: assertion: " in why and "pages of 8 KB" in why for why in report.why)
    assert booted(chip, windows(chip, "d", "i", page=14)).ok


def placed_at(chip, offset, size, page) -> BootReport:
    flash = Flash(size)
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, offset, 0x10000))
    flash.program(0x8000, rows.to_bytes())
    flash.program(offset, windows(chip, "d", "i", page=page))
    return boot(Chip(chip, flash=flash), PLAIN)


@pytest.mark.parametrize(("chip", "page", "reach"), [
    ("esp32c6", 14, 0x400000), ("esp32c6", 15, 0x800000), ("esp32c2", 15, 0x200000), ("esp32c61", 14, 0x800000),
])  # fmt: skip
def test_so_much_flash_do_pages_of_a_size_reach(chip, page, reach):
    assert placed_at(chip, reach - 0x10000, 2 * reach, page).ok
    report = placed_at(chip, reach, 2 * reach, page)
    assert not report.ok
    assert any("is out of the MMU's reach" in why for why in report.why)


@pytest.mark.parametrize(("chip", "page", "reach"), [("esp32c2", 0x8000, 0x200000), ("esp32c6", 0x8000, 0x800000)])
@pytest.mark.parametrize("beyond", [True, False])
def test_a_slot_that_the_builds_pages_do_not_reach_is_never_passed_over(chip, page, reach, beyond):
    """The driver asserts it at the first look, whatever lies there: no other app is tried."""
    at = reach if beyond else reach - 0x10000
    rows = table(
        ("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, at, 0x10000), ("ota_1", 0, 0x11, 0x10000, 0x10000)
    )
    flash = Flash(2 * reach)
    flash.program(0x8000, rows.to_bytes())
    flash.program(0x10000, windows(chip, "d", "i"))
    asserts = replace(PLAIN, mmu_page_size=page)
    for config in (asserts, replace(asserts, bootloader_app_anti_rollback=True), WITHOUT_ASSERTIONS):
        report = boot(Chip(chip, flash=flash.fork()), config)
        stops = beyond and config is not WITHOUT_ASSERTIONS
        assert report.ok is not stops
        assert any("esp_image" in line or "not bootable" in line for line in report.log) is not stops
        assert any("is out of the MMU's reach" in why for why in report.why) is stops


# ------------------------------------------------------------------------------------------ a mapping that is left over

NO_DESC = "E esp_image: Failed to fetch app description header!"
TWICE = "E bootloader_flash: tried to bootloader_mmap twice"


def without_descriptor(chip):
    layout = layout_of(chip)
    return image([(layout.drom + 0x20, bytes(256)), (layout.irom + 0x10128, bytes(16))], chip=chip)


@pytest.mark.parametrize("release", [(5, 3, 4), (5, 4, 0), (5, 4, 1), (5, 4, 2), (5, 5, 0)])
@pytest.mark.parametrize("chip", ["esp32c6", "esp32c3"])
def test_an_app_without_a_descriptor_hides_all_others_from_two_releases(chip, release):
    """They do not unmap what they have looked at in vain, and map nothing after that until the reset."""
    board = Board("two_ota", "1/VALID", chip=chip, config=replace(PLAIN, idf_version=release))
    board.flash_app("ota_0", without_descriptor(chip))
    report = board.boot()
    hides = chip == "esp32c6" and release in {(5, 4, 0), (5, 4, 1)}
    assert report.ok is not hides
    said = [line.split(")", 1)[0][:1] + line.split(")", 1)[1] for line in report.log if line.startswith("E ")]
    if hides:
        assert said.count(TWICE) == 2
        assert said.count(NO_DESC) == 3
        assert said[:4] == [NO_DESC, "E boot: OTA app partition slot 0 is not bootable", TWICE, NO_DESC]
    else:
        assert TWICE not in said
