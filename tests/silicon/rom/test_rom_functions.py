"""Where ROM has its functions, and what bootloaders of other consoles, releases and modes ask of it."""

from __future__ import annotations

import random
import struct

import pytest
from builds import machine_of
from real_roms import OTHER_ROMS, ROMS, both_sides, real_rom, symbols_of

from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.rom.elf import read_elf

CHIPS = list(ROMS)


def lui_addi(register, value):
    return (value + 0x800 & 0xFFFFF000) | register << 7 | 0x37, (
        value & 0xFFF
    ) << 20 | register << 15 | register << 7 | 0x13


def call(address, *arguments):
    words = [word for index, value in enumerate(arguments) for word in lui_addi(10 + index, value)]
    return [*words, *lui_addi(5, address), 0x000280E7]  # jalr ra, t0


@pytest.mark.parametrize("name", [*ROMS, *OTHER_ROMS])
def test_every_function_of_ours_is_where_rom_has_it(name):
    symbols = read_elf(real_rom(name)).symbols
    soc = SOCS[name.split("_", maxsplit=1)[0]]
    wrong = {
        function: (place, symbols["__call_" + function])
        for place, function in soc.rom_functions.items()
        if symbols.get("__call_" + function, place) != place
    }
    assert not wrong
    named = [function for function in soc.rom_functions.values() if "__call_" + function in symbols]
    assert len(named) > 200


@pytest.mark.parametrize("name", ["esp32c3", *OTHER_ROMS])
def test_what_has_no_place_in_roms_list_is_where_that_revision_has_it(name):
    symbols = read_elf(real_rom(name)).symbols
    place = symbols.get("__call_uart_tx_switch", symbols["uart_tx_switch"])
    assert SOCS["esp32c3"].unlisted[place] == "uart_tx_switch"


def console_calls(soc, switch, text):
    """What ``bootloader_console_init`` asks of ROM for the USB Serial/JTAG controller, for another UART, for none."""
    at = {name: place for place, name in soc.rom_functions.items()}
    return [
        *call(at["uart_tx_wait_idle"], 0),
        *call(at["gpio_matrix_in"], 0x38, 6, 0),
        *call(at["gpio_matrix_out"], 21, 6, 0, 0),
        *call(at["GetUartDevice"]),
        0x00300593,  # li a1, 3
        0x00B50C23,  # sb a1, 0x18(a0): buff_uart_no
        *call(switch, 3),
        *call(at["ets_install_putc2"], 0),
        *call(at["ets_install_putc1"], 0),
        *call(at["esp_rom_spiflash_unlock"]),
        *call(at["uart_div_modify"], 0, 100),
        *call(at["uartAttach"], 0),
        *call(at["esp_rom_spiflash_config_readmode"], 0),
        *call(at["esp_rom_spiflash_select_qio_pins"], 0, 0),
        *call(at["ets_printf"], text),
        *call(at["software_reset"]),
    ]


def switches(soc):
    listed = [place for place, name in soc.rom_functions.items() if name == "uart_tx_switch"]
    return listed or list(soc.unlisted)


@pytest.mark.parametrize(
    ("chip", "switch", "real"),
    [(chip, switch, False) for chip in CHIPS for switch in switches(SOCS[chip])]
    + [(chip, switches(SOCS[chip])[min(1, len(switches(SOCS[chip])) - 1)], True) for chip in CHIPS],
)
def test_a_bootloader_whose_console_is_another_prints_and_goes_on(chip, switch, real):
    soc, board = SOCS[chip], Chip(chip)
    text, code = soc.ram[0].windows[0][0] + 0x20000, soc.ram[0].windows[-1][0] + 0x20400
    words = console_calls(soc, switch, text)
    loader = image([(text, b"on USB\n\0"), (code, struct.pack(f"<{len(words)}I", *words))], chip=chip, entry_addr=code)
    board.flash.program(board.target.bootloader_offset, loader)
    machine = Machine(chip, rom=real_rom(chip)) if real else machine_of(chip)
    ended = machine.run(board)
    assert ended.trap is None, ended.trap
    assert (ended.outcome, ended.log) == ("RESET", ("on USB",))


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize("name", ["strdup", "strndup"])
def test_a_copy_of_a_text_lies_in_the_apps_own_memory(chip, name):
    place = symbols_of(chip)["__call_" + name]
    for side in both_sides(chip):
        side.lend_newlib(symbols_of(chip)["syscall_table_ptr"])
        for seed in range(10):
            rng = random.Random(seed)
            text = bytes(rng.choices(range(1, 256), k=rng.randrange(12)))
            longest = rng.randrange(14)
            to = side.call(place, [side.space, longest], text.ljust(0x40, b"\0")).a0
            wanted = text if name == "strdup" else text[:longest]
            assert to == side.lent
            assert side.hardware.load(to, len(wanted) + 1) == wanted + b"\0"


@pytest.mark.parametrize("chip", CHIPS)
@pytest.mark.parametrize(("mode", "result", "terminal"), [(0x2000, 0, 1), (0x8000, 0, 0), (0x2000, -1, 0)])
def test_a_terminal_is_what_the_app_says_it_is(chip, mode, result, terminal):
    """Its ``_fstat_r``: sw a5 = mode, 4(a2); li a0, result; ret."""
    code = [mode >> 12 << 12 | 15 << 7 | 0x37, 0x00F62223, (result & 0xFFF) << 20 | 10 << 7 | 0x13, 0x00008067]
    for side in both_sides(chip):
        side.lend_newlib(symbols_of(chip)["syscall_table_ptr"])
        side.hardware.cpu.forget_code()
        side.hardware.store(side.table + 4 * 14, struct.pack("<I", side.code))
        place = symbols_of(chip)["__call__isatty_r"]
        called = side.call(place, [side.space, 1], bytes(16), code=struct.pack("<4I", *code))
        assert called.a0 == terminal


def test_without_an_app_there_is_no_memory_to_copy_to():
    chip = Chip()
    at = {name: place for place, name in SOCS["esp32c3"].rom_functions.items()}
    words = call(at["strdup"], 0x3FCA0000)
    code = struct.pack(f"<{len(words)}I", *words)
    chip.flash.program(0, image([(0x3FCA0000, b"text"), (0x403A0400, code)], entry_addr=0x403A0400))
    trap = machine_of("esp32c3").run(chip).trap
    assert trap.reason == "strdup: it needs the C library of an app, and none runs"


def test_nothing_typed_is_nothing_read():
    side, _real = both_sides("esp32c3")
    at = {name: place for place, name in SOCS["esp32c3"].rom_functions.items()}["uart_rx_one_char"]
    assert side.call(at, [side.space], bytes(16)).a0 == 1
    side.hardware.devices.type("uart", "ab")
    assert [side.call(at, [side.space], bytes(16)).memory[:1] for _ in range(2)] == [b"a", b"b"]
    assert side.call(at, [side.space], bytes(16)).a0 == 1
