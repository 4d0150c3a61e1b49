"""A board is helped where there is help, and where there is none the function of upstream is named that leaves none."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from wrecks import NEW, OTA_0, OTA_1, OTADATA, SECTOR, VALID, WRECKS, app, board, wreck

from py_esp_ota._core import OtaSelectEntry
from py_esp_ota.hunt import unrecoverable
from py_esp_ota.hunt.reasons import REASONS
from py_esp_ota.hunt.rescue import Wreck, rescues
from py_esp_ota.hunt.unrecoverable import prove
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sdkconfig import Sdkconfig


@pytest.mark.parametrize("reason", REASONS, ids=lambda reason: reason.name)
def test_a_lost_board_names_who_left_no_way(reason):
    found = prove(WRECKS[reason.name]())
    assert (found.recovers, found.reason, found.proven) == (False, reason, True)
    assert found.accounted
    assert found.shown
    assert reason.function in str(found)
    assert bool(reason.function) is (reason.name != "not-offered")


def test_each_reason_has_a_board():
    assert [reason.name for reason in REASONS] == list(WRECKS)


def half_written():
    """The next slot has been erased and half written when the power goes."""
    device = board()
    device.flash.erase(OTA_1, 4 * SECTOR)
    device.flash.program(OTA_1, NEW[: 2 * SECTOR])
    return wreck(device)


def chosen():
    """The target is written and chosen, and there is no cloud any more."""
    device = board()
    device.flash.program(OTA_1, NEW)
    device.flash.program(OTADATA + SECTOR, OtaSelectEntry(2, 0).to_bytes())
    return wreck(device, offers=[])


def with_reset_button():
    """The only OTA slot is the one that runs; its user can make a factory reset, and the factory app updates it."""
    lost = WRECKS["one-slot"]()
    return replace(lost, config=Sdkconfig(bootloader_factory_reset=True, bootloader_ota_data_erase=True))


def with_a_step_between():
    """The old app takes no image of another name; one on offer does, for it comes from that project's build."""
    lost = WRECKS["same-version"]()
    return replace(lost, offers=(lost.goal, app("1.0.5")))


@pytest.mark.parametrize(
    ("made", "way"),
    [
        (half_written, ["the cloud offers the target"]),
        (chosen, ["the power goes and comes back"]),
        (with_reset_button, ["pin 4 is held for a factory reset", "the cloud offers the target"]),
        (with_a_step_between, ["the cloud offers lamp 1.0.5", "the cloud offers the target"]),
    ],
)
def test_a_board_is_helped_without_a_cable(made, way):
    found = prove(made())
    assert (found.recovers, list(found.way), found.reason) == (True, way, None)


def fallback():
    """The chosen slot does not boot, the other one does."""
    device = board(boot=False)
    device.flash.program(OTA_1, NEW[:SECTOR])
    device.flash.program(OTADATA + SECTOR, OtaSelectEntry(2, VALID).to_bytes())
    return wreck(device)


def test_a_wrong_bootloader_is_not_excused():
    lost = fallback()
    assert prove(lost).recovers
    with MUTANTS["no-way-back"].on():
        found = prove(lost)
    assert not found.recovers
    assert found.proven
    assert not found.accounted
    assert "no function of upstream accounts for it" in str(found)


def test_what_was_not_tried_to_the_end_is_not_proven(monkeypatch):
    monkeypatch.setattr(unrecoverable, "MOST_STATES", 1)
    found = prove(WRECKS["one-slot"]())
    assert (found.recovers, found.proven, found.accounted) == (False, False, False)
    assert "not proven" in str(found)


def test_a_look_leaves_the_wreck_as_it_is():
    lost = fallback()
    before = lost.flash.to_bytes(), lost.efuse.to_json()
    prove(lost)
    assert (lost.flash.to_bytes(), lost.efuse.to_json(), lost.flash.powered) == (*before, False)


def test_a_wreck_has_no_fault_left():
    device = board()
    device.flash.fault = "cut@0"
    assert prove(Wreck.of(device, NEW, [NEW])).recovers
    assert device.flash.fault == "cut@0"
    assert device.flash.powered


def test_pins_are_rescues_where_the_bootloader_looks_at_them():
    without, config = wreck(board()), Sdkconfig(bootloader_factory_reset=True, bootloader_app_test=True)
    assert not any(rescue.pins for rescue in rescues(without))
    pins = [dict(rescue.pins) for rescue in rescues(replace(without, config=config)) if rescue.pins]
    assert [(pin, held.level) for found in pins for pin, held in found.items()] == [(4, 0), (4, 1), (18, 0), (18, 1)]


def test_the_slot_that_ran_is_judged_as_well():
    device = board()
    device.flash.erase(OTA_0, SECTOR)
    device.flash.program(OTA_1, NEW)
    assert prove(wreck(device, offers=[])).recovers


def test_the_page_has_the_table():
    page = (Path(__file__).parents[2] / "docs/reference/unrecoverable.md").read_text()
    rows = [[cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| ")]
    assert rows[1:] == [[reason.text, reason.needs, reason.function, reason.file] for reason in REASONS]
