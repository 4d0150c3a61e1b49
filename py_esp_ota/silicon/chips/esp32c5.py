"""ESP32-C5: twice the MMU of the C6, for flash beyond 16 MiB."""

from __future__ import annotations

from py_esp_ota.silicon.chips.esp32c5_rom import ESP32C5_ROM
from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuItems, Pages, Soc

ESP32C5 = Soc(
    name="esp32c5",
    ram=(
        Memory(0x60000, ((0x40800000, READ | WRITE | EXECUTE),)),
        Memory(0x4000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x50000, ((0x40000000, READ | EXECUTE),)),
    rom_data=None,
    rom_words={0x4004FFFC: 0x4004FF00, 0x4004FF70: 0x40049C00},  # the layout, and where ROM's data begins
    flash_windows=((0, Memory(0x2000000, ((0x42000000, READ | EXECUTE),))),),
    mmu=MmuItems(
        index=0x60002380,
        content=0x6000237C,
        entries=512,
        valid=1 << 10,
        mask=0x1FF,
        pages=Pages((0x10000, 0x8000, 0x4000, 0x2000), register=0x60002384, bit=3),
    ),
    registers=((0x60000000, 0x600D0000), (0x20800000, 0x20802000)),
    stack_top=0x4085E5A0,
    legacy_data=0x4085FFEC,
    legacy_struct=0x4085FF00,
    rom_functions=ESP32C5_ROM,
    spi0=0x60002000,
    spi1=0x60003000,
    consoles=frozenset({0x60000000, 0x6000F000}),
    rng=0x600B2828,
    reset_register=0x600B1034,
    reset_values={
        0x60002008: 1 << 13 | 1 << 23,
        0x60096110: 48 << 24,  # and a crystal of 48 MHz
        **dict.fromkeys(range(0x20801000, 0x208010C0, 4), 3 << 22),  # every line interrupts machine mode
    },
    ready={0x600AF818: 1 << 24},  # the PLL is calibrated
    taken={
        0x60000098: 1 << 0,
        0x60096144: 1 << 0,
        0x600B49D8: 3,
    },  # UART0 and the buses take their settings over; eFuse commands end
    efuses={
        "wafer_version_minor": ((0x600B484C, 0, 4),),
        "wafer_version_major": ((0x600B484C, 4, 2),),
        "disable_wafer_version_major": ((0x600B484C, 6, 1),),
        "disable_blk_version_major": ((0x600B484C, 7, 1),),
        "blk_version_minor": ((0x600B484C, 8, 3),),
        "blk_version_major": ((0x600B484C, 11, 2),),
    },
    cycle_csrs=frozenset({0x7E2}),
    standard_counters={0xB00: 0x7E2, 0xC00: 0x7E2},
    # mideleg, hints and branch prediction, performance counter and status, memory's rights
    silent_csrs=frozenset({0x303, 0x7C0, 0x7C1, 0x7C5, 0x7E0, 0x7E1, *range(0xBC0, 0xBE0)}),
    follows={0x600C8028: (1 << 16, 1 << 18)},  # the cache is frozen
    uart_device=0x4085F4FC,
    syscall_table=0x4085FFD4,
    gpio=Gpio(out=0x60091004, enable=0x60091034, input=0x60091064, mux=0x60090000),
)
