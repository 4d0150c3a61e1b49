"""``esp_https_ota``: download an image into the next update slot (components/esp_https_ota/src/esp_https_ota.c).

A handle goes BEGIN or RESUME, IN_PROGRESS, SUCCESS; every way out of it is ``finish`` or ``abort``. What releases do
differently stands in ``features.py``.
"""

from __future__ import annotations

from functools import partial

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, EspError, HttpsOtaError
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.esp_http_client.client import HttpClient, HttpClientConfig
from py_esp_ota.idf.esp_http_client.features import http_client_features
from py_esp_ota.idf.esp_https_ota.config import (
    TAG,
    DecryptCb,
    Event,
    HttpsOtaConfig,
    OnEvent,
    State,
    esp_err_to_name,
)
from py_esp_ota.idf.esp_https_ota.connect import StatusVerdict, handle_response_code, http_connect
from py_esp_ota.idf.esp_https_ota.features import HttpsOtaFeatures, https_ota_features
from py_esp_ota.idf.esp_https_ota.handle import Download, HttpsOta
from py_esp_ota.idf.esp_https_ota.partial import discover_image_length, first_range, restart_range
from py_esp_ota.ports import Fetch

__all__ = [
    "DecryptCb",
    "Event",
    "HttpClientConfig",
    "HttpsOta",
    "HttpsOtaConfig",
    "OnEvent",
    "State",
    "StatusVerdict",
    "begin",
    "esp_err_to_name",
    "handle_response_code",
    "https_ota",
]

_RANGE = "Range"


async def begin(config: HttpsOtaConfig, *, ops: OtaOps, fetch: Fetch, on_event: OnEvent | None = None) -> HttpsOta:
    """``esp_https_ota_begin``: connect, follow redirects, find the slot.

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG (no trust option, no callback in a build that decrypts),
            ESP_ERR_NOT_SUPPORTED (such a build cannot resume; an option that the build does not have), ESP_FAIL (URL,
            slot, most statuses), ESP_ERR_HTTP_CONNECT and the codes of the status table.
    """
    features = https_ota_features(ops.config.idf_version)
    post = on_event if on_event is not None and features.events else _ignore
    post(Event.START, None)
    config.require_built(features, ops.config)
    _require_server_verification(config.http_config, ops)
    _require_decrypt_cb(config, ops)
    try:
        client = HttpClient(config.http_config, fetch, http_client_features(ops.config.idf_version))
    except HttpsOtaError:
        ops.log.error(TAG, "Failed to initialise HTTP connection")
        raise
    try:
        _init_client(config, client, ops)
        download = await _connect(config, client, ops, features)
        post(Event.CONNECTED, None)
        ops.log.info(TAG, "Starting OTA...")
        staging = _staging_partition(config, ops, features)
        final = _final_partition(config, staging, ops)
    except BaseException:
        await client.close()
        raise
    return HttpsOta(config, ops, client, download, staging, final, post)


def _ignore(_event: Event, _data: int | None) -> None:
    """The event loop of an app that listens to nothing."""


def _require_server_verification(http: HttpClientConfig, ops: OtaOps) -> None:
    """``is_server_verification_enabled``: a trust option must be there; the URL's scheme is not looked at."""
    if http.cert_pem or http.use_global_ca_store or http.crt_bundle_attach:
        return
    if ops.config.esp_https_ota_allow_http:
        ops.log.warning(TAG, "Continuing with insecure option because CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP is set.")
        return
    ops.log.error(TAG, "No option for server verification is enabled in esp_http_client config.")
    raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "no option for server verification")


def _require_decrypt_cb(config: HttpsOtaConfig, ops: OtaOps) -> None:
    if not ops.config.esp_https_ota_decrypt_cb:
        return
    if config.decrypt_cb is None:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "a build with ESP_HTTPS_OTA_DECRYPT_CB needs decrypt_cb")
    if config.ota_resumption:
        raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "a pre-encrypted image cannot be resumed")


