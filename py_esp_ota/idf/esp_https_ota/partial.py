"""``esp_https_ota``, partial download: the length of the image, and one range after the other."""

from __future__ import annotations

from py_esp_ota.errors import EspErr, HttpsOtaError
from py_esp_ota.idf.esp_http_client.client import HttpClient
from py_esp_ota.idf.esp_https_ota.config import TAG
from py_esp_ota.idf.esp_https_ota.features import HttpsOtaFeatures
from py_esp_ota.idf.log import Log

_OK, _PARTIAL_CONTENT, _NOT_MODIFIED = 200, 206, 304


def first_range(start: int, image_length: int, request_size: int) -> str | None:
    """The ``Range`` of the first request; ``None`` when it would be the whole image.

    The last byte of the last range is the image's length, one too many, as upstream asks for it.
    """
    end = start + request_size - 1 if image_length > request_size + start else image_length
    return f"bytes={start}-{end}" if end - start < image_length else None


def next_range(position: int, image_length: int, request_size: int, header_size: int = 0) -> str:
    """The ``Range`` of a later request, ``position`` bytes being written; a pre-encrypted image has a header before."""
    start = position + header_size
    if image_length - position > request_size:
        return f"bytes={start}-{start + request_size - 1}"
    return f"bytes={start}-"


def restart_range(image_length: int, request_size: int) -> str | None:
    """The ``Range`` after one that was not satisfiable: from the beginning."""
    return f"bytes=0-{request_size - 1}" if image_length > request_size else None


async def discover_image_length(client: HttpClient, log: Log, features: HttpsOtaFeatures) -> int:
    """The image's length from a HEAD, or where a server has none from a GET of one byte; the connection is closed.

    Raises ``HttpsOtaError``: ESP_FAIL for a status or a length that is none, what ``HttpClient.perform`` says, and
    ESP_ERR_HTTP_NOT_MODIFIED.
    """
    await _perform(client, log, "HEAD")
    length = client.content_length
    if client.status == _NOT_MODIFIED and features.head_304:
        log.info(TAG, f"OTA image not modified since last request (status code: {client.status})")
        raise HttpsOtaError(EspErr.ESP_ERR_HTTP_NOT_MODIFIED, "HTTP status {status}", status=client.status)
    if client.status != _OK:
        length = await _ask_for_one_byte(client, log, features)
    if length == -1:
        log.error(TAG, "Failed to get image length from http response")
        raise HttpsOtaError(EspErr.ESP_FAIL, "the server does not say how long the image is")
    await client.close()
    return length


async def _ask_for_one_byte(client: HttpClient, log: Log, features: HttpsOtaFeatures) -> int:
    if features.head_fallback:
        client.set_header("Range", "bytes=0-0")
        await _perform(client, log, "GET")
        client.delete_header("Range")
        if client.status == _OK:
            return client.content_length
        if client.status == _PARTIAL_CONTENT:
            return client.total_length
    log.error(TAG, f"Received incorrect http status {client.status}")
    raise HttpsOtaError(EspErr.ESP_FAIL, "HTTP status {status}", status=client.status)


async def _perform(client: HttpClient, log: Log, method: str) -> None:
    try:
        await client.perform(method)
    except HttpsOtaError as error:
        log.error(TAG, f"ESP HTTP client perform failed: {int(error.err)}")
        raise
