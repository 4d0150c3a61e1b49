"""Bootloaders of ESP-IDF v4.4 and of v5.0's development beside our model: what they compare, and what they print."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, Board, app, table
from builds import C2, C3, C6, C6_OLDER, H2, Build, _crate, bootloader, machine_of
from console_lines import essential
from side_by_side import both, copied, sized

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import rehashed, rewritten
from py_esp_ota.idf.bootloader.compare import compiled_options
from py_esp_ota.silicon.oracle import OwnMachine

OTA_0, FACTORY = 0x110000, 0x10000
V4_4 = replace(PLAIN, idf_version=(4, 4, 0))
#: Of v4.4-dev-2825.
V4_4_C3 = Build(
    "v4.4",
    "esp32c3",
    _crate("1.7.0", "esp32c3", "a7c5ad20f6e01188bea9ae522bf3b0c4912e293e97cf1b0911c1eb2a028de8eb"),
    V4_4,
    logs=True,
)
#: Of v5.0-dev-3485, built for a flash of 2 MB.
C2_DEV = Build(
    "v5.0-dev",
    "esp32c2",
    _crate("1.7.0", "esp32c2", "affbe8a79f66261d6aa4646e4576aed6a197c0a6f91a8ccd689c4a59b260acd2"),
    replace(PLAIN, idf_version=(5, 0, 0), mmu_page_size=0x8000),
    logs=True,
)


def booted(data, config=V4_4_C3.config):
    board = Board("two_ota", "1/VALID", config=config, chip=V4_4_C3.chip)
    board.chip.flash.program(V4_4_C3.offset, bootloader(V4_4_C3))
    board.flash_app("ota_0", data)
    return both(machine_of(V4_4_C3.chip), replace(V4_4_C3, config=config), board.chip)


def old_revision(image, number):
    """The byte that these releases look at; the bounds that newer ones look at say the opposite."""
    low = rewritten(image, min_chip_rev_full=0 if number > 4 else 999)
    return rehashed(low[:14] + bytes((number,)) + low[15:])


@pytest.mark.parametrize(("number", "boots"), [(0, OTA_0), (3, OTA_0), (4, OTA_0), (5, FACTORY), (255, FACTORY)])
def test_one_number_of_the_revision_is_compared_and_told(number, boots):
    pair = booted(old_revision(app("ota_0", V4_4_C3.chip), number))
    assert (pair.silicon.app, pair.model.app) == (boots, boots)
    assert [*essential(pair.silicon.log)] == [*essential(pair.model.log)]
    told = "\n".join(pair.silicon.log)
    assert (f"I boot_comm: chip revision: 4, min. application chip revision: {number}" in told) == (number < 4)
    assert ("This chip is revision 4 but" in told) == (number > 4)
    assert "I boot: chip revision: 4\nI boot_comm: chip revision: 4, min. bootloader chip revision: 0" in told


@pytest.mark.parametrize(
    ("release", "says"), [((4, 4, 5), False), ((4, 4, 6), True), ((5, 0, 2), False), ((5, 0, 3), True)]
)
def test_how_many_cores_it_is_for_is_said_from_then_on(release, says):
    told = Board("two_ota", chip="esp32s3", config=replace(PLAIN, idf_version=release)).boot().log
    assert any("Multicore bootloader" in line for line in told) == says


@pytest.mark.parametrize(("otadata", "at"), [("1/VALID", OTA_0), ("2/VALID", None)])
def test_a_build_for_a_smaller_flash_keeps_its_pages(otadata, at):
    """Its header says 4 MB here, for which pages of 64 KB are built. Those of 32 KB do not reach beyond 2 MB."""
    board = Board("two_ota", otadata, config=C2_DEV.config, chip=C2_DEV.chip)
    board.chip.flash.program(C2_DEV.offset, bootloader(C2_DEV))
    assert compiled_options(board.chip, OwnMachine(count=False), PLAIN)["mmu_page_size"] == 0x8000

    pair = both(machine_of(C2_DEV.chip), C2_DEV, board.chip)
    assert (pair.silicon.app, pair.model.app) == (at, at)
    assert "I boot.esp32c2: MMU Page Size  : 32K" in pair.silicon.log
    # It tells the chip's revision in another way than the release does.
    logs = (essential(side.log) for side in (pair.silicon, pair.model))
    real, ours = ([line for line in log if "revision" not in line] for log in logs)
    assert real == ours

    for_its_header = replace(C2_DEV, config=replace(C2_DEV.config, mmu_page_size=None))
    other = both(machine_of(C2_DEV.chip), for_its_header, board.chip).model
    assert "I boot.esp32c2: MMU Page Size  : 64K" in other.log


@pytest.mark.parametrize(
    ("build", "mib"), [(C2_DEV, 2), (C6_OLDER[1], 8), (C2[0], 4), (C3[0], 16), (C6[0], 16), (H2[0], 16)], ids=str
)
@pytest.mark.parametrize("beyond", [True, False])
def test_a_slot_that_the_builds_pages_do_not_reach_stops_it(build, mib, beyond):
    """Nothing lies there, and another slot holds an app."""
    reach, sound = mib << 20, 0x10000
    at = reach if beyond else reach - 0x10000
    rows = table(("otadata", 1, 0, 0xD000, 0x2000), ("ota_0", 0, 0x10, at, 0x10000), ("ota_1", 0, 0x11, sound, 0x10000))
    chip = Chip(build.chip, flash=Flash(2 * reach))
    chip.flash.program(build.offset, sized(build)(2 * mib))
    chip.flash.program(0x8000, rows.to_bytes())
    chip.flash.program(sound, app("ota_1", build.chip)[:0x10000])
    pair = both(machine_of(build.chip), build, copied(chip))
    app_there = None if beyond else sound
    assert (pair.silicon.app, pair.model.app) == (app_there, app_there)
    assert (pair.runs[-1].outcome == "ABORT") is beyond
