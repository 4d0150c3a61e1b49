"""``esp_https_ota_handle_t``: one download, from its first byte to the choice of the boot slot."""

from __future__ import annotations

import asyncio
from contextlib import nullcontext, suppress
from dataclasses import dataclass
from typing import NoReturn

from py_esp_ota._core import AppDesc, BootloaderDesc, Partition
from py_esp_ota.errors import EspErr, EspError, FetchError, HttpsOtaError
from py_esp_ota.idf import newlib
from py_esp_ota.idf.app_update.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES, OtaOps
from py_esp_ota.idf.app_update.otadata import is_ota_slot
from py_esp_ota.idf.esp_https_ota.config import TAG, Event, HttpsOtaConfig, OnEvent, State, not_in_this_build
from py_esp_ota.idf.esp_https_ota.connect import HttpConnection
from py_esp_ota.idf.esp_https_ota.features import https_ota_features
from py_esp_ota.idf.esp_https_ota.partial import next_range
from py_esp_ota.idf.esp_https_ota.verify import DESC_OFFSET, app_desc, bootloader_desc, header_size, verify_image
from py_esp_ota.idf.partition import TYPE_APP, TYPE_BOOTLOADER

_DESC_SIZES = {TYPE_APP: 256, TYPE_BOOTLOADER: 80}
_NO_HANDLE = 0
_IN_PROGRESS = EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS


@dataclass(frozen=True, slots=True)
class Download:
    """What connecting found out: the length of the image, -1 unknown, and where in it the body begins."""

    image_length: int
    binary_file_len: int


