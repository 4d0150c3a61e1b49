/* An update that is content with itself. */
#include "app.h"

void app_main(void)
{
    hello("confirm");
    if (ota_get_state() == OTA_PENDING_VERIFY) {
        LOG("confirmed: %d\n", ota_mark_app_valid_cancel_rollback());
    }
    stay();
}
