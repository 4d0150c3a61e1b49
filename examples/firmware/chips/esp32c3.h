/* ESP32-C3: what an app finds where. The MMU is a table of words in memory, one for each 64 KiB of the window. */
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define FLASH_DATA 0x3C000000u
#define FLASH_WINDOW_SIZE 0x800000u

/* RTC_CNTL_WDTFEED_REG, RTC_CNTL_WDTWPROTECT_REG */
#define WDT_FEED_REG 0x600080A4u
#define WDT_WPROTECT_REG 0x600080A8u
#define WDT_FEED (1u << 31)
#define WDT_WKEY 0x50D83AA1u

#define MMU_TABLE 0x600C5000u
#define MMU_PAGE_MASK 0xFFu

static inline uint32_t mmu_read(uint32_t entry)
{
    return REGISTER(MMU_TABLE + 4 * entry) & MMU_PAGE_MASK;
}

static inline __attribute__((always_inline)) void mmu_write(uint32_t entry, uint32_t page)
{
    REGISTER(MMU_TABLE + 4 * entry) = page;
}
