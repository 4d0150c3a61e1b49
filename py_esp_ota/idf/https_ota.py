"""``esp_https_ota``: download an image into the next update slot (components/esp_https_ota/src/esp_https_ota.c).

Single-request mode. A handle goes BEGIN, IN_PROGRESS, SUCCESS; every way out of it is ``finish`` or ``abort``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import NoReturn

from py_esp_ota._core import AppDesc, ImageHeader, Partition
from py_esp_ota.errors import EspErr, EspError, FetchError, HttpsOtaError, ImageError
from py_esp_ota.idf import newlib
from py_esp_ota.idf.http_client import HttpClient, HttpClientConfig
from py_esp_ota.idf.ota_ops import OTA_SIZE_UNKNOWN, OTA_WITH_SEQUENTIAL_WRITES, OtaOps
from py_esp_ota.ports import Fetch

TAG = "esp_https_ota"
IMAGE_HEADER_SIZE = 1024
APP_DESC_OFFSET = 32
_NO_HANDLE = 0

__all__ = ["Event", "HttpClientConfig", "HttpsOta", "HttpsOtaConfig", "State", "begin", "esp_err_to_name", "https_ota"]


class Event(IntEnum):
    """``esp_https_ota_event_t``."""

    START = 0
    CONNECTED = 1
    GET_IMG_DESC = 2
    VERIFY_CHIP_ID = 3
    VERIFY_CHIP_REVISION = 4
    DECRYPT_CB = 5
    WRITE_FLASH = 6
    UPDATE_BOOT_PARTITION = 7
    FINISH = 8
    ABORT = 9


class State(IntEnum):
    """``esp_https_ota_state``; RESUME (4) has no room yet."""

    INIT = 0
    BEGIN = 1
    IN_PROGRESS = 2
    SUCCESS = 3


OnEvent = Callable[[Event, int | None], None]


@dataclass(frozen=True, kw_only=True, slots=True)
class HttpsOtaConfig:
    """``esp_https_ota_config_t``."""

    http_config: HttpClientConfig
    bulk_flash_erase: bool = False


def esp_err_to_name(error: EspError) -> str:
    """``esp_err_to_name``: ``ERROR`` for a code that the table does not hold."""
    return "ERROR" if "code" in error.fact else error.err.name


# --------------------------------------------------------------------------------------------------------- status codes


@dataclass(frozen=True, slots=True)
class StatusVerdict:
    """What a status code means: ``err`` ends the update, ``redirect`` goes on elsewhere, neither accepts the body."""

    err: EspErr = EspErr.ESP_OK
    redirect: bool = False
    level: str = ""
    log: str = ""


_ACCEPTED = StatusVerdict()
_REDIRECT = StatusVerdict(redirect=True)
_STATUS_TABLE = {
    **dict.fromkeys((301, 302, 303, 307, 308), _REDIRECT),
    304: StatusVerdict(
        EspErr.ESP_ERR_HTTP_NOT_MODIFIED,
        level="I",
        log="OTA image not modified since last request (status code: {status})",
    ),
    401: StatusVerdict(EspErr.ESP_ERR_NOT_SUPPORTED, level="E", log="Authorization Failed"),
    **dict.fromkeys((403, 404), StatusVerdict(EspErr.ESP_FAIL, level="E", log="File not found({status})")),
    416: StatusVerdict(
        EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE,
        level="I",
        log="Requested range is incorrect (status code: {status})",
    ),
}
_CLIENT_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Client error ({status})")
_SERVER_ERROR = StatusVerdict(EspErr.ESP_FAIL, level="E", log="Server error ({status})")


def handle_response_code(status: int) -> StatusVerdict:
    """``_http_handle_response_code`` as a table: what is not refused by name is taken for an image."""
    if status in _STATUS_TABLE:
        return _STATUS_TABLE[status]
    if status >= 500:
        return _SERVER_ERROR
    return _CLIENT_ERROR if status >= 400 else _ACCEPTED


# ---------------------------------------------------------------------------------------------------------------- begin


async def begin(config: HttpsOtaConfig, *, ops: OtaOps, fetch: Fetch, on_event: OnEvent | None = None) -> HttpsOta:
    """``esp_https_ota_begin``: connect, follow redirects, find the slot.

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG (no trust option), ESP_FAIL (URL, slot, most statuses), ESP_ERR_HTTP_CONNECT
            and the codes of the status table.
    """
    post = on_event or _ignore
    post(Event.START, None)
    _require_server_verification(config.http_config, ops)
    try:
        client = HttpClient(config.http_config, fetch)
    except HttpsOtaError:
        ops.log.error(TAG, "Failed to initialise HTTP connection")
        raise
    try:
        await _http_connect(client, ops)
        post(Event.CONNECTED, None)
        ops.log.info(TAG, "Starting OTA...")
        partition = _staging_partition(ops)
    except BaseException:
        await client.close()
        raise
    return HttpsOta(config, ops, client, partition, post)


def _staging_partition(ops: OtaOps) -> Partition:
    partition = ops.get_next_update_partition()
    if partition is None:
        ops.log.error(TAG, "Given staging partition or another suitable Passive OTA partition could not be found")
        raise HttpsOtaError(EspErr.ESP_FAIL, "no partition to update")
    ops.log.info(TAG, f"Writing to <{partition.label}> partition at offset 0x{partition.offset:x}")
    return partition


def _ignore(_event: Event, _data: int | None) -> None:
    """The event loop of an app that listens to nothing."""


def _require_server_verification(http: HttpClientConfig, ops: OtaOps) -> None:
    """``is_server_verification_enabled``: a trust option must be there; the URL's scheme is not looked at."""
    if http.cert_pem or http.use_global_ca_store or http.crt_bundle_attach:
        return
    text = "No option for server verification is enabled in esp_http_client config."
    if ops.config.esp_https_ota_allow_http:
        ops.log.warning(TAG, f"{text} Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.")
        return
    ops.log.error(TAG, text)
    raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "no option for server verification")


