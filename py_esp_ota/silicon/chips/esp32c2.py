"""ESP32-C2: as the C3, with half of its MMU and pages whose size is the build's choice."""

from __future__ import annotations

from py_esp_ota.silicon.chips.esp32c2_rom import ESP32C2_ROM
from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuTable, Pages, RomData, Soc

ESP32C2 = Soc(
    name="esp32c2",
    ram=(
        Memory(0x40000, ((0x3FCA0000, READ | WRITE), (0x40380000, READ | WRITE | EXECUTE))),
        Memory(0x4000, ((0x4037C000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x90000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FF00000, 0x50000, 0x40000),
    rom_words={},
    flash_windows=((0, Memory(0x400000, ((0x3C000000, READ), (0x42000000, READ | EXECUTE)))),),
    mmu=MmuTable(
        0x600C5000, entries=64, invalid=1 << 6, pages=Pages((0x4000, 0x8000, 0x10000), register=0x600C40C8, bit=3)
    ),
    registers=((0x60000000, 0x600D2000),),
    stack_top=0x3FCDEB70,
    legacy_data=0x3FCDFFF0,
    legacy_struct=0x3FCDFF00,
    rom_functions=ESP32C2_ROM,
    spi0=0x60003000,
    spi1=0x60002000,
    consoles=frozenset({0x60000000}),
    rng=0x600260B0,
    reset_register=0x60008000,
    reset_values={0x60003008: 1 << 13 | 1 << 23},
    ready={0x6004E840: 1 << 24},  # the PLL is calibrated
    taken={0x60008894: 3},  # eFuse commands end
    efuses={
        "disable_wafer_version_major": ((0x60008830, 27, 1),),
        "disable_blk_version_major": ((0x60008830, 28, 1),),
        "wafer_version_minor": ((0x60008844, 16, 4),),
        "wafer_version_major": ((0x60008844, 20, 2),),
        "blk_version_minor": ((0x60008844, 25, 3),),
        "blk_version_major": ((0x60008844, 28, 2),),
    },
    cycle_csrs=frozenset({0x7E2, 0x802}),
    standard_counters={},
    silent_csrs=frozenset({0x7E0, 0x7E1}),
    uart_device=0x3FCDF4BC,
    syscall_table=0x3FCDFFD8,
    gpio=Gpio(out=0x60004004, enable=0x60004020, input=0x6000403C, mux=0x60009004),
)
