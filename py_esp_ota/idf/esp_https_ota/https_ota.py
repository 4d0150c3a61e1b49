"""``esp_https_ota``: download an image into the next update slot (components/esp_https_ota/src/esp_https_ota.c).

A handle goes BEGIN or RESUME, IN_PROGRESS, SUCCESS; every way out of it is ``finish`` or ``abort``. What releases do
differently stands in ``features.py``.
"""

from __future__ import annotations

from py_esp_ota._core import Partition
from py_esp_ota.errors import EspErr, EspError, HttpsOtaError
from py_esp_ota.idf.app_update.ota_ops import OtaOps
from py_esp_ota.idf.esp_http_client.authorization import EspRandom
from py_esp_ota.idf.esp_http_client.client import HttpClient, no_noise
from py_esp_ota.idf.esp_http_client.config import HttpClientConfig, authorization_retries
from py_esp_ota.idf.esp_https_ota.config import (
    IMAGE_HEADER_SIZE,
    TAG,
    DecryptCb,
    Event,
    HttpsOtaConfig,
    OnEvent,
    State,
    esp_err_to_name,
)
from py_esp_ota.idf.esp_https_ota.connect import HttpConnection, StatusVerdict, handle_response_code
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


async def begin(
    config: HttpsOtaConfig,
    *,
    ops: OtaOps,
    fetch: Fetch,
    on_event: OnEvent | None = None,
    esp_random: EspRandom = no_noise,
) -> HttpsOta:
    """``esp_https_ota_begin``: connect, follow redirects, find the slot.

    Args:
        config: What an app says.
        ops: The device.
        fetch: The way out.
        on_event: Hears ``ESP_HTTPS_OTA_EVENT``.
        esp_random: Noise for the answers to Digest challenges.

    Raises:
        HttpsOtaError: ESP_ERR_INVALID_ARG (no trust option, no callback in a build that decrypts),
            ESP_ERR_NOT_SUPPORTED (such a build cannot resume; an option that the build does not have), ESP_FAIL (URL,
            slot, most statuses), ESP_ERR_HTTP_CONNECT and the codes of the status table.
    """
    features = https_ota_features(ops.config.idf_version)
    post = on_event if on_event is not None and features.events else _ignore
    post(Event.START, None)
    config.require_built(features, ops.config)
    _require_server_verification(config.http_config, ops, features)
    _require_decrypt_cb(config, ops)
    offset = _resume_offset(config, ops, features)
    try:
        client = HttpClient(config.http_config, fetch, ops.config, log=ops.log, esp_random=esp_random)
    except HttpsOtaError:
        ops.log.error(TAG, "Failed to initialise HTTP connection")
        raise
    try:
        if features.init_cb_before_head:
            _init_client(config, client, ops)
        retries = authorization_retries(config.http_config.max_authorization_retries)
        http = HttpConnection(client, ops.log, features, authorization_retries=retries)
        download = await _connect(config, http, ops, features, offset)
        post(Event.CONNECTED, None)
        ops.log.info(TAG, "Starting OTA...")
        staging = _staging_partition(config, ops, features)
        final = _final_partition(config, staging, ops)
        _require_whole_blocks(config, ops, features)
    except BaseException:
        await client.close()
        raise
    return HttpsOta(config, ops, http, download, staging, final, post)


def _ignore(_event: Event, _data: int | None) -> None:
    """The event loop of an app that listens to nothing."""


def _require_server_verification(http: HttpClientConfig, ops: OtaOps, features: HttpsOtaFeatures) -> None:
    """``is_server_verification_enabled``: a trust option must be there; the URL's scheme is not looked at."""
    any_option = features.trusts_by_any_option
    if http.cert_pem or (any_option and (http.use_global_ca_store or http.crt_bundle_attach)):
        return
    if ops.config.esp_https_ota_allow_http:
        if any_option:
            option = "CONFIG_ESP_HTTPS_OTA_ALLOW_HTTP" if features.prefixed_options else "CONFIG_OTA_ALLOW_HTTP"
            ops.log.warning(TAG, f"Continuing with insecure option because {option} is set.")
        return
    text = "No option for server verification is enabled in esp_http_client config."
    ops.log.error(TAG, text if any_option else "Server certificate not found in esp_http_client config")
    raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "no option for server verification")


def _require_decrypt_cb(config: HttpsOtaConfig, ops: OtaOps) -> None:
    if not ops.config.esp_https_ota_decrypt_cb:
        return
    if config.decrypt_cb is None:
        raise HttpsOtaError(EspErr.ESP_ERR_INVALID_ARG, "a build with ESP_HTTPS_OTA_DECRYPT_CB needs decrypt_cb")
    if config.ota_resumption:
        raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "a pre-encrypted image cannot be resumed")


