"""Bootloaders of ESP-IDF v4.4 beside our model: what they compare, and what they print."""

from __future__ import annotations

from dataclasses import replace

import pytest
from board import PLAIN, Board, app
from builds import Build, _crate, bootloader, machine_of
from console_lines import essential
from side_by_side import both

from py_esp_ota.firmware import rehashed, rewritten

OTA_0, FACTORY = 0x110000, 0x10000
V4_4 = replace(PLAIN, idf_version=(4, 4, 0))
#: Of v4.4-dev-2825.
C3 = Build(
    "v4.4",
    "esp32c3",
    _crate("1.7.0", "esp32c3", "a7c5ad20f6e01188bea9ae522bf3b0c4912e293e97cf1b0911c1eb2a028de8eb"),
    V4_4,
    logs=True,
)


def booted(data, config=C3.config):
    board = Board("two_ota", "1/VALID", config=config, chip=C3.chip)
    board.chip.flash.program(C3.offset, bootloader(C3))
    board.flash_app("ota_0", data)
    return both(machine_of(C3.chip), replace(C3, config=config), board.chip)


def old_revision(image, number):
    """The byte that these releases look at; the bounds that newer ones look at say the opposite."""
    low = rewritten(image, min_chip_rev_full=0 if number > 4 else 999)
    return rehashed(low[:14] + bytes((number,)) + low[15:])


@pytest.mark.parametrize(("number", "boots"), [(0, OTA_0), (3, OTA_0), (4, OTA_0), (5, FACTORY), (255, FACTORY)])
def test_one_number_of_the_revision_is_compared_and_told(number, boots):
    pair = booted(old_revision(app("ota_0", C3.chip), number))
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
