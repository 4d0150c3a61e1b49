"""Pins: driven by code, held from outside, pulled, or free; on every chip, for its bootloader too."""

from __future__ import annotations

import struct

import pytest

from py_esp_ota.chip import Chip, Held
from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.hardware import Hardware

CHIPS = [name for name, soc in SOCS.items() if soc.gpio is not None]
BOOT = 9


@pytest.fixture(params=CHIPS)
def board(request):
    hardware = Hardware(SOCS[request.param], count=False)
    hardware.attach(Chip(request.param))
    return hardware


def level(board, pin=BOOT):
    return board.registers.read(board.soc.gpio.input) >> pin & 1


def test_a_pin_that_nobody_holds_is_high_until_it_is_pulled_down(board):
    mux = board.soc.gpio.mux + 4 * BOOT
    seen = []
    for pulls in (0, 1 << 8, 1 << 7, 3 << 7, 0):
        board.registers.write(mux, pulls)
        seen.append(level(board))
    assert seen == [1, 1, 0, 1, 1]
    assert board.registers.read(board.soc.gpio.input) == 0xFFFFFFFF


def test_a_pin_is_what_code_puts_on_it(board):
    gpio, write = board.soc.gpio, board.registers.write
    write(gpio.enable + 4, 1 << BOOT)
    seen = [level(board)]
    write(gpio.out + 4, 1 << BOOT | 1 << 3)
    seen.append(level(board))
    write(gpio.out + 8, 1 << BOOT)
    seen.append(level(board))
    assert (seen, board.registers.read(gpio.out)) == ([0, 1, 0], 1 << 3)
    write(gpio.enable + 8, 1 << BOOT)
    assert (level(board), board.registers.read(gpio.enable)) == (1, 0)


def test_a_pin_that_is_held_is_let_go_again(board):
    board.chip.pins[BOOT] = Held(0, 0.5)
    board.chip.pins[2] = Held(0)
    seen = []
    for ms in (0, 499, 500, 5000):
        board.clock.cycles = ms * 160_000
        seen.append((level(board), level(board, 2)))
    assert seen == [(0, 0), (0, 0), (1, 0), (1, 0)]


@pytest.mark.parametrize("held", [{}, {BOOT: Held(0)}], ids=["free", "held"])
def test_code_that_resets_to_factory_by_a_low_pin_does_so_only_then(held):
    """lui a5, gpio; lw a5, 0x3c(a5); slli a5, a5, 22; bltz: spin. Else the call of ROM that resets the chip."""
    spin = 0x0000006F
    code = [0x600047B7, 0x03C7A783, 0x01679793, bltz(15, 12), 0x400002B7, 0x090280E7, spin]
    chip = Chip()
    chip.pins = held
    chip.flash.program(0, image([(0x403CC000, struct.pack("<7I", *code))], entry_addr=0x403CC000))
    assert Machine().run(chip, budget=10_000).outcome == ("RESET" if held else "HANG")


def bltz(register, offset):
    imm = offset & 0x1FFF
    return (
        (imm >> 12 & 1) << 31 | (imm >> 5 & 0x3F) << 25 | register << 15 | 4 << 12
        | (imm >> 1 & 15) << 8 | (imm >> 11 & 1) << 7 | 0x63
    )  # fmt: skip


@pytest.mark.parametrize("chip", SOCS)
def test_an_efuse_command_ends_by_itself(chip):
    """EFUSE_CMD_REG: READ_CMD and PGM_CMD clear themselves, by upstream's efuse_reg.h of each chip."""
    commands = {"esp32c2": 0x60008894, "esp32c3": 0x600089D4, "esp32c6": 0x600B09D4, "esp32h2": 0x600B09D4,
                "esp32c5": 0x600B49D8, "esp32c61": 0x600B49D4}  # fmt: skip
    if chip not in commands:
        pytest.skip("another eFuse controller")
    board = Hardware(SOCS[chip], count=False)
    board.attach(Chip(chip))
    for command in (1, 2, 3 | 5 << 2):
        board.registers.write(commands[chip], command)
        assert board.registers.read(commands[chip]) == command & ~3


def test_the_pll_of_an_esp32_c6_is_divided_by_three_whatever_is_written_there():
    """PCR_SYSCLK_CONF_REG: PCR_HS_DIV_NUM is the hardware's, and one less; code reckons the CPU's clock from it."""
    board = Hardware(SOCS["esp32c6"], count=False)
    board.attach(Chip("esp32c6"))
    for written in (0, 1 << 16, 2 << 16):
        board.registers.write(0x60096110, written)
        assert board.registers.read(0x60096110) == written | 2 << 8
