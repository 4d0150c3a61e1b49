/* What an app needs of esp_ota_ops to confirm or to reject itself, over ROM and mapped flash alone. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "system.h"

enum {
    OTA_NEW = 0,
    OTA_PENDING_VERIFY = 1,
    OTA_VALID = 2,
    OTA_INVALID = 3,
    OTA_ABORTED = 4,
    OTA_UNDEFINED = -1, /* also: this app has no entry, as a factory app has none */
};

enum { OTA_OK = 0, OTA_FAIL = -1, OTA_ROLLBACK_FAILED = 0x1508 };

struct partition {
    uint32_t offset, size;
    uint8_t type, subtype;
    char label[17];
};

/* esp_ota_get_running_partition: the app row of the partition table that holds this code. False when there is none. */
bool ota_get_running_partition(struct partition *running);

/* esp_ota_get_state_partition, for the running app. */
int ota_get_state(void);

/* esp_ota_mark_app_valid_cancel_rollback. */
int ota_mark_app_valid_cancel_rollback(void);

/* esp_ota_mark_app_invalid_rollback_and_reboot; returns only when that cannot be done. */
int ota_mark_app_invalid_rollback_and_reboot(void);
