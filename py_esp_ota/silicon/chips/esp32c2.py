"""ESP32-C2: as the C3, with half of its MMU and pages whose size is the build's choice."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuTable, Pages, RomData, Soc

_ROM = {
    0x40000018: "rtc_get_reset_reason",
    0x40000034: "ets_printf",
    0x4000003C: "ets_install_uart_printf",
    0x40000044: "ets_delay_us",
    0x40000058: "uart_tx_one_char",
    0x40000070: "uart_tx_flush",
    0x40000074: "uart_tx_wait_idle",
    0x40000088: "software_reset",
    0x400000FC: "esp_rom_spiflash_wait_idle",
    0x40000130: "esp_rom_spiflash_erase_sector",
    0x40000138: "esp_rom_spiflash_write",
    0x4000013C: "esp_rom_spiflash_read",
    0x4000014C: "esp_rom_spiflash_config_param",
    0x4000027C: "wdt_hal_init",
    0x40000284: "wdt_hal_config_stage",
    0x40000288: "wdt_hal_write_protect_disable",
    0x4000028C: "wdt_hal_write_protect_enable",
    0x40000290: "wdt_hal_enable",
    0x400002A0: "wdt_hal_set_flashboot_en",
    0x40000488: "memset",
    0x4000048C: "memcpy",
    0x40000494: "memcmp",
    0x400006F8: "ROM_Boot_Cache_Init",
    0x4000071C: "Cache_Disable_ICache",
    0x40000720: "Cache_Enable_ICache",
    0x40000770: "ets_get_cpu_frequency",
    0x40000774: "ets_update_cpu_frequency",
    0x400007B8: "gpio_pad_set_drv",
    0x400007FC: "crc32_le",
    0x40000818: "ets_sha_enable",
    0x40000824: "ets_sha_init",
    0x40000830: "ets_sha_update",
    0x40000834: "ets_sha_finish",
    0x400009F0: "__udivdi3",
    0x400022F4: "rom_i2c_writeReg",
    0x400022FC: "rom_i2c_writeReg_Mask",
    0x40002BE4: "mbedtls_md5_starts_ret",
    0x40002BE8: "mbedtls_md5_update_ret",
    0x40002BEC: "mbedtls_md5_finish_ret",
}

ESP32C2 = Soc(
    name="esp32c2",
    ram=(
        Memory(0x40000, ((0x3FCA0000, READ | WRITE), (0x40380000, READ | WRITE | EXECUTE))),
        Memory(0x4000, ((0x4037C000, READ | WRITE | EXECUTE),)),
    ),
    rom=Memory(0x90000, ((0x40000000, READ | EXECUTE),)),
    rom_data=RomData(0x3FF00000, 0x50000, 0x40000),
    rom_words={},
    flash_window=Memory(0x400000, ((0x3C000000, READ), (0x42000000, READ | EXECUTE))),
    mmu=MmuTable(
        0x600C5000, entries=64, invalid=1 << 6, pages=Pages((0x4000, 0x8000, 0x10000), register=0x600C40C8, bit=3)
    ),
    registers=(0x60000000, 0x600D2000),
    own_registers=None,
    stack_top=0x3FCDEB70,
    legacy_data=0x3FCDFFF0,
    legacy_struct=0x3FCDFF00,
    rom_functions=_ROM,
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
    gpio=Gpio(out=0x60004004, enable=0x60004020, input=0x6000403C, mux=0x60009004),
)