def _resume_offset(config: HttpsOtaConfig, ops: OtaOps, features: HttpsOtaFeatures) -> int:
    offset = config.resume_offset(encrypted=ops.chip.efuse.flash_encryption_enabled, features=features)
    if offset and features.rounds_resume_offset:
        ops.log.debug(TAG, f"Resuming OTA from offset: {offset}")
    elif offset:
        ops.log.info(TAG, f"Valid OTA resumption case, offset {offset}")
    return offset


def _init_client(config: HttpsOtaConfig, client: HttpClient, ops: OtaOps) -> None:
    if config.http_client_init_cb is None:
        return
    try:
        config.http_client_init_cb(client)
    except EspError as error:
        ops.log.error(TAG, f"http_client_init_cb returned 0x{error.err & 0xFFFFFFFF:x}")
        raise HttpsOtaError(error.err, "http_client_init_cb: {why}", why=str(error)) from error


# ----------------------------------------------------------------------------------------------------------- connecting


async def _connect(
    config: HttpsOtaConfig, http: HttpConnection, ops: OtaOps, features: HttpsOtaFeatures, offset: int
) -> Download:
    """From the URL to the first byte of the image, with one more try when the server cannot resume."""
    client = http.client
    resumes, in_parts = config.ota_resumption, config.partial_http_download
    length = -1
    asked = f"bytes={offset}-" if resumes and (offset or features.asks_range_always) else None
    if in_parts:
        length = await discover_image_length(http, ops.log, features) - config.enc_img_header_size
        asked = first_range(offset, length, config.request_size)
    if not features.init_cb_before_head:
        _init_client(config, client, ops)
    if asked is not None:
        client.set_header(_RANGE, asked)
    try:
        try:
            await http.connect(wants_range=resumes and not in_parts)
        except HttpsOtaError as error:
            starts_over = resumes if features.asks_range_always else offset > 0
            if error.err is not EspErr.ESP_ERR_HTTP_RANGE_NOT_SATISFIABLE or not starts_over:
                raise
            offset = 0
            _say_that_it_starts_over(ops, error, features)
            client.delete_header(_RANGE)
            if in_parts and (asked := restart_range(length, config.request_size)):
                client.set_header(_RANGE, asked)
            if features.asks_range_always:
                await client.close()
            await http.connect()
    except HttpsOtaError as error:
        if error.err is not EspErr.ESP_ERR_HTTP_NOT_MODIFIED:
            ops.log.error(TAG, "Failed to establish HTTP connection")
        raise
    if not in_parts:
        length = client.content_length - config.enc_img_header_size
    return Download(image_length=length, binary_file_len=offset)


def _say_that_it_starts_over(ops: OtaOps, error: HttpsOtaError, features: HttpsOtaFeatures) -> None:
    text = f"OTA resumption failed with err: {int(error.err)}"
    if features.asks_range_always:
        ops.log.error(TAG, f"{text}.")
        ops.log.info(TAG, "Falling back to OTA without resumption and restarting download from beginning")
    else:
        ops.log.error(TAG, text)
        ops.log.info(TAG, "Restarting download from beginning")


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


def _require_whole_blocks(config: HttpsOtaConfig, ops: OtaOps, features: HttpsOtaFeatures) -> None:
    """v5.5.2 alone looks at the buffer instead of the offset; upstream then returns no handle, and ESP_OK."""
    if not features.wants_whole_blocks or features.rounds_resume_offset or not config.ota_resumption:
        return
    size = max(config.http_config.buffer_size, IMAGE_HEADER_SIZE)
    if size % 16 and ops.chip.efuse.flash_encryption_enabled:
        ops.log.error(TAG, "Buffer size must be multiple of 16 bytes for FE and ota resumption case")
        raise HttpsOtaError(EspErr.ESP_FAIL, "a buffer of {found} bytes does not hold whole blocks", found=size)


# ------------------------------------------------------------------------------------------------------------- one call


async def https_ota(
    config: HttpsOtaConfig,
    *,
    ops: OtaOps,
    fetch: Fetch,
    on_event: OnEvent | None = None,
    esp_random: EspRandom = no_noise,
) -> None:
    """``esp_https_ota``: the whole update in one call. Raises ``HttpsOtaError``; nothing is left open then."""
    if config.ota_resumption:
        ops.log.error(TAG, "OTA resumption is not supported in esp_https_ota API")
        raise HttpsOtaError(EspErr.ESP_ERR_NOT_SUPPORTED, "esp_https_ota() cannot resume")
    handle = await begin(config, ops=ops, fetch=fetch, on_event=on_event, esp_random=esp_random)
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
