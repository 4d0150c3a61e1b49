/* ESP32-C6: what an app finds where. The MMU lies behind two registers of SPI0: the number of an entry, its content. */
#pragma once

#include <stdint.h>

#define REGISTER(address) (*(volatile uint32_t *)(address))

#define FLASH_DATA 0x42000000u
#define FLASH_WINDOW_SIZE 0x1000000u

/* LP_WDT_FEED_REG, LP_WDT_WPROTECT_REG */
#define WDT_FEED_REG 0x600B1C14u
#define WDT_WPROTECT_REG 0x600B1C18u
#define WDT_FEED (1u << 31)
#define WDT_WKEY 0x50D83AA1u

/* SPI_MEM_MMU_ITEM_CONTENT_REG(0), SPI_MEM_MMU_ITEM_INDEX_REG(0) */
#define MMU_CONTENT 0x6000237Cu
#define MMU_INDEX 0x60002380u
#define MMU_VALID (1u << 9)
#define MMU_PAGE_MASK 0x1FFu

static inline uint32_t mmu_read(uint32_t entry)
{
    REGISTER(MMU_INDEX) = entry;
    return REGISTER(MMU_CONTENT) & MMU_PAGE_MASK;
}

static inline __attribute__((always_inline)) void mmu_write(uint32_t entry, uint32_t page)
{
    REGISTER(MMU_INDEX) = entry;
    REGISTER(MMU_CONTENT) = page | MMU_VALID;
}
