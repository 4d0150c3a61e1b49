"""What differs from chip to chip: how many segments may be mapped, and pages of other sizes than the build's."""

from __future__ import annotations

import pytest
from board import Board
from builds import BUILDS, C6_OLDER, bootloader, machine_of
from side_by_side import both

from py_esp_ota.firmware import app_desc, image, layout_of, rehashed, resealed

FACTORY, OTA_0 = 0x10000, 0x110000
ONE_WINDOW = {"esp32c5", "esp32c6", "esp32c61", "esp32h2"}
SHARED = [build for build in BUILDS if build.logs and build.chip in ONE_WINDOW]
SMALL_PAGES = [build for build in BUILDS if build.logs and build.chip in {"esp32c6", "esp32h2", "esp32c61"}]


def booted(build, data):
    board = Board("two_ota", "1/VALID", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    board.flash_app("ota_0", data)
    return both(machine_of(build.chip), build, board.chip.flash)


def mapped(chip, kinds, page_size=16):
    """An app of mapped (``m``) and loaded (``l``) segments, laid out for MMU pages of 2 ** ``page_size`` bytes."""
    layout, page = layout_of(chip), 1 << page_size
    segments, at = [], 24
    for index, kind in enumerate(kinds):
        at += 8
        data = app_desc("bench", "rules", mmu_page_size=page_size) if index == 0 else bytes(64)
        address = layout.irom + index * page + at % page if kind == "m" else layout.dram + 0x100 * index
        segments.append((address, data))
        at += len(data)
    return image(segments, chip=chip)


@pytest.mark.parametrize("kinds", ["l", "ml", "lm", "mmm", "mlmlm"])
@pytest.mark.parametrize("build", SHARED, ids=str)
def test_with_one_window_exactly_two_segments_are_mapped(build, kinds):
    pair = booted(build, mapped(build.chip, kinds))
    assert (pair.silicon.app, pair.model.app) == (None, None)
    assert pair.runs[-1].outcome == "ABORT"
    assert pair.silicon.log[:-1] == pair.model.log
    assert pair.silicon.log[-1].startswith("Assert failed in unpack_load_app, bootloader_utility.c:")


@pytest.mark.parametrize("build", SHARED, ids=str)
def test_two_mapped_segments_are_enough(build):
    pair = booted(build, mapped(build.chip, "mlm"))
    assert (pair.silicon.app, pair.model.app) == (OTA_0, OTA_0)
    assert pair.silicon.log == pair.model.log


@pytest.mark.parametrize("page_size", [14, 15])
@pytest.mark.parametrize("build", SMALL_PAGES, ids=str)
def test_an_app_may_ask_for_smaller_pages_than_its_bootloader_was_built_for(build, page_size):
    pair = booted(build, mapped(build.chip, "mlm", page_size))
    assert (pair.silicon.app, pair.model.app) == (OTA_0, OTA_0)
    assert pair.silicon.log == pair.model.log
    assert f"found: 0x{1 << page_size:x}" in "\n".join(pair.silicon.log)
    assert pair.runs[-1].entry == layout_of(build.chip).iram


@pytest.mark.parametrize("build", SMALL_PAGES, ids=str)
def test_pages_of_8_kb_stop_the_driver_of_the_mmu(build):
    pair = booted(build, mapped(build.chip, "mlm", 13))
    assert (pair.silicon.app, pair.model.app) == (None, None)
    assert pair.silicon.log[-1].startswith("abort() was called at PC 0x")
    assert pair.silicon.log[:-1] == pair.model.log


@pytest.mark.parametrize("build", SMALL_PAGES, ids=str)
def test_pages_of_one_size_do_not_fit_an_app_that_asks_for_another(build):
    data = mapped(build.chip, "mlm", 15)
    pair = booted(build, data.replace(app_desc("bench", "rules", mmu_page_size=15), app_desc("bench", "rules")))
    assert (pair.silicon.app, pair.model.app) == (0x10000, 0x10000)
    assert pair.silicon.log == pair.model.log


#: What a descriptor may say of the size of a page, and where the chip ends: one that is none, or has more than five
#: bits, is that of the build; 128 KB do not fit this app; 4 KB do not fit the page by which an app finds its own slot.
ODD_PAGES = {0: OTA_0, 48: OTA_0, 17: FACTORY, 255: FACTORY, 12: None, 44: None, 4: None}


@pytest.mark.parametrize("exponent", ODD_PAGES)
@pytest.mark.parametrize("build", SMALL_PAGES, ids=str)
def test_a_page_size_that_no_chip_has(build, exponent):
    odd = app_desc("bench", "rules", mmu_page_size=exponent)
    data = mapped(build.chip, "mlm").replace(app_desc("bench", "rules"), odd)
    pair = booted(build, rehashed(resealed(data)))
    assert (pair.silicon.app, pair.model.app) == (ODD_PAGES[exponent],) * 2
    assert pair.differences(logs=True) == []


def test_an_app_without_a_descriptor_hides_all_others_from_v5_4_1():
    build = C6_OLDER[0]
    layout = layout_of(build.chip)
    pair = booted(build, image([(layout.drom + 0x20, bytes(256)), (layout.irom + 0x10128, bytes(16))], chip=build.chip))
    assert (pair.silicon.app, pair.model.app) == (None, None)
    assert pair.differences(logs=True) == []
    assert "E bootloader_flash: tried to bootloader_mmap twice" in pair.silicon.log
