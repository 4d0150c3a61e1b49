"""Machine code that nobody wrote: mutated bootloaders, and random bytes that ROM would start. All end in a report.

A valid image is made around the code, so that it is executed and not merely refused.
"""

from __future__ import annotations

import os
import random
import resource
import struct
import time

import pytest
from board import Board
from builds import C3, C5, C6, bootloader, machine_of

from py_esp_ota import inspect_image
from py_esp_ota.chip import Chip
from py_esp_ota.firmware import image, resealed
from py_esp_ota.silicon.chips.soc import EXECUTE
from py_esp_ota.silicon.chips.socs import SOCS
from py_esp_ota.silicon.oracle import OwnMachine

PROGRAMS = int(os.environ.get("ESP_OTA_PROGRAMS", "50"))
SEED = os.environ.get("ESP_OTA_SEED", "1")
IRAM, DRAM = 0x403CC000, 0x3FCD0000
ROM = range(0x40000000, 0x40060000)
BUSES = (0x3FC80000, 0x3C000000, 0x42000000, 0x40000000, 0x60000000, 0x60002000, 0x600C5000, 0x50000000)
OUTCOMES = {"APP", "RESET", "ABORT", "BAD_ENTRY", "HANG"}
SLOWEST_S = 30
MIB = 1 << 20


def mutated(rng: random.Random, whole: bytes) -> bytes:
    """A real bootloader with some of its code or data changed."""
    data = bytearray(whole)
    segment = rng.choice(inspect_image(whole).segments)
    for _ in range(rng.choice([1, 1, 2, 4, 16, 64])):
        at = segment.offset + rng.randrange(segment.length)
        kind = rng.randrange(4)
        if kind == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif kind == 1:
            data[at] = rng.randrange(256)
        else:
            # A whole instruction or pointer: another one of the same program, or any.
            at = segment.offset + (at - segment.offset) // 4 * 4
            source = segment.offset + rng.randrange(segment.length // 4) * 4
            data[at : at + 4] = data[source : source + 4] if kind == 2 else rng.randbytes(4)
    return resealed(bytes(data))


def _jump(rng: random.Random) -> list[int]:
    """Into ROM, or to any place on a bus."""
    target = ROM.start + 4 * rng.randrange(0x480) if rng.random() < 0.7 else rng.choice(BUSES) + rng.randrange(0x1000)
    return [target + 0x800 & 0xFFFFF000 | 5 << 7 | 0x37, (target & 0xFFF) << 20 | 5 << 15 | 0xE7]


def made_up(rng: random.Random) -> bytes:
    """Random words between instructions that are: loads, stores, branches, calls into ROM with any arguments."""
    words: list[int] = []
    for _ in range(rng.randrange(1, 120)):
        kind = rng.randrange(6)
        register = rng.randrange(32) << 7
        if kind == 0:
            words.append(rng.getrandbits(32))
        elif kind == 1:
            words.append(rng.getrandbits(20) << 12 | register | 0x37)  # lui
        elif kind == 2:
            words.append(rng.choice(BUSES) | register | 0x37)
        elif kind == 3:
            words.append(rng.getrandbits(25) << 7 | rng.choice([0x03, 0x13, 0x23, 0x33]))
        elif kind == 4:
            words.append(rng.getrandbits(25) << 7 | rng.choice([0x63, 0x6F]))
        else:
            words += _jump(rng)
    code = struct.pack(f"<{len(words)}I", *words)
    return image([(DRAM, rng.randbytes(4 * rng.randrange(1, 64))), (IRAM, code)], entry_addr=IRAM)


def noise(rng: random.Random) -> bytes:
    """Nothing but random bytes."""
    return image([(IRAM, rng.randbytes(4 * rng.randrange(1, 400)))], entry_addr=IRAM + 2 * rng.randrange(8))


def peak_mib() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


@pytest.mark.parametrize(
    "maker", [*C3, *C6, C5[1], made_up, noise], ids=lambda maker: getattr(maker, "__name__", str(maker))
)
def test_any_code_ends_in_a_report_soon_and_takes_no_memory(maker):
    chip, offset = ("esp32c3", 0) if callable(maker) else (maker.chip, maker.offset)
    whole, machine = None if callable(maker) else bootloader(maker), machine_of(chip)
    start = Board("two_ota", "1/VALID", "2/NEW", chip=chip).chip.flash
    machine.run(Chip(chip, flash=start.fork()))
    outcomes, slowest, before = dict.fromkeys(sorted(OUTCOMES), 0), (0.0, 0), peak_mib()
    for number in range(PROGRAMS):
        rng = random.Random(f"{SEED}/{number}")
        flash = start.fork()
        flash.program(offset, maker(rng) if whole is None else mutated(rng, whole))
        began = time.perf_counter()
        ended = machine.run(Chip(chip, flash=flash))
        slowest = max(slowest, (time.perf_counter() - began, number))
        assert (ended.trap is None) <= (ended.outcome != "ABORT" or ended.log != ()), number
        assert sum(map(len, ended.log)) < MIB, number
        outcomes[ended.outcome] += 1
    took = f"{PROGRAMS} programs: {outcomes}, slowest {slowest}, {peak_mib() - before:.1f} MiB more"
    print(took)  # noqa: T201 (pytest shows it with -s)
    assert slowest[0] < SLOWEST_S
    assert peak_mib() - before < 100
    assert outcomes["ABORT"]


@pytest.mark.parametrize("chip", SOCS)
def test_random_bytes_as_a_bootloader_of_any_chip_are_told_by_place_and_cause(chip):
    """What runs, ends; and where it left the known is an address with a reason."""
    reason = OwnMachine(count=False).unavailable(chip)
    if reason is not None:
        pytest.skip(reason)
    machine, before = machine_of(chip), peak_mib()
    base, size = next(
        (base, memory.size) for memory in machine.soc.ram for base, access in memory.windows if access & EXECUTE
    )
    for number in range(max(10, PROGRAMS // 5)):
        rng = random.Random(f"{SEED}/{chip}/{number}")
        at = base + rng.randrange(0, size - 0x2000, 4)
        code = rng.randbytes(4 * rng.randrange(1, 400))
        data = image([(at, code)], entry_addr=at + 2 * rng.randrange(8), chip=chip)
        board = Chip(chip)
        board.flash.program(board.target.bootloader_offset, data)
        began = time.perf_counter()
        ended = machine.run(board)
        assert time.perf_counter() - began < SLOWEST_S, number
        assert ended.outcome in OUTCOMES - {"APP"}, number
        if ended.trap is not None:
            assert f"{ended.trap.reason} at pc 0x{ended.trap.pc:08x}" in str(ended.trap)
    assert peak_mib() - before < 100
