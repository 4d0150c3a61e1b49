"""ESP32-S2, on its real ROM: six windows to the flash, and an MMU that two caches share."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory, MmuTable, RomData, Sha, Soc

_PAGE = 0x10000
_BUS = 64 * _PAGE
_CACHE_DONE = 1 << 19 | 1 << 21 | 1 << 23 | 1 << 25

ESP32S2 = Soc(
    name="esp32s2",
    core="lx7",
    ram=(
        Memory(0x50000, ((0x3FFB0000, READ | WRITE), (0x40020000, READ | WRITE | EXECUTE))),
        Memory(0x2000, ((0x3FF9E000, READ | WRITE), (0x40070000, READ | WRITE | EXECUTE))),
        Memory(0x2000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x20000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FFA0000, 0x10000, 0x10000),
    rom_words={},
    rom_start=0x40000400,
    rom_marks={"ets_printf": 0x4000FEE0, "SPIWrite": 0x400171CC},
    flash_windows=(
        (8 * _PAGE, Memory(56 * _PAGE, ((0x40080000, READ | EXECUTE),))),
        (_BUS, Memory(_BUS, ((0x40400000, READ | EXECUTE),))),
        (2 * _BUS, Memory(_BUS, ((0x3F000000, READ),))),
        (3 * _BUS, Memory(56 * _PAGE, ((0x3FC00000, READ),))),
        (4 * _BUS, Memory(_BUS, ((0x3F800000, READ),))),
        (5 * _BUS + 16 * _PAGE, Memory(48 * _PAGE, ((0x3F500000, READ),))),
    ),
    mmu=MmuTable(0x61801000, entries=384, invalid=1 << 14),
    registers=((0x3F400000, 0x3F500000), (0x60000000, 0x600D0000), (0x61800000, 0x61810000)),
    # What the CPU reaches by its peripheral bus lies at 60000000 too, but for the devices that are there alone.
    aliases=((0x60000000, 0x60035000, 0x3F400000), (0x60036000, 0x6003A000, 0x3F436000)),
    stack_top=0x3FFFE70C,
    legacy_data=0,
    legacy_struct=0,
    rom_functions={},
    spi0=0x3F403000,
    spi1=0x3F402000,
    sha=Sha(0x6003B000),
    timer_group=0x3F41F000,
    fast_hz=8_500_000,
    consoles=frozenset({0x3F400000}),
    rng=0x60035110,
    reset_register=0x3F408000,
    reset_reasons=((0x3F408038, 0),),
    reset_values={0x3F404038: 1 << 3},  # the strapping pins say flash
    ready={
        0x61800000: _CACHE_DONE | 1 << 9 | 1 << 11 | 1 << 13,
        0x61800040: _CACHE_DONE | 1 << 9,
        0x6180011C: 1 << 0 | 1 << 12,  # both caches are idle
    },
    taken={},
    cache_on={0x61800000: 1 << 0, 0x61800040: 1 << 0},
    efuses={
        "disable_wafer_version_major": ((0x3F41A040, 0, 1),),
        "disable_blk_version_major": ((0x3F41A040, 1, 1),),
        "wafer_version_minor": ((0x3F41A054, 4, 3), (0x3F41A050, 20, 1)),
        "wafer_version_major": ((0x3F41A050, 18, 2),),
        "blk_version_minor": ((0x3F41A06C, 4, 3),),
        "blk_version_major": ((0x3F41A050, 25, 2),),
    },
    cycle_csrs=frozenset(),
    standard_counters={},
    silent_csrs=frozenset(),
)
