"""ESP32-C3."""

from __future__ import annotations

from py_esp_ota.silicon.chips.soc import EXECUTE, READ, WRITE, Gpio, Memory, MmuTable, RomData, Soc

_ROM = {
    0x40000018: "rtc_get_reset_reason",
    0x40000040: "ets_printf",
    0x40000048: "ets_install_uart_printf",
    0x40000050: "ets_delay_us",
    0x40000068: "uart_tx_one_char",
    0x40000080: "uart_tx_flush",
    0x40000084: "uart_tx_wait_idle",
    0x40000088: "uart_div_modify",
    0x40000090: "software_reset",
    0x4000010C: "esp_rom_spiflash_wait_idle",
    0x40000128: "esp_rom_spiflash_erase_sector",
    0x4000012C: "esp_rom_spiflash_write",
    0x40000134: "esp_rom_spiflash_config_param",
    0x40000354: "memset",
    0x40000358: "memcpy",
    0x40000360: "memcmp",
    0x400004C8: "ROM_Boot_Cache_Init",
    0x400004D8: "Cache_Invalidate_ICache_All",
    0x4000051C: "Cache_Disable_ICache",
    0x40000520: "Cache_Enable_ICache",
    0x40000524: "Cache_Suspend_ICache",
    0x40000528: "Cache_Resume_ICache",
    0x4000055C: "Cache_MMU_Init",
    0x40000560: "Cache_Ibus_MMU_Set",
    0x40000564: "Cache_Dbus_MMU_Set",
    0x40000584: "ets_get_cpu_frequency",
    0x40000588: "ets_update_cpu_frequency",
    0x400005CC: "gpio_pad_set_drv",
    0x40000614: "MD5Init",
    0x40000618: "MD5Update",
    0x4000061C: "MD5Final",
    0x40000628: "crc32_le",
    0x40000644: "ets_sha_enable",
    0x40000650: "ets_sha_init",
    0x4000065C: "ets_sha_update",
    0x40000660: "ets_sha_finish",
    0x4000071C: "ets_efuse_get_spiconfig",
    0x4000072C: "ets_efuse_get_wp_pad",
    0x400008AC: "__udivdi3",
    0x4000195C: "rom_i2c_writeReg",
    0x40001960: "rom_i2c_writeReg_Mask",
}

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
    flash_window=Memory(0x800000, ((0x3C000000, READ), (0x42000000, READ | EXECUTE))),
    mmu=MmuTable(0x600C5000, entries=128, invalid=1 << 8),
    registers=(0x60000000, 0x600D2000),
    own_registers=None,
    stack_top=0x3FCDE710,
    legacy_data=0x3FCDFFF0,
    legacy_struct=0x3FCDFF00,
    rom_functions=_ROM,
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
    gpio=Gpio(out=0x60004004, enable=0x60004020, input=0x6000403C, mux=0x60009004),
)
