"""ESP32-C3."""

from __future__ import annotations

from py_esp_ota.silicon.chips.esp32c3_rom import ESP32C3_ROM
from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuTable, RomData, Soc

ESP32C3 = Soc(
    name="esp32c3",
    ram=(
        Memory(0x60000, ((0x3FC80000, READ | WRITE), (0x40380000, READ | WRITE | EXECUTE))),
        Memory(0x4000, ((0x4037C000, READ | WRITE | EXECUTE),)),
        Memory(0x2000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x60000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FF00000, 0x20000, 0x40000),
    rom_words={
        0x3FF1FFFC: 0x3FF1BE3C,  # ets_rom_layout_p
        0x3FF1BE40: 0x3FCDF060,  # its dram0_rtos_reserved_start: memory from here on is ROM's own
    },
    flash_windows=((0, Memory(0x800000, ((0x3C000000, READ), (0x42000000, READ | EXECUTE)))),),
    mmu=MmuTable(0x600C5000, entries=128, invalid=1 << 8),
    registers=((0x60000000, 0x600D2000),),
    stack_top=0x3FCDE710,
    legacy_data=0x3FCDFFF0,
    legacy_struct=0x3FCDFF00,
    rom_functions=ESP32C3_ROM,
    spi0=0x60003000,
    spi1=0x60002000,
    consoles=frozenset({0x60000000, 0x60043000}),  # UART0's FIFO, and that of the USB serial/JTAG controller
    rng=0x600260B0,
    reset_register=0x60008000,
    reset_values={0x60003008: 1 << 13 | 1 << 23},  # as ROM leaves SPI0 for DIO: fast read, two lines
    ready={},
    taken={0x600089D4: 3},  # eFuse commands end
    efuses={
        "disable_wafer_version_major": ((0x60008840, 0, 1),),
        "disable_blk_version_major": ((0x60008840, 1, 1),),
        "wafer_version_minor": ((0x60008850, 18, 3), (0x60008858, 23, 1)),
        "wafer_version_major": ((0x60008858, 24, 2),),
        "blk_version_minor": ((0x60008850, 24, 3),),
        "blk_version_major": ((0x6000886C, 0, 2),),
    },
    cycle_csrs=frozenset({0x7E2, 0x802}),
    standard_counters={},
    silent_csrs=frozenset({0x7E0, 0x7E1}),
    # By revision: before v0.3, v0.3 to v1.0, from v1.1 on (``esp_rom_output_set_as_console``).
    unlisted={0x4004B8CA: "uart_tx_switch", 0x4004C166: "uart_tx_switch", 0x40001C44: "uart_tx_switch"},
    uart_device=0x3FCDF064,
    syscall_table=0x3FCDFFE0,
    gpio=Gpio(out=0x60004004, enable=0x60004020, input=0x6000403C, mux=0x60009004),
)
