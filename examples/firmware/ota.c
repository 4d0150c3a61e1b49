#include "ota.h"

#include "rom.h"

#define TABLE 0x8000u
#define SECTOR 0x1000u
#define ROWS 95
#define ROW_MAGIC 0x50AA
#define IMAGE_MAGIC 0xE9
#define TYPE_APP 0
#define TYPE_DATA 1
#define DATA_OTA 0
#define APP_FACTORY 0x00
#define APP_OTA_0 0x10

struct row {
    uint16_t magic;
    uint8_t type, subtype;
    uint32_t offset, size;
    char label[16];
    uint32_t flags;
};

struct entry {
    uint32_t seq;
    uint8_t label[20];
    int32_t state;
    uint32_t crc;
};

#define SLOTS 16

struct otadata {
    uint32_t at;           /* of the partition; 0: there is none */
    uint32_t count;        /* of OTA slots, up to the first gap */
    uint32_t slots[SLOTS]; /* where they are; 0: nowhere, for the bootloader lies there */
    uint32_t factory;      /* the same */
    struct entry entries[2];
    int active; /* the entry the bootloader goes by; -1: none */
};

/* -------------------------------------------------------------------------------------------------- partition table */

static bool is_row(const struct row *row)
{
    return row->magic == ROW_MAGIC;
}

bool ota_get_running_partition(struct partition *running)
{
    static const char here[] = "a constant of this app";
    uint32_t at = flash_address(here);
    const struct row *row = flash_map(TABLE);
    for (int left = ROWS; left && is_row(row); left--, row++) {
        if (row->type == TYPE_APP && row->offset <= at && at - row->offset < row->size) {
            running->offset = row->offset;
            running->size = row->size;
            running->type = row->type;
            running->subtype = row->subtype;
            memcpy(running->label, row->label, sizeof(row->label));
            running->label[sizeof(row->label)] = 0;
            return true;
        }
    }
    return false;
}

/* ---------------------------------------------------------------------------------------------------------- otadata */

static bool has_seq(const struct entry *entry)
{
    return entry->seq != UINT32_MAX && entry->crc == crc32_le(UINT32_MAX, (const uint8_t *)&entry->seq, 4);
}

static bool can_be_chosen(const struct entry *entry)
{
    return has_seq(entry) && entry->state != OTA_INVALID && entry->state != OTA_ABORTED;
}

/* bootloader_common_get_active_otadata: of the entries that may be chosen the one with the higher number. */
static int active_of(const struct entry *entries)
{
    bool first = can_be_chosen(&entries[0]), second = can_be_chosen(&entries[1]);
    if (first && second) {
        return entries[0].seq >= entries[1].seq ? 0 : 1;
    }
    return first ? 0 : second ? 1 : -1;
}

static void first(uint32_t *place, uint32_t offset)
{
    if (!*place) {
        *place = offset;
    }
}

static bool read_otadata(struct otadata *otadata)
{
    const struct row *row = flash_map(TABLE);
    memset(otadata, 0, sizeof(*otadata));
    for (int left = ROWS; left && is_row(row); left--, row++) {
        if (row->type == TYPE_DATA && row->subtype == DATA_OTA) {
            first(&otadata->at, row->offset);
        } else if (row->type == TYPE_APP && row->subtype == APP_FACTORY) {
            first(&otadata->factory, row->offset);
        } else if (row->type == TYPE_APP && row->subtype >= APP_OTA_0 && row->subtype < APP_OTA_0 + SLOTS) {
            first(&otadata->slots[row->subtype - APP_OTA_0], row->offset);
        }
    }
    while (otadata->count < SLOTS && otadata->slots[otadata->count]) {
        otadata->count++;
    }
    if (!otadata->at || !otadata->count) {
        return false;
    }
    for (int index = 0; index < 2; index++) {
        memcpy(&otadata->entries[index], flash_map(otadata->at + index * SECTOR), sizeof(struct entry));
    }
    otadata->active = active_of(otadata->entries);
    return true;
}

static uint32_t slot_of(const struct otadata *otadata, const struct entry *entry)
{
    return (entry->seq - 1) % otadata->count;
}

static int write_state(struct otadata *otadata, int32_t state)
{
    struct entry *entry = &otadata->entries[otadata->active];
    entry->state = state;
    return flash_rewrite(otadata->at + otadata->active * SECTOR, (const uint32_t *)entry, sizeof(*entry));
}

int ota_get_state(void)
{
    struct otadata otadata;
    struct partition running;
    if (!read_otadata(&otadata) || !ota_get_running_partition(&running) || running.subtype < APP_OTA_0) {
        return OTA_UNDEFINED;
    }
    for (int index = 0; index < 2; index++) {
        struct entry *entry = &otadata.entries[index];
        if (has_seq(entry) && slot_of(&otadata, entry) == running.subtype - (uint32_t)APP_OTA_0) {
            return entry->state;
        }
    }
    return OTA_UNDEFINED;
}

int ota_mark_app_valid_cancel_rollback(void)
{
    struct otadata otadata;
    if (!read_otadata(&otadata) || otadata.active < 0) {
        return OTA_FAIL;
    }
    if (otadata.entries[otadata.active].state == OTA_VALID) {
        return OTA_OK;
    }
    return write_state(&otadata, OTA_VALID) ? OTA_FAIL : OTA_OK;
}

/* esp_ota_check_rollback_is_possible, which would verify the image as well: here it only has to begin like one. */
static bool can_roll_back(const struct otadata *otadata)
{
    const struct entry *other = &otadata->entries[!otadata->active];
    uint32_t target = can_be_chosen(other) ? otadata->slots[slot_of(otadata, other)] : otadata->factory;
    return target && *(const uint8_t *)flash_map(target) == IMAGE_MAGIC;
}

int ota_mark_app_invalid_rollback_and_reboot(void)
{
    struct otadata otadata;
    if (!read_otadata(&otadata) || otadata.active < 0) {
        return OTA_FAIL;
    }
    if (!can_roll_back(&otadata)) {
        return OTA_ROLLBACK_FAILED;
    }
    if (write_state(&otadata, OTA_INVALID)) {
        return OTA_FAIL;
    }
    software_reset();
}
