#include "system.h"

#include CHIP_HEADER
#include "rom.h"

#define PAGE 0x10000u
#define SECTOR 0x1000u

/* The last page of the window: no app is so large that it reaches it. */
#define SCRATCH (FLASH_WINDOW_SIZE - PAGE)

/* While the MMU changes or the flash is busy, nothing may come from flash: code in IRAM, the cache off. */

IRAM static void map_scratch(uint32_t page)
{
    uint32_t autoload = Cache_Disable_ICache();
    mmu_write(SCRATCH / PAGE, page);
    Cache_Enable_ICache(autoload);
}

IRAM int flash_rewrite(uint32_t address, const uint32_t *data, uint32_t length)
{
    uint32_t autoload = Cache_Disable_ICache();
    int refused = esp_rom_spiflash_erase_sector(address / SECTOR);
    if (!refused) {
        refused = esp_rom_spiflash_write(address, data, (int32_t)length);
    }
    Cache_Enable_ICache(autoload);
    return refused;
}

const void *flash_map(uint32_t address)
{
    map_scratch(address / PAGE);
    return (const void *)(FLASH_DATA + SCRATCH + address % PAGE);
}

uint32_t flash_address(const void *constant)
{
    uint32_t seen = (uint32_t)constant;
    return mmu_read(seen % FLASH_WINDOW_SIZE / PAGE) * PAGE + seen % PAGE;
}

void watchdog_feed(void)
{
    REGISTER(WDT_WPROTECT_REG) = WDT_WKEY;
    REGISTER(WDT_FEED_REG) = WDT_FEED;
    REGISTER(WDT_WPROTECT_REG) = 0;
}

void stay(void)
{
    for (;;) {
        watchdog_feed();
        ets_delay_us(1000000);
    }
}

void abort(void)
{
    ets_printf("app: abort()\n");
    software_reset();
}

void panic(uint32_t cause, uint32_t pc, uint32_t value, uint32_t ra)
{
    ets_printf("app: panic: exception %u at 0x%08x, value 0x%08x, called from 0x%08x\n", cause, pc, value, ra);
    software_reset();
}
