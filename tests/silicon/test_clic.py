"""The CLIC of an ESP32-C5: handlers of our own that preempt each other by level, and MicroPython, which ticks by it."""

from __future__ import annotations

import shutil
import subprocess

import micropython
import pytest
from board import Board
from builds import C5, bootloader, fetched_release
from real_roms import real_rom

from py_esp_ota._core import Flash
from py_esp_ota.chip import Chip, ResetReason
from py_esp_ota.firmware import app_desc, image, layout_of
from py_esp_ota.silicon import Machine
from py_esp_ota.silicon.chips.peripherals import PERIPHERALS

AT = PERIPHERALS["esp32c5"]
LAYOUT = layout_of("esp32c5")
LOWER, UPPER = 17, 18

#: Two lines, pulled by two of the registers by which code interrupts itself. What is printed tells who ran when.
PROGRAM = f"""
    .option norvc
    .macro say letter
    li t5, 0x60000000
    li t6, \\letter
    sw t6, 0(t5)
    .endm
    .macro pull which, value
    li t5, {AT.from_cpu:#x} + 4 * \\which
    li t6, \\value
    sw t6, 0(t5)
    lw t6, 0(t5)
    .endm
start:
    la t0, traps
    csrw mtvec, t0
    la t0, table
    csrw 0x307, t0
    csrwi 0x347, 0
    li t0, {AT.interrupts:#x} + 4 * {AT.from_cpu_source}
    li t1, {LOWER}
    sw t1, 0(t0)
    li t1, {UPPER}
    sw t1, 4(t0)
    li t0, 0x20801000
    li t1, LOWER_LEVEL << 29 | 3 << 22 | 1 << 16 | 1 << 8
    sw t1, 4 * {LOWER}(t0)
    li t1, UPPER_LEVEL << 29 | 3 << 22 | UPPER_VECTORED << 16 | 1 << 8
    sw t1, 4 * {UPPER}(t0)
    li t1, THRESHOLD << 5
    csrw 0x347, t1
    csrsi mstatus, 8
    pull 0, 1
    .rept 300
    nop
    .endr
    say 'm'
    csrwi 0x347, 0
    .rept 300
    nop
    .endr
    csrr s6, 0xfb1
    bnez s6, 1f
    say '0'
1:  say '\\n'
2:  wfi
    j 2b
lower:
    csrr s0, mcause
    csrr s1, mepc
    say '<'
    pull 0, 0
    pull 1, 1
    csrsi mstatus, 8
    .rept 300
    nop
    .endr
    csrci mstatus, 8
    csrr t0, 0xfb1
    srli t0, t0, 29
    addi t6, t0, '0'
    li t5, 0x60000000
    sw t6, 0(t5)
    say '>'
    csrw mepc, s1
    csrw mcause, s0
    mret
upper:
    csrr s2, mcause
    csrr s3, mepc
    say '('
    csrr t0, 0xfb1
    srli t0, t0, 29
    addi t6, t0, '0'
    li t5, 0x60000000
    sw t6, 0(t5)
    pull 1, 0
    say ')'
    csrw mepc, s3
    csrw mcause, s2
    mret
    .balign 64
traps:
    say '!'
    j upper
    .balign 64
table:
    .fill {LOWER}, 4, 0
    .word lower
    .word upper
"""


@pytest.fixture
def assembled(tmp_path):
    """The program's bytes for an address, with these symbols set."""
    if shutil.which("riscv64-unknown-elf-gcc") is None:
        pytest.skip("riscv64-unknown-elf-gcc is not installed: make system, or apt-get install gcc-riscv64-unknown-elf")

    def build(**symbols: int) -> bytes:
        source, program, code = (tmp_path / name for name in ("clic.S", "clic.elf", "clic.bin"))
        source.write_text("".join(f".equ {name}, {value}\n" for name, value in symbols.items()) + PROGRAM)
        flags = ["-march=rv32imac_zicsr", "-mabi=ilp32", "-nostdlib", f"-Wl,-Ttext={LAYOUT.iram:#x}", "-Wl,-e,start"]
        subprocess.run(["riscv64-unknown-elf-gcc", *flags, source, "-o", program], check=True)
        subprocess.run(["riscv64-unknown-elf-objcopy", "-O", "binary", program, code], check=True)
        return code.read_bytes()

    return build