def _init_client(config: HttpsOtaConfig, client: HttpClient, ops: OtaOps) -> None:
    if config.http_client_init_cb is None:
        return
    try:
        config.http_client_init_cb(client)
    except EspError as error:
        ops.log.error(TAG, f"http_client_init_cb returned 0x{error.err & 0xFFFFFFFF:x}")
        raise HttpsOtaError(error.err, "http_client_init_cb: {why}", why=str(error)) from error


# ----------------------------------------------------------------------------------------------------------- connecting


async def _connect(config: HttpsOtaConfig, client: HttpClient, ops: OtaOps, features: HttpsOtaFeatures) -> Download:
    """From the URL to the first byte of the image, with one more try when the server cannot resume."""
    offset = config.resume_offset(encrypted=ops.chip.efuse.flash_encryption_enabled, features=features)
    if offset:
        ops.log.debug(TAG, f"Resuming OTA from offset: {offset}")
    resumes, in_parts = config.ota_resumption, config.partial_http_download
    length = -1
    asked = f"bytes={offset}-" if resumes and (offset or features.asks_range_always) else None
    if in_parts:
        length = await discover_image_length(client, ops.log, features) - config.enc_img_header_size
        asked = first_range(offset, length, config.request_size)
    if asked is not None:
        client.set_header(_RANGE, asked)
    may_authorize = config.http_config.max_authorization_retries != -1
    connect = partial(http_connect, client, ops.log, features, may_authorize=may_authorize)
    try:
        try:
            await connect(wants_range=resumes and not in_parts)
        except HttpsOtaError as error:
            if error.err is not EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE or not resumes:
                raise
            offset = 0
            await _start_over(client, ops, error, restart_range(length, config.request_size) if in_parts else None)
            await connect(wants_range=False)
    except HttpsOtaError as error:
        if error.err is not EspErr.ESP_ERR_HTTP_NOT_MODIFIED:
            ops.log.error(TAG, "Failed to establish HTTP connection")
        raise
    if not in_parts:
        length = client.content_length - config.enc_img_header_size
    return Download(image_length=length, binary_file_len=offset)


async def _start_over(client: HttpClient, ops: OtaOps, error: HttpsOtaError, asked: str | None) -> None:
    """The server cannot resume: the next request, on a new connection, is one from the beginning."""
    ops.log.error(TAG, f"OTA resumption failed with err: {int(error.err)}.")
    ops.log.info(TAG, "Falling back to OTA without resumption and restarting download from beginning")
    client.delete_header(_RANGE)
    if asked is not None:
        client.set_header(_RANGE, asked)
    await client.close()


# ----------------------------------------------------------------------------------------------------------- partitions


def _staging_partition(config: HttpsOtaConfig, ops: OtaOps, features: HttpsOtaFeatures) -> Partition:
    given = config.staging
    partition = ops.get_next_update_partition() if given is None else ops.partitions.verify(given)
    if partition is None:
        text = "Given staging partition or another suitable Passive OTA partition could not be found"
        ops.log.error(TAG, text if features.staging_partition else "Passive OTA partition not found")
        raise HttpsOtaError(EspErr.ESP_FAIL, "no partition to update")
    named = f"<{partition.label}> partition" if features.names_partition else f"partition subtype {partition.subtype}"
    ops.log.info(TAG, f"Writing to {named} at offset 0x{partition.offset:x}")
    return partition


def _final_partition(config: HttpsOtaConfig, staging: Partition, ops: OtaOps) -> Partition:
    """Where the image shall be in the end. Given as the staging one it is that; upstream leaves a null pointer then."""
    if config.final is None or config.final == config.staging:
        return staging
    final = ops.partitions.verify(config.final)
    if final is None:
        ops.log.error(TAG, "Given final partition not found")
        raise HttpsOtaError(EspErr.ESP_FAIL, "{label} is not in the partition table", label=config.final.label)
    return final


# ------------------------------------------------------------------------------------------------------------- one call


async def https_ota(config: HttpsOtaConfig, *, ops: OtaOps, fetch: Fetch, on_event: OnEvent | None = None) -> None:
    """``esp_https_ota``: the whole update in one call. Raises ``HttpsOtaError``; nothing is left open then."""
    if config.ota_resumption:
        ops.log.error(TAG, "OTA resumption is not supported in esp_https_ota API")
        raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "esp_https_ota() cannot resume")
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
