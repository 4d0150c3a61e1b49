/* An update that takes itself back. */
#include "app.h"

void app_main(void)
{
    hello("reject");
    LOG("rejected: 0x%x\n", ota_mark_app_invalid_rollback_and_reboot());
    stay();
}
