/* An update that waits for hardware that never answers, and feeds no watchdog meanwhile. */
#include "app.h"

static void __attribute__((noinline)) wait_for_sensor(void)
{
    static volatile uint32_t ready;
    while (!ready) {
    }
}

void app_main(void)
{
    hello("hang");
    wait_for_sensor();
    LOG("confirmed: %d\n", ota_mark_app_valid_cancel_rollback());
    stay();
}
