"""``examples/system/ota/native_ota_example``: ``esp_ota_*`` by hand, a pin as self-test, no rejected version again."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from dataclasses import dataclass

from example_board import Run

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import EspErr, EspError, FetchError, HttpsOtaError, ImageError, Restart
from py_esp_ota.idf.app_update.ota_ops import OTA_WITH_SEQUENTIAL_WRITES
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig
from py_esp_ota.idf.esp_https_ota.https_ota import esp_err_to_name
from py_esp_ota.idf.rollback import OtaImgState

TAG = "native_ota_example"
BUFFSIZE = 1024
_HEADERS = 24 + 8 + 256
_DESC_OFFSET = 32


class TaskEnd(Exception):
    """``task_fatal_error`` and ``infinite_loop``: nothing more comes from this task."""


@dataclass(kw_only=True)
class NativeOta:
    """The app: what CI builds of it, and the level of the pin that its self-test reads."""

    skip_version_check: bool = True
    diagnostic_pin: int = 1

    async def __call__(self, run: Run) -> None:
        run.log.info(TAG, "OTA example app_main start")
        await self._manage_rollback(run)
        await run.connect()
        with suppress(TaskEnd):
            await self._task(run)

    async def _manage_rollback(self, run: Run) -> None:
        ops, log = run.ops, run.log
        try:
            state = ops.get_state_partition(ops.get_running_partition())
        except EspError:
            return
        if state != OtaImgState.PENDING_VERIFY:
            return
        log.info(TAG, "Diagnostics (5 sec)...")
        await asyncio.sleep(5)
        if self.diagnostic_pin:
            log.info(TAG, "Diagnostics completed successfully! Continuing execution ...")
            ops.mark_app_valid_cancel_rollback()
        else:
            log.error(TAG, "Diagnostics failed! Start rollback to the previous version ...")
            ops.mark_app_invalid_rollback_and_reboot()

    async def _task(self, run: Run) -> None:
        log = run.log
        log.info(TAG, "Starting OTA example task")
        client = HttpClient(HttpClientConfig(url=await run.stdin()), run.board.server)
        try:
            await client.open()
        except HttpsOtaError as error:
            log.error(TAG, f"Failed to open HTTP connection: {esp_err_to_name(error)}")
            raise TaskEnd from error
        try:
            await self._download(run, client)
        finally:
            await client.close()
        log.info(TAG, "Prepare to restart system!")
        raise Restart("esp_restart")

    async def _download(self, run: Run, client: HttpClient) -> None:
        log, ops = run.log, run.ops
        partition = ops.get_next_update_partition()
        assert partition
        log.info(TAG, f"Writing to partition subtype {partition.subtype} at offset 0x{partition.offset:x}")
        handle, written = 0, 0
        while data := await self._read(run, client):
            if not written:
                self._check_header(run, data)
                try:
                    handle = ops.begin(partition, OTA_WITH_SEQUENTIAL_WRITES)
                except EspError as error:
                    log.error(TAG, f"esp_ota_begin failed ({error.err.name})")
                    raise TaskEnd from error
                log.info(TAG, "esp_ota_begin succeeded")
            try:
                ops.write(handle, data)
            except EspError as error:
                ops.abort(handle)
                raise TaskEnd from error
            written += len(data)
        log.info(TAG, f"Total Write binary data length: {written}")
        if not client.is_complete_data_received():
            log.error(TAG, "Error in receiving complete file")
            raise TaskEnd
        try:
            ops.end(handle)
        except EspError as error:
            if error.err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED:
                log.error(TAG, "Image validation failed, image is corrupted")
            else:
                log.error(TAG, f"esp_ota_end failed ({error.err.name})!")
            raise TaskEnd from error
        try:
            ops.set_boot_partition(partition)
        except EspError as error:
            log.error(TAG, f"esp_ota_set_boot_partition failed ({error.err.name})!")
            raise TaskEnd from error

    async def _read(self, run: Run, client: HttpClient) -> bytes:
        try:
            return await client.read(BUFFSIZE)
        except FetchError as error:
            run.log.error(TAG, "Error: SSL data read error")
            raise TaskEnd from error

    def _check_header(self, run: Run, data: bytes) -> None:
        log, ops = run.log, run.ops
        if len(data) <= _HEADERS:
            log.error(TAG, "received package is not fit len")
            raise TaskEnd
        try:
            new = AppDesc.from_bytes(data[_DESC_OFFSET:])
        except ImageError:  # C compares whatever stands there; it is neither version
            return
        log.info(TAG, f"New firmware version: {new.version}")
        running = ops.get_partition_description(ops.get_running_partition())
        log.info(TAG, f"Running firmware version: {running.version}")
        invalid = ops.get_last_invalid_partition()
        if invalid is not None:
            refused = ops.get_partition_description(invalid)
            log.info(TAG, f"Last invalid firmware version: {refused.version}")
            if refused.version_bytes == new.version_bytes:
                log.warning(TAG, "New version is the same as invalid version.")
                text = f"Previously, there was an attempt to launch the firmware with {refused.version} version, but it"
                log.warning(TAG, f"{text} failed.")
                log.warning(TAG, "The firmware has been rolled back to the previous version.")
                raise TaskEnd
        if not self.skip_version_check and new.version_bytes == running.version_bytes:
            text = "Current running version is the same as a new. We will not continue the update."
            log.warning(TAG, text)
            raise TaskEnd
