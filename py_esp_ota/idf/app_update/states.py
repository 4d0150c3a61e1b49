"""``esp_ota_ops`` about states: confirm or reject the app that runs, and what became of the one before."""

from __future__ import annotations

from typing import NoReturn

from py_esp_ota._core import Partition, ota_slot
from py_esp_ota.errors import EspErr, OtaError, Restart
from py_esp_ota.idf import rollback
from py_esp_ota.idf.app_update.app import TAG
from py_esp_ota.idf.app_update.boot import OtaBoot
from py_esp_ota.idf.app_update.otadata import OTA_MIN, is_ota_slot
from py_esp_ota.idf.efuse import update_secure_version
from py_esp_ota.idf.partition import TYPE_APP
from py_esp_ota.idf.rollback import OtaImgState

_FACTORY = 0x00


class OtaStates(OtaBoot):
    """Both marks act on the *active otadata entry*, whoever is running."""

    def get_state_partition(self, partition: Partition | None) -> OtaImgState | int:
        """``esp_ota_get_state_partition``: the otadata state of an OTA slot; a plain number if it is no known state."""
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if not is_ota_slot(partition):
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "{label} is no OTA slot", label=partition.label)
        app_count, entries = self.get_app_partition_count(), self._otadata.read()
        state = rollback.state_of_slot(entries, partition.subtype & 0x0F, app_count) if app_count else None
        if state is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "no otadata entry names {label}", label=partition.label)
        return rollback.as_state(state)

    def get_last_invalid_partition(self) -> Partition | None:
        """``esp_ota_get_last_invalid_partition``: the slot that was rejected, if its image is still whole."""
        try:
            entries = self._otadata.read()
        except OtaError:
            return None
        rejected = rollback.last_invalid(entries)
        self.log.debug(TAG, f"Invalid otadata[{-1 if rejected is None else entries.index(rejected)}]")
        app_count = self.get_app_partition_count()
        if rejected is None or app_count == 0:
            return None
        self.log.debug(TAG, f"Find invalid ota_{OTA_MIN + ota_slot(rejected.ota_seq, app_count)} app")
        partition = self._otadata.slot_partition(rejected, app_count)
        if partition is not None and not self._is_bootable(partition):
            self.log.debug(TAG, "Last invalid partition has corrupted app")
            return None
        return partition

    def check_rollback_is_possible(self) -> bool:
        """``esp_ota_check_rollback_is_possible``: whether rejecting the active app leaves one to boot.

        When the other entry is usable, only its image counts: a good factory app does not help then. With anti-rollback
        the factory app never helps, and the other app must be recent enough.
        """
        try:
            entries = self._otadata.read()
        except OtaError:
            return False
        active, app_count = self._otadata.active(entries), self.get_app_partition_count()
        if active is None or app_count == 0:
            return False
        other, anti_rollback = entries[1 - active], self.config.bootloader_app_anti_rollback
        if other.valid:
            target = self._otadata.slot_partition(other, app_count)
        else:
            target = None if anti_rollback else self.table.find(type=TYPE_APP, subtype=_FACTORY)
        if target is None or not self._is_bootable(target):
            return False
        return not anti_rollback or self._is_readably_recent(target)

    def mark_app_valid_cancel_rollback(self) -> None:
        """``esp_ota_mark_app_valid_cancel_rollback``: the active entry becomes VALID.

        With anti-rollback the running app's secure version is burnt then; not when the entry was VALID before.

        Raises:
            OtaError: ESP_ERR_NOT_FOUND without otadata or without a descriptor to burn from, ESP_FAIL when no entry is
                active or the eFuses are newer, ESP_ERR_INVALID_ARG for a secure version beyond their field.
            FlashError: What erasing or programming said.
        """
        entries, active = self._current_ota()
        rewrite = rollback.confirm(entries, active)
        if rewrite is None:
            return
        self.log.debug(TAG, "OTA[current] partition is marked as VALID")
        self._otadata.write(rewrite)
        if self.config.bootloader_app_anti_rollback:
            self._set_anti_rollback()

    def _set_anti_rollback(self) -> None:
        """``esp_ota_set_anti_rollback``: no app older than this one boots any more."""
        desc = self.get_partition_description(self._running)
        update_secure_version(self.chip.efuse, self.config, desc.secure_version, self.log)

    def mark_app_invalid_rollback(self) -> None:
        """``esp_ota_mark_app_invalid_rollback``: the active entry becomes INVALID, if another app can boot."""
        self._require(self.features.reject_without_reboot, "esp_ota_mark_app_invalid_rollback")
        self._reject()

    def mark_app_invalid_rollback_and_reboot(self) -> NoReturn:
        """``esp_ota_mark_app_invalid_rollback_and_reboot``: reject the active entry and ``Restart``."""
        self._reject()
        raise Restart("esp_ota_mark_app_invalid_rollback_and_reboot")

    def _reject(self) -> None:
        entries, active = self._current_ota()
        if not self.check_rollback_is_possible():
            self.log.error(TAG, "Rollback is not possible, do not have any suitable apps in slots")
            raise OtaError(EspErr.ESP_ERR_OTA_ROLLBACK_FAILED, "no other app can boot")
        self.log.debug(TAG, "OTA[current] partition is marked as INVALID")
        self._otadata.write(rollback.reject(entries, active))
        restart = "" if self.features.reject_without_reboot else " Restart."
        self.log.info(TAG, f"Rollback to previously worked partition.{restart}")

    def _current_ota(self) -> tuple[rollback.Entries, int]:
        """``esp_ota_current_ota_is_workable``, the start both marks share."""
        entries = self._otadata.read()
        active = self._otadata.active(entries)
        if active is None or self.get_app_partition_count() == 0:
            self.log.error(TAG, "Running firmware is factory")
            raise OtaError(EspErr.ESP_FAIL, "no otadata entry is active")
        return entries, active

    # ------------------------------------------------------------------------------------------------ the slot before

    def erase_last_boot_app_partition(self) -> None:
        """``esp_ota_erase_last_boot_app_partition``: erase the app the inactive entry names, then that entry."""
        index, partition = self._otadata.inactive_slot(self._running)
        self.partitions.erase_range(partition, 0, partition.size)
        self._otadata.erase_entry(index)

    def invalidate_inactive_ota_data_slot(self) -> None:
        """``esp_ota_invalidate_inactive_ota_data_slot``: erase the entry that is not active."""
        index, _ = self._otadata.inactive_slot(self._running)
        self._otadata.erase_entry(index)
