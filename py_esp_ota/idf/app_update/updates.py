"""``esp_ota_ops`` about one update: begin or resume, write, and end or abort."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass

from py_esp_ota._core import OtaWriter, Partition, verify_partition_table
from py_esp_ota.errors import EspErr, FlashError, OtaError, Restart
from py_esp_ota.idf.app_update.app import TAG, refused
from py_esp_ota.idf.app_update.keys import OtaKeys
from py_esp_ota.idf.app_update.otadata import is_ota_slot
from py_esp_ota.idf.partition import TYPE_APP, TYPE_BOOTLOADER, TYPE_PARTITION_TABLE, same
from py_esp_ota.idf.rollback import OtaImgState

OTA_SIZE_UNKNOWN = 0xFFFFFFFF
OTA_WITH_SEQUENTIAL_WRITES = 0xFFFFFFFE

_SECTOR = 0x1000
_TABLE_MAX_LEN = 0xC00
#: What the first data must begin with, by the type of the final partition.
_MAGIC = {TYPE_APP: b"\xe9", TYPE_BOOTLOADER: b"\xe9", TYPE_PARTITION_TABLE: b"\xaa\x50"}
_BAD_MAGIC = {
    TYPE_APP: "OTA image has invalid magic byte (expected 0xE9, saw {found})",
    TYPE_BOOTLOADER: "OTA image has invalid magic byte (expected 0xE9, saw {found})",
    TYPE_PARTITION_TABLE: "Partition table image has invalid magic word (expected 0x50AA, saw {found})",
}


@dataclass(slots=True)
class _Record:
    """``ota_ops_entry_t``: one open update. ``staging`` is written; ``final`` decides what the data must be."""

    staging: Partition
    final: Partition
    writer: OtaWriter
    need_erase: bool
    resumed: bool = False
    finalize_with_copy: bool = False


class OtaUpdates(OtaKeys):
    """Updates of OTA slots and, since v5.5, of any other partition but the app partitions that are no OTA slot."""

    _records: dict[int, _Record]
    _last_handle: int

    # ------------------------------------------------------------------------------------------------------- opening

    def begin(self, partition: Partition | None, image_size: int) -> int:
        """``esp_ota_begin``: open an update of ``partition`` and erase what ``image_size`` asks for.

        Builds with rollback also drop the otadata entry that is not active, so that a half-written slot is no
        candidate. When the erase fails the update stays open all the same: the error's fact ``handle`` is its number.

        Raises:
            OtaError: ESP_ERR_INVALID_ARG, ESP_ERR_NOT_FOUND, ESP_ERR_OTA_PARTITION_CONFLICT,
                ESP_ERR_OTA_ROLLBACK_INVALID_STATE, ESP_ERR_OTA_ALREADY_IN_PROGRESS.
            FlashError: What erasing said.
        """
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if not 0 <= image_size <= OTA_SIZE_UNKNOWN:
            raise ValueError(f"image_size is {image_size}; it must fit 32 bits")
        target = self._in_table(partition)
        if target.type == TYPE_APP or not self.features.begin_takes_other_types:
            self._require_ota_slot(target)
            self._require_not_running(target)
            self._require_confirmed_app()
        self._require_no_conflict(target)
        need_erase = image_size == OTA_WITH_SEQUENTIAL_WRITES
        if not self.features.begin_opens_before_erase:
            self._erase_for(target, image_size)
        handle = self._open(target, need_erase=need_erase)
        if self.features.begin_opens_before_erase:
            try:
                self._erase_for(target, image_size)
            except FlashError as error:
                error.fact["handle"] = handle
                raise
        if self._drops_inactive_record() and is_ota_slot(target):
            # Upstream ignores the result: there may be nothing to invalidate.
            with suppress(OtaError, FlashError):
                self.invalidate_inactive_ota_data_slot()
        return handle

    def resume(self, partition: Partition | None, erase_size: int, image_offset: int) -> int:
        """``esp_ota_resume``: open an update that goes on at ``image_offset``; nothing is erased, nor otadata touched.

        ``erase_size`` OTA_WITH_SEQUENTIAL_WRITES erases as the data comes. The first bytes are looked at only for an
        ``image_offset`` of 0. Raises ``OtaError`` as ``begin`` does.
        """
        self._require(self.features.resume, "esp_ota_resume")
        if partition is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        if not 0 <= image_offset <= OTA_SIZE_UNKNOWN:
            raise ValueError(f"image_offset is {image_offset}; it must fit 32 bits")
        if image_offset > partition.size:
            what = "image_offset {found:#x} is beyond {label}"
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, what, found=image_offset, label=partition.label)
        target = self._in_table(partition)
        if target.type == TYPE_APP or not self.features.begin_takes_other_types:
            self._require_ota_slot(target)
        self._require_not_running(target)
        if target.type == TYPE_APP and self.features.resume_asks_state:
            self._require_confirmed_app()
        self._require_no_conflict(target)
        need_erase = erase_size == OTA_WITH_SEQUENTIAL_WRITES
        return self._open(target, need_erase=need_erase, wrote_size=image_offset, resumed=True)

    def set_final_partition(self, handle: int, final: Partition | None, *, finalize_with_copy: bool) -> None:
        """``esp_ota_set_final_partition``: what is being written is meant for ``final``, whose type decides the checks.

        With ``finalize_with_copy`` a successful ``end`` copies it there.

        Raises ``OtaError``: ESP_ERR_INVALID_ARG without a partition, ESP_ERR_NOT_FOUND for a handle that is not open
        and for a partition that is not in the table, ESP_ERR_INVALID_STATE once data was written.
        """
        self._require(self.features.begin_takes_other_types, "esp_ota_set_final_partition")
        if final is None:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "no partition given")
        record = self._records.get(handle)
        if record is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "handle {handle} is not open", handle=handle)
        if not record.resumed and record.writer.wrote_size != 0:
            what = "data was written to {label} already"
            raise OtaError(EspErr.ESP_ERR_INVALID_STATE, what, label=record.staging.label)
        if same(record.staging, final):
            return
        target = self._in_table(final)
        text = f"Staging partition - <{record.staging.label}>. Final partition - <{target.label}>."
        self.log.info(TAG, text)
        record.final, record.finalize_with_copy = target, finalize_with_copy
        record.writer.set_magic(_MAGIC.get(target.type, b""))
        self._prepare(target.type, record.staging)

    def _in_table(self, partition: Partition) -> Partition:
        row = self.partitions.verify(partition)
        if row is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "{label} is not in the partition table", label=partition.label)
        return row

    def _require_ota_slot(self, target: Partition) -> None:
        if not is_ota_slot(target):
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "{label} is no OTA slot", label=target.label)

    def _require_not_running(self, target: Partition) -> None:
        if same(target, self._running):
            raise OtaError(EspErr.ESP_ERR_OTA_PARTITION_CONFLICT, "{label} is the running app", label=target.label)

    def _require_confirmed_app(self) -> None:
        """Builds with rollback: an app that may still be rolled back must not overwrite the one before it."""
        if self.config.bootloader_app_rollback_enable and self._running_is_unconfirmed():
            self.log.error(TAG, "Running app has not confirmed state (ESP_OTA_IMG_PENDING_VERIFY)")
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

    def _require_no_conflict(self, target: Partition) -> None:
        """``is_partition_in_use``: staging or final partition of an open update."""
        if not self.features.conflict_check:
            return
        if any(same(target, row) for record in self._records.values() for row in (record.staging, record.final)):
            self.log.error(TAG, f"OTA operation already in progress on partition {target.label}")
            raise OtaError(
                EspErr.ESP_ERR_OTA_ALREADY_IN_PROGRESS, "{label} has an update open already", label=target.label
            )

    def _drops_inactive_record(self) -> bool:
        return self.config.bootloader_app_rollback_enable and self.features.begin_drops_inactive_record

    def _open(self, target: Partition, *, need_erase: bool, wrote_size: int = 0, resumed: bool = False) -> int:
        """``esp_ota_init_entry``: handles count up and are never used twice."""
        magic = _MAGIC.get(target.type, b"")
        writer = OtaWriter(target, need_erase=need_erase, magic=magic, wrote_size=wrote_size)
        self._last_handle += 1
        self._records[self._last_handle] = _Record(target, target, writer, need_erase, resumed)
        self._prepare(target.type, target)
        return self._last_handle

    def _prepare(self, final_type: int, staging: Partition) -> None:
        """A bootloader image may lie where it is staged, and its home may be written: nothing forbids that any more."""
        if final_type == TYPE_BOOTLOADER:
            self._set_bootloader_offset(staging.offset)
        if final_type in (TYPE_BOOTLOADER, TYPE_PARTITION_TABLE):
            self.flash.set_dangerous_write_protection(False)

    def _erase_for(self, target: Partition, image_size: int) -> None:
        """``esp_ota_begin``, the erase: all of it for an unknown size, nothing for sequential writes."""
        if image_size == OTA_WITH_SEQUENTIAL_WRITES:
            return
        whole = image_size in (0, OTA_SIZE_UNKNOWN)
        # The rounding is done in 32 bits: a size just below 4 GiB erases nothing.
        length = target.size if whole else (image_size + _SECTOR - 1 & ~(_SECTOR - 1)) & 0xFFFFFFFF
        self.partitions.erase_range(target, 0, length)

    # ------------------------------------------------------------------------------------------------------- writing

    def write(self, handle: int, data: bytes | None) -> None:
        """``esp_ota_write``: append ``data``.

        An app or bootloader must begin with 0xE9, a partition table with AA 50: else ESP_ERR_OTA_VALIDATE_FAILED, and
        the handle can still be used. Raises ``OtaError`` (ESP_ERR_INVALID_ARG) without data or for a handle that is not
        open, and ``FlashError`` with nothing of this call written.
        """
        if data is None:
            raise self._no_data()
        if not data:
            self.log.debug(TAG, "write data size is 0")
            return  # not even the handle is looked at
        record = self._records.get(handle)
        if record is None:
            self.log.error(TAG, "not found the handle")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "handle {handle} is not open", handle=handle)
        self._guard_write(record, data)
        try:
            record.writer.write(self.chip.flash, data)
        except OtaError as error:
            self.log.error(TAG, _BAD_MAGIC[record.final.type].format(**error.fact))
            raise

    def _guard_write(self, record: _Record, data: bytes) -> None:
        """The flash driver's guard, asked where the writer's erase and its program will ask it."""
        start, length = record.writer.wrote_size, len(data)
        if record.need_erase:
            first, end = (place + _SECTOR - 1 & ~(_SECTOR - 1) for place in (start, start + length))
            if end > first:
                self.partitions.check_erase(record.staging, first, end - first)
        magic = _MAGIC.get(record.final.type, b"")
        if start == 0 and len(data) >= len(magic) and not data.startswith(magic):
            return  # it ends there, before anything is programmed
        self.partitions.check_write(record.staging, start, length)

    def write_with_offset(self, handle: int, data: bytes | None, offset: int) -> None:
        """``esp_ota_write_with_offset``: program ``data`` anywhere in the partition, neither erased nor looked at.

        Raises ``OtaError`` (ESP_ERR_INVALID_ARG) without data or for a handle that is not open, ``FlashError`` as
        ``esp_partition_write`` does, and ``Restart`` (an assertion) for an update that erases as it goes.
        """
        if data is None:
            raise self._no_data()
        record = self._records.get(handle)
        if record is None:
            self.log.error(TAG, "OTA handle not found")
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "handle {handle} is not open", handle=handle)
        if record.need_erase:
            raise Restart("assertion in esp_ota_write_with_offset: must erase the partition before writing to it")
        if self.chip.efuse.flash_encryption_enabled and len(data) % 16:
            self.log.error(TAG, "Size should be 16byte aligned for flash encryption case")
            what = "{found} bytes are no multiple of 16, the unit of flash encryption"
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, what, found=len(data))
        self.partitions.check_write(record.staging, offset, len(data))
        record.writer.write_with_offset(self.chip.flash, offset, data)

    def _no_data(self) -> OtaError:
        self.log.error(TAG, "write data is invalid")
        return OtaError(EspErr.ESP_ERR_INVALID_ARG, "no data given")

    # ------------------------------------------------------------------------------------------------------- closing

    def end(self, handle: int) -> None:
        """``esp_ota_end``: verify what was written, copy it where it is meant to be, and close the update in any case.

        Raises:
            OtaError: ESP_ERR_NOT_FOUND for a handle that is not open, ESP_ERR_INVALID_ARG when nothing was written,
                ESP_ERR_OTA_VALIDATE_FAILED.
            FlashError: What mapping or copying said.
        """
        record = self._records.pop(handle, None)
        if record is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "handle {handle} is not open", handle=handle)
        try:
            self._finish(record)
        finally:
            if record.final.type == TYPE_BOOTLOADER:
                self._set_bootloader_offset(None)

    def _finish(self, record: _Record) -> None:
        if record.writer.wrote_size == 0:
            raise OtaError(EspErr.ESP_ERR_INVALID_ARG, "nothing was written to {label}", label=record.staging.label)
        try:
            record.writer.flush(self.chip.flash)
        except FlashError as error:
            what = "the last block of {label} could not be written"
            raise OtaError(EspErr.ESP_ERR_INVALID_STATE, what, label=record.staging.label) from error
        try:
            self._verify_written(record)
        except (OtaError, FlashError):
            if self.features.end_reports_refusal:
                self.log.error(TAG, "New image failed verification")
            raise
        if record.finalize_with_copy:
            text = f"Copy from <{record.staging.label}> staging partition to <{record.final.label}>..."
            self.log.info(TAG, text)
            self.partitions.copy(record.final, 0, record.staging, 0, record.final.size)

    def _verify_written(self, record: _Record) -> None:
        """``ota_verify_partition``: by the type of the final partition, on what the staging partition holds."""
        if record.final.type in (TYPE_APP, TYPE_BOOTLOADER):
            self._image_validate(record.staging)
        elif record.final.type == TYPE_PARTITION_TABLE:
            table = self.partitions.mmap(record.staging, 0, _TABLE_MAX_LEN)
            verdict = verify_partition_table(table, self.chip.flash.size, wraps=self.features.table_bound_wraps)
            self.log.core(verdict.log)
            if verdict.err != EspErr.ESP_OK:
                what = "the partition table in {label} is refused with {cause}"
                raise refused(
                    EspErr.ESP_ERR_OTA_VALIDATE_FAILED,
                    what,
                    verdict.fault,
                    label=record.staging.label,
                    cause=verdict.err.name,
                )

    def abort(self, handle: int) -> None:
        """``esp_ota_abort``: close the update; the flash stays as it is, and so does what ``begin`` switched off."""
        if self._records.pop(handle, None) is None:
            raise OtaError(EspErr.ESP_ERR_NOT_FOUND, "handle {handle} is not open", handle=handle)
