"""A boot that goes on from a snapshot is the boot from the first instruction: the whole report, the whole flash."""

from __future__ import annotations

import os

import pytest
from builds import new_machine
from flash_text import build as built
from random_flashes import drawn
from side_by_side import ALL_BUILDS, BUILDS, copied, sized

from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.snapshot import Snapshots

FLASHES = int(os.environ.get("ESP_OTA_FLASHES", "30"))
BUILD = pytest.mark.parametrize("build", BUILDS, ids=lambda build: build.name)


def pairs(build, count, seed):
    """Twice the same chip: the bootloader and a random rest."""
    for number in range(count):
        chip = built(drawn(f"{seed}/{number}"), sized(build))
        yield chip, copied(chip)


@BUILD
@pytest.mark.parametrize("count", [False, True], ids=["fast", "counting"])
def test_a_boot_from_a_snapshot_is_a_boot_from_cold(build, count):
    warm, cold = Machine(count=count), Machine(count=count, snapshots=False)
    for one, other in pairs(build, FLASHES // 4 if count else FLASHES, "snapshot"):
        assert warm.run(one) == cold.run(other)
        assert one.flash.to_bytes() == other.flash.to_bytes()


@pytest.mark.parametrize("build", ALL_BUILDS, ids=str)
def test_every_bootloader_has_one(build, monkeypatch):
    """Its state before it looks at the table does not depend on the rest of the flash."""
    honest, used = Snapshots.restore, []
    monkeypatch.setattr(Snapshots, "restore", lambda self, snapshot: used.append(1) or honest(self, snapshot))
    machine = new_machine(build.chip)
    for _ in range(3):
        machine.run(built((f"chip {build.chip}", "row ota_0 0 16 0x10000 0x10000"), sized(build)))
    assert len(used) == 2


@BUILD
def test_nothing_of_a_machine_is_worn_by_the_boots_before(build):
    worn = Machine()
    for number, (one, other) in enumerate(pairs(build, FLASHES, "worn")):
        report = worn.run(one)
        if number % 6 == 5:
            assert report == Machine(snapshots=False).run(other)


@BUILD
def test_the_budget_runs_out_at_the_same_instruction(build):
    warm, cold = Machine(count=True), Machine(count=True, snapshots=False)
    chip = built(("chip", "row ota_0 0 16 0x10000 0x10000", "app 0x10000 plain 1 0x280"), sized(build))
    whole = [warm.run(copied(chip)) for _ in range(3)][-1].instructions
    for budget in (10, 1000, whole - 5000, whole - 1, whole):
        reports = [m.run(copied(chip), budget=budget) for m in (warm, cold)]
        assert reports[0] == reports[1]


def test_a_program_that_reads_beyond_itself_at_once_has_no_snapshot():
    """Two instructions that load a word through the cache, with nothing mapped, and a jump to nowhere."""
    chip = Chip()
    chip.flash.program(0, image([(0x3FCD0000, bytes(16)), (0x403CC000, bytes(16))], entry_addr=0x403CC000))
    machine = Machine()
    first = machine.run(chip)
    assert [machine.run(chip) for _ in range(3)] == [first] * 3
    assert first.outcome == "ABORT"


def test_a_bootloader_that_changed_is_another():
    """The header of the bootloader is read before the snapshot, and is no part of its program."""
    build = BUILDS[0]
    machine = Machine()
    for size in (4, 2, 4):
        for _ in range(3):
            chip = built((f"chip header={size}", "row ota_0 0 16 0x10000 0x10000"), sized(build))
            assert f"SPI Flash Size : {size}MB" in "\n".join(machine.run(chip).log)
