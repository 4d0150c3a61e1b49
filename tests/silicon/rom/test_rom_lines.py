"""ROM's own lines, held against the ROMs: their code prints the same, and their texts are in them."""

from __future__ import annotations

import random
import struct

import pytest
from builds import BUILDS, bootloader
from real_roms import OTHER_ROMS, ROMS, XTENSA_ROMS, Side, real_rom, reasons, symbols_of

from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import image
from py_esp_ota.rom_lines import VOICES, loading_lines, reset_lines

CHIPS = list(ROMS)


@pytest.mark.parametrize("chip", CHIPS)
def test_how_the_flash_is_used_is_told_as_the_roms_own_code_tells_it(chip):
    """``ets_config_flash_by_image_hdr`` of the real ROM, with any mode, speed, pin and strength."""
    real, symbols = Side(chip, real_rom(chip)), symbols_of(chip)
    for name in ("esp_rom_spiflash_config_readmode", "esp_rom_spiflash_select_qio_pins"):
        real.hardware.store(symbols[name], b"\x82\x80")  # ret: no flash chip answers here
    real.call(symbols["ets_install_putc1"], [symbols["__call_uart_tx_one_char"]], b"")
    rng = random.Random(chip)
    for _ in range(40):
        loader = bytearray(image([(0x40380000, bytes(16))], chip=chip, entry_addr=0x40380000))
        loader[2], loader[3] = rng.randrange(6), rng.choice([0, 1, 2, 0xF, 0x1F, 0x20])
        loader[8] = rng.choice([0xEE, 0xEE, 7])
        loader[9:12] = rng.choice([bytes(3), rng.randbytes(3)])
        said = real.call(
            symbols["ets_config_flash_by_image_hdr"], [real.space, real.space + 8, 0], bytes(loader[:24])
        ).text
        told = [line for line in loading_lines(chip, bytes(loader)) if not line.startswith(("load:", "entry "))]
        assert said.split() == " ".join(told).split(), loader[:24].hex()


@pytest.mark.parametrize("name", [*ROMS, *OTHER_ROMS, *XTENSA_ROMS])
def test_every_text_is_in_the_rom(name):
    """Names and dates in full, the formats that ours follow, the names of the reset reasons in their order."""
    rom, chip = real_rom(name), name.split("_", maxsplit=1)[0]
    revision = {"esp32c3_rev0": 0, "esp32c3_rev101": 101, "esp32_rev0": 0}.get(name, Chip(chip).efuse.chip_revision)
    voice = VOICES[chip]
    lines = reset_lines(chip, revision, ResetReason.POWERON)
    for line in lines[:2]:
        for word in (
            line.removeprefix("ESP-ROM:").removeprefix("Build:").removeprefix("ets ").rsplit(" ", voice.classic)
        ):
            assert word.encode() + b"\0" in rom, word
    assert b"rst:0x%x (%s),boot:0x%x (%s)\r\n\0" in rom or b"rst:0x%x (%s),boot:0x%x (%s)\n\0" in rom
    assert f"{voice.before_mode}mode:%s, clock div:%d\n".encode() in rom
    assert (b"load:0x%08x,len:%d\n" if voice.classic else b"load:0x%08x,len:0x%x\n") in rom
    assert b"entry 0x%08x\n" in rom
    for reason, text in voice.reasons.items():
        assert text.encode() + b"\0" in rom, reason


@pytest.mark.parametrize("chip", CHIPS)
def test_the_names_of_the_reset_reasons_stand_where_rom_looks_for_them(chip):
    table = reasons(chip)
    assert {reason: table.name(reason) for reason in VOICES[chip].reasons} == VOICES[chip].reasons


@pytest.mark.parametrize("build", BUILDS, ids=str)
def test_a_bootloader_is_loaded_piece_by_piece(build):
    loader = bootloader(build)
    told = loading_lines(build.chip, loader)
    pieces = [line for line in told if line.startswith("load:0x")]
    assert len(pieces) == loader[1]
    assert told[-1] == f"entry 0x{struct.unpack_from('<I', loader, 4)[0]:08x}"
    first, length = struct.unpack_from("<II", loader, 24)
    assert pieces[0] == f"load:0x{first:08x},len:{length if build.chip == 'esp32' else hex(length)}"


def test_the_classic_one_counts_in_decimal_and_tells_all_pins():
    loader = image([(0x3FFF0030, bytes(20))], chip="esp32", entry_addr=0x40080400)
    assert reset_lines("esp32", 301, 12) + loading_lines("esp32", loader) == (
        "ets Jul 29 2019 12:21:46",
        "",
        "rst:0xc (SW_CPU_RESET),boot:0x13 (SPI_FAST_FLASH_BOOT)",
        "configsip: 0, SPIWP:0xee",
        "clk_drv:0x00,q_drv:0x00,d_drv:0x00,cs0_drv:0x00,hd_drv:0x00,wp_drv:0x00",
        "mode:DIO, clock div:1",
        "load:0x3fff0030,len:20",
        "entry 0x40080400",
    )


def test_what_is_no_image_is_not_loaded():
    assert loading_lines("esp32c3", b"\xff" * 0x8000) == ()
    assert loading_lines("esp32c3", b"") == ()
    assert reset_lines("esp32p4", 0, 1) == ()