class HttpsOta:
    """``esp_https_ota_handle_t``. Made by ``begin``; gone after ``finish`` or ``abort``.

    Attributes:
        state: where it stands.
        partition: the staging partition, which is written.
        final: the partition that the image is meant for.
    """

    def __init__(
        self,
        config: HttpsOtaConfig,
        ops: OtaOps,
        http: HttpConnection,
        download: Download,
        staging: Partition,
        final: Partition,
        post: OnEvent,
    ) -> None:
        self.state = State.RESUME if download.binary_file_len else State.BEGIN
        self.partition = staging
        self.final = final
        self._config = config
        self._ops = ops
        self._http = http
        self._client = http.client
        self._post = post
        self._features = https_ota_features(ops.config.idf_version)
        self._header_size = header_size(self._features)
        self._buffer_size = max(config.http_config.buffer_size, self._header_size)
        self._image_length = download.image_length
        self._binary_file_len = download.binary_file_len
        self._header = b""
        self._update_handle = _NO_HANDLE

    # -------------------------------------------------------------------------------------------------- descriptions

    async def get_img_desc(self) -> AppDesc:
        """``esp_https_ota_get_img_desc``: the new image's descriptor, before anything is written.

        A resumed download and a second call ask the staging partition instead of the network; before v5.5 a second call
        takes the next 1024 bytes for it.

        Raises:
            HttpsOtaError: ESP_FAIL for a body below 1024 bytes or a wrong magic word, ESP_ERR_INVALID_STATE without a
                connection, ESP_ERR_NOT_SUPPORTED in a build that decrypts.
        """
        desc = app_desc(await self._description(TYPE_APP), self._features)
        if desc is None:
            self._ops.log.error(TAG, "Incorrect app descriptor magic")
            raise HttpsOtaError(EspErr.ESP_FAIL, "the app descriptor's magic word is wrong")
        return desc

    async def get_bootloader_img_desc(self) -> BootloaderDesc:
        """``esp_https_ota_get_bootloader_img_desc``: the same for an image whose final partition holds a bootloader."""
        desc = bootloader_desc(await self._description(TYPE_BOOTLOADER))
        if desc is None:
            self._ops.log.error(TAG, "Incorrect bootloader descriptor magic")
            raise HttpsOtaError(EspErr.ESP_FAIL, "the bootloader descriptor's magic byte is wrong")
        return desc

    async def _description(self, kind: int) -> bytes:
        """``get_description_from_image``: its bytes. The final partition's type must be ``kind``.

        Upstream one function serves both, and fills whatever structure it is given by the type of the partition.
        """
        self._post(Event.GET_IMG_DESC, None)
        if self._ops.config.esp_https_ota_decrypt_cb:
            raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "a pre-encrypted image has no descriptor to read")
        if self.state < State.BEGIN:
            raise HttpsOtaError(EspErr.ESP_ERR_INVALID_STATE, "the handle is not open")
        if self.final.type not in _DESC_SIZES:
            self._ops.log.error(TAG, f"This partition type ({self.final.type}) is not supported")
        if self.final.type != kind:
            raise HttpsOtaError(EspErr.ESP_FAIL, "{label} holds no such image", label=self.final.label)
        size = _DESC_SIZES[kind]
        if self._binary_file_len < DESC_OFFSET + size or not self._features.resumption:
            await self._read_header()
            return self._header[DESC_OFFSET : DESC_OFFSET + size]
        try:
            return self._ops.partitions.read(self.partition, DESC_OFFSET, size)
        except EspError as error:
            self._ops.log.error(TAG, f"get_description_from_image(668): partition read failed {int(error.err)}")
            raise HttpsOtaError(error.err, "{why}", why=str(error)) from error

    async def _read_header(self) -> None:
        """``read_header``: the first 1024 bytes, for as long as the connection lives."""
        data = b""
        while len(data) < self._header_size:
            try:
                chunk = await self._client.read(self._header_size - len(data))
            except FetchError as error:
                if error.kind != "timeout":
                    number = newlib.from_host(error.errno)
                    self._ops.log.error(TAG, f"Connection closed, errno = {number}")
                    self._fail_header(number, len(data))
                self._say_that_it_waits()
                await asyncio.sleep(0)
                continue
            if not chunk:
                self._fail_header(0, len(data))
            data += chunk
        self._header = data
        self._binary_file_len = len(data)

    def _say_that_it_waits(self) -> None:
        if self._features.tells_timeout:
            self._ops.log.debug(TAG, "ESP_ERR_HTTP_EAGAIN invoked: Call timed out before data was ready")

    def _fail_header(self, errno: int, length: int) -> NoReturn:
        self._ops.log.error(TAG, "Complete headers were not received")
        what = "the body ends after {found} of {expected} bytes of header"
        raise HttpsOtaError(EspErr.ESP_FAIL, what, found=length, expected=self._header_size, errno=errno)

    # ------------------------------------------------------------------------------------------------------ download

    async def perform(self) -> EspErr:
        """``esp_https_ota_perform``: one step.

        Returns:
            ESP_ERR_HTTPS_OTA_IN_PROGRESS while there is more to come (a read time-out included), ESP_OK at the end.

        Raises:
            HttpsOtaError: The step failed; the handle waits for ``abort``. With the fact ``code`` 2 nothing is wrong: a
                ``decrypt_cb`` waits for more, which upstream tells by the number of a state, and ``perform`` goes on.
        """
        await asyncio.sleep(0)  # the download is a task among others
        if self.state is State.BEGIN:
            return await self._begin()
        if self.state is State.RESUME:
            self._ops.log.debug(TAG, "OTA resumption case")
            self._open_update("esp_ota_resume")
        if self.state is State.IN_PROGRESS:
            return await self._continue()
        self._ops.log.error(TAG, "Invalid ESP HTTPS OTA State")
        raise HttpsOtaError(EspErr.ESP_FAIL, "nothing to perform in state {state}", state=self.state.name)

    async def _begin(self) -> EspErr:
        self._open_update("esp_ota_begin")
        is_image = self.final.type in _DESC_SIZES
        if not is_image and self._features.writes_data_as_it_comes:
            return _IN_PROGRESS
        features = self._features
        counts_once = features.counts_header_once if self._header else features.counts_what_it_reads
        if not self._header and not features.reads_header_first:
            return await self._continue()
        if not self._header:
            await self._read_header()
        if counts_once:
            self._binary_file_len = 0  # writing counts it
        data = self._header
        if self._ops.config.esp_https_ota_decrypt_cb:
            data = self._decrypt_header(data)
        if is_image:
            verify_image(self._ops, features, self.final.type, data, self._post)
        return self._write(data)

    def _open_update(self, function: str) -> None:
        """``esp_ota_begin`` or ``esp_ota_resume`` of the staging partition, for the final one."""
        size = OTA_WITH_SEQUENTIAL_WRITES
        if self._config.bulk_flash_erase:
            known = self._image_length > 0 and self._features.erases_image_alone
            size = self._image_length if known else OTA_SIZE_UNKNOWN
        ops = self._ops
        try:
            if function == "esp_ota_resume":
                self._update_handle = ops.resume(self.partition, size, self._binary_file_len)
            else:
                self._update_handle = ops.begin(self.partition, size)
        except EspError as error:
            ops.log.error(TAG, f"{function} failed ({error.err.name})")
            raise HttpsOtaError(error.err, "{function}: {why}", function=function, why=str(error)) from error
        if self.final != self.partition:
            with suppress(EspError):  # upstream does not look at the result
                ops.set_final_partition(
                    self._update_handle, self.final, finalize_with_copy=self._config.finalize_with_copy
                )
        self.state = State.IN_PROGRESS

    def _decrypt_header(self, data: bytes) -> bytes:
        try:
            return self._decrypt(data)
        except HttpsOtaError as error:
            self._ops.log.error(TAG, "Decryption of image header failed")
            raise HttpsOtaError(EspErr.ESP_FAIL, "{why}", why=str(error)) from error

    def _decrypt(self, data: bytes) -> bytes:
        """``esp_https_ota_decrypt_cb``. Nothing came out of it yet: an error too, whose number is that of a state."""
        self._post(Event.DECRYPT_CB, None)
        callback = self._config.decrypt_cb
        if callback is None:
            raise AssertionError("begin refuses a build that decrypts without a callback")
        try:
            out = callback(data)
        except EspError as error:
            self._ops.log.error(TAG, f"Decrypt callback failed {int(error.err)}")
            raise HttpsOtaError(error.err, "decrypt_cb: {why}", why=str(error)) from error
        if not out:
            raise HttpsOtaError(EspErr.ESP_FAIL, "decrypt_cb has nothing to write yet", code=int(State.IN_PROGRESS))
        return out

    def _write(self, data: bytes) -> EspErr:
        try:
            self._ops.write(self._update_handle, data)
            self._binary_file_len += len(data)
            self._ops.log.debug(TAG, f"Written image length {self._binary_file_len}")
        except EspError as error:
            self._ops.log.error(TAG, f"Error: esp_ota_write failed! err=0x{error.err & 0xFFFFFFFF:x}")
            raise HttpsOtaError(error.err, "{why}", why=str(error)) from error
        finally:
            self._post(Event.WRITE_FLASH, self._binary_file_len)
        return _IN_PROGRESS

    async def _continue(self) -> EspErr:
        try:
            data = await self._client.read(self._buffer_size)
        except FetchError as error:
            if error.kind == "timeout":
                self._say_that_it_waits()
                return _IN_PROGRESS
            number = newlib.from_host(error.errno)
            if self._features.tells_read_error:
                self._ops.log.error(TAG, f"data read -1, errno {number}")
            raise HttpsOtaError(EspErr.ESP_FAIL, "the connection broke: {why}", why=str(error), errno=number) from error
        if not data:
            return await self._response_ended()
        return self._write(self._decrypt(data) if self._ops.config.esp_https_ota_decrypt_cb else data)

    async def _response_ended(self) -> EspErr:
        """Of a partial download it was one range perhaps. More than the image is no success either, nor a failure."""
        log = self._ops.log
        (log.debug if self._features.whispers_end else log.info)(TAG, "Connection closed")
        if not self._config.partial_http_download or self._image_length == self._binary_file_len:
            self.state = State.SUCCESS
        elif self._image_length > self._binary_file_len:
            await self._ask_for_next_range()
            return _IN_PROGRESS
        return EspErr.ESP_OK

    async def _ask_for_next_range(self) -> None:
        client, config = self._client, self._config
        if not self._features.keeps_connection or not client.is_persistent_connection():
            await client.close()
        header_size = config.enc_img_header_size
        size = config.request_size
        client.set_header("Range", next_range(self._binary_file_len, self._image_length, size, header_size))
        try:
            await self._http.connect(in_progress=True)
        except HttpsOtaError as error:
            self._ops.log.error(TAG, "Failed to establish HTTP connection")
            raise HttpsOtaError(EspErr.ESP_FAIL, "{why}", why=str(error), **_errno(error)) from error
        self._ops.log.debug(TAG, "Connection start")

    # --------------------------------------------------------------------------------------------------------- ending

    async def finish(self) -> None:
        """``esp_https_ota_finish``: verify, switch the boot slot when all data came, close. The handle is gone.

        Raises:
            HttpsOtaError: What ``esp_ota_end`` or ``esp_ota_set_boot_partition`` said, mostly 0x1503.
        """
        self._require_open()
        state, self.state = self.state, State.INIT
        await self._client.close()
        try:
            if state in {State.IN_PROGRESS, State.SUCCESS}:
                self._ops.end(self._update_handle)
            if state is State.SUCCESS and self.final.type == TYPE_APP:
                with nullcontext() if self._features.tells_boot_failure else suppress(EspError):
                    self._set_boot_partition()
        except EspError as error:
            raise HttpsOtaError(error.err, "finish: {why}", why=str(error)) from error
        finally:
            self._post(Event.FINISH, None)

    def _set_boot_partition(self) -> None:
        """Only an OTA slot is chosen: choosing factory would erase otadata, which is left to the app."""
        try:
            if is_ota_slot(self.final):
                self._ops.set_boot_partition(self.partition)
        except EspError as error:
            text = f"esp_ota_set_boot_partition failed! err=0x{error.err & 0xFFFFFFFF:x}"
            self._ops.log.error(TAG, text)
            raise
        self._post(Event.UPDATE_BOOT_PARTITION, self.final.subtype)

    async def abort(self) -> None:
        """``esp_https_ota_abort``: drop what was downloaded and close. The handle is gone."""
        self._post(Event.ABORT, None)
        self._require_open()
        state, self.state = self.state, State.INIT
        await self._client.close()
        if state in {State.IN_PROGRESS, State.SUCCESS}:
            self._ops.abort(self._update_handle)

    async def close(self) -> None:
        """Drop the connection alone, whatever the state: what a reset or a power cut does."""
        await self._client.close()

    def _require_open(self) -> None:
        if self.state is State.INIT:
            raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "the handle is gone")

    # ---------------------------------------------------------------------------------------------------------- facts

    def is_complete_data_received(self) -> bool:
        """``esp_https_ota_is_complete_data_received``."""
        if self._config.partial_http_download:
            return self._image_length == self._binary_file_len
        return self._client.is_complete_data_received()

    def get_image_len_read(self) -> int:
        """``esp_https_ota_get_image_len_read``: bytes of the image, resumed ones too, -1 before ``perform``."""
        return self._binary_file_len if self.state >= State.IN_PROGRESS else -1

    def get_image_size(self) -> int:
        """``esp_https_ota_get_image_size``: of the final response, so what was left of a resumed image.

        -1 when unknown or chunked; of a partial download the whole image.
        """
        return self._image_length if self.state >= State.BEGIN else -1

    def get_status_code(self) -> int:
        """``esp_https_ota_get_status_code``: the last HTTP status. Raises ``HttpsOtaError`` in releases without it."""
        if not self._features.tells_status:
            raise not_in_this_build("esp_https_ota_get_status_code", self._ops.config)
        return self._client.status


def _errno(error: HttpsOtaError) -> dict[str, object]:
    return {"errno": error.fact["errno"]} if "errno" in error.fact else {}
