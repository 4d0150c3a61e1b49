"""otadata as the app sees it: which partition it is, what it says, and the two-step write.

The rules are in ``rollback``; this is the hand that reads and writes. It differs from the bootloader's view in three
ways: the *first* otadata row counts, slots are counted up to the first gap, and every access is bound to the partition.
"""

from __future__ import annotations

from py_esp_ota._core import (
    Flash,
    OtaSelectEntry,
    Partition,
    active_otadata,
    ota_slot,
    read_otadata,
)
from py_esp_ota.errors import EspErr, FlashError, OtaError, Restart
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.partition import TYPE_APP, TYPE_DATA, Partitions
from py_esp_ota.idf.rollback import BLANK_SEQ, Entries, Rewrite

OTA_MIN = 0x10
OTA_MAX = 0x20  # exclusive, and by upstream's numbering the test app's own subtype

_TAG = "esp_ota_ops"
_DATA_OTA = 0x00
_SECTOR = 0x1000


def is_ota_slot(partition: Partition) -> bool:
    """``is_ota_partition`` (components/app_update/esp_ota_ops.c)."""
    return partition.type == TYPE_APP and OTA_MIN <= partition.subtype < OTA_MAX


class OtaData:
    """The otadata partition of one flash, seen through one partition table."""

    def __init__(self, flash: Flash, partitions: Partitions, log: Log) -> None:
        self._flash = flash
        self._partitions = partitions
        self._table = partitions.table
        self._log = log

    def read(self) -> Entries:
        """``read_otadata``: both entries; ESP_ERR_NOT_FOUND when there is no such partition or it cannot be mapped.

        The second entry is read one sector on, even past the end of a partition that is too small.
        """
        try:
            partition = self._partition()
        except OtaError:
            self._log.error(_TAG, "not found otadata")
            raise
        try:
            return read_otadata(self._flash, partition.offset)
        except FlashError as error:
            self._log.error(_TAG, f"mmap otadata filed. Err=0x{error.err:8x}")
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "otadata cannot be read", **error.fact) from error

    def write(self, rewrite: Rewrite) -> None:
        """``rewrite_ota_seq``: erase the entry's sector, then program its 32 bytes."""
        self.erase_entry(rewrite.index)
        self._partitions.write(self._partition(), rewrite.index * _SECTOR, rewrite.entry.to_bytes())

    def erase_entry(self, index: int) -> None:
        """Erase the sector of one entry."""
        self._partitions.erase_range(self._partition(), index * _SECTOR, _SECTOR)

    def erase(self) -> None:
        """Erase the whole partition, first entry first: the factory app is chosen."""
        partition = self._partition()
        self._partitions.erase_range(partition, 0, partition.size)

    def _partition(self) -> Partition:
        partition = self._table.find(type=TYPE_DATA, subtype=_DATA_OTA)
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "no otadata partition in the table")
        return partition

    def active(self, entries: Entries) -> int | None:
        """``bootloader_common_get_active_otadata``: the entry that counts, if one does."""
        index = active_otadata(*entries)
        return None if index < 0 else index

    def app_count(self) -> int:
        """``get_ota_partition_count``: ota_0, ota_1, ... up to the first that is missing.

        With all 16 slots and a test app upstream's loop runs into its own assertion; so does this one.
        """
        count = 0
        while self._table.find(type=TYPE_APP, subtype=OTA_MIN + count) is not None:
            if count == OTA_MAX - OTA_MIN:
                raise Restart("assertion in get_ota_partition_count: 16 OTA slots and a test app")
            count += 1
        return count

    def slot_partition(self, entry: OtaSelectEntry, app_count: int) -> Partition | None:
        """The slot an entry names."""
        return self._table.find(type=TYPE_APP, subtype=OTA_MIN + ota_slot(entry.ota_seq, app_count))

    def inactive_slot(self, running: Partition) -> tuple[int, Partition]:
        """``get_last_boot_app_partition``: the entry that is not active, and the slot it names.

        ESP_FAIL when no entry is active, the other one is blank or corrupt, or it names the running app. The state of
        the other entry does not matter.
        """
        try:
            entries = self.read()
        except OtaError as error:
            raise OtaError(EspErr.ESP_FAIL, "no otadata", **error.fact) from error
        active, app_count = self.active(entries), self.app_count()
        if active is None or app_count == 0:
            raise OtaError(EspErr.ESP_FAIL, "no otadata entry is active")
        index = 1 - active
        other = entries[index]
        if other.ota_seq == BLANK_SEQ or not other.crc_ok:
            raise OtaError(EspErr.ESP_FAIL, "otadata[{index}] is blank or corrupt", index=index)
        slot = ota_slot(other.ota_seq, app_count)
        self._log.debug(_TAG, f"finding last_boot_app_partition ota_{OTA_MIN + slot} app...")
        partition = self.slot_partition(other, app_count)
        if partition is None or partition.offset == running.offset:
            raise OtaError(EspErr.ESP_FAIL, "otadata[{index}] names no other app", index=index)
        return index, partition
