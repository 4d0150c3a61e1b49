"""ESP32, on its real ROM: two windows to the flash, the older flash controller and the older hash accelerator."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory, MmuTable, RomData, Sha, Soc, SpiLayout

_PAGE = 0x10000

ESP32 = Soc(
    name="esp32",
    core="lx6",
    ram=(
        Memory(0x32000, ((0x3FFAE000, READ | WRITE),)),
        Memory(0x20000, ((0x3FFE0000, READ | WRITE),)),
        # The same memory at 400A0000, where it lies backwards word by word, is a block of its own here.
        Memory(0x20000, ((0x400A0000, READ | WRITE | EXECUTE),)),
        Memory(0x30000, ((0x40070000, READ | WRITE | EXECUTE),)),
        Memory(0x2000, ((0x3FF80000, READ | WRITE), (0x400C0000, READ | WRITE | EXECUTE))),
        Memory(0x2000, ((0x50000000, READ | WRITE | EXECUTE),)),
        Memory(0x1000, ((0x3FF12000, READ | WRITE),)),  # the MMU of the other CPU
    ),
    rom=Memory(0x70000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FF90000, 0x10000, 0x60000),
    rom_words={},
    rom_start=0x40000400,
    rom_marks={"ets_printf": 0x40007D54, "SPIWrite": 0x40062D50},
    flash_windows=(
        (0, Memory(64 * _PAGE, ((0x3F400000, READ),))),
        (77 * _PAGE, Memory(51 * _PAGE, ((0x400D0000, READ | EXECUTE),))),
    ),
    mmu=MmuTable(0x3FF10000, entries=256, invalid=1 << 8),
    registers=((0x3FF00000, 0x3FF12000), (0x3FF13000, 0x3FF80000), (0x60000000, 0x60040000)),
    aliases=((0x60000000, 0x60040000, 0x3FF40000),),
    stack_top=0x3FFE3F20,
    legacy_data=0,
    legacy_struct=0,
    rom_functions={},
    spi0=0x3FF43000,
    spi1=0x3FF42000,
    spi_layout=SpiLayout(
        user=0x1C, user1=0x20, user2=0x24, sent=0x28, received=0x2C, status=0x10, data=0x80, address_above=True
    ),
    sha=Sha(0x3FF03000, shared=True),
    timer_group=0x3FF5F000,
    fast_hz=8_500_000,
    consoles=frozenset({0x3FF40000}),
    rng=0x3FF75144,
    reset_register=0x3FF48000,
    reset_reasons=((0x3FF48034, 0), (0x3FF48034, 6)),
    reset_values={0x3FF44038: 0x13, 0x3FF6607C: 0x16042000},  # the strapping pins say flash
    ready={
        0x3FF00040: 1 << 5,  # the cache is flushed
        0x3FF00058: 1 << 5,
        0x3FF003F0: 1 << 7,  # and idle, of both CPUs
        0x3FF00418: 1 << 7,
        0x3FF4800C: 1 << 30,  # the slow clock's count may be read
    },
    taken={},
    fleeting=frozenset({0x3FF5A104}),  # EFUSE_CMD
    cache_on={0x3FF00040: 1 << 3},
    efuses={
        "wafer_version_major": ((0x3FF5A00C, 15, 1), (0x3FF5A014, 20, 1), (0x3FF6607C, 31, 1)),
        "wafer_version_minor": ((0x3FF5A014, 24, 2),),
    },
    major_codes=(0, 1, 3, 7),
    cycle_csrs=frozenset(),
    standard_counters={},
    silent_csrs=frozenset(),
)
