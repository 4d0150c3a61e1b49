"""Random otadata and damaged apps go to the bootloaders of the chips besides the C3, and to our model.

``ESP_OTA_FLASHES`` and ``ESP_OTA_SEED`` ask for more of them and for others; a disagreement names its flash by number.
"""

from __future__ import annotations

import os
import random

import pytest
from board import Board, app
from builds import BUILDS, bootloader, machine_of
from side_by_side import both

from py_esp_ota.firmware import CHIPS, flipped, layout_of, rehashed, resealed, rewritten
from py_esp_ota.silicon.chips.socs import SOCS

FLASHES = int(os.environ.get("ESP_OTA_FLASHES", "40"))
SEED = os.environ.get("ESP_OTA_SEED", "1")
OTHERS = [build for build in BUILDS if build.chip != "esp32c3"]
STATES = ("NEW", "PENDING_VERIFY", "VALID", "INVALID", "ABORTED", "UNDEFINED", "7")
SEQS = (0, 1, 2, 3, 4, 7, 0x7FFFFFFF, 0xFFFFFFFE, 0xFFFFFFFF)


def entry(rng):
    return "-" if rng.random() < 0.2 else f"{rng.choice(SEQS)}/{rng.choice(STATES)}" + "!" * (rng.random() < 0.1)


def damaged(rng, chip, image):
    layout, soc = layout_of(chip), SOCS[chip]
    places = [layout.drom, layout.irom, layout.iram, layout.dram, soc.stack_top - 0x4000, soc.stack_top - 0x8000, 0, 4]
    places += [soc.ram[-1].windows[0][0], 0x20000000, soc.ram[0].windows[0][0] + soc.ram[0].size - 16]
    kind = rng.randrange(6)
    if kind == 0:
        field, values = rng.choice(
            [
                ("magic", [0, 0xE8]),
                ("segment_count", [0, 1, 2, 3, 5, 16, 17, 255]),
                ("chip_id", [layout_of(name).chip_id for name in CHIPS]),
                ("min_chip_rev_full", [0, 3, 99, 100, 102, 199, 200, 299, 0xFFFF]),
                ("max_chip_rev_full", [0, 3, 99, 100, 102, 199, 200, 299, 0xFFFF]),
                ("hash_appended", [0, 1, 2]),
            ]
        )
        image = rewritten(image, **{field: rng.choice(values)})
    elif kind == 1:
        image = rewritten(image, load_addr={rng.randrange(4): rng.choice(places) + rng.choice([0, 4, 0x20, 0x10000])})
    elif kind == 2:
        image = rewritten(image, data_len={rng.randrange(4): rng.choice([0, 1, 4, 0x20, 0x1000, 0x10000, 0xFFFFFFFD])})
    elif kind == 3:
        image = flipped(image, rng.randrange(len(image)))
    elif kind == 4:
        image = image[: rng.randrange(24, len(image))]
    for again in (resealed, rehashed):
        if rng.random() < 0.5:
            try:
                image = again(image)
            except ValueError:
                continue
    return image


@pytest.mark.parametrize("build", OTHERS, ids=str)
def test_both_decide_alike_on_random_flashes(build):
    for number in range(FLASHES):
        rng = random.Random(f"{build}/{SEED}/{number}")
        board = Board("two_ota", entry(rng), entry(rng), config=build.config, chip=build.chip)
        board.chip.flash.program(build.offset, bootloader(build))
        for label in ("factory", "ota_0", "ota_1"):
            if rng.random() < 0.6:
                board.flash_app(label, damaged(rng, build.chip, app(label, build.chip)))
        pair = both(machine_of(build.chip), build, board.chip)
        where = f"{build}, flash {number} of seed {SEED}: {[run.outcome for run in pair.runs]}"
        assert all(run.trap is None for run in pair.runs), where
        assert pair.silicon.flash == pair.model.flash, where
        if build.logs:
            said = pair.silicon.log[:-1] if pair.runs[-1].outcome == "ABORT" else pair.silicon.log
            assert said == pair.model.log, where
        assert pair.silicon.app == pair.model.app, where
