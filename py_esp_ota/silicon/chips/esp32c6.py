"""ESP32-C6: one bus for code and data, and an MMU behind two registers of SPI0."""

from __future__ import annotations

from py_esp_ota.silicon.chips.esp32c6_rom import ESP32C6_ROM
from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuItems, Pages, Soc

ESP32C6 = Soc(
    name="esp32c6",
    ram=(
        Memory(0x80000, ((0x40800000, READ | WRITE | EXECUTE),)),
        Memory(0x4000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x50000, ((0x40000000, READ | EXECUTE),)),
    rom_data=None,
    rom_words={},
    flash_windows=((0, Memory(0x1000000, ((0x42000000, READ | EXECUTE),))),),
    mmu=MmuItems(
        index=0x60002380,
        content=0x6000237C,
        entries=256,
        valid=1 << 9,
        mask=0x1FF,
        pages=Pages((0x10000, 0x8000, 0x4000, 0x2000), register=0x60002384, bit=3),
    ),
    registers=((0x60000000, 0x600D0000), (0x20001000, 0x20002000)),
    stack_top=0x4087E610,
    legacy_data=0x4087FFEC,
    legacy_struct=0x4087FF00,
    rom_functions=ESP32C6_ROM,
    spi0=0x60002000,
    spi1=0x60003000,
    consoles=frozenset({0x60000000, 0x6000F000}),
    rng=0x600B2808,
    reset_register=0x600B1034,
    reset_values={0x60002008: 1 << 13 | 1 << 23},
    ready={0x600AF818: 1 << 24, 0x60096110: 2 << 8},  # the PLL is calibrated; and divided by three, always
    taken={0x60000098: 1 << 0, 0x60001098: 1 << 0, 0x600B09D4: 3},  # UARTs take their settings over; eFuse commands end
    efuses={
        "disable_wafer_version_major": ((0x600B0840, 0, 1),),
        "disable_blk_version_major": ((0x600B0840, 1, 1),),
        "wafer_version_minor": ((0x600B0850, 18, 4),),
        "wafer_version_major": ((0x600B0850, 22, 2),),
        "blk_version_minor": ((0x600B0850, 27, 3),),
        "blk_version_major": ((0x600B0850, 30, 2),),
    },
    cycle_csrs=frozenset({0x7E2, 0x802}),
    standard_counters={},
    silent_csrs=frozenset({0x303, 0x7E0, 0x7E1, *range(0xBC0, 0xBE0)}),  # mideleg, performance counter, memory's rights
    uart_device=0x4087F568,
    syscall_table=0x4087FFD4,
    gpio=Gpio(out=0x60091004, enable=0x60091020, input=0x6009103C, mux=0x60090004),
)
