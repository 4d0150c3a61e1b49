"""``examples/system/ota/advanced_https_ota``: begin and perform by hand, no equal version, resumption from NVS."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from example_board import Run

from py_esp_ota._core import AppDesc
from py_esp_ota.errors import EspErr, EspError, HttpsOtaError, OtaError, Restart
from py_esp_ota.idf.esp_https_ota import https_ota
from py_esp_ota.idf.esp_https_ota.https_ota import Event, HttpClientConfig, HttpsOta, HttpsOtaConfig
from py_esp_ota.idf.rollback import OtaImgState
from py_esp_ota.ports import U16

TAG = "advanced_https_ota_example"
NVS_NAMESPACE_OTA_RESUMPTION = "ota_resumption"
NVS_KEY_OTA_WR_LENGTH = "nvs_ota_wr_len"  # u16, KiB
NVS_KEY_SAVED_URL = "nvs_ota_url"

_EVENTS = {
    Event.START: "OTA started",
    Event.CONNECTED: "Connected to server",
    Event.GET_IMG_DESC: "Reading Image Description",
    Event.VERIFY_CHIP_ID: "Verifying chip id of new image: {data}",
    Event.VERIFY_CHIP_REVISION: "Verifying chip revision of new image: {data}",
    Event.DECRYPT_CB: "Callback to decrypt function",
    Event.UPDATE_BOOT_PARTITION: "Boot partition updated. Next Partition: {data}",
    Event.FINISH: "OTA finish",
    Event.ABORT: "OTA abort",
}


@dataclass(frozen=True, kw_only=True)
class AdvancedHttpsOta:
    """The app, as its ``sdkconfig`` builds it. The CI of upstream skips the version check, for it has one image."""

    skip_version_check: bool = True
    enable_ota_resumption: bool = False
    enable_partial_http_download: bool = False
    http_request_size: int = 16384

    async def __call__(self, run: Run) -> None:
        run.log.info(TAG, "OTA example app_main start")
        await run.connect()
        if run.ops.config.bootloader_app_rollback_enable:
            _confirm(run)
        await self._task(run)

    async def _task(self, run: Run) -> None:
        log = run.log
        log.info(TAG, "Starting Advanced OTA example")
        url = await run.stdin()
        memory = Memory(run, url)
        config = HttpsOtaConfig(
            http_config=HttpClientConfig(url=url, timeout_ms=5000),
            partial_http_download=self.enable_partial_http_download,
            max_http_request_size=self.http_request_size,
            ota_resumption=self.enable_ota_resumption,
            ota_image_bytes_written=memory.written() if self.enable_ota_resumption else 0,
        )
        try:
            handle = await https_ota.begin(config, ops=run.ops, fetch=run.board.server, on_event=_listener(run))
        except HttpsOtaError:
            log.error(TAG, "ESP HTTPS OTA Begin failed")
            return
        try:
            await self._download(run, handle, memory)
        finally:
            await handle.close()  # what a reset does

    async def _download(self, run: Run, handle: HttpsOta, memory: Memory) -> None:
        log = run.log
        try:
            self._validate_image_header(run, await handle.get_img_desc())
        except HttpsOtaError:
            log.error(TAG, "esp_https_ota_get_img_desc failed")
            await _give_up(run, handle)
            return
        except OtaError:
            log.error(TAG, "image header verification failed")
            await _give_up(run, handle)
            return
        try:
            while await handle.perform() is EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS:
                if self.enable_ota_resumption:
                    memory.save(handle.get_image_len_read())
        except HttpsOtaError:
            pass  # the example asks whether everything came, not why not
        if not handle.is_complete_data_received():
            log.error(TAG, "Complete data was not received.")
            await _give_up(run, handle)
            return
        if self.enable_ota_resumption:
            memory.clean_up()
        try:
            await handle.finish()
        except HttpsOtaError as error:
            if error.err is EspErr.ESP_ERR_OTA_VALIDATE_FAILED:
                log.error(TAG, "Image validation failed, image is corrupted")
            log.error(TAG, f"ESP_HTTPS_OTA upgrade failed 0x{error.err & 0xFFFFFFFF:x}")
            return
        log.info(TAG, "ESP_HTTPS_OTA upgrade successful. Rebooting ...")
        await asyncio.sleep(1)
        raise Restart("esp_restart")

    def _validate_image_header(self, run: Run, new: AppDesc) -> None:
        """Raises ``OtaError`` (ESP_FAIL) for what it does not want."""
        running = run.ops.get_partition_description(run.ops.get_running_partition())
        run.log.info(TAG, f"Running firmware version: {running.version}")
        if not self.skip_version_check and new.version_bytes == running.version_bytes:
            text = "Current running version is the same as a new. We will not continue the update."
            run.log.warning(TAG, text)
            raise OtaError(EspErr.ESP_FAIL, "the same version")
        burnt = run.ops.chip.efuse.secure_version
        if run.ops.config.bootloader_app_anti_rollback and new.secure_version < burnt:
            text = f"New firmware security version is less than eFuse programmed, {new.secure_version} < {burnt}"
            run.log.warning(TAG, text)
            raise OtaError(EspErr.ESP_FAIL, "too old")


async def _give_up(run: Run, handle: HttpsOta) -> None:
    await handle.abort()
    run.log.error(TAG, "ESP_HTTPS_OTA upgrade failed")


def _confirm(run: Run) -> None:
    """A network connection is its self-test."""
    running = run.ops.get_running_partition()
    try:
        state = run.ops.get_state_partition(running)
    except OtaError:
        return
    if state == OtaImgState.PENDING_VERIFY:
        run.ops.mark_app_valid_cancel_rollback()
        run.log.info(TAG, "App is valid, rollback cancelled successfully")


def _listener(run: Run) -> https_ota.OnEvent:
    def listen(event: Event, data: int | None) -> None:
        if event in _EVENTS:
            run.log.info(TAG, _EVENTS[event].format(data=data))
        else:
            run.log.debug(TAG, f"Writing to flash: {data} written")

    return listen


class Memory:
    """What the example keeps in NVS of a download: its URL, and how many KiB are written."""

    def __init__(self, run: Run, url: str) -> None:
        self._run = run
        self._nvs = run.nvs
        self._url = url

    def written(self) -> int:
        """Bytes of what this URL serves; 0 for another one."""
        if self._get(NVS_KEY_SAVED_URL) != self._url:
            return 0
        kib = self._get(NVS_KEY_OTA_WR_LENGTH)
        return kib * 1024 if isinstance(kib, int) else 0

    def save(self, written: int) -> None:
        """After each step; the URL only when it is another one."""
        try:
            self._set(NVS_KEY_OTA_WR_LENGTH, U16(written // 1024))
            if written and self._get(NVS_KEY_SAVED_URL) != self._url:
                self._set(NVS_KEY_SAVED_URL, self._url)
        except EspError as error:
            self._run.log.error(TAG, f"Failed to save OTA config to NVS ({error.err.name}).")

    def clean_up(self) -> None:
        """``nvs_erase_all``, before the image is judged."""
        for key in (NVS_KEY_OTA_WR_LENGTH, NVS_KEY_SAVED_URL):
            self._nvs.erase(NVS_NAMESPACE_OTA_RESUMPTION, key)

    def _get(self, key: str) -> object:
        return self._nvs.get(NVS_NAMESPACE_OTA_RESUMPTION, key)

    def _set(self, key: str, value: str | int) -> None:
        self._nvs.set(NVS_NAMESPACE_OTA_RESUMPTION, key, value)
