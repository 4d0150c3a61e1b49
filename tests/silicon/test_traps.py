"""Machine code that is none, or that wants what is not here, ends in a report that says where."""

from __future__ import annotations

import random
import struct
import time

import pytest

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import flipped, image
from py_esp_ota.silicon import Machine

IRAM, DRAM = 0x403CC000, 0x3FCD0000


@pytest.fixture(scope="module")
def machine():
    return Machine("esp32c3", count=True)


def run(machine, code, *, data=bytes(16), reset_reason=ResetReason.POWERON, **how):
    """A bootloader of these instructions and this data."""
    code = code if isinstance(code, bytes) else struct.pack(f"<{len(code)}I", *code)
    chip = Chip()
    chip.reset_reason = reset_reason
    chip.flash.program(0, image([(DRAM, data), (IRAM, code)], entry_addr=IRAM))
    return machine.run(chip, **how)


def lui(register, value):
    return (value + 0x800 & 0xFFFFF000) | register << 7 | 0x37


def addi(register, source, value):
    return (value & 0xFFF) << 20 | source << 15 | register << 7 | 0x13


def load(register, address):
    """Two instructions: that register holds that address."""
    return [lui(register, address), addi(register, register, address & 0xFFF)]


def call(address):
    return [*load(5, address), 0x000280E7]


def print_a1(form):
    """ets_printf of this form, which is the data of the program; then a reset."""
    return {"code": [*load(A0, DRAM), *call(0x40000040), *call(0x40000090)], "data": form}


SPIN = 0x0000006F
A0, A1, T1 = 10, 11, 6


def test_random_bytes_end_in_a_report_and_soon(machine):
    rng = random.Random(5)
    began = time.perf_counter()
    for _ in range(300):
        ended = run(machine, rng.randbytes(4 * rng.randrange(1, 200)), budget=1_000_000)
        assert ended.outcome in {"ABORT", "HANG", "RESET"}
        assert (ended.outcome == "ABORT") == (ended.trap is not None)
        assert ended.entry is None
    assert time.perf_counter() - began < 60


def test_random_bytes_where_the_bootloader_should_be(machine):
    flash = Flash()
    flash.program(0, random.Random(1).randbytes(0x8000))
    ended = machine.run(Chip(flash=flash))
    assert ended.outcome == "RESET"
    assert str(ended.trap).startswith("no bootloader: the first byte is 0x")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no bootloader: the first byte is 0xff, expected 0xe9"),
        (flipped(image([(IRAM, bytes(16))]), 0x22), "no bootloader that ROM would start"),
        (image([(0x3C000000, bytes(16))]), "segment 0 goes to 0x3c000000, which is no RAM"),
        (image([(0x403DFFF8, bytes(16))]), "segment 0 goes to 0x403dfff8, which is no RAM"),
    ],
)
def test_what_rom_would_not_start(machine, data, reason):
    flash = Flash()
    flash.program(0, data)
    ended = machine.run(Chip(flash=flash))
    assert ended.outcome == "RESET"
    assert reason in ended.trap.reason


@pytest.mark.parametrize(
    ("code", "reason", "ours"),
    [
        ([0], "illegal instruction", False),
        ([0x00000073], "environment call", False),
        ([0x00100073], "breakpoint", False),
        ([*load(T1, 0x20000000), 0x00032303], "nothing to load at 0x20000000", False),
        ([*load(T1, 0x20000000), 0x00632023], "nothing to store into at 0x20000000", False),
        ([*load(T1, 0x40000000), 0x00632023], "nothing to store into at 0x40000000", False),
        (call(DRAM), "no code to execute at 0x3fcd0000", False),
        (
            [*load(T1, 0x40380000), *load(A0, SPIN), 0x00A32023, *call(0x40380000)],
            "execution outside of the bootloader",
            False,
        ),
        (call(0x40380000), "illegal instruction", False),
        (call(0x40000100), "ROM function 0x40000100 is not here, the chip's real ROM may have it", True),
    ],
    ids=["illegal", "ecall", "ebreak", "load", "store", "rom", "fetch", "away", "nowhere", "unknown"],
)
def test_a_trap_names_the_reason_and_the_address(machine, code, reason, ours):
    ended = run(machine, code)
    assert (ended.outcome, ended.trap.reason, ended.trap.ours) == ("ABORT", reason, ours)
    assert reason in str(ended.trap)


