/* What every app here begins with. */
#pragma once

#include "../ota.h"
#include "../rom.h"

#define LOG(...) ets_printf("app: " __VA_ARGS__)

static inline void hello(const char *what)
{
    struct partition running;
    if (!ota_get_running_partition(&running)) {
        LOG("no partition holds this app\n");
        abort();
    }
    LOG("%s runs from %s, state %d, reset reason %d\n", what, running.label, ota_get_state(), rtc_get_reset_reason(0));
}

void app_main(void);
