"""``esp_ota_ops`` about who boots next."""

from __future__ import annotations

from itertools import pairwise

from py_esp_ota._core import Partition, ota_slot
from py_esp_ota.errors import EspErr, OtaError
from py_esp_ota.idf import rollback
from py_esp_ota.idf.app_update.app import TAG
from py_esp_ota.idf.app_update.images import OtaImages
from py_esp_ota.idf.app_update.otadata import OTA_MAX, OTA_MIN
from py_esp_ota.idf.partition import TYPE_APP, same, verify

_FACTORY = 0x00


class OtaBoot(OtaImages):
    """The choice of a boot partition, and the questions about it."""

    def set_boot_partition(self, partition: Partition | None) -> None:
        """``esp_ota_set_boot_partition``: verify the image, then make otadata choose it.

        The factory app is chosen by erasing otadata. Any other app subtype means slot ``subtype & 15``, as upstream has
        it. A build with anti-rollback erases an app that is too old.

        Raises:
            OtaError: ESP_ERR_INVALID_ARG for no partition, no app, or a slot the app does not count;
                ESP_ERR_OTA_VALIDATE_FAILED; ESP_ERR_NOT_FOUND without otadata; ESP_ERR_OTA_SMALL_SEC_VER.
            FlashError: What erasing or programming said.
        """
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        self._image_validate(partition)
        self._choose(partition)

    def set_boot_partition_skip_validate(self, partition: Partition | None) -> None:
        """``esp_ota_set_boot_partition_skip_validate``: the same without a look at the image."""
        self._require(self.features.skip_validate, "esp_ota_set_boot_partition_skip_validate")
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        self._choose(partition)

    def _choose(self, partition: Partition) -> None:
        if partition.type != TYPE_APP:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "{label} is no app partition", label=partition.label)
        if partition.subtype == _FACTORY:
            self._otadata.erase()
            return
        if self.config.bootloader_app_anti_rollback and not self._is_recent(partition):
            self._erase_old_app(partition)
        entries, app_count, slot = self._otadata.read(), self.get_app_partition_count(), partition.subtype & 0x0F
        if slot >= app_count:
            raise OtaError(
                EspErr.ESP_ERR_INVALID_ARG, "slot {slot} of {app_count} does not exist", slot=slot, app_count=app_count
            )
        if self.config.bootloader_app_rollback_enable:
            self.log.debug(TAG, "Monitoring the first boot of the app is enabled.")
        rewrite = rollback.select(
            entries,
            slot,
            app_count,
            rollback=self.config.bootloader_app_rollback_enable,
            in_place=self.features.reselects_in_place,
        )
        self._otadata.write(rewrite)

    def _erase_old_app(self, partition: Partition) -> None:
        """``esp_ota_set_boot_partition``: an app older than the eFuses allow shall never be tried again."""
        self.log.error(
            TAG,
            "This a new partition can not be booted due to a secure version is lower than stored in efuse. "
            "Partition will be erased.",
        )
        self.partitions.erase_range(partition, 0, partition.size)
        what = "the app in {label} is older than the eFuses allow, and erased"
        raise OtaError(EspErr.ESP_ERR_OTA_SMALL_SEC_VER, what, label=partition.label)

    def get_boot_partition(self) -> Partition | None:
        """``esp_ota_get_boot_partition``: what otadata chooses; the image is not looked at."""
        try:
            entries = self._otadata.read()
        except OtaError:
            return None
        app_count = self.get_app_partition_count()
        self.log.debug(TAG, f"found ota app max = {app_count}")
        if app_count == 0 or all(entry.invalid for entry in entries):
            self.log.debug(TAG, "finding factory app...")
            return self._find_default_boot_partition()
        active = self._otadata.active(entries)
        if active is None:
            self.log.error(TAG, "ota data invalid, no current app. Assuming factory")
            return self._find_default_boot_partition()
        slot = ota_slot(entries[active].ota_seq, app_count)
        self.log.debug(TAG, f"finding ota_{OTA_MIN + slot} app...")
        return self._otadata.slot_partition(entries[active], app_count)

    def _find_default_boot_partition(self) -> Partition | None:
        """``find_default_boot_partition``: factory, else the lowest OTA slot there is, else the test app."""
        for subtype in (_FACTORY, *range(OTA_MIN, OTA_MAX), OTA_MAX):
            partition = self.table.find(type=TYPE_APP, subtype=subtype)
            if partition is not None:
                return partition
        self.log.error(TAG, "invalid partition table, no app partitions")
        return None

    def get_next_update_partition(self, start: Partition | None = None) -> Partition | None:
        """``esp_ota_get_next_update_partition``: the OTA slot after ``start`` (the running app), round and round.

        With one slot this is ``start`` itself. ``start`` must be in the table, else ``ValueError`` (upstream asserts).
        """
        origin = self._running if start is None else verify(self.table, start)
        if origin is None:
            raise ValueError("start is not in the partition table")
        found = [self.table.find(type=TYPE_APP, subtype=subtype) for subtype in range(OTA_MIN, OTA_MAX)]
        slots = [slot for slot in found if slot is not None]
        for slot, following in pairwise(slots):
            if same(slot, origin):
                return following
        return slots[0] if slots else None