def test_a_trap_names_the_last_calls(machine):
    ended = run(machine, [*call(0x40000018), *call(0x40000050), *call(0x40000100)])
    assert ended.trap.calls == ("rtc_get_reset_reason", "ets_delay_us")
    assert ended.trap.pc == 0x40000100
    assert ended.trap.ra == IRAM + 36
    assert str(ended.trap).endswith("last ROM calls: rtc_get_reset_reason, ets_delay_us")


def test_a_rom_function_with_a_bad_pointer_is_a_trap(machine):
    ended = run(machine, [*load(A0, 0x20000000), *load(A1, 1), *load(12, 4), *call(0x40000354)])
    assert ended.trap.reason.startswith("memset: ")


def test_a_block_longer_than_memory_is_a_trap(machine):
    ended = run(machine, [*load(A0, DRAM), *load(12, 0x7FFFFFF0), *call(0x40000354)])
    assert ended.trap.reason == "memset: a block of 2147483632 bytes is longer than the memory"


def test_a_loop_is_a_hang_after_its_budget(machine):
    ended = run(machine, [SPIN], budget=10_000)
    assert (ended.outcome, ended.trap) == ("HANG", None)


def test_a_loop_through_rom_or_registers_is_a_hang_too(machine, monkeypatch):
    monkeypatch.setattr("py_esp_ota.silicon.boot._EFFORT", 40_000)  # a tenth: what costs more is looked at below
    began = time.process_time()
    loop = [*load(5, 0x40000050), 0x000280E7, 0xFF5FF06F]
    assert run(machine, loop).outcome == "HANG"
    reads = [*load(T1, 0x60008000), 0x00032383, 0xFFDFF06F]
    assert run(machine, reads).outcome == "HANG"
    cycles = [0x7E2022F3, 0xFFDFF06F]
    assert run(machine, cycles).outcome == "HANG"
    assert time.process_time() - began < 6


def test_console_registers_are_the_log(machine):
    letters = [word for letter in b"hi\n" for word in (*load(A0, letter), 0x00A32023)]
    uart = run(machine, [*load(T1, 0x60000000), *letters, *call(0x40000090)])
    usb = run(machine, [*load(T1, 0x60043000), *letters, *call(0x40000090)])
    assert (uart.outcome, uart.log) == (usb.outcome, usb.log) == ("RESET", ("hi",))


def test_the_reset_bit_resets(machine):
    ended = run(machine, [*load(T1, 0x60008000), *load(A0, 0x80000000), 0x00A32023, SPIN])
    assert ended.outcome == "RESET"


def test_instructions_are_those_that_ran(machine):
    assert run(machine, [addi(0, 0, 0)] * 7 + [0x00100073]).instructions == 8


@pytest.mark.parametrize("reason", ResetReason)
def test_rom_tells_the_reset_reason(machine, reason):
    say = print_a1(b"reason %d\n\0\0\0\0\0\0")
    ended = run(machine, [*call(0x40000018), addi(A1, A0, 0), *say["code"]], data=say["data"], reset_reason=reason)
    assert (ended.outcome, ended.log) == ("RESET", (f"reason {int(reason)}",))


def test_memory_is_empty_after_a_reset(machine):
    say = print_a1(b"found %x\n\0\0\0\0\0\0\0")
    look = [*load(T1, 0x3FCA0000), 0x00032583]
    leave = [*load(A0, 0x1234), 0x00A32023]
    for _ in range(2):
        assert run(machine, [*look, *leave, *say["code"]], data=say["data"]).log == ("found 0",)


def test_both_buses_show_the_same_memory(machine):
    say = print_a1(b"found %x\n\0\0\0\0\0\0\0")
    store = [*load(T1, 0x3FCA0000), *load(A0, 0x1234), 0x00A32023]
    assert run(machine, [*store, *load(T1, 0x403A0000), 0x00032583, *say["code"]], data=say["data"]).log == (
        "found 1234",
    )


def test_an_erased_sector_is_seen_through_the_cache_when_it_is_switched_on(machine):
    """The cache shows page 0; the program erases its sector 1 and looks before and after the cache is on again."""
    say = print_a1(b"%x %x\n\0\0\0\0\0\0\0\0\0\0")
    show = [*load(T1, 0x600C5000), 0x00032023, *call(0x40000520)]
    look = [*load(T1, 0x3C001000)]
    erase = [*load(A0, 1), *call(0x40000128), *load(T1, 0x3C001000), 0x00032583, *call(0x40000520)]
    code = [*show, *erase, *look, 0x00032603, *say["code"]]
    chip = Chip()
    made = image([(DRAM, say["data"]), (IRAM, struct.pack(f"<{len(code)}I", *code))], entry_addr=IRAM)
    chip.flash.program(0, made)
    chip.flash.program(0x1000, bytes(16))
    ended = machine.run(chip)
    assert ended.log == ("0 ffffffff",)
    assert [(write.kind, write.address, write.length) for write in ended.flash_writes] == [("erase", 0x1000, 0x1000)]