async def _http_connect(client: HttpClient, ops: OtaOps) -> None:
    """``_http_connect``: as many redirects as the servers like; only the clock of the caller sets a limit."""
    try:
        await client.open()
        while _judge(client, ops).redirect:
            await _follow(client, ops)
            await client.open()
    except HttpsOtaError as error:
        if error.err is EspErr.ESP_ERR_HTTP_CONNECT:
            ops.log.error(TAG, f"Failed to open HTTP connection: {esp_err_to_name(error)}")
        ops.log.error(TAG, "Failed to establish HTTP connection")
        raise


def _judge(client: HttpClient, ops: OtaOps) -> StatusVerdict:
    verdict = handle_response_code(client.status)
    if verdict.log:
        log = ops.log.info if verdict.level == "I" else ops.log.error
        log(TAG, verdict.log.format(status=client.status))
    if verdict.err is not EspErr.ESP_OK:
        raise HttpsOtaError(verdict.err, "HTTP status {status}", status=client.status)
    return verdict


async def _follow(client: HttpClient, ops: OtaOps) -> None:
    try:
        await client.follow()
    except HttpsOtaError:
        ops.log.error(TAG, "URL redirection Failed")
        raise


# --------------------------------------------------------------------------------------------------------------- handle


class HttpsOta:
    """``esp_https_ota_handle_t``. Made by ``begin``; gone after ``finish`` or ``abort``."""

    def __init__(
        self, config: HttpsOtaConfig, ops: OtaOps, client: HttpClient, partition: Partition, post: OnEvent
    ) -> None:
        self.state = State.BEGIN
        self.partition = partition
        self._config = config
        self._ops = ops
        self._client = client
        self._post = post
        self._image_length = client.content_length
        self._buffer_size = max(config.http_config.buffer_size, IMAGE_HEADER_SIZE)
        self._header = b""
        self._written = 0
        self._update_handle = _NO_HANDLE

    async def get_img_desc(self) -> AppDesc:
        """``esp_https_ota_get_img_desc``: the new image's descriptor, before anything is written.

        A second call asks the staging slot instead of the network. Raises ``HttpsOtaError``: ESP_FAIL for a body below
        1024 bytes or a wrong magic word, ESP_ERR_INVALID_STATE without a connection.
        """
        self._post(Event.GET_IMG_DESC, None)
        if self.state < State.BEGIN:
            raise HttpsOtaError(EspErr.ESP_ERR_INVALID_STATE, "the handle is not open")
        if self._header:
            try:
                return self._ops.get_partition_description(self.partition)
            except EspError as error:
                raise HttpsOtaError(EspErr.ESP_FAIL, "no descriptor in the staging slot") from error
        await self._read_header()
        desc = _descriptor(self._header)
        if desc is None:
            self._ops.log.error(TAG, "Incorrect app descriptor magic")
            raise HttpsOtaError(EspErr.ESP_FAIL, "the app descriptor's magic word is wrong")
        return desc

    async def perform(self) -> EspErr:
        """``esp_https_ota_perform``: one step.

        Returns:
            ESP_ERR_HTTPS_OTA_IN_PROGRESS while there is more to come (a read time-out included), ESP_OK at the end.

        Raises:
            HttpsOtaError: The step failed; the handle waits for ``abort``.
        """
        await asyncio.sleep(0)  # the download is a task among others
        if self.state is State.BEGIN:
            self._flash_begin()
            self.state = State.IN_PROGRESS
            if not self._header:
                await self._read_header()
            self._verify_chip()
            return self._write(self._header)
        if self.state is State.IN_PROGRESS:
            return await self._continue()
        self._ops.log.error(TAG, "Invalid ESP HTTPS OTA State")
        raise HttpsOtaError(EspErr.ESP_FAIL, "nothing to perform in state {state}", state=self.state.name)

    async def finish(self) -> None:
        """``esp_https_ota_finish``: verify, switch the boot slot when all data came, close. The handle is gone.

        Raises:
            HttpsOtaError: What ``esp_ota_end`` or ``esp_ota_set_boot_partition`` said, mostly 0x1503.
        """
        self._require_open()
        state, self.state = self.state, State.INIT
        await self._client.close()
        try:
            if state >= State.IN_PROGRESS:
                self._ops.end(self._update_handle)
            if state is State.SUCCESS:
                self._set_boot_partition()
        except EspError as error:
            raise HttpsOtaError(error.err, "finish: {why}", why=str(error)) from error
        finally:
            self._post(Event.FINISH, None)

    async def abort(self) -> None:
        """``esp_https_ota_abort``: drop what was downloaded and close. The handle is gone."""
        self._post(Event.ABORT, None)
        self._require_open()
        state, self.state = self.state, State.INIT
        await self._client.close()
        if state >= State.IN_PROGRESS:
            self._ops.abort(self._update_handle)

    async def close(self) -> None:
        """Drop the connection alone, whatever the state: what a reset or a power cut does."""
        await self._client.close()

    def is_complete_data_received(self) -> bool:
        """``esp_https_ota_is_complete_data_received``."""
        return self._client.is_complete_data_received()

    def get_image_len_read(self) -> int:
        """``esp_https_ota_get_image_len_read``: bytes read, -1 before the first ``perform``."""
        return self._written if self.state >= State.IN_PROGRESS else -1

    def get_image_size(self) -> int:
        """``esp_https_ota_get_image_size``: Content-Length of the final response, -1 when unknown or chunked."""
        return self._image_length

    def get_status_code(self) -> int:
        """``esp_https_ota_get_status_code``: the last HTTP status."""
        return self._client.status

    def _require_open(self) -> None:
        if self.state is State.INIT:
            raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "the handle is gone")

    async def _read_header(self) -> None:
        """``read_header``: the first 1024 bytes, for as long as the connection lives."""
        data = b""
        while len(data) < IMAGE_HEADER_SIZE:
            try:
                chunk = await self._client.read(IMAGE_HEADER_SIZE - len(data))
            except FetchError as error:
                if error.kind != "timeout":
                    self._fail_header(newlib.from_host(error.errno), len(data))
                await asyncio.sleep(0)
                continue
            if not chunk:
                self._fail_header(0, len(data))
            data += chunk
        self._header = data

    def _fail_header(self, errno: int, length: int) -> NoReturn:
        self._ops.log.error(TAG, "Complete headers were not received")
        what = "the body ends after {found} of {expected} bytes of header"
        raise HttpsOtaError(EspErr.ESP_FAIL, what, found=length, expected=IMAGE_HEADER_SIZE, errno=errno)

    def _flash_begin(self) -> None:
        size = OTA_WITH_SEQUENTIAL_WRITES
        if self._config.bulk_flash_erase:
            size = self._image_length if self._image_length > 0 else OTA_SIZE_UNKNOWN
        try:
            self._update_handle = self._ops.begin(self.partition, size)
        except EspError as error:
            self._ops.log.error(TAG, f"esp_ota_begin failed ({error.err.name})")
            raise HttpsOtaError(error.err, "begin: {why}", why=str(error)) from error

    def _verify_chip(self) -> None:
        header = ImageHeader.from_bytes(self._header)
        self._post(Event.VERIFY_CHIP_ID, header.chip_id)
        self._post(Event.VERIFY_CHIP_REVISION, header.min_chip_rev_full)
        try:
            self._ops.judge_image_header(self.partition.type, header, _descriptor(self._header))
        except EspError as error:
            raise HttpsOtaError(error.err, "{why}", why=str(error)) from error

    def _write(self, data: bytes) -> EspErr:
        try:
            self._ops.write(self._update_handle, data)
            self._written += len(data)
        except EspError as error:
            self._ops.log.error(TAG, f"Error: esp_ota_write failed! err=0x{error.err & 0xFFFFFFFF:x}")
            raise HttpsOtaError(error.err, "{why}", why=str(error)) from error
        finally:
            self._post(Event.WRITE_FLASH, self._written)
        return EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS

    async def _continue(self) -> EspErr:
        try:
            data = await self._client.read(self._buffer_size)
        except FetchError as error:
            if error.kind == "timeout":
                return EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS
            number = newlib.from_host(error.errno)
            self._ops.log.error(TAG, f"data read -1, errno {number}")
            raise HttpsOtaError(EspErr.ESP_FAIL, "the connection broke", errno=number) from error
        if data:
            return self._write(data)
        if not self.is_complete_data_received():
            self._ops.log.error(TAG, "Connection closed before complete data was received!")
            what = "the body ends after {found} of {expected} bytes"
            raise HttpsOtaError(EspErr.ESP_FAIL, what, found=self._written, expected=self._image_length)
        self.state = State.SUCCESS
        return EspErr.ESP_OK

    def _set_boot_partition(self) -> None:
        try:
            self._ops.set_boot_partition(self.partition)
        except EspError as error:
            text = f"esp_ota_set_boot_partition failed! err=0x{error.err & 0xFFFFFFFF:x}"
            self._ops.log.error(TAG, text)
            raise
        self._post(Event.UPDATE_BOOT_PARTITION, self.partition.subtype)


def _descriptor(header: bytes) -> AppDesc | None:
    try:
        return AppDesc.from_bytes(header[APP_DESC_OFFSET:])
    except ImageError:
        return None


async def https_ota(config: HttpsOtaConfig, *, ops: OtaOps, fetch: Fetch, on_event: OnEvent | None = None) -> None:
    """``esp_https_ota``: the whole update in one call. Raises ``HttpsOtaError``; nothing is left open then."""
    handle = await begin(config, ops=ops, fetch=fetch, on_event=on_event)
    try:
        while await handle.perform() is EspErr.ESP_ERR_HTTPS_OTA_IN_PROGRESS:
            pass
    except HttpsOtaError:
        await handle.abort()
        raise
    except BaseException:
        await handle.close()
        raise
    await handle.finish()
