/* What ROM does for an app. The linker knows where. */
#pragma once

#include <stddef.h>
#include <stdint.h>

int rtc_get_reset_reason(int core);
int ets_printf(const char *format, ...);
void ets_delay_us(uint32_t us);
void software_reset(void) __attribute__((noreturn));

int esp_rom_spiflash_erase_sector(uint32_t sector);
int esp_rom_spiflash_write(uint32_t address, const uint32_t *data, int32_t length);

void *memset(void *to, int byte, size_t length);
void *memcpy(void *to, const void *from, size_t length);
int memcmp(const void *one, const void *two, size_t length);
uint32_t crc32_le(uint32_t crc, const uint8_t *data, uint32_t length);

uint32_t Cache_Disable_ICache(void);
void Cache_Enable_ICache(uint32_t autoload);
