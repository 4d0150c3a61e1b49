"""``esp_ota_ops``: how a running app writes the next one and decides who boots (components/app_update/esp_ota_ops.c).

One :class:`OtaOps` lives as long as one run of the app; a reset ends it and every handle with it. Flash is touched in
upstream's order, so a power cut leaves what it would leave on a chip. The app-side view of otadata is in ``ota_data``.

Absent for now, and refused rather than half done: updates of ``bootloader`` and ``partition_table`` partitions,
anti-rollback, flash encryption, and ``esp_ota_resume``.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from itertools import pairwise
from typing import NoReturn

from py_esp_ota._core import (
    AppDesc,
    Fault,
    ImageHeader,
    OtaWriter,
    Partition,
    check_image_validity,
)
from py_esp_ota.chip import Chip
from py_esp_ota.errors import EspErr, FlashError, ImageError, OtaError, Restart
from py_esp_ota.idf import rollback
from py_esp_ota.idf.log import Log
from py_esp_ota.idf.ota_data import APP, OTA_MAX, OTA_MIN, OtaData, is_ota_slot
from py_esp_ota.idf.partition import holding, load_partitions, same, verify
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.sdkconfig import Sdkconfig

OTA_SIZE_UNKNOWN = 0xFFFFFFFF
OTA_WITH_SEQUENTIAL_WRITES = 0xFFFFFFFE

_TAG = "esp_ota_ops"
_BOOTLOADER = 0x02
_PARTITION_TABLE = 0x03
_FACTORY = 0x00
_SECTOR = 0x1000
_APP_DESC_OFFSET = 0x20
_APP_DESC_SIZE = 256


@dataclass(frozen=True, slots=True)
class _Record:
    """``ota_ops_entry_t``: one open update."""

    partition: Partition
    writer: OtaWriter


class OtaOps:
    """The OTA functions of one running app. Every one raises ``OtaError`` or ``FlashError`` where C returns a code.

    ``running`` is the partition the bootloader loaded. A partition argument may be ``None`` where C takes ``NULL``:
    ESP_ERR_INVALID_ARG. A C assertion ends the app, as ``abort()`` does: ``Restart``.
    """

    def __init__(self, chip: Chip, running: Partition, config: Sdkconfig, log: Log) -> None:
        self.chip = chip
        self.config = config
        self.log = log
        self.table = load_partitions(chip.flash, config, log)
        self._otadata = OtaData(chip.flash, self.table, log)
        self._running = holding(self.table, APP, running.offset) or running
        self._records: dict[int, _Record] = {}
        self._last_handle = 0

    # ------------------------------------------------------------------------------------------------- an update

    def begin(self, partition: Partition | None, image_size: int) -> int:
        """``esp_ota_begin``: open an update of ``partition`` and erase what ``image_size`` asks for.

        Builds with rollback also drop the otadata entry that is not active, so that a half-written slot is no
        candidate. When the erase fails the update stays open all the same: the error's fact ``handle`` is its number.
        """
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if not 0 <= image_size <= OTA_SIZE_UNKNOWN:
            raise ValueError(f"image_size is {image_size}; it must fit 32 bits")
        target = verify(self.table, partition)
        if target is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "{label} is not in the partition table", label=partition.label)
        if target.type == APP:
            self._check_app_target(target)
        if target.type in (_BOOTLOADER, _PARTITION_TABLE):
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "{label} is no app or data partition", label=target.label)
        if any(same(record.partition, target) for record in self._records.values()):
            self.log.error(_TAG, f"OTA operation already in progress on partition {target.label}")
            raise OtaError(
                EspErr.ESP_ERR_OTA_ALREADY_IN_PROGRESS, "{label} has an update open already", label=target.label
            )

        need_erase = image_size == OTA_WITH_SEQUENTIAL_WRITES
        self._last_handle += 1
        handle = self._last_handle
        self._records[handle] = _Record(target, OtaWriter(target, need_erase=need_erase, magic=target.type == APP))
        if not need_erase:
            whole = image_size in (0, OTA_SIZE_UNKNOWN)
            # The rounding is done in 32 bits: a size just below 4 GiB erases nothing.
            length = target.size if whole else (image_size + _SECTOR - 1 & ~(_SECTOR - 1)) & 0xFFFFFFFF
            try:
                target.erase_range(self.chip.flash, 0, length)
            except FlashError as error:
                error.fact["handle"] = handle
                raise
        if self.config.bootloader_app_rollback_enable and is_ota_slot(target):
            # Upstream ignores the result: there may be nothing to invalidate.
            with suppress(OtaError, FlashError):
                self.invalidate_inactive_ota_data_slot()
        return handle

    def _check_app_target(self, target: Partition) -> None:
        """``esp_ota_begin``, the checks for app partitions only."""
        if not is_ota_slot(target):
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "{label} is no OTA slot", label=target.label)
        if same(target, self._running):
            raise OtaError(EspErr.ESP_ERR_OTA_PARTITION_CONFLICT, "{label} is the running app", label=target.label)
        if self.config.bootloader_app_rollback_enable and self._running_is_unconfirmed():
            self.log.error(_TAG, "Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)")
            raise OtaError(
                EspErr.ESP_ERR_OTA_ROLLBACK_INVALID_STATE,
                "the running app in {label} has not been confirmed",
                label=self._running.label,
            )

    def _running_is_unconfirmed(self) -> bool:
        try:
            return self.get_state_partition(self._running) == OtaImgState.PENDING_VERIFY
        except OtaError:
            return False

    def write(self, handle: int, data: bytes) -> None:
        """``esp_ota_write``: append ``data``. The first byte of an app must be 0xE9, or ESP_ERR_OTA_VALIDATE_FAILED."""
        if not data:
            return  # upstream's first check: not even the handle is looked at
        record = self._records.get(handle)
        if record is None:
            self.log.error(_TAG, "not found the handle")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "handle {handle} is not open", handle=handle)
        try:
            record.writer.write(self.chip.flash, data)
        except OtaError:
            self.log.error(_TAG, f"OTA image has invalid magic byte (expected 0xE9, saw 0x{data[0]:02x})")
            raise

    def end(self, handle: int) -> None:
        """``esp_ota_end``: verify what was written and close the update, whatever the verdict."""
        record = self._records.pop(handle, None)
        if record is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "handle {handle} is not open", handle=handle)
        if record.writer.wrote_size == 0:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "nothing was written to {label}", label=record.partition.label)
        if record.partition.type == APP:
            try:
                self._image_validate(record.partition)
            except OtaError:
                self.log.error(_TAG, "New image failed verification")
                raise

    def abort(self, handle: int) -> None:
        """``esp_ota_abort``: close the update; the flash stays as it is."""
        if self._records.pop(handle, None) is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "handle {handle} is not open", handle=handle)

    # ----------------------------------------------------------------------------------------------- who boots next

    def set_boot_partition(self, partition: Partition | None) -> None:
        """``esp_ota_set_boot_partition``: verify the image, then make otadata choose it.

        The factory app is chosen by erasing otadata. Any other app subtype means slot ``subtype & 15``, as upstream has
        it.
        """
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        self._image_validate(partition)
        if partition.type != APP:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "{label} is no app partition", label=partition.label)
        if partition.subtype == _FACTORY:
            self._otadata.erase()
            return
        entries, app_count, slot = self._otadata.read(), self.get_app_partition_count(), partition.subtype & 0x0F
        if slot >= app_count:
            raise OtaError(
                EspErr.ESP_ERR_INVALID_ARG, "slot {slot} of {app_count} does not exist", slot=slot, app_count=app_count
            )
        rewrite = rollback.select(entries, slot, app_count, rollback=self.config.bootloader_app_rollback_enable)
        self._otadata.write(rewrite)

    def get_boot_partition(self) -> Partition | None:
        """``esp_ota_get_boot_partition``: what otadata chooses; the image is not looked at."""
        try:
            entries = self._otadata.read()
        except OtaError:
            return None
        app_count = self.get_app_partition_count()
        if app_count == 0 or all(entry.invalid for entry in entries):
            return self._find_default_boot_partition()
        active = self._otadata.active(entries)
        if active is None:
            self.log.error(_TAG, "ota data invalid, no current app. Assuming factory")
            return self._find_default_boot_partition()
        return self._otadata.slot_partition(entries[active], app_count)

    def _find_default_boot_partition(self) -> Partition | None:
        """``find_default_boot_partition``: factory, else the lowest OTA slot there is, else the test app."""
        for subtype in (_FACTORY, *range(OTA_MIN, OTA_MAX), OTA_MAX):
            partition = self.table.find(type=APP, subtype=subtype)
            if partition is not None:
                return partition
        self.log.error(_TAG, "invalid partition table, no app partitions")
        return None

    def get_running_partition(self) -> Partition:
        """``esp_ota_get_running_partition``: the first app row that holds the running code."""
        return self._running

    def get_next_update_partition(self, start: Partition | None = None) -> Partition | None:
        """``esp_ota_get_next_update_partition``: the OTA slot after ``start`` (the running app), round and round.

        With one slot this is ``start`` itself. ``start`` must be in the table, else ``ValueError`` (upstream asserts).
        """
        origin = self._running if start is None else verify(self.table, start)
        if origin is None:
            raise ValueError("start is not in the partition table")
        found = [self.table.find(type=APP, subtype=subtype) for subtype in range(OTA_MIN, OTA_MAX)]
        slots = [slot for slot in found if slot is not None]
        for slot, following in pairwise(slots):
            if same(slot, origin):
                return following
        return slots[0] if slots else None

    def get_app_partition_count(self) -> int:
        """``esp_ota_get_app_partition_count``: OTA slots from ota_0 up to the first gap."""
        return self._otadata.app_count()

    # --------------------------------------------------------------------------------------------- confirm or reject

    def get_state_partition(self, partition: Partition | None) -> OtaImgState | int:
        """``esp_ota_get_state_partition``: the otadata state of an OTA slot; a plain number if it is no known state."""
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if not is_ota_slot(partition):
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "{label} is no OTA slot", label=partition.label)
        entries, app_count = self._otadata.read(), self.get_app_partition_count()
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
        app_count = self.get_app_partition_count()
        partition = self._otadata.slot_partition(rejected, app_count) if rejected and app_count else None
        return partition if partition is not None and self._is_bootable(partition) else None

    def check_rollback_is_possible(self) -> bool:
        """``esp_ota_check_rollback_is_possible``: whether rejecting the active app leaves one to boot.

        When the other entry is usable, only its image counts: a good factory app does not help then.
        """
        try:
            entries = self._otadata.read()
        except OtaError:
            return False
        active, app_count = self._otadata.active(entries), self.get_app_partition_count()
        if active is None or app_count == 0:
            return False
        other = entries[1 - active]
        target = (
            self._otadata.slot_partition(other, app_count)
            if other.valid
            else self.table.find(type=APP, subtype=_FACTORY)
        )
        return target is not None and self._is_bootable(target)

    def mark_app_valid_cancel_rollback(self) -> None:
        """``esp_ota_mark_app_valid_cancel_rollback``: the active entry becomes VALID, whoever is running."""
        entries, active = self._current_ota()
        rewrite = rollback.confirm(entries, active)
        if rewrite is not None:
            self._otadata.write(rewrite)

    def mark_app_invalid_rollback(self) -> None:
        """``esp_ota_mark_app_invalid_rollback``: the active entry becomes INVALID, if another app can boot."""
        entries, active = self._current_ota()
        if not self.check_rollback_is_possible():
            self.log.error(_TAG, "Rollback is not possible, do not have any suitable apps in slots")
            raise OtaError(EspErr.ESP_ERR_OTA_ROLLBACK_FAILED, "no other app can boot")
        self._otadata.write(rollback.reject(entries, active))
        self.log.info(_TAG, "Rollback to previously worked partition.")

    def mark_app_invalid_rollback_and_reboot(self) -> NoReturn:
        """``esp_ota_mark_app_invalid_rollback_and_reboot``: reject the active entry and ``Restart``."""
        self.mark_app_invalid_rollback()
        raise Restart("esp_ota_mark_app_invalid_rollback_and_reboot")

    def _current_ota(self) -> tuple[rollback.Entries, int]:
        """``esp_ota_current_ota_is_workable``, the start both marks share."""
        entries = self._otadata.read()
        active = self._otadata.active(entries)
        if active is None or self.get_app_partition_count() == 0:
            self.log.error(_TAG, "Running firmware is factory")
            raise OtaError(EspErr.ESP_FAIL, "no otadata entry is active")
        return entries, active

    # ------------------------------------------------------------------------------------------------ the slot before

    def erase_last_boot_app_partition(self) -> None:
        """``esp_ota_erase_last_boot_app_partition``: erase the app the inactive entry names, then that entry."""
        index, partition = self._otadata.inactive_slot(self._running)
        partition.erase_range(self.chip.flash, 0, partition.size)
        self._otadata.erase_entry(index)

    def invalidate_inactive_ota_data_slot(self) -> None:
        """``esp_ota_invalidate_inactive_ota_data_slot``: erase the entry that is not active."""
        index, _ = self._otadata.inactive_slot(self._running)
        self._otadata.erase_entry(index)

    # --------------------------------------------------------------------------------------------------- about images

    def get_partition_description(self, partition: Partition | None) -> AppDesc:
        """``esp_ota_get_partition_description``: the app descriptor at image offset 0x20."""
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if partition.type != APP:
            raise OtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "{label} is no app partition", label=partition.label)
        data = partition.read(self.chip.flash, _APP_DESC_OFFSET, _APP_DESC_SIZE)
        try:
            return AppDesc.from_bytes(data)
        except ImageError as error:
            raise OtaError(
                EspErr.ESP_ERR_NOT_FOUND, "{label} holds no app descriptor", **error.fact, label=partition.label
            ) from error

    def check_image_validity(self, header: ImageHeader, desc: AppDesc | None) -> None:
        """``esp_ota_check_image_validity`` for an app: chip, chip revision, SPI flash mode of the running app."""
        verdict = check_image_validity(
            header,
            desc,
            chip=self.chip.target.name,
            chip_revision=self.chip.efuse.chip_revision,
            running=self._running_app_desc(),
        )
        self.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            raise _refused(verdict.err, "the image does not suit this chip", verdict.fault)

    def _running_app_desc(self) -> AppDesc | None:
        """``esp_app_get_description``: the running app's own descriptor, in RAM upstream, in its slot here."""
        try:
            return self.get_partition_description(self._running)
        except (OtaError, FlashError):
            return None

    def _image_validate(self, partition: Partition) -> None:
        """``image_validate`` in verify mode: any fault becomes ESP_ERR_OTA_VALIDATE_FAILED."""
        verdict = self.chip.verify_image(partition, build="app", mode="verify", config=self.config)
        self.log.core(verdict.log)
        if verdict.err != EspErr.ESP_OK:
            what = "the image in {label} is refused with {cause}"
            raise _refused(
                EspErr.ESP_ERR_OTA_VALIDATE_FAILED, what, verdict.fault, label=partition.label, cause=verdict.err.name
            )

    def _is_bootable(self, partition: Partition) -> bool:
        """``image_validate`` in silent mode."""
        verdict = self.chip.verify_image(partition, build="app", mode="verify_silent", config=self.config)
        self.log.core(verdict.log)
        return verdict.err == EspErr.ESP_OK


def _refused(err: EspErr, what: str, fault: Fault | None, **fact: object) -> OtaError:
    """An error about an image, with the fault's numbers in it."""
    if fault is None:
        return OtaError(err, what, **fact)
    return OtaError(
        err,
        what + ": {field} at {offset:#x} is {found}, expected {expected}",
        field=fault.field,
        offset=fault.offset,
        found=fault.found,
        expected=fault.expected,
        **fact,
    )
