"""Random flashes go to Espressif's compiled bootloaders and to our model: the same app, the same flash, the same lines.

``ESP_OTA_FLASHES`` and ``ESP_OTA_SEED`` ask for more of them and for others; a disagreement names its flash by number.
"""

from __future__ import annotations

import os
import random

import pytest
from board import Board, app
from random_flashes import drawn
from side_by_side import BUILDS, Build, Pair, bootloader, both

from py_esp_ota import inspect_image
from py_esp_ota._core import Flash
from py_esp_ota.firmware import image, resealed, rewritten
from py_esp_ota.silicon import Machine

FLASHES = int(os.environ.get("ESP_OTA_FLASHES", "300"))
SEED = os.environ.get("ESP_OTA_SEED", "1")
ESPFLASH, ROLLBACK = BUILDS

LOADED_IN_LOADER = 0x3FCD5000  # IRAM 0x403D5000: behind this build's code, inside the region that is kept for it


@pytest.fixture(scope="module")
def machine():
    return Machine("esp32c3")


def unmappable(flash: Flash, app_at: int) -> bool:
    """Whether a window would get no byte: what a build with assertions stops on, and our model does not."""
    mapped = {"DROM": 0, "IROM": 0}
    for segment in inspect_image(flash.read(app_at, 0x10000)).segments:
        if segment.kind == "map":
            window = "IROM" if segment.load_addr >= 0x40000000 else "DROM"
            mapped[window] = segment.load_addr % 0x10000 + segment.length
    return 0 in mapped.values()


def check(build: Build, flash: Flash, pair: Pair) -> None:
    assert all(run.trap is None for run in pair.runs)
    assert pair.silicon.flash == pair.model.flash
    if build is ESPFLASH:
        printed = pair.silicon.log
        stopped = pair.runs[-1].outcome == "ABORT"
        assert stopped == (pair.model.app is not None and unmappable(flash, pair.model.app))
        if stopped:
            assert printed[-1].startswith("abort() was called at PC 0x")
            assert printed[:-1] == pair.model.log
            return
        assert printed == pair.model.log
    assert pair.silicon.app == pair.model.app


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
def test_both_decide_alike_on_random_flashes(machine, build):
    image_of_it, outcomes = bootloader(build), set()
    for number in range(FLASHES):
        flash = drawn(random.Random(f"{SEED}/{number}"), image_of_it)
        pair = both(machine, build, flash)
        outcomes.add(pair.runs[-1].outcome)
        try:
            check(build, flash, pair)
        except AssertionError as error:
            error.add_note(f"{build.name}, flash {number} of seed {SEED}")
            raise
    assert outcomes >= {"APP", "BAD_ENTRY", "RESET"}


# ------------------------------------------------------------------------------- what such flashes have shown, by name


def test_lines_about_segments_of_one_kind_come_in_the_order_of_the_segments(machine):
    board = Board("two_ota", "1/VALID", config=ESPFLASH.config)
    board.chip.flash.program(0, bootloader(ESPFLASH))
    board.flash_app(
        "ota_0",
        image([(0x42000020, bytes(8)), (0x3C010030, bytes(8)), (0x42000040, bytes(8)), (0x3C010050, bytes(8))]),
    )
    pair = both(machine, ESPFLASH, board.chip.flash)
    check(ESPFLASH, board.chip.flash, pair)
    assert [line[32:36] for line in pair.silicon.log[-2:]] == ["IROM", "DROM"]


@pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)
@pytest.mark.parametrize("base", [0x3C000020, 0x42000020], ids=["without IROM", "without DROM"])
def test_an_app_that_lacks_a_window_stops_a_bootloader_with_assertions_and_no_other(machine, build, base):
    board = Board("two_ota", "1/VALID", config=build.config)
    board.chip.flash.program(0, bootloader(build))
    board.flash_app("ota_0", image([(base, bytes(64)), (0x40380000, bytes(16))]))
    pair = both(machine, build, board.chip.flash)
    assert pair.runs[-1].outcome == ("ABORT" if build is ESPFLASH else "APP")
    assert pair.model.app == 0x110000


def test_the_model_protects_more_of_the_bootloaders_memory_than_this_build_uses(machine):
    board = Board("two_ota", "1/VALID", config=ROLLBACK.config)
    board.chip.flash.program(0, bootloader(ROLLBACK))
    board.flash_app("ota_0", resealed(rewritten(app("ota_0"), load_addr={1: LOADED_IN_LOADER})))
    pair = both(machine, ROLLBACK, board.chip.flash)
    assert (pair.silicon.app, pair.model.app) == (0x110000, 0x10000)
