#include "system.h"

#include "rom.h"

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define PAGE 0x10000u
#define SECTOR 0x1000u
#define WINDOW_MASK 0x7FFFFFu
#define MMU_TABLE 0x600C5000u
#define MMU_PAGE_MASK 0xFFu

/* The last page of the data window: no app is so large that its constants reach it. */
#define SCRATCH 0x3C7F0000u

#define RTC_CNTL_WDTFEED_REG 0x600080A4u
#define RTC_CNTL_WDTWPROTECT_REG 0x600080A8u
#define RTC_CNTL_WDT_FEED (1u << 31)
#define RTC_CNTL_WDT_WKEY 0x50D83AA1u

/* While the MMU changes or the flash is busy, nothing may come from flash: code in IRAM, the cache suspended. */

IRAM static void map_scratch(uint32_t page)
{
    uint32_t autoload = Cache_Suspend_ICache();
    Cache_Dbus_MMU_Set(0, SCRATCH, page, PAGE / 1024, 1, 0);
    Cache_Invalidate_ICache_All();
    Cache_Resume_ICache(autoload);
}

IRAM int flash_rewrite(uint32_t address, const uint32_t *data, uint32_t length)
{
    uint32_t autoload = Cache_Suspend_ICache();
    int refused = esp_rom_spiflash_erase_sector(address / SECTOR);
    if (!refused) {
        refused = esp_rom_spiflash_write(address, data, (int32_t)length);
    }
    Cache_Invalidate_ICache_All();
    Cache_Resume_ICache(autoload);
    return refused;
}

const void *flash_map(uint32_t address)
{
    map_scratch(address & ~(PAGE - 1));
    return (const void *)(SCRATCH + address % PAGE);
}

uint32_t flash_address(const void *constant)
{
    uint32_t seen = (uint32_t)constant;
    uint32_t entry = REGISTER(MMU_TABLE + (seen & WINDOW_MASK) / PAGE * 4);
    return (entry & MMU_PAGE_MASK) * PAGE + seen % PAGE;
}

void watchdog_feed(void)
{
    REGISTER(RTC_CNTL_WDTWPROTECT_REG) = RTC_CNTL_WDT_WKEY;
    REGISTER(RTC_CNTL_WDTFEED_REG) = RTC_CNTL_WDT_FEED;
    REGISTER(RTC_CNTL_WDTWPROTECT_REG) = 0;
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
