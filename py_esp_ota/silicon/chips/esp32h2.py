"""ESP32-H2: a smaller C6 without Wi-Fi."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory, MmuItems, Pages, Soc

_ROM = {
    0x40000018: "rtc_get_reset_reason",
    0x40000028: "ets_printf",
    0x40000034: "ets_install_uart_printf",
    0x40000040: "ets_delay_us",
    0x40000044: "ets_get_cpu_frequency",
    0x40000048: "ets_update_cpu_frequency",
    0x40000058: "uart_tx_one_char",
    0x40000074: "uart_tx_flush",
    0x40000078: "uart_tx_wait_idle",
    0x40000090: "software_reset",
    0x40000108: "esp_rom_spiflash_wait_idle",
    0x4000013C: "esp_rom_spiflash_erase_sector",
    0x40000144: "esp_rom_spiflash_write",
    0x40000148: "esp_rom_spiflash_read",
    0x40000158: "esp_rom_spiflash_config_param",
    0x40000394: "wdt_hal_config_stage",
    0x40000398: "wdt_hal_write_protect_disable",
    0x4000039C: "wdt_hal_write_protect_enable",
    0x400003A0: "wdt_hal_enable",
    0x400003B0: "wdt_hal_set_flashboot_en",
    0x400004A0: "memset",
    0x400004A4: "memcpy",
    0x400004AC: "memcmp",
    0x40000608: "ROM_Boot_Cache_Init",
    0x40000664: "Cache_Disable_ICache",
    0x40000668: "Cache_Enable_ICache",
    0x400006D0: "gpio_pad_set_drv",
    0x40000718: "MD5Init",
    0x4000071C: "MD5Update",
    0x40000720: "MD5Final",
    0x40000724: "crc32_le",
    0x40000740: "ets_sha_enable",
    0x4000074C: "ets_sha_init",
    0x40000758: "ets_sha_update",
    0x4000075C: "ets_sha_finish",
    0x40000998: "__udivdi3",
}

ESP32H2 = Soc(
    name="esp32h2",
    ram=(
        Memory(0x50000, ((0x40800000, READ | WRITE | EXECUTE),)),
        Memory(0x1000, ((0x50000000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x20000, ((0x40000000, READ | EXECUTE),)),
    rom_data=None,
    rom_words={},
    flash_window=Memory(0x1000000, ((0x42000000, READ | EXECUTE),)),
    mmu=MmuItems(
        index=0x60002380,
        content=0x6000237C,
        entries=256,
        valid=1 << 9,
        mask=0x1FF,
        pages=Pages((0x10000, 0x8000, 0x4000, 0x2000), register=0x60002384, bit=3),
    ),
    registers=(0x60000000, 0x600D0000),
    own_registers=None,
    stack_top=0x4084F380,
    legacy_data=0x4084FFEC,
    legacy_struct=0x4084FF00,
    rom_functions=_ROM,
    spi0=0x60002000,
    spi1=0x60003000,
    consoles=frozenset({0x60000000, 0x6000F000}),
    rng=0x600B2808,
    reset_register=0x600B1034,
    reset_values={0x60002008: 1 << 13 | 1 << 23},
    ready={0x600AD818: 1 << 24},  # the PLL is calibrated
    taken={0x60000098: 1 << 0, 0x60096148: 1 << 0},  # UART0 and the buses take their settings over
    efuses={
        "disable_wafer_version_major": ((0x600B0850, 23, 1),),
        "disable_blk_version_major": ((0x600B086C, 7, 1),),
        "wafer_version_minor": ((0x600B0850, 18, 3),),
        "wafer_version_major": ((0x600B0850, 21, 2),),
        "blk_version_minor": ((0x600B086C, 2, 3),),
        "blk_version_major": ((0x600B086C, 5, 2),),
    },
    cycle_csrs=frozenset({0x7E2, 0x802}),
    standard_counters={},
    silent_csrs=frozenset(
        {0x303, 0x7E0, 0x7E1, *range(0xBC0, 0xBE0)}
    ),  # mideleg, performance counter, memory attributes
)
