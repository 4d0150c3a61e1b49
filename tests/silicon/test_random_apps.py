"""Random bytes as an app: whatever they do, the chip ends in a report or goes on, soon, and in little memory."""

from __future__ import annotations

import os
import random
import resource
import struct
import time

import pytest
from board import Board
from builds import C3, bootloader, machine_of

from py_esp_ota.chip import ResetReason
from py_esp_ota.firmware import app_desc, image

APPS = int(os.environ.get("ESP_OTA_PROGRAMS", "60"))
IRAM, DRAM = 0x40380000, 0x3FC90000
ROM = sorted(machine_of("esp32c3").soc.rom_functions)


def lui_addi(register: int, value: int) -> tuple[int, int]:
    low = value & 0xFFF
    return (
        value + (low >> 11 << 12) & 0xFFFFF000
    ) | register << 7 | 0x37, low << 20 | register << 15 | register << 7 | 0x13


def calls(rng: random.Random) -> bytes:
    """Calls of ROM functions with arguments that point anywhere, in a loop."""
    words: list[int] = []
    for _ in range(rng.randrange(1, 12)):
        for argument in range(10, 15):
            value = rng.choice(
                [0, 1, 4, 0xFFFFFFFF, rng.getrandbits(32), DRAM, IRAM, 0x3C000000, 0x42000000, 0x60000000, 0x10000]
            )
            words += lui_addi(argument, value)
        words += lui_addi(5, rng.choice(ROM))
        words.append(0x000280E7)  # jalr ra, t0
    return struct.pack(f"<{len(words)}I", *words) + struct.pack("<I", 0x0000006F)


def made(rng: random.Random) -> bytes:
    kind = rng.random()
    if kind < 0.5:
        code = calls(rng)
    elif kind < 0.7:
        code = rng.randbytes(4 * rng.randrange(1, 400))
    else:  # loads, stores, CSRs and jumps that are likely to be instructions
        words = [
            rng.getrandbits(32) & ~0x7F | rng.choice([0x03, 0x13, 0x17, 0x23, 0x33, 0x37, 0x63, 0x67, 0x6F, 0x73])
            for _ in range(200)
        ]
        code = struct.pack("<200I", *words)
    rodata = app_desc("random", "1")
    text = 0x42010000 + 24 + 8 + len(rodata) + 8 + len(code) + 8
    return image([(0x3C000020, rodata), (IRAM, code), (text, bytes(32))], entry_addr=IRAM)


def test_any_app_ends_in_a_report_or_goes_on():
    machine, build = machine_of("esp32c3"), C3[0]
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    ends: set[str] = set()
    for number in range(APPS):
        board = Board("two_ota", "1/VALID", config=build.config)  # the last app may have erased its bootloader
        board.chip.flash.program(0, bootloader(build))
        board.flash_app("ota_0", made(random.Random(f"apps/{number}")))
        session = machine.session(board.chip)
        started = time.process_time()
        session.run(0.1)
        assert time.process_time() - started < 20, number
        assert session.boots, number
        ends.add("trap" if session.trap else "reset" if session.resets else "runs")
        assert len(session.take()) <= 1 << 20
    assert ends == {"trap", "reset", "runs"}
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 200_000  # KiB


@pytest.mark.parametrize(
    "name", ["qsort", "strtol", "atoi", "memset", "strlen", "memchr", "ets_printf", "ets_delay_us"]
)
def test_one_call_with_the_worst_arguments_is_over_soon(name):
    """All ones everywhere, and a megabyte of digits."""
    machine, build = machine_of("esp32c3"), C3[0]
    table = {named: address for address, named in machine.soc.rom_functions.items()}
    for arguments in (
        (0xFFFFFFFF,) * 4,
        (0x3C000020, 0xFFFFFFFF, 0, IRAM),
        (0x3C000020, 0, 10, 0),
        (DRAM, 0x10000, 16, IRAM),
    ):
        words = [word for index, value in enumerate(arguments) for word in lui_addi(10 + index, value)]
        words += [*lui_addi(5, table[name]), 0x000280E7, 0x0000006F]
        code = struct.pack(f"<{len(words)}I", *words)
        board = Board("two_ota", "1/VALID", config=build.config)
        board.chip.flash.program(0, bootloader(build))
        board.flash_app(
            "ota_0",
            image(
                [(0x3C000020, b"7" * 0x8000), (IRAM, code), (0x42018000 + 24 + 24 + len(code), bytes(32))],
                entry_addr=IRAM,
            ),
        )
        session = machine.session(board.chip)
        started = time.process_time()
        session.run(0.01)
        assert time.process_time() - started < 10, arguments
        assert session.boots[0].outcome == "APP"


def test_a_chip_that_resets_for_ever_comes_to_the_end_of_its_time():
    """An app that resets at once: twenty boots a second, not a thousand."""
    words = [*lui_addi(5, 0x40000090), 0x000280E7]  # software_reset
    board = Board("two_ota", "1/VALID", config=C3[0].config)
    board.chip.flash.program(0, bootloader(C3[0]))
    board.flash_app(
        "ota_0",
        image(
            [
                (0x3C000020, app_desc("loop", "1")),
                (IRAM, struct.pack("<3I", *words)),
                (0x42010000 + 24 + 24 + 256 + 12, bytes(32)),
            ],
            entry_addr=IRAM,
        ),
    )
    session = machine_of("esp32c3").session(board.chip)
    session.run(2)
    assert (len(session.boots), session.trap) == (40, None)
    assert set(session.resets) == {ResetReason.SW}
