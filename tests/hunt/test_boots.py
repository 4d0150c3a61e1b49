"""Boots of hunted boards: what was seen once is known, and nothing else is."""

from __future__ import annotations

import pytest

from py_esp_ota import Device, Firmware, Sdkconfig
from py_esp_ota._core import OtaSelectEntry, PartitionTable
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.hunt import boots, draw, play
from py_esp_ota.hunt.boots import Boots
from py_esp_ota.idf.bootloader.start import boot
from py_esp_ota.idf.rollback import OtaImgState

TABLE = PartitionTable.builtin("two_ota_large")
OTADATA = TABLE.find(type=1, subtype=0).offset
CONFIG = Sdkconfig()


@pytest.fixture
def chip(monkeypatch):
    """A chip whose ``really`` counts the boots that were really made."""
    counted = []
    monkeypatch.setattr(boots, "boot", lambda chip, config: counted.append(chip) or boot(chip, config))
    flash = Device(TABLE, firmware=Firmware("lamp", "1.0.0").to_bytes()).flash
    made = Chip(flash=flash.fork(strict=False))
    made.really = counted
    return made


def again(chip):
    """The same chip, as its plug is pulled and put back."""
    flash = chip.flash.fork()
    flash.power_off()
    flash.power_on()
    made = Chip(flash=flash, efuse=chip.efuse.copy())
    made.really = chip.really
    return made


def test_the_same_boot_is_made_once_and_told_twice(chip):
    known = Boots(CONFIG)
    known.boot(chip)  # writes otadata
    first = known.boot(settled := again(chip))
    second = known.boot(third := again(chip))
    assert second is first
    assert first.report == boot(again(chip), CONFIG)
    assert len(chip.really) == 2
    assert (third.reset_reason, third.rtc) == (settled.reset_reason, settled.rtc)


def test_a_boot_that_writes_is_made_each_time(chip):
    known = Boots(CONFIG)
    copies = [again(chip), again(chip)]
    for copy in copies:
        assert known.boot(copy).report.otadata_writes
    assert len(chip.really) == 2
    assert copies[0].flash.read(OTADATA, 32) == copies[1].flash.read(OTADATA, 32) != b"\xff" * 32


@pytest.mark.parametrize("what", ["a byte that was read", "a fuse", "the reset"])
def test_whatever_a_boot_depends_on_makes_another_boot_of_it(chip, what):
    known = Boots(CONFIG)
    known.boot(chip)
    known.boot(again(chip))
    other = again(chip)
    if what == "a fuse":
        other.efuse = type(other.efuse)("esp32c3", secure_version=1)
    elif what == "the reset":
        other.reset_reason = ResetReason.SW
    else:
        other.flash.program(OTADATA + 0x1000, OtaSelectEntry(2, OtaImgState.VALID).to_bytes())
    assert known.boot(other).report == boot(again(other) if what != "the reset" else other, CONFIG)
    assert len(chip.really) == 3


def test_a_byte_that_no_boot_reads_makes_no_other(chip):
    known = Boots(CONFIG)
    known.boot(chip)
    first = known.boot(again(chip))
    other = again(chip)
    other.flash.program(other.flash.size - 4096, b"beyond the table")
    assert known.boot(other) is first
    assert other.flash.needed() != first.needed  # it notes from here on


def test_a_world_comes_out_as_without(monkeypatch):
    world = draw(9004)
    heard = [], []
    with_them = play(world, lambda *said: heard[0].append(said))
    monkeypatch.setattr(boots._Known, "stands_for", lambda _self, _chip: False)
    assert play(world, lambda *said: heard[1].append(said)) == with_them
    assert heard[0] == heard[1]
