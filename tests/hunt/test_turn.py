"""The event after which a board was lost is found on its tape, and told by place and function."""

from __future__ import annotations

from contextlib import nullcontext, suppress

import pytest
from wrecks import NEW, OLD, OTA_0, OTA_1, PAIR, SECTOR, app, board

from py_esp_ota.errors import PowerLoss
from py_esp_ota.hunt.bisect import find_turn
from py_esp_ota.hunt.rescue import Wreck
from py_esp_ota.hunt.tape import Tape
from py_esp_ota.hunt.unrecoverable import prove
from py_esp_ota.mutants import MUTANTS
from py_esp_ota.sdkconfig import Sdkconfig
from py_esp_ota.sweep import STORIES, Scene


def fate_of(chip, config, goal=NEW):
    return lambda flash, efuse: prove(Wreck(flash, efuse, chip.target.name, config, goal, (goal,)))


def told(story, plan="", *, mutant=None, scene=None):
    """A story told until the power goes, and one boot more; its tape."""
    scene = STORIES[story].scene(scene or Scene(OLD, NEW, PAIR))
    life = scene.life()
    life.flash.fault = plan
    tape = Tape(life.chip)
    with MUTANTS[mutant].on() if mutant else nullcontext(), tape.witness():
        with suppress(PowerLoss):
            STORIES[story].act(life, scene)
        tape.cut()
        tape.note("the power is back")
        life.power_on()
        return life, scene, tape.stop()


@pytest.fixture(scope="module")
def wrong_erase():
    """The slot that runs loses its first sector, and the power goes while the other one is being written."""
    return told("first-ota", "cut@20", mutant="erases-the-wrong-slot")


def test_the_operation_is_found_and_told(wrong_erase):
    life, _, taped = wrong_erase
    turn = find_turn(taped, fate_of(life.chip, life.config), life.config)
    assert turn.event.kind == "operation"
    assert turn.what == f"operation 2, erase of 4096 bytes at 0x{OTA_0:x}: ota_0, its beginning"
    assert turn.event.functions == ("py_esp_ota.mutants._erase_running",)
    assert (turn.monotone, turn.windows) == (True, ())
    assert turn.looks < len(taped.events())


def test_halving_finds_the_same_with_fewer_looks(wrong_erase):
    life, _, taped = wrong_erase
    whole = find_turn(taped, fate_of(life.chip, life.config), life.config)
    halved = find_turn(taped, fate_of(life.chip, life.config), life.config, thorough=False)
    assert (halved.index, halved.what, halved.monotone) == (whole.index, whole.what, None)
    assert halved.looks < whole.looks


def test_a_board_that_is_not_lost_has_no_turn():
    life, _, taped = told("first-ota", "cut@20:torn")
    assert find_turn(taped, fate_of(life.chip, life.config), life.config) is None
    kinds = [event.kind for event in taped.events()]
    assert kinds.count("cut") == 1
    assert kinds[20] == "cut"


def rewritten_table():
    """The partition table is written anew, and later both apps are gone: lost for a while, and then for good."""
    device = board()
    tape = Tape(device.chip)
    table = device.flash.read(0x8000, 0xC00)
    tape.note("another table")
    device.flash.erase(0x8000, SECTOR)
    device.flash.program(0x8000, table)
    tape.note("no app")
    device.flash.erase(OTA_1, SECTOR)
    device.flash.erase(OTA_0, SECTOR)
    return device, tape.stop()


def test_a_window_that_closed_again_is_told():
    device, taped = rewritten_table()
    turn = find_turn(taped, fate_of(device.chip, device.config), device.config)
    last = len(taped.events()) - 1
    assert (turn.index, turn.event.note) == (last, "no app")
    assert turn.monotone is False
    assert turn.windows[0][0] == 0
    assert turn.windows[-1][1] < last - 1
    assert "not for the first time: also behind 0" in str(turn)


def test_a_burn_is_an_event():
    old, new = app("1.0.0"), app("1.1.0")
    scene = Scene(old, new, PAIR)
    life, scene, taped = told("anti-rollback", mutant="burns-too-much", scene=scene)
    turn = find_turn(taped, fate_of(life.chip, life.config, scene.new), life.config)
    assert turn.event.kind == "burn"
    assert turn.what == "a burn of the eFuses: secure version 2"


def test_a_first_boot_that_encrypts_is_lost_until_it_is_through():
    config = Sdkconfig(secure_flash_enc_enabled=True)
    device = board(boot=False, config=config)
    tape = Tape(device.chip)
    device.flash.fault = "cut@60"
    with tape.witness(), suppress(PowerLoss):
        device.power_on()
    taped = tape.stop()
    turn = find_turn(taped, fate_of(device.chip, config), config, thorough=False)
    assert turn.event.functions[:2] == ("esp_flash_encrypt_region", "esp_flash_encrypt_contents")
    assert turn.what.endswith("the partition table")


def test_a_board_that_was_lost_before_is_refused():
    device = board()
    device.flash.erase(OTA_0, SECTOR)
    tape = Tape(device.chip)
    device.flash.erase(OTA_1, SECTOR)
    with pytest.raises(ValueError, match="lost already"):
        find_turn(tape.stop(), fate_of(device.chip, device.config), device.config)


def test_two_tapes_of_one_flash_are_refused():
    device = board()
    tape = Tape(device.chip)
    device.flash.record(False)
    with pytest.raises(ValueError, match="somebody else"):
        tape.stop()
