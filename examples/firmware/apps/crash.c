/* An update that never gets to the end of its self-test. */
#include "app.h"

static void __attribute__((noinline)) broken_driver(void)
{
    __asm__ volatile(".word 0");
}

void app_main(void)
{
    hello("crash");
    broken_driver();
    LOG("confirmed: %d\n", ota_mark_app_valid_cancel_rollback());
    stay();
}