def printed(code):
    """What the app prints of a line, on the hardware that the chip's own bootloader started it on."""
    build = C5[0]
    board = Board("two_ota", "1/VALID", config=build.config, chip=build.chip)
    board.chip.flash.program(build.offset, bootloader(build))
    rodata = app_desc("bench", "clic")
    at = 24 + 8 + len(rodata) + 8
    text = (LAYOUT.irom + 0x10000 + at % 0x10000, bytes(64))
    parts = [(LAYOUT.drom + 0x20, rodata), text, (LAYOUT.iram, code + bytes(-len(code) % 4))]
    board.flash_app("ota_0", image(parts, chip=build.chip, entry_addr=LAYOUT.iram))
    session = Machine(build.chip).session(board.chip)
    assert session.run(1, until="0x110000"), session.take()
    session.run(0.2)
    assert session.trap is None, session.trap
    return session.take().splitlines()[-1]


@pytest.mark.parametrize(
    ("lower", "upper", "threshold", "expected"),
    [
        (2, 5, 0, "<(5)2>m0"),  # preempted, and back at its own level
        (2, 3, 0, "<(3)2>m0"),
        (2, 2, 0, "<2>(2)m0"),  # its own level waits until it has returned
        (5, 2, 0, "<5>(2)m0"),
        (2, 5, 2, "m<(5)2>0"),  # the threshold keeps the lower one out until it falls
        (2, 5, 1, "<(5)2>m0"),
        (5, 3, 4, "<5>m(3)0"),  # and here the second one alone
    ],
)
def test_levels_and_thresholds_say_who_interrupts_whom(assembled, lower, upper, threshold, expected):
    code = assembled(LOWER_LEVEL=lower, UPPER_LEVEL=upper, THRESHOLD=threshold, UPPER_VECTORED=1)
    assert printed(code) == expected


def test_a_line_that_is_not_vectored_goes_where_exceptions_go(assembled):
    assert printed(assembled(LOWER_LEVEL=1, UPPER_LEVEL=7, THRESHOLD=0, UPPER_VECTORED=0)) == "<!(7)1>m0"


def test_micropython_of_the_c5_runs_on_its_real_rom():
    """FreeRTOS: its tick, the switches between its tasks and the system timer interrupt by levels."""
    data = fetched_release(C5[1].release)
    flash = Flash(0x400000)
    flash.program(C5[1].offset, data)
    session = Machine("esp32c5", rom=real_rom("esp32c5")).session(Chip("esp32c5", flash=flash))
    assert session.run(2, until=micropython.PROMPT), session.take()
    assert "MicroPython v1.27.0 on 2025-12-09; ESP32C5 module with ESP32C5" in session.take()
    assert micropython.ask(session, "print(6 * 7, 2 ** 100, 1 / 3)") == "42 1267650600228229401496703205376 0.33333334"
    before = session.seconds
    assert micropython.ask(session, "import time; time.sleep_ms(250)") == ""
    assert 0.25 <= session.seconds - before < 0.35
    assert micropython.ask(session, "f = open('kept.txt', 'w'); f.write('still here'); f.close()") == "10"
    session.type("import machine; machine.reset()\r")
    assert session.run(2, until=micropython.PROMPT), session.take()
    session.take()
    assert micropython.ask(session, "print(open('kept.txt').read())") == "still here"
    assert session.resets == [ResetReason.SW_CPU]
    assert session.trap is None


def test_such_apps_run_on_the_core_alone():
    board = Board("two_ota", "1/VALID", config=C5[0].config, chip="esp32c5")
    board.chip.flash.program(C5[0].offset, bootloader(C5[0]))
    with pytest.raises(ValueError, match="apps of an esp32c5 run on the engine core: unicorn has no CLIC"):
        Machine("esp32c5", engine="unicorn").session(board.chip).run(1)
