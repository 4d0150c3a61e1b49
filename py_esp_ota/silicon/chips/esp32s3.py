"""ESP32-S3, on its real ROM."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory, MmuTable, RomData, Sha, Soc

_FREEZE = 1 << 0, 1 << 2

ESP32S3 = Soc(
    name="esp32s3",
    core="lx7",
    ram=(
        Memory(0x68000, ((0x3FC88000, READ | WRITE), (0x40378000, READ | WRITE | EXECUTE))),
        Memory(0x8000, ((0x40370000, READ | WRITE | EXECUTE),)),
        Memory(0x10000, ((0x3FCF0000, READ | WRITE),)),
        Memory(0x2000, ((0x600FE000, READ | WRITE | EXECUTE),)),
        Memory(0x2000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x60000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FF00000, 0x20000, 0x40000),
    rom_words={},
    rom_start=0x40000400,
    rom_marks={"ets_printf": 0x4004423C, "esp_rom_spiflash_write": 0x4004ABBC},
    flash_windows=((0, Memory(0x2000000, ((0x3C000000, READ), (0x42000000, READ | EXECUTE)))),),
    mmu=MmuTable(0x600C5000, entries=512, invalid=1 << 14),
    registers=((0x60000000, 0x600FE000),),
    stack_top=0x3FCEB710,
    legacy_data=0,
    legacy_struct=0,
    rom_functions={},
    spi0=0x60003000,
    spi1=0x60002000,
    sha=Sha(0x6003B000),
    timer_group=0x6001F000,
    consoles=frozenset({0x60000000, 0x60038000}),  # UART0's FIFO, and that of the USB serial/JTAG controller
    rng=0x6003507C,
    reset_register=0x60008000,
    reset_reasons=((0x60008038, 0), (0x60008038, 6)),
    reset_values={0x60004038: 1 << 3},  # the strapping pins say flash
    ready={
        0x6000E040: 1 << 24,  # the PLL is calibrated
        0x60038004: 1 << 1,  # the USB controller takes a letter
        # Locking, writing back, allotting and preloading is done, of the cache for data and that for code.
        0x600C401C: 1 << 2,
        0x600C4028: 1 << 3,
        0x600C4034: 1 << 1,
        0x600C4040: 1 << 1,
        0x600C404C: 1 << 3,
        0x600C407C: 1 << 2,
        0x600C4088: 1 << 1,
        0x600C4094: 1 << 1,
        0x600C40A0: 1 << 3,
        0x600C4130: 1 << 0 | 1 << 12,  # both are idle
    },
    taken={},
    follows={0x600C4150: _FREEZE, 0x600C4154: _FREEZE},
    cache_on={0x600C4000: 1 << 0, 0x600C4060: 1 << 0},
    efuses={
        "disable_wafer_version_major": ((0x60007040, 0, 1),),
        "disable_blk_version_major": ((0x60007040, 1, 1),),
        "wafer_version_minor": ((0x60007050, 18, 3), (0x60007058, 23, 1)),
        "wafer_version_major": ((0x60007058, 24, 2),),
        "blk_version_minor": ((0x60007050, 24, 3),),
        "blk_version_major": ((0x6000706C, 0, 2),),
    },
    cycle_csrs=frozenset(),
    standard_counters={},
    silent_csrs=frozenset(),
)