@pytest.mark.parametrize("magic", [0xE9, 0x00, 0xFF])
@pytest.mark.parametrize("place", [0x10000, 0x13000])
def test_the_jump_into_an_app_is_known_whatever_its_first_byte_is(machine, magic, place):
    """A build that validates nothing does not look at it before ESP-IDF v6.2."""
    app = bytearray(image([(0x40380000, struct.pack("<I", SPIN))], entry_addr=0x40380000))
    app[0] = magic
    flash = Flash()
    code = [*load(T1, 0x600C5000), addi(A0, 0, 1), 0x00A32023, *call(0x40000528)]  # page 1 is mapped, and shown
    code += [*load(T1, 0x40380000), *load(A0, SPIN), 0x00A32023, *call(0x40380000)]
    flash.program(0, image([(DRAM, bytes(16)), (IRAM, struct.pack(f"<{len(code)}I", *code))], entry_addr=IRAM))
    flash.program(place, bytes(app))
    ended = machine.run(Chip(flash=flash))
    assert (ended.outcome, ended.slot, ended.entry, ended.trap) == ("APP", place, 0x40380000, None)


def test_a_strict_flash_refuses_what_needs_an_erase_and_rom_says_so(machine):
    say = print_a1(b"result %d\n\0\0\0\0\0\0")
    write = [*load(A0, 0x20000), *load(A1, DRAM), *load(12, 16), *call(0x4000012C)]
    chip = Chip()
    code = [*write, addi(A1, A0, 0), *say["code"]]
    chip.flash.program(0, image([(DRAM, say["data"]), (IRAM, struct.pack(f"<{len(code)}I", *code))], entry_addr=IRAM))
    assert machine.run(chip).log == ("result 0",)
    assert chip.flash.read(0x20000, 16) == say["data"]
    chip.flash.erase(0x20000, 0x1000)
    chip.flash.program(0x20000, bytes(16))
    ended = machine.run(chip)
    assert (ended.log, ended.flash_writes) == (("result 1",), ())


def test_a_loop_that_costs_python_much_ends_as_soon_as_one_that_does_not(machine):
    """Every page of the flash mapped again and again; a sector erased again and again."""
    cache = Machine("esp32c3")
    store = [*load(T1, 0x600C5000), *load(A1, 0x600C5200), 0x00A32023, addi(T1, T1, 4), 0xFEB34CE3]
    shown = [*load(A0, 0), *store, *call(0x40000520), *load(A0, 1), *store, *call(0x40000520)]
    erased = [*load(A0, 0x3F0), *call(0x40000128)]
    for body in (shown, erased):
        offset = -4 * len(body)
        back = 0x6F | (offset >> 1 & 0x3FF) << 21 | (offset >> 11 & 1) << 20 | (offset >> 12 & 0xFF) << 12 | 1 << 31
        began = time.perf_counter()
        ended = run(cache, [*body, back])
        assert (ended.outcome, ended.trap) == ("HANG", None)
        assert len(ended.flash_writes) < 50_000
        assert time.perf_counter() - began < 30


def test_a_session_reads_the_bootloader_at_each_reset(machine):
    """Its own update may have put another one there, or half of one."""

    def put(chip, word):
        say = print_a1(word)
        made = image([(DRAM, say["data"]), (IRAM, struct.pack(f"<{len(say['code'])}I", *say["code"]))], entry_addr=IRAM)
        chip.flash.erase(0, 0x1000)
        chip.flash.program(0, made)

    chip = Chip()
    put(chip, b"one\n".ljust(16, b"\0"))
    session = machine.session(chip)
    assert session.run(0.01, until="one") == "one"
    put(chip, b"two\n".ljust(16, b"\0"))
    session.take()
    assert session.run(0.2, until="one") is None
    said = session.take()
    assert ("one\n" in said, "two\n" in said) == (False, True)
    chip.flash.erase(0, 0x1000)
    session.run(0.2)
    assert session.trap is not None
    assert session.trap.reason == "no bootloader: the first byte is 0xff, expected 0xe9"
