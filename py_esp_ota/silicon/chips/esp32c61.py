"""ESP32-C61: a smaller C5."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Memory, MmuItems, Pages, Soc

_ROM = {
    0x40000018: "rtc_get_reset_reason",
    0x40000024: "ets_printf",
    0x40000030: "ets_install_uart_printf",
    0x4000003C: "ets_delay_us",
    0x40000040: "ets_get_cpu_frequency",
    0x40000044: "ets_update_cpu_frequency",
    0x40000054: "uart_tx_one_char",
    0x40000074: "uart_tx_flush",
    0x40000078: "uart_tx_wait_idle",
    0x40000094: "software_reset",
    0x40000120: "esp_rom_spiflash_wait_idle",
    0x40000154: "esp_rom_spiflash_erase_sector",
    0x4000015C: "esp_rom_spiflash_write",
    0x40000160: "esp_rom_spiflash_read",
    0x40000170: "esp_rom_spiflash_config_param",
    0x400003A4: "wdt_hal_init",
    0x400003AC: "wdt_hal_config_stage",
    0x400003B0: "wdt_hal_write_protect_disable",
    0x400003B4: "wdt_hal_write_protect_enable",
    0x400003B8: "wdt_hal_enable",
    0x400003C8: "wdt_hal_set_flashboot_en",
    0x400004B8: "memset",
    0x400004BC: "memcpy",
    0x400004C4: "memcmp",
    0x40000620: "ROM_Boot_Cache_Init",
    0x40000690: "Cache_Disable_Cache",
    0x40000694: "Cache_Enable_Cache",
    0x4000071C: "gpio_pad_set_drv",
    0x4000075C: "crc32_le",
    0x4000077C: "MD5Init",
    0x40000780: "MD5Update",
    0x40000784: "MD5Final",
    0x40000788: "ets_sha_enable",
    0x40000794: "ets_sha_init",
    0x400007A0: "ets_sha_update",
    0x400007A4: "ets_sha_finish",
    0x40000970: "__udivdi3",
    0x40001548: "ets_get_bootloader_offset",
}

ESP32C61 = Soc(
    name="esp32c61",
    ram=(Memory(0x50000, ((0x40800000, READ | WRITE | EXECUTE),)),),
    rom=Memory(0x40000, ((0x40000000, READ | EXECUTE),)),
    rom_data=None,
    rom_words={0x4003FFFC: 0x4003FF00, 0x4003FF70: 0x4003B000},  # the layout, and where ROM's data begins
    flash_window=Memory(0x2000000, ((0x42000000, READ | EXECUTE),)),
    mmu=MmuItems(
        index=0x60002380,
        content=0x6000237C,
        entries=512,
        valid=1 << 10,
        mask=0x1FF,
        pages=Pages((0x10000, 0x8000, 0x4000, 0x2000), register=0x60002384, bit=3),
    ),
    registers=(0x60000000, 0x600D0000),
    own_registers=None,
    stack_top=0x4084E670,
    legacy_data=0x4084FFEC,
    legacy_struct=0x4084FF00,
    rom_functions=_ROM,
    spi0=0x60002000,
    spi1=0x60003000,
    consoles=frozenset({0x60000000, 0x6000F000}),
    rng=0x600B2828,
    reset_register=0x600B1034,
    reset_values={0x60002008: 1 << 13 | 1 << 23, 0x600960E8: 40 << 24},  # and a crystal of 40 MHz
    ready={0x600AF818: 1 << 24},  # the PLL is calibrated
    taken={0x60000098: 1 << 0, 0x60096120: 1 << 0},  # UART0 and the buses take their settings over
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
    silent_csrs=frozenset(
        {0x303, 0x7E0, 0x7E1, *range(0xBC0, 0xBE0)}
    ),  # mideleg, performance counter, memory attributes
)
