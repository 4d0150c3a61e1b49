/* The chip under an app: flash, watchdog, panic. */
#pragma once

#include <stdint.h>

#define IRAM __attribute__((section(".iram.text"), noinline))
#define NORETURN __attribute__((noreturn))

/* A pointer at which `length` bytes of flash from `address` on can be read; good until the next call. The two must lie
   in one 64 KiB page. */
const void *flash_map(uint32_t address);

/* Flash address of a constant of this app, and so of the app. */
uint32_t flash_address(const void *constant);

/* Erase one 4 KiB sector, then program `length` bytes from RAM at its beginning. Nonzero when the chip refuses. */
int flash_rewrite(uint32_t address, const uint32_t *data, uint32_t length);

/* The bootloader has started the RTC watchdog with 9 s and leaves it to the app to feed it. */
void watchdog_feed(void);

/* For ever, alive. */
NORETURN void stay(void);

NORETURN void abort(void);
NORETURN void panic(uint32_t cause, uint32_t pc, uint32_t value, uint32_t ra);
